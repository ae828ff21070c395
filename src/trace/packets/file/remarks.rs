//! What a capture tells besides packets.

use std::fmt;
use zeroize::Zeroizing;

/// Comments and secrets of a pcapng file, the first of them: more than a bounded number is counted only.
#[derive(Clone, Default, Debug)]
pub struct Remarks {
    /// Comments, in their order.
    pub comments: Vec<Comment>,
    /// Decryption secrets, in their order.
    pub secrets: Vec<Secrets>,
    /// What there was no room for.
    pub dropped: u64,
    octets: usize,
}

/// A comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// The packet that it is on; `None` for the whole file, a section or an interface.
    pub packet: Option<u64>,
    /// The words.
    pub text: String,
}

/// The data of a decryption secrets block. `Debug` shows how long they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// What they are: 0x544c534b is a TLS key log.
    pub kind: u32,
    /// The data.
    pub data: Zeroizing<Vec<u8>>,
}

impl Remarks {
    pub(super) fn comment(&mut self, packet: Option<u64>, text: &[u8]) {
        if self.has_room(text.len()) {
            self.comments.push(Comment { packet, text: String::from_utf8_lossy(text).into_owned() });
        }
    }

    pub(super) fn secrets(&mut self, kind: u32, data: &[u8]) {
        if self.has_room(data.len()) {
            self.secrets.push(Secrets { kind, data: Zeroizing::new(data.to_vec()) });
        }
    }

    fn has_room(&mut self, octets: usize) -> bool {
        let cost = octets + size_of::<Comment>();
        let has_room = self.octets + cost <= MOST_OCTETS;
        if has_room {
            self.octets += cost;
        } else {
            self.dropped += 1;
        }
        has_room
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} octets)", self.data.len())
    }
}

const MOST_OCTETS: usize = 4 << 20;
