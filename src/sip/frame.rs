//! Streams to messages: where one message ends (RFC 3261 clause 18.3, RFC 5626 clause 4.4.1).

/// What the front of a stream buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A message of this many octets.
    Message(usize),
    /// A keep-alive ping (CRLF CRLF) of this many octets: answer CRLF.
    Ping(usize),
    /// Octets to skip: a pong, or line ends or junk before a start line.
    Skip(usize),
    /// Not enough yet.
    Incomplete,
}

/// The stream cannot be framed any more: answer `status` if a request line was readable, and close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unframeable {
    /// 400 or 513.
    pub status: u16,
}

/// Looks at the front of `buffer`.
pub fn next(_buffer: &[u8]) -> Result<Frame, Unframeable> {
    todo!()
}
