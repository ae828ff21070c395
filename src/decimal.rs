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
        while rest > 9 {
            this.from -= 2;
            this.digits[this.from..this.from + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest > 0 || this.from == 20 {
            this.from -= 1;
            this.digits[this.from] = b'0' + rest as u8;
        }
        this
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

/// `00` to `99`: half as many divisions.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 101, 999, 1_000, 65_535, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Decimal::new(number).as_str(), number.to_string());
        }
    }
}
