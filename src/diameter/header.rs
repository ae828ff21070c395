//! The 20 octets in front (RFC 6733 clause 3).

/// A Diameter header, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// R
    pub request: bool,
    /// P
    pub proxiable: bool,
    /// E
    pub error: bool,
    /// T
    pub retransmitted: bool,
    /// Command code, 24 bits.
    pub command: u32,
    /// Application id.
    pub application: u32,
    /// Unique on one connection, echoed in the answer.
    pub hop_by_hop: u32,
    /// Unique per origin for four minutes, kept on failover.
    pub end_to_end: u32,
}

/// Octets of a header.
pub const LEN: usize = 20;

/// The length of the message at the front of a stream buffer: `None` while fewer than four octets are there,
/// `Some(Err)` when the stream cannot be framed any more (version, length below 20, not a multiple of 4, above `limit`).
pub fn frame(_buffer: &[u8], _limit: usize) -> Option<Result<usize, super::Fault>> {
    todo!()
}

impl Header {
    /// Reads the header of one whole message.
    pub fn parse(_message: &[u8]) -> Result<Self, super::Fault> {
        todo!()
    }
}
