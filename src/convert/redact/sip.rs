//! SIP messages with replacements: header by header, then the body, then the digest.

use super::scan::{Kind, Scan};
use super::vectors::Vectors;
use crate::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Message, StartLine};
use data_encoding::HEXLOWER;
use std::fmt::Write;

/// What could not be kept.
#[derive(Default, Debug)]
pub(super) struct Lost {
    /// A digest that no key was known for.
    pub(super) digest: bool,
    /// A body that is no text.
    pub(super) body: bool,
}

/// A message with replacements.
pub(super) fn message(scan: &mut Scan, vectors: &Vectors, bytes: &[u8]) -> (Vec<u8>, Lost) {
    let mut lost = Lost::default();
    let end = head_len(bytes);
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head);
    let body_out = self::body(scan, &head, body, &mut lost);
    // Names that stand behind the headers in which they must be known.
    let grown = body_out.len() as i64 - body.len() as i64;
    lines(scan, &head, grown, &mut String::new());
    let mut out = String::with_capacity(head.len() + 64);
    lines(scan, &head, grown, &mut out);
    let mut redacted = out.into_bytes();
    redacted.extend_from_slice(&body_out);
    lost.digest = digests(bytes, &mut redacted, vectors);
    (redacted, lost)
}

/// Start line, headers and the empty line.
fn head_len(bytes: &[u8]) -> usize {
    let crlf = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(bytes, b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min().unwrap_or(bytes.len())
}

fn lines(scan: &mut Scan, head: &str, grown: i64, out: &mut String) {
    let mut name = None;
    for (at, line) in head.split_inclusive('\n').enumerate() {
        if at == 0 {
            scan.text(line, Kind::Identities, out);
            continue;
        }
        // A folded line goes on with the header before.
        if line.starts_with([' ', '\t']) {
            value(scan, name.unwrap_or(HeaderName::Other), line, grown, out);
            continue;
        }
        let Some((text, rest)) = line.split_once(':') else {
            scan.text(line, Kind::Identities, out);
            continue;
        };
        let this = HeaderName::from_text(text.trim_end());
        name = Some(this);
        out.push_str(text);
        out.push(':');
        if this == HeaderName::Other {
            unnamed(scan, text.trim_end(), rest, out);
        } else {
            value(scan, this, rest, grown, out);
        }
    }
}

fn value(scan: &mut Scan, name: HeaderName, value: &str, grown: i64, out: &mut String) {
    use HeaderName as Name;
    match name {
        Name::ContentLength => match value.trim().parse::<i64>() {
            Ok(length) if grown != 0 => {
                let start = value.len() - value.trim_start().len();
                let behind = &value[value.trim_end().len()..];
                write!(out, "{}{}{behind}", &value[..start], (length + grown).max(0)).expect("a String takes it");
            }
            _ => out.push_str(value),
        },
        Name::CSeq | Name::Expires | Name::MaxForwards | Name::MinExpires => out.push_str(value),
        Name::SecurityClient | Name::SecurityServer | Name::SecurityVerify => out.push_str(value),
        Name::Authorization
        | Name::ProxyAuthorization
        | Name::WwwAuthenticate
        | Name::ProxyAuthenticate
        | Name::AuthenticationInfo => credentials(scan, value, out),
        Name::From | Name::To | Name::Contact | Name::PAssertedIdentity | Name::PAssociatedUri => {
            addressed(scan, value, out);
        }
        Name::Via | Name::Route | Name::RecordRoute | Name::Path | Name::ServiceRoute => {
            scan.text(value, Kind::Technical, out);
        }
        Name::UserAgent | Name::Server => scan.text(value, Kind::Technical, out),
        _ => scan.text(value, Kind::Identities, out),
    }
}

/// Headers without a name here.
fn unnamed(scan: &mut Scan, name: &str, value: &str, out: &mut String) {
    let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is(&["Retry-After", "RSeq", "RAck", "Timestamp", "Session-Expires", "Min-SE", "MIME-Version", "Date"]) {
        out.push_str(value);
    } else if is(&["P-Preferred-Identity", "Remote-Party-ID", "Reply-To", "Refer-To", "Referred-By", "Diversion"]) {
        addressed(scan, value, out);
    } else if is(&["User-Agent", "Server", "P-Charging-Vector", "P-Charging-Function-Addresses"]) {
        scan.text(value, Kind::Technical, out);
    } else {
        scan.text(value, Kind::Identities, out);
    }
}

/// Display names, URIs and parameters.
fn addressed(scan: &mut Scan, value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(open) = rest.find('<') {
        let (before, inside) = rest.split_at(open);
        // Behind a URI stand parameters, and after a comma the next display name.
        let (params, display) = match before.rsplit_once(',') {
            Some((params, display)) if before.trim_start().starts_with(';') => (Some(params), display),
            _ if before.trim_start().starts_with(';') => (Some(before), ""),
            _ => (None, before),
        };
        match params {
            Some(params) => {
                scan.text(params, Kind::Technical, out);
                if display.contains('=') {
                    out.push(',');
                    scan.text(display, Kind::Technical, out);
                } else if params.len() < before.len() {
                    out.push(',');
                    out.push_str(&scan.name(display));
                }
            }
            None => out.push_str(&scan.name(display)),
        }
        let close = inside.find('>').map_or(inside.len(), |close| close + 1);
        scan.text(&inside[..close], Kind::Identities, out);
        rest = &inside[close..];
    }
    let kind = if rest.len() == value.len() { Kind::Identities } else { Kind::Technical };
    scan.text(rest, kind, out);
}

/// Parameters of digest authentication: what is random or a number stays, keys go.
fn credentials(scan: &mut Scan, value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(equals) = rest.find('=') {
        let (before, behind) = rest.split_at(equals + 1);
        let name = before[..equals].trim_end().rsplit([' ', ',', '\t']).next().unwrap_or_default().to_ascii_lowercase();
        out.push_str(before);
        let blank = behind.len() - behind.trim_start_matches([' ', '\t']).len();
        out.push_str(&behind[..blank]);
        let behind = &behind[blank..];
        let quoted = behind.strip_prefix('"');
        let text = match quoted {
            Some(text) => &text[..text.find('"').unwrap_or(text.len())],
            None => &behind[..behind.find([',', ' ', '\t', '\r', '\n']).unwrap_or(behind.len())],
        };
        if quoted.is_some() {
            out.push('"');
        }
        match name.as_str() {
            "nonce"
            | "cnonce"
            | "opaque"
            | "auts"
            | "nc"
            | "algorithm"
            | "qop"
            | "nextnonce"
            | "stale"
            | "integrity-protected" => out.push_str(text),
            "response" | "rspauth" | "ck" | "ik" => out.push_str(&hexadecimal(scan, text, name.ends_with('k'))),
            "username" if !text.contains(['@', ':']) => out.push_str(&scan.name(text)),
            _ => scan.text(text, Kind::Identities, out),
        }
        rest = &behind[usize::from(quoted.is_some()) + text.len()..];
    }
    scan.text(rest, Kind::Identities, out);
}

/// Digits for digits, as many; of a key, those that the same key has everywhere.
fn hexadecimal(scan: &Scan, text: &str, is_key: bool) -> String {
    let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    let replaced = match octets {
        Ok(octets) if is_key => scan.key(&octets),
        Ok(octets) => scan.noise(&octets),
        Err(_) => scan.noise(text.as_bytes()),
    };
    let digits = HEXLOWER.encode(&replaced);
    let digits = &digits[..digits.len().min(text.len())];
    if text.chars().any(|c| c.is_ascii_uppercase()) { digits.to_ascii_uppercase() } else { digits.to_owned() }
}

/// A body; what is no text becomes as many zeros.
fn body(scan: &mut Scan, head: &str, body: &[u8], lost: &mut Lost) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(body) else {
        lost.body = true;
        return vec![0; body.len()];
    };
    if text.bytes().any(|b| b.is_ascii_control() && !b.is_ascii_whitespace()) {
        lost.body = true;
        return vec![0; body.len()];
    }
    let mut out = String::with_capacity(text.len() + 64);
    let is_sdp = head.to_ascii_lowercase().contains("application/sdp");
    for line in text.split_inclusive('\n') {
        // The user of an origin (RFC 8866 clause 5.2).
        match line.strip_prefix("o=").and_then(|rest| rest.split_once(' ')).filter(|(user, _)| is_sdp && *user != "-") {
            Some((user, rest)) => {
                out.push_str("o=");
                out.push_str(&scan.name(user));
                out.push(' ');
                scan.text(rest, Kind::Identities, &mut out);
            }
            None => scan.text(line, Kind::Identities, &mut out),
        }
    }
    out.into_bytes()
}

/// Calculates the response anew where it was right under a key that is known. True: there is one that verifies no longer.
fn digests(original: &[u8], redacted: &mut [u8], vectors: &Vectors) -> bool {
    let (Ok(before), Ok(after)) = (Message::parse(original), Message::parse(redacted)) else { return false };
    let StartLine::Request { method, .. } = before.start() else {
        return before.header(HeaderName::AuthenticationInfo).is_some_and(|value| value.contains("rspauth"));
    };
    let mut is_lost = false;
    let mut anew = Vec::new();
    let both = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
    for name in both {
        for (old, new) in before.values(name).zip(after.values(name)) {
            let (Ok(Some(old)), Ok(Some(new))) = (Digest::parse(name, old), Digest::parse(name, new)) else { continue };
            let (Some(given), Some(place)) = (old.response.filter(|text| !text.is_empty()), new.response) else {
                continue;
            };
            let method = method.as_str();
            let again = inputs(&old, method, before.body())
                .zip(inputs(&new, method, after.body()))
                .and_then(|(was, is)| vectors.again(&was, &is, old.username, given));
            match again {
                Some(made) if made.len() == place.len() => {
                    let at = place.as_ptr() as usize - after.bytes().as_ptr() as usize;
                    anew.push((at, made));
                }
                _ => is_lost = true,
            }
        }
    }
    for (at, made) in anew {
        redacted[at..at + made.len()].copy_from_slice(made.as_bytes());
    }
    is_lost
}

/// `None`: an algorithm that is not known.
fn inputs<'a>(digest: &Digest<'a>, method: &'a str, body: &'a [u8]) -> Option<Inputs<'a>> {
    let algorithm = Algorithm::from_token(digest.algorithm.unwrap_or("MD5"))?;
    let qop = digest.qop.map(|qop| Qop {
        auth_int: qop.eq_ignore_ascii_case("auth-int"),
        nc: digest.nc.unwrap_or_default(),
        cnonce: digest.cnonce.unwrap_or_default(),
    });
    Some(Inputs {
        algorithm,
        username: digest.username.unwrap_or_default(),
        realm: digest.realm.unwrap_or_default(),
        nonce: digest.nonce.unwrap_or_default(),
        uri: digest.uri.unwrap_or_default(),
        method,
        qop,
        body,
    })
}

impl Vectors {
    /// The response anew: under an empty password, or RES, CK and IK of the challenge.
    fn again(&self, was: &Inputs<'_>, is: &Inputs<'_>, username: Option<&str>, given: &str) -> Option<String> {
        if response(was, Secret::Password(b"")).matches(given) {
            return Some(response(is, Secret::Password(b"")).as_str().to_owned());
        }
        let (real, made) = self.of_nonce(was.nonce, username)?;
        response(was, real.secret()).matches(given).then(|| response(is, made.secret()).as_str().to_owned())
    }
}
