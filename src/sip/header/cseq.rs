//! CSeq (RFC 3261 clause 20.16).

use super::grammar;
use super::{HeaderError, HeaderName};
use crate::sip::Method;

/// Number and method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// Same as in the request line.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads the value.
    pub fn parse(value: &'a str) -> Result<Self, HeaderError> {
        let bytes = value.as_bytes();
        // Nearly everybody has one space between a number and a known method.
        if let Some((number @ ..=LARGEST, length)) = grammar::leading_number(bytes)
            && length > 0
            && bytes.get(length) == Some(&b' ')
            && let method @ (Method::Register | Method::Invite | Method::Subscribe | Method::Notify) =
                Method::from_token(&value[length + 1..])
        {
            return Ok(Self { number: number as u32, method });
        }
        let number = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        let space = grammar::span(&bytes[number..], grammar::LWS);
        let method = grammar::span(&bytes[number + space..], grammar::TOKEN);
        if number == 0 || space == 0 || method == 0 {
            return Err(HeaderError::bad(HeaderName::CSeq, "expected a number and a method"));
        }
        if number + space + method < bytes.len() {
            return Err(HeaderError::bad(HeaderName::CSeq, "something follows the method"));
        }
        let (number, method) = (&value[..number], &value[number + space..]);
        match grammar::number(number, LARGEST) {
            Some(number) => Ok(Self { number: number as u32, method: Method::from_token(method) }),
            None => Err(HeaderError::bad(HeaderName::CSeq, "number is 2^31 or larger")),
        }
    }
}

const LARGEST: u64 = (1 << 31) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method() {
        let cseq = CSeq::parse("0009\r\n  INVITE").unwrap();
        assert_eq!((cseq.number, cseq.method), (9, Method::Invite));
        assert_eq!(CSeq::parse("2147483647 X").unwrap().number, u32::MAX >> 1);
    }

    #[test]
    fn faults() {
        for value in ["", "1", "INVITE", "1INVITE", "-1 INVITE", "2147483648 INVITE", "36893488147419103232 A", "1 A B"]
        {
            assert_eq!(CSeq::parse(value).unwrap_err().status, 400, "{value}");
        }
    }
}
