//! What the HSS knows of a subscriber beyond its provisioning (TS 29.228 clause 6, TS 23.228 clause 5.2.1). It comes
//! into being with the first request that changes it.

use super::pages::Pages;
use super::record::{Record, RecordFault};
use super::restoration::Restorations;
use super::source::{Member, Source};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::rc::Rc;

/// State of all subscribers that ever came.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Keyed by [`Member::id`].
    states: Pages<State>,
    names: ServerNames,
    pub(super) restorations: Restorations,
    /// The S-CSCFs whose users another one is taking over, until it has them; keyed by [`Member::id`]. Seldom anybody.
    overtaken: HashMap<u64, Box<str>, foldhash::fast::RandomState>,
    /// Whose state may have changed since [`States::take_touched`].
    touched: Option<Member>,
}

/// State of one subscription: its public identities are one implicit registration set, which changes as a whole.
#[derive(Debug)]
pub(super) struct State {
    server: Option<NameId>,
    pub(super) registration: Registration,
    /// A challenge is on its way (TS 29.228 clause 6.3.1).
    pub(super) authentication_pending: bool,
    /// How many recorded vectors were given out.
    pub(super) recorded: u16,
    /// SQN_HE: that of the last vector.
    pub(super) sqn: u64,
    /// DIF of TS 33.102 annex C.3.3.
    pub(super) clock_offset: i64,
}

/// Registration state of an implicit registration set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Registration {
    #[default]
    NotRegistered,
    Registered,
    /// Not registered, but an S-CSCF keeps the profile.
    Unregistered,
}

impl States {
    /// The state, if there is one already.
    pub(super) fn find(&self, member: Member) -> Option<&State> {
        self.states.get(member.id)
    }

    /// The state, made from what was provisioned where there is none.
    pub(super) fn of(&mut self, member: Member, source: &Source) -> &mut State {
        self.touched = Some(member);
        self.states.get_or_insert_with(member.id, || State::new(source.sqn))
    }

    /// The registration state and the S-CSCF name.
    pub(super) fn registration(&self, member: Member) -> (Registration, Option<&str>) {
        let Some(state) = self.find(member) else { return Default::default() };
        (state.registration, self.server(state))
    }

    /// The S-CSCF of the subscription.
    pub(super) fn server(&self, state: &State) -> Option<&str> {
        state.server.map(|id| self.names.name(id))
    }

    /// Stores `server` as the S-CSCF of the subscription.
    pub(super) fn assign(&mut self, member: Member, source: &Source, server: &str) {
        if self.find(member).is_none_or(|state| self.server(state) != Some(server)) {
            self.remember_overtaken(member);
            self.unassign(member);
            let name = self.names.intern(server);
            self.of(member, source).server = Some(name);
        }
    }

    /// Who served the user until `server` has taken him over: nobody, most often.
    pub(super) fn take_overtaken(&mut self, member: Member, server: &str) -> Option<Box<str>> {
        if self.overtaken.is_empty() {
            return None;
        }
        self.overtaken.remove(&member.id).filter(|before| **before != *server)
    }

    /// Whose user another S-CSCF is taking over.
    pub(super) fn overtaken(&self, member: Member) -> Option<&str> {
        self.overtaken.get(&member.id).map(|before| &**before)
    }

    /// The first one of several: those after it had no answer from the user.
    fn remember_overtaken(&mut self, member: Member) {
        if let (Registration::Registered | Registration::Unregistered, Some(before)) = self.registration(member) {
            let before = before.into();
            self.overtaken.entry(member.id).or_insert(before);
        }
    }

    /// Whom this request has changed: a request is about one subscription.
    pub(super) const fn take_touched(&mut self) -> Option<Member> {
        self.touched.take()
    }

    /// Goes on from a record of an earlier run. SQNs that were provisioned above it since then stay used up.
    pub(super) fn restore(&mut self, member: Member, source: &Source, record: &Record<'_>) -> Result<(), RecordFault> {
        if !self.restorations.restore(member, record.restoration, record.reassignment_pending) {
            return Err(RecordFault::Value("restoration information"));
        }
        if let Some(server) = record.server {
            self.assign(member, source, server);
        }
        let state = self.of(member, source);
        state.registration = record.registration;
        state.authentication_pending = record.authentication_pending;
        state.recorded = record.recorded;
        if record.sqn >= state.sqn {
            (state.sqn, state.clock_offset) = (record.sqn, record.clock_offset);
        }
        if let Some((before, _)) = record.overtaken {
            self.overtaken.insert(member.id, before.into());
        }
        self.touched = None;
        Ok(())
    }

    /// Forgets the S-CSCF of the subscription.
    pub(super) fn clear(&mut self, member: Member) {
        if !self.overtaken.is_empty() {
            self.overtaken.remove(&member.id);
        }
        self.unassign(member);
    }

    fn unassign(&mut self, member: Member) {
        self.touched = Some(member);
        if let Some(name) = self.states.get_mut(member.id).and_then(|state| state.server.take()) {
            self.names.release(name);
        }
    }
}

impl State {
    fn new(sqn: u64) -> Self {
        Self {
            server: None,
            registration: Registration::NotRegistered,
            authentication_pending: false,
            recorded: 0,
            sqn,
            clock_offset: (sqn >> 5).cast_signed(),
        }
    }
}

/// S-CSCF names, each held once however many subscribers it serves.
#[derive(Debug, Default)]
struct ServerNames {
    ids: HashMap<Rc<str>, NameId, foldhash::fast::RandomState>,
    /// Each with the number of its subscribers.
    names: Vec<(Rc<str>, u64)>,
    free: Vec<NameId>,
}

/// One of [`ServerNames`]: the index in `names`, counted from one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NameId(NonZeroU32);

impl ServerNames {
    fn intern(&mut self, name: &str) -> NameId {
        if let Some(&known) = self.ids.get(name) {
            self.names[known.index()].1 += 1;
            return known;
        }
        let text: Rc<str> = name.into();
        let id = self.free.pop().unwrap_or_else(|| {
            self.names.push(Default::default());
            let count = u32::try_from(self.names.len()).ok().and_then(NonZeroU32::new);
            NameId(count.expect("names for 2^32 subscribers do not fit in memory"))
        });
        self.names[id.index()] = (Rc::clone(&text), 1);
        self.ids.insert(text, id);
        id
    }

    fn name(&self, id: NameId) -> &str {
        &self.names[id.index()].0
    }

    /// A peer could name ever new servers: a name goes with its last subscriber.
    fn release(&mut self, id: NameId) {
        let (name, users) = &mut self.names[id.index()];
        *users -= 1;
        if *users == 0 {
            self.ids.remove(&*std::mem::take(name));
            self.free.push(id);
        }
    }
}

impl NameId {
    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_small() {
        assert!(size_of::<Option<State>>() <= 24, "{}", size_of::<Option<State>>());
    }

    #[test]
    fn a_name_goes_with_its_last_user() {
        let mut names = ServerNames::default();
        let (a, b) = (names.intern("sip:a"), names.intern("sip:a"));
        assert_eq!((a, names.name(a)), (b, "sip:a"));
        let other = names.intern("sip:b");
        names.release(a);
        assert_eq!((names.ids.len(), names.name(b), names.name(other)), (2, "sip:a", "sip:b"));
        names.release(b);
        assert_eq!(names.ids.len(), 1);
        assert_eq!(names.intern("sip:c"), a);
        assert_eq!((names.name(a), names.name(other)), ("sip:c", "sip:b"));
    }
}
