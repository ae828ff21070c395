//! How a UE is told that its request is refused.

use super::Pcscf;
use super::from_core::FromCore;
use super::refusal::Refusal;
use super::tls::MIRROR;
use super::to_ue::Answer;
use crate::event::{Event, Role, What};
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Endpoint, Mod};
use crate::packet::Outbox;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderError, HeaderName, Message};
use crate::time::Instant;
use std::net::SocketAddr;

/// The Security-Server list that a UE has seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    /// That of a set.
    Sas(Endpoint, Algorithms, Mod),
    /// TLS alone.
    Tls,
}

impl Pcscf {
    /// Answers a request of a UE with a refusal.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        server: ServerId,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        self.refuse_with_list(now, source, message, server, refusal, None, out);
    }

    /// The same; `sent` is what Security-Server named before, if the UE has seen one.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each found by somebody else")]
    pub(super) fn refuse_with_list(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        server: ServerId,
        refusal: &Refusal,
        sent: Option<Listed>,
        out: &mut Outbox,
    ) {
        let list = self.list_of(refusal, sent);
        let mut headers = headers_of(list.as_deref());
        if let Refusal::UnknownExtension { tags } = refusal {
            headers.push((HeaderName::Unsupported, tags));
        }
        let answer = Answer::Own { request: message, source, status: refusal.status(), headers: &headers, body: "" };
        self.to_ue.answer(now, server, &answer, out);
        tell(refusal, out);
    }

    /// Answers with a refusal in place of what the core said.
    pub(super) fn refuse_instead(
        &mut self,
        now: Instant,
        server: ServerId,
        response: &FromCore<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let list = self.list_of(refusal, None);
        let headers = headers_of(list.as_deref());
        let answer = Answer::Instead { response, status: refusal.status(), headers: &headers };
        self.to_ue.answer(now, server, &answer, out);
        tell(refusal, out);
    }

    /// 421 and 494 carry our list (RFC 3329 clause 2.3.1): the one that was sent, or one with numbers that nobody has.
    fn list_of(&mut self, refusal: &Refusal, sent: Option<Listed>) -> Option<String> {
        if !matches!(refusal.status(), 421 | 494) {
            return None;
        }
        match sent {
            Some(Listed::Sas(endpoint, algorithms, mode)) => {
                return Some(self.security_server(algorithms, mode, endpoint));
            }
            Some(Listed::Tls) => return Some(MIRROR.to_owned()),
            None => {}
        }
        let mut spi = || Spi(self.random.next_u32() | Spi::FIRST.0);
        let (spi_c, spi_s) = (spi(), spi());
        let endpoint = Endpoint { spi_c, spi_s, port_c: *self.config.port_c.start(), port_s: self.config.port_s };
        let mode = match refusal {
            Refusal::BehindNat { .. } if self.config.carries_tunnels => Mod::UdpEncTun,
            _ => Mod::Trans,
        };
        let list = self.static_list(mode, endpoint);
        Some(match &self.tls {
            Some(tls) => tls.complete(list),
            None => list,
        })
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::Malformed { status: error.status, fault: error.to_string() }
    }
}

fn headers_of(list: Option<&str>) -> Vec<(HeaderName, &str)> {
    let mut headers = Vec::new();
    if let Some(list) = list {
        headers.push((HeaderName::Require, "sec-agree"));
        headers.push((HeaderName::SecurityServer, list));
    }
    headers
}

/// Says why in an event.
pub(super) fn tell(refusal: &Refusal, out: &mut Outbox) {
    out.event(|| Event {
        role: Role::Pcscf,
        what: What::Refused { status: refusal.status(), cause: refusal.cause(), clause: refusal.clause() },
    });
}
