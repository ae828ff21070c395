//! The sets of security associations that a registration agrees (TS 33.203 clause 7.1), and what they carried.

use super::attempt::Attempt;
use super::exchange::ExchangeData;
use super::journey::JourneyData;
use super::message::{Message, Parsed};
use super::record::{Record, ShutSpi};
use super::registration::Registration;
use crate::event::Role;
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mod, PortPair};
use crate::ipsec::negotiate::{Offer, is_ipsec_3gpp};
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};
use crate::sip::{HeaderError, HeaderName};
use crate::trace::{Ends, Protection};
use std::fmt;
use std::net::IpAddr;

/// A set of four SAs, as a 401 with Security-Server made it.
#[derive(Clone, Copy)]
pub struct Set<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

/// What carried a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Carried {
    /// Nothing protected it.
    Clear,
    /// An SA of a set that the trace shows the agreement of.
    Sa(Sa),
    /// Nothing protected it, but its ports are those of an SA: plane `none`, or a UE that forgot its SA.
    Ports(Sa),
    /// ESP of an agreement that the trace does not show.
    Foreign,
    /// A text that does not tell.
    #[default]
    Unknown,
}

/// One pair of SAs of a set; with the direction of a message, one SA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sa {
    /// The place of the set among those of the registration, from 0: [`Registration::set`].
    pub set: usize,
    /// Its ports.
    pub pair: PortPair,
}

impl Carried {
    /// The SA, whether there was ESP or only its ports.
    pub const fn sa(self) -> Option<Sa> {
        match self {
            Self::Sa(sa) | Self::Ports(sa) => Some(sa),
            Self::Clear | Self::Foreign | Self::Unknown => None,
        }
    }
}

/// Why a set ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum SetEnd<'r> {
    /// The authentication that it came from was refused (TS 33.203 clause 7.3): by this answer.
    Refused(Message<'r>),
    /// A newer set was used: by this message first.
    Replaced(Message<'r>),
    /// The registration was ended: by this 200.
    Deregistered(Message<'r>),
}

impl<'r> Set<'r> {
    /// The REGISTER whose Security-Client was answered.
    pub fn offer(self) -> Option<Message<'r>> {
        self.data().offer.map(|index| self.of.at(index))
    }

    /// The 401 with Security-Server.
    pub fn challenge(self) -> Message<'r> {
        self.of.at(self.data().challenge)
    }

    /// The attempt that it comes from.
    pub fn attempt(self) -> Option<Attempt<'r>> {
        self.of.attempts().find(|attempt| attempt.challenges().any(|challenge| challenge == self.challenge()))
    }

    /// Security-Client of the offer.
    pub fn client_list(self) -> Result<Mechanisms<'r>, HeaderError> {
        let sip = self.offer().and_then(Message::sip);
        sip.map_or_else(|| Ok(Mechanisms::default()), |sip| sip.security(HeaderName::SecurityClient))
    }

    /// Security-Server of the 401.
    pub fn server_list(self) -> Result<Mechanisms<'r>, HeaderError> {
        let sip = self.challenge().sip();
        sip.map_or_else(|| Ok(Mechanisms::default()), |sip| sip.security(HeaderName::SecurityServer))
    }

    /// What both lists make a UE select (RFC 3329 clause 2.3.1): the element of Security-Server with the highest q whose
    /// pair was offered. `None`: nothing in common, or the offer is not seen.
    pub fn agreed(self) -> Option<Offer> {
        self.data().agreed
    }

    /// SPIs and ports of the UE.
    pub fn ue(self) -> Option<Endpoint> {
        self.data().ue
    }

    /// SPIs and ports of the P-CSCF.
    pub fn pcscf(self) -> Option<Endpoint> {
        self.data().pcscf
    }

    /// The addresses of UE and P-CSCF.
    pub fn addresses(self) -> Option<(IpAddr, IpAddr)> {
        self.data().addresses
    }

    /// The messages that went over it, in ESP or between its ports.
    pub fn messages(self) -> impl Iterator<Item = Message<'r>> {
        self.of.messages().filter(move |message| message.carried().sa().is_some_and(|sa| sa.set == self.index))
    }

    /// ESP packets on its SPIs that stayed shut.
    pub fn shut(self) -> impl Iterator<Item = &'r ShutSpi> {
        let data = self.data();
        self.of.shut().iter().filter(move |shut| data.has_spi(shut.spi))
    }

    /// The 200 that proved it.
    pub fn established(self) -> Option<Message<'r>> {
        let attempt = self.attempt()?;
        // A later challenge of the same attempt made another.
        let is_last = attempt.challenges().last() == Some(self.challenge());
        attempt.end().filter(|end| is_last && end.status().is_some_and(|status| (200..300).contains(&status)))
    }

    /// Its end, where the trace shows one.
    pub fn end(self) -> Option<SetEnd<'r>> {
        let refused = self.attempt().and_then(|attempt| {
            let is_last = attempt.challenges().last() == Some(self.challenge());
            attempt.end().filter(|end| is_last && end.status().is_some_and(|status| status >= 300))
        });
        if let Some(refused) = refused {
            return Some(SetEnd::Refused(refused));
        }
        let replaced = self.of.sets().skip(self.index + 1).find_map(|set| {
            set.established()?;
            set.messages().next()
        });
        let ended = self.of.attempts().filter(|attempt| attempt.is_deregistration()).find_map(|attempt| {
            attempt.end().filter(|end| end.index() > self.data().challenge && end.status() == Some(200))
        });
        match (replaced, ended) {
            (Some(replaced), Some(ended)) if ended.index() < replaced.index() => Some(SetEnd::Deregistered(ended)),
            (Some(replaced), _) => Some(SetEnd::Replaced(replaced)),
            (None, ended) => ended.map(SetEnd::Deregistered),
        }
    }

    /// Its place among the sets of the registration, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    fn data(self) -> &'r SetData {
        &self.of.sets[self.index]
    }
}

impl PartialEq for Set<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.group, other.of.group) && self.index == other.index
    }
}

impl fmt::Debug for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data().fmt(f)
    }
}

#[derive(Debug)]
pub(super) struct SetData {
    offer: Option<usize>,
    challenge: usize,
    agreed: Option<Offer>,
    ue: Option<Endpoint>,
    pcscf: Option<Endpoint>,
    addresses: Option<(IpAddr, IpAddr)>,
}

impl SetData {
    /// The pair of ports that an SPI belongs to (TS 33.203 clause 7.1: the receiver chose it).
    fn pair_of(&self, spi: u32) -> Option<PortPair> {
        let (ue, pcscf, spi) = (self.ue, self.pcscf, Some(Spi(spi)));
        if ue.map(|end| end.spi_c) == spi || pcscf.map(|end| end.spi_s) == spi {
            Some(PortPair::UcPs)
        } else if ue.map(|end| end.spi_s) == spi || pcscf.map(|end| end.spi_c) == spi {
            Some(PortPair::UsPc)
        } else {
            None
        }
    }

    fn has_spi(&self, spi: u32) -> bool {
        self.pair_of(spi).is_some()
    }

    /// The pair of ports that two ends are.
    fn pair_between(&self, ends: Ends) -> Option<PortPair> {
        let (ue, pcscf) = self.addresses?;
        let [from, to] = [ends.from.ip(), ends.to.ip()];
        self.pair_of_ports(ends).filter(|_| (from, to) == (ue, pcscf) || (from, to) == (pcscf, ue))
    }

    /// The same by ports alone: through a tunnel the UE has its address from behind the NAT (TS 33.203 annex M).
    fn pair_of_ports(&self, ends: Ends) -> Option<PortPair> {
        let (ue, pcscf) = (self.ue?, self.pcscf?);
        let (from, to) = (ends.from.port(), ends.to.port());
        let is = |ue: u16, pcscf: u16| (from, to) == (ue, pcscf) || (from, to) == (pcscf, ue);
        match () {
            () if is(ue.port_c, pcscf.port_s) => Some(PortPair::UcPs),
            () if is(ue.port_s, pcscf.port_c) => Some(PortPair::UsPc),
            () => None,
        }
    }
}

/// The sets of the 401s that a UE gets.
pub(super) fn all(
    records: &[Record],
    parsed: &[Parsed<'_>],
    exchanges: &[ExchangeData],
    journeys: &[JourneyData],
) -> Vec<SetData> {
    let mut sets = Vec::new();
    for journey in journeys {
        let Some(exchange) = journey.hops.first().map(|hop| &exchanges[*hop]) else { continue };
        if exchange.client != Some(Role::Ue) {
            continue;
        }
        let challenge = exchange.messages.iter().copied().find(|index| {
            parsed[*index]
                .sip()
                .is_some_and(|sip| sip.status() == Some(401) && sip.header(HeaderName::SecurityServer).is_some())
        });
        let Some(challenge) = challenge else { continue };
        let list = |index: Option<usize>, name| index.and_then(|index| parsed[index].sip()?.security(name).ok());
        let client = list(exchange.request, HeaderName::SecurityClient).unwrap_or_default();
        let server = list(Some(challenge), HeaderName::SecurityServer).unwrap_or_default();
        let agreed = in_both(&client, &server);
        sets.push(SetData {
            offer: exchange.request.filter(|_| !client.0.is_empty()),
            challenge,
            agreed,
            ue: endpoint(&client),
            pcscf: agreed.map(|offer| offer.endpoint).or_else(|| endpoint(&server)),
            addresses: records[challenge].ends.map(|ends| (ends.to.ip(), ends.from.ip())),
        });
    }
    sets.sort_by_key(|set| set.challenge);
    sets
}

/// The element of `server` with the highest q, of equal ones the first, whose algorithms and mode are those of one of
/// `client`. Whether its SPIs and ports are sound is another question.
fn in_both(client: &Mechanisms<'_>, server: &Mechanisms<'_>) -> Option<Offer> {
    let tuples: Vec<_> = client.0.iter().filter_map(tuple).collect();
    let common = server.0.iter().rev().filter(|element| tuple(element).is_some_and(|tuple| tuples.contains(&tuple)));
    let best = common.max_by_key(|element| element.q)?;
    let (algorithms, mode) = tuple(best)?;
    Some(Offer { algorithms, mode, endpoint: endpoint_of(best)?, q: best.q })
}

/// Algorithms and mode, with their defaults (TS 33.203 annex H).
fn tuple(element: &Mechanism<'_>) -> Option<(Algorithms, Mod)> {
    let integrity = Integrity::from_token(element.alg?)?;
    let encryption = element.ealg.map_or(Some(Encryption::Null), Encryption::from_token)?;
    let mode = match element.mode {
        None => Mod::Trans,
        Some(mode) => {
            [Mod::Trans, Mod::UdpEncTun].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(mode))?
        }
    };
    let is_esp = element.prot.is_none_or(|prot| prot.eq_ignore_ascii_case("esp"));
    (is_ipsec_3gpp(element) && is_esp).then_some((Algorithms { integrity, encryption }, mode))
}

/// SPIs and ports of the first element that has all four.
fn endpoint(list: &Mechanisms<'_>) -> Option<Endpoint> {
    list.0.iter().filter(|element| is_ipsec_3gpp(element)).find_map(endpoint_of)
}

fn endpoint_of(element: &Mechanism<'_>) -> Option<Endpoint> {
    Some(Endpoint {
        spi_c: Spi(element.spi_c?),
        spi_s: Spi(element.spi_s?),
        port_c: element.port_c?,
        port_s: element.port_s?,
    })
}

/// What carried message `index`: the latest set that fits and was agreed before.
pub(super) fn carried(sets: &[SetData], index: usize, record: &Record) -> Carried {
    let before = || sets.iter().enumerate().rev().filter(move |(_, set)| set.challenge < index);
    let by_ends = || {
        let ends = record.ends?;
        before().find_map(|(set, data)| Some(Sa { set, pair: data.pair_between(ends)? }))
    };
    let by_spi = |spi| before().find_map(|(set, data)| Some(Sa { set, pair: data.pair_of(spi)? }));
    match record.protection {
        Protection::Clear => by_ends().map_or(Carried::Clear, Carried::Ports),
        Protection::Esp(esp) => by_spi(esp.spi).map_or(Carried::Foreign, Carried::Sa),
        Protection::Set(_) => {
            let by_ports =
                || before().find_map(|(set, data)| Some(Sa { set, pair: data.pair_of_ports(record.ends?)? }));
            by_ends().or_else(by_ports).map_or(Carried::Foreign, Carried::Sa)
        }
        Protection::Unknown => Carried::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Carried, SetEnd};
    use crate::ipsec::association::{Encryption, PortPair};
    use crate::trace::story::testing::{Line, PCSCF, UE, answer, down, groups, request, up};
    use crate::trace::story::{Group, Interface, Registration};

    const OFFER: &str = "Security-Client: ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=301;spi-s=302;port-c=3001;port-s=3002,\
                         ipsec-3gpp;alg=hmac-sha-1-96;spi-c=301;spi-s=302;port-c=3001;port-s=3002\r\n";
    /// The best pair was not offered as a pair; SPIs below 256 are a fault that another rule judges.
    const LIST: &str = "Security-Server: ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1;spi-s=2;port-c=4001;port-s=4002,\
                        ipsec-3gpp;q=0.5;alg=hmac-md5-96;ealg=aes-cbc;spi-c=101;spi-s=102;port-c=4001;port-s=4002,\
                        ipsec-3gpp;q=0.7;alg=hmac-sha-1-96;ealg=null;prot=esp;mod=trans;spi-c=101;spi-s=102;port-c=4001;port-s=4002\r\n\
                        WWW-Authenticate: Digest realm=\"h\",nonce=\"n\"\r\n";
    const ANSWER: &str = "Authorization: Digest username=\"u@h\",nonce=\"n\",response=\"00\"\r\n";

    fn agreed(then: Vec<Line>) -> Vec<Group> {
        let mut lines = vec![
            up(0, request("REGISTER", 1, "z9hG4bKa", OFFER)),
            down(1, answer(401, "REGISTER", 1, "z9hG4bKa", LIST)),
        ];
        lines.extend(then);
        groups(lines)
    }

    #[test]
    fn the_pair_of_both_lists_and_the_sa_of_each_message() {
        let esp = |at, from, to, spi, text| Line { at, from, to, spi: Some(spi), text };
        let (uc, us, pc, ps) = ("10.0.0.7:3001", "10.0.0.7:3002", "10.0.0.1:4001", "10.0.0.1:4002");
        let groups = agreed(vec![
            esp(2, uc, ps, 102, request("REGISTER", 2, "z9hG4bKb", ANSWER)),
            esp(3, pc, us, 302, answer(200, "REGISTER", 2, "z9hG4bKb", "")),
            esp(4, pc, us, 302, request("OPTIONS", 1, "z9hG4bKc", "")),
            esp(5, us, pc, 101, answer(200, "OPTIONS", 1, "z9hG4bKc", "")),
            Line { at: 6, from: uc, to: ps, spi: None, text: request("MESSAGE", 3, "z9hG4bKd", "") },
            esp(7, uc, ps, 999, request("MESSAGE", 4, "z9hG4bKe", "")),
            Line { at: 8, from: UE, to: PCSCF, spi: None, text: request("MESSAGE", 5, "z9hG4bKf", "") },
        ]);
        let registration = Registration::of(&groups[0]);
        let set = registration.set(0);
        let offer = set.agreed().unwrap();
        assert_eq!((offer.q, offer.algorithms.encryption), (700, Encryption::Null));
        assert_eq!((set.offer().unwrap().number, set.challenge().number), (1, 2));
        assert_eq!(set.established().unwrap().number, 4);
        assert_eq!(set.end(), None);
        let carried: Vec<_> = registration.messages().skip(2).map(|message| message.carried()).collect();
        let pairs: Vec<_> = carried.iter().map(|carried| carried.sa().map(|sa| sa.pair)).collect();
        let (client, server) = (Some(PortPair::UcPs), Some(PortPair::UsPc));
        assert_eq!(pairs, [client, server, server, server, client, None, None]);
        assert!(matches!(carried[4], Carried::Ports(_)), "in clear between protected ports");
        assert_eq!((carried[5], carried[6]), (Carried::Foreign, Carried::Clear));
        assert!(registration.messages().all(|message| message.interface() == Interface::Gm));
    }

    #[test]
    fn a_refused_answer_ends_its_set() {
        let groups = agreed(vec![
            Line { at: 2, from: UE, to: PCSCF, spi: Some(102), text: request("REGISTER", 2, "z9hG4bKb", ANSWER) },
            Line { at: 3, from: PCSCF, to: UE, spi: Some(302), text: answer(403, "REGISTER", 2, "z9hG4bKb", "") },
        ]);
        let registration = Registration::of(&groups[0]);
        let Some(SetEnd::Refused(by)) = registration.set(0).end() else { panic!("{:?}", registration.set(0).end()) };
        assert_eq!(by.number, 4);
        assert!(registration.set(0).established().is_none());
    }
}
