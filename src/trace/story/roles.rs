//! Who is who, from what they send (TS 23.228 clause 5.2, TS 29.228 clause 6).
//!
//! Content comes first, since all elements of a core may share an address: a REGISTER has one Via more at each element
//! that it has passed, and each Diameter command has one who asks. What this shows of addresses and ports then names the
//! ends of other messages.

use super::exchange::ExchangeData;
use super::journey::JourneyData;
use super::message::Parsed;
use super::names;
use super::record::Record;
use super::role::{Interface, Known, Roles};
use crate::cx::{Mar, Sar, Uar};
use crate::event::Role;
use crate::ladder::asks;
use crate::sip::header::contact::Contacts;
use crate::sip::{HeaderName, Message, Method, NameSet, Uri};
use crate::trace::{Ends, Protection};
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// What a P-CSCF adds to a request (TS 24.229 clause 5.2.2.1), for those whose Vias were removed on the way.
pub(super) const BEHIND_PCSCF: NameSet = NameSet::of(&[HeaderName::Path, HeaderName::PVisitedNetworkId]);

/// What no UE sends.
const OF_THE_NETWORK: NameSet = NameSet::of(&[
    HeaderName::PAssertedIdentity,
    HeaderName::PChargingVector,
    HeaderName::PVisitedNetworkId,
    HeaderName::RecordRoute,
]);

/// Client and server of a Cx command.
pub(super) const fn of_command(command: u32) -> Option<(Role, Role)> {
    asks(command)
}

/// Names both ends of every exchange.
pub(super) fn assign(
    records: &[Record],
    parsed: &[Parsed<'_>],
    exchanges: &mut [ExchangeData],
    journeys: &[JourneyData],
    known: &Known,
) {
    let mut roles = Assignment {
        records,
        parsed,
        known: known.clone(),
        hosts: HashMap::default(),
        ue: Ue::default(),
        sees_core: exchanges.iter().any(|exchange| exchange.interface_of_kind() == Some(Interface::Cx)),
    };
    let mut ends: Vec<Option<Pair>> =
        exchanges.iter().map(|exchange| roles.by_content(exchange, exchanges, journeys)).collect();
    let (of_ue, others): (Vec<usize>, Vec<usize>) =
        (0..exchanges.len()).partition(|index| ends[*index].is_some_and(|(client, _)| client == Some(Role::Ue)));
    for index in of_ue.into_iter().chain(others) {
        if roles.is_third_party_at_ue(&exchanges[index]) {
            ends[index] = Some(GM_DOWN);
        }
        if let Some((client, server)) = ends[index] {
            roles.learn(&exchanges[index], client, server);
        }
    }
    if roles.ue.ends.is_empty() {
        exchanges.iter().for_each(|exchange| roles.learn_call(exchange));
    }
    for index in 0..exchanges.len() {
        let found = ends[index].unwrap_or_else(|| roles.of_other(&exchanges[index], exchanges, journeys));
        (exchanges[index].client, exchanges[index].server) = found;
    }
}

struct Assignment<'p, 'a> {
    records: &'p [Record],
    parsed: &'p [Parsed<'a>],
    known: Known,
    /// Roles by the names that elements give themselves.
    hosts: HashMap<String, Roles, RandomState>,
    ue: Ue,
    /// The trace shows more than Gm.
    sees_core: bool,
}

/// The ends of the UE.
#[derive(Default)]
struct Ue {
    ends: HashSet<SocketAddr, RandomState>,
    /// SPIs of what comes in at it, and at the P-CSCF.
    spis: (HashSet<u32, RandomState>, HashSet<u32, RandomState>),
    /// Host and port of its contacts.
    contacts: HashSet<SocketAddr, RandomState>,
}

type Pair = (Option<Role>, Option<Role>);

impl<'p> Assignment<'p, '_> {
    /// REGISTER and Diameter.
    fn by_content(&mut self, exchange: &ExchangeData, all: &[ExchangeData], journeys: &[JourneyData]) -> Option<Pair> {
        let first = exchange.messages[0];
        match &self.parsed[first] {
            Parsed::Diameter(header) => {
                let cx = exchange.interface_of_kind() == Some(Interface::Cx);
                let (client, server) = of_command(header.command).filter(|_| cx)?;
                Some((Some(client), Some(server)))
            }
            Parsed::Sip(sip, _) if names::method(sip) == Some(Method::Register) && sip.via().is_ok() => {
                let journey = &journeys[exchange.journey];
                let pair = self.register(exchange, sip, journey, all);
                self.sees_core |= pair.0 != Some(Role::Ue);
                Some(pair)
            }
            _ => None,
        }
    }

    fn register(
        &self,
        exchange: &ExchangeData,
        sip: &Message<'_>,
        journey: &JourneyData,
        all: &[ExchangeData],
    ) -> Pair {
        if names::is_third_party(sip) {
            return (Some(Role::Scscf), Some(Role::ApplicationServer));
        }
        match self.depth(exchange, journey, all) {
            0 | 1 => (Some(Role::Ue), Some(Role::Pcscf)),
            2 => (Some(Role::Pcscf), Some(self.entry(exchange, journey, all))),
            3 => (Some(Role::Icscf), Some(Role::Scscf)),
            _ => (None, Some(Role::Scscf)),
        }
    }

    /// Whom the P-CSCF sends a REGISTER to: an I-CSCF, unless what it does is the work of an S-CSCF.
    fn entry(&self, exchange: &ExchangeData, journey: &JourneyData, all: &[ExchangeData]) -> Role {
        let goes_on = journey.hops.iter().any(|hop| self.depth(&all[*hop], journey, all) == 3);
        let asked = |command: u32| {
            journey.diameter.iter().any(|index| match &self.parsed[all[*index].messages[0]] {
                Parsed::Diameter(header) => header.command == command,
                _ => false,
            })
        };
        let at_address = || self.server_end(exchange).and_then(|end| self.known.at(end)).and_then(Roles::only);
        match () {
            () if goes_on || asked(Uar::COMMAND) => Role::Icscf,
            () if asked(Mar::COMMAND) || asked(Sar::COMMAND) => Role::Scscf,
            () => at_address().filter(|role| *role == Role::Scscf).unwrap_or(Role::Icscf),
        }
    }

    /// How many elements a REGISTER has passed. Where one has left out the Vias of others, it is one more than it had passed
    /// when it came to that one.
    fn depth(&self, exchange: &ExchangeData, journey: &JourneyData, all: &[ExchangeData]) -> usize {
        if self.is_from_ue(exchange, journey, all) {
            return 1;
        }
        // Vias that the UE itself has written do not count.
        let hops = || journey.hops.iter().map(|hop| &all[*hop]);
        let first = hops().next().filter(|first| self.vias(first) > 1 && self.is_from_ue(first, journey, all));
        let written = first.map_or(0, |first| self.vias(first) - 1);
        let own = self.depth_by_vias(exchange).saturating_sub(written).max(1);
        let came = journey.hops.iter().map(|hop| &all[*hop]).filter(|hop| {
            hop.messages[0] < exchange.messages[0]
                && self.vias(hop) > self.vias(exchange)
                && self.server_end(hop).zip(self.client_end(exchange)).is_some_and(|(a, b)| a.ip() == b.ip())
                && !self.has_passed(exchange, hop)
        });
        came.map(|hop| self.depth_by_vias(hop) + 1).max().map_or(own, |depth| depth.max(own))
    }

    /// True for a REGISTER that no P-CSCF can have sent, whatever Vias or Path it has: over SAs, which are between UE and
    /// P-CSCF only, or with an offer of such, which ends at the P-CSCF (TS 24.229 clause 5.2.2.2), and from no address
    /// that it came to before.
    fn is_from_ue(&self, exchange: &ExchangeData, journey: &JourneyData, all: &[ExchangeData]) -> bool {
        let Some(request) = exchange.request else { return false };
        if matches!(self.records[request].protection, Protection::Esp(_) | Protection::Set(_)) {
            return true;
        }
        let Some(sip) = self.parsed[request].sip().filter(|sip| sip.header(HeaderName::SecurityClient).is_some())
        else {
            return false;
        };
        let is_marked =
            || self.parsed[request].credentials().is_some_and(|digest| digest.integrity_protected.is_some());
        let is_passed_on = || {
            let before = journey.hops.iter().map(|hop| &all[*hop]).filter(|hop| hop.messages[0] < exchange.messages[0]);
            let mut ends = before.map(|hop| self.server_end(hop).zip(self.client_end(exchange)));
            ends.any(|ends| ends.is_none_or(|(server, client)| server.ip() == client.ip()))
        };
        (names::vias(sip) > 1 || sip.has_any(BEHIND_PCSCF)) && !is_marked() && !is_passed_on()
    }

    /// True where the Via on top of one is among those of the other: both are of one way, in whatever order.
    fn has_passed(&self, exchange: &ExchangeData, other: &ExchangeData) -> bool {
        let (Some(one), Some(other)) = (self.first_sip(exchange), self.first_sip(other)) else { return true };
        let mut vias = other.elements(HeaderName::Via);
        one.elements(HeaderName::Via).next().is_none_or(|top| vias.any(|via| via == top))
    }

    fn first_sip(&self, exchange: &ExchangeData) -> Option<&'p Message<'p>> {
        let parsed: &'p [Parsed<'_>] = self.parsed;
        parsed[exchange.messages[0]].sip()
    }

    /// True for a REGISTER about somebody else that goes to the UE (TS 24.229 clause 5.4.1.7: it goes nowhere but to an
    /// application server).
    fn is_third_party_at_ue(&self, exchange: &ExchangeData) -> bool {
        let is_at = |end: Option<SocketAddr>| end.is_some_and(|end| self.ue.ends.contains(&end));
        let sip = self.first_sip(exchange).filter(|sip| sip.status().is_none());
        sip.is_some_and(names::is_about_another)
            && is_at(self.server_end(exchange))
            && !is_at(self.client_end(exchange))
    }

    fn depth_by_vias(&self, exchange: &ExchangeData) -> usize {
        let Some(sip) = self.parsed[exchange.messages[0]].sip() else { return 0 };
        let vias = names::vias(sip);
        let request = exchange.request.and_then(|request| self.parsed[request].sip());
        if request.is_some_and(|sip| sip.has_any(BEHIND_PCSCF)) { vias.max(2) } else { vias }
    }

    /// Notes the ends of a REGISTER or a Cx command.
    fn learn(&mut self, exchange: &ExchangeData, client: Option<Role>, server: Option<Role>) {
        for (end, role) in [(self.client_end(exchange), client), (self.server_end(exchange), server)] {
            match (end, role) {
                (Some(end), Some(Role::Ue)) => {
                    self.ue.ends.insert(end);
                }
                (Some(end), Some(role)) => self.known.note(end, role),
                _ => {}
            }
        }
        self.learn_names(exchange, client, server);
        if client != Some(Role::Ue) {
            return;
        }
        for index in &exchange.messages {
            let (records, parsed): (&'p [Record], &'p [Parsed<'_>]) = (self.records, self.parsed);
            let Some(sip) = parsed[*index].sip() else { continue };
            let sender = records[*index].ends.map(|ends| ends.from.ip());
            self.learn_agreement(sip, sender);
            if sip.status().is_none()
                && let Ok(Contacts::List(contacts)) = sip.contacts()
            {
                let uris = contacts.iter().map(|contact| &contact.address.uri);
                self.ue
                    .contacts
                    .extend(uris.filter_map(|uri| Some(SocketAddr::new(uri.ip()?, uri.port.unwrap_or(5060)))));
            }
        }
    }

    /// Where the trace shows no REGISTER: a UE sends from its Contact what nobody has passed before, and without what a
    /// network puts in; it is sent to at its Contact, and answers from there.
    fn learn_call(&mut self, exchange: &ExchangeData) {
        let (Some(client), Some(server)) = (self.client_end(exchange), self.server_end(exchange)) else { return };
        let parsed: &'p [Parsed<'_>] = self.parsed;
        let sips = || exchange.messages.iter().filter_map(|index| parsed[*index].sip());
        let Some(request) = sips().find(|sip| sip.status().is_none()) else { return };
        let contact_is = |sip: &Message<'_>, end: SocketAddr| match sip.contacts() {
            Ok(Contacts::List(contacts)) => contacts.iter().any(|contact| contact.address.uri.ip() == Some(end.ip())),
            _ => false,
        };
        let target = request.request_uri().and_then(|uri| Uri::parse(uri).ok()).and_then(|uri| uri.ip());
        match names::vias(request) {
            0 => {}
            1 if !request.has_any(OF_THE_NETWORK) && contact_is(request, client) => {
                self.ue.ends.insert(client);
            }
            1 => {}
            _ if target == Some(server.ip())
                && sips().any(|sip| sip.status().is_some_and(|status| status < 300) && contact_is(sip, server)) =>
            {
                self.ue.ends.insert(server);
            }
            _ => {}
        }
    }

    /// Via names who sends, the Request-URI of a REGISTER behind the I-CSCF whom it is for, Path the P-CSCF, Service-Route
    /// the S-CSCF.
    fn learn_names(&mut self, exchange: &ExchangeData, client: Option<Role>, server: Option<Role>) {
        let parsed: &'p [Parsed<'_>] = self.parsed;
        for sip in exchange.messages.iter().filter_map(|index| parsed[*index].sip()) {
            if let (Some(role), Ok(via)) = (client.filter(|role| *role != Role::Ue), sip.via()) {
                self.learn_name(via.host, via.port, role);
            }
            let uri = sip.request_uri().and_then(|uri| Uri::parse(uri).ok());
            if let Some(role @ (Role::Scscf | Role::ApplicationServer)) = server
                && client != Some(Role::Pcscf)
                && let Some(uri) = uri
            {
                self.learn_name(uri.host, uri.port, role);
            }
            for (name, role) in [(HeaderName::Path, Role::Pcscf), (HeaderName::ServiceRoute, Role::Scscf)] {
                for uri in sip.name_addrs(name).unwrap_or_default().iter().map(|address| &address.uri) {
                    self.learn_name(uri.host, uri.port, role);
                }
            }
        }
    }

    fn learn_name(&mut self, host: &str, port: Option<u16>, role: Role) {
        for port in [port, None] {
            self.hosts.entry(name_of(host, port)).or_default().add(role);
        }
    }

    /// The only role of a name with its port, else of the name.
    fn role_of_name(&self, host: &str, port: Option<u16>) -> Option<Role> {
        let of = |port| self.hosts.get(&name_of(host, port)).copied().and_then(Roles::only);
        of(port).or_else(|| of(None))
    }

    fn learn_agreement(&mut self, sip: &Message<'_>, sender: Option<IpAddr>) {
        let is_ue = sip.status().is_none();
        let name = if is_ue { HeaderName::SecurityClient } else { HeaderName::SecurityServer };
        if sip.header(name).is_none() {
            return;
        }
        for element in sip.sound_security(name).0 {
            let spis = if is_ue { &mut self.ue.spis.0 } else { &mut self.ue.spis.1 };
            spis.extend([element.spi_c, element.spi_s].into_iter().flatten());
            for port in [element.port_c, element.port_s].into_iter().flatten() {
                let Some(end) = sender.map(|ip| SocketAddr::new(ip, port)) else { continue };
                if is_ue {
                    self.ue.ends.insert(end);
                } else {
                    self.known.note(end, Role::Pcscf);
                }
            }
        }
    }

    /// Everything but REGISTER and Cx.
    fn of_other(&self, exchange: &ExchangeData, all: &[ExchangeData], journeys: &[JourneyData]) -> Pair {
        let first = exchange.messages[0];
        let (client, server) = (self.client_end(exchange), self.server_end(exchange));
        let is_of_ue = |end: Option<SocketAddr>| end.is_some_and(|end| self.ue.ends.contains(&end));
        let ue_is_client = is_of_ue(client) || self.spi_is(exchange, true);
        let ue_is_server = is_of_ue(server) || self.spi_is(exchange, false);
        if ue_is_client != ue_is_server {
            return if ue_is_client { GM } else { GM_DOWN };
        }
        if exchange.messages.iter().any(|index| matches!(self.records[*index].protection, Protection::Esp(_))) {
            return self.behind_esp(first);
        }
        let role = |end: Option<SocketAddr>| end.and_then(|end| self.known.role(end));
        let sip = self.parsed[first].sip();
        let by_via = || sip.and_then(|sip| sip.via().ok()).and_then(|via| self.role_of_name(via.host, via.port));
        let (client, server) = (role(client).or_else(by_via), role(server));
        match (client, server, sip) {
            (Some(client), Some(server), _) if client != server => (Some(client), Some(server)),
            (client, server, None) => (client, server),
            (_, _, Some(sip)) => {
                let (by_client, by_server) = self.by_vias(exchange, sip, all, &journeys[exchange.journey]);
                let fits = |known: Option<Role>, found: Option<Role>| known.is_none() || known == found;
                if fits(client, by_client) && fits(server, by_server) {
                    (by_client, by_server)
                } else {
                    (client, server)
                }
            }
        }
    }

    /// SAs are between UE and P-CSCF only; a UE sends what nobody has passed before.
    fn behind_esp(&self, first: usize) -> Pair {
        let sip = self.parsed[first].sip();
        let is_from_ue = |sip: &Message<'_>| names::vias(sip) == 1 && names::method(sip) != Some(Method::Notify);
        match sip {
            Some(sip) if is_from_ue(sip) => GM,
            // It was cut before it tells whom it has passed.
            Some(sip) if names::vias(sip) == 0 => (None, None),
            Some(_) => GM_DOWN,
            None => (None, None),
        }
    }

    /// What Vias and method tell where addresses tell nothing.
    fn by_vias(&self, exchange: &ExchangeData, sip: &Message<'_>, all: &[ExchangeData], journey: &JourneyData) -> Pair {
        let deepest = journey.hops.iter().map(|hop| self.vias(&all[*hop])).max().unwrap_or(0);
        let vias = self.vias(exchange);
        let contact = sip.request_uri().and_then(|uri| Uri::parse(uri).ok());
        let contact = contact.and_then(|uri| Some(SocketAddr::new(uri.ip()?, uri.port.unwrap_or(5060))));
        let is_for_ue = contact.is_some_and(|contact| self.ue.contacts.contains(&contact))
            || names::method(sip) == Some(Method::Notify);
        match (is_for_ue, vias) {
            // The notifier, then the P-CSCF.
            (true, vias) if vias == deepest && (vias > 1 || !self.sees_core) => GM_DOWN,
            (true, 1) => (Some(Role::Scscf), Some(Role::Pcscf)),
            (true, _) => (None, None),
            (false, 1) if self.records[exchange.messages[0]].ends.is_none() => GM,
            (false, 2) => (Some(Role::Pcscf), Some(Role::Scscf)),
            (false, _) => (None, None),
        }
    }

    fn vias(&self, exchange: &ExchangeData) -> usize {
        exchange.messages.first().and_then(|first| self.parsed[*first].sip()).map_or(0, names::vias)
    }

    /// True when an SPI shows that the UE is client (or server) of the exchange.
    fn spi_is(&self, exchange: &ExchangeData, ue_is_client: bool) -> bool {
        exchange.messages.iter().any(|index| {
            let Protection::Esp(esp) = self.records[*index].protection else { return false };
            let downwards = self.is_downwards(*index);
            // The receiver chose it.
            let (at_ue, at_pcscf) = (self.ue.spis.0.contains(&esp.spi), self.ue.spis.1.contains(&esp.spi));
            let from_ue = at_pcscf && !at_ue;
            let to_ue = at_ue && !at_pcscf;
            if downwards == ue_is_client { from_ue } else { to_ue }
        })
    }

    fn is_downwards(&self, index: usize) -> bool {
        match &self.parsed[index] {
            Parsed::Sip(sip, _) => sip.status().is_none(),
            Parsed::Diameter(header) => header.request,
            Parsed::Unreadable => true,
        }
    }

    fn ends_of(&self, exchange: &ExchangeData) -> Option<(SocketAddr, SocketAddr)> {
        let index = exchange.messages.iter().copied().find(|index| self.records[*index].ends.is_some())?;
        let Ends { from, to, .. } = self.records[index].ends?;
        Some(if self.is_downwards(index) { (from, to) } else { (to, from) })
    }

    fn client_end(&self, exchange: &ExchangeData) -> Option<SocketAddr> {
        self.ends_of(exchange).map(|(client, _)| client)
    }

    fn server_end(&self, exchange: &ExchangeData) -> Option<SocketAddr> {
        self.ends_of(exchange).map(|(_, server)| server)
    }
}

fn name_of(host: &str, port: Option<u16>) -> String {
    let mut name = host.to_ascii_lowercase();
    if let Some(port) = port {
        name.push(':');
        name.push_str(&port.to_string());
    }
    name
}

const GM: Pair = (Some(Role::Ue), Some(Role::Pcscf));
const GM_DOWN: Pair = (Some(Role::Pcscf), Some(Role::Ue));

#[cfg(test)]
mod tests {
    use crate::event::Role;
    use crate::trace::story::Registration;
    use crate::trace::story::testing::{Line, PCSCF, UE, answer, down, groups, request, up};

    const CONTACT: &str = "Contact: <sip:u@10.0.0.7:5060>\r\n";
    const CORE: &str = "10.0.0.2:5060";

    /// A trace of a call alone: who is who follows from Contact, Vias and what a network puts in.
    #[test]
    fn a_call_without_register_shows_its_ues() {
        let line = |at, from, to, text: String| Line { at, from, to, spi: None, text };
        let head = "From: <sip:u@h>;tag=1\r\nTo: <sip:v@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n";
        let (first, second) =
            ("Via: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\n", "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2\r\n");
        let called = "10.0.0.9:5060";
        let groups = groups(vec![
            line(0, UE, PCSCF, format!("INVITE sip:v@h SIP/2.0\r\n{first}{head}{CONTACT}\r\n")),
            line(
                1,
                PCSCF,
                CORE,
                format!(
                    "INVITE sip:v@h SIP/2.0\r\n{second}{first}{head}{CONTACT}P-Asserted-Identity: <sip:u@h>\r\n\r\n"
                ),
            ),
            line(
                2,
                CORE,
                called,
                format!(
                    "INVITE sip:v@10.0.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK3\r\n{second}{first}{head}{CONTACT}\r\n"
                ),
            ),
            line(
                3,
                called,
                CORE,
                format!(
                    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK3\r\n{second}{first}{head}Contact: <sip:v@10.0.0.9>\r\n\r\n"
                ),
            ),
        ]);
        let registration = Registration::of(&groups[0]);
        let ends: Vec<_> = registration.exchanges().map(|exchange| (exchange.client(), exchange.server())).collect();
        assert_eq!(ends[0], (Some(Role::Ue), Some(Role::Pcscf)));
        assert_eq!(ends[2], (Some(Role::Pcscf), Some(Role::Ue)));
        assert!(ends[1].0 != Some(Role::Ue) && ends[1].1 != Some(Role::Ue), "{ends:?}");
    }

    /// What a P-CSCF adds makes none of a UE: an offer of SAs, or SAs themselves, tell who it is.
    #[test]
    fn a_ue_that_writes_path_or_a_second_via_is_one() {
        let offer = "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=301;spi-s=302;port-c=3001;port-s=3002\r\n";
        let via = "Via: SIP/2.0/UDP 10.0.0.6;branch=z9hG4bK0\r\n";
        let path = "Path: <sip:x@h;lr>\r\nP-Visited-Network-ID: v\r\nP-Charging-Vector: icid-value=1\r\n";
        let server = "Security-Server: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=101;spi-s=102;port-c=4001;port-s=4002\r\n\
                      WWW-Authenticate: Digest realm=\"h\",nonce=\"n\"\r\n";
        for odd in [via, path] {
            let forwarded = |n, text: String| {
                let text = text.replacen("Via:", &format!("Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKp{n}\r\nVia:"), 1);
                let text = text.replace(offer, "Path: <sip:p@10.0.0.1;lr>\r\n");
                Line { at: n, from: PCSCF, to: CORE, spi: None, text }
            };
            let first = request("REGISTER", 1, "z9hG4bKa", &format!("{offer}{odd}"));
            let second = request("REGISTER", 2, "z9hG4bKb", odd);
            let groups = groups(vec![
                up(0, first.clone()),
                forwarded(1, first),
                down(2, answer(401, "REGISTER", 1, "z9hG4bKa", &format!("{odd}{server}"))),
                Line { at: 3, from: "10.0.0.7:3001", to: "10.0.0.1:4002", spi: Some(102), text: second.clone() },
                forwarded(4, second),
            ]);
            let registration = Registration::of(&groups[0]);
            let ends: Vec<_> =
                registration.exchanges().map(|exchange| (exchange.client(), exchange.server())).collect();
            let (gm, mw) = ((Some(Role::Ue), Some(Role::Pcscf)), (Some(Role::Pcscf), Some(Role::Icscf)));
            assert_eq!(ends, [gm, mw, gm, mw], "{odd}");
        }
    }
}
