//! A REGISTER: who, with what proof, and which case it is (TS 24.229 clauses 5.4.1.2.1 and 5.4.1.2.2).

use super::attempt::State;
use super::contacts::Wish;
use super::digest::Info;
use super::refusal::Refusal;
use super::registrar::HssId;
use super::restoration::LostUser;
use super::table::Id;
use super::{ChallengePolicy, SarAtRefresh, Scscf};
use crate::packet::Outbox;
use crate::sip::header::contact::Contact;
use crate::sip::header::digest::Digest;
use crate::sip::transaction::ServerId;
use crate::sip::{Checked, HeaderName, Message};
use crate::time::Instant;
use std::net::IpAddr;

impl Scscf {
    /// Serves a REGISTER or refuses it.
    #[expect(clippy::too_many_arguments, reason = "a REGISTER as far as it has been read")]
    pub(super) fn on_register(
        &mut self,
        now: Instant,
        server: ServerId,
        from: IpAddr,
        message: &Message<'_>,
        checked: &Checked<'_>,
        contacts: Vec<Contact<'_>>,
        out: &mut Outbox,
    ) {
        let outcome = match Register::read(message, checked, contacts) {
            Ok(ref mut register) => {
                register.registration = self.registrar.find(register.impi, &register.impu);
                self.admit(now, server, register, out)
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            if refusal == Refusal::Overloaded {
                return self.shed(now, server, message, out);
            }
            if refusal == Refusal::UnknownUser
                && let Ok(register) = Register::read(message, checked, Vec::new())
                && self.restore(now, server, from, message, LostUser::who_registers(&register), out)
            {
                return;
            }
            self.refuse(now, server, message, &refusal, out);
        }
    }

    fn admit(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &mut Register<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let registration = register.registration;
        if registration.is_some_and(|id| self.registrar.refuses(id, register.call_id, register.cseq)) {
            return Err(Refusal::CSeqNotNewer);
        }
        let attempt = self.attempts.find(register.impi, &register.impu, register.is_emergency);
        register.attempt = attempt;
        if self.must_shed(now, register, attempt.is_some()) {
            return Err(Refusal::Overloaded);
        }
        if let Some(attempt) = attempt {
            match self.attempts.state(attempt) {
                Some(State::AwaitingSaa(_)) => return Err(Refusal::Busy),
                Some(State::Challenged(challenged)) => {
                    let of_challenge = *challenged.call_id == *register.call_id;
                    if of_challenge && register.cseq <= challenged.cseq {
                        return Err(Refusal::CSeqNotNewer);
                    }
                    if register.nonce().is_some() && self.may_answer(register) {
                        if of_challenge {
                            return self.on_answer(now, server, attempt, register, out);
                        }
                        if challenged.has_nonce(register.nonce().unwrap_or_default()) {
                            return Err(Refusal::WrongCallId);
                        }
                    }
                }
                Some(State::AwaitingMaa(_)) | None => {}
            }
        }
        match register.protection() {
            Protection::AuthenticatedElsewhere => self.serve(now, server, register, None, out),
            Protection::SecurityAssociation => match registration {
                Some(id) if !self.must_challenge(now, id) => self.refresh_unchallenged(now, server, register, id, out),
                // Another identity of a UE that is registered: its SAs prove the IMPI.
                None if !self.registrar.knows(register.impi) => Err(Refusal::UnknownUser),
                _ => self.challenge(now, server, register, out),
            },
            Protection::None => self.challenge(now, server, register, out),
            Protection::Open => self.admit_openly(now, server, register, false, out),
            Protection::KnownAccess => self.admit_openly(now, server, register, true, out),
        }
    }

    /// A re-registration that proves itself by how it came.
    pub(super) fn refresh_unchallenged(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        registration: Id,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let wish = Wish::read(register, &self.config)?;
        if !self.registrar.knows_contacts(registration, &wish) {
            return Err(Refusal::NewContactUnchallenged);
        }
        self.registrar.count_unchallenged(registration);
        match &wish {
            Wish::Bind(wanted) if !self.must_tell_hss(registration) => {
                self.prolong(now, server, register, wanted, registration, out)
            }
            _ => self.fulfil(now, server, register, &wish, self.registrar.hss_of(registration), out),
        }
    }

    /// True where a SAR has something to say, or its answer: what is left with the HSS names the end of each binding, and
    /// only the HSS knows which other IMPIs share the identity.
    pub(super) fn must_tell_hss(&self, registration: Id) -> bool {
        self.config.sar_at_refresh == SarAtRefresh::Always
            || self.config.restoration
            || self.registrar.is_shared(registration)
    }

    /// What an authenticated user asks for.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        hss: Option<HssId>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let wish = Wish::read(register, &self.config)?;
        self.fulfil(now, server, register, &wish, hss, out)
    }

    pub(super) fn fulfil(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        wish: &Wish<'_>,
        hss: Option<HssId>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        match wish {
            Wish::Query => {
                self.answer_query(now, server, register, out);
                Ok(())
            }
            Wish::Bind(wanted) => self.assign(now, server, register, wanted, hss, out),
            Wish::Unbind(_) | Wish::UnbindAll => self.deregister(now, server, register, wish, out),
        }
    }

    /// A response counts when it came over an SA, or where the policy trusts the response alone. That a challenge is
    /// not accepted (AUTS, or no response) is told without an SA: there can be none yet.
    fn may_answer(&self, register: &Register<'_, '_>) -> bool {
        let claims = register
            .credentials
            .as_ref()
            .is_some_and(|c| c.auts.is_none() && c.response.is_some_and(|r| !r.is_empty()));
        !claims || register.protection() == Protection::SecurityAssociation || self.config.aka_without_sa
    }

    pub(super) fn must_challenge(&self, now: Instant, registration: Id) -> bool {
        let Some((authenticated_at, unchallenged)) = self.registrar.authentication(registration) else { return true };
        if self.registrar.must_be_challenged(registration) {
            return true;
        }
        match self.config.challenge {
            ChallengePolicy::Always => true,
            ChallengePolicy::Never => false,
            ChallengePolicy::Every(n) => unchallenged.saturating_add(1) >= n,
            ChallengePolicy::After(age) => now.saturating_since(authenticated_at) > age,
        }
    }
}

/// A REGISTER with what decides its case read.
#[derive(Debug)]
pub(super) struct Register<'m, 'a> {
    /// All of it.
    pub(super) message: &'m Message<'a>,
    /// `username` of Authorization if it is one (TS 23.003 clause 13.3: user@realm), else from To.
    pub(super) impi: &'a str,
    /// To, canonical.
    pub(super) impu: String,
    /// Authorization.
    pub(super) credentials: Option<Digest<'a>>,
    /// Call-ID
    pub(super) call_id: &'a str,
    /// CSeq number.
    pub(super) cseq: u32,
    /// Contacts, as received.
    pub(super) contacts: Vec<Contact<'a>>,
    /// Contact is `*`.
    pub(super) is_star: bool,
    /// A Contact is for emergency calls (TS 24.229 clause 5.1.6.2).
    pub(super) is_emergency: bool,
    /// The registration of this IMPI whose set holds this IMPU, looked up once.
    pub(super) registration: Option<Id>,
    /// The attempt that went on when it came, looked up once.
    pub(super) attempt: Option<Id>,
    /// To has a tag already.
    pub(super) has_to_tag: bool,
    /// Supported names `gruu`.
    pub(super) supports_gruu: bool,
    /// Authentication-Info of the answer.
    pub(super) authentication_info: Info<'a>,
}

/// How a REGISTER reached the P-CSCF (TS 24.229 clause 7.2A.2: `integrity-protected`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protection {
    /// `yes`
    SecurityAssociation,
    /// `auth-done`: a trusted node has authenticated the user.
    AuthenticatedElsewhere,
    /// `ip-assoc-yes`, `tls-yes`: the P-CSCF knows the address or the TLS session as this user's.
    KnownAccess,
    /// Absent, `ip-assoc-pending`, `tls-pending`: SIP digest, or whatever the HSS says of the user.
    Open,
    /// `no`: AKA, not over an SA.
    None,
}

impl<'m, 'a> Register<'m, 'a> {
    /// Reads who registers what; refuses what this S-CSCF does not understand.
    pub(super) fn read(
        message: &'m Message<'a>,
        checked: &Checked<'a>,
        contacts: Vec<Contact<'a>>,
    ) -> Result<Self, Refusal> {
        let is_known = |tag: &str| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(tag));
        // Most often the value is one tag.
        if message.any_value(HeaderName::Require, |list| !is_known(list)) {
            let unknown: Vec<&str> = message.elements(HeaderName::Require).filter(|tag| !is_known(tag)).collect();
            if !unknown.is_empty() {
                return Err(Refusal::UnknownExtension(unknown.join(", ")));
            }
        }
        let credentials = message.authorization()?;
        let to = checked.to.uri;
        let mut impu = String::with_capacity(to.text.len());
        to.canonical(&mut impu);
        let impi = match credentials.as_ref().and_then(|c| c.username) {
            // Phones without USIM have any name there, which only the digest covers.
            Some(username) if memchr::memchr(b'@', username.as_bytes()).is_some() => username,
            _ => to.implied_impi(),
        };
        let Checked { call_id, cseq, is_star, .. } = *checked;
        let is_emergency = contacts.iter().any(|contact| contact.address.uri.params.has("sos"));
        let has_to_tag = checked.to.tag().is_some();
        let cseq = cseq.number;
        Ok(Self {
            message,
            impi,
            impu,
            credentials,
            call_id,
            cseq,
            contacts,
            is_star,
            is_emergency,
            registration: None,
            attempt: None,
            has_to_tag,
            supports_gruu: message.has_option(HeaderName::Supported, "gruu"),
            authentication_info: Info::default(),
        })
    }

    /// The nonce answered, if one is.
    pub(super) fn nonce(&self) -> Option<&'a str> {
        self.credentials.as_ref().and_then(|c| c.nonce).filter(|n| !n.is_empty())
    }

    /// How it came.
    pub(super) fn protection(&self) -> Protection {
        Protection::of(self.credentials.as_ref().and_then(|c| c.integrity_protected))
    }
}

impl Protection {
    /// As `integrity-protected` of the credentials says.
    pub(super) fn of(integrity_protected: Option<&str>) -> Self {
        let is = |value: &str, known: &[&str]| known.iter().any(|known| value.eq_ignore_ascii_case(known));
        match integrity_protected {
            Some(v) if is(v, &["yes"]) => Self::SecurityAssociation,
            Some(v) if is(v, &["auth-done"]) => Self::AuthenticatedElsewhere,
            Some(v) if is(v, &["ip-assoc-yes", "tls-yes"]) => Self::KnownAccess,
            Some(v) if is(v, &["ip-assoc-pending", "tls-pending"]) => Self::Open,
            None => Self::Open,
            Some(_) => Self::None,
        }
    }
}

/// Option tags of Require that this registrar understands.
const EXTENSIONS: [&str; 2] = ["path", "outbound"];
