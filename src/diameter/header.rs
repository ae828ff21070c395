//! The 20 octets in front (RFC 6733 clause 3).

use super::Fault;

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
/// `Some(Err)` when the stream cannot be framed any more (length below 20 or above `limit`).
///
/// A message of another version, or whose length is not a multiple of four, can still be cut out: [`Header::parse`]
/// refuses it, and so its sender gets an answer.
pub fn frame(buffer: &[u8], limit: usize) -> Option<Result<usize, Fault>> {
    let head = buffer.first_chunk::<4>()?;
    let len = declared_len(*head);
    Some(if (LEN..=limit).contains(&len) { Ok(len) } else { Err(INVALID_MESSAGE_LENGTH) })
}

impl Header {
    /// Reads the header of one whole message.
    pub fn parse(message: &[u8]) -> Result<Self, Fault> {
        let Some(header) = Self::read(message) else { return Err(INVALID_MESSAGE_LENGTH) };
        if message[0] != VERSION {
            return Err(Fault::new(5011, "only version 1 is supported"));
        }
        let len = declared_len([0, message[1], message[2], message[3]]);
        if len != message.len() || !len.is_multiple_of(4) {
            return Err(INVALID_MESSAGE_LENGTH);
        }
        // RFC 6733 clause 3. Reserved bits are ignored, and so is T where it means nothing.
        if header.request && header.error {
            return Err(Fault::new(3008, "E in a request"));
        }
        Ok(header)
    }

    /// Reads the fields without a check, to answer what [`Header::parse`] refuses. `None` below 20 octets.
    pub fn read(message: &[u8]) -> Option<Self> {
        let octets = message.first_chunk::<LEN>()?;
        let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let flags = octets[4];
        Some(Self {
            request: flags & REQUEST != 0,
            proxiable: flags & PROXIABLE != 0,
            error: flags & ERROR != 0,
            retransmitted: flags & RETRANSMITTED != 0,
            command: word(4) & 0xff_ffff,
            application: word(8),
            hop_by_hop: word(12),
            end_to_end: word(16),
        })
    }

    /// The header of the answer to this request.
    #[must_use]
    pub const fn answer(&self, error: bool) -> Self {
        Self { request: false, error, retransmitted: false, ..*self }
    }

    /// Appends 20 octets, length zero: [`super::Writer::finish`] knows it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = bit(self.request, REQUEST)
            | bit(self.proxiable, PROXIABLE)
            | bit(self.error, ERROR)
            | bit(self.retransmitted, RETRANSMITTED);
        let mut octets = [0; LEN];
        octets[0] = VERSION;
        octets[4..8].copy_from_slice(&self.command.to_be_bytes());
        octets[4] = flags;
        octets[8..12].copy_from_slice(&self.application.to_be_bytes());
        octets[12..16].copy_from_slice(&self.hop_by_hop.to_be_bytes());
        octets[16..].copy_from_slice(&self.end_to_end.to_be_bytes());
        out.extend_from_slice(&octets);
    }
}

/// Sets T in a message that was written before (RFC 6733 clause 5.5.4).
pub(super) fn mark_retransmitted(message: &mut [u8]) {
    if let Some(flags) = message.get_mut(4) {
        *flags |= RETRANSMITTED;
    }
}

fn declared_len([_, a, b, c]: [u8; 4]) -> usize {
    u32::from_be_bytes([0, a, b, c]) as usize
}

const INVALID_MESSAGE_LENGTH: Fault = Fault::new(5015, "invalid message length");
const VERSION: u8 = 1;
const REQUEST: u8 = 0x80;
const PROXIABLE: u8 = 0x40;
const ERROR: u8 = 0x20;
const RETRANSMITTED: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_what_can_be_answered_and_refuses_the_rest() {
        assert!(frame(&[1, 0, 0], 4096).is_none());
        assert_eq!(frame(&[1, 0, 0, 20], 4096), Some(Ok(20)));
        assert_eq!(frame(&[2, 0, 1, 1], 4096), Some(Ok(257)));
        assert_eq!(frame(&[1, 0, 0, 16], 4096).unwrap().unwrap_err().code, 5015);
        assert_eq!(frame(b"GET / HTTP", 65_536).unwrap().unwrap_err().code, 5015);
    }

    #[test]
    fn e_belongs_to_answers() {
        let mut message = vec![1, 0, 0, 20, 0x90, 0, 1, 0x18, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        assert!(Header::parse(&message).unwrap().retransmitted);
        message[4] = 0xa0;
        assert_eq!(Header::parse(&message).unwrap_err().code, 3008);
        message[4] = 0x20;
        assert!(Header::parse(&message).unwrap().error);
        assert_eq!(Header::parse(&message[..19]).unwrap_err().code, 5015);
    }
}
