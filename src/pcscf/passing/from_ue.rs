//! Requests of registered UEs (TS 24.229 clause 5.2.6.3).

use super::restoration::Initial;
use super::rewrite::{FromUe, Passage};
use super::{Sender, UNDERSTOOD, next_uri};
use crate::packet::{Outbox, Route};
use crate::pcscf::Pcscf;
use crate::pcscf::flow::{FlowKey, Registration};
use crate::pcscf::refusal::Refusal;
use crate::sip::destination::resolve;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::message::elements;
use crate::sip::proxy::{Hop, Received, Target};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Method, Uri};
use crate::time::Instant;
use std::net::SocketAddr;

impl Pcscf {
    /// Passes a request on to the core. `server`: `None` for the ACK of a 2xx, which nobody answers.
    pub(in crate::pcscf) fn on_request_of_ue(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        server: Option<ServerId>,
        sender: Sender,
        out: &mut Outbox,
    ) {
        if let Err(refusal) = self.pass_to_core(now, message, server, sender, out)
            && let Some(server) = server
        {
            self.refuse(now, sender.source, message, server, &refusal, out);
        }
    }

    fn pass_to_core(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        server: Option<ServerId>,
        sender: Sender,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let names = &self.names;
        let mut request = self.proxy.read(message, |uri| names.is_own(uri), &UNDERSTOOD)?;
        let service_route = self.books.registrations(sender.flow).first().map(Registration::service_route);
        let service_route = service_route.ok_or(Refusal::NotRegistered)?;
        let in_dialog = request.is_in_dialog() || server.is_none();
        // TS 24.229 clause 5.2.6.3: 400, or the right Route in place of a wrong one. There are UEs that send their
        // Service-Route within dialogs too: it is known here, and leads to the S-CSCF as well.
        let is_service_route =
            !request.routes.is_empty() && request.routes.iter().copied().eq(elements(&service_route));
        let routes: Vec<&str> = if in_dialog && !is_service_route {
            self.recorded(&mut request, sender.flow)?;
            request.routes.clone()
        } else {
            // TS 24.229 clause 5.2.6.3.3: what the UE gives for it counts nothing.
            elements(&service_route).collect()
        };
        let route = self.way_to_core(next_uri(&routes, request.uri)).ok_or(Refusal::CoreSilent)?;
        let ue_side = match sender.over {
            Some(_) => SocketAddr::new(sender.here.ip(), self.config.port_s),
            None => sender.here,
        };
        let record_route =
            request.makes_dialog().then(|| self.record_route(sender.flow, (ue_side, sender.transport), false));
        let identity = self.asserted(message, sender.flow);
        let icid = self.random.token::<20>();
        let hop = Hop { route, may_switch: true, sent_by: &self.texts.sent_by, timers: self.config.core_timers };
        let target = Target { uri: request.uri, routes: &routes, record_route: record_route.as_deref(), hop };
        let mut rewrite = FromUe::new(message, sender.source, &self.texts);
        let Some(server) = server else {
            self.proxy.forward_ack(out, &request, &target, &rewrite);
            return Ok(());
        };
        rewrite.identity = Some(&identity);
        rewrite.icid = (!in_dialog).then_some(icid.as_str());
        let token = sender.flow.token(&self.hasher);
        let token = std::str::from_utf8(&token).expect("characters of an alphabet");
        let initial = (!in_dialog).then(|| {
            let path = format!("<sip:{token}{}", self.texts.path.trim_ascii_end()).into();
            Box::new(Initial { request: message.bytes().into(), source: sender.source, path })
        });
        let context = self.proxy.open(server, &request, Passage::FromUe { is_private: false, initial });
        self.proxy.forward(&mut self.to_ue.io(now, out), context, &request, &target, &rewrite);
        Ok(())
    }

    /// Within a dialog the Route is what was recorded: our element for the core follows that for the UE, and names the
    /// sender itself. Both are taken out.
    fn recorded(&self, request: &mut Received<'_, '_>, flow: FlowKey) -> Result<(), Refusal> {
        let token = flow.token(&self.hasher);
        let names_sender = |uri: &Uri<'_>| uri.user.is_some_and(|user| user.as_bytes() == token);
        let mut is_recorded = request.own.as_ref().is_some_and(names_sender);
        while let Some(top) = request.routes.first().and_then(|r| NameAddr::parse(HeaderName::Route, r).ok())
            && self.names.is_own(&top.uri)
        {
            is_recorded |= names_sender(&top.uri);
            request.routes.remove(0);
        }
        if is_recorded { Ok(()) } else { Err(Refusal::ForeignRoute) }
    }

    /// Where the core is: where the URI says, or the entry point of the home network where its host is not known.
    fn way_to_core(&self, uri: &str) -> Option<Route> {
        let listen: Vec<SocketAddr> = std::iter::once(self.config.core).chain(self.config.listen.clone()).collect();
        let uri = Uri::parse(uri).ok()?;
        match resolve(&uri, &self.config.hosts, &listen, self.config.core_transport) {
            Some((route, _)) => Some(route),
            None => self.config.next_hops.first().map(|&hop| self.core_route(hop)),
        }
    }

    /// P-Asserted-Identity (TS 24.229 clause 5.2.6.3.1): what the UE prefers if it is registered, else the default.
    fn asserted(&self, message: &Message<'_>, flow: FlowKey) -> String {
        let all = self.books.registrations(flow);
        if message.method() != Some(Method::Ack) {
            for preferred in message.name_addrs(HeaderName::PPreferredIdentity).unwrap_or_default() {
                let mut identity = String::new();
                preferred.uri.canonical(&mut identity);
                if all.iter().any(|r| r.holds(&identity)) {
                    return identity;
                }
            }
        }
        all.iter().flat_map(Registration::identities).next().unwrap_or_default()
    }
}
