//! Group commit: what an element promises leaves after its record is durable, and records of many packets share one
//! write to the disk.
//!
//! The thread that receives never waits for the disk. What follows a record is held back; while one group is being
//! written, the next one gathers behind it.

use super::{StateDir, StateFault};
use crate::ims::{ElementId, Outward};
use crate::live::shard::{self, Shared};
use crate::packet::Effect;
use std::collections::HashMap;
use std::rc::Rc;

/// The newest value of each key.
pub(in crate::live) type Records = HashMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>;

/// The records of one shard on their way to the disk.
pub(in crate::live) struct Journal {
    state: StateDir,
    /// The group that gathers.
    records: Records,
    /// What may leave when that group is durable.
    after_gathering: Outward,
    writing: Writing,
}

enum Writing {
    Nothing,
    /// What may leave when the group that is being written is durable.
    Group(Outward),
    /// Nothing leaves any more: what is promised from now on would be forgotten.
    Failed(StateFault),
}

impl Journal {
    pub(in crate::live) fn new(state: StateDir) -> Self {
        Self { state, records: Records::default(), after_gathering: Outward::new(), writing: Writing::Nothing }
    }

    /// Takes a record, and whatever comes after one that is not durable yet. Gives back what may be done at once.
    pub(in crate::live) fn pass(&mut self, owner: ElementId, effect: Effect, bytes: &[u8]) -> Option<Effect> {
        if let Effect::Record { key, value } = effect {
            self.records.insert(bytes[key].into(), bytes[value].into());
            return None;
        }
        match &mut self.writing {
            _ if !self.records.is_empty() => self.after_gathering.append(owner, effect, bytes),
            Writing::Group(after) => after.append(owner, effect, bytes),
            Writing::Failed(_) => {}
            Writing::Nothing => return Some(effect),
        }
        None
    }

    /// True while something is held back.
    pub(in crate::live) const fn is_busy(&self) -> bool {
        matches!(self.writing, Writing::Group(_))
    }

    /// Why nothing leaves any more.
    pub(in crate::live) const fn failure(&self) -> Option<&StateFault> {
        match &self.writing {
            Writing::Failed(fault) => Some(fault),
            Writing::Nothing | Writing::Group(_) => None,
        }
    }

    /// The group to write now, if one has gathered and none is being written.
    fn begin(&mut self) -> Option<Records> {
        if self.records.is_empty() || !matches!(self.writing, Writing::Nothing) {
            return None;
        }
        self.writing = Writing::Group(std::mem::take(&mut self.after_gathering));
        Some(std::mem::take(&mut self.records))
    }

    /// The group is durable, or never will be. Returns what may leave.
    fn end(&mut self, written: Result<(), StateFault>) -> Outward {
        let next = match written {
            Ok(()) => Writing::Nothing,
            Err(fault) => Writing::Failed(fault),
        };
        match std::mem::replace(&mut self.writing, next) {
            Writing::Group(after) if self.failure().is_none() => after,
            _ => Outward::new(),
        }
    }
}

/// Starts to write the group that has gathered, away from this thread; then carries out what waits for it, then the
/// next group.
pub(in crate::live) fn write(shared: &Shared) {
    let begun = {
        let mut shard = shared.borrow_mut();
        let Some(journal) = &mut shard.journal else { return };
        journal.begin().map(|records| (journal.state.clone(), records))
    };
    let Some((state, records)) = begun else { return };
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        let written = tokio::task::spawn_blocking(move || state.commit(records)).await;
        let written = written.expect("a commit is not cancelled and does not panic");
        let after = {
            let mut shard = shared.borrow_mut();
            let Some(journal) = &mut shard.journal else { return };
            journal.end(written)
        };
        shard::release(&shared, after);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Outbox, Route, Transport};

    const OWNER: &str = "001010000000001@example";

    fn journal(test: &str) -> (Journal, impl Drop) {
        struct Gone(std::path::PathBuf);
        impl Drop for Gone {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }
        let path = std::env::temp_dir().join(format!("imsreg-journal-{test}-{}", std::process::id()));
        (Journal::new(StateDir::open(&path).expect("a fresh directory")), Gone(path))
    }

    /// Passes a record (`Some`) or a message (`None`), tells whether it may leave at once.
    fn pass(journal: &mut Journal, record: Option<&[u8]>, message: &[u8]) -> bool {
        let mut out = Outbox::new();
        let here = "127.0.0.1:3868".parse().expect("an address");
        match record {
            Some(value) => out.record(OWNER.as_bytes(), |b| b.extend_from_slice(value)),
            None => {
                out.transmit(Route::diameter(Transport::Tcp, here, here), |b| b.extend_from_slice(message));
            }
        }
        let (bytes, mut effects) = out.take();
        journal.pass(ElementId::default(), effects.remove(0), &bytes).is_some()
    }

    fn messages(mut out: Outward) -> Vec<Vec<u8>> {
        let (effects, bytes) = out.drain();
        effects
            .map(|(_, effect)| match effect {
                Effect::Transmit { range, .. } => bytes[range].to_vec(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_follows_a_record_waits_for_it_and_for_no_later_one() {
        let (mut journal, _gone) = journal("order");
        assert!(pass(&mut journal, None, b"before"));
        assert!(!pass(&mut journal, Some(b"1"), b""));
        assert!(!pass(&mut journal, None, b"first"));
        let group = journal.begin().expect("a record");
        assert_eq!(group.len(), 1);
        // No record since: it waits for the group that is being written.
        assert!(!pass(&mut journal, None, b"second"));
        assert!(!pass(&mut journal, Some(b"2"), b""));
        assert!(!pass(&mut journal, Some(b"3"), b""));
        assert!(!pass(&mut journal, None, b"third"));
        assert!(journal.begin().is_none(), "one group at a time");
        assert_eq!(messages(journal.end(Ok(()))), [b"first".to_vec(), b"second".to_vec()]);
        let group = journal.begin().expect("the next group");
        assert_eq!(group.into_values().collect::<Vec<_>>(), [Box::from(&b"3"[..])], "the newest value of a key");
        assert_eq!(messages(journal.end(Ok(()))), [b"third".to_vec()]);
        assert!(pass(&mut journal, None, b"after"));
    }

    #[test]
    fn nothing_leaves_after_a_failed_write() {
        let (mut journal, _gone) = journal("failed");
        assert!(!pass(&mut journal, Some(b"1"), b""));
        assert!(!pass(&mut journal, None, b"first"));
        journal.begin().expect("a record");
        let fault = StateFault::InUse("somewhere".into());
        assert!(messages(journal.end(Err(fault))).is_empty());
        assert!(journal.failure().is_some());
        assert!(!pass(&mut journal, None, b"second"));
        assert!(!pass(&mut journal, Some(b"2"), b""));
        assert!(journal.begin().is_none());
    }
}
