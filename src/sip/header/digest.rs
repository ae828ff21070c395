//! Digest credentials and challenges (RFC 2617, RFC 7616, RFC 3310, TS 24.229 clause 7.2A).

use super::grammar;
use super::{HeaderError, HeaderName};
use nom::Parser;
use nom::branch::alt;
use nom::combinator::{map, success};
use nom::sequence::separated_pair;
use std::fmt;

/// The parameters of one `Digest` value: credentials or challenge. Quotes are removed, escapes are not resolved: the
/// digest is computed over the text as it appears. Token and quoted forms are both accepted.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Digest<'a> {
    /// The whole value with its scheme.
    pub text: &'a str,
    pub username: Option<&'a str>,
    pub realm: Option<&'a str>,
    pub nonce: Option<&'a str>,
    pub uri: Option<&'a str>,
    pub response: Option<&'a str>,
    pub algorithm: Option<&'a str>,
    pub qop: Option<&'a str>,
    pub nc: Option<&'a str>,
    pub cnonce: Option<&'a str>,
    pub opaque: Option<&'a str>,
    pub stale: Option<&'a str>,
    pub auts: Option<&'a str>,
    pub integrity_protected: Option<&'a str>,
    pub ck: Option<&'a str>,
    pub ik: Option<&'a str>,
}

/// What credentials say of whoever shows them, and of how they came.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bearer<'a> {
    /// `username`
    pub(crate) username: Option<&'a str>,
    /// `integrity-protected`
    pub(crate) integrity_protected: Option<&'a str>,
}

impl<'a> Bearer<'a> {
    /// Of a value as nearly all write it: parameters that are known, each once, without white space but behind a comma.
    /// `None` for any other, which [`Digest::parse`] may refuse; what is read here it does not.
    pub(crate) fn usual(value: &'a str) -> Option<Self> {
        let list = value.strip_prefix("Digest ")?;
        let bytes = list.as_bytes();
        let (mut this, mut seen, mut at) = (Self::default(), 0_u16, 0);
        loop {
            let (name, length) = usual_name(bytes.get(at..)?)?;
            let value = at + length;
            let (inside, after) = match bytes.get(value)? {
                b'"' => {
                    let end = grammar::closing_quote(bytes, value + 1)?;
                    (value + 1..end, end + 1)
                }
                _ => {
                    let end = Some(grammar::digest_end(bytes, value)).filter(|end| *end > value)?;
                    (value..end, end)
                }
            };
            if seen & 1 << name != 0 {
                return None;
            }
            seen |= 1 << name;
            match name {
                USERNAME => this.username = list.get(inside),
                INTEGRITY_PROTECTED => this.integrity_protected = list.get(inside),
                _ => {}
            }
            at = match bytes.get(after..)? {
                [] => return Some(this),
                [b',', b' ', _, ..] => after + 2,
                [b',', _, ..] => after + 1,
                _ => return None,
            };
        }
    }
}

/// The parameter in lower case that `text` begins with, as a number below 16, and the length of its name with the `=`. Not
/// `auts`, which is looked at more closely.
fn usual_name(text: &[u8]) -> Option<(u8, usize)> {
    let is = |name: &str| text.starts_with(name.as_bytes());
    Some(match text.first()? {
        b'u' if is("username=") => (USERNAME, 9),
        b'u' if is("uri=") => (2, 4),
        b'r' if is("response=") => (3, 9),
        b'r' if is("realm=") => (4, 6),
        b'n' if is("nonce=") => (5, 6),
        b'n' if is("nc=") => (6, 3),
        b'a' if is("algorithm=") => (7, 10),
        b'q' if is("qop=") => (8, 4),
        b'c' if is("cnonce=") => (9, 7),
        b'o' if is("opaque=") => (10, 7),
        b'i' if is("integrity-protected=") => (INTEGRITY_PROTECTED, 20),
        _ => return None,
    })
}

const USERNAME: u8 = 0;
const INTEGRITY_PROTECTED: u8 = 1;

impl<'a> Digest<'a> {
    /// What they say of whoever shows them.
    pub(crate) const fn bearer(&self) -> Bearer<'a> {
        Bearer { username: self.username, integrity_protected: self.integrity_protected }
    }

    /// Reads one value. `Ok(None)`: another scheme.
    pub fn parse(header: HeaderName, value: &'a str) -> Result<Option<Self>, HeaderError> {
        let fault = |fault| HeaderError::bad(header, fault);
        let text = grammar::trim(value);
        let Some(list) = scheme(text).map_err(fault)? else { return Ok(None) };
        let mut this = Self { text, ..Self::default() };
        let mut at = 0;
        loop {
            at = behind_commas(list, at);
            if at == list.len() {
                break;
            }
            let (field, value) = match this.usual_parameter(list, at) {
                Some((field, value, after)) => {
                    at = after;
                    (Some(field), value)
                }
                None => {
                    let (name, (value, _), after) = parameter(list, at).ok_or_else(|| fault("expected name=value"))?;
                    at = after + grammar::span(&list.as_bytes()[after..], grammar::LWS);
                    if !matches!(list.as_bytes()[at..], [] | [b',', ..]) {
                        return Err(fault("expected a comma after a parameter"));
                    }
                    (this.field(name.as_bytes()), value)
                }
            };
            // Two values of one parameter could be read differently by two elements.
            if field.is_some_and(|field| field.replace(value).is_some()) {
                return Err(fault("a parameter is there twice"));
            }
        }
        if this.auts.is_some_and(|auts| !is_base64(auts)) {
            return Err(fault("auts is not base64"));
        }
        Ok(Some(this))
    }

    /// All parameters in order as written, unknown ones included: name, value without quotes, whether it was quoted.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str, bool)> + use<'a> {
        let (list, mut at) = (scheme(self.text).ok().flatten().unwrap_or(""), 0);
        std::iter::from_fn(move || {
            let (name, (value, quoted), after) = parameter(list, behind_commas(list, at))?;
            at = after;
            Some((name, value, quoted))
        })
    }

    /// A known parameter at `at` as nearly all write it, without white space: where its value goes, that, and where what
    /// follows begins. A known name is a token, which need not be looked at octet by octet.
    #[inline]
    fn usual_parameter(&mut self, list: &'a str, at: usize) -> Option<(&mut Option<&'a str>, &'a str, usize)> {
        let name_end = at + grammar::near(&list.as_bytes()[at..], b'=')?;
        let field = self.field(&list.as_bytes()[at..name_end])?;
        let (value, _, after) = grammar::usual_value(list, name_end + 1, grammar::digest_end)?;
        matches!(list.as_bytes().get(after), None | Some(b',')).then_some((field, value, after))
    }

    /// Where the value of a known parameter goes.
    #[inline]
    fn field(&mut self, name: &[u8]) -> Option<&mut Option<&'a str>> {
        let is = |known: &str| grammar::same(name, known.as_bytes());
        Some(match name.len() {
            2 if is("nc") => &mut self.nc,
            2 if is("ck") => &mut self.ck,
            2 if is("ik") => &mut self.ik,
            3 if is("uri") => &mut self.uri,
            3 if is("qop") => &mut self.qop,
            4 if is("auts") => &mut self.auts,
            5 if is("realm") => &mut self.realm,
            5 if is("nonce") => &mut self.nonce,
            5 if is("stale") => &mut self.stale,
            6 if is("cnonce") => &mut self.cnonce,
            6 if is("opaque") => &mut self.opaque,
            8 if is("username") => &mut self.username,
            8 if is("response") => &mut self.response,
            9 if is("algorithm") => &mut self.algorithm,
            19 if is("integrity-protected") => &mut self.integrity_protected,
            _ => return None,
        })
    }
}

/// Shows neither who nor with what: names of the parameters only.
impl fmt::Debug for Digest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest ")?;
        f.debug_list().entries(self.params().map(|(name, _, _)| name)).finish()
    }
}

/// The parameter list of scheme Digest, `None` for another scheme.
fn scheme(text: &str) -> Result<Option<&str>, &'static str> {
    let bytes = text.as_bytes();
    if let [b'D', b'i', b'g', b'e', b's', b't', b' ', ..] = bytes {
        return Ok(Some(&text[6..]));
    }
    let end = bytes.iter().position(|&b| grammar::is(b, grammar::LWS)).unwrap_or(bytes.len());
    let (scheme, list) = text.split_at(end);
    if scheme.is_empty() || scheme.contains(['=', '"']) {
        return Err("no scheme");
    }
    Ok(scheme.eq_ignore_ascii_case("Digest").then_some(list))
}

/// Where the next parameter of `list` begins, or it ends: empty elements are left out.
fn behind_commas(list: &str, at: usize) -> usize {
    match list.as_bytes()[at..] {
        // Nearly everybody separates by one of these; what is above a comma is neither comma nor white space.
        [b',', next, ..] if next > b',' => at + 1,
        [b',', b' ', next, ..] if next > b',' => at + 2,
        ref rest => at + rest.iter().take_while(|&&b| b == b',' || grammar::is(b, grammar::LWS)).count(),
    }
}

/// `name = value` at `at`: the name, the value without quotes and whether it had them, and where what follows begins.
/// Some phones leave `response=` without quotes and without value.
fn parameter(list: &str, at: usize) -> Option<(&str, (&str, bool), usize)> {
    let quoted = map(grammar::quoted, |value| (value, true));
    let plain = map(grammar::run(grammar::DIGEST), |value| (value, false));
    let mut parser =
        separated_pair(grammar::token, grammar::separator(b'='), alt((quoted, plain, success(("", false)))));
    let (rest, (name, value)) = parser.parse(&list[at..]).ok()?;
    Some((name, value, list.len() - rest.len()))
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<Option<Digest<'_>>, HeaderError> {
        Digest::parse(HeaderName::Authorization, value)
    }

    #[test]
    fn tokens_quotes_folds_and_unknown_parameters() {
        let value = "dIGEST username=\"a, \\\"b\\\"\",\r\n realm = x , nonce=\"\",response=,nc=00000001,qop=\"auth\",new=abc=,integrity-protected=no,";
        let digest = parse(value).unwrap().unwrap();
        assert_eq!((digest.username, digest.realm, digest.nonce), (Some("a, \\\"b\\\""), Some("x"), Some("")));
        assert_eq!((digest.response, digest.nc, digest.qop), (Some(""), Some("00000001"), Some("auth")));
        assert_eq!((digest.integrity_protected, digest.ck), (Some("no"), None));
        let all: Vec<_> = digest.params().collect();
        assert_eq!(all.len(), 8);
        assert_eq!((all[0].2, all[1].2, all[6]), (true, false, ("new", "abc=", false)));
    }

    #[test]
    fn the_bearer_of_usual_credentials_is_what_reading_all_of_them_tells() {
        let usual = "Digest username=\"a@b\", realm=\"x\",nonce=\"AAECAwQFBgcICQoLDA0ODw==\",uri=\"sip:x\",\
                     response=\"0123456789abcdef\",algorithm=AKAv1-MD5, qop=auth,nc=00000001,cnonce=\"y\",\
                     opaque=\"z\",integrity-protected=\"yes\"";
        let bearer = Bearer::usual(usual).unwrap();
        assert_eq!((bearer.username, bearer.integrity_protected), (Some("a@b"), Some("yes")));
        let mut told = 0;
        for at in 0..usual.len() {
            for other in ["", ",", "\"", "\\", " ", "=", "\t", "username=", ",nc=00000001,", ",auts=,", ",new=1,"] {
                for end in [at, at + 1] {
                    let value = [&usual[..at], other, &usual[end..]].concat();
                    let Some(bearer) = Bearer::usual(&value) else { continue };
                    let read = parse(&value).unwrap_or_else(|fault| panic!("{value}: {fault}")).unwrap();
                    assert!(read.bearer() == bearer, "{value}");
                    told += 1;
                }
            }
        }
        assert!(told > 1_000, "{told} of these are usual");
    }

    #[test]
    fn another_scheme_counts_as_none() {
        assert_eq!(parse("Capability, algorithm=\"H:MD5\"").unwrap(), None);
        assert_eq!(parse("Basic dTpw").unwrap(), None);
        assert_eq!(parse("NoOneKnowsThisScheme opaque-data=here").unwrap(), None);
    }

    #[test]
    fn faults() {
        for value in [
            "",
            "username=\"x\", realm=\"y\"",
            "Digest username",
            "Digest realm=\"open",
            "Digest realm=a realm=b",
            "Digest realm=a,Realm=b",
            "Digest auts=\"*\"",
        ] {
            assert_eq!(parse(value).unwrap_err().status, 400, "{value}");
        }
    }

    #[test]
    fn debug_shows_names_only() {
        let digest = parse("Digest username=\"460600100049906@x\",ck=\"00112233\",ik=\"44556677\"").unwrap().unwrap();
        assert_eq!(format!("{digest:?}"), "Digest [\"username\", \"ck\", \"ik\"]");
    }
}
