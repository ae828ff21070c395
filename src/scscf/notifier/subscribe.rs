//! A SUBSCRIBE: what it asks for, and what forbids it (RFC 6665 clause 4.2.1, TS 24.229 clause 5.4.2.1.1).

use crate::reginfo;
use crate::scscf::ScscfConfig;
use crate::scscf::refusal::Refusal;
use crate::sip::header::contact::Contacts;
use crate::sip::header::event::Event;
use crate::sip::{Checked, HeaderName, Message, Uri};
use crate::time::Duration;

/// A SUBSCRIBE to the reg event package with what decides its case read.
#[derive(Debug)]
pub(super) struct Subscribe<'m, 'a> {
    /// All of it.
    pub(super) message: &'m Message<'a>,
    /// Whose registration: the Request-URI, canonical.
    pub(super) impu: String,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    pub(super) from_uri: &'a str,
    pub(super) from_tag: &'a str,
    pub(super) to_uri: &'a str,
    /// There where a dialog exists.
    pub(super) to_tag: Option<&'a str>,
    /// Contact, if there is one.
    pub(super) target: Option<&'a str>,
    /// `id` of Event.
    pub(super) event_id: &'a str,
    /// What is granted. Zero: one look, or the end.
    pub(super) expires: Duration,
}

impl<'m, 'a> Subscribe<'m, 'a> {
    pub(super) fn read(message: &'m Message<'a>, checked: &Checked<'a>, config: &ScscfConfig) -> Result<Self, Refusal> {
        let unknown: Vec<&str> = message.elements(HeaderName::Require).collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownExtension(unknown.join(", ")));
        }
        let event = message.header(HeaderName::Event).map(Event::parse).transpose()?;
        let event = event.filter(|e| e.package.eq_ignore_ascii_case(reginfo::PACKAGE)).ok_or(Refusal::UnknownEvent)?;
        if !accepts_reginfo(message) {
            return Err(Refusal::NothingAcceptable);
        }
        // RFC 3680 clause 4.3 defines no body.
        if !message.body().is_empty() {
            return Err(Refusal::BodyNotUnderstood);
        }
        let asked = message.expires().map_or(DEFAULT_EXPIRES, |seconds| Duration::from_secs(seconds.into()));
        // RFC 6665 clause 4.2.1.1: what is an hour or longer is never too brief.
        if !asked.is_zero() && asked < config.min_expires.min(Duration::from_secs(3_600)) {
            return Err(Refusal::IntervalTooBrief { min_expires: config.min_expires.as_secs() });
        }
        let target = match message.contacts()? {
            Contacts::List(contacts) => contacts.first().map(|c| c.address.uri.text),
            Contacts::Star => None,
        };
        let mut impu = String::new();
        if let Some(uri) = message.request_uri().and_then(|uri| Uri::parse(uri).ok()) {
            uri.canonical(&mut impu);
        }
        Ok(Self {
            message,
            impu,
            call_id: checked.call_id,
            cseq: checked.cseq.number,
            from_uri: checked.from.uri.text,
            from_tag: checked.from.tag().unwrap_or_default(),
            to_uri: checked.to.uri.text,
            to_tag: checked.to.tag(),
            target,
            event_id: event.params.value("id").unwrap_or_default(),
            expires: asked.min(config.max_subscription.unwrap_or(config.max_expires)),
        })
    }

    /// The route set of the dialog: Record-Route in order (RFC 3261 clause 12.1.1).
    pub(super) fn routes(&self) -> String {
        self.message.values(HeaderName::RecordRoute).collect::<Vec<_>>().join(", ")
    }
}

/// Without Accept the default of the package counts, which is this type (RFC 3680 clause 4.5).
fn accepts_reginfo(message: &Message<'_>) -> bool {
    let mut types = message.elements(HeaderName::Accept).map(|t| t.split(';').next().unwrap_or(t).trim()).peekable();
    let fits = |t: &str| [reginfo::CONTENT_TYPE, "application/*", "*/*"].iter().any(|own| own.eq_ignore_ascii_case(t));
    types.peek().is_none() || types.any(fits)
}

/// RFC 3680 clause 4.4.
const DEFAULT_EXPIRES: Duration = Duration::from_secs(3_761);
