//! Requests of the owner: to which peer, to which other one, and how long.

use super::link::Link;
use super::{Node, PeerId, RequestFailure, Side};
use crate::diameter::header::mark_retransmitted;
use crate::diameter::{Header, Writer};
use crate::packet::Outbox;
use crate::time::Instant;

impl<C> Node<C> {
    /// Sends a request to the preferred open peer and keeps it for failover. `write` writes every AVP (Session-Id
    /// first: use [`Node::session_id`]); the header is filled in here. With no open peer the request is kept until one
    /// opens or `request_timeout` is over.
    pub fn request(
        &mut self,
        now: Instant,
        command: u32,
        application: u32,
        context: C,
        out: &mut Outbox,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let to = Destination { link: self.route(None), host: None, command, application };
        self.send(now, to, context, out, write);
    }

    /// Sends a request to the peer whose Origin-Host is `host` (RTR, PPR of an HSS).
    #[expect(clippy::too_many_arguments, reason = "each is one word of the request")]
    pub fn request_to(
        &mut self,
        now: Instant,
        host: &str,
        command: u32,
        application: u32,
        context: C,
        out: &mut Outbox,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<(), RequestFailure> {
        let link = self.route(Some(host)).ok_or(RequestFailure::NoPeer)?;
        let to = Destination { link: Some(link), host: Some(host.into()), command, application };
        self.send(now, to, context, out, write);
        Ok(())
    }

    /// The connection that a request takes now: by host, or the configured peers in order and then anybody.
    pub(super) fn route(&self, host: Option<&str>) -> Option<PeerId> {
        if let Some(host) = host {
            // The newest one: an older connection of the same host may be half gone.
            return self
                .links
                .iter()
                .filter(|(_, link)| link.is_usable() && link.is_host(host))
                .map(|(id, _)| id)
                .last();
        }
        let configured = self.targets.iter().find_map(|target| match target.peer.side {
            Side::Opening => target.link.filter(|id| self.links.get(*id).is_some_and(Link::is_usable)),
            Side::Waiting => self.links.find(|link| link.is_usable() && link.is_accepted_from(&target.peer)),
        });
        configured.or_else(|| self.links.find(|link| link.is_usable()))
    }

    /// Sends the requests that wait for a peer.
    pub(super) fn send_waiting(&mut self, out: &mut Outbox) {
        for id in self.pending.at(None) {
            let host = self.pending.get(id).and_then(|waiting| waiting.host.as_deref());
            if let Some(peer) = self.route(host) {
                self.resend(id, peer, out);
            }
        }
    }

    /// Moves the requests at `peer`, which is not usable any more, to another one (RFC 6733 clause 5.5.4). Where there
    /// is no other, they stay (`gone` false: an answer may yet come) or wait for one.
    pub(super) fn fail_over(&mut self, peer: PeerId, gone: bool, out: &mut Outbox) {
        for id in self.pending.at(Some(peer)) {
            let host = self.pending.get(id).and_then(|waiting| waiting.host.as_deref());
            if let Some(other) = self.route(host) {
                self.resend(id, other, out);
            } else if let Some(waiting) = self.pending.get_mut(id).filter(|_| gone) {
                waiting.link = None;
            }
        }
    }

    fn send(
        &mut self,
        now: Instant,
        to: Destination,
        context: C,
        out: &mut Outbox,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let has_room = to.link.is_some() || self.pending.len() < WAITING_LIMIT;
        let Some(hop_by_hop) = self.pending.next_id().filter(|_| has_room) else {
            self.refused.push(context);
            return;
        };
        let header = Header {
            request: true,
            proxiable: true,
            error: false,
            retransmitted: false,
            command: to.command,
            application: to.application,
            hop_by_hop,
            end_to_end: self.ids.end_to_end(),
        };
        let fill = |buffer: &mut Vec<u8>| {
            let mut w = Writer::new(buffer, &header);
            write(&mut w);
            w.finish();
        };
        let mut message = self.pending.buffer();
        match to.link.and_then(|id| self.links.get(id)) {
            Some(link) => {
                message.extend_from_slice(out.transmit(link.route(), fill));
            }
            None => fill(&mut message),
        }
        let deadline = now + self.config.request_timeout;
        self.pending.insert(deadline, &header, context, to.link, to.host, message);
    }

    /// Sends a kept request; with T, if it may have arrived somewhere before.
    fn resend(&mut self, id: u32, peer: PeerId, out: &mut Outbox) {
        let (Some(waiting), Some(link)) = (self.pending.get_mut(id), self.links.get(peer)) else { return };
        if waiting.sent {
            mark_retransmitted(&mut waiting.message);
        }
        waiting.sent = true;
        waiting.link = Some(peer);
        let message = &waiting.message;
        out.transmit(link.route(), |buffer| buffer.extend_from_slice(message));
    }
}

/// Where a request goes.
struct Destination {
    command: u32,
    application: u32,
    /// `None`: it waits for a peer.
    link: Option<PeerId>,
    /// The only host that may have it.
    host: Option<Box<str>>,
}

/// How many requests may wait for a peer.
const WAITING_LIMIT: usize = 10_000;
