//! MAR, MAA and the 401 (TS 24.229 clause 5.4.1.2.1, TS 29.228 clause 6.3).

use super::attempt::{Attempt, AwaitingMaa, Challenged, Expected, NONCE_LEN, RESYNC_LEN, State};
use super::refusal::Refusal;
use super::register::Register;
use super::reply::Reply;
use super::table::Id;
use super::{Awaited, Due, Scscf};
use crate::aka::digest::Algorithm;
use crate::aka::{Ck, Ik, Xres};
use crate::cx::mar::scheme;
use crate::cx::{self, AuthItem, CxResult, Maa, Mar, RequestEnvelope};
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::HeaderName;
use crate::sip::transaction::ServerId;
use crate::time::Instant;
use data_encoding::{BASE64, HEXLOWER};

impl Scscf {
    /// Asks for a vector. An attempt that goes on is replaced by this one.
    pub(super) fn challenge(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let waiting = self.awaiting_maa(server, register, None);
        self.ask_for_vector(now, register, waiting, out);
        Ok(())
    }

    /// Starts an attempt, in place of one that goes on.
    pub(super) fn ask_for_vector(
        &mut self,
        now: Instant,
        register: &Register<'_, '_>,
        waiting: AwaitingMaa,
        out: &mut Outbox,
    ) {
        let before = register.attempt.and_then(|id| self.attempts.remove(id));
        if let Some(Attempt { state: State::AwaitingMaa(waiting), .. }) = before {
            self.refuse_waiting(now, &waiting.reply, &Refusal::Replaced, out);
        }
        let hss = register.registration.and_then(|id| self.registrar.hss_of(id));
        let attempt = self.attempts.insert(Attempt::new(register, hss, State::AwaitingMaa(waiting)));
        self.send_mar(now, attempt, out);
    }

    /// A REGISTER to be challenged; `resync` is RAND and AUTS.
    pub(super) fn awaiting_maa(
        &mut self,
        server: ServerId,
        register: &Register<'_, '_>,
        resync: Option<[u8; RESYNC_LEN]>,
    ) -> AwaitingMaa {
        let asked = register.credentials.as_ref().and_then(|c| c.algorithm).and_then(Algorithm::from_token);
        let algorithm = match asked {
            Some(Algorithm::AkaV2Sha256) if self.config.akav2 => Algorithm::AkaV2Sha256,
            _ => Algorithm::AkaV1Md5,
        };
        let reply = self.reply(server, register);
        AwaitingMaa { reply, call_id: register.call_id.into(), cseq: register.cseq, algorithm, resync, open: None }
    }

    /// Sends MAR for an attempt in `AwaitingMaa`.
    pub(super) fn send_mar(&mut self, now: Instant, id: Id, out: &mut Outbox) {
        let Some(attempt) = self.attempts.get(id) else { return };
        let State::AwaitingMaa(waiting) = &attempt.state else { return };
        self.session_id.clear();
        self.node.write_session_id(&mut self.session_id);
        let mar = Mar {
            envelope: RequestEnvelope::new(
                &self.session_id,
                self.config.diameter.origin(),
                (attempt.hss.and_then(|hss| self.registrar.hss_host(hss)), &self.config.realm),
            ),
            impi: attempt.impi(),
            impu: attempt.impu(),
            items: 1,
            scheme: if waiting.open.is_some() { scheme::UNKNOWN } else { &self.config.scheme },
            resync: waiting.resync.as_ref().map(|r| &r[..]),
            server_name: &self.config.name,
        };
        let awaited = Awaited::Maa(id);
        self.node.request(now, Mar::COMMAND, cx::APPLICATION, awaited, out, |w| mar.encode(w));
    }

    /// The vector: 401, and reg-await-auth starts. An answer for an attempt that was replaced finds nothing.
    pub(super) fn on_maa(&mut self, now: Instant, attempt: Id, message: &[u8], out: &mut Outbox) {
        let Some(mut attempt) = self.attempts.remove(attempt) else { return };
        let maa = Maa::decode(message).map_err(|fault| Refusal::HssFault(CxResult::Base(fault.code)));
        if attempt.hss.is_some() && maa.as_ref().is_ok_and(|maa| maa.result == UNABLE_TO_DELIVER) {
            // Another HSS took the request over: it is asked by realm.
            attempt.hss = None;
            let id = self.attempts.insert(attempt);
            return self.send_mar(now, id, out);
        }
        let State::AwaitingMaa(mut waiting) = attempt.state else { return };
        let mut hss = None;
        let mut other = None;
        let challenged = maa.and_then(|maa| {
            let named = self.registrar.hss_named(maa.envelope.origin_host);
            hss = Some(named);
            let item = given_item(&maa)?;
            if let Some(register) = &waiting.open {
                other = self.offered(register, item, named)?.map(|offered| (offered, named));
            }
            match other {
                Some(_) => Ok(None),
                None => self.challenged(now, &mut waiting, item).map(Some),
            }
        });
        match challenged {
            Ok(None) => {
                if let Some(offered) = other {
                    self.on_offered(now, &attempt.subject, &waiting, offered, out);
                }
            }
            Ok(Some(challenged)) => {
                self.send_challenge(now, &waiting.reply, &challenged, out);
                let subject = &attempt.subject;
                self.tell(out, || What::Challenged { impi: subject.impi().into(), impu: subject.impu().into() });
                attempt.hss = hss;
                attempt.state = State::Challenged(Box::new(challenged));
                let id = self.attempts.insert(attempt);
                let Self { attempts, timeouts, .. } = self;
                timeouts.drop_stale(|due| matches!(due, Due::RegAwaitAuth(id) if attempts.get(*id).is_none()));
                timeouts.after(now, self.config.reg_await_auth, Due::RegAwaitAuth(id));
            }
            Err(refusal) => self.refuse_waiting(now, &waiting.reply, &refusal, out),
        }
        if let Some(open) = waiting.open {
            self.kept.give(open.message);
        }
    }

    fn send_challenge(&mut self, now: Instant, reply: &Reply, challenged: &Challenged, out: &mut Outbox) {
        let Self { transactions, config, .. } = self;
        let nonce = std::str::from_utf8(&challenged.nonce).expect("base64");
        let keys = Keys::of(&challenged.expected);
        let algorithm = challenged.algorithm.as_str();
        transactions.respond(now, reply.server, 401, out, |bytes| {
            let mut w = reply.begin(401, bytes);
            let mut value = [
                "Digest realm=\"",
                &config.realm,
                "\",nonce=\"",
                nonce,
                "\",algorithm=",
                algorithm,
                "",
                "",
                "",
                "",
                "",
                "",
                "",
                "",
            ];
            if let Some(qop) = &config.qop {
                value[6..9].copy_from_slice(&[",qop=\"", qop, "\""]);
            }
            if let Some((ck, ik)) = keys.texts() {
                value[9..].copy_from_slice(&[",ck=\"", ck, "\",ik=\"", ik, "\""]);
            }
            w.header_parts(HeaderName::WwwAuthenticate, &value);
            w.finish(b"");
        });
    }

    /// No vector: the attempt ends.
    pub(super) fn fail_challenge(&mut self, now: Instant, attempt: Id, refusal: &Refusal, out: &mut Outbox) {
        if let Some(Attempt { state: State::AwaitingMaa(waiting), .. }) = self.attempts.remove(attempt) {
            self.refuse_waiting(now, &waiting.reply, refusal, out);
        }
    }

    fn challenged(&self, now: Instant, waiting: &mut AwaitingMaa, item: &AuthItem<'_>) -> Result<Challenged, Refusal> {
        let (nonce, expected) = self.vector(item).ok_or(Refusal::VectorIncomplete)?;
        let algorithm = match &expected {
            Expected::Vector { .. } => waiting.algorithm,
            // The scheme of the vector is all that is known of its algorithm.
            Expected::Recorded(_) => Algorithm::AkaV1Md5,
        };
        let (call_id, cseq) = (std::mem::take(&mut waiting.call_id), waiting.cseq);
        let until = now + self.config.reg_await_auth;
        Ok(Challenged { call_id, cseq, nonce, expected, algorithm, until })
    }

    /// A complete vector of the scheme asked for, its nonce first, or nothing.
    fn vector(&self, item: &AuthItem<'_>) -> Option<([u8; NONCE_LEN], Expected)> {
        if item.scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(&self.config.scheme)) {
            return None;
        }
        let authenticate: &[u8; 32] = item.authenticate?.try_into().ok()?;
        let expected = match (item.xres, item.context) {
            (Some(xres), _) => Expected::Vector {
                xres: Xres::new(xres)?,
                ck: Ck(item.ck?.try_into().ok()?),
                ik: Ik(item.ik?.try_into().ok()?),
            },
            // A vector taken from a trace: what the UE answered is known, and nothing else.
            (None, Some(response)) if response.len() == 32 => Expected::Recorded(response.into()),
            _ => return None,
        };
        let mut nonce = [0; NONCE_LEN];
        BASE64.encode_mut(authenticate, &mut nonce);
        Some((nonce, expected))
    }
}

/// The first item of a successful answer.
fn given_item<'m, 'a>(maa: &'m Maa<'a>) -> Result<&'m AuthItem<'a>, Refusal> {
    match maa.result {
        result if result.is_success() => maa.items.first().ok_or(Refusal::VectorIncomplete),
        result @ (CxResult::USER_UNKNOWN | CxResult::IDENTITIES_DONT_MATCH | CxResult::AUTH_SCHEME_NOT_SUPPORTED) => {
            Err(Refusal::IdentityRejected(result))
        }
        result => Err(Refusal::HssFault(result)),
    }
}

/// DIAMETER_UNABLE_TO_DELIVER: nobody answers to Destination-Host any more.
pub(super) const UNABLE_TO_DELIVER: CxResult = CxResult::Base(3002);

/// `ck` and `ik` for the P-CSCF (TS 24.229 clause 7.2A.1), in hex; wiped after use.
struct Keys(Option<zeroize::Zeroizing<[u8; 64]>>);

impl Keys {
    fn of(expected: &Expected) -> Self {
        let Expected::Vector { ck, ik, .. } = expected else { return Self(None) };
        let mut hex = zeroize::Zeroizing::new([0; 64]);
        let (first, second) = hex.split_at_mut(32);
        HEXLOWER.encode_mut(&ck.0, first);
        HEXLOWER.encode_mut(&ik.0, second);
        Self(Some(hex))
    }

    fn texts(&self) -> Option<(&str, &str)> {
        let hex = self.0.as_ref()?;
        Some(std::str::from_utf8(&hex[..]).expect("hex digits").split_at(32))
    }
}
