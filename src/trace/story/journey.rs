//! The way of one request over all hops, and what it made elements ask.

use super::attempt::Attempt;
use super::exchange::{self, Exchange, ExchangeData, SipKey};
use super::message::{Message, Parsed};
use super::names::{self, DiameterNames};
use super::record::Record;
use super::registration::Registration;
use super::role::Interface;
use super::roles::BEHIND_PCSCF;
use crate::diameter::dictionary;
use crate::event::Role;
use crate::packet::Protocol;
use crate::sip::Method;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fmt;

/// One request on all its hops: what a UE sends and every element passes on, with the Cx exchanges that it caused.
#[derive(Clone, Copy)]
pub struct Journey<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

impl<'r> Journey<'r> {
    /// The SIP exchanges, the one nearest to who sent the request first; for a Diameter request that no SIP request
    /// caused, that alone.
    pub fn hops(self) -> impl Iterator<Item = Exchange<'r>> {
        self.data().hops.iter().map(move |index| Exchange { of: self.of, index: *index })
    }

    /// The hop nearest to who sent the request.
    pub fn first(self) -> Exchange<'r> {
        Exchange { of: self.of, index: self.data().hops[0] }
    }

    /// The hop over an interface: the first, where there are several (Mw has P-CSCF to I-CSCF and I-CSCF to S-CSCF).
    pub fn on(self, interface: Interface) -> Option<Exchange<'r>> {
        self.hops().find(|hop| hop.interface() == interface)
    }

    /// The hop between two roles.
    pub fn between(self, client: Role, server: Role) -> Option<Exchange<'r>> {
        self.hops().find(|hop| hop.client() == Some(client) && hop.server() == Some(server))
    }

    /// The Diameter exchanges that it caused, in order.
    pub fn diameter(self) -> impl Iterator<Item = Exchange<'r>> {
        self.data().diameter.iter().map(move |index| Exchange { of: self.of, index: *index })
    }

    /// The Cx exchange of a command that it caused, for example [`crate::cx::Mar::COMMAND`].
    pub fn cx(self, command: u32) -> Option<Exchange<'r>> {
        self.diameter().find(|exchange| exchange.interface() == Interface::Cx && exchange.command() == Some(command))
    }

    /// The method.
    pub fn method(self) -> Option<Method<'r>> {
        self.first().method()
    }

    /// The request nearest to who sent it.
    pub fn request(self) -> Option<Message<'r>> {
        self.hops().find_map(Exchange::request)
    }

    /// The final answer nearest to who sent the request.
    pub fn last(self) -> Option<Message<'r>> {
        self.hops().find_map(Exchange::last)
    }

    /// Its status.
    pub fn status(self) -> Option<u16> {
        self.last()?.status()
    }

    /// The attempt that it is a REGISTER of.
    pub fn attempt(self) -> Option<Attempt<'r>> {
        self.data().attempt.map(|index| Attempt { of: self.of, index })
    }

    /// Its place among the journeys of the registration, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    fn data(self) -> &'r JourneyData {
        &self.of.journeys[self.index]
    }
}

impl PartialEq for Journey<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.group, other.of.group) && self.index == other.index
    }
}

impl fmt::Debug for Journey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hops()).finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct JourneyData {
    pub(super) hops: Vec<usize>,
    pub(super) diameter: Vec<usize>,
    /// The place of its first message.
    pub(super) begin: usize,
    /// The attempt that it is a REGISTER of, known once attempts are.
    pub(super) attempt: Option<usize>,
}

/// Links exchanges to journeys, in the order of their first messages.
pub(super) fn all(records: &[Record], parsed: &[Parsed<'_>], exchanges: &mut [ExchangeData]) -> Vec<JourneyData> {
    let mut linker = Linker { parsed, by_key: HashMap::default(), by_number: HashMap::default(), journeys: Vec::new() };
    let mut open_registers: Vec<usize> = Vec::new();
    for index in 0..exchanges.len() {
        let exchange = &exchanges[index];
        let first = exchange.messages[0];
        let journey = match exchange.protocol {
            Protocol::Sip => linker.sip(first, index, exchanges),
            Protocol::Diameter => {
                open_registers.retain(|register| is_open_at(&linker.journeys[*register], exchanges, first));
                linker.diameter(&records[first], index, &open_registers, exchanges)
            }
        };
        let data = &linker.journeys[journey];
        let is_register = parsed[first]
            .sip()
            .is_some_and(|sip| names::method(sip) == Some(Method::Register) && !names::is_third_party(sip))
            && data.hops.len() == 1;
        if is_register {
            // Those that nobody ever answers are not looked at for ever.
            if open_registers.len() == MOST_OPEN {
                open_registers.remove(0);
            }
            open_registers.push(journey);
        }
        exchanges[index].journey = journey;
    }
    let mut journeys = linker.journeys;
    for journey in &mut journeys {
        // What has fewer Vias is nearer to the sender, wherever it stands in the trace.
        journey.hops.sort_by_key(|hop| way_of(parsed, &exchanges[*hop]));
    }
    journeys
}

/// REGISTERs of one UE that wait for answers at once, and more.
const MOST_OPEN: usize = 64;

struct Linker<'p, 'a> {
    parsed: &'p [Parsed<'a>],
    by_key: HashMap<SipKey<'p>, usize, RandomState>,
    /// REGISTERs by Call-ID and CSeq, for those who rewrite Vias.
    by_number: HashMap<(&'p str, u32), usize, RandomState>,
    journeys: Vec<JourneyData>,
}

impl<'p> Linker<'p, '_> {
    fn sip(&mut self, first: usize, index: usize, exchanges: &[ExchangeData]) -> usize {
        let sip = self.parsed[first].sip().expect("what cannot be read is in no exchange");
        let Some(key) = exchange::key_of(sip) else { return self.begin(index, first) };
        let below: Vec<SipKey<'p>> = exchange::keys_below(sip).collect();
        let number = (names::method(sip) == Some(Method::Register))
            .then(|| Some((sip.call_id().ok()?, sip.cseq().ok()?.number)))
            .flatten();
        let linked = below.iter().find_map(|key| self.by_key.get(key)).copied();
        // What stands nearer to the sender may come later in the trace: a text whose parts were pasted in any order.
        let known = self.by_key.get(&key).copied();
        let linked = linked.or_else(|| known.filter(|journey| self.is_another_hop(*journey, sip, exchanges)));
        let renumbered = number.and_then(|number| self.by_number.get(&number)).copied();
        let renumbered = renumbered.filter(|journey| self.is_another_hop(*journey, sip, exchanges));
        let journey = match linked.or(renumbered) {
            Some(journey) => {
                self.journeys[journey].hops.push(index);
                journey
            }
            None => self.begin(index, first),
        };
        self.by_key.insert(key, journey);
        for key in below {
            self.by_key.entry(key).or_insert(journey);
        }
        if let Some(number) = number {
            self.by_number.insert(number, journey);
        }
        journey
    }

    /// A journey of this exchange, whose first message stands there.
    fn begin(&mut self, exchange: usize, first: usize) -> usize {
        self.journeys.push(JourneyData { hops: vec![exchange], begin: first, ..JourneyData::default() });
        self.journeys.len() - 1
    }

    /// Two exchanges with as many Vias are two requests with one CSeq number, unless somebody behind the P-CSCF has left Vias
    /// out.
    fn is_another_hop(&self, journey: usize, sip: &crate::sip::Message<'_>, exchanges: &[ExchangeData]) -> bool {
        let vias = names::vias(sip);
        let hops = || self.journeys[journey].hops.iter().map(|hop| vias_of(self.parsed, &exchanges[*hop]));
        let has_shrunk =
            || vias == 1 && sip.status().is_none() && sip.has_any(BEHIND_PCSCF) && hops().any(|hop| hop > 1);
        hops().all(|hop| hop != vias) || has_shrunk()
    }

    /// A request of an element to the HSS is caused by the REGISTER it is busy with; others by nobody that is seen.
    fn diameter(&mut self, record: &Record, index: usize, open: &[usize], exchanges: &[ExchangeData]) -> usize {
        let names = DiameterNames::of(&record.bytes);
        let asks = names.as_ref().is_some_and(|names| {
            !matches!(names.header.command, dictionary::REGISTRATION_TERMINATION | dictionary::PUSH_PROFILE)
                && names.header.application != dictionary::BASE
        });
        let impu = names.and_then(|names| names.impu.map(names::canonical));
        let is_about = |journey: &&usize| {
            let first = exchanges[self.journeys[**journey].hops[0]].messages[0];
            let to = self.parsed[first].sip().and_then(names::impu).map(names::canonical);
            impu.is_none() || to == impu
        };
        let cause = open.iter().rev().find(is_about).or_else(|| open.last()).filter(|_| asks).copied();
        match cause {
            Some(journey) => {
                self.journeys[journey].diameter.push(index);
                journey
            }
            None => self.begin(index, exchanges[index].messages[0]),
        }
    }
}

/// True while some hop has no final answer before message `at`.
fn is_open_at(journey: &JourneyData, exchanges: &[ExchangeData], at: usize) -> bool {
    journey.hops.iter().any(|hop| exchanges[*hop].last.is_none_or(|last| last > at))
}

fn vias_of(parsed: &[Parsed<'_>], exchange: &ExchangeData) -> usize {
    exchange.messages.first().and_then(|first| parsed[*first].sip()).map_or(0, names::vias)
}

/// How far a request has come: where Vias were left out behind the P-CSCF, what that one adds tells.
fn way_of(parsed: &[Parsed<'_>], exchange: &ExchangeData) -> usize {
    let sip = exchange.messages.first().and_then(|first| parsed[*first].sip());
    let is_behind = sip.is_some_and(|sip| sip.status().is_none() && sip.has_any(BEHIND_PCSCF));
    vias_of(parsed, exchange).max(if is_behind { 2 } else { 0 })
}
