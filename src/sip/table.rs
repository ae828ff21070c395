//! The table of lines of a message.

use super::parse::limits;
use super::{HeaderName, NameSet, ParseError};

/// Where one header line is in the header section.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) name: HeaderName,
    /// One piece that ends in CRLF: it can be copied as it is.
    pub(crate) is_plain: bool,
    pub(crate) start: u16,
    pub(crate) name_end: u16,
    pub(crate) value_start: u16,
    pub(crate) value_end: u16,
    pub(crate) end: u16,
}

impl Slot {
    // The ranges of the table are those of whole tokens and lines of the text. `unwrap_or_default` never takes place, but
    // where a caller does not look at a part, the compiler can leave that part out, which it cannot where it may panic.
    /// The value in `text`, which is the header section that the line is of.
    #[inline]
    pub(crate) fn value<'a>(&self, text: &'a str) -> &'a str {
        text.get(usize::from(self.value_start)..usize::from(self.value_end)).unwrap_or_default()
    }
}

/// The lines of one message: on the stack, beyond [`INLINE`] on the heap.
#[derive(Clone)]
pub(crate) struct Table {
    len: usize,
    present: NameSet,
    repeated: NameSet,
    /// Index of the first line of every name that is present.
    first: [u16; NAMES],
    slots: [Slot; INLINE],
    more: Vec<Slot>,
}

/// Handsets send 13 to 25 headers.
const INLINE: usize = 32;
const NAMES: usize = HeaderName::ALL.len() + 1;

impl Table {
    /// No lines.
    #[inline]
    pub(crate) fn new() -> Self {
        // All zeros, which are written faster than anything else.
        let empty = Slot {
            name: HeaderName::ALL[0].0,
            is_plain: false,
            start: 0,
            name_end: 0,
            value_start: 0,
            value_end: 0,
            end: 0,
        };
        let none = NameSet::default();
        Self { len: 0, present: none, repeated: none, first: [0; NAMES], slots: [empty; INLINE], more: Vec::new() }
    }

    /// Adds the next line.
    #[inline]
    pub(crate) fn push(&mut self, slot: Slot) -> Result<(), ParseError> {
        if self.len < INLINE {
            self.slots[self.len] = slot;
        } else if self.len < limits::HEADERS {
            self.more.push(slot);
        } else {
            return Err(ParseError::TooLarge);
        }
        let name = NameSet::of(&[slot.name]);
        if self.present.contains(slot.name) {
            self.repeated = self.repeated.union(name);
        } else {
            self.present = self.present.union(name);
            self.first[slot.name as usize] = self.len as u16;
        }
        self.len += 1;
        Ok(())
    }

    /// The line that was added last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut Slot> {
        self.more.last_mut().or_else(|| self.slots[..self.len.min(INLINE)].last_mut())
    }

    /// How many lines.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The names of which there is a line.
    pub(crate) fn present(&self) -> NameSet {
        self.present
    }

    /// The names of which there are two lines or more.
    pub(crate) fn repeated(&self) -> NameSet {
        self.repeated
    }

    /// The line of this index.
    #[inline]
    pub(crate) fn line(&self, index: usize) -> Option<&Slot> {
        match self.slots[..self.len.min(INLINE)].get(index) {
            Some(slot) => Some(slot),
            None => self.more.get(index.checked_sub(INLINE)?),
        }
    }

    /// Every line, in order, the first ones and the others.
    #[inline]
    pub(crate) fn slices(&self) -> (&[Slot], &[Slot]) {
        (&self.slots[..self.len.min(INLINE)], &self.more)
    }

    /// Every line, in order.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots[..self.len.min(INLINE)].iter().chain(&self.more)
    }

    /// The first line of one name.
    #[inline]
    pub(crate) fn first(&self, name: HeaderName) -> Option<&Slot> {
        if self.present.contains(name) { self.line(usize::from(self.first[name as usize])) } else { None }
    }

    /// The lines of one name, in order.
    #[inline]
    pub(crate) fn named(&self, name: HeaderName) -> impl Iterator<Item = &Slot> {
        let mut first = self.first(name);
        let behind = usize::from(self.first[name as usize]) + 1;
        let (mut rest, mut more): (&[Slot], &[Slot]) = match self.slices() {
            (rest, more) if self.repeated.contains(name) => {
                (rest.get(behind..).unwrap_or_default(), &more[behind.saturating_sub(INLINE).min(more.len())..])
            }
            _ => (&[], &[]),
        };
        std::iter::from_fn(move || {
            if first.is_some() {
                return first.take();
            }
            loop {
                match rest {
                    [slot, behind @ ..] => {
                        rest = behind;
                        if slot.name == name {
                            return Some(slot);
                        }
                    }
                    [] if more.is_empty() => return None,
                    [] => rest = std::mem::take(&mut more),
                }
            }
        })
    }
}
