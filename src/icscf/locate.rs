//! Requests other than REGISTER: LIR, LIA, and on to the S-CSCF of the user called (TS 24.229 clause 5.3.2, TS 29.228
//! clause 6.1.4).

use super::refusal::Refusal;
use super::resolve::{Known, resolve};
use super::select::select;
use super::{Asked, Awaited, Icscf, IcscfConfig};
use crate::cx::{self, Capabilities, CxResult, Lia, Lir, RequestEnvelope, UserAuthorizationType};
use crate::packet::{Outbox, Route};
use crate::random::Random;
use crate::sip::destination;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::served_user::served_user;
use crate::sip::proxy::{Branch, Cancelled, ContextId, Hop, Io, Progress, Proxy, Received, Rewrite, Target};
use crate::sip::transaction::{ClientId, EndCause, ServerId};
use crate::sip::{HeaderName, Message, Method, Uri};
use crate::time::Instant;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

/// What the I-CSCF needs as a proxy.
#[derive(Debug)]
pub(super) struct Locating {
    contexts: Proxy<Kept>,
}

/// A request until its final response.
struct Kept {
    /// As it came.
    request: Box<[u8]>,
    /// An application server calls for this user: `orig` in Route (TS 24.229 clause 5.3.2.1A).
    originating: Option<Box<str>>,
    /// The S-CSCFs it was sent to, the present one last.
    tried: Vec<Rc<str>>,
}

/// A request for which the HSS is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct AwaitingLia(ContextId);

impl Locating {
    pub(super) fn new(random: Random) -> Self {
        Self { contexts: Proxy::new(random) }
    }

    /// The earliest timer.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.contexts.next_timeout()
    }
}

impl Icscf {
    /// Asks the HSS where the user called is served. Within a dialog, and where Route goes on, nobody is asked.
    pub(super) fn on_forwardable(
        &mut self,
        now: Instant,
        server: ServerId,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let received = self.read(message)?;
        if received.routes.is_empty() && names_us(&received, &self.config) {
            return match received.method {
                Method::Options => {
                    self.accept(now, server, message, out);
                    Ok(())
                }
                _ => Err(Refusal::MethodNotImplemented),
            };
        }
        if received.is_in_dialog() || !received.routes.is_empty() {
            let way = self.way_of(&received)?;
            let context = self.locating.contexts.open(server, &received, Kept::of(message));
            self.forward_to(now, context, &received, &received.routes, way, out);
            return Ok(());
        }
        let mut kept = Kept::of(message);
        if received.own.is_some_and(|own| own.params.has("orig")) {
            kept.originating = Some(served_user(message).ok_or(Refusal::CallerUnknown)?.into());
        }
        let context = self.locating.contexts.open(server, &received, kept);
        self.send_lir(now, context, None, out);
        Ok(())
    }

    /// An ACK for a 2xx whose Route leads through us.
    pub(super) fn on_ack(&self, message: &Message<'_>, out: &mut Outbox) {
        let Ok(received) = self.read(message) else { return };
        if received.routes.is_empty() && names_us(&received, &self.config) {
            return;
        }
        let Ok((route, listener)) = self.way_of(&received) else { return };
        let hop = Hop { route, may_switch: true, sent_by: &self.sent_by[listener], timers: self.config.timers };
        let target = Target { uri: received.uri, routes: &received.routes, record_route: None, hop };
        self.locating.contexts.forward_ack(out, &received, &target, &());
    }

    /// What a CANCEL wants cancelled; the CANCEL itself has been answered.
    pub(super) fn on_cancel(&mut self, now: Instant, cancelled: ServerId, cancel: &Message<'_>, out: &mut Outbox) {
        let Self { locating, transactions, .. } = self;
        let reason = cancel.header_named("Reason");
        match locating.contexts.cancel(&mut Io { now, transactions, out }, cancelled, reason) {
            Cancelled::Passed | Cancelled::Unknown => {}
            Cancelled::NotForwarded(Kept { request, .. }) => {
                self.refuse_waiting(now, cancelled, &request, &Refusal::Cancelled, out);
            }
        }
    }

    /// Forwards, or refuses.
    pub(super) fn on_lia(&mut self, now: Instant, waiting: AwaitingLia, message: &[u8], out: &mut Outbox) {
        let AwaitingLia(context) = waiting;
        let outcome = Lia::decode(message)
            .map_err(|fault| Refusal::HssFault(CxResult::Base(fault.code)))
            .and_then(|lia| self.server_of(&lia, context));
        match outcome {
            Ok(name) => self.forward_to_server(now, context, name, out),
            Err(refusal) => self.give_up(now, context, &refusal, out),
        }
    }

    /// The HSS says nothing.
    pub(super) fn on_lia_missing(&mut self, now: Instant, AwaitingLia(context): AwaitingLia, out: &mut Outbox) {
        self.give_up(now, context, &Refusal::HssSilent, out);
    }

    /// A provisional response to a request forwarded.
    pub(super) fn on_forwarded_provisional(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Self { locating, transactions, .. } = self;
        locating.contexts.provisional(&mut Io { now, transactions, out }, branch, response);
    }

    /// A 2xx to an INVITE forwarded.
    pub(super) fn on_forwarded_accepted(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Self { locating, transactions, .. } = self;
        locating.contexts.accepted(&mut Io { now, transactions, out }, branch, response);
    }

    /// Any other final response to a request forwarded.
    pub(super) fn on_forwarded_final(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Self { locating, transactions, .. } = self;
        let progress = locating.contexts.answered(&mut Io { now, transactions, out }, branch, response);
        self.on_progress(now, progress, out);
    }

    /// Nobody answers a request forwarded.
    pub(super) fn on_forwarded_ended(
        &mut self,
        now: Instant,
        client: ClientId,
        branch: Branch,
        cause: EndCause,
        out: &mut Outbox,
    ) {
        let Self { locating, transactions, .. } = self;
        let has_rung = locating.contexts.has_rung(branch);
        let progress = locating.contexts.ended(&mut Io { now, transactions, out }, client, branch, cause);
        match progress {
            Progress::Exhausted { context, .. } if !has_rung && self.may_try_another(context, cause) => {
                self.send_lir(now, context, Some(UserAuthorizationType::RegistrationAndCapabilities), out);
            }
            _ => self.on_progress(now, progress, out),
        }
    }

    /// Runs the timers of requests forwarded.
    pub(super) fn handle_locating_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut progress = Vec::new();
        let Self { locating, transactions, .. } = self;
        locating.contexts.handle_timeout(&mut Io { now, transactions, out }, &mut progress);
        for one in progress {
            self.on_progress(now, one, out);
        }
    }

    fn on_progress(&mut self, now: Instant, progress: Progress, out: &mut Outbox) {
        let Self { locating, transactions, .. } = self;
        if let Progress::Exhausted { context, .. } = progress {
            locating.contexts.conclude(&mut Io { now, transactions, out }, context);
        }
    }

    /// An S-CSCF that is gone is replaced by another one (TS 23.380 clause 4.2). An INVITE is answered at once by 100;
    /// other requests may find S-CSCF and UE alike slow, and their senders have given up by now.
    fn may_try_another(&mut self, context: ContextId, cause: EndCause) -> bool {
        let Some(kept) = self.locating.contexts.kept(context) else { return false };
        let is_invite = || kept.request.starts_with(b"INVITE ");
        !kept.tried.is_empty() && (cause == EndCause::TransportError || is_invite())
    }

    /// Asks where the user called is served, or he for whom an application server calls, or by whom he could be served instead.
    fn send_lir(
        &mut self,
        now: Instant,
        context: ContextId,
        authorization_type: Option<UserAuthorizationType>,
        out: &mut Outbox,
    ) {
        let Some(kept) = self.locating.contexts.kept(context) else { return };
        let request = Message::parse(&kept.request).expect("it was parsed when it came");
        self.impu.0.clear();
        if let Some(caller) = &kept.originating {
            self.impu.0.push_str(caller);
        } else if let Ok(uri) = Uri::parse(request.request_uri().unwrap_or_default()) {
            uri.canonical(&mut self.impu.0);
        }
        self.session_id.clear();
        self.node.write_session_id(&mut self.session_id);
        let lir = Lir {
            envelope: RequestEnvelope::new(&self.session_id, self.config.diameter.origin(), (None, &self.config.realm)),
            impu: &self.impu.0,
            originating: kept.originating.is_some(),
            authorization_type,
        };
        let awaited = Awaited::Lia(AwaitingLia(context));
        self.node.request(now, Lir::COMMAND, cx::APPLICATION, awaited, out, |w| lir.encode(w));
    }

    /// The S-CSCF that the answer names, or that we select for the services of a user who is not registered.
    fn server_of(&mut self, lia: &Lia<'_>, context: ContextId) -> Result<Rc<str>, Refusal> {
        match lia.result {
            CxResult::SUCCESS | CxResult::UNREGISTERED_SERVICE => {}
            CxResult::USER_UNKNOWN => return Err(Refusal::CalledUnknown),
            CxResult::IDENTITY_NOT_REGISTERED => return Err(Refusal::CalledNotRegistered),
            fault => return Err(Refusal::HssFault(fault)),
        }
        let tried = self.locating.contexts.kept(context).map_or(&[][..], |kept| &kept.tried);
        if let Some(name) = lia.server_name.filter(|name| !tried.iter().any(|t| t.eq_ignore_ascii_case(name))) {
            return Ok(Known::name(&self.known, name));
        }
        let any = Capabilities::default();
        let wanted = lia.capabilities.as_ref().unwrap_or(&any);
        let selected = select(&self.config.scscfs, wanted, tried).ok_or(Refusal::NoneFits)?;
        Ok(Known::name(&self.known, selected))
    }

    fn forward_to_server(&mut self, now: Instant, context: ContextId, name: Rc<str>, out: &mut Outbox) {
        // A request that was cancelled meanwhile has been answered.
        let Some(Kept { request, originating, tried }) = self.locating.contexts.kept(context) else { return };
        let (request, route) = (request.clone(), route_to(&name, originating.is_some()));
        let way = Known::find(&self.known, &name).or_else(|| resolve(&self.config, &name));
        tried.push(name);
        let message = Message::parse(&request).expect("it was parsed when it came");
        match (self.read(&message), way) {
            (Ok(received), Some(way)) => {
                self.forward_to(now, context, &received, &[&route], way, out);
            }
            (Ok(_), None) => self.give_up(now, context, &Refusal::NoWay, out),
            (Err(refusal), _) => self.give_up(now, context, &refusal, out),
        }
    }

    fn forward_to(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        routes: &[&str],
        (route, listener): (Route, usize),
        out: &mut Outbox,
    ) {
        let Self { locating, transactions, sent_by, config, .. } = self;
        let hop = Hop { route, may_switch: true, sent_by: &sent_by[listener], timers: config.timers };
        let target = Target { uri: received.uri, routes, record_route: None, hop };
        locating.contexts.forward::<Asked>(&mut Io { now, transactions, out }, context, received, &target, &());
    }

    /// Refuses a request. Where an S-CSCF was tried before, what that one did is the answer.
    fn give_up(&mut self, now: Instant, context: ContextId, refusal: &Refusal, out: &mut Outbox) {
        let Self { locating, transactions, .. } = self;
        let mut io = Io { now, transactions, out };
        let Some(server) = locating.contexts.server(context) else { return };
        if locating.contexts.has_best(context) {
            locating.contexts.conclude(&mut io, context);
        } else if let Some(Kept { request, .. }) = locating.contexts.close(&mut io, context) {
            self.refuse_waiting(now, server, &request, refusal, out);
        }
    }

    fn read<'m, 'a>(&self, message: &'m Message<'a>) -> Result<Received<'m, 'a>, Refusal> {
        Ok(self.locating.contexts.read(message, |uri| is_own(uri, &self.config), &EXTENSIONS)?)
    }

    fn way_of(&self, received: &Received<'_, '_>) -> Result<(Route, usize), Refusal> {
        let IcscfConfig { hosts, listen, transport, .. } = &self.config;
        let next = match received.routes.first() {
            Some(route) => NameAddr::parse(HeaderName::Route, route)?.uri,
            None => Uri::parse(received.uri)?,
        };
        destination::resolve(&next, hosts, listen, *transport).ok_or(Refusal::NoWay)
    }
}

impl Kept {
    fn of(message: &Message<'_>) -> Self {
        Self { request: message.bytes().into(), originating: None, tried: Vec::new() }
    }
}

/// Responses go back as they come.
impl Rewrite for Kept {}

impl fmt::Debug for Kept {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("tried", &self.tried).finish_non_exhaustive()
    }
}

impl From<Branch> for Asked {
    fn from(branch: Branch) -> Self {
        Self::Forwarded(branch)
    }
}

fn names_us(received: &Received<'_, '_>, config: &IcscfConfig) -> bool {
    let is_us = |uri: Uri<'_>| is_own(&uri, config) || (uri.user.is_none() && *uri.host == *config.realm);
    Uri::parse(received.uri).is_ok_and(is_us)
}

fn is_own(uri: &Uri<'_>, config: &IcscfConfig) -> bool {
    let port = uri.port.unwrap_or(SIP_PORT);
    let by_name = uri.is_sip() && uri.host.eq_ignore_ascii_case(&config.host);
    let by_address = |ip| config.listen.contains(&SocketAddr::new(ip, port));
    (by_name && config.listen.iter().any(|own| own.port() == port)) || uri.ip().is_some_and(by_address)
}

/// The Route element of an S-CSCF by its name.
fn route_to(name: &str, is_originating: bool) -> String {
    let is_loose = Uri::parse(name).is_ok_and(|uri| uri.params.has("lr"));
    format!("<{name}{}{}>", if is_loose { "" } else { ";lr" }, if is_originating { ";orig" } else { "" })
}

/// RFC 3261 clause 19.1.2.
const SIP_PORT: u16 = 5060;

/// Option tags of Proxy-Require that concern others. P-CSCFs in the field leave `sec-agree` where it was.
const EXTENSIONS: [&str; 1] = ["sec-agree"];
