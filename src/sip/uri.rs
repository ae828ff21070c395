//! SIP, SIPS and tel URIs (RFC 3261 clause 19.1, RFC 3966).

use super::header::grammar::{self, PHONE, TOKEN, URI};
use super::header::params::Params;
use super::header::via;
use super::{HeaderError, HeaderName};
use memchr::memchr;
use std::fmt;

/// A URI in its parts, borrowed.
#[derive(Clone, Copy)]
pub struct Uri<'a> {
    /// The whole text.
    pub text: &'a str,
    /// `sip`, `sips`, `tel`, or any other scheme, as written.
    pub scheme: &'a str,
    /// User part (with password) as written; for tel the number.
    pub user: Option<&'a str>,
    /// Host as written, IPv6 with its brackets; empty for tel and unknown schemes.
    pub host: &'a str,
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
    /// What follows `?`.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a whole URI; nothing may follow it.
    pub fn parse(text: &'a str) -> Result<Self, HeaderError> {
        if let Some((uri, length)) = Self::usual(text)
            && length == text.len()
        {
            return Ok(uri);
        }
        if clean_length(text.as_bytes()) != text.len() {
            return Err(fault("an octet that no URI may hold"));
        }
        Self::parse_clean(text)
    }

    /// The private identity of a user whose credentials name none: this public one without scheme, port and parameters
    /// (TS 24.229 clause 5.3.1.2, TS 23.003 clause 13.3 the other way round).
    pub fn implied_impi(&self) -> &'a str {
        let rest = self.text.get(self.scheme.len() + 1..).unwrap_or_default();
        let Some(user) = self.user else { return rest };
        rest.get(..user.len() + 1 + self.host.len()).unwrap_or(rest)
    }

    /// Reads the URI at the start of `text`, up to its end or a closing angle bracket, and tells its length, if it is
    /// `sip:[user@]host[:port]` and its user part nothing but letters, digits and a few marks.
    pub(crate) fn usual(text: &'a str) -> Option<(Self, usize)> {
        const SCHEME: &[u8] = b"sip:";
        let bytes = text.as_bytes();
        let start = SCHEME.len() + usize::from(bytes.strip_prefix(SCHEME)?.first() == Some(&b'+'));
        let name_end = via::host_end(bytes, start)?;
        let (user, host, host_end) = match bytes.get(name_end) {
            Some(b'@') => {
                let host_end = via::host_end(bytes, name_end + 1)?;
                (Some(text.get(SCHEME.len()..name_end)?), text.get(name_end + 1..host_end)?, host_end)
            }
            _ if start > SCHEME.len() => return None,
            _ => (None, text.get(start..name_end)?, name_end),
        };
        let (port, end) = match bytes.get(host_end) {
            Some(b':') => {
                let (port, length) =
                    grammar::leading_number(&bytes[host_end + 1..]).filter(|&(_, length)| length > 0)?;
                (Some(u16::try_from(port).ok()?), host_end + 1 + length)
            }
            _ => (None, host_end),
        };
        let uri = Self { user, host, port, ..Self::new(text.get(..end)?, "sip") };
        matches!(bytes.get(end), None | Some(b'>')).then_some((uri, end))
    }

    /// Reads a whole URI of which [`clean_length`] has seen every octet.
    pub(crate) fn parse_clean(text: &'a str) -> Result<Self, HeaderError> {
        if let [b's', b'i', b'p', b':', _, ..] = text.as_bytes() {
            return Self::new(text, &text[..3]).read_sip(&text[4..]);
        }
        let end = memchr(b':', text.as_bytes()).ok_or(fault("expected a URI with its scheme"))?;
        let (scheme, rest) = (&text[..end], &text[end + 1..]);
        if !is_scheme(scheme.as_bytes()) || rest.is_empty() {
            return Err(fault("expected a URI with its scheme"));
        }
        let this = Self::new(text, scheme);
        if is_sip(scheme) {
            this.read_sip(rest)
        } else if this.is_tel() {
            this.read_tel(rest)
        } else {
            Ok(this)
        }
    }

    fn new(text: &'a str, scheme: &'a str) -> Self {
        Self { text, scheme, user: None, host: "", port: None, params: Params::default(), headers: None }
    }

    /// Equality of RFC 3261 clause 19.1.4, of RFC 3966 clause 4 for tel, of the text for other schemes.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if !grammar::same(self.scheme.as_bytes(), other.scheme.as_bytes()) {
            return false;
        }
        if self.is_tel() {
            return same_number(self.user, other.user) && same_tel_params(&self.params, &other.params);
        }
        if !is_sip(self.scheme) {
            return self.text == other.text;
        }
        same_user(self.user, other.user)
            && self.same_host(other)
            && self.port == other.port
            && same_sip_params(&self.params, &other.params)
            && same_headers(self.headers, other.headers)
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        via::address(self.host)
    }

    /// Appends the address of record (RFC 3261 clause 10.3 step 5): parameters and headers removed, escapes of
    /// unreserved characters resolved, scheme and host in lower case. For tel: visual separators removed.
    pub fn canonical(&self, out: &mut String) {
        // The canonical form is hardly ever longer.
        out.reserve(self.text.len());
        push_lower_case(out, self.scheme);
        out.push(':');
        if self.is_tel() {
            out.extend(number(self.user.unwrap_or("")));
            // A local number means nothing without its context (RFC 3966 clause 5.1.5).
            if let Some(context) = self.params.value("phone-context") {
                out.push_str(";phone-context=");
                push_lower_case(out, context);
            }
            return;
        }
        if !is_sip(self.scheme) {
            out.push_str(&self.text[self.scheme.len() + 1..]);
            return;
        }
        if let Some(user) = self.user {
            unescape(user, out);
            out.push('@');
        }
        // Only an IPv6 address has brackets, and several forms.
        match self.host.starts_with('[').then(|| self.ip()).flatten() {
            Some(address) => {
                out.push('[');
                push_fmt(out, format_args!("{address}"));
                out.push(']');
            }
            None => push_lower_case(out, self.host),
        }
        if let Some(port) = self.port {
            push_fmt(out, format_args!(":{port}"));
        }
    }

    /// True for `tel`.
    pub fn is_tel(&self) -> bool {
        grammar::same(self.scheme.as_bytes(), b"tel")
    }

    /// True for `sips`.
    pub fn is_sips(&self) -> bool {
        grammar::same(self.scheme.as_bytes(), b"sips")
    }

    /// True for `sip` and `sips`.
    pub fn is_sip(&self) -> bool {
        is_sip(self.scheme)
    }

    /// `[user@] host [:port] *(;param) [?headers]`
    fn read_sip(mut self, rest: &'a str) -> Result<Self, HeaderError> {
        let rest = match memchr(b'@', rest.as_bytes()) {
            Some(at) => {
                // An empty user part is outside the grammar.
                self.user = Some(&rest[..at]).filter(|user| !user.is_empty() && !user.starts_with(':'));
                self.user.ok_or(fault("empty user part"))?;
                &rest[at + 1..]
            }
            None => rest,
        };
        let (rest, host) = via::host(rest).map_err(|_| fault("expected a host"))?;
        self.host = host;
        let mut rest = rest;
        if let Some(after) = rest.strip_prefix(':') {
            // What is no digit must be the start of what follows, or the port is no number.
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let end = if after[digits..].starts_with([';', '?']) { digits } else { after.len() };
            let port = grammar::number(&after[..end], 65535).ok_or(fault("port is no number below 65536"))?;
            self.port = Some(port as u16);
            rest = &after[end..];
        }
        if rest.is_empty() {
            return Ok(self);
        }
        if let Some(question) = memchr(b'?', rest.as_bytes()) {
            self.headers = Some(&rest[question + 1..]);
            rest = &rest[..question];
        }
        self.params = params(rest)?;
        Ok(self)
    }

    /// `number *(;param)`
    fn read_tel(mut self, rest: &'a str) -> Result<Self, HeaderError> {
        let end = memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let digits = &rest[..end];
        let is_number = grammar::span(digits.as_bytes(), PHONE) == digits.len();
        if !is_number || !digits.bytes().any(|b| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#')) {
            return Err(fault("expected a telephone number"));
        }
        self.user = Some(digits);
        self.params = params(&rest[end..])?;
        Ok(self)
    }

    fn same_host(&self, other: &Uri<'_>) -> bool {
        grammar::same(self.host.as_bytes(), other.host.as_bytes()) || self.ip().is_some_and(|ip| other.ip() == Some(ip))
    }
}

/// Identities in logs are shortened.
impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({})", crate::identity::Shortened(self.text))
    }
}

const fn fault(fault: &'static str) -> HeaderError {
    HeaderError::bad(HeaderName::Other, fault)
}

fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn is_sip(scheme: &str) -> bool {
    grammar::same(scheme.as_bytes(), b"sip") || grammar::same(scheme.as_bytes(), b"sips")
}

/// How many octets at the start may stand in a URI; a `%` may if two hexadecimal digits follow it.
#[inline]
pub(crate) fn clean_length(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at = grammar::uri_end(text, at);
        match text[at..] {
            [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => at += 3,
            _ => return at,
        }
    }
}

/// The URI of an address that is `<tel:+digits>`, or `<sip:user@host>` of plain characters, in lower case what compares
/// so: it is its own canonical form.
pub(crate) fn canonical_address(element: &str) -> Option<&str> {
    let uri = element.strip_prefix('<')?.strip_suffix('>')?;
    if let Some(digits) = uri.strip_prefix("tel:+") {
        return (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(uri);
    }
    let address = uri.strip_prefix("sip:")?.as_bytes();
    let user = grammar::plain_end(address, 0);
    let is_plain = user > 0 && address.get(user) == Some(&b'@') && user + 1 < address.len();
    (is_plain && grammar::lower_host_end(address, user + 1) == address.len()).then_some(uri)
}

fn params(text: &str) -> Result<Params<'_>, HeaderError> {
    if text.is_empty() {
        return Ok(Params::default());
    }
    match Params::take(text, |_, _| ()).map_err(fault)? {
        (params, "") => Ok(params),
        _ => Err(fault("malformed parameter of a URI")),
    }
}

/// Case-sensitive, escapes resolved.
fn same_user(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || octets(a).eq(octets(b)),
        (None, None) => true,
        _ => false,
    }
}

/// `transport`, `user`, `ttl`, `method`, `maddr` count on either side, others where both have them.
fn same_sip_params(a: &Params<'_>, b: &Params<'_>) -> bool {
    let agrees = |from: &Params<'_>, with: &Params<'_>| {
        from.iter().all(|(name, value)| match with.get(name) {
            Some(other) => same_value(value, other),
            None => !["transport", "user", "ttl", "method", "maddr"].iter().any(|n| n.eq_ignore_ascii_case(name)),
        })
    };
    agrees(a, b) && agrees(b, a)
}

fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let lower = |(byte, reserved): (u8, bool)| (byte.to_ascii_lowercase(), reserved);
            octets(a).map(lower).eq(octets(b).map(lower))
        }
        (None, None) => true,
        _ => false,
    }
}

/// Headers count on both sides, in any order.
fn same_headers(a: Option<&str>, b: Option<&str>) -> bool {
    let (a, b) = match (a, b) {
        (None, None) => return true,
        (Some(a), Some(b)) => (a, b),
        _ => return false,
    };
    let split = |text: &str| text.split('&').count();
    let within = |one: &str, other: &str| {
        one.split('&').all(|header| other.split('&').any(|candidate| same_header(header, candidate)))
    };
    split(a) == split(b) && within(a, b) && within(b, a)
}

fn same_header(a: &str, b: &str) -> bool {
    let (a, a_value) = a.split_once('=').unwrap_or((a, ""));
    let (b, b_value) = b.split_once('=').unwrap_or((b, ""));
    same_value(Some(a), Some(b)) && octets(a_value).eq(octets(b_value))
}

/// RFC 3966 clause 4: every parameter counts, in any order and case.
fn same_tel_params(a: &Params<'_>, b: &Params<'_>) -> bool {
    let agrees = |from: &Params<'_>, with: &Params<'_>| {
        from.iter().all(|(name, value)| with.get(name).is_some_and(|other| same_value(value, other)))
    };
    agrees(a, b) && agrees(b, a)
}

fn same_number(a: Option<&str>, b: Option<&str>) -> bool {
    number(a.unwrap_or("")).eq(number(b.unwrap_or("")))
}

/// A number without its visual separators.
fn number(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).map(|c| c.to_ascii_lowercase())
}

/// The octets of an escaped text. An escaped reserved octet differs from a plain one, so it is marked.
fn octets(text: &str) -> impl Iterator<Item = (u8, bool)> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        if let (b'%', Some(escaped)) = (byte, escaped(bytes, at)) {
            at += 3;
            return Some((escaped, is_reserved(escaped)));
        }
        at += 1;
        Some((byte, false))
    })
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |b: &u8| (*b as char).to_digit(16);
    Some((digit(bytes.get(at + 1)?)? * 16 + digit(bytes.get(at + 2)?)?) as u8)
}

fn is_reserved(byte: u8) -> bool {
    b";/?:@&=+$,".contains(&byte)
}

/// Resolves the escapes of unreserved characters and writes the others with upper case digits.
fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(percent) = memchr(b'%', rest.as_bytes()) {
        out.push_str(&rest[..percent]);
        match escaped(rest.as_bytes(), percent) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) => out.push(byte as char),
            Some(byte) => push_fmt(out, format_args!("%{byte:02X}")),
            None => {
                // `Uri::parse` lets no such text pass.
                out.push_str(&rest[percent..]);
                return;
            }
        }
        rest = &rest[percent + 3..];
    }
    out.push_str(rest);
}

fn push_lower_case(out: &mut String, text: &str) {
    let start = out.len();
    out.push_str(text);
    out[start..].make_ascii_lowercase();
}

fn push_fmt(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = fmt::Write::write_fmt(out, text);
}

const _: () = assert!(grammar::is(b'%', TOKEN) && !grammar::is(b'%', URI), "escapes are checked apart");

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn parts() {
        let u = uri("sip:user;par=u%40example.net:pw@[2001:db8::1]:5062;transport=tcp;lr?Subject=x");
        assert_eq!((u.scheme, u.user, u.host), ("sip", Some("user;par=u%40example.net:pw"), "[2001:db8::1]"));
        assert_eq!((u.port, u.params.value("transport"), u.params.get("lr")), (Some(5062), Some("tcp"), Some(None)));
        assert_eq!((u.headers, u.ip()), (Some("Subject=x"), "2001:db8::1".parse().ok()));
        assert_eq!(uri("tel:+1-201;x=y").user, Some("+1-201"));
        assert_eq!(uri("urn:service:sos").scheme, "urn");
    }

    /// RFC 3261 clause 19.1.4 prints these.
    #[test]
    fn equivalent() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:683:890:1942:1::9e0b:baea]", "sip:a@[2001:0683:0890:1942:0001:0000:9E0B:BAEA]"),
            ("tel:+1-(201) 555".split(' ').next().unwrap(), "tel:+1201"),
            ("tel:+1201;EXT=5", "tel:+1.201;ext=5"),
        ] {
            assert!(uri(a).equivalent(&uri(b)) && uri(b).equivalent(&uri(a)), "{a} {b}");
        }
    }

    /// RFC 3261 clause 19.1.4 prints these.
    #[test]
    fn not_equivalent() {
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on"),
            ("sip:a@b", "sips:a@b"),
            ("sip:a%3Bb@c", "sip:a;b@c"),
            ("tel:+1201", "tel:+1202"),
            ("tel:7042;phone-context=a.example", "tel:7042;phone-context=b.example"),
            ("sip:b", "sip:a@b"),
        ] {
            assert!(!uri(a).equivalent(&uri(b)) && !uri(b).equivalent(&uri(a)), "{a} {b}");
        }
    }

    #[test]
    fn canonical() {
        for (text, expected) in [
            ("SIP:%41b%3bC%00@Example.COM:5060;user=phone?x=y", "sip:Ab%3BC%00@example.com:5060"),
            ("sip:a@[2001:0683:0890:1942:0001:0000:9E0B:BAEA]", "sip:a@[2001:683:890:1942:1:0:9e0b:baea]"),
            ("TEL:+1-201-555.0123;ext=1", "tel:+12015550123"),
            ("tel:7042;phone-context=Example.com", "tel:7042;phone-context=example.com"),
            ("urn:service:sos", "urn:service:sos"),
        ] {
            let mut out = String::new();
            uri(text).canonical(&mut out);
            assert_eq!(out, expected);
            let mut again = String::new();
            uri(&out).canonical(&mut again);
            assert_eq!(again, out);
        }
    }

    #[test]
    fn a_usual_uri_is_read_as_every_other() {
        for text in ["sip:a.b@c.d:5060", "sip:+1-2@3.4.5.6", "sip:a", "sip:a:1", "sip:a@[::1]:7"] {
            let (usual, length) = Uri::usual(text).unwrap();
            let read = Uri::parse_clean(text).unwrap();
            assert_eq!((usual.text, usual.scheme, usual.user), (read.text, read.scheme, read.user));
            assert_eq!((usual.host, usual.port, length), (read.host, read.port, text.len()));
            assert_eq!(Uri::usual(&format!("{text}>;x")).map(|(uri, _)| uri.text), Some(text));
        }
        for text in ["sip:a%41@b", "sip:a@b;lr", "sip:+1", "sip:a@b:", "sip:a@b:65536", "SIP:a@b", "sip:a:b@c", "tel:1"]
        {
            assert!(Uri::usual(text).is_none(), "{text}");
        }
    }

    #[test]
    fn faults() {
        for text in [
            "",
            "sip:",
            "sip",
            ":a",
            "1sip:a",
            "<sip:a@b>",
            "sip:a b@c",
            "sip:@b",
            "sip:a@",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "sip:a@[::1",
            "sip:a@b:65536",
            "sip:a@b:",
            "sip:a@b;",
            "sip:a@b; lr",
            "sip:a%4@b",
            "tel:",
            "tel:+",
            "tel:abc-xyz",
        ] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_is_shortened() {
        assert_eq!(format!("{:?}", uri("sip:460600100049906@ims.example")), "Uri(sip:..9906@ims.example)");
    }
}
