//! CSeq (RFC 3261 clause 20.16).

use super::grammar::{self, Parsed};
use super::{HeaderError, HeaderName};
use crate::sip::Method;
use nom::Parser;
use nom::character::complete::digit1;
use nom::sequence::separated_pair;

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
        let (rest, (number, method)) =
            parts(value).map_err(|_| HeaderError::bad(HeaderName::CSeq, "expected a number and a method"))?;
        if !rest.is_empty() {
            return Err(HeaderError::bad(HeaderName::CSeq, "something follows the method"));
        }
        match grammar::number(number, (1 << 31) - 1) {
            Some(number) => Ok(Self { number: number as u32, method: Method::from_token(method) }),
            None => Err(HeaderError::bad(HeaderName::CSeq, "number is 2^31 or larger")),
        }
    }
}

fn parts(value: &str) -> Parsed<'_, (&str, &str)> {
    separated_pair(digit1, grammar::run(grammar::LWS), grammar::token).parse(value)
}

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
