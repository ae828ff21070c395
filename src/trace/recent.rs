//! Maps that forget: what was neither put in nor looked at for long goes, so that memory is bounded.

use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::hash::Hash;

/// A map of at most twice `most` entries.
#[derive(Clone, Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V, FixedState>,
    old: HashMap<K, V, FixedState>,
    most: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), most }
    }

    /// What is looked at becomes young again.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Hands out everything, in no order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (K, V)> + '_ {
        self.old.drain().chain(self.young.drain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut recent = Recent::new(10);
        for i in 0..1_000 {
            recent.insert(i, i);
            assert_eq!(recent.get_mut(&0), Some(&mut 0));
            assert!(recent.young.len() + recent.old.len() <= 20);
        }
        assert_eq!(recent.get_mut(&500), None);
        assert_eq!(recent.get_mut(&995), Some(&mut 995));
    }
}
