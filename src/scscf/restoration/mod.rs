//! A registration that this S-CSCF has lost, or never had, comes back from the HSS (TS 23.380 clause 4, TS 29.228
//! clause 6.1.2.1).
//!
//! With each registration the S-CSCF leaves what it would need (`left`). When a REGISTER or a request is for a user
//! whom it does not know, the request waits, the HSS is asked, and the request is served as if nothing had happened.

mod left;

pub(super) use left::Left;

use super::bind::Assignment;
use super::binding::Binding;
use super::proxy::number_of;
use super::refusal::Refusal;
use super::register::Register;
use super::table::Id;
use super::{Awaited, Due, Scscf};
use crate::cx::{CxResult, Saa, ScscfRestorationInfo, ServerAssignmentType};
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::served_user::served_user;
use crate::sip::proxy::Received;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Method, Uri, alternative_service};
use crate::time::{Duration, Instant};
use std::collections::HashMap;
use std::net::IpAddr;

/// Requests that wait for the HSS: their users are not registered here, or not any more.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    waiting: HashMap<u32, Waiting, foldhash::fast::RandomState>,
    last: u32,
}

/// A request for a user who is not known here.
struct Waiting {
    server: ServerId,
    /// The sender.
    from: IpAddr,
    request: Box<[u8]>,
    user: LostUser,
}

/// Whose registration is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LostUser {
    /// The private identity, where the request names it.
    pub(super) impi: Option<String>,
    /// The public identity, canonical.
    pub(super) impu: String,
    /// What the HSS is asked by: NO_ASSIGNMENT for who must be registered, UNREGISTERED_USER for who is called.
    pub(super) assignment: ServerAssignmentType,
    /// The answer unless he is found.
    pub(super) otherwise: Refusal,
}

impl Scscf {
    /// Lets a request wait until the HSS has told what it knows of its user: where he was registered before a restart, or
    /// has services though he is not registered. False: there is no restoration here, or too much waits already.
    pub(super) fn restore(
        &mut self,
        now: Instant,
        server: ServerId,
        from: IpAddr,
        message: &Message<'_>,
        user: LostUser,
        out: &mut Outbox,
    ) -> bool {
        let is_done = self.config.restoration || user.assignment == ServerAssignmentType::UnregisteredUser;
        if !is_done || self.restoring.waiting.len() >= MOST_WAITING {
            return false;
        }
        self.restoring.last = self.restoring.last.wrapping_add(1);
        let number = self.restoring.last;
        let assignment = Assignment {
            impi: user.impi.as_deref(),
            impu: &user.impu,
            kind: user.assignment,
            known: false,
            hss: None,
            multiple: false,
            left: &[],
        };
        self.send_sar(now, &assignment, Awaited::Restoration(number), out);
        let request = message.bytes().into();
        self.restoring.waiting.insert(number, Waiting { server, from, request, user });
        true
    }

    /// What the HSS knows: the request goes on, or ends.
    pub(super) fn on_restoration(&mut self, now: Instant, number: u32, message: &[u8], out: &mut Outbox) {
        let Some(waiting) = self.restoring.waiting.remove(&number) else { return };
        let saa = Saa::decode(message).map_err(|fault| Refusal::AssignmentFault(CxResult::Base(fault.code)));
        let restored = saa.and_then(|saa| self.restored(now, &waiting.user, &saa, out));
        let request = Message::parse(&waiting.request).expect("it was parsed when it came");
        match restored {
            Ok(()) => self.on_request(now, waiting.server, waiting.from, &request, out),
            Err(refusal) => self.refuse_lost(now, &waiting, &request, &refusal, out),
        }
    }

    /// The HSS does not answer.
    pub(super) fn fail_restoration(&mut self, now: Instant, number: u32, out: &mut Outbox) {
        let Some(waiting) = self.restoring.waiting.remove(&number) else { return };
        let request = Message::parse(&waiting.request).expect("it was parsed when it came");
        self.refuse_lost(now, &waiting, &request, &Refusal::AssignmentSilent, out);
    }

    /// Makes registrations of what came back; the user asked for must be among them.
    fn restored(&mut self, now: Instant, user: &LostUser, saa: &Saa<'_>, out: &mut Outbox) -> Result<(), Refusal> {
        if !saa.result.is_success() {
            return Err(Refusal::RegistrationLost);
        }
        let hss = self.registrar.hss_named(saa.envelope.origin_host);
        for info in &saa.restoration {
            if self.registrar.find(info.impi, &user.impu).is_some() {
                continue;
            }
            let bindings = self.bindings_left(now, info, &user.impu);
            if bindings.is_empty() {
                // It has ended while nobody watched.
                let kind = ServerAssignmentType::TimeoutDeregistration;
                self.end_assignment(now, info.impi, &user.impu, kind, Some(hss), out);
                continue;
            }
            let emergency = bindings.iter().all(|b| b.is_emergency());
            let data = self.user_data(saa, &user.impu, emergency, out)?.ok_or(Refusal::BadUserData)?;
            let registration = self.registrar.insert(now, info.impi, data);
            self.registrar.set_hss(registration, Some(hss));
            self.go_on(now, registration, info, bindings, out);
        }
        let is_back = match &user.impi {
            Some(impi) => self.registrar.knows(impi),
            None => !self.registrar.serving(&user.impu).is_empty(),
        };
        if is_back {
            return Ok(());
        }
        if user.assignment != ServerAssignmentType::UnregisteredUser {
            return Err(Refusal::RegistrationLost);
        }
        // Not registered: application servers may do something for him; else the HSS holds us for his S-CSCF in vain.
        self.keep_unregistered(now, user, saa, out).inspect_err(|_| {
            self.give_back_unregistered(now, &user.impu, hss, out);
        })
    }

    /// The other flows of a user who registers one more (Multiple-Registration-Indication), where we have lost them.
    pub(super) fn go_on_beside(
        &mut self,
        now: Instant,
        registration: Id,
        (impi, impu): (&str, &str),
        restoration: &[ScscfRestorationInfo<'_>],
        out: &mut Outbox,
    ) {
        for info in restoration.iter().filter(|info| info.impi == impi) {
            let bindings = self.bindings_left(now, info, impu);
            if !bindings.is_empty() {
                self.go_on(now, registration, info, bindings, out);
            }
        }
    }

    /// The registration goes on where it was lost.
    fn go_on(
        &mut self,
        now: Instant,
        registration: Id,
        info: &ScscfRestorationInfo<'_>,
        bindings: Vec<Binding>,
        out: &mut Outbox,
    ) {
        let ends_at = bindings.iter().map(|binding| binding.expires_at).max();
        let subscriptions = info.bindings.iter().flat_map(|b| [b.subscription, b.pcscf_subscription]).flatten();
        for subscription in subscriptions {
            // A subscription has no end of its own there; it is not longer than what it watches.
            self.restore_subscription(now, registration, &subscription, ends_at.unwrap_or(now));
        }
        if let Some(deadline) = self.registrar.bind(registration, bindings) {
            self.timeouts.at(deadline, Due::Expiry(registration));
        }
        self.tell(out, || What::RegistrationRestored {
            impi: info.impi.into(),
            impu: self.registrar.get(registration).map_or_else(String::new, |r| self.registrar.default_impu(r)).into(),
            expires: ends_at.map_or(Duration::ZERO, |at| at.saturating_since(now)),
        });
    }

    /// The bindings that are still good.
    fn bindings_left(&self, now: Instant, info: &ScscfRestorationInfo<'_>, impu: &str) -> Vec<Binding> {
        let epoch = self.config.diameter.epoch;
        let left = match info.ends_at {
            Some(at) => Duration::from_secs(at.saturating_sub(epoch.unix_secs(now))).min(self.config.max_expires),
            None => self.config.default_expires,
        };
        left::read(info, impu, left, now, &self.registrar.compact)
    }

    /// A request whose user could not be brought back. Where the UE can hear it, the 504 tells it to register anew
    /// (TS 24.229 clauses 5.4.3.2 and 5.1.2A.1.6); others hear what they would have heard at once.
    fn refuse_lost(
        &mut self,
        now: Instant,
        waiting: &Waiting,
        request: &Message<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let server = waiting.server;
        match request.method() {
            Some(Method::Register) => self.refuse(now, server, request, refusal, out),
            _ => match service_route(request) {
                Some(own) => self.refuse_by(now, server, request, refusal, out, |w| {
                    w.header_parts(HeaderName::PAssertedIdentity, &["<", own, ">"]);
                    w.header(HeaderName::ContentType, alternative_service::CONTENT_TYPE);
                    alternative_service::INITIAL_REGISTRATION.as_bytes()
                }),
                None => self.refuse(now, server, request, &waiting.user.otherwise, out),
            },
        }
    }

    /// Who is meant by a request that was refused because nobody here knows its user.
    pub(super) fn lost_user(&mut self, message: &Message<'_>, refusal: &Refusal) -> Option<LostUser> {
        let (impu, assignment) = match refusal {
            Refusal::RegistrationGone if self.config.restoration => {
                (sender(message)?, ServerAssignmentType::NoAssignment)
            }
            Refusal::NotRegistered => {
                let called = Uri::parse(message.request_uri()?).ok()?;
                (number_of(&called).unwrap_or_else(|| canonical(&called)), ServerAssignmentType::UnregisteredUser)
            }
            Refusal::CallerNotRegistered => (served_user(message)?, ServerAssignmentType::UnregisteredUser),
            _ => return None,
        };
        let is_lost = self.registrar.serving(&impu).is_empty() && self.unregistered.find(&impu).is_none();
        is_lost.then(|| LostUser { impi: None, impu, assignment, otherwise: refusal.clone() })
    }

    /// The same for a SUBSCRIBE; To names the user in a dialog and outside.
    pub(super) fn lost_watched(&mut self, to: &Uri<'_>, refusal: &Refusal) -> Option<LostUser> {
        if !self.config.restoration || !matches!(refusal, Refusal::UnknownSubscription | Refusal::NothingBound) {
            return None;
        }
        let (impu, assignment) = (canonical(to), ServerAssignmentType::NoAssignment);
        let is_lost = self.registrar.serving(&impu).is_empty();
        is_lost.then(|| LostUser { impi: None, impu, assignment, otherwise: refusal.clone() })
    }

    /// Leaves a registration with the HSS once more: somebody has subscribed to it.
    pub(super) fn leave_again(&mut self, now: Instant, registration: Id, out: &mut Outbox) {
        if !self.config.restoration {
            return;
        }
        let Some(entry) = self.registrar.get(registration) else { return };
        let (impi, impu) = (self.registrar.impi(entry), self.registrar.default_impu(entry));
        let subscriptions = self.subscriptions_left(registration);
        let (config, compact) = (&self.config, &self.registrar.compact);
        let left = Left { config, compact, now, impi: &impi, subscriptions };
        let left = left.write(&[], self.registrar.bindings(registration));
        if left.is_empty() {
            return;
        }
        let (kind, hss) = (ServerAssignmentType::ReRegistration, self.registrar.hss_of(registration));
        let assignment =
            Assignment { impi: Some(&impi), impu: &impu, kind, known: true, hss, multiple: false, left: &left };
        self.send_sar(now, &assignment, Awaited::Deregistering, out);
    }

    /// The registration of who sends this. Where the token in his Service-Route is of another process, it names nobody
    /// here: then P-Asserted-Identity says who he is.
    pub(super) fn registration_of_sender(&mut self, token: Id, received: &Received<'_, '_>) -> Id {
        if !self.config.restoration || self.registrar.get(token).is_some() {
            return token;
        }
        let found = sender(received.message).map(|impu| self.registrar.serving(&impu));
        found.unwrap_or_default().first().copied().unwrap_or(token)
    }
}

impl LostUser {
    /// The sender of a REGISTER over SAs of a registration.
    pub(super) fn who_registers(register: &Register<'_, '_>) -> Self {
        let assignment = ServerAssignmentType::NoAssignment;
        let (impi, impu) = (Some(register.impi.to_owned()), register.impu.clone());
        Self { impi, impu, assignment, otherwise: Refusal::RegistrationLost }
    }
}

/// P-Asserted-Identity.
fn sender(message: &Message<'_>) -> Option<String> {
    Some(canonical(&message.name_addrs(HeaderName::PAssertedIdentity).ok()?.first()?.uri))
}

/// Our URI as the sender has it in his Service-Route; `None`: he is not served here.
fn service_route<'a>(request: &Message<'a>) -> Option<&'a str> {
    let route = request.elements(HeaderName::Route).next()?;
    let uri = NameAddr::parse(HeaderName::Route, route).ok()?.uri;
    uri.user.is_some_and(|user| user.starts_with('o')).then_some(uri.text)
}

fn canonical(uri: &Uri<'_>) -> String {
    let mut text = String::new();
    uri.canonical(&mut text);
    text
}

impl std::fmt::Debug for Waiting {
    /// Shows no identity.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("assignment", &self.user.assignment).finish_non_exhaustive()
    }
}

/// A core that comes back meets all of its users at once; beyond this many, requests are refused as before.
const MOST_WAITING: usize = 10_000;
