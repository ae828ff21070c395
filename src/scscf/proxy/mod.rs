//! Requests other than REGISTER on their way through the S-CSCF (TS 24.229 clause 5.4.3).
//!
//! A request with the token of a Service-Route is originating (`originating`), one without is terminating
//! (`terminating`), and within a dialog Route alone decides.

mod originating;
mod rewrite;
mod services;
mod terminating;

use super::gruu;
use super::refusal::Refusal;
use super::table::Id;
use super::{Asked, Scscf, ScscfConfig};
use crate::packet::{Outbox, Route, Transport};
use crate::random::Random;
use crate::sip::destination::resolve;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::proxy::{Branch, Cancelled, ContextId, Hop, Io, Progress, Proxy, Received, Rewrite, Target};
use crate::sip::transaction::{ClientId, EndCause, ServerId, Timers};
use crate::sip::{HeaderName, Message, Method, Uri};
use crate::time::Instant;
use rewrite::{Caller, Kept, Side, Tried};
use services::Served;
use std::net::{IpAddr, SocketAddr};
pub(super) use terminating::number_of;

/// What the S-CSCF needs as a proxy.
#[derive(Debug)]
pub(super) struct Proxying {
    contexts: Proxy<Kept>,
    /// Host and port by which Route names us.
    host: Box<str>,
    port: u16,
    /// sent-by of our Via, one for each listener.
    sent_by: Vec<Box<str>>,
    /// The addresses that name us as well.
    listen: Vec<SocketAddr>,
}

/// A next hop: where, and which of our listeners it hears of.
type Way = (Route, usize);

impl Proxying {
    pub(super) fn new(config: &ScscfConfig, random: Random) -> Self {
        let name = Uri::parse(&config.name).ok();
        let host = name.map_or("", |name| name.host);
        Self {
            contexts: Proxy::new(random),
            host: host.into(),
            port: name.and_then(|name| name.port).unwrap_or(SIP_PORT),
            sent_by: config.listen.iter().map(|own| format!("{host}:{}", own.port()).into()).collect(),
            listen: config.listen.clone(),
        }
    }

    /// The earliest timer.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.contexts.next_timeout()
    }

    /// How many requests are being forwarded.
    pub(super) fn len(&self) -> usize {
        self.contexts.len()
    }

    fn is_own(&self, uri: &Uri<'_>) -> bool {
        let port = uri.port.unwrap_or(SIP_PORT);
        let by_name = uri.is_sip() && port == self.port && uri.host.eq_ignore_ascii_case(&self.host);
        by_name || uri.ip().is_some_and(|ip| self.listen.contains(&SocketAddr::new(ip, port)))
    }
}

impl Scscf {
    /// Forwards a request, or refuses it.
    pub(super) fn on_forwardable(
        &mut self,
        now: Instant,
        server: ServerId,
        from: IpAddr,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let received = match self.read(message) {
            Ok(received) => received,
            Err(refusal) => return self.refuse(now, server, message, &refusal, out),
        };
        if self.is_for_us(&received) {
            return self.serve_as_user_agent(now, server, &received, out);
        }
        match self.side(now, &received) {
            Ok((side, served)) => {
                if let Side::Originating(Caller { registration: Some(registration), .. }) = &side
                    && self.answers_itself(now, server, &received, *registration, out)
                {
                    return;
                }
                let kept = Kept::new(&received, side, &self.config.ioi);
                let context = self.proxying.contexts.open(server, &received, kept);
                self.ask_servers(now, context, &received, served, out);
            }
            Err(refusal) => {
                if let Some(user) = self.lost_user(message, &refusal)
                    && self.restore(now, server, from, message, user, out)
                {
                    return;
                }
                self.refuse(now, server, message, &refusal, out);
            }
        }
    }

    /// What is not forwarded for a user who may call: he is asked who he is, or reports to the platform.
    fn answers_itself(
        &mut self,
        now: Instant,
        server: ServerId,
        received: &Received<'_, '_>,
        registration: Id,
        out: &mut Outbox,
    ) -> bool {
        let message = received.message;
        if Served::of(received).is_none() {
            match self.challenges_as_proxy(now, server, message, registration, out) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(refusal) => {
                    self.refuse(now, server, message, &refusal, out);
                    return true;
                }
            }
        }
        let Some(platform) = &self.config.digest.platform else { return false };
        let is_report = received.method == Method::Message
            && Uri::parse(received.uri).is_ok_and(|uri| {
                let mut canonical = String::new();
                uri.canonical(&mut canonical);
                canonical == **platform
            });
        if is_report {
            self.respond(now, server, message, 200, out, |_| ());
        }
        is_report
    }

    /// For whom a request is, whether that may be, and whose filter criteria are asked.
    fn side(&mut self, now: Instant, received: &Received<'_, '_>) -> Result<(Side, Option<Served>), Refusal> {
        if let Some(served) = Served::of(received).filter(|_| !received.is_in_dialog()) {
            return self.returned(now, received, served).map(|(side, served)| (side, Some(served)));
        }
        let side = match token(received) {
            _ if received.is_in_dialog() => Ok(Side::InDialog),
            Some(registration) => {
                let registration = self.registration_of_sender(registration, received);
                self.caller(received, registration).map(Side::Originating)
            }
            None if originating::is_by_server(received) => self.caller_named(received).map(Side::Originating),
            None => self.called(received).map(Side::Terminating),
        }?;
        let served = self.served(now, received, &side);
        Ok((side, served))
    }

    /// What was to be done for the user served has been done: the request leaves.
    fn proceed(&mut self, now: Instant, context: ContextId, received: &Received<'_, '_>, out: &mut Outbox) {
        let Some(kept) = self.proxying.contexts.kept(context) else { return };
        let outcome = match kept.side.clone() {
            Side::Originating(caller) => self.send_onwards(now, context, received, &caller, out),
            Side::Terminating(called) => self.deliver(now, context, received, &called, out),
            Side::InDialog => self.pass_on(now, context, received, out),
        };
        if let Err(refusal) = outcome {
            self.refuse_opened(now, context, &refusal, out);
        }
    }

    /// An ACK for a 2xx goes its way within the dialog; one that cannot be forwarded is dropped.
    pub(super) fn on_ack(&mut self, from: IpAddr, message: &Message<'_>, out: &mut Outbox) {
        if !self.is_trusted(from) {
            return;
        }
        let Ok(received) = self.read(message) else { return };
        if self.is_for_us(&received) {
            return;
        }
        let end = self.end_of_dialog(&received);
        let (uri, way) = match &end {
            Some((contact, way)) => (&**contact, *way),
            None => match self.way_of(&received) {
                Ok(way) => (received.uri, way),
                Err(_) => return,
            },
        };
        let copy = Copy { uri, routes: &received.routes, record_route: None, way };
        let Proxying { contexts, sent_by, .. } = &self.proxying;
        contexts.forward_ack(out, &received, &copy.target(sent_by, self.config.timers), &());
    }

    /// What a CANCEL wants cancelled; the CANCEL itself has been answered.
    pub(super) fn on_cancel(&mut self, now: Instant, cancelled: ServerId, cancel: &Message<'_>, out: &mut Outbox) {
        let Self { proxying, transactions, .. } = self;
        let mut io = Io { now, transactions, out };
        match proxying.contexts.cancel(&mut io, cancelled, cancel.header_named("Reason")) {
            Cancelled::Passed | Cancelled::Unknown => {}
            Cancelled::NotForwarded(kept) => {
                let request = Message::parse(&kept.request).expect("it was parsed when it came");
                self.respond(now, cancelled, &request, 487, out, |_| ());
            }
        }
    }

    /// A provisional response to a request forwarded.
    pub(super) fn on_forwarded_provisional(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Self { proxying, transactions, .. } = self;
        proxying.contexts.provisional(&mut Io { now, transactions, out }, branch, response);
    }

    /// A 2xx to an INVITE forwarded.
    pub(super) fn on_forwarded_accepted(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Self { proxying, transactions, .. } = self;
        proxying.contexts.accepted(&mut Io { now, transactions, out }, branch, response);
    }

    /// Any other final response to a request forwarded.
    pub(super) fn on_forwarded_final(
        &mut self,
        now: Instant,
        branch: Branch,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        if response.status() == Some(FLOW_FAILED) {
            self.drop_flow(now, branch, out);
        }
        let Self { proxying, transactions, .. } = self;
        let progress = proxying.contexts.answered(&mut Io { now, transactions, out }, branch, response);
        self.on_progress(now, progress, out);
    }

    /// The edge proxy does not know the flow any more: its binding leads nowhere, and another flow of the same device
    /// may be tried (RFC 5626 clauses 5.3.1 and 7).
    fn drop_flow(&mut self, now: Instant, branch: Branch, out: &mut Outbox) {
        let Some(kept) = self.proxying.contexts.kept(branch.context()) else { return };
        let Some(at) = kept.ends.iter().position(|tried| tried.branch == branch) else { return };
        let Tried { registration, contact, .. } = kept.ends.swap_remove(at);
        self.end_binding(now, registration, &contact, "the P-CSCF has lost the flow", out);
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
        let Self { proxying, transactions, .. } = self;
        let progress = proxying.contexts.ended(&mut Io { now, transactions, out }, client, branch, cause);
        self.on_progress(now, progress, out);
    }

    /// Runs the timers of requests forwarded.
    pub(super) fn handle_forwarding_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut progress = Vec::new();
        let Self { proxying, transactions, .. } = self;
        proxying.contexts.handle_timeout(&mut Io { now, transactions, out }, &mut progress);
        for one in progress {
            self.on_progress(now, one, out);
        }
    }

    /// Where all copies of a request have failed, it goes on without the application server that it was with, or to
    /// bindings of a lower q, or the best answer goes back.
    fn on_progress(&mut self, now: Instant, progress: Progress, out: &mut Outbox) {
        if self.leaves_server_out(now, progress, out) || self.tries_others(now, progress, out) {
            return;
        }
        if let Progress::Exhausted { context, status: FLOW_FAILED } = progress {
            // It is between proxies: who asked would take it for a 400 (RFC 5626 clause 11.5).
            return self.refuse_opened(now, context, &Refusal::NotReachable, out);
        }
        let Self { proxying, transactions, .. } = self;
        if let Progress::Exhausted { context, .. } = progress {
            proxying.contexts.conclude(&mut Io { now, transactions, out }, context);
        }
    }

    pub(super) fn read<'m, 'a>(&self, message: &'m Message<'a>) -> Result<Received<'m, 'a>, Refusal> {
        Ok(self.proxying.contexts.read(message, |uri| self.proxying.is_own(uri), &EXTENSIONS)?)
    }

    pub(super) fn is_for_us(&self, received: &Received<'_, '_>) -> bool {
        received.routes.is_empty()
            && Uri::parse(received.uri).is_ok_and(|uri| self.proxying.is_own(&uri) && !gruu::is_temporary(&uri))
    }

    fn serve_as_user_agent(&mut self, now: Instant, server: ServerId, received: &Received<'_, '_>, out: &mut Outbox) {
        let refusal = match received.method {
            _ if received.is_in_dialog() => Refusal::NoDialog,
            Method::Options => return self.respond(now, server, received.message, 200, out, |_| ()),
            _ => Refusal::MethodNotImplemented,
        };
        self.refuse(now, server, received.message, &refusal, out);
    }

    /// A request within a dialog.
    fn pass_on(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let end = self.end_of_dialog(received);
        let (uri, way) = match &end {
            Some((contact, way)) => (&**contact, *way),
            None => (received.uri, self.way_of(received)?),
        };
        let copy = Copy { uri, routes: &received.routes, record_route: None, way };
        self.forward(now, context, received, &copy, &(), out);
        Ok(())
    }

    /// Sends a copy.
    fn forward(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        copy: &Copy<'_>,
        rewrite: &dyn Rewrite,
        out: &mut Outbox,
    ) -> Option<Branch> {
        let Self { proxying: Proxying { contexts, sent_by, .. }, transactions, config, .. } = self;
        let target = copy.target(sent_by, config.timers);
        contexts.forward::<Asked>(&mut Io { now, transactions, out }, context, received, &target, rewrite)
    }

    /// Refuses a request whose context is open.
    fn refuse_opened(&mut self, now: Instant, context: ContextId, refusal: &Refusal, out: &mut Outbox) {
        let Self { proxying, transactions, .. } = self;
        let Some(server) = proxying.contexts.server(context) else { return };
        if let Some(kept) = proxying.contexts.close(&mut Io { now, transactions, out }, context) {
            let request = Message::parse(&kept.request).expect("it was parsed when it came");
            self.refuse(now, server, &request, refusal, out);
        }
    }

    /// The way that Route or Request-URI says.
    fn way_of(&self, received: &Received<'_, '_>) -> Result<Way, Refusal> {
        match received.routes.first() {
            Some(route) => self.way_to(&NameAddr::parse(HeaderName::Route, route)?.uri),
            None => self.way_to(&Uri::parse(received.uri)?),
        }
    }

    fn way_to(&self, uri: &Uri<'_>) -> Result<Way, Refusal> {
        let ScscfConfig { hosts, listen, transport, .. } = &self.config;
        resolve(uri, hosts, listen, *transport).ok_or(Refusal::NoWay)
    }

    /// The way to the I-CSCF of the home network. Where there is none we find users ourselves: the request comes again.
    fn way_home(&self) -> Way {
        let ScscfConfig { listen, icscf, transport, .. } = &self.config;
        let to = icscf.unwrap_or(listen[0]);
        let listener = listen.iter().position(|own| own.is_ipv4() == to.is_ipv4()).unwrap_or(0);
        let own = listen[listener];
        let from = if *transport == Transport::Udp { own } else { SocketAddr::new(own.ip(), 0) };
        (Route::sip(*transport, from, to), listener)
    }

    fn is_home(&self, uri: &Uri<'_>) -> bool {
        uri.is_tel() || uri.host.eq_ignore_ascii_case(&self.config.realm)
    }
}

/// One copy of a request.
#[derive(Clone, Copy, Debug)]
struct Copy<'c> {
    uri: &'c str,
    routes: &'c [&'c str],
    record_route: Option<&'c str>,
    way: Way,
}

impl<'c> Copy<'c> {
    fn target(&self, sent_by: &'c [Box<str>], timers: Timers) -> Target<'c> {
        let Self { uri, routes, record_route, way: (route, listener) } = *self;
        Target { uri, routes, record_route, hop: Hop { route, may_switch: true, sent_by: &sent_by[listener], timers } }
    }
}

impl From<Branch> for Asked {
    fn from(branch: Branch) -> Self {
        Self::Forwarded(branch)
    }
}

/// The registration whose Service-Route the request took.
pub(super) fn token(received: &Received<'_, '_>) -> Option<Id> {
    let digits = received.own?.user?.strip_prefix('o')?;
    u64::from_str_radix(digits, 16).ok().map(Id::from_bits)
}

/// 430 Flow Failed.
const FLOW_FAILED: u16 = 430;

/// RFC 3261 clause 19.1.2.
const SIP_PORT: u16 = 5060;

/// Option tags of Proxy-Require that concern others. P-CSCFs in the field leave `sec-agree` where it was.
const EXTENSIONS: [&str; 1] = ["sec-agree"];
