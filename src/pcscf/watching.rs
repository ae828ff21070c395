//! The P-CSCF's own subscription to registrations, one for each IMPI (TS 24.229 clause 5.2.3): it hears of what the
//! network ends, and takes its registrations and security associations away.
//!
//! Contact of a SUBSCRIBE holds the token of the subscriber, so a NOTIFY leads back to it by its Request-URI.

use super::Pcscf;
use super::flow::FlowKey;
use super::passing::Asked;
use super::to_ue::Answer;
use crate::decimal::Decimal;
use crate::event::{Event as Told, Role, What};
use crate::identity::{Impi, Impu};
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::reginfo::{self, Contact, ContactEvent, ContactState, Reginfo, RegistrationState};
use crate::sip::header::contact::Contacts;
use crate::sip::header::event::SubscriptionState;
use crate::sip::transaction::Incoming;
use crate::sip::{HeaderName, Message, Uri, Writer, destination};
use crate::time::{Duration, Instant, Timeouts};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// All subscriptions. There is one only where the configuration wants them.
#[derive(Debug, Default)]
pub(super) struct Watching {
    known: HashMap<FlowKey, Box<Watched>, RandomState>,
    /// What the network has ended, until it ends here.
    ending: HashMap<FlowKey, Ending, RandomState>,
    timeouts: Timeouts<FlowKey>,
}

/// The UE's own NOTIFY may still be on its way (field lesson 41): until it must have come, nothing is taken away.
#[derive(Debug)]
struct Ending {
    impi: Impi,
    identities: Vec<Impu>,
    at: Instant,
}

/// One subscription.
struct Watched {
    impi: Box<str>,
    /// The default identity: To, and the first Request-URI.
    impu: Box<str>,
    call_id: Box<str>,
    tag: Box<str>,
    cseq: u32,
    expires: Duration,
    refresh_at: Instant,
    /// Once the other side has a tag.
    dialog: Option<Dialog>,
    /// Of the last NOTIFY.
    remote_cseq: u32,
    /// Of the last document.
    version: Option<u32>,
}

struct Dialog {
    remote_tag: Box<str>,
    target: Box<str>,
    routes: Box<str>,
}

/// Everything in it is an identity or could be one.
impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("cseq", &self.cseq).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Watching {
    /// The earliest timer.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }
}

impl Pcscf {
    /// Subscribes after a 200 to a REGISTER, once for each IMPI.
    pub(super) fn watch_registration(
        &mut self,
        now: Instant,
        flow: FlowKey,
        (impi, impu): (&str, &str),
        expires: Duration,
        out: &mut Outbox,
    ) {
        let Some(watching) = &mut self.watching else { return };
        // It has begun anew.
        watching.ending.remove(&flow);
        if watching.known.contains_key(&flow) {
            return;
        }
        let watched = Watched {
            impi: impi.into(),
            impu: impu.into(),
            call_id: self.random.token::<20>().as_str().into(),
            tag: self.random.token::<10>().as_str().into(),
            cseq: 0,
            expires: expires + LONGER,
            refresh_at: now + expires + LONGER,
            dialog: None,
            remote_cseq: 0,
            version: None,
        };
        watching.known.insert(flow, Box::new(watched));
        self.send_subscribe(now, flow, out);
    }

    /// Takes away what the network has ended, and refreshes subscriptions; those to what is not registered any more are
    /// forgotten.
    pub(super) fn handle_watching_timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(flow) = self.watching.as_mut().and_then(|w| w.timeouts.pop(now)) {
            let Some(watching) = &mut self.watching else { return };
            if watching.ending.get(&flow).is_some_and(|ending| ending.at <= now)
                && let Some(ending) = watching.ending.remove(&flow)
            {
                self.take_away(now, flow, ending, out);
            }
            let Some(watching) = &mut self.watching else { return };
            if watching.known.get(&flow).is_none_or(|w| w.refresh_at > now) {
                continue;
            }
            if self.books.is_registered(flow) {
                self.send_subscribe(now, flow, out);
            } else {
                watching.known.remove(&flow);
            }
        }
    }

    /// The final answer to a SUBSCRIBE; `None`: there was none.
    pub(super) fn on_subscribed(&mut self, now: Instant, flow: FlowKey, answer: Option<&Message<'_>>) {
        let Some(watching) = &mut self.watching else { return };
        let Some(watched) = watching.known.get_mut(&flow) else { return };
        let accepted = answer.filter(|answer| answer.status().is_some_and(|status| status / 100 == 2));
        let Some(answer) = accepted else {
            // The next 200 to a REGISTER brings another try.
            watching.known.remove(&flow);
            return;
        };
        if watched.dialog.is_none() {
            let mut routes: Vec<&str> = answer.elements(HeaderName::RecordRoute).collect();
            routes.reverse();
            watched.dialog = answer.to().ok().and_then(|to| Dialog::new(to.tag()?, answer, &routes));
        }
        let granted = answer.expires().map_or(watched.expires, |secs| Duration::from_secs(secs.into()));
        watched.refresh_at = now + granted.saturating_sub(EARLIER).max(granted / 2);
        watching.timeouts.at(watched.refresh_at, flow);
    }

    /// Whose registration a NOTIFY to us is about.
    pub(super) fn notified_flow(&self, notify: &Message<'_>) -> Option<FlowKey> {
        self.watching.as_ref()?;
        let uri = Uri::parse(notify.request_uri()?).ok().filter(|uri| self.names.is_own(uri))?;
        FlowKey::read(uri.user?.strip_prefix(WATCHER)?.as_bytes(), &self.hasher)
    }

    /// A NOTIFY of the core for us.
    pub(super) fn on_notify(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        notify: &Message<'_>,
        flow: FlowKey,
        out: &mut Outbox,
    ) {
        let incoming = self.to_ue.receive_from_core(now, self.config.core_timers, packet, notify, out);
        let Incoming::Request(server) = incoming else { return };
        let status = match notify.check() {
            Ok(()) => self.watching.as_mut().map_or(481, |w| w.take(flow, notify)),
            Err(fault) => fault.status,
        };
        let answer = Answer::Own { request: notify, source: packet.from, status, headers: &[], body: "" };
        self.to_ue.answer(now, server, &answer, out);
        if status == 200 {
            self.heed(now, flow, notify, out);
        }
    }

    /// Notes what the network has ended, and shortens what it has shortened.
    fn heed(&mut self, now: Instant, flow: FlowKey, notify: &Message<'_>, out: &mut Outbox) {
        let mut shortened = None;
        let Some(watching) = &mut self.watching else { return };
        let Some(watched) = watching.known.get_mut(&flow) else { return };
        let impi = Impi::from(&*watched.impi);
        let document = Reginfo::read(notify.body(), &mut Vec::new());
        let is_newer = |d: &Reginfo<'_>| watched.version.is_none_or(|before| d.version > before);
        if let Some(document) = document.filter(is_newer) {
            watched.version = Some(document.version);
            shortened = self.books.ue_address(flow).and_then(|address| left_at(&document, address));
            let ended = document.registrations.iter().filter(|r| r.state == RegistrationState::Terminated);
            let identities: Vec<Impu> = ended.map(|r| canonical(&r.aor)).collect();
            if !identities.is_empty() {
                let at = now + LINGER;
                watching.ending.insert(flow, Ending { impi, identities, at });
                watching.timeouts.at(at, flow);
            }
        }
        let state = notify.header(HeaderName::SubscriptionState).and_then(|s| SubscriptionState::parse(s).ok());
        if state.is_some_and(|s| s.state.eq_ignore_ascii_case("terminated")) {
            watching.known.remove(&flow);
        }
        if let Some(left) = shortened {
            // TS 24.229 clauses 5.2.3 and 5.4.1.6: the UE must authenticate itself anew before then.
            self.books.shorten_registration(now, flow, now + left, out);
        }
    }

    /// With the last registration the sets of SAs end as well.
    fn take_away(&mut self, now: Instant, flow: FlowKey, ending: Ending, out: &mut Outbox) {
        let Ending { impi, identities, .. } = ending;
        for impu in identities {
            if self.books.registrations(flow).iter().any(|r| r.holds(impu.as_str())) {
                self.deregister(now, flow, impu.as_str(), out);
                let what = What::Deregistered { impi: impi.clone(), impu, cause: "the network has ended it" };
                out.event(|| Told { role: Role::Pcscf, what });
            }
        }
    }

    fn send_subscribe(&mut self, now: Instant, flow: FlowKey, out: &mut Outbox) {
        let Self { watching, config, hasher, .. } = self;
        let Some(watched) = watching.as_mut().and_then(|w| w.known.get_mut(&flow)) else { return };
        watched.cseq += 1;
        let way = match &watched.dialog {
            Some(dialog) => Uri::parse(dialog.next_hop())
                .ok()
                .and_then(|uri| destination::resolve(&uri, &config.hosts, &[config.core], config.core_transport))
                .map(|(route, _)| route),
            None => config.next_hops.first().map(|hop| {
                let from = match config.core_transport {
                    Transport::Udp => config.core,
                    Transport::Tcp | Transport::Tls | Transport::Sctp => SocketAddr::new(config.core.ip(), 0),
                };
                Route::sip(config.core_transport, from, *hop)
            }),
        };
        let Some(route) = way else {
            watching.as_mut().and_then(|w| w.known.remove(&flow));
            return;
        };
        let token = flow.token(hasher);
        let token = std::str::from_utf8(&token).expect("characters of an alphabet");
        let host = if config.host.is_empty() { config.core.ip().to_string() } else { config.host.to_string() };
        let (core, timers) = (config.core, config.core_timers);
        let Watched { impu, call_id, tag, cseq, expires, dialog, .. } = &**watched;
        let write = |bytes: &mut Vec<u8>, transport: Transport, branch: &str| {
            let port = Decimal::new(core.port());
            let mut w = Writer::request(bytes, "SUBSCRIBE", dialog.as_ref().map_or(impu, |d| &d.target));
            let via = ["SIP/2.0/", transport.as_str(), " ", &host, ":", port.as_str(), ";branch=", branch];
            w.header_parts(HeaderName::Via, &via);
            w.header(HeaderName::MaxForwards, "70");
            if let Some(dialog) = dialog.as_ref().filter(|d| !d.routes.is_empty()) {
                w.header(HeaderName::Route, &dialog.routes);
            }
            w.header_parts(HeaderName::From, &["<sip:", &host, ">;tag=", tag]);
            match dialog {
                Some(dialog) => w.header_parts(HeaderName::To, &["<", impu, ">;tag=", &dialog.remote_tag]),
                None => w.header_parts(HeaderName::To, &["<", impu, ">"]),
            };
            w.header(HeaderName::CallId, call_id);
            w.header_parts(HeaderName::CSeq, &[Decimal::new(*cseq).as_str(), " SUBSCRIBE"]);
            w.header_parts(HeaderName::Contact, &["<sip:", WATCHER, token, "@", &host, ":", port.as_str(), ">"]);
            w.header_parts(HeaderName::PAssertedIdentity, &["<sip:", &host, ">"]);
            w.header(HeaderName::Event, reginfo::PACKAGE);
            w.header(HeaderName::Accept, reginfo::CONTENT_TYPE);
            w.header_number(HeaderName::Expires, expires.as_secs());
            w.finish(b"");
        };
        let io = self.to_ue.io(now, out);
        io.transactions.request(now, timers, route, true, Asked::Watch(flow), io.out, write);
    }
}

impl Watching {
    /// Notes a NOTIFY of a subscription of ours; its status.
    fn take(&mut self, flow: FlowKey, notify: &Message<'_>) -> u16 {
        let Some(watched) = self.known.get_mut(&flow) else { return 481 };
        let (Ok(from), Ok(to), Ok(cseq)) = (notify.from(), notify.to(), notify.cseq()) else { return 400 };
        let is_ours = notify.call_id().is_ok_and(|id| id == &*watched.call_id) && to.tag() == Some(&*watched.tag);
        if watched.dialog.is_none() && is_ours {
            // It may come before the 200 (RFC 6665 clause 4.4.1).
            let routes: Vec<&str> = notify.elements(HeaderName::RecordRoute).collect();
            watched.dialog = from.tag().and_then(|tag| Dialog::new(tag, notify, &routes));
        }
        let fits = watched.dialog.as_ref().is_some_and(|d| from.tag() == Some(&*d.remote_tag));
        if !is_ours || !fits {
            return 481;
        }
        if cseq.number <= watched.remote_cseq {
            return 500;
        }
        watched.remote_cseq = cseq.number;
        200
    }
}

impl Dialog {
    fn new(tag: &str, message: &Message<'_>, routes: &[&str]) -> Option<Self> {
        let Ok(Contacts::List(contacts)) = message.contacts() else { return None };
        let target = contacts.first()?.address.uri.text.into();
        Some(Self { remote_tag: tag.into(), target, routes: routes.join(", ").into() })
    }

    fn next_hop(&self) -> &str {
        let first = self.routes.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        first.map_or(&self.target, |(uri, _)| uri)
    }
}

/// How long the Contacts of a UE last that a document calls shortened; `None`: it calls none so. Those that the UE has
/// elsewhere are not meant, and the one that lasts longest decides.
fn left_at(document: &Reginfo<'_>, address: IpAddr) -> Option<Duration> {
    let contacts = document.registrations.iter().flat_map(|r| &r.contacts);
    let own = |c: &&Contact<'_>| Uri::parse(&c.uri).is_ok_and(|uri| uri.ip() == Some(address));
    let bound: Vec<_> = contacts.filter(own).filter(|c| c.state == ContactState::Active).collect();
    let is_shortened = bound.iter().any(|c| c.event == ContactEvent::Shortened);
    let longest = bound.iter().map(|c| c.expires).max().flatten();
    longest.filter(|_| is_shortened).map(Duration::from_secs)
}

fn canonical(aor: &str) -> Impu {
    let mut canonical = String::new();
    if let Ok(uri) = Uri::parse(aor) {
        uri.canonical(&mut canonical);
    }
    canonical.into()
}

/// How long a UE may take to hear of it, too.
const LINGER: Duration = Duration::from_secs(5);
/// What tells the user part of our Contact from that of Path.
const WATCHER: &str = "watch-";
/// TS 24.229 clause 5.2.3: a subscription outlives the registration.
const LONGER: Duration = Duration::from_secs(3_600);
/// How long before its end it is refreshed.
const EARLIER: Duration = Duration::from_secs(600);
