//! Replacements under a key: what is different stays different, what is equal stays equal, and digits stay digits.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of one run, or of a seed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Cipher([u8; 32]);

/// What is replaced: the same text as another thing has another replacement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Class {
    Seed = 1,
    Digits,
    Name,
    Hex,
    Key,
    Address,
    Octets,
}

/// A character as a number below a radix.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    value: u8,
    radix: u8,
    first: u8,
}

impl Cipher {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Of a text that somebody chose.
    pub(super) fn of_seed(seed: &str) -> Self {
        Self(Self([0; 32]).mac(Class::Seed, &[seed.as_bytes()]))
    }

    /// As many octets as are wanted, of everything in `parts`.
    pub(super) fn octets(&self, class: Class, parts: &[&[u8]], len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 32);
        let mut block = 0_u32;
        while out.len() < len {
            let number = block.to_be_bytes();
            let all: Vec<&[u8]> = std::iter::once(&number[..]).chain(parts.iter().copied()).collect();
            out.extend_from_slice(&self.mac(class, &all));
            block += 1;
        }
        out.truncate(len);
        out
    }

    /// A number: IMSI and IMEI keep their first six digits (network, or model), others none. A zero in front stays one.
    pub(super) fn digits(&self, digits: &str) -> String {
        let kept = if matches!(digits.len(), 14..=16) { 6 } else { 0 };
        let mut octets = digits.as_bytes().to_vec();
        let is_number = kept == 0 && octets.first().is_some_and(|first| *first != b'0');
        self.permute(Class::Digits, &mut octets[kept..], |at, octet| match octet {
            b'1'..=b'9' if at == 0 && is_number => Some(Symbol { value: octet - b'1', radix: 9, first: b'1' }),
            b'0' if at == 0 && kept == 0 => None,
            b'0'..=b'9' => Some(Symbol { value: octet - b'0', radix: 10, first: b'0' }),
            _ => None,
        });
        String::from_utf8(octets).expect("digits were exchanged for digits")
    }

    /// Letters for letters and digits for digits; what is neither stays.
    pub(super) fn name(&self, octets: &mut [u8]) {
        self.permute(Class::Name, octets, |_, octet| {
            Some(match octet {
                b'0'..=b'9' => Symbol { value: octet - b'0', radix: 10, first: b'0' },
                b'a'..=b'z' => Symbol { value: octet - b'a', radix: 26, first: b'a' },
                b'A'..=b'Z' => Symbol { value: octet - b'A', radix: 26, first: b'A' },
                _ => return None,
            })
        });
    }

    /// Hexadecimal digits, in lower case, for such.
    pub(super) fn nibbles(&self, values: &mut [u8]) {
        self.permute(Class::Hex, values, |_, value| Some(Symbol { value: value & 15, radix: 16, first: 0 }));
    }

    /// The sixteen hexadecimal digits of an interface identifier, in groups of four as they are written: zeros in front of
    /// a group stay, and what follows them does not become one.
    pub(super) fn groups(&self, values: &mut [u8]) {
        let digits: Vec<Option<bool>> = values
            .chunks(4)
            .flat_map(|group| {
                let zeros = group.iter().take_while(|value| **value == 0).count();
                (0..group.len()).map(move |at| (at >= zeros).then_some(at == zeros))
            })
            .collect();
        self.permute(Class::Hex, values, |at, value| match digits.get(at).copied().flatten()? {
            true => Some(Symbol { value: value - 1, radix: 15, first: 1 }),
            false => Some(Symbol { value, radix: 16, first: 0 }),
        });
    }

    /// A Feistel network over characters of any radix: each half is shifted by what the other says, ten times.
    fn permute(&self, class: Class, octets: &mut [u8], symbol: impl Fn(usize, u8) -> Option<Symbol>) {
        let mut symbols: Vec<(usize, Symbol)> =
            octets.iter().enumerate().filter_map(|(at, octet)| Some((at, symbol(at, *octet)?))).collect();
        let middle = symbols.len() / 2;
        let shape: Vec<u8> = symbols.iter().map(|(_, symbol)| symbol.radix).collect();
        for round in 0..ROUNDS {
            let (left, right) = symbols.split_at_mut(middle);
            let (target, source) = if round % 2 == 0 { (right, left) } else { (left, right) };
            let said: Vec<u8> = source.iter().map(|(_, symbol)| symbol.value).collect();
            let stream = self.octets(class, &[&[round], &shape, &said], target.len() * 2);
            for ((_, symbol), octets) in target.iter_mut().zip(stream.chunks_exact(2)) {
                let shift = u16::from_be_bytes([octets[0], octets[1]]) % u16::from(symbol.radix);
                symbol.value = ((u16::from(symbol.value) + shift) % u16::from(symbol.radix)) as u8;
            }
        }
        for (at, symbol) in symbols {
            octets[at] = symbol.first + symbol.value;
        }
    }

    fn mac(&self, class: Class, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(&[class as u8]);
        for part in parts {
            mac.update(&(part.len() as u32).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

const ROUNDS: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn different_numbers_stay_different() {
        let cipher = Cipher::of_seed("x");
        let all: HashSet<String> = (0..1_000).map(|n| cipher.digits(&format!("{n:03}"))).collect();
        assert_eq!(all.len(), 1_000);
        let names: HashSet<Vec<u8>> = (b'a'..=b'z')
            .flat_map(|a| (b'a'..=b'z').map(move |b| [a, b]))
            .map(|mut name| {
                cipher.name(&mut name);
                name.to_vec()
            })
            .collect();
        assert_eq!(names.len(), 26 * 26);
    }

    #[test]
    fn what_a_number_is_can_be_seen() {
        let cipher = Cipher::of_seed("x");
        let imsi = cipher.digits("001010000000001");
        assert!(imsi.starts_with("001010") && imsi.len() == 15 && imsi != "001010000000001", "{imsi}");
        let number = cipher.digits("99912345678");
        assert!(number.len() == 11 && !number.starts_with('0') && number != "99912345678", "{number}");
        assert!(cipher.digits("0891234567").starts_with('0'));
        assert_ne!(Cipher::of_seed("y").digits("001010000000001"), imsi);
        assert_eq!(Cipher::of_seed("x").digits("001010000000001"), imsi);
        let mut name = *b"Al-ice.77@";
        cipher.name(&mut name);
        assert!(name[0].is_ascii_uppercase() && name[1].is_ascii_lowercase() && name[2] == b'-' && name[6] == b'.');
    }
}
