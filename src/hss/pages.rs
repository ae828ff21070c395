//! Values under the numbers of subscribers. Numbers that follow each other share a page: who was provisioned together
//! mostly comes together, and then finds what it needs in the caches.

use std::array;
use std::collections::HashMap;

/// Nothing is spent on a page of which nobody has come.
#[derive(Debug)]
pub(super) struct Pages<T>(HashMap<u64, Box<[Option<T>; PAGE]>, foldhash::fast::RandomState>);

/// Large enough that the table of pages is small, and small enough for ranges of which few ever come.
const PAGE: usize = 32;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> Pages<T> {
    pub(super) fn get(&self, number: u64) -> Option<&T> {
        let (page, place) = split(number);
        self.0.get(&page)?[place].as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let (page, place) = split(number);
        self.0.get_mut(&page)?[place].as_mut()
    }

    pub(super) fn get_or_insert_with(&mut self, number: u64, make: impl FnOnce() -> T) -> &mut T {
        let (page, place) = split(number);
        let page = self.0.entry(page).or_insert_with(|| Box::new(array::from_fn(|_| None)));
        page[place].get_or_insert_with(make)
    }
}

const fn split(number: u64) -> (u64, usize) {
    (number / PAGE as u64, (number % PAGE as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_value_of_its_own() {
        let mut pages = Pages::default();
        for number in [0, 31, 32, u64::MAX] {
            assert_eq!(pages.get(number), None);
            *pages.get_or_insert_with(number, || number) ^= 1;
        }
        assert_eq!(pages.get_or_insert_with(31, || 0), &30);
        assert_eq!(pages.get_mut(32), Some(&mut 33));
        assert_eq!((pages.get(0), pages.get(1)), (Some(&1), None));
        assert_eq!(pages.get(u64::MAX), Some(&(u64::MAX - 1)));
    }
}
