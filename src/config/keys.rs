//! Keys as subscriber files write them: hexadecimal digits, with `{imsi}` where the digits of the IMSI go.

use crate::aka::milenage::Milenage;
use crate::aka::tuak::TuakKeys;
use crate::aka::vector::SubscriberKeys;
use crate::aka::{K, Op, Opc};
use crate::hss::store::{KeyTemplate, OperatorTemplate, RangeKeys};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key of 16 or 32 octets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct KeyText {
    octets: [u8; 32],
    len: usize,
    imsi_at: Option<usize>,
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

const HOLE: &str = "{imsi}";
const IMSI_DIGITS: usize = 15;

impl KeyText {
    /// `None` unless `text` makes `octets` octets.
    pub(super) fn read(text: &str, octets: usize) -> Option<Self> {
        let (before, behind) = match text.split_once(HOLE) {
            Some((before, behind)) => (before, Some(behind)),
            None => (text, None),
        };
        let mut key = Self { octets: [0; 32], len: 0, imsi_at: None };
        key.push_hex(before)?;
        if let Some(behind) = behind {
            key.imsi_at = Some(key.len);
            key.len += IMSI_DIGITS;
            key.push_hex(behind)?;
        }
        (key.len == octets).then_some(key)
    }

    fn push_hex(&mut self, text: &str) -> Option<()> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) {
            return None;
        }
        for pair in digits.chunks_exact(2) {
            let (high, low) = (char::from(pair[0]).to_digit(16)?, char::from(pair[1]).to_digit(16)?);
            *self.octets.get_mut(self.len)? = u8::try_from(high << 4 | low).ok()?;
            self.len += 1;
        }
        Some(())
    }

    /// True when it follows from the IMSI.
    pub(super) const fn has_hole(&self) -> bool {
        self.imsi_at.is_some()
    }

    /// True for 16 octets.
    pub(super) const fn is_short(&self) -> bool {
        self.len == 16
    }

    /// The octets for one subscriber; `imsi` has 15 digits where there is a hole.
    fn for_imsi(&self, imsi: &str) -> Self {
        let mut key = self.clone();
        if let Some(at) = self.imsi_at
            && let Some(hole) = key.octets.get_mut(at..at + imsi.len())
        {
            hole.copy_from_slice(imsi.as_bytes());
        }
        key
    }

    fn short(&self) -> [u8; 16] {
        *self.octets.first_chunk().expect("32 octets begin with 16")
    }

    fn template(&self) -> KeyTemplate {
        KeyTemplate { octets: self.short(), imsi_at: self.imsi_at }
    }

    fn from_template(template: &KeyTemplate) -> Self {
        let mut octets = [0; 32];
        octets[..16].copy_from_slice(&template.octets);
        Self { octets, len: 16, imsi_at: template.imsi_at }
    }
}

/// The keys of a subscriber or a range, complete.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Milenage { k: KeyText, operator: Operator },
    Tuak { k: KeyText, operator: Operator, res_len: u8, iterations: u8 },
    Xor { k: KeyText },
}

/// OP or OPc, TOP or TOPc.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Plain(KeyText),
    Computed(KeyText),
}

impl Keys {
    /// What one subscriber has. `None` where TUAK takes no such lengths.
    pub(super) fn for_imsi(&self, imsi: &str) -> Option<SubscriberKeys> {
        Some(match self {
            Self::Milenage { k, operator } => {
                let k = K(k.for_imsi(imsi).short());
                let opc = match operator {
                    Operator::Plain(op) => Milenage::opc(&k, &Op(op.for_imsi(imsi).short())),
                    Operator::Computed(opc) => Opc(opc.for_imsi(imsi).short()),
                };
                SubscriberKeys::Milenage { k, opc }
            }
            Self::Tuak { k, operator, res_len, iterations } => {
                let k = k.for_imsi(imsi);
                let octets = &k.octets[..k.len];
                let keys = match operator {
                    Operator::Plain(top) => TuakKeys::with_top(octets, top.octets, *res_len, *iterations),
                    Operator::Computed(topc) => TuakKeys::new(octets, topc.octets, *res_len, *iterations),
                };
                SubscriberKeys::Tuak(Box::new(keys?))
            }
            Self::Xor { k } => SubscriberKeys::Xor { k: K(k.for_imsi(imsi).short()) },
        })
    }

    /// The templates of a range; `None` for TUAK, which has none.
    pub(super) fn range(&self) -> Option<RangeKeys> {
        match self {
            Self::Milenage { k, operator } => Some(RangeKeys {
                k: k.template(),
                operator: match operator {
                    Operator::Plain(op) => OperatorTemplate::Op(op.template()),
                    Operator::Computed(opc) => OperatorTemplate::Opc(opc.template()),
                },
            }),
            Self::Xor { k } => Some(RangeKeys { k: k.template(), operator: OperatorTemplate::None }),
            Self::Tuak { .. } => None,
        }
    }

    /// True when one of them follows from the IMSI.
    pub(super) const fn have_hole(&self) -> bool {
        match self {
            Self::Milenage { k, operator } | Self::Tuak { k, operator, .. } => k.has_hole() || operator.has_hole(),
            Self::Xor { k } => k.has_hole(),
        }
    }
}

impl Operator {
    const fn has_hole(&self) -> bool {
        match self {
            Self::Plain(key) | Self::Computed(key) => key.has_hole(),
        }
    }
}

impl From<&RangeKeys> for Keys {
    fn from(keys: &RangeKeys) -> Self {
        let k = KeyText::from_template(&keys.k);
        match &keys.operator {
            OperatorTemplate::Op(op) => Self::Milenage { k, operator: Operator::Plain(KeyText::from_template(op)) },
            OperatorTemplate::Opc(opc) => {
                Self::Milenage { k, operator: Operator::Computed(KeyText::from_template(opc)) }
            }
            OperatorTemplate::None => Self::Xor { k },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_imsi_stands_in_the_key_as_ascii() {
        let k = KeyText::read("4b{imsi}", 16).unwrap();
        assert_eq!(&k.for_imsi("001010000001007").short(), b"K001010000001007");
        let k = KeyText::read("{imsi}4b", 16).unwrap();
        assert_eq!(&k.for_imsi("001010000001007").short(), b"001010000001007K");
        for wrong in ["{imsi}", "4b{imsi}4b", "4{imsi}", "4b{imsi}{imsi}", "zz{imsi}", "{imsi", ""] {
            assert!(KeyText::read(wrong, 16).is_none(), "{wrong}");
        }
    }

    #[test]
    fn hexadecimal_digits_only() {
        assert!(KeyText::read("465b5ce8b199b49faa5f0a2ee238a6bc", 16).is_some());
        assert!(KeyText::read("465B5CE8B199B49FAA5F0A2EE238A6BC", 16).is_some());
        assert!(KeyText::read("465b5ce8b199b49faa5f0a2ee238a6b", 16).is_none());
        assert!(KeyText::read("+65b5ce8b199b49faa5f0a2ee238a6bc", 16).is_none());
        assert!(KeyText::read(&"ab".repeat(33), 32).is_none());
    }
}
