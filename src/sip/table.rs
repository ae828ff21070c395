//! The table of lines of a message.

use super::parse::limits;
use super::{HeaderName, ParseError};
use memchr::memchr;

/// Where one header line is in the header section.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) name: HeaderName,
    pub(crate) start: u16,
    pub(crate) name_end: u16,
    pub(crate) value_start: u16,
    pub(crate) value_end: u16,
    pub(crate) end: u16,
}

/// The lines of one message: on the stack, beyond [`INLINE`] on the heap.
#[derive(Clone)]
pub(crate) struct Table {
    len: usize,
    /// The names again, side by side, so that a search is one `memchr`.
    names: [u8; INLINE],
    slots: [Slot; INLINE],
    more_names: Vec<u8>,
    more: Vec<Slot>,
}

/// Handsets send 13 to 25 headers.
const INLINE: usize = 40;

impl Table {
    /// No lines.
    pub(crate) fn new() -> Self {
        let empty = Slot { name: HeaderName::Other, start: 0, name_end: 0, value_start: 0, value_end: 0, end: 0 };
        Self { len: 0, names: [0; INLINE], slots: [empty; INLINE], more_names: Vec::new(), more: Vec::new() }
    }

    /// Adds the next line.
    pub(crate) fn push(&mut self, slot: Slot) -> Result<(), ParseError> {
        if self.len < INLINE {
            self.names[self.len] = slot.name as u8;
            self.slots[self.len] = slot;
        } else if self.len < limits::HEADERS {
            self.more_names.push(slot.name as u8);
            self.more.push(slot);
        } else {
            return Err(ParseError::TooLarge);
        }
        self.len += 1;
        Ok(())
    }

    /// How many lines.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Every line, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots[..self.len.min(INLINE)].iter().chain(&self.more)
    }

    /// The lines of one name, in order.
    pub(crate) fn named(&self, name: HeaderName) -> impl Iterator<Item = &Slot> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let (index, slot) = self.next(name, from)?;
            from = index + 1;
            Some(slot)
        })
    }

    /// The first line of `name` at or after index `from`.
    fn next(&self, name: HeaderName, from: usize) -> Option<(usize, &Slot)> {
        let inline = self.len.min(INLINE);
        if from < inline
            && let Some(found) = memchr(name as u8, &self.names[from..inline])
        {
            return Some((from + found, &self.slots[from + found]));
        }
        let from = from.max(inline) - inline;
        let found = memchr(name as u8, self.more_names.get(from..)?)?;
        Some((inline + from + found, &self.more[from + found]))
    }
}
