//! Elements of Security-Client, Security-Server and Security-Verify as the judge reads them: every parameter as it is
//! written, so that what is wrong can be shown. How elements of ours negotiate is not asked.

use crate::sip::header::params::Params;
use crate::sip::{HeaderName, Message};
use std::borrow::Cow;
use std::fmt;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// As written.
    pub(crate) text: &'a str,
    /// The mechanism.
    pub(crate) name: &'a str,
    pub(crate) params: Params<'a>,
    /// Of the parameters [`READ`], what stands there first: `Some(None)` without a value.
    read: [Option<Option<&'a str>>; READ.len()],
}

/// What two ends must share: integrity, encryption, protocol and mode, defaults filled in (TS 33.203 annex H).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tuple {
    alg: Cow<'static, str>,
    ealg: Cow<'static, str>,
    prot: Cow<'static, str>,
    mode: Cow<'static, str>,
}

impl<'a> Element<'a> {
    /// Those of a header, over all its lines.
    pub(crate) fn all(message: &Message<'a>, header: HeaderName) -> Vec<Self> {
        message.elements(header).map(Self::of).collect()
    }

    /// The same, those of ipsec-3gpp for SIP only: `mediasec` is about media (TS 24.229 clause 7.2A.7).
    pub(crate) fn ipsec(message: &Message<'a>, header: HeaderName) -> Vec<Self> {
        let all = message.elements(header).map(Self::of);
        all.filter(|element| element.is_ipsec_3gpp()).collect()
    }

    fn of(text: &'a str) -> Self {
        let at = text.find(';').unwrap_or(text.len());
        let (name, params) = text.split_at(at);
        let params = Params { text: params };
        let mut read = [None; READ.len()];
        for (name, value) in params.iter() {
            if let Some(at) = place_of(name) {
                read[at].get_or_insert(value);
            }
        }
        Self { text, name: name.trim(), params, read }
    }

    pub(crate) fn is_ipsec_3gpp(&self) -> bool {
        self.name.eq_ignore_ascii_case("ipsec-3gpp") && !self.has("mediasec")
    }

    /// True where the parameter is there, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    fn get(&self, name: &str) -> Option<Option<&'a str>> {
        match place_of(name) {
            Some(at) => self.read[at],
            None => self.params.get(name),
        }
    }

    /// A decimal number that fits; `None` where it is absent or something else.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.value(name).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
    }

    /// `q` in thousandths: `None` where it is absent, `Some(None)` where it is no qvalue (RFC 3261 clause 25.1).
    pub(crate) fn q(&self) -> Option<Option<u16>> {
        self.get("q").map(|value| value.and_then(qvalue))
    }

    /// `None` without an integrity algorithm, which has no default.
    pub(crate) fn tuple(&self) -> Option<Tuple> {
        let or = |name, default| self.value(name).map_or(Cow::Borrowed(default), token);
        Some(Tuple {
            alg: token(self.value("alg")?),
            ealg: or("ealg", "null"),
            prot: or("prot", "esp"),
            mode: or("mod", "trans"),
        })
    }

    /// The parameters that every element must have and this one has not (TS 33.203 annex H.2).
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        NEEDED.into_iter().filter(|name| self.value(name).is_none_or(str::is_empty)).collect()
    }

    /// True where both say the same: mechanism and every parameter in any order, defaults filled in, numbers as numbers.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let normal = |element: &Self| {
            let mut all: Vec<(String, String)> =
                element.params.iter().map(|(name, value)| normal(name, value)).collect();
            if element.is_ipsec_3gpp() {
                for (name, value) in DEFAULTS {
                    if !element.has(name) {
                        all.push((name.to_owned(), value.to_owned()));
                    }
                }
            }
            all.sort();
            all
        };
        self.text == other.text || self.name.eq_ignore_ascii_case(other.name) && normal(self) == normal(other)
    }
}

impl Tuple {
    pub(crate) fn alg(&self) -> &str {
        &self.alg
    }

    pub(crate) fn ealg(&self) -> &str {
        &self.ealg
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alg, ealg, prot, mode } = self;
        write!(f, "{alg} with {ealg}")?;
        if (&**prot, &**mode) != ("esp", "trans") {
            write!(f, " ({prot}, {mode})")?;
        }
        Ok(())
    }
}

/// The place of a name among [`READ`].
fn place_of(name: &str) -> Option<usize> {
    let among = match name.len() {
        1 => 0..1,
        3 => 1..3,
        4 => 3..5,
        5 => 5..7,
        6 => 7..9,
        8 => 9..10,
        _ => return None,
    };
    among.into_iter().find(|at| name.eq_ignore_ascii_case(READ[*at]))
}

/// In lower case; those of TS 33.203 annex H without a copy.
fn token(text: &str) -> Cow<'static, str> {
    let known = TOKENS.iter().find(|known| text.eq_ignore_ascii_case(known));
    known.map_or_else(|| Cow::Owned(text.to_ascii_lowercase()), |known| Cow::Borrowed(*known))
}

/// The pairs of a list, for people.
pub(crate) fn pairs(elements: &[Element<'_>]) -> String {
    let all: Vec<String> = elements.iter().filter_map(Element::tuple).map(|tuple| tuple.to_string()).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The first element of `a` that `b` does not have at its place, with what `b` has there.
pub(crate) fn difference<'e>(a: &'e [Element<'_>], b: &'e [Element<'_>]) -> Option<(&'e str, &'e str)> {
    let at = |list: &'e [Element<'_>], index: usize| list.get(index).map_or("nothing", |element| element.text);
    let differs = |index: &usize| match (a.get(*index), b.get(*index)) {
        (Some(a), Some(b)) => !a.says_the_same(b),
        _ => true,
    };
    (0..a.len().max(b.len())).find(differs).map(|index| (at(a, index), at(b, index)))
}

fn normal(name: &str, value: Option<&str>) -> (String, String) {
    let name = name.to_ascii_lowercase();
    let value = value.unwrap_or_default().to_ascii_lowercase();
    let value = match (&*name, value.parse::<u64>()) {
        ("q", _) => qvalue(&value).map_or(value, |q| q.to_string()),
        (_, Ok(number)) => number.to_string(),
        _ => value,
    };
    (name, value)
}

fn qvalue(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > 3 || !digits(fraction) || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    let q = if whole == "1" { 1_000 + thousandths } else { thousandths };
    (q <= 1_000).then_some(q)
}

/// What rules ask for, by length.
const READ: [&str; 10] = ["q", "alg", "mod", "ealg", "prot", "spi-c", "spi-s", "port-c", "port-s", "mediasec"];
const TOKENS: [&str; 9] =
    ["hmac-sha-1-96", "hmac-md5-96", "null", "aes-cbc", "esp", "trans", "aes-gcm", "aes-gmac", "des-ede3-cbc"];
const NEEDED: [&str; 5] = ["alg", "spi-c", "spi-s", "port-c", "port-s"];
const DEFAULTS: [(&str, &str); 3] = [("prot", "esp"), ("mod", "trans"), ("ealg", "null")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_compared_as_a_set_with_defaults() {
        let full = Element::of("ipsec-3gpp;q=0.50;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=null;spi-c=0300;spi-s=301");
        let short = Element::of("IPSEC-3GPP; spi-s=301; spi-c=300; alg=HMAC-SHA-1-96 ;q=0.5");
        assert!(full.says_the_same(&short));
        assert_eq!(short.missing(), ["port-c", "port-s"]);
        assert_eq!(full.tuple(), short.tuple());
        for other in
            ["ipsec-3gpp;q=0.5;alg=hmac-md5-96;spi-c=300;spi-s=301", "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=300;spi-s=301"]
        {
            assert!(!full.says_the_same(&Element::of(other)), "{other}");
        }
    }

    #[test]
    fn every_name_that_is_read_has_its_place() {
        for (place, name) in READ.into_iter().enumerate() {
            assert_eq!((place_of(name), place_of(&name.to_uppercase())), (Some(place), Some(place)), "{name}");
        }
        assert_eq!((place_of(""), place_of("spi-x"), place_of("abc")), (None, None, None));
    }

    #[test]
    fn values_of_q() {
        for (text, q) in [
            ("1", Some(1_000)),
            ("0.05", Some(50)),
            ("1.000", Some(1_000)),
            ("1.1", None),
            ("2", None),
            ("", None),
            ("0.1234", None),
            ("-1", None),
        ] {
            assert_eq!(qvalue(text), q, "{text}");
        }
    }
}
