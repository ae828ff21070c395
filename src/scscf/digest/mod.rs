//! REGISTERs without security association: SIP digest, or whatever the HSS says of their user (TS 24.229 clauses
//! 5.4.1.2.1A to 5.4.1.2.1E and 5.4.1.2.2A to 5.4.1.2.2E, TS 33.203 annexes N, O and R to T).

mod access;
mod challenge;
mod date;
mod judge;
mod nonces;
mod proxy;

pub use date::DateForm;

pub(super) use challenge::OpenRegister;
pub(super) use judge::{Info, inputs};
pub(super) use nonces::Nonces;

use super::Scscf;
use super::contacts::Wish;
use super::refusal::Refusal;
use super::register::Register;
use super::registrar::HssId;
use crate::cx::ServerAssignmentType;
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::Message;
use crate::sip::transaction::ServerId;
use crate::time::{Duration, Instant};
use judge::{Claim, Judged};

/// How users without USIM are met, and what their devices want of a registrar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestConfig {
    /// How long a nonce is good.
    pub nonce_lifetime: Duration,
    /// `opaque` of challenges.
    pub opaque: Option<Box<str>>,
    /// Who registers without any authentication.
    pub unauthenticated: Unauthenticated,
    /// Who has registered with a password proves with every request that he knows it (407).
    pub proxy_auth: bool,
    /// Contacts without reg-id do not replace each other (RFC 3261 clause 10.3).
    pub parallel_contacts: bool,
    /// Date in a 200 to REGISTER.
    pub date: Option<DateForm>,
    /// Whom devices report to: MESSAGEs of registered users to this identity, in canonical form, are answered 200 here.
    pub platform: Option<Box<str>>,
}

impl Default for DigestConfig {
    fn default() -> Self {
        let (opaque, unauthenticated) = (None, Unauthenticated::Nobody);
        Self {
            nonce_lifetime: Duration::from_secs(3_600),
            opaque,
            unauthenticated,
            proxy_auth: false,
            parallel_contacts: false,
            date: None,
            platform: None,
        }
    }
}

/// Whose word is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unauthenticated {
    /// Nobody's.
    Nobody,
    /// Everybody's who comes without security association.
    Everybody,
    /// That of these identities, in canonical form.
    These(Vec<Box<str>>),
}

impl Unauthenticated {
    fn has(&self, impu: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::These(identities) => identities.iter().any(|identity| **identity == *impu),
        }
    }
}

impl Scscf {
    /// A REGISTER that came over no SA and claims no AKA. `is_known`: the P-CSCF knows the address or TLS session as
    /// that of this user.
    pub(super) fn admit_openly(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &mut Register<'_, '_>,
        is_known: bool,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        if self.config.digest.unauthenticated.has(&register.impu) {
            return self.serve(now, server, register, None, out);
        }
        if let Some(credentials) = register.credentials
            && register.nonce().is_some()
        {
            let body = register.message.body();
            let who = (register.impi, &*register.impu);
            let claim = Claim { credentials: &credentials, method: "REGISTER", body, who };
            match self.judge(now, &claim)? {
                Judged::Right { info, hss } => {
                    let impi = register.impi;
                    self.tell(out, || What::ResponseVerified { impi: impi.into() });
                    if let Some(id) = register.registration {
                        self.registrar.authenticated(id, now);
                    }
                    register.authentication_info = info;
                    let nonce = credentials.nonce.unwrap_or_default();
                    self.remember_credentials(impi, nonce, now, &register.impu);
                    return self.serve(now, server, register, Some(hss), out);
                }
                Judged::Wrong { hss } => {
                    let impi = register.impi;
                    self.tell(out, || What::AuthenticationFailed { impi: impi.into(), cause: "response is wrong" });
                    let failure = ServerAssignmentType::AuthenticationFailure;
                    self.end_assignment(now, impi, &register.impu, failure, Some(hss), out);
                    return Err(Refusal::WrongResponse);
                }
                Judged::Stale(credentials) => {
                    let reply = self.reply(server, register);
                    self.send_digest_challenge(now, &reply, register.impi, &register.impu, credentials, true, out);
                    return Ok(());
                }
                Judged::Unknown => {}
            }
        }
        if is_known
            && let Some(id) = register.registration
            && !self.must_challenge(now, id)
        {
            return self.refresh_unchallenged(now, server, register, id, out);
        }
        self.challenge_openly(now, server, register, out)
    }

    /// Challenges that nobody answers: nothing is pending any more for who is not registered.
    pub(super) fn end_unanswered(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(nonce) = self.nonces.unanswered(now) {
            let (impi, impu, hss) = (nonce.impi(), nonce.impu(), nonce.credentials.hss);
            if self.registrar.find(impi, impu).is_some() {
                continue;
            }
            let cause = "no answer within reg-await-auth";
            self.tell(out, || What::AuthenticationFailed { impi: impi.into(), cause });
            self.end_assignment(now, impi, impu, ServerAssignmentType::AuthenticationTimeout, Some(hss), out);
        }
    }

    /// The access network has authenticated the user: the REGISTER that waited for the HSS is served.
    fn serve_kept(&mut self, now: Instant, server: ServerId, register: &[u8], hss: HssId, out: &mut Outbox) {
        let message = Message::parse(register).expect("it was parsed when it came");
        let mut contacts = Vec::new();
        let checked = message.checked_with(|contact| contacts.push(contact)).expect("it was checked when it came");
        let outcome = Register::read(&message, &checked, contacts).and_then(|mut register| {
            register.registration = self.registrar.find(register.impi, &register.impu);
            if let Some(id) = register.registration {
                self.registrar.authenticated(id, now);
            }
            let wish = Wish::read(&register, &self.config)?;
            self.fulfil(now, server, &register, &wish, Some(hss), out)
        });
        if let Err(refusal) = outcome {
            self.refuse(now, server, &message, &refusal, out);
        }
    }
}
