//! Credentials and challenges rewritten: a parameter is left out, everything else stays as it was written.
//!
//! This reads more than the grammar allows, because what it guards must hold for malformed values too.

use std::io::Write;

/// A value whose quotes do not close: nobody can say which of its commas separate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unbalanced;

/// Copies the value of Authorization or WWW-Authenticate without the parameters for which `leave_out` returns true. It
/// sees names and values without quotes, in order. Several challenges in one value are legal here.
pub(super) fn rewrite<'v>(
    value: &'v str,
    out: &mut Vec<u8>,
    mut leave_out: impl FnMut(&'v str, &'v str) -> bool,
) -> Result<(), Unbalanced> {
    let start = out.len();
    let mut after_scheme = true;
    let mut rest = value;
    while !rest.is_empty() {
        let end = end_of_item(rest).ok_or(Unbalanced)?;
        let item = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or("");
        if item.is_empty() {
            continue;
        }
        let Some((head, text)) = item.split_once('=') else {
            separate(out, start, after_scheme);
            one_line(out, item);
            after_scheme = false;
            continue;
        };
        let (scheme, name) = split_head(head);
        if !scheme.is_empty() {
            separate(out, start, false);
            one_line(out, scheme);
            out.push(b' ');
            after_scheme = true;
        }
        let bare = name.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace());
        if !leave_out(bare, unquoted(text)) {
            separate(out, start, after_scheme);
            write!(out, "{bare}=").expect("a Vec takes everything");
            one_line(out, text);
            after_scheme = false;
        }
    }
    Ok(())
}

/// True when some parameter of `text` is called `ck` or `ik`, wherever it stands and however it is spaced or quoted.
pub(super) fn names_a_key(text: &[u8]) -> bool {
    memchr::memchr_iter(b'=', text).any(|at| {
        let before = text[..at].trim_ascii_end();
        let before = before.strip_suffix(b"\"").unwrap_or(before).trim_ascii_end();
        let Some((rest, name)) = before.split_last_chunk::<2>() else { return false };
        (name.eq_ignore_ascii_case(b"ck") || name.eq_ignore_ascii_case(b"ik"))
            && !rest.last().is_some_and(|b| b.is_ascii_alphanumeric() || PART_OF_A_WORD.contains(b))
    })
}

/// What stands within names, and within base64: a nonce may end in `+ik=`.
const PART_OF_A_WORD: &[u8] = b"-_.%+/";

/// The index of the next comma outside quotes, or the end; `None` if quotes stay open.
fn end_of_item(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, b) in text.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

/// What stands before `=`: a scheme, if one begins here, and the name.
fn split_head(head: &str) -> (&str, &str) {
    let head = head.trim_ascii();
    match head.rfind(|c: char| c.is_ascii_whitespace()) {
        Some(at) => (head[..at].trim_ascii(), &head[at + 1..]),
        None => ("", head),
    }
}

fn unquoted(value: &str) -> &str {
    let value = value.trim_ascii();
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

fn separate(out: &mut Vec<u8>, start: usize, after_scheme: bool) {
    if out.len() > start && !after_scheme {
        out.push(b',');
    }
}

/// Folds become one space.
fn one_line(out: &mut Vec<u8>, text: &str) {
    for (i, piece) in text.trim_ascii().split(['\r', '\n']).map(str::trim_ascii).filter(|p| !p.is_empty()).enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_keys(value: &str) -> Result<String, Unbalanced> {
        let mut out = Vec::new();
        rewrite(value, &mut out, |name, _| name.eq_ignore_ascii_case("ck") || name.eq_ignore_ascii_case("ik"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn everything_but_the_named_parameters_stays() {
        for (value, expected) in [
            (
                "Digest realm=\"a\", nonce=\"b,ck=1\", ck=\"12\", ik=\"34\", qop=\"auth,auth-int\"",
                "Digest realm=\"a\",nonce=\"b,ck=1\",qop=\"auth,auth-int\"",
            ),
            ("Digest ck=\"12\", realm=a", "Digest realm=a"),
            ("Digest\r\n realm=\"a\"\r\n ,\r\n\tCK\r\n =\r\n \"12\",IK = 34", "Digest realm=\"a\""),
            ("Digest realm=a,ck=1, Digest realm=b,ik=2,ck=3", "Digest realm=a,Digest realm=b"),
            ("Digest realm=\"x\\\", ck=\\\"1\",  \"ck\"=2", "Digest realm=\"x\\\", ck=\\\"1\""),
            ("Digest ck=1,ik=2", "Digest "),
            ("Negotiate abc", "Negotiate abc"),
            (",, Digest ,realm=a,,", "Digest,realm=a"),
        ] {
            assert_eq!(without_keys(value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn open_quotes_are_refused() {
        for value in ["Digest realm=\"a, ck=1", "Digest realm=\"a\\\", ck=1", "Digest ck=\"1"] {
            assert_eq!(without_keys(value), Err(Unbalanced), "{value}");
        }
    }

    #[test]
    fn a_key_is_seen_in_any_dress() {
        for text in ["ck=1", "a;IK = 2", "x, \"ck\" =3", "Digest\r\n ck\r\n =4", "<sip:a@b;ik=5>"] {
            assert!(names_a_key(text.as_bytes()), "{text}");
        }
        for text in
            ["tick=1", "trunk-ck=2", "ckk=3", "ck", "nonce=\"abc==\"", "=", "nonce=\"6B5+ik=\"", "nonce=\"6B5/ck=\""]
        {
            assert!(!names_a_key(text.as_bytes()), "{text}");
        }
    }
}
