//! Pasted texts and logs of programs, read as messages.

use super::Sighting;
use std::io::{self, BufRead};

/// Reads a text, one [`Sighting`] after the other, a message at a time.
pub struct Reader<R> {
    input: R,
}

impl<R: BufRead> Reader<R> {
    /// A reader from the first line on.
    pub fn new(input: R) -> Self {
        Self { input }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = io::Result<Sighting>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        }
    }
}

/// Appends a sighting as text, as [`Reader`] reads it: time, from and to, then the message.
pub fn write(_sighting: &Sighting, _out: &mut Vec<u8>) {}
