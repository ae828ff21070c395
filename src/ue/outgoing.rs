//! Requests of a registered UE other than REGISTER: the way they take, and what they carry (TS 24.229 clause 5.1.2A.1).

use super::dialog::Dialog;
use super::register::contact_uri;
use super::{Asked, Registration, Ue, UeConfig, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::{Outbox, Route, Transport};
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Method, Uri, Writer};
use crate::time::Instant;
use std::borrow::Cow;
use std::net::SocketAddr;

/// Why a UE cannot send what it was told to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotSend {
    /// There is no registration, and so no way.
    #[error("not registered")]
    NotRegistered,
    /// The target is no SIP or tel URI.
    #[error("the target is no SIP or tel URI")]
    BadTarget,
    /// No such call, or not in a state for this.
    #[error("no such call, or it is not in a state for this")]
    NoSuchCall,
}

/// What one request carries beyond its dialog.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content<'a> {
    /// Content-Type; empty: there is no body.
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
    /// Contact is there, because the request makes or refreshes a dialog.
    pub(super) with_contact: bool,
    pub(super) more: &'a [(HeaderName, &'a str)],
}

/// How a UE sends at this moment.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) route: Route,
    /// What Via and Contact name.
    pub(super) reachable: SocketAddr,
    /// What Security-Verify mirrors; `None`: in clear.
    pub(super) verify: Option<Box<str>>,
}

impl Ue {
    /// Sends a pager-mode message (RFC 3428).
    pub fn message(
        &mut self,
        now: Instant,
        to: &str,
        content_type: &str,
        body: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CannotSend> {
        self.standalone(now, "MESSAGE", to, Content { content_type, body, ..Content::default() }, out)
    }

    /// Asks what another side is able to do.
    pub fn options(&mut self, now: Instant, to: &str, out: &mut Outbox) -> Result<(), CannotSend> {
        let more = [(HeaderName::Accept, "application/sdp")];
        self.standalone(now, "OPTIONS", to, Content { with_contact: true, more: &more, ..Content::default() }, out)
    }

    fn standalone(
        &mut self,
        now: Instant,
        method: &'static str,
        to: &str,
        content: Content<'_>,
        out: &mut Outbox,
    ) -> Result<(), CannotSend> {
        if let Some(flow) = self.flow_for_requests() {
            return flow.standalone(now, method, to, content, out);
        }
        let way = self.way().ok_or(CannotSend::NotRegistered)?;
        let mut dialog = self.outside(to)?;
        let asked = Asked::Standalone { method, to: to.into() };
        self.ask_for(now, method, &mut dialog, &way, content, asked, out);
        Ok(())
    }

    /// The start of whatever a request to `to` becomes.
    pub(super) fn outside(&mut self, to: &str) -> Result<Dialog, CannotSend> {
        let registration = self.registration.as_ref().ok_or(CannotSend::NotRegistered)?;
        if !Uri::parse(to).is_ok_and(|uri| uri.is_sip() || uri.is_tel()) {
            return Err(CannotSend::BadTarget);
        }
        let identity = registration.default_identity(&self.config).as_str();
        Ok(Dialog::outside(identity, to, registration.preloaded(&self.config), &mut self.random))
    }

    /// The way of new requests: over the set in use, else in clear.
    pub(super) fn way(&self) -> Option<Way> {
        let registration = self.registration.as_ref()?;
        let local = self.config.local;
        Some(match &registration.set {
            Some(set) => Way {
                route: set.route(self.config.transport, local.ip(), self.config.pcscf.ip()),
                reachable: set.reachable(local.ip()),
                verify: Some(set.verify.clone()),
            },
            None => Way { route: self.clear_route(), reachable: local, verify: registration.mirror.clone() },
        })
    }

    /// Sends a request in a client transaction.
    #[expect(clippy::too_many_arguments, reason = "what, where to, by which way, for what")]
    pub(super) fn ask_for(
        &mut self,
        now: Instant,
        method: &'static str,
        dialog: &mut Dialog,
        way: &Way,
        content: Content<'_>,
        asked: Asked,
        out: &mut Outbox,
    ) -> ClientId {
        dialog.local_seq += 1;
        let (dialog, seq) = (&*dialog, dialog.local_seq);
        let proxy_authorization = self.proxy_authorization((method, dialog.target(), content.body));
        let Self { config, transactions, registration, .. } = self;
        let (registration, proxy_authorization) = (registration.as_ref(), proxy_authorization.as_deref());
        let request = Request { method, seq, dialog, way, content, config, registration, proxy_authorization };
        transactions.request(now, config.timers, way.route, true, asked, out, |bytes, transport, branch| {
            request.write(bytes, transport, branch);
        })
    }

    /// A final response to a request outside of dialogs, or 0 for none.
    pub(super) fn on_standalone(method: &'static str, to: Impu, status: u16, out: &mut Outbox) {
        tell(out, || What::RequestAnswered { method, to, status });
    }
}

impl Registration {
    /// The first of P-Associated-URI (TS 24.229 clause 5.1.1.2.1).
    pub(super) fn default_identity<'a>(&'a self, config: &'a UeConfig) -> &'a Impu {
        self.associated.first().unwrap_or(&config.impu)
    }

    /// The P-CSCF, then the Service-Route (TS 24.229 clause 5.1.2A.1.1).
    fn preloaded(&self, config: &UeConfig) -> Vec<Box<str>> {
        let port = self.set.as_ref().map_or_else(|| config.pcscf.port(), |set| set.pcscf.port_s);
        let tls = if config.transport == Transport::Tls { ";transport=tls" } else { "" };
        let pcscf = format!("<sip:{}{tls};lr>", SocketAddr::new(config.pcscf.ip(), port));
        std::iter::once(pcscf.into()).chain(self.service_route.iter().cloned()).collect()
    }
}

/// One request, ready to be written for either transport.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) seq: u32,
    pub(super) dialog: &'a Dialog,
    pub(super) way: &'a Way,
    pub(super) content: Content<'a>,
    pub(super) config: &'a UeConfig,
    pub(super) registration: Option<&'a Registration>,
    pub(super) proxy_authorization: Option<&'a str>,
}

impl Request<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>, transport: Transport, branch: &str) {
        let Self { method, seq, dialog, way, content, config, registration, proxy_authorization } = *self;
        let is_ack = method == Method::Ack.as_str();
        let rport = if way.verify.is_some() { "" } else { ";rport" };
        let start = out.len();
        let mut w = Writer::request(out, method, dialog.target());
        w.header_fmt(HeaderName::Via, format_args!("SIP/2.0/{transport} {};branch={branch}{rport}", way.reachable));
        w.header(HeaderName::MaxForwards, "70");
        for route in dialog.routes() {
            w.header(HeaderName::Route, route);
        }
        w.header(HeaderName::From, dialog.local());
        w.header(HeaderName::To, dialog.remote());
        w.header(HeaderName::CallId, dialog.call_id());
        w.header_fmt(HeaderName::CSeq, format_args!("{seq} {method}"));
        if content.with_contact {
            write_contact(&mut w, config, registration, way.reachable);
        }
        // RFC 3329 clause 2.3.1; neither an ACK nor a CANCEL can require anything (RFC 3261 clause 8.2.2.3).
        if let Some(verify) = way.verify.as_deref().filter(|_| !is_ack) {
            w.header(HeaderName::Require, "sec-agree");
            w.header(HeaderName::ProxyRequire, "sec-agree");
            w.header(HeaderName::SecurityVerify, verify);
        }
        if let Some(identity) = registration.filter(|_| !is_ack).map(|r| r.default_identity(config)) {
            w.header_fmt(HeaderName::PPreferredIdentity, format_args!("<{identity}>"));
        }
        if let Some(access) = config.access_network.as_deref().filter(|_| !is_ack && way.verify.is_some()) {
            w.header(HeaderName::PAccessNetworkInfo, access);
        }
        if !config.user_agent.is_empty() {
            w.header(HeaderName::UserAgent, &config.user_agent);
        }
        if let Some(credentials) = proxy_authorization {
            w.header(HeaderName::ProxyAuthorization, credentials);
        }
        for (name, value) in content.more {
            w.header(*name, value);
        }
        if !content.content_type.is_empty() {
            w.header(HeaderName::ContentType, content.content_type);
        }
        w.finish(content.body);
        let forms = config.forms.as_deref().filter(|_| method == Method::Subscribe.as_str());
        if let Some(form) = forms.and_then(|forms| forms.subscribe.as_ref()) {
            form.dress(out, start);
        }
    }
}

/// Contact of a request or response that makes or refreshes a dialog: the GRUU where there is one, for it leads to this
/// UE from everywhere (TS 24.229 clause 5.1.2A.1.1).
pub(super) fn write_contact(
    w: &mut Writer<'_>,
    config: &UeConfig,
    registration: Option<&Registration>,
    reachable: SocketAddr,
) {
    let uri = match registration.and_then(Registration::public_gruu) {
        Some(gruu) => Cow::Borrowed(gruu),
        None => Cow::Owned(contact_uri(config, reachable)),
    };
    w.header_fmt(HeaderName::Contact, format_args!("<{uri}>{}", config.features));
}
