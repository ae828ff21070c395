//! The ends of SA sets: when each is over by its timers, and what ends it before (TS 24.229 clauses 5.1.1.4.2, 5.2.2.2 and
//! 5.2.5, TS 33.203 clause 7.4).

use super::deregister::ends_everything;
use super::walk::{reginfo, same_identity};
use crate::event::Role;
use crate::reginfo::RegistrationState;
use crate::sip::Method;
use crate::time::{Duration, Instant};
use crate::trace::story::{Attempt, Message, Outcome, Registration, Set, SetEnd};

/// The end of a set as its own 200 gives it.
pub(crate) fn first_end(set: Set<'_>) -> Option<Instant> {
    let attempt = set.attempt()?;
    Some(set.established()?.at()? + attempt.granted()? + BEYOND)
}

/// The end of a set as it was before a message.
pub(crate) fn end_before(set: Set<'_>, message: Message<'_>) -> Option<Instant> {
    Ends::of(message.registration()).before(set, message)
}

/// The ends of sets: each its own, moved by every 200 to a REGISTER over it; the sets of before give their rest to the one
/// that takes their place.
pub(super) struct Ends {
    /// Of each set, as its own 200 and the sets of before give it.
    first: Vec<Option<Instant>>,
    /// Of each set, the places of the 200s that moved it, with the latest end up to each.
    moved: Vec<Vec<(usize, Instant)>>,
}

impl Ends {
    pub(super) fn of(registration: &Registration<'_>) -> Self {
        let mut first: Vec<Option<Instant>> = registration.sets().map(first_end).collect();
        let mut moved: Vec<Vec<(usize, Instant)>> = first.iter().map(|_| Vec::new()).collect();
        let mut all: Vec<(usize, Instant)> = Vec::new();
        for attempt in registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered) {
            let sa = attempt.latest().request().and_then(|request| request.carried().sa());
            let Some(set) = sa.map(|sa| sa.set).filter(|set| first[*set].is_some()) else { continue };
            let end = attempt.end().and_then(|end| Some((end.index(), end.at()? + attempt.granted()? + BEYOND)));
            moved[set].extend(end);
            all.extend(end);
        }
        moved.iter_mut().chain([&mut all]).for_each(|ends| rise(ends));
        let mut established: Vec<(usize, Set<'_>)> =
            registration.sets().filter_map(|set| Some((set.established()?.index(), set))).collect();
        established.sort_by_key(|(at, _)| *at);
        let mut before: Option<Instant> = None;
        for (_, set) in established {
            let Some(own) = &mut first[set.index()] else { continue };
            *own = [before, up_to(&all, set.challenge().index())].into_iter().flatten().fold(*own, Instant::max);
            before = before.max(Some(*own));
        }
        Self { first, moved }
    }

    /// The end of a set as it was before a message.
    pub(super) fn before(&self, set: Set<'_>, message: Message<'_>) -> Option<Instant> {
        let first = self.first[set.index()]?;
        Some(up_to(&self.moved[set.index()], message.index()).map_or(first, |moved| moved.max(first)))
    }

    /// True where a set had ended before a message.
    pub(super) fn is_over(&self, set: Set<'_>, message: Message<'_>) -> bool {
        message.at().zip(self.before(set, message)).is_some_and(|(at, end)| at > end)
    }
}

/// Sorts ends by their places and makes each the latest up to there.
fn rise(ends: &mut [(usize, Instant)]) {
    ends.sort_unstable();
    let mut latest = Instant::ZERO;
    for (_, end) in ends {
        latest = latest.max(*end);
        *end = latest;
    }
}

/// The latest end before a place.
fn up_to(ends: &[(usize, Instant)], place: usize) -> Option<Instant> {
    let before = ends.partition_point(|(at, _)| *at < place);
    Some(ends[before.checked_sub(1)?].1)
}

/// The places of what ends all sets for the UE, in order: de-registrations, and NOTIFYs that end everything.
pub(super) fn ends_of_life(registration: &Registration<'_>) -> Vec<usize> {
    let left = registration.attempts().filter(|attempt| ends_everything(registration, *attempt));
    let told = registration.messages().filter(|message| {
        message.is(Method::Notify)
            && message.subscription_state().is_some_and(|state| state.state.eq_ignore_ascii_case("terminated"))
    });
    let mut all: Vec<usize> = left.filter_map(Attempt::end).chain(told).map(Message::index).collect();
    all.sort_unstable();
    all
}

/// What ends a registration as a whole, in order: 200s to de-registrations, and NOTIFYs that tell the UE that nothing of it is
/// registered any more.
pub(super) fn ends_for_good<'r>(registration: &'r Registration<'r>) -> Vec<Message<'r>> {
    let left = registration.attempts().filter(|attempt| ends_everything(registration, *attempt));
    let notifies = registration
        .messages()
        .filter(|message| message.is(Method::Notify) && message.to() == Some(Role::Ue) && message.repeats().is_none());
    let tells = |notify: &Message<'_>| {
        let Some(all) = reginfo(*notify).map(|document| &document.registrations) else { return false };
        all.iter().all(|aor| aor.state == RegistrationState::Terminated)
            && registration.impus().iter().all(|impu| all.iter().any(|aor| same_identity(impu, &aor.aor)))
    };
    let mut all: Vec<Message<'r>> = left.filter_map(Attempt::end).chain(notifies.filter(tells)).collect();
    all.sort_by_key(|message| message.index());
    all
}

/// What ended a set, and when nothing may be left of it; `None`: nothing did, or the trace tells no times.
pub(super) fn end_of<'r>(set: Set<'r>, ends: &Ends, for_good: &[Message<'r>]) -> Option<(Message<'r>, Instant)> {
    if let Some(SetEnd::Refused(refusal)) = set.end() {
        return Some((refusal, refusal.at()? + LINGER));
    }
    let established = set.established()?;
    let until = established.registration().observable().until?;
    // A REGISTER that succeeds over the set revives it.
    let last = ends.moved[set.index()].last().copied();
    let from = last.map_or(0, |(at, _)| at).max(established.index());
    let later = &for_good[for_good.partition_point(|by| by.index() <= from)..];
    let over = later.iter().copied().find(|by| !is_elsewhere(*by, set)).and_then(|by| Some((by, by.at()? + LINGER)));
    let end = ends.first[set.index()].into_iter().chain(last.map(|(_, end)| end)).max();
    let ran_out = end.filter(|end| *end < until).map(|end| (established, end));
    over.into_iter().chain(ran_out).min_by_key(|(_, end)| *end)
}

/// True for another address of the UE than that of the set.
pub(super) fn is_elsewhere(message: Message<'_>, set: Set<'_>) -> bool {
    let (Some(ends), Some((ue, _))) = (message.record().ends, set.addresses()) else { return false };
    ![ends.from.ip(), ends.to.ip()].contains(&ue)
}

/// What SAs live longer than the registration.
const BEYOND: Duration = Duration::from_secs(30);
/// 64*T1 towards a UE (TS 24.229 table 7.7.1).
pub(super) const LINGER: Duration = Duration::from_secs(128);
