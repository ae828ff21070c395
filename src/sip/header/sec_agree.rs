//! Security-Client, Security-Server, Security-Verify (RFC 3329 clause 2.2, TS 33.203 annex H).

use super::grammar;
use super::params::Params;
use super::{HeaderError, HeaderName};

/// The elements of one of the three headers, in order over all lines.
#[derive(Clone, Debug, Default)]
pub struct Mechanisms<'a>(pub Vec<Mechanism<'a>>);

/// One element: `mechanism *( ; parameter )`.
///
/// Values are kept as text: what an algorithm name means is decided by `ipsec::negotiate`. Numbers are checked here;
/// an element whose number is not one is malformed.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Mechanism<'a> {
    /// The element as received.
    pub text: &'a str,
    /// `ipsec-3gpp`, `tls`, ...
    pub name: &'a str,
    /// `q` in thousandths; absent counts as 1000.
    pub q: u16,
    pub alg: Option<&'a str>,
    pub ealg: Option<&'a str>,
    pub prot: Option<&'a str>,
    pub mode: Option<&'a str>,
    pub spi_c: Option<u32>,
    pub spi_s: Option<u32>,
    pub port_c: Option<u16>,
    pub port_s: Option<u16>,
    /// All parameters, unknown ones included.
    pub params: Params<'a>,
    /// The text of the four numbers where they stand together in the usual form.
    numbers: Option<&'a str>,
}

impl<'a> Mechanisms<'a> {
    /// Reads the values of all lines of `header`; one malformed element is a fault of all.
    pub fn parse(header: HeaderName, values: impl Iterator<Item = &'a str>) -> Result<Self, HeaderError> {
        let mut first = None;
        let list = Self::sound(header, values, |_, fault| {
            first.get_or_insert(fault);
        });
        first.map_or(Ok(list), Err)
    }

    /// Reads the values of all lines of `header`, those elements that are well-formed: who chooses among them passes over
    /// what he cannot use (RFC 3329 clause 2.2). `malformed` gets each of the others.
    pub fn sound(
        header: HeaderName,
        values: impl Iterator<Item = &'a str>,
        malformed: impl FnMut(&'a str, HeaderError),
    ) -> Self {
        // Handsets offer six or eight.
        let mut list = Vec::with_capacity(8);
        Self::read(header, values, |mechanism| list.push(*mechanism), malformed);
        Self(list)
    }

    /// Reads the values of all lines of `header`: every element goes to `see` or to `malformed`.
    pub(crate) fn read(
        header: HeaderName,
        values: impl Iterator<Item = &'a str>,
        mut see: impl FnMut(&Mechanism<'a>),
        mut malformed: impl FnMut(&'a str, HeaderError),
    ) {
        let mut before = EMPTY;
        for value in values {
            let mut rest = value;
            while !rest.is_empty() {
                rest = match Mechanism::take(header, rest, &before) {
                    Ok((Some(mechanism), after)) => {
                        see(&mechanism);
                        before = mechanism;
                        after
                    }
                    Ok((None, after)) => after,
                    Err(fault) => {
                        let (element, after) = grammar::split_element(rest);
                        malformed(element, fault);
                        after
                    }
                };
            }
        }
    }
}

impl<'a> Mechanism<'a> {
    /// Reads one element of `header`.
    pub fn parse(header: HeaderName, text: &'a str) -> Result<Self, HeaderError> {
        match Self::take(header, text, &EMPTY)? {
            (Some(mechanism), "") if mechanism.text.len() == grammar::trim(text).len() => Ok(mechanism),
            _ => Err(HeaderError::bad(header, "expected one mechanism")),
        }
    }

    /// Reads the element at the start of `list`, `None` if it is empty, and returns what follows its comma. `before` is
    /// the element before it.
    #[inline]
    fn take(header: HeaderName, list: &'a str, before: &Self) -> Result<(Option<Self>, &'a str), HeaderError> {
        let list = list.trim_ascii_start();
        if list.is_empty() || list.starts_with(',') {
            return Ok((None, list.get(1..).unwrap_or("")));
        }
        let fault = |fault| HeaderError::bad(header, fault);
        let (after, name) = grammar::token(list).map_err(|_| fault("expected a mechanism name"))?;
        let mut this = Self { name, ..EMPTY };
        let (mut rest, mut numbers, mut has_number) = (after, None, false);
        loop {
            // SPIs and ports: all elements of one UE name the same, and nearly always at their end.
            if let [b';', b's', ..] | [b';', b'p', b'o', ..] = rest.as_bytes()
                && !has_number
            {
                has_number = true;
                if let Some(after) = this.take_numbers_of(before, rest) {
                    rest = after;
                    continue;
                }
                numbers = Some(rest);
            }
            let Some(next) = this.take_usual(rest) else { break };
            rest = next.map_err(fault)?;
        }
        if !matches!(rest.as_bytes(), [] | [b',', ..]) {
            let mut wrong = None;
            let (_, after) = Params::take(rest, |name, value| {
                if let Err(fault) = this.see(name, value) {
                    wrong = wrong.or(Some(fault));
                }
            })
            .map_err(fault)?;
            if let Some(wrong) = wrong {
                return Err(fault(wrong));
            }
            rest = after;
        }
        if let Some(numbers) = numbers {
            let numbers = numbers[..numbers.len() - rest.len()].trim_ascii_end();
            this.numbers = Some(numbers).filter(|text| this.has_all_numbers_in(text));
        }
        this.params = Params { text: after[..after.len() - rest.len()].trim_ascii_end() };
        this.q = if this.q == NO_Q { 1000 } else { this.q };
        this.text = list[..list.len() - rest.len()].trim_ascii_end();
        match rest.strip_prefix(',') {
            Some(next) => Ok((Some(this), next)),
            None if rest.is_empty() => Ok((Some(this), "")),
            None => Err(fault("something follows the parameters")),
        }
    }

    /// Reads the numbers of `before` where `rest` begins with the very same text.
    #[inline(never)]
    fn take_numbers_of(&mut self, before: &Self, rest: &'a str) -> Option<&'a str> {
        let after = rest.strip_prefix(before.numbers?)?;
        if !matches!(after.as_bytes(), [] | [b';' | b',', ..]) {
            return None;
        }
        (self.spi_c, self.spi_s) = (before.spi_c, before.spi_s);
        (self.port_c, self.port_s) = (before.port_c, before.port_s);
        self.numbers = before.numbers;
        Some(after)
    }

    /// True when all four numbers were read from `text`, and nothing else.
    fn has_all_numbers_in(&self, text: &str) -> bool {
        let all = self.spi_c.is_some() && self.spi_s.is_some() && self.port_c.is_some() && self.port_s.is_some();
        all && memchr::memchr_iter(b';', text.as_bytes()).count() == 4
    }

    /// Reads the parameter at the start of `rest` if it is a known one as handsets write it: lower case, no white space,
    /// no quotes. Everything else is left to [`Params::take`]. An offer has fifty of them.
    #[inline]
    fn take_usual(&mut self, rest: &'a str) -> Option<Result<&'a str, &'static str>> {
        let (known, start) = match rest.as_bytes() {
            [b';', b'q', b'=', ..] => (Known::Q, 3),
            [b';', b'a', b'l', b'g', b'=', ..] => (Known::Alg, 5),
            [b';', b'e', b'a', b'l', b'g', b'=', ..] => (Known::Ealg, 6),
            [b';', b'p', b'r', b'o', b't', b'=', ..] => (Known::Prot, 6),
            [b';', b'm', b'o', b'd', b'=', ..] => (Known::Mod, 5),
            [b';', b's', b'p', b'i', b'-', b'c', b'=', ..] => (Known::SpiC, 7),
            [b';', b's', b'p', b'i', b'-', b's', b'=', ..] => (Known::SpiS, 7),
            [b';', b'p', b'o', b'r', b't', b'-', b'c', b'=', ..] => (Known::PortC, 8),
            [b';', b'p', b'o', b'r', b't', b'-', b's', b'=', ..] => (Known::PortS, 8),
            _ => return None,
        };
        if let Known::SpiC | Known::SpiS | Known::PortC | Known::PortS = known {
            return self.take_number(known, &rest[start..]).map(Ok);
        }
        let (value, after) = rest.split_at(grammar::value_end(rest.as_bytes(), start));
        let value = &value[start..];
        let ends = matches!(after.as_bytes(), [] | [b';' | b',', ..]);
        (ends && !value.is_empty()).then(|| self.note(known, Some(value)).map(|()| after))
    }

    /// Notes a number that is in range, ends where it should and is the first of its kind, and returns what follows.
    #[inline(never)]
    fn take_number(&mut self, known: Known, text: &'a str) -> Option<&'a str> {
        let (number, length) = grammar::leading_number(text.as_bytes()).filter(|&(_, length)| length > 0)?;
        let after = &text[length..];
        if !matches!(after.as_bytes(), [] | [b';' | b',', ..]) {
            return None;
        }
        match known {
            Known::SpiC if self.spi_c.is_none() => self.spi_c = Some(u32::try_from(number).ok()?),
            Known::SpiS if self.spi_s.is_none() => self.spi_s = Some(u32::try_from(number).ok()?),
            Known::PortC if self.port_c.is_none() => self.port_c = Some(some_port(number)?),
            Known::PortS if self.port_s.is_none() => self.port_s = Some(some_port(number)?),
            _ => return None,
        }
        Some(after)
    }

    /// Notes one parameter of any form.
    fn see(&mut self, name: &str, value: Option<&'a str>) -> Result<(), &'static str> {
        let is = |known: &str| grammar::same(name.as_bytes(), known.as_bytes());
        let known = match name.len() {
            1 if is("q") => Known::Q,
            3 if is("alg") => Known::Alg,
            3 if is("mod") => Known::Mod,
            4 if is("ealg") => Known::Ealg,
            4 if is("prot") => Known::Prot,
            5 if is("spi-c") => Known::SpiC,
            5 if is("spi-s") => Known::SpiS,
            6 if is("port-c") => Known::PortC,
            6 if is("port-s") => Known::PortS,
            _ => return Ok(()),
        };
        self.note(known, value)
    }

    /// Notes a known parameter, which may be there once.
    #[inline]
    fn note(&mut self, known: Known, value: Option<&'a str>) -> Result<(), &'static str> {
        let value = value.ok_or("a parameter has no value")?;
        let twice = match known {
            Known::Alg => self.alg.replace(value).is_some(),
            Known::Ealg => self.ealg.replace(value).is_some(),
            Known::Prot => self.prot.replace(value).is_some(),
            Known::Mod => self.mode.replace(value).is_some(),
            Known::SpiC => self.spi_c.replace(spi(value)?).is_some(),
            Known::SpiS => self.spi_s.replace(spi(value)?).is_some(),
            Known::PortC => self.port_c.replace(port(value)?).is_some(),
            Known::PortS => self.port_s.replace(port(value)?).is_some(),
            Known::Q => {
                let q = thousandths(value).ok_or("q is not 0 to 1 with three decimals")?;
                std::mem::replace(&mut self.q, q) != NO_Q
            }
        };
        if twice { Err("a parameter is there twice") } else { Ok(()) }
    }
}

/// The parameters that are fields of [`Mechanism`].
#[derive(Clone, Copy)]
enum Known {
    Alg,
    Ealg,
    Prot,
    Mod,
    SpiC,
    SpiS,
    PortC,
    PortS,
    Q,
}

/// A qvalue (RFC 3261 clause 25.1) in thousandths.
pub(crate) fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = decimals.bytes().chain(std::iter::repeat(b'0')).take(3).fold(0, |n, b| n * 10 + u16::from(b - b'0'));
    match whole {
        "0" => Some(fraction),
        "" if !decimals.is_empty() => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

fn spi(value: &str) -> Result<u32, &'static str> {
    grammar::number(value, u64::from(u32::MAX)).map(|n| n as u32).ok_or("an SPI is not 0 to 4294967295")
}

fn port(value: &str) -> Result<u16, &'static str> {
    grammar::digits(value.as_bytes()).and_then(some_port).ok_or("a port is not 1 to 65535")
}

/// 1 to 65535
fn some_port(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|&port| port > 0)
}

/// While an element is read: no `q` yet.
const NO_Q: u16 = u16::MAX;

const EMPTY: Mechanism<'static> = Mechanism {
    text: "",
    name: "",
    q: NO_Q,
    alg: None,
    ealg: None,
    prot: None,
    mode: None,
    spi_c: None,
    spi_s: None,
    port_c: None,
    port_s: None,
    params: Params { text: "" },
    numbers: None,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mechanism<'_>, HeaderError> {
        Mechanism::parse(HeaderName::SecurityClient, text)
    }

    #[test]
    fn every_parameter_in_any_order_and_case() {
        let m = parse("IPsec-3gpp ; Q=0.1;prot=esp;MOD=trans; spi-s = 0004097;spi-c=4096;port-s=6100;port-c=5100;alg=hmac-sha-1-96;ealg=aes-cbc;new=x").unwrap();
        assert_eq!((m.name, m.q, m.alg, m.ealg), ("IPsec-3gpp", 100, Some("hmac-sha-1-96"), Some("aes-cbc")));
        assert_eq!((m.prot, m.mode, m.spi_c, m.spi_s), (Some("esp"), Some("trans"), Some(4096), Some(4097)));
        assert_eq!((m.port_c, m.port_s, m.params.value("new")), (Some(5100), Some(6100), Some("x")));
    }

    #[test]
    fn lists_over_several_lines() {
        let lines = ["tls;q=0.2, ipsec-3gpp;alg= hmac-md5-96", "", ",digest;d-ver=\"a,b\""];
        let list = Mechanisms::parse(HeaderName::SecurityServer, lines.into_iter()).unwrap().0;
        assert_eq!(list.iter().map(|m| m.name).collect::<Vec<_>>(), ["tls", "ipsec-3gpp", "digest"]);
        assert_eq!((list[1].alg, list[1].q, list[1].text), (Some("hmac-md5-96"), 1000, "ipsec-3gpp;alg= hmac-md5-96"));
        assert_eq!(list[2].params.value("d-ver"), Some("a,b"));
    }

    #[test]
    fn numbers_are_those_of_the_element() {
        let numbers = |text: &str| {
            let list = Mechanisms::parse(HeaderName::SecurityClient, std::iter::once(text)).unwrap().0;
            list.iter().map(|m| (m.spi_c, m.spi_s, m.port_c, m.port_s)).collect::<Vec<_>>()
        };
        let first = "a;alg=x;spi-c=1;spi-s=2;port-c=3;port-s=4";
        let all = (Some(1), Some(2), Some(3), Some(4));
        for (second, expected) in [
            ("a;alg=y;spi-c=1;spi-s=2;port-c=3;port-s=4", all),
            ("a;alg=y;spi-c=1;spi-s=2;port-c=3;port-s=4 ;x=y", all),
            ("a;spi-c=1;spi-s=2;port-c=3;port-s=4;alg=y", all),
            ("a;spi-c=1;spi-s=2;port-c=3;port-s=45", (Some(1), Some(2), Some(3), Some(45))),
            ("a;alg=y", (None, None, None, None)),
        ] {
            assert_eq!(numbers(&format!("{first},{second}")), [all, expected], "{second}");
            assert_eq!(numbers(&format!("{second}, {first}")), [expected, all], "{second}");
        }
        for twice in ["a;spi-c=1;spi-c=1;spi-s=2;port-c=3;port-s=4", "a;spi-c=1;spi-s=2;port-c=3;port-s=4;spi-s=2"] {
            let values = [first, twice];
            assert!(Mechanisms::parse(HeaderName::SecurityClient, values.into_iter()).is_err(), "{twice}");
        }
    }

    #[test]
    fn faults() {
        for text in [
            "",
            ";alg=x",
            "a b",
            "a;spi-c=-1",
            "a;spi-c=4294967296",
            "a;spi-c=1;SPI-C=1",
            "a;q=1;q=1",
            "a;alg=x;ALG=x",
            "a;port-c=0",
            "a;port-s=65536",
            "a;q=1.5",
            "a;q=0.1234",
            "a;alg",
            "a;;",
            "a,b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// RFC 3329 clause 2.2: what cannot be used is passed over, the rest of the list counts.
    #[test]
    fn a_malformed_element_is_no_fault_of_the_others() {
        let list = [
            "tls, ipsec-3gpp;alg=a;spi-c=;spi-s=2, ipsec-3gpp;alg=b;spi-c=1;spi-s=2;port-c=3;port-s=4",
            "ipsec-3gpp;alg=c;d-ver=\"x,y\";spi-c=no,;;=,ipsec-3gpp;alg=d;spi-c=1;spi-s=2;port-c=3;port-s=4",
            "ipsec-3gpp;alg=e;x=\"open, ipsec-3gpp;alg=f",
        ];
        let mut bad = Vec::new();
        let sound = Mechanisms::sound(HeaderName::SecurityClient, list.into_iter(), |text, _| bad.push(text));
        assert_eq!(
            sound.0.iter().map(|m| (m.name, m.alg)).collect::<Vec<_>>(),
            [("tls", None), ("ipsec-3gpp", Some("b")), ("ipsec-3gpp", Some("d"))]
        );
        assert!(sound.0[1..].iter().all(|m| m.spi_s == Some(2) && m.port_s == Some(4)));
        assert_eq!(
            bad,
            [
                "ipsec-3gpp;alg=a;spi-c=;spi-s=2",
                "ipsec-3gpp;alg=c;d-ver=\"x,y\";spi-c=no",
                ";;=",
                "ipsec-3gpp;alg=e;x=\"open, ipsec-3gpp;alg=f",
            ]
        );
        let all = Mechanisms::parse(HeaderName::SecurityClient, list.into_iter());
        assert_eq!(all.unwrap_err().fault, "malformed parameter");
    }

    #[test]
    fn q_values() {
        let q = ["0", "1", "0.5", "0.", ".5", "1.000", "0.001"].map(thousandths);
        assert_eq!(q, [Some(0), Some(1000), Some(500), Some(0), Some(500), Some(1000), Some(1)]);
        for bad in ["", "2", "1.001", "-0.1", "0.x", "00.5", "."] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
