//! A watcher of the S-CSCF: its SUBSCRIBEs, its answers, and its judgement of what it is told.

use crate::driver::{Driver, REALM, header};
use crate::user::{self, Register, scscf};
use imsreg::reginfo::{ContactEvent, RegistrationState, Watcher};
use imsreg::scscf::{Scscf, ScscfConfig};
use imsreg::sip::Message;
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const DEFAULT: &str = "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const TEL: &str = "tel:+99912345";
pub(crate) const PCSCF: &str = "127.0.0.1:5060";

/// The lab, with a P-CSCF and an application server that have addresses.
pub(crate) fn config() -> ScscfConfig {
    let hosts = [(format!("pcscf.{REALM}"), "127.0.0.1"), ("as.example".into(), "127.0.0.9")];
    let hosts = hosts.into_iter().map(|(name, ip)| (name.into(), ip.parse().unwrap())).collect();
    ScscfConfig { hosts, ..user::config() }
}

/// A registered user whom nobody watches yet, and the last REGISTER.
pub(crate) fn subscribed() -> (Driver<Scscf>, Register) {
    let mut s = scscf(config());
    let (second, _) = s.registered();
    s.events();
    (s, second)
}

#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) impu: &'static str,
    pub(crate) event: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) expires: u32,
    pub(crate) asserted: String,
    pub(crate) call_id: &'static str,
    pub(crate) cseq: u32,
    pub(crate) target: &'static str,
    /// Record-Route that the P-CSCF adds.
    pub(crate) route: String,
    pub(crate) body: &'static str,
    pub(crate) to_tag: Option<String>,
    /// The Request-URI is that of the S-CSCF, as within a dialog.
    pub(crate) own_uri: bool,
    pub(crate) watcher: Watcher,
}

/// What a document says, without its own text.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) registrations: Vec<ToldRegistration>,
}

#[derive(Debug)]
pub(crate) struct ToldRegistration {
    pub(crate) aor: String,
    pub(crate) state: RegistrationState,
    pub(crate) contacts: Vec<ToldContact>,
}

#[derive(Debug)]
pub(crate) struct ToldContact {
    pub(crate) event: ContactEvent,
    pub(crate) uri: String,
    pub(crate) expires: Option<u64>,
    /// Call-ID and CSeq of the REGISTER that changed it last.
    pub(crate) register: Option<(String, u64)>,
    pub(crate) duration_registered: Option<u64>,
    pub(crate) params: Vec<(String, String)>,
}

impl Told {
    /// Call-ID and CSeq of every contact, and for how long it has been there.
    pub(crate) fn identified(&self) -> Vec<(&str, u64, Option<u64>)> {
        fn one(c: &ToldContact) -> (&str, u64, Option<u64>) {
            let (call_id, cseq) = c.register.as_ref().expect("callid and cseq");
            (call_id.as_str(), *cseq, c.duration_registered)
        }
        self.registrations.iter().flat_map(|r| &r.contacts).map(one).collect()
    }

    /// The events of all contacts, identity by identity.
    pub(crate) fn events(&self) -> Vec<ContactEvent> {
        self.registrations.iter().flat_map(|r| &r.contacts).map(|c| c.event).collect()
    }
}

impl Subscriber {
    /// The UE of the lab, behind its P-CSCF.
    pub(crate) fn ue() -> Self {
        Self {
            impu: DEFAULT,
            event: "reg",
            accept: "application/reginfo+xml",
            expires: 600_000,
            asserted: format!("<{DEFAULT}>"),
            call_id: "reg-1@ue",
            cseq: 1,
            target: "sip:001010000000001@127.0.0.1:31001",
            route: format!("<sip:rr@pcscf.{REALM}:5060;lr>"),
            body: "",
            to_tag: None,
            own_uri: false,
            watcher: Watcher::new(),
        }
    }

    /// Judges a NOTIFY: there is nothing wrong with it.
    pub(crate) fn judge(&mut self, notify: &str) -> Told {
        let message = Message::parse(notify.as_bytes()).unwrap();
        message.check().unwrap();
        let verdict = self.watcher.take(message.body(), &[DEFAULT, TEL]);
        assert_eq!(verdict.faults, [], "{notify}");
        let document = verdict.document.expect("it counts");
        let registrations = document.registrations.iter().map(|r| ToldRegistration {
            aor: r.aor.to_string(),
            state: r.state,
            contacts: r
                .contacts
                .iter()
                .map(|c| ToldContact {
                    event: c.event,
                    uri: c.uri.to_string(),
                    expires: c.expires,
                    register: c.call_id.as_ref().map(ToString::to_string).zip(c.cseq),
                    duration_registered: c.duration_registered,
                    params: c.params.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
                })
                .collect(),
        });
        Told { registrations: registrations.collect() }
    }

    pub(crate) fn text(&self) -> String {
        static BRANCHES: AtomicU32 = AtomicU32::new(0);
        let branch = BRANCHES.fetch_add(1, Ordering::Relaxed);
        let Self { impu, call_id, cseq, expires, .. } = self;
        let own = format!("sip:scscf.{REALM}:6060");
        let uri = if self.own_uri || self.to_tag.is_some() { &own } else { *impu };
        let tag = self.to_tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let mut text = format!(
            "SUBSCRIBE {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {PCSCF};branch=z9hG4bKs{branch}\r\nMax-Forwards: 69\r\n\
             From: <{impu}>;tag=ue\r\nTo: <{impu}>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} SUBSCRIBE\r\n\
             Expires: {expires}\r\n"
        );
        for (name, value) in [("Event", self.event), ("Accept", self.accept)] {
            if !value.is_empty() {
                write!(text, "{name}: {value}\r\n").unwrap();
            }
        }
        if !self.route.is_empty() {
            write!(text, "Record-Route: {}\r\n", self.route).unwrap();
        }
        if !self.target.is_empty() {
            write!(text, "Contact: <{}>\r\n", self.target).unwrap();
        }
        if !self.asserted.is_empty() {
            write!(text, "P-Asserted-Identity: {}\r\n", self.asserted).unwrap();
        }
        write!(text, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body).unwrap();
        text
    }
}

impl Driver<Scscf> {
    /// The next SUBSCRIBE of `subscriber` and its answer.
    pub(crate) fn subscribe(&mut self, subscriber: &mut Subscriber) -> String {
        self.sip(PCSCF, &subscriber.text());
        let answer = self.sent().text;
        subscriber.cseq += 1;
        if answer.starts_with("SIP/2.0 200 ") {
            let tag = header(&answer, "To").split(";tag=").nth(1).expect("a 200 has a tag").to_owned();
            assert!(subscriber.to_tag.replace(tag.clone()).is_none_or(|before| before == tag), "the tag of the dialog");
        }
        answer
    }

    /// A SUBSCRIBE, its 200, and the NOTIFY that comes at once, which is answered.
    pub(crate) fn subscribe_and_listen(&mut self, subscriber: &mut Subscriber) {
        let answer = self.subscribe(subscriber);
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let notify = self.sent().text;
        subscriber.judge(&notify);
        self.answer(&notify, 200);
    }

    /// The watcher answers a NOTIFY.
    pub(crate) fn answer(&mut self, notify: &str, status: u16) {
        self.answer_with(notify, status, "");
    }

    /// The same with further lines.
    pub(crate) fn answer_with(&mut self, notify: &str, status: u16, more: &str) {
        let mut text = format!("SIP/2.0 {status} X\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            write!(text, "{name}: {}\r\n", header(notify, name)).unwrap();
        }
        write!(text, "{more}Content-Length: 0\r\n\r\n").unwrap();
        self.sip(PCSCF, &text);
    }
}
