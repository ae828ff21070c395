//! The MAA for a REGISTER of which nothing is known but who sends it, and the challenge of SIP digest (TS 29.228 clause
//! 6.3, TS 24.229 clause 5.4.1.2.1A).

use super::access::{is_at, is_on};
use super::judge::NONCE_LEN;
use super::nonces::{Credentials, Terms, Verdict};
use crate::aka::Ha1;
use crate::aka::digest::{Algorithm, Checked, LastHa2};
use crate::cx::AuthItem;
use crate::cx::mar::{DigestAuthenticate, scheme};
use crate::event::What;
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::attempt::{AwaitingMaa, Subject};
use crate::scscf::refusal::Refusal;
use crate::scscf::register::Register;
use crate::scscf::registrar::HssId;
use crate::scscf::reply::Reply;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::Instant;
use std::rc::Rc;

/// A REGISTER while the HSS says how its user is authenticated.
pub(in crate::scscf) struct OpenRegister {
    /// All of it, from [`Scscf::kept`].
    pub(in crate::scscf) message: Vec<u8>,
    /// It answers a challenge, of which nothing is known here.
    has_nonce: bool,
}

/// What the HSS has for a user.
pub(in crate::scscf) enum Offered {
    /// A password. `stale`: the REGISTER shows that its sender knows it.
    Digest { credentials: Credentials, nonce: Option<Box<str>>, stale: bool },
    /// The access network vouches for him.
    Granted,
}

impl Scscf {
    /// Asks the HSS how the user is authenticated.
    pub(super) fn challenge_openly(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let mut waiting = self.awaiting_maa(server, register, None);
        let message = self.kept.take(register.message.bytes());
        waiting.open = Some(OpenRegister { message, has_nonce: register.nonce().is_some() });
        self.ask_for_vector(now, register, waiting, out);
        Ok(())
    }

    /// What is no AKA vector; `None`: it is one, or should be.
    pub(in crate::scscf) fn offered(
        &mut self,
        register: &OpenRegister,
        item: &AuthItem<'_>,
        hss: HssId,
    ) -> Result<Option<Offered>, Refusal> {
        let is = |scheme: &str| item.scheme.is_some_and(|given| given.eq_ignore_ascii_case(scheme));
        let message = || Message::parse(&register.message).expect("it was parsed when it came");
        let granted = |is_granted: bool| {
            if is_granted { Ok(Some(Offered::Granted)) } else { Err(Refusal::AccessDiffers) }
        };
        if is(scheme::SIP_DIGEST) {
            let digest = item.digest.as_ref().ok_or(Refusal::VectorIncomplete)?;
            let verdict = verdict(digest, item.context).ok_or(Refusal::VectorIncomplete)?;
            let terms = self.nonces.terms(digest.realm, digest.qop, digest.algorithm.is_some());
            let credentials = Credentials { terms, verdict, hss };
            let nonce = item.authenticate.and_then(|nonce| std::str::from_utf8(nonce).ok()).map(Into::into);
            let stale = register.has_nonce && is_right(&credentials, &message());
            Ok(Some(Offered::Digest { credentials, nonce, stale }))
        } else if is(scheme::NASS_BUNDLED) {
            granted(is_on(&message(), &item.lines))
        } else if is(scheme::EARLY_IMS) {
            granted(is_at(&message(), item.framed_ip_address, item.framed_ipv6_prefix))
        } else {
            Ok(None)
        }
    }

    /// Challenges, or serves whom the access network vouches for.
    pub(in crate::scscf) fn on_offered(
        &mut self,
        now: Instant,
        subject: &Subject,
        waiting: &AwaitingMaa,
        (offered, hss): (Offered, HssId),
        out: &mut Outbox,
    ) {
        match offered {
            Offered::Granted => {
                let register = waiting.open.as_ref().map_or(&[][..], |open| &open.message);
                self.serve_kept(now, waiting.reply.server, register, hss, out);
            }
            Offered::Digest { credentials, nonce, stale } => {
                let to = Challenge { reply: &waiting.reply, impi: subject.impi(), impu: subject.impu() };
                let credentials = Rc::new(credentials);
                match nonce {
                    Some(recorded) => self.send_challenge_of_digest(now, &to, credentials, &recorded, stale, out),
                    None => {
                        let fresh = self.random.token::<NONCE_LEN>();
                        self.send_challenge_of_digest(now, &to, credentials, fresh.as_str(), stale, out);
                    }
                }
            }
        }
    }

    /// 401 with a fresh nonce.
    #[expect(clippy::too_many_arguments, reason = "whom to challenge, and with what")]
    pub(super) fn send_digest_challenge(
        &mut self,
        now: Instant,
        reply: &Reply,
        impi: &str,
        impu: &str,
        credentials: Rc<Credentials>,
        stale: bool,
        out: &mut Outbox,
    ) {
        let nonce = self.random.token::<NONCE_LEN>();
        self.send_challenge_of_digest(now, &Challenge { reply, impi, impu }, credentials, nonce.as_str(), stale, out);
    }

    fn send_challenge_of_digest(
        &mut self,
        now: Instant,
        to: &Challenge<'_>,
        credentials: Rc<Credentials>,
        nonce: &str,
        stale: bool,
        out: &mut Outbox,
    ) {
        let opaque = self.config.digest.opaque.as_deref();
        let parameters = Parameters { credentials: &credentials, nonce, opaque, stale };
        self.transactions.respond(now, to.reply.server, 401, out, |bytes| {
            let mut w = to.reply.begin(401, bytes);
            parameters.each(|value| {
                w.header_parts(HeaderName::WwwAuthenticate, value);
            });
            w.finish(b"");
        });
        let id = self.nonces.insert(now, nonce, (to.impi, to.impu), credentials);
        self.nonces.await_answer(id, now + self.config.reg_await_auth);
        self.tell(out, || What::Challenged { impi: to.impi.into(), impu: to.impu.into() });
    }
}

/// Whom to challenge.
struct Challenge<'a> {
    reply: &'a Reply,
    impi: &'a str,
    impu: &'a str,
}

/// What a challenge says.
pub(super) struct Parameters<'a> {
    pub(super) credentials: &'a Credentials,
    pub(super) nonce: &'a str,
    pub(super) opaque: Option<&'a str>,
    pub(super) stale: bool,
}

impl Parameters<'_> {
    /// One value for each algorithm, the better first (RFC 8760 clause 2.4).
    pub(super) fn each(&self, mut write: impl FnMut(&[&str])) {
        if let Verdict::Computed { alternate: Some((algorithm, _)), .. } = &self.credentials.verdict {
            write(&self.value(Some(algorithm.as_str())));
        }
        write(&self.value(self.credentials.terms.states_md5.then_some("MD5")));
    }

    fn value<'s>(&'s self, algorithm: Option<&'s str>) -> [&'s str; 14] {
        let Terms { realm, qop, .. } = &*self.credentials.terms;
        let opaque = |part: &'s str| self.opaque.map_or("", |_| part);
        let offered = |part: &'s str| if qop.is_empty() { "" } else { part };
        [
            "Digest realm=\"",
            realm,
            "\",nonce=\"",
            self.nonce,
            "\"",
            algorithm.map_or("", |_| ",algorithm="),
            algorithm.unwrap_or_default(),
            offered(",qop=\""),
            qop,
            offered("\""),
            opaque(",opaque=\""),
            self.opaque.unwrap_or_default(),
            opaque("\""),
            if self.stale { ",stale=true" } else { "" },
        ]
    }
}

/// True when the sender of a REGISTER knows the password.
fn is_right(credentials: &Credentials, register: &Message<'_>) -> bool {
    let given = register.authorization().ok().flatten();
    given.is_some_and(|given| {
        matches!(
            credentials.check(&given, "REGISTER", register.body(), &mut LastHa2::default()),
            Ok(Checked::Right { .. })
        )
    })
}

/// What the HSS gave, if it is whole: HA1, or the recorded response in its place.
fn verdict(digest: &DigestAuthenticate<'_>, context: Option<&[u8]>) -> Option<Verdict> {
    let is_plain = |text: &str| !text.bytes().any(|b| b.is_ascii_control() || matches!(b, b'"' | b'\\'));
    if !is_plain(digest.realm) || !is_plain(digest.qop) {
        return None;
    }
    if let Some(response) = context {
        return Some(Verdict::Recorded(std::str::from_utf8(response).ok()?.into()));
    }
    let alternate = digest.alternate_algorithm.and_then(Algorithm::from_token).zip(digest.alternate_ha1);
    let alternate = alternate.map(|(algorithm, ha1)| (algorithm, Ha1(ha1.into())));
    let md5 = Some(digest.ha1).filter(|ha1| ha1.len() == 32)?;
    Some(Verdict::Computed { md5: Ha1(md5.into()), alternate })
}
