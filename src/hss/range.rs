//! A range of subscribers: identities, keys and user data of the n-th, found by arithmetic on their digits.

use super::source::{Place, Source};
use super::store::{DuplicateIdentity, KeyTemplate, OperatorTemplate, RangeKeys};
use crate::aka::milenage::Milenage;
use crate::aka::vector::SubscriberKeys;
use crate::aka::{K, Op, Opc};
use crate::cx::user_data::ImsSubscription;
use std::cell::OnceCell;

/// What the members of a range differ in.
#[derive(Clone, Debug)]
pub(super) struct Range {
    count: u64,
    digits: Digits,
    impi: Template,
    impus: Vec<(Template, Place)>,
    keys: RangeKeys,
    /// User data of the first member, written when it is first asked for.
    user_data: OnceCell<Template>,
}

impl Range {
    pub(super) fn new(
        first: &Source,
        imsi: &str,
        msisdn: Option<&str>,
        count: u64,
        keys: RangeKeys,
    ) -> Result<Self, DuplicateIdentity> {
        let digits = Digits { imsi: imsi.into(), msisdn: msisdn.unwrap_or_default().into() };
        let impi = Template::new(first.impi().as_bytes(), &digits);
        let impus: Vec<_> =
            first.impus().map(|(impu, place)| (Template::new(impu.as_bytes(), &digits), place)).collect();
        for (at, template) in [&impi].into_iter().chain(impus.iter().map(|(impu, _)| impu)).enumerate() {
            let repeated = at > 0 && impus[..at - 1].iter().any(|(earlier, _)| earlier.text == template.text);
            if repeated || !template.is_distinct(count) {
                return Err(DuplicateIdentity(template.render(0)));
            }
        }
        Ok(Self { count, digits, impi, impus, keys, user_data: OnceCell::new() })
    }

    /// Which member has this private identity.
    pub(super) fn by_impi(&self, impi: &str) -> Option<u64> {
        self.impi.number(impi, self.count)
    }

    /// The private identity of the n-th.
    pub(super) fn impi(&self, n: u64) -> String {
        self.impi.render(n)
    }

    /// Which member has this public identity, and as which of its own.
    pub(super) fn by_impu(&self, impu: &str) -> Option<(u64, Place)> {
        self.impus.iter().find_map(|(template, place)| Some((template.number(impu, self.count)?, *place)))
    }

    /// Fails with an identity that `other` has too. Both count up, so where they meet, an end of one lies in the other.
    pub(super) fn disjoint(&self, other: &Self) -> Result<(), DuplicateIdentity> {
        for (a, b) in [(self, other), (other, self)] {
            for n in [0, b.count.saturating_sub(1)] {
                let impi = b.impi.render(n);
                if a.by_impi(&impi).is_some() {
                    return Err(DuplicateIdentity(impi));
                }
                if let Some(impu) = b.impus.iter().map(|(impu, _)| impu.render(n)).find(|i| a.by_impu(i).is_some()) {
                    return Err(DuplicateIdentity(impu));
                }
            }
        }
        Ok(())
    }

    /// Keys of the n-th.
    pub(super) fn keys(&self, n: u64) -> SubscriberKeys {
        let octets = |template: &KeyTemplate| {
            let mut octets = template.octets;
            if let Some(hole) = template.imsi_at.and_then(|at| octets.get_mut(at..at + self.digits.imsi.len())) {
                hole.copy_from_slice(self.digits.imsi.as_bytes());
                count_up(hole, n);
            }
            octets
        };
        let k = K(octets(&self.keys.k));
        match &self.keys.operator {
            OperatorTemplate::Op(op) => {
                let opc = Milenage::opc(&k, &Op(octets(op)));
                SubscriberKeys::Milenage { k, opc }
            }
            OperatorTemplate::Opc(opc) => SubscriberKeys::Milenage { k, opc: Opc(octets(opc)) },
            OperatorTemplate::None => SubscriberKeys::Xor { k },
        }
    }

    /// Appends the user data of the n-th, made from `first`, the document of the first.
    pub(super) fn write_user_data(&self, first: &ImsSubscription, n: u64, out: &mut Vec<u8>) {
        let template = self.user_data.get_or_init(|| {
            let mut xml = Vec::new();
            first.write(&mut xml);
            Template::new(&xml, &self.digits)
        });
        template.write(n, out);
    }
}

/// The digits that count up.
#[derive(Clone, Debug)]
struct Digits {
    imsi: Box<str>,
    /// With `+`; empty when there is none.
    msisdn: Box<str>,
}

/// A text with holes of digits that count up together.
#[derive(Clone, Debug)]
struct Template {
    /// With the digits of the first member.
    text: Box<[u8]>,
    holes: Box<[Hole]>,
}

/// Digits that count up.
#[derive(Clone, Debug)]
struct Hole {
    at: std::ops::Range<usize>,
    /// Their value in the first member.
    first: u64,
}

impl Template {
    fn new(text: &[u8], digits: &Digits) -> Self {
        let (imsi, msisdn) = (digits.imsi.as_bytes(), digits.msisdn.as_bytes());
        let (mut holes, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let rest = &text[at..];
            let (sign, len) = if !imsi.is_empty() && rest.starts_with(imsi) {
                (0, imsi.len())
            } else if !msisdn.is_empty() && rest.starts_with(msisdn) {
                // The plus sign stays.
                (1, msisdn.len())
            } else {
                at += 1;
                continue;
            };
            let hole = at + sign..at + len;
            holes.extend(value(&text[hole.clone()]).map(|first| Hole { at: hole, first }));
            at += len;
        }
        Self { text: text.into(), holes: holes.into() }
    }

    /// The n of which `candidate` is the text.
    fn number(&self, candidate: &str, count: u64) -> Option<u64> {
        let candidate = candidate.as_bytes();
        if candidate.len() != self.text.len() {
            return None;
        }
        let (mut number, mut at) = (None, 0);
        for hole in &self.holes {
            if candidate[at..hole.at.start] != self.text[at..hole.at.start] {
                return None;
            }
            let n = value(&candidate[hole.at.clone()])?.checked_sub(hole.first)?;
            if number.is_some_and(|other| other != n) {
                return None;
            }
            number = Some(n);
            at = hole.at.end;
        }
        let n = number.unwrap_or(0);
        (candidate[at..] == self.text[at..] && n < count).then_some(n)
    }

    /// True when `count` members get as many texts.
    fn is_distinct(&self, count: u64) -> bool {
        let fits = |hole: &Hole| {
            let end = 10_u64.checked_pow(hole.at.len() as u32);
            hole.first.checked_add(count.saturating_sub(1)).is_some_and(|last| end.is_some_and(|end| last < end))
        };
        self.holes.iter().all(fits) && (count <= 1 || !self.holes.is_empty())
    }

    fn write(&self, n: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.text);
        for hole in &self.holes {
            count_up(&mut out[start + hole.at.start..start + hole.at.end], n);
        }
    }

    fn render(&self, n: u64) -> String {
        let mut out = Vec::new();
        self.write(n, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Adds `n` to ASCII digits, which keep their number.
fn count_up(digits: &mut [u8], n: u64) {
    let mut carry = n;
    for digit in digits.iter_mut().rev() {
        if carry == 0 {
            break;
        }
        let sum = carry + u64::from(*digit - b'0');
        *digit = b'0' + (sum % 10) as u8;
        carry = sum / 10;
    }
}

/// `None` unless there are one to eighteen ASCII digits.
fn value(digits: &[u8]) -> Option<u64> {
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let (rest, eights) = digits.as_rchunks();
    let mut first = [b'0'; 8];
    first[8 - rest.len()..].copy_from_slice(rest);
    let mut value = value_of_eight(first)?;
    for eight in eights {
        value = value * 100_000_000 + value_of_eight(*eight)?;
    }
    Some(value)
}

/// The same for eight, all at once: each step joins neighbours to numbers of twice the digits.
fn value_of_eight(digits: [u8; 8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    let digits = u64::from_le_bytes(digits) ^ ZEROS;
    // Above nine, six more reach the high half of an octet.
    if (digits | (digits.wrapping_add(0x0606_0606_0606_0606))) & 0xf0f0_f0f0_f0f0_f0f0 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_value_that_the_standard_library_reads() {
        for text in ["7", "12345678", "00000000", "99999999", "001010000001000", "123456789012345678", "90000001"] {
            assert_eq!(value(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!((value(b""), value(b"1234567890123456789")), (None, None));
        for at in 0..15 {
            for wrong in 0..=u8::MAX {
                let mut text = *b"001010000001000";
                text[at] = wrong;
                assert_eq!(value(&text).is_some(), wrong.is_ascii_digit(), "{wrong} at {at}");
            }
        }
    }
}
