//! The sets of security associations that a registration agrees (TS 33.203 clause 7.1), and what they carried.

use super::attempt::Attempt;
use super::exchange::ExchangeData;
use super::journey::JourneyData;
use super::message::{Message, Parsed};
use super::record::{ConnectionStep, Record, ShutSpi};
use super::registration::Registration;
use crate::event::Role;
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mod, PortPair};
use crate::ipsec::negotiate::{Offer, is_ipsec_3gpp};
use crate::sip::HeaderName;
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};
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
        self.data().life.attempt.map(|index| Attempt { of: self.of, index })
    }

    /// Security-Client of the offer.
    pub fn client_list(self) -> Mechanisms<'r> {
        let sip = self.offer().and_then(Message::sip);
        sip.map_or_else(Mechanisms::default, |sip| sip.sound_security(HeaderName::SecurityClient))
    }

    /// Security-Server of the 401.
    pub fn server_list(self) -> Mechanisms<'r> {
        let sip = self.challenge().sip();
        sip.map_or_else(Mechanisms::default, |sip| sip.sound_security(HeaderName::SecurityServer))
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
        self.data().life.messages.iter().map(move |index| self.of.at(*index))
    }

    /// The messages over it behind another one.
    pub fn messages_after(self, message: Message<'r>) -> impl Iterator<Item = Message<'r>> {
        let all = &self.data().life.messages;
        all[all.partition_point(|index| *index <= message.index())..].iter().map(move |index| self.of.at(*index))
    }

    /// ESP packets on its SPIs that stayed shut.
    pub fn shut(self) -> impl Iterator<Item = &'r ShutSpi> {
        let data = self.data();
        self.of.shut().iter().filter(move |shut| data.has_spi(shut.spi))
    }

    /// Steps in the lives of connections, in ESP on its SPIs.
    pub fn connections(self) -> impl Iterator<Item = &'r ConnectionStep> {
        let data = self.data();
        let is_of_it = move |step: &&ConnectionStep| match step.connection.protection {
            Protection::Esp(esp) => data.has_spi(esp.spi),
            _ => false,
        };
        self.of.connections().iter().filter(is_of_it)
    }

    /// The 200 that proved it.
    pub fn established(self) -> Option<Message<'r>> {
        self.data().life.established.map(|index| self.of.at(index))
    }

    /// Its end, where the trace shows one.
    pub fn end(self) -> Option<SetEnd<'r>> {
        let at = |index: usize| self.of.at(index);
        let SetLife { refused, replaced, deregistered, .. } = self.data().life;
        match (refused, replaced, deregistered) {
            (Some(refused), ..) => Some(SetEnd::Refused(at(refused))),
            (None, Some(replaced), Some(ended)) if ended < replaced => Some(SetEnd::Deregistered(at(ended))),
            (None, Some(replaced), _) => Some(SetEnd::Replaced(at(replaced))),
            (None, None, ended) => ended.map(|ended| SetEnd::Deregistered(at(ended))),
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
    /// Known once messages and attempts are.
    pub(super) life: SetLife,
}

/// What messages and attempts tell of a set.
#[derive(Default, Debug)]
pub(super) struct SetLife {
    attempt: Option<usize>,
    messages: Vec<usize>,
    established: Option<usize>,
    refused: Option<usize>,
    /// The first message over the next set that was established.
    replaced: Option<usize>,
    /// The first 200 behind its 401 that ended the registration.
    deregistered: Option<usize>,
}

impl SetData {
    /// The place of its 401.
    pub(super) const fn challenge(&self) -> usize {
        self.challenge
    }

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
        let list = |index: Option<usize>, name| index.and_then(|index| Some(parsed[index].sip()?.sound_security(name)));
        let client = list(exchange.request, HeaderName::SecurityClient).unwrap_or_default();
        let server = list(Some(challenge), HeaderName::SecurityServer).unwrap_or_default();
        let agreed = in_both(&client, &server);
        sets.push(SetData {
            offer: exchange.request.filter(|_| !client.0.is_empty()),
            challenge,
            agreed,
            ue: agreed.and_then(|offer| endpoint_offered(&client, &offer)).or_else(|| endpoint(&client)),
            pcscf: agreed.map(|offer| offer.endpoint).or_else(|| endpoint(&server)),
            addresses: records[challenge].ends.map(|ends| (ends.to.ip(), ends.from.ip())),
            life: SetLife::default(),
        });
    }
    sets.sort_by_key(|set| set.challenge);
    sets
}

/// What messages and attempts tell of each set, all of them in one walk.
pub(super) fn lives(of: &Registration<'_>) -> Vec<SetLife> {
    let mut lives: Vec<SetLife> = of.sets.iter().map(|_| SetLife::default()).collect();
    for (index, facts) in of.facts.iter().enumerate() {
        if let Some(sa) = facts.carried.sa() {
            lives[sa.set].messages.push(index);
        }
    }
    let mut deregistrations = Vec::new();
    for attempt in of.attempts() {
        let end = attempt.end();
        let mut last = None;
        for challenge in attempt.challenges() {
            last = of.sets.binary_search_by_key(&challenge.index(), SetData::challenge).ok();
            if let Some(set) = last {
                lives[set].attempt.get_or_insert_with(|| attempt.index());
            }
        }
        // A later challenge of the same attempt made another.
        if let (Some(set), Some((end, status))) = (last, end.and_then(|end| Some((end.index(), end.status()?)))) {
            match status {
                200..300 => lives[set].established = Some(end),
                300.. => lives[set].refused = Some(end),
                _ => {}
            }
        }
        if attempt.is_deregistration() {
            deregistrations.extend(end.filter(|end| end.status() == Some(200)).map(Message::index));
        }
    }
    let mut replaced = None;
    for (set, life) in of.sets.iter().zip(&mut lives).rev() {
        life.replaced = replaced;
        life.deregistered = deregistrations.iter().find(|end| **end > set.challenge).copied();
        if life.established.is_some() {
            replaced = life.messages.first().copied().or(replaced);
        }
    }
    lives
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

/// SPIs and ports of the element that was chosen: each has its own (TS 33.203 annex H).
fn endpoint_offered(client: &Mechanisms<'_>, chosen: &Offer) -> Option<Endpoint> {
    let chosen = (chosen.algorithms, chosen.mode);
    client.0.iter().filter(|element| tuple(element) == Some(chosen)).find_map(endpoint_of)
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

    /// TS 33.203 annex H: SPIs and ports are parameters of an element.
    #[test]
    fn numbers_are_those_of_the_element_that_was_chosen() {
        let offer = OFFER.replacen(
            "spi-c=301;spi-s=302;port-c=3001;port-s=3002",
            "spi-c=401;spi-s=402;port-c=3003;port-s=3004",
            1,
        );
        let bad =
            offer.replacen("Security-Client: ", "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=;spi-s=9,", 1);
        for offer in [offer, bad] {
            let groups = groups(vec![
                up(0, request("REGISTER", 1, "z9hG4bKa", &offer)),
                down(1, answer(401, "REGISTER", 1, "z9hG4bKa", LIST)),
            ]);
            let registration = Registration::of(&groups[0]);
            let ue = registration.set(0).ue().unwrap();
            assert_eq!((ue.spi_c.0, ue.spi_s.0, ue.port_c, ue.port_s), (301, 302, 3001, 3002));
        }
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
