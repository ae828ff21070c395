//! An open connection: watchdog, disconnection, loss, and the next attempt.

use super::handshake::SUCCESS;
use super::link::State;
use super::node::Timer;
use super::watchdog::{Answered, Expired};
use super::{Node, PeerId, RequestFailure};
use crate::diameter::dictionary as d;
use crate::diameter::{Avps, Fault, Header, Writer};
use crate::event::What;
use crate::packet::{Effect, Outbox};
use crate::time::{Duration, Instant};

impl<C> Node<C> {
    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        if !self.refused.is_empty() {
            return Some(Instant::ZERO);
        }
        match (self.timers.next(), self.pending.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Runs the timers that are due: watchdog, reconnection, requests without answer (to `failed`).
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox, failed: &mut Vec<(C, RequestFailure)>) {
        failed.extend(self.refused.drain(..).map(|context| (context, RequestFailure::NoPeer)));
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Link(peer) => self.link_expired(now, peer, out),
                Timer::Target(target) => self.retry(now, target, out),
            }
        }
        while let Some(waiting) = self.pending.take_expired(now) {
            let why = if waiting.sent { RequestFailure::Timeout } else { RequestFailure::NoPeer };
            failed.push((waiting.context, why));
        }
    }

    /// Sends DPR (REBOOTING) to every open peer, for an orderly stop.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        self.stopping = true;
        let peers: Vec<(PeerId, bool)> = self.links.iter().map(|(peer, link)| (peer, link.is_open())).collect();
        for (peer, open) in peers {
            if open {
                let hop_by_hop = self.ids.base_hop_by_hop();
                let header = self.base_request(d::DISCONNECT_PEER, hop_by_hop);
                self.transmit(peer, &header, out, |w| {
                    self.write_origin(w);
                    w.u32(d::DISCONNECT_CAUSE, 0, true, REBOOTING);
                });
                self.set_closing(now, peer);
            } else {
                self.close(now, peer, "stopped", out);
            }
        }
    }

    /// A message of the base protocol on an open connection.
    pub(super) fn receive_base(
        &mut self,
        now: Instant,
        peer: PeerId,
        header: &Header,
        message: &[u8],
        out: &mut Outbox,
    ) {
        match (header.command, header.request) {
            (d::CAPABILITIES_EXCHANGE, true) => self.receive_cer(now, peer, header, message, out),
            (d::DEVICE_WATCHDOG | d::DISCONNECT_PEER, true) => {
                if let Err(fault) = Avps::of(message).check() {
                    return self.refuse(peer, header, &fault, message, out);
                }
                self.transmit(peer, &header.answer(false), out, |w| {
                    w.u32(d::RESULT_CODE, 0, true, SUCCESS);
                    self.write_origin(w);
                });
                if header.command == d::DISCONNECT_PEER {
                    // Whoever asked closes; our requests go elsewhere meanwhile.
                    self.set_closing(now, peer);
                    self.fail_over(peer, false, out);
                }
            }
            (d::DEVICE_WATCHDOG, false) => self.receive_dwa(peer, header, out),
            (_, true) => self.refuse(peer, header, &Fault::new(3001, "command not supported"), message, out),
            (_, false) => {}
        }
    }

    /// Sends a DWR, and waits for exactly its answer.
    pub(super) fn send_dwr(&mut self, peer: PeerId, out: &mut Outbox) {
        let hop_by_hop = self.ids.base_hop_by_hop();
        let header = self.base_request(d::DEVICE_WATCHDOG, hop_by_hop);
        self.transmit(peer, &header, out, |w| self.write_origin_and_state(w));
        if let Some(State::Open(watchdog)) = self.links.get_mut(peer).map(|link| &mut link.state) {
            watchdog.asked(hop_by_hop);
        }
    }

    /// Closes a connection, and does what its loss asks for.
    pub(super) fn close(&mut self, now: Instant, peer: PeerId, why: &'static str, out: &mut Outbox) {
        if let Some(link) = self.links.get(peer) {
            out.push(Effect::Close { transport: link.transport, local: link.local, remote: link.remote });
        }
        self.lose(now, peer, why, out);
    }

    /// A connection is gone: its requests go elsewhere, a configured peer is tried again later.
    pub(super) fn lose(&mut self, now: Instant, peer: PeerId, why: &'static str, out: &mut Outbox) {
        let Some(link) = self.links.remove(peer) else { return };
        let (was_open, was_closing) = (link.is_open(), link.state == State::Closing);
        if was_open || link.target.is_some() {
            self.event(out, || What::PeerDown { host: link.name(), cause: why.into() });
        }
        if let Some(at) = link.target {
            let target = &mut self.targets[at];
            target.link = None;
            target.lost |= was_open;
            let back_off = FIRST_RETRY.saturating_mul(1 << target.failures.min(10)).min(self.config.reconnect);
            // After DPR, never at once (RFC 6733 clause 5.4).
            let wait = if was_closing { self.config.reconnect } else { back_off };
            target.failures = target.failures.saturating_add(1);
            self.retry_at(at, now + wait);
            if let State::AwaitingCea { .. } = link.state {
                let host = self.targets[at].host.clone();
                self.resume_election(now, &host, out);
            }
        }
        self.fail_over(peer, true, out);
    }

    /// Tw with its jitter of two seconds to either side (RFC 3539 clause 3.4.1).
    pub(super) fn watchdog_interval(&mut self) -> Duration {
        let jitter = Duration::from_millis(self.random.below(4_001).into());
        self.config.watchdog + jitter - Duration::from_secs(2)
    }

    /// The header of a CER, DWR or DPR.
    pub(super) const fn base_request(&mut self, command: u32, hop_by_hop: u32) -> Header {
        Header {
            request: true,
            proxiable: false,
            error: false,
            retransmitted: false,
            command,
            application: d::BASE,
            hop_by_hop,
            end_to_end: self.ids.end_to_end(),
        }
    }

    fn receive_dwa(&mut self, peer: PeerId, header: &Header, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(peer) else { return };
        let State::Open(watchdog) = &mut link.state else { return };
        match watchdog.answered(header.hop_by_hop) {
            Answered::AsBefore => {}
            Answered::Usable => {
                let host = link.name();
                self.event(out, || What::PeerOpen { host });
                self.send_waiting(out);
            }
            // Waiting for Tw guards against moving requests to and fro between two peers. Where this one is the only
            // one, the DWRs follow each other.
            Answered::NotYet if self.route(None).is_none() => self.send_dwr(peer, out),
            Answered::NotYet => {}
        }
    }

    fn link_expired(&mut self, now: Instant, peer: PeerId, out: &mut Outbox) {
        let Some(link) = self.links.get_mut(peer).filter(|link| link.deadline <= now) else { return };
        let due = link.heard + link.interval;
        match &mut link.state {
            State::AwaitingConnection => {}
            State::Open(watchdog) if due > now && !watchdog.is_reopening() => self.arm(peer, due),
            State::Open(watchdog) => {
                match watchdog.expired() {
                    Expired::Ask => self.send_dwr(peer, out),
                    Expired::Failover => {
                        let host = link.name();
                        self.event(out, || What::PeerDown { host, cause: "no answer to DWR".into() });
                        self.fail_over(peer, false, out);
                    }
                    Expired::Wait => {}
                    Expired::Close => return self.close(now, peer, "no answer to DWR", out),
                }
                let interval = self.watchdog_interval();
                if let Some(link) = self.links.get_mut(peer) {
                    link.interval = interval;
                }
                self.arm(peer, now + interval);
            }
            State::AwaitingCea { .. } => self.close(now, peer, "no CEA", out),
            State::AwaitingCer | State::AwaitingElection { .. } => self.close(now, peer, "no CER", out),
            State::Closing => self.close(now, peer, "disconnected", out),
        }
    }

    fn retry(&mut self, now: Instant, at: usize, out: &mut Outbox) {
        let target = &self.targets[at];
        if self.stopping || target.link.is_some() || target.retry_at.is_none_or(|due| due > now) {
            return;
        }
        if self.is_open_to(at) {
            // The peer connected to us: look again later.
            return self.retry_at(at, now + self.config.reconnect);
        }
        self.targets[at].retry_at = None;
        self.connect(at, out);
    }

    fn retry_at(&mut self, target: usize, at: Instant) {
        self.targets[target].retry_at = Some(at);
        self.timers.at(at, Timer::Target(target));
    }

    fn set_closing(&mut self, now: Instant, peer: PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.state = State::Closing;
            self.arm(peer, now + CLOSING_TIMEOUT);
        }
    }

    fn write_origin(&self, w: &mut Writer<'_>) {
        w.octets(d::ORIGIN_HOST, 0, true, self.config.origin_host.as_bytes());
        w.octets(d::ORIGIN_REALM, 0, true, self.config.origin_realm.as_bytes());
    }

    fn write_origin_and_state(&self, w: &mut Writer<'_>) {
        self.write_origin(w);
        w.u32(d::ORIGIN_STATE_ID, 0, true, self.ids.started);
    }
}

/// The first wait before a lost peer is tried again; each attempt doubles it, Tc is the limit.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// How long the other side may take to answer DPR, or to close after it.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);
/// Disconnect-Cause.
const REBOOTING: u32 = 0;
