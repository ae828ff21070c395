//! Decimal numbers as text without the formatting machinery, which costs more than the message around it.

/// A number in decimal digits, on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: [u8; 20],
    from: usize,
}

impl Decimal {
    /// The digits of `number`.
    #[inline]
    pub(crate) fn new(number: impl Into<u64>) -> Self {
        let mut this = Self { digits: [0; 20], from: 20 };
        let mut rest = number.into();
        loop {
            this.from -= 1;
            this.digits[this.from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return this;
            }
        }
    }

    /// The digits as octets.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.from..]
    }

    /// The digits as text.
    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Decimal::new(number).as_str(), number.to_string());
        }
    }
}
