//! pcapng files, with IP, UDP and TCP headers made up around each message.

use super::Hop;
use crate::time::Epoch;
use std::io::{self, Write};

/// Appends messages to a pcapng file while a run goes on.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    _epoch: Epoch,
}

impl<W: Write> Writer<W> {
    /// Writes the head of the file.
    pub fn new(out: W, epoch: Epoch) -> io::Result<Self> {
        Ok(Self { out, _epoch: epoch })
    }

    /// Writes one message; a TCP connection begins with its handshake.
    pub fn hop(&mut self, _hop: &Hop) -> io::Result<()> {
        todo!()
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
