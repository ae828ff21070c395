//! One registration, read: what a rule asks.

use super::attempt::{self, Attempt, AttemptData, Kind};
use super::exchange::{self, Exchange, ExchangeData};
use super::journey::{self, Journey, JourneyData};
use super::message::{Facts, Message, Parsed};
use super::names;
use super::observable::Observable;
use super::record::{ConnectionStep, Group, LostPacket, ShutSpi};
use super::role::Interface;
use super::roles;
use super::sets::{self, Set, SetData};
use super::subscription::{self, Documents, Subscription, SubscriptionData};
use crate::cx::{Ppr, Rtr};
use crate::event::Role;
use crate::sip::Method;
use std::collections::HashSet;

/// What a trace shows of one UE and one private identity: all attempts to register, and everything else that was said by,
/// to and about it. Also, with [`Registration::id`] `None`, the messages that belong to no registration.
///
/// Every message is parsed once, here; everything handed out borrows.
///
/// ```
/// use imsreg::sip::Method;
/// use imsreg::trace::story::{Group, Registration};
///
/// fn unanswered(group: &Group) -> Vec<u64> {
///     let registration = Registration::of(group);
///     let challenged = registration.attempts().filter(|attempt| attempt.challenge().is_some());
///     let silent = challenged.filter(|attempt| attempt.answer().is_none());
///     silent.filter_map(|attempt| Some(attempt.challenge()?.number)).collect()
/// }
/// assert!(unanswered(&Group::default()).is_empty());
/// ```
#[derive(Debug)]
pub struct Registration<'a> {
    pub(super) group: &'a Group,
    pub(super) parsed: Vec<Parsed<'a>>,
    pub(super) facts: Vec<Facts<'a>>,
    pub(super) exchanges: Vec<ExchangeData>,
    pub(super) journeys: Vec<JourneyData>,
    pub(super) attempts: Vec<AttemptData>,
    pub(super) sets: Vec<SetData>,
    pub(super) subscriptions: Vec<SubscriptionData>,
    pub(super) documents: Documents<'a>,
    /// Attempts that were granted, each with the least place of a 200 of it and of those behind it: these grow.
    granted: Vec<(usize, usize)>,
    observable: Observable,
}

impl<'a> Registration<'a> {
    /// Reads the messages of a group.
    pub fn of(group: &'a Group) -> Self {
        let records = &group.records;
        let parsed: Vec<Parsed<'a>> = records.iter().map(Parsed::of).collect();
        let (mut exchanges, mut facts) = exchange::all(records, &parsed);
        let mut journeys = journey::all(records, &parsed, &mut exchanges);
        roles::assign(records, &parsed, &mut exchanges, &journeys, &group.known);
        let sets = sets::all(records, &parsed, &exchanges, &journeys);
        for (index, record) in records.iter().enumerate() {
            let exchange = facts[index].exchange.map(|exchange| &exchanges[exchange]);
            // SAs are between UE and P-CSCF; elsewhere ports mean nothing.
            let is_gm =
                exchange.is_none_or(|exchange| Interface::between(exchange.client, exchange.server) == Interface::Gm);
            if let Some(exchange) = exchange {
                facts[index].name(exchange);
            }
            facts[index].carried = sets::carried(if is_gm { &sets } else { &[] }, index, record);
        }
        let attempts = attempt::all(&parsed, &facts, &exchanges, &journeys);
        for (index, attempt) in attempts.iter().enumerate() {
            for journey in &attempt.journeys {
                journeys[*journey].attempt = Some(index);
            }
        }
        let documents = subscription::documents(&parsed);
        let mut this = Self {
            group,
            parsed,
            facts,
            exchanges,
            journeys,
            attempts,
            sets,
            documents,
            subscriptions: Vec::new(),
            granted: Vec::new(),
            observable: Observable::default(),
        };
        for (set, life) in sets::lives(&this).into_iter().enumerate() {
            this.sets[set].life = life;
        }
        this.granted = attempt::granted(&this);
        this.subscriptions = subscription::all(&this);
        this.observable = Observable::of(&this);
        this
    }
}

impl<'r> Registration<'r> {
    /// Registrations count from 1 in the order of their first REGISTER; `None` for what belongs to none.
    pub fn id(&self) -> Option<u64> {
        self.group.id
    }

    /// True where an earlier part of it was handed out before.
    pub fn is_continued(&self) -> bool {
        self.group.continued
    }

    /// The public identity that was registered first.
    pub fn impu(&'r self) -> Option<&'r str> {
        self.attempts().find_map(Attempt::impu)
    }

    /// The private identity, as the UE tells it.
    pub fn impi(&'r self) -> Option<&'r str> {
        self.attempts().find_map(Attempt::impi)
    }

    /// Every public identity that a REGISTER of it is about, each once.
    pub fn impus(&'r self) -> Vec<&'r str> {
        let mut known = HashSet::new();
        let all = self.attempts().filter_map(Attempt::impu);
        all.filter(|impu| known.insert(names::canonical(impu))).collect()
    }

    /// Every message, in the order of the trace.
    pub fn messages(&'r self) -> impl DoubleEndedIterator<Item = Message<'r>> + Clone {
        (0..self.group.records.len()).map(move |index| Message { of: self, index })
    }

    /// The messages behind one and before another, in the order of the trace.
    pub fn between(&'r self, after: Message<'r>, before: Message<'r>) -> impl DoubleEndedIterator<Item = Message<'r>> {
        (after.index() + 1..before.index()).map(move |index| Message { of: self, index })
    }

    /// The messages behind one, in the order of the trace.
    pub fn after(&'r self, message: Message<'r>) -> impl DoubleEndedIterator<Item = Message<'r>> {
        (message.index() + 1..self.group.records.len()).map(move |index| Message { of: self, index })
    }

    /// The message with a number.
    pub fn message(&'r self, number: u64) -> Option<Message<'r>> {
        // Numbers grow, unless the trace was out of order.
        let found = self.group.records.binary_search_by_key(&number, |record| record.number).ok();
        let found = found.or_else(|| self.group.records.iter().position(|record| record.number == number));
        found.map(|index| self.at(index))
    }

    /// Every exchange, in the order of their first messages.
    pub fn exchanges(&'r self) -> impl DoubleEndedIterator<Item = Exchange<'r>> + Clone {
        (0..self.exchanges.len()).map(move |index| Exchange { of: self, index })
    }

    /// The exchanges over one interface.
    pub fn on(&'r self, interface: Interface) -> impl Iterator<Item = Exchange<'r>> {
        self.exchanges().filter(move |exchange| exchange.interface() == interface)
    }

    /// Every request with all its hops, in the order of their first messages.
    pub fn journeys(&'r self) -> impl DoubleEndedIterator<Item = Journey<'r>> + Clone {
        (0..self.journeys.len()).map(move |index| Journey { of: self, index })
    }

    /// The attempts to register, refresh and de-register, in order.
    pub fn attempts(&'r self) -> impl DoubleEndedIterator<Item = Attempt<'r>> + Clone {
        (0..self.attempts.len()).map(move |index| Attempt { of: self, index })
    }

    /// The attempts that began before `message`.
    pub fn attempts_before(
        &'r self,
        message: Message<'r>,
    ) -> impl DoubleEndedIterator<Item = Attempt<'r>> + Clone + use<'r> {
        let begin = |attempt: &AttemptData| self.journeys[attempt.journeys[0]].begin;
        let before = self.attempts.partition_point(|attempt| begin(attempt) < message.index());
        (0..before).map(move |index| Attempt { of: self, index })
    }

    /// The attempts of one kind.
    pub fn attempts_of(&'r self, kind: Kind) -> impl Iterator<Item = Attempt<'r>> {
        self.attempts().filter(move |attempt| attempt.kind() == kind)
    }

    /// The last attempt that was granted before `message`.
    pub fn granted_before(&'r self, message: Message<'r>) -> Option<Attempt<'r>> {
        let before = self.granted.partition_point(|(_, least)| *least < message.index());
        let (index, _) = *self.granted.get(before.checked_sub(1)?)?;
        Some(Attempt { of: self, index })
    }

    /// The sets of SAs, in the order of their 401s.
    pub fn sets(&'r self) -> impl DoubleEndedIterator<Item = Set<'r>> + Clone {
        (0..self.sets.len()).map(move |index| Set { of: self, index })
    }

    /// The set of [`super::Sa::set`].
    pub fn set(&'r self, index: usize) -> Set<'r> {
        assert!(index < self.sets.len(), "an index that this registration handed out");
        Set { of: self, index }
    }

    /// The set that a 401 made.
    pub fn set_of(&'r self, challenge: Message<'r>) -> Option<Set<'r>> {
        let index = self.sets.binary_search_by_key(&challenge.index(), SetData::challenge).ok()?;
        Some(Set { of: self, index })
    }

    /// The subscriptions to its registration state.
    pub fn subscriptions(&'r self) -> impl Iterator<Item = Subscription<'r>> {
        (0..self.subscriptions.len()).map(move |index| Subscription { of: self, index })
    }

    /// Third-party REGISTERs about it.
    pub fn third_party(&'r self) -> impl Iterator<Item = Journey<'r>> {
        self.journeys().filter(|journey| {
            journey.method() == Some(Method::Register) && journey.first().interface() == Interface::Isc
        })
    }

    /// What the HSS began: Registration-Termination and Push-Profile.
    pub fn from_hss(&'r self) -> impl Iterator<Item = Exchange<'r>> {
        self.on(Interface::Cx).filter(|exchange| matches!(exchange.command(), Some(Rtr::COMMAND | Ppr::COMMAND)))
    }

    /// Requests of and to it other than REGISTER and its subscriptions: calls, messages, OPTIONS.
    pub fn requests(&'r self) -> impl Iterator<Item = Journey<'r>> {
        let subscribed: HashSet<usize> = self.subscriptions.iter().flat_map(SubscriptionData::journeys).collect();
        self.journeys().filter(move |journey| {
            let method = journey.method();
            method.is_some() && method != Some(Method::Register) && !subscribed.contains(&journey.index())
        })
    }

    /// ESP of it that stayed shut, by SPI.
    pub fn shut(&self) -> &'r [ShutSpi] {
        &self.group.shut
    }

    /// Steps in the lives of its connections, in order.
    pub fn connections(&self) -> &'r [ConnectionStep] {
        &self.group.connections
    }

    /// Packets of it that did not get through, as the trace tells, in order.
    pub fn lost(&self) -> &'r [LostPacket] {
        &self.group.lost
    }

    /// What the trace shows of it.
    pub const fn observable(&self) -> &Observable {
        &self.observable
    }

    /// The roles that its messages go between.
    pub fn roles(&'r self) -> Vec<Role> {
        let mut roles: Vec<Role> = self.exchanges.iter().flat_map(|e| [e.client, e.server]).flatten().collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    pub(super) fn at(&'r self, index: usize) -> Message<'r> {
        Message { of: self, index }
    }
}
