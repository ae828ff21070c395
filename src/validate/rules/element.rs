//! Elements of Security-Client, Security-Server and Security-Verify as the judge reads them: every parameter as it is
//! written, so that what is wrong can be shown. How elements of ours negotiate is not asked.

use crate::sip::header::params::Params;
use crate::sip::{HeaderName, Message};
use std::fmt;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    /// As written.
    pub(super) text: &'a str,
    /// The mechanism.
    pub(super) name: &'a str,
    pub(super) params: Params<'a>,
}

/// What two ends must share: integrity, encryption, protocol and mode, defaults filled in (TS 33.203 annex H).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tuple {
    alg: String,
    ealg: String,
    prot: String,
    mode: String,
}

impl<'a> Element<'a> {
    /// Those of a header, over all its lines.
    pub(super) fn all(message: &Message<'a>, header: HeaderName) -> Vec<Self> {
        message.elements(header).map(Self::of).collect()
    }

    /// The same, those of ipsec-3gpp for SIP only: `mediasec` is about media (TS 24.229 clause 7.2A.7).
    pub(super) fn ipsec(message: &Message<'a>, header: HeaderName) -> Vec<Self> {
        let all = message.elements(header).map(Self::of);
        all.filter(|element| element.is_ipsec_3gpp()).collect()
    }

    fn of(text: &'a str) -> Self {
        let at = text.find(';').unwrap_or(text.len());
        let (name, params) = text.split_at(at);
        Self { text, name: name.trim(), params: Params { text: params } }
    }

    pub(super) fn is_ipsec_3gpp(&self) -> bool {
        self.name.eq_ignore_ascii_case("ipsec-3gpp") && !self.params.has("mediasec")
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }

    /// A decimal number that fits; `None` where it is absent or something else.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.value(name).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
    }

    /// `q` in thousandths: `None` where it is absent, `Some(None)` where it is no qvalue (RFC 3261 clause 25.1).
    pub(super) fn q(&self) -> Option<Option<u16>> {
        self.params.get("q").map(|value| value.and_then(qvalue))
    }

    /// `None` without an integrity algorithm, which has no default.
    pub(super) fn tuple(&self) -> Option<Tuple> {
        let or = |name, default: &str| self.value(name).unwrap_or(default).to_ascii_lowercase();
        Some(Tuple {
            alg: self.value("alg")?.to_ascii_lowercase(),
            ealg: or("ealg", "null"),
            prot: or("prot", "esp"),
            mode: or("mod", "trans"),
        })
    }

    /// The parameters that every element must have and this one has not (TS 33.203 annex H.2).
    pub(super) fn missing(&self) -> Vec<&'static str> {
        NEEDED.into_iter().filter(|name| self.value(name).is_none_or(str::is_empty)).collect()
    }

    /// True where both say the same: mechanism and every parameter in any order, defaults filled in, numbers as numbers.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let normal = |element: &Self| {
            let mut all: Vec<(String, String)> =
                element.params.iter().map(|(name, value)| normal(name, value)).collect();
            if element.is_ipsec_3gpp() {
                for (name, value) in DEFAULTS {
                    if !element.params.has(name) {
                        all.push((name.to_owned(), value.to_owned()));
                    }
                }
            }
            all.sort();
            all
        };
        self.name.eq_ignore_ascii_case(other.name) && normal(self) == normal(other)
    }
}

impl Tuple {
    pub(super) fn alg(&self) -> &str {
        &self.alg
    }

    pub(super) fn ealg(&self) -> &str {
        &self.ealg
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alg, ealg, prot, mode } = self;
        write!(f, "{alg} with {ealg}")?;
        if (prot.as_str(), mode.as_str()) != ("esp", "trans") {
            write!(f, " ({prot}, {mode})")?;
        }
        Ok(())
    }
}

/// The pairs of a list, for people.
pub(super) fn pairs(elements: &[Element<'_>]) -> String {
    let all: Vec<String> = elements.iter().filter_map(Element::tuple).map(|tuple| tuple.to_string()).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The first element of `a` that `b` does not have at its place, with what `b` has there.
pub(super) fn difference<'e>(a: &'e [Element<'_>], b: &'e [Element<'_>]) -> Option<(&'e str, &'e str)> {
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
