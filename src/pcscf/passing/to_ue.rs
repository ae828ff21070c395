//! Requests of the core for UEs (TS 24.229 clause 5.2.6.4), by the token that our Path or Record-Route holds.

use super::UNDERSTOOD;
use super::names::Token;
use super::rewrite::{Passage, ToUe, is_private};
use crate::ipsec::association::PortPair;
use crate::packet::{Outbox, Packet, Protocol, Route, Transport};
use crate::pcscf::Pcscf;
use crate::pcscf::flow::{FlowKey, Registration};
use crate::pcscf::refusal::Refusal;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::proxy::{Hop, Target};
use crate::sip::transaction::{Incoming, ServerId};
use crate::sip::{HeaderName, Message, Uri};
use crate::time::Instant;
use std::net::SocketAddr;

/// How a UE is reached at this moment.
#[derive(Clone, Copy, Debug)]
pub(in crate::pcscf) struct WayToUe {
    pub(in crate::pcscf) route: Route,
    /// What Via and Record-Route name: port_ps, even where the request leaves from port_pc (field lesson 28).
    pub(in crate::pcscf) here: SocketAddr,
}

impl Pcscf {
    /// A request with a token of ours from a trusted address.
    pub(in crate::pcscf) fn on_request_of_core(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        token: &str,
        out: &mut Outbox,
    ) {
        let incoming = self.to_ue.receive_from_core(now, self.config.core_timers, packet, message, out);
        let server = match incoming {
            // What serves both sides of a call sees its requests twice: merged requests are the matter of user agents.
            Incoming::Request(server) | Incoming::Merged(server) => Some(server),
            Incoming::Ack => None,
            Incoming::Cancel { server, cancelled } => {
                return self.on_cancel(now, packet.from, message, server, cancelled, out);
            }
            _ => return,
        };
        if server.is_some_and(|server| self.sheds(now, message, server, None, out)) {
            return;
        }
        let passed = match Token::read(token, &self.hasher) {
            Token::Forged => Err(Refusal::ForgedToken),
            Token::Outdated => Err(Refusal::FlowGone),
            Token::Genuine(flow) => self.pass_to_ue(now, message, server, flow, out),
        };
        if let (Err(refusal), Some(server)) = (passed, server) {
            self.refuse(now, packet.from, message, server, &refusal, out);
        }
    }

    fn pass_to_ue(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        server: Option<ServerId>,
        flow: FlowKey,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        message.check()?;
        let names = &self.names;
        let mut request = self.proxy.read(message, |uri| names.is_own(uri), &UNDERSTOOD)?;
        while let Some(top) = request.routes.first().and_then(|r| NameAddr::parse(HeaderName::Route, r).ok())
            && names.is_own(&top.uri)
        {
            request.routes.remove(0);
        }
        let wants_tcp = Uri::parse(request.uri)
            .is_ok_and(|uri| uri.params.value("transport").is_some_and(|t| t.eq_ignore_ascii_case("tcp")));
        let way = self.way_to_ue(now, flow, wants_tcp).filter(|_| !self.is_silent(flow)).ok_or(Refusal::FlowGone)?;
        let record_route =
            request.makes_dialog().then(|| self.record_route(flow, (way.here, way.route.transport), true));
        let sent_by = way.here.to_string();
        let hop = Hop { route: way.route, may_switch: true, sent_by: &sent_by, timers: self.config.gm_timers };
        let target = Target { uri: request.uri, routes: &request.routes, record_route: record_route.as_deref(), hop };
        let rewrite = ToUe { is_private: is_private(message) };
        let Some(server) = server else {
            self.proxy.forward_ack(out, &request, &target, &rewrite);
            return Ok(());
        };
        let passage = Passage::ToUe { identity: self.called(message, flow).into(), charging: self.charged(message) };
        let context = self.proxy.open(server, &request, passage);
        self.proxy.forward(&mut self.to_ue.io(now, out), context, &request, &target, &rewrite);
        Ok(())
    }

    /// The way to a registered UE: over UDP from port_pc to port_us, over TCP on a connection between the same ports
    /// (TS 24.229 clause 5.2.6.4; field lessons 25, 26 and 29); without SAs where its REGISTER came from.
    pub(in crate::pcscf) fn way_to_ue(&self, now: Instant, flow: FlowKey, wants_tcp: bool) -> Option<WayToUe> {
        if !self.books.is_registered(flow) {
            return None;
        }
        let Some(set) = self.books.towards(now, flow) else {
            let route = self.books.way_in_clear(flow)?;
            return Some(WayToUe { route, here: route.from });
        };
        let here = self.books.address(set);
        let transport = if wants_tcp { Transport::Tcp } else { Transport::Udp };
        let route = Route {
            from: SocketAddr::new(here, set.port_c),
            to: SocketAddr::new(set.ue_address, set.ue.port_s),
            transport,
            protocol: Protocol::Sip,
            sa: Some(set.sa(PortPair::UsPc)),
        };
        Some(WayToUe { route, here: SocketAddr::new(here, self.config.port_s) })
    }

    /// Who is called (TS 24.229 clause 5.2.6.4.4): P-Called-Party-ID if it is registered, else the default identity.
    fn called(&self, message: &Message<'_>, flow: FlowKey) -> String {
        let all = self.books.registrations(flow);
        let called = message.header(HeaderName::PCalledPartyId);
        if let Some(Ok(called)) = called.map(|value| NameAddr::parse(HeaderName::PCalledPartyId, value)) {
            let mut identity = String::new();
            called.uri.canonical(&mut identity);
            if all.iter().any(|r| r.holds(&identity)) {
                return identity;
            }
        }
        all.iter().flat_map(Registration::identities).next().unwrap_or_default()
    }

    /// P-Charging-Vector of the responses: that of the request and our `term-ioi` (TS 24.229 clause 5.2.6.4.4).
    fn charged(&self, message: &Message<'_>) -> Box<str> {
        match message.header(HeaderName::PChargingVector) {
            Some(vector) if message.charging_vector().is_ok_and(|v| v.is_some_and(|v| v.term_ioi.is_none())) => {
                format!("{vector}{}", self.texts.term_ioi).into()
            }
            vector => vector.unwrap_or_default().into(),
        }
    }
}
