//! Octets from a source that cannot go back, looked at before they are taken.

use std::io::{self, BufRead, Read};

/// A source and what was read of it ahead.
#[derive(Debug)]
pub struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    /// Nothing read yet.
    pub fn new(source: R) -> Self {
        Self { source, buffer: vec![0; LEAST], start: 0, end: 0 }
    }

    /// Reads until `len` octets are there, or the source has no more: then false.
    pub fn need(&mut self, len: usize) -> io::Result<bool> {
        if self.end - self.start >= len {
            return Ok(true);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        } else if self.buffer.len() > LEAST && len <= LEAST && self.end <= LEAST {
            // One long block must not keep its memory for ever.
            self.buffer.truncate(LEAST);
            self.buffer.shrink_to_fit();
        }
        while self.end < len {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(true)
    }

    /// What was read ahead.
    pub fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes `len` octets of what was read ahead.
    pub fn pull(&mut self, len: usize) -> &[u8] {
        let from = self.start;
        self.start += len.min(self.end - from);
        &self.buffer[from..self.start]
    }

    /// Takes `len` octets that nobody wants to see; false where the source ends before.
    pub fn skip(&mut self, mut len: usize) -> io::Result<bool> {
        while len > 0 {
            let some = len.min(LEAST);
            let is_there = self.need(some)?;
            len -= self.pull(some).len();
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ahead = self.fill_buf()?;
        let len = ahead.len().min(out.len());
        out[..len].copy_from_slice(&ahead[..len]);
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.need(1)?;
        Ok(self.ahead())
    }

    fn consume(&mut self, len: usize) {
        self.pull(len);
    }
}

const LEAST: usize = 256 * 1024;
