//! Registration over TLS: the session that carries it, and its agreement (RFC 3329, TS 24.229 clauses 5.1.1.2.4 and
//! 5.1.1.5.6, TS 33.203 annex O).

use super::failure::Failure;
use super::security::Proposal;
use super::{Goal, Ue, tell};
use crate::event::What;
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Route, Transport};
use crate::pcscf::SecAgreePolicy;
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

impl Ue {
    /// What is proposed in a REGISTER; `None`: nothing. A password makes no keys for SAs, a USIM needs no TLS.
    pub(super) fn proposal(&mut self) -> Option<Proposal> {
        match (self.config.sec_agree, self.config.transport) {
            (SecAgreePolicy::Off, _) => None,
            (_, Transport::Tls) if self.config.usim.is_none() => Some(Proposal::Tls),
            _ => self.config.usim.is_some().then(|| self.propose()),
        }
    }

    /// Security-Server of a 401 after `tls` was proposed: what Security-Verify mirrors. `Ok(None)`: there is none, and
    /// none is required.
    pub(super) fn agree_on_tls(&self, message: &Message<'_>) -> Result<Option<Box<str>>, Failure> {
        let elements: Vec<&str> = message.elements(HeaderName::SecurityServer).collect();
        if elements.is_empty() {
            let may_do_without = self.config.sec_agree == SecAgreePolicy::Offered;
            return if may_do_without { Ok(None) } else { Err(Failure::SecurityServerMissing) };
        }
        // It was the only offer, so it is the best of the list that both have.
        let server = message.sound_security(HeaderName::SecurityServer);
        if !server.0.iter().any(|m| m.name.eq_ignore_ascii_case("tls") && !m.params.has("mediasec")) {
            return Err(Failure::NoCommonMechanism);
        }
        Ok(Some(elements.join(", ").into()))
    }

    /// The way without security associations: the TLS session where there is one.
    pub(super) fn clear_route(&self) -> Route {
        let config = &self.config;
        let from = match (config.transport, self.session) {
            (Transport::Udp, _) => config.local,
            (Transport::Tls, Some(local)) => local,
            // A listener has the port itself.
            _ => SocketAddr::new(config.local.ip(), 0),
        };
        Route::sip(config.transport, from, config.pcscf)
    }

    /// Who speaks TLS takes nothing in clear (TS 33.203 clause O.4.1).
    pub(super) fn is_in_clear_beside_tls(&self, packet: &Packet<'_>) -> bool {
        self.config.transport == Transport::Tls && packet.transport != Transport::Tls && packet.sa.is_none()
    }

    /// News of a TLS connection. Call it after the transactions have heard.
    pub(super) fn on_tls_news(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        let Connection { local, remote, transport, state, .. } = *connection;
        if (transport, remote) != (Transport::Tls, self.config.pcscf) {
            return;
        }
        if state == ConnectionState::Opened {
            self.session = Some(local);
            return;
        }
        if self.session.is_some_and(|session| session != local) {
            return;
        }
        self.session = None;
        // TS 33.203 clause O.4.1: what was registered over the session starts anew.
        if state == ConnectionState::Closed && self.registration.is_some() && self.goal == Goal::Registered {
            self.keep_alive = None;
            if !self.is_busy() {
                let cause = "the TLS session has ended".to_owned();
                tell(out, || What::RetryAt { after: Duration::ZERO, cause });
                self.start(now, Goal::Registered, true, out);
            }
        }
    }

    /// Nothing is registered over the TLS session: it is closed (TS 33.203 clauses O.3.1.1 and O.4.1).
    pub(super) fn end_session(&mut self, out: &mut Outbox) {
        if let Some(local) = self.session.take() {
            out.push(Effect::Close { transport: Transport::Tls, local, remote: self.config.pcscf });
        }
    }
}
