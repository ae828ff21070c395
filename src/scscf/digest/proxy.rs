//! Proxy authentication of requests other than REGISTER (TS 24.229 clause 5.4.3.6, RFC 3261 clause 22.3): users who have
//! registered with a password show with each request that they know it.

use super::challenge::Parameters;
use super::judge::{Claim, Judged, NONCE_LEN};
use crate::aka::digest::{Checked, LastHa2};
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::refusal::Refusal;
use crate::scscf::table::Id;
use crate::sip::header::digest::Digest;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::Instant;
use std::rc::Rc;

impl Scscf {
    /// True when the request was answered by 407: its sender has a password, and has not shown that he knows it.
    pub(in crate::scscf) fn challenges_as_proxy(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        registration: Id,
        out: &mut Outbox,
    ) -> Result<bool, Refusal> {
        if !self.config.digest.proxy_auth {
            return Ok(false);
        }
        let Some(impi) = self.registrar.get(registration).map(|r| self.registrar.impi(r)) else { return Ok(false) };
        let Some(credentials) = self.nonces.credentials_of(&impi) else { return Ok(false) };
        let method = request.method().map_or("", |method| method.as_str());
        let mut stale = false;
        for value in request.values(HeaderName::ProxyAuthorization) {
            let Some(given) = Digest::parse(HeaderName::ProxyAuthorization, value)? else { continue };
            if given.realm != Some(&*credentials.terms.realm) {
                continue;
            }
            let claim = Claim { credentials: &given, method, body: request.body(), who: (&impi, &impi) };
            match self.judge(now, &claim)? {
                Judged::Right { .. } => return Ok(false),
                Judged::Wrong { .. } => return Err(Refusal::WrongResponse),
                Judged::Stale(_) => stale = true,
                Judged::Unknown => {
                    let checked = credentials.check(&given, method, request.body(), &mut LastHa2::default());
                    stale = matches!(checked, Ok(Checked::Right { .. }));
                }
            }
        }
        let nonce = self.random.token::<NONCE_LEN>();
        self.nonces.insert(now, nonce.as_str(), (&impi, &impi), Rc::clone(&credentials));
        let opaque = self.config.digest.opaque.clone();
        let parameters =
            Parameters { credentials: &credentials, nonce: nonce.as_str(), opaque: opaque.as_deref(), stale };
        self.respond(now, server, request, 407, out, |w| {
            parameters.each(|value| {
                w.header_parts(HeaderName::ProxyAuthenticate, value);
            });
        });
        Ok(true)
    }

    /// Remembers what a user has registered with, where proxy authentication will want it.
    pub(super) fn remember_credentials(&mut self, impi: &str, nonce: &str, now: Instant, impu: &str) {
        if !self.config.digest.proxy_auth {
            return;
        }
        let Self { nonces, registrar, .. } = self;
        nonces.forget_users(2 * registrar.len() + 64, |impi| registrar.knows(impi));
        nonces.remember_user(now, impi, nonce, impu);
    }
}
