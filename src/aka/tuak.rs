//! TUAK (TS 35.231).

use zeroize::{Zeroize, ZeroizeOnDrop};

/// K, TOPc and the lengths in use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[expect(missing_docs, reason = "the names are those of TS 35.231")]
pub struct TuakKeys {
    pub k: Vec<u8>,
    pub topc: [u8; 32],
    pub res_len: u8,
    pub iterations: u8,
}

impl std::fmt::Debug for TuakKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TuakKeys(..)")
    }
}
