//! Application servers on the way of a request (ISC, TS 24.229 clauses 5.4.3.2 and 5.4.3.3, TS 23.218 clause 6).
//!
//! A request that meets filter criteria goes to the application server with our own URI behind it in Route. Its token,
//! the original dialog identifier, says for whom the request was served and how far the criteria have been asked, so a
//! request that comes back goes on from there, and nothing has to be kept for those that never do.

use super::originating::is_by_server;
use super::rewrite::{Called, Caller, Side, is_served_user, with_ioi};
use super::{Copy, Progress};
use crate::cx::filter::{self, SessionCase};
use crate::event::What;
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::refusal::Refusal;
use crate::scscf::table::Id;
use crate::scscf::third_party::HeadersOf;
use crate::sip::header::served_user::served_user;
use crate::sip::proxy::{ContextId, Received, Rewrite};
use crate::sip::{HeaderName, Line, Message, NameSet, Uri, Writer};
use crate::time::Instant;

/// For whom filter criteria are asked, and how far they have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Served {
    user: ServedUser,
    /// Which service profile.
    service: usize,
    case: SessionCase,
    /// The criteria up to this priority have been asked.
    asked: Option<u32>,
}

/// Where the profile of the user served is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ServedUser {
    Registered(Id),
    Unregistered(Id),
}

/// The application server that has the request.
#[derive(Clone, Debug)]
pub(super) struct AtServer {
    served: Served,
    name: Box<str>,
    /// DefaultHandling SESSION_CONTINUED.
    goes_on: bool,
}

impl Scscf {
    /// For whom a request that comes back from an application server is, by the token that it came with.
    pub(super) fn returned(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        served: Served,
    ) -> Result<(Side, Served), Refusal> {
        let registration = match served.user {
            ServedUser::Registered(id) => Some(self.registrar.get(id).map(|_| id).ok_or(Refusal::RegistrationGone)?),
            ServedUser::Unregistered(id) => {
                self.unregistered.get(id).ok_or(Refusal::RegistrationGone)?;
                self.unregistered.touch(now, id);
                None
            }
        };
        // Who calls has been checked when the request came first; an application server may say it otherwise.
        let as_caller = |this: &Self| {
            let other_identity = registration.and_then(|id| this.other_identity(received, id).ok().flatten());
            Side::Originating(Caller { registration, other_identity })
        };
        if !served.case.is_terminating() {
            return Ok((as_caller(self), served));
        }
        match self.called(received) {
            Ok(called) if self.serves(served.user, &called.impu) => Ok((Side::Terminating(called), served)),
            // It calls somebody else now: the request leaves as his who has diverted it, once those of his criteria have
            // been asked that are for such requests.
            _ => Ok((as_caller(self), Served { case: SessionCase::OriginatingCdiv, asked: None, ..served })),
        }
    }

    fn serves(&mut self, user: ServedUser, impu: &str) -> bool {
        match user {
            ServedUser::Registered(id) => self.registrar.serving(impu).contains(&id),
            ServedUser::Unregistered(id) => self.unregistered.get(id).is_some_and(|user| *user.impu == *impu),
        }
    }

    /// For whom the criteria of a request are asked that comes here first; `None`: there are none.
    pub(super) fn served(&mut self, now: Instant, received: &Received<'_, '_>, side: &Side) -> Option<Served> {
        let (registration, impu, is_caller) = match side {
            Side::InDialog => return None,
            Side::Originating(Caller { registration, .. }) => {
                let impu = if is_by_server(received) { served_user(received.message) } else { asserted(received) };
                (*registration, impu?, true)
            }
            Side::Terminating(Called { impu, .. }) => {
                (self.registrar.serving(impu).first().copied(), impu.clone(), false)
            }
        };
        let Some(registration) = registration else {
            let id = self.unregistered.find(&impu)?;
            self.unregistered.touch(now, id);
            let service = self.unregistered.get(id)?.service;
            let case =
                if is_caller { SessionCase::OriginatingUnregistered } else { SessionCase::TerminatingUnregistered };
            return Some(Served { user: ServedUser::Unregistered(id), service, case, asked: None });
        };
        let entry = self.registrar.get(registration)?;
        if !self.registrar.profile(entry).has_criteria() {
            return None;
        }
        let service = self.registrar.service_of(entry, &impu)?;
        let case = if is_caller { SessionCase::OriginatingRegistered } else { SessionCase::TerminatingRegistered };
        Some(Served { user: ServedUser::Registered(registration), service, case, asked: None })
    }

    /// Sends a request to the next application server that wants to see it; where there is none, it leaves.
    pub(super) fn ask_servers(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        served: Option<Served>,
        out: &mut Outbox,
    ) {
        let mut next = served.and_then(|served| self.next_server(received, served));
        while let Some(server) = next {
            let served = server.served;
            if self.send_to_server(now, context, received, server.clone(), out) {
                return;
            }
            if !self.goes_on_without(&server, 0, out) {
                return self.refuse_opened(now, context, &Refusal::NoApplicationServer, out);
            }
            next = self.next_server(received, served);
        }
        self.proceed(now, context, received, out);
    }

    /// Every copy of a request has failed. True when it was with an application server that can be left out: then the
    /// request goes on.
    pub(super) fn leaves_server_out(&mut self, now: Instant, progress: Progress, out: &mut Outbox) -> bool {
        let Progress::Exhausted { context, status } = progress else { return false };
        let Some(kept) = self.proxying.contexts.kept(context) else { return false };
        let Some(server) = kept.server.take().filter(|_| status == 408 || status / 100 == 5) else { return false };
        let request = kept.request.clone();
        if !self.goes_on_without(&server, status, out) {
            return false;
        }
        let Ok(message) = Message::parse(&request) else { return false };
        let Ok(received) = self.read(&message) else { return false };
        // What the application server said is nothing to the caller.
        self.proxying.contexts.discard_best(context);
        self.ask_servers(now, context, &received, Some(server.served), out);
        true
    }

    fn goes_on_without(&self, server: &AtServer, status: u16, out: &mut Outbox) -> bool {
        let AtServer { name, goes_on, .. } = server;
        self.tell(out, || What::ServiceLeftOut { server: name.to_string(), status, goes_on: *goes_on });
        *goes_on
    }

    fn next_server(&self, received: &Received<'_, '_>, served: Served) -> Option<AtServer> {
        let profile = match served.user {
            ServedUser::Registered(id) => self.registrar.profile(self.registrar.get(id)?),
            ServedUser::Unregistered(id) => self.registrar.profile_of(self.unregistered.get(id)?.profile),
        };
        let criteria = profile.criteria().get(served.service)?;
        let message = received.message;
        let is_sdp = message.header(HeaderName::ContentType).is_some_and(is_sdp);
        let request = filter::Request {
            method: received.method.as_str(),
            request_uri: received.uri,
            headers: &HeadersOf(message),
            session_description: std::str::from_utf8(message.body()).ok().filter(|_| is_sdp).unwrap_or_default(),
            session_case: served.case,
            registration: None,
        };
        let not_asked = |priority: u32| served.asked.is_none_or(|asked| priority > asked);
        let criterion = criteria.matching(&request).find(|c| not_asked(c.priority))?;
        Some(AtServer {
            served: Served { asked: Some(criterion.priority), ..served },
            name: criterion.server.server_name.as_str().into(),
            goes_on: !criterion.server.terminate_on_failure,
        })
    }

    /// False where the application server cannot be reached.
    fn send_to_server(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        server: AtServer,
        out: &mut Outbox,
    ) -> bool {
        let Ok(uri) = Uri::parse(&server.name) else { return false };
        let Ok(way) = self.way_to(&uri) else { return false };
        let loose = if uri.params.has("lr") { "" } else { ";lr" };
        let to_server = format!("<{}{loose}>", server.name);
        let back = format!("<sip:{}@{};lr>", server.served.token(), self.route_base);
        let mut routes = vec![&*to_server, &*back];
        routes.extend(&received.routes);
        // RFC 5502 and RFC 8498.
        let case = match server.served.case {
            SessionCase::OriginatingRegistered | SessionCase::OriginatingUnregistered => "sescase=orig",
            SessionCase::TerminatingRegistered | SessionCase::TerminatingUnregistered => "sescase=term",
            SessionCase::OriginatingCdiv => "orig-cdiv",
        };
        let state = match server.served.user {
            ServedUser::Registered(_) => "reg",
            ServedUser::Unregistered(_) => "unreg",
        };
        let served_user = self.served_identity(received, &server.served);
        let rewrite = ToServer {
            ioi: format!("Type 3{}", self.config.ioi),
            served_user: served_user.map(|impu| format!("<{impu}>;{case};regstate={state}")),
        };
        let Some(kept) = self.proxying.contexts.kept(context) else { return false };
        kept.server = Some(Box::new(server));
        // The way within the dialog is that of the copy that leaves in the end.
        let copy = Copy { uri: received.uri, routes: &routes, record_route: None, way };
        self.forward(now, context, received, &copy, &rewrite, out);
        true
    }

    /// P-Served-User (RFC 5502): the identity whose criteria are asked.
    fn served_identity(&self, received: &Received<'_, '_>, served: &Served) -> Option<String> {
        match (served.user, served.case) {
            (ServedUser::Unregistered(id), _) => self.unregistered.get(id).map(|user| user.impu.to_string()),
            // The message names somebody else by now.
            (ServedUser::Registered(id), SessionCase::OriginatingCdiv) => {
                self.registrar.identity_of_service(self.registrar.get(id)?, served.service)
            }
            (_, case) if case.is_terminating() => {
                let uri = Uri::parse(received.uri).ok()?;
                let device = self.device_named(&uri).ok()?;
                Some(device.map_or_else(|| canonical(&uri), |device| device.impu))
            }
            _ if is_by_server(received) => served_user(received.message),
            _ => asserted(received),
        }
    }
}

impl Served {
    /// The user part of our URI behind that of an application server.
    fn token(&self) -> String {
        let Self { user, service, case, asked } = self;
        let (state, id) = match user {
            ServedUser::Registered(id) => ('i', id),
            ServedUser::Unregistered(id) => ('u', id),
        };
        let case = match case {
            SessionCase::OriginatingRegistered | SessionCase::OriginatingUnregistered => 'o',
            SessionCase::TerminatingRegistered | SessionCase::TerminatingUnregistered => 't',
            SessionCase::OriginatingCdiv => 'd',
        };
        format!("{state}{:x}.{case}.{service}.{}", id.to_bits(), asked.unwrap_or_default())
    }

    /// What the token of a request says that comes back.
    pub(super) fn of(received: &Received<'_, '_>) -> Option<Self> {
        let token = received.own?.user?;
        let is_registered = token.starts_with('i');
        let mut parts = token.strip_prefix(['i', 'u'])?.split('.');
        let id = Id::from_bits(u64::from_str_radix(parts.next()?, 16).ok()?);
        let user = if is_registered { ServedUser::Registered(id) } else { ServedUser::Unregistered(id) };
        let case = match (parts.next()?, is_registered) {
            ("o", true) => SessionCase::OriginatingRegistered,
            ("o", false) => SessionCase::OriginatingUnregistered,
            ("t", true) => SessionCase::TerminatingRegistered,
            ("t", false) => SessionCase::TerminatingUnregistered,
            ("d", _) => SessionCase::OriginatingCdiv,
            _ => return None,
        };
        let service = parts.next()?.parse().ok()?;
        let asked = parts.next()?.parse().ok();
        Some(Self { user, service, case, asked }).filter(|_| parts.next().is_none() && asked.is_some())
    }
}

/// What is changed in a request for an application server.
struct ToServer {
    /// `orig-ioi` of type 3.
    ioi: String,
    served_user: Option<String>,
}

impl Rewrite for ToServer {
    fn names(&self) -> NameSet {
        NameSet::of(&[HeaderName::PChargingVector, HeaderName::Other])
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        if line.name == HeaderName::PChargingVector {
            w.header(line.name, &with_ioi(line.value, Some(&self.ioi), None));
        } else if !is_served_user(line) {
            w.copy(line);
        }
    }

    fn add(&self, w: &mut Writer<'_>) {
        if let Some(served) = &self.served_user {
            w.header_named("P-Served-User", served);
        }
    }
}

/// P-Asserted-Identity.
fn asserted(received: &Received<'_, '_>) -> Option<String> {
    Some(canonical(&received.message.name_addrs(HeaderName::PAssertedIdentity).ok()?.first()?.uri))
}

fn canonical(uri: &Uri<'_>) -> String {
    let mut text = String::new();
    uri.canonical(&mut text);
    text
}

fn is_sdp(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case("application/sdp"))
}
