//! Our branches: the magic cookie, the slot with its generation, and chance, so that a response finds its transaction
//! by index and nobody can guess it.

use super::ClientId;
use super::key::COOKIE;
use crate::random::Token;

/// The text of a branch, on the stack.
#[derive(Clone, Copy)]
pub(super) struct Branch([u8; LENGTH]);

impl Branch {
    pub(super) fn new(id: ClientId, token: Token<CHANCE>) -> Self {
        let mut text = [0; LENGTH];
        text[..COOKIE.len()].copy_from_slice(COOKIE.as_bytes());
        let mut rest = u64::from(id.index) << 32 | u64::from(id.generation);
        for digit in text[COOKIE.len()..COOKIE.len() + DIGITS].iter_mut().rev() {
            *digit = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        text[COOKIE.len() + DIGITS..].copy_from_slice(token.as_bytes());
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("characters of the alphabet below")
    }

    /// The id and the random part of a branch that may be ours; what its owner has added follows a dot.
    pub(super) fn read(text: &str) -> Option<(ClientId, &str)> {
        let (rest, more) = text.strip_prefix(COOKIE)?.split_at_checked(DIGITS + CHANCE)?;
        if !(more.is_empty() || more.starts_with('.')) {
            return None;
        }
        let (digits, token) = rest.split_at_checked(DIGITS)?;
        let mut number = 0_u64;
        for digit in digits.bytes() {
            let value = match digit {
                b'a'..=b'z' => digit - b'a',
                b'2'..=b'7' => digit - b'2' + 26,
                _ => return None,
            };
            number = number << 5 | u64::from(value);
        }
        let index = u32::try_from(number >> 32).expect("32 bits are left");
        let generation = u32::try_from(number & u64::from(u32::MAX)).expect("masked to 32 bits");
        Some((ClientId { index, generation }, token))
    }
}

/// 13 digits of five bits hold 64.
const DIGITS: usize = 13;
pub(super) const CHANCE: usize = 8;
const LENGTH: usize = COOKIE.len() + DIGITS + CHANCE;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_branch_names_its_slot() {
        let mut random = Random::seeded(3);
        for (index, generation) in [(0, 0), (1, 7), (70_000, 3), (u32::MAX, u32::MAX)] {
            let (id, token) = (ClientId { index, generation }, random.token());
            let branch = Branch::new(id, token);
            assert!(branch.as_str().starts_with("z9hG4bK"));
            assert_eq!(Branch::read(branch.as_str()), Some((id, token.as_str())));
            let longer = format!("{}.more", branch.as_str());
            assert_eq!(Branch::read(&longer), Some((id, token.as_str())));
            assert_eq!(Branch::read(&format!("{}more", branch.as_str())), None);
        }
    }

    #[test]
    fn a_foreign_branch_is_none_of_ours() {
        for text in
            ["", "z9hG4bK", "z9hG4bK776asdhds", "z9hG4bKAAAAAAAAAAAAAaaaaaaaa", "z9hG4bKaaaaaaaaaaaa\u{e9}aaaaaaa"]
        {
            assert_eq!(Branch::read(text), None, "{text}");
        }
    }
}
