//! Messages kept for a while.

/// Buffers that are used again.
#[derive(Default)]
pub(in crate::scscf) struct Kept(Vec<Vec<u8>>);

impl Kept {
    /// A copy of `message`.
    pub(in crate::scscf) fn take(&mut self, message: &[u8]) -> Vec<u8> {
        let mut buffer = self.0.pop().unwrap_or_default();
        buffer.extend_from_slice(message);
        buffer
    }

    /// The copy is not needed any more.
    pub(in crate::scscf) fn give(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.0.len() < MOST {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// What they held is nobody's business.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({})", self.0.len())
    }
}

/// Buffers kept at rest.
const MOST: usize = 64;
