//! Credentials and challenges rewritten: a parameter is left out, everything else stays as it was written.
//!
//! This reads more than the grammar allows, because what it guards must hold for malformed values too.

use crate::sip::header::grammar;
use memchr::{memchr, memchr2, memchr2_iter};

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
    let folded = memchr2(b'\r', b'\n', value.as_bytes()).is_some();
    let one_line = |out: &mut Vec<u8>, text: &str| match folded {
        true => one_line(out, text),
        false => out.extend_from_slice(text.trim_ascii().as_bytes()),
    };
    each_item(value, |item| {
        let Some((name, text)) = item.parameter else {
            separate(out, start, after_scheme);
            one_line(out, item.head);
            after_scheme = false;
            return;
        };
        if !item.head.is_empty() {
            separate(out, start, false);
            one_line(out, item.head);
            out.push(b' ');
            after_scheme = true;
        }
        if !leave_out(name, unquoted(text)) {
            separate(out, start, after_scheme);
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            one_line(out, text);
            after_scheme = false;
        }
    })
}

/// What stands between two commas.
struct Item<'v> {
    /// A scheme, or all of an item that is no parameter.
    head: &'v str,
    /// Name without quotes, and value with them.
    parameter: Option<(&'v str, &'v str)>,
}

fn each_item<'v>(value: &'v str, mut act: impl FnMut(Item<'v>)) -> Result<(), Unbalanced> {
    let mut rest = value;
    while !rest.is_empty() {
        if let Some((item, after)) = usual_item(rest) {
            act(item);
            rest = after;
            continue;
        }
        let end = end_of_item(rest).ok_or(Unbalanced)?;
        let item = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or("");
        if item.is_empty() {
            continue;
        }
        act(match memchr(b'=', item.as_bytes()) {
            None => Item { head: item, parameter: None },
            Some(at) => {
                let (head, name) = split_head(&item[..at]);
                Item { head, parameter: Some((bare(name), &item[at + 1..])) }
            }
        });
    }
    Ok(())
}

/// The item at the start of `list` if it is as nearly all are: perhaps a scheme and a space, a name, and a value that is
/// quoted without escapes or has no white space. What follows its comma comes with it.
fn usual_item(list: &str) -> Option<(Item<'_>, &str)> {
    let bytes = list.as_bytes();
    let word = |from: usize| grammar::token_end(bytes, from);
    let first = usize::from(bytes.first() == Some(&b' '));
    let (mut start, mut end) = (first, word(first));
    if bytes.get(end) == Some(&b' ') {
        start = end + 1;
        end = word(start);
    }
    if end == start || bytes.get(end) != Some(&b'=') {
        return None;
    }
    let value_end = match bytes[end + 1..] {
        [b'"', ..] => {
            let close = grammar::quote_or_escape(bytes, end + 2);
            if bytes.get(close) != Some(&b'"') {
                return None;
            }
            close + 1
        }
        _ => grammar::digest_end(bytes, end + 1),
    };
    let after = match bytes.get(value_end) {
        None => value_end,
        Some(b',') => value_end + 1,
        Some(_) => return None,
    };
    let head = if start > first { &list[first..start - 1] } else { "" };
    Some((Item { head, parameter: Some((&list[start..end], &list[end + 1..value_end])) }, &list[after..]))
}

/// True when some parameter of `text` is called `ck` or `ik`, wherever it stands and however it is spaced or quoted.
pub(super) fn names_a_key(text: &[u8]) -> bool {
    may_name_a_key(text)
        && memchr2_iter(b'k', b'K', text).any(|at| {
            let Some((before, first)) = text[..at].split_last().map(|(first, before)| (before, first)) else {
                return false;
            };
            if !matches!(first, b'c' | b'C' | b'i' | b'I') {
                return false;
            }
            let after = text[at + 1..].trim_ascii_start();
            let after = after.strip_prefix(b"\"").unwrap_or(after).trim_ascii_start();
            after.first() == Some(&b'=')
                && !before.last().is_some_and(|b| b.is_ascii_alphanumeric() || PART_OF_A_WORD.contains(b))
        })
}

/// True when the letters of such a name stand side by side: hardly ever, and without a way out on the first pair many are
/// looked at together.
fn may_name_a_key(text: &[u8]) -> bool {
    let Some((_, behind)) = text.split_first() else { return false };
    let pairs = text.iter().zip(behind);
    pairs.fold(false, |found, (&a, &b)| found | ((b | 0x20 == b'k') & ((a | 0x20 == b'c') | (a | 0x20 == b'i'))))
}

/// What stands within names, and within base64: a nonce may end in `+ik=`.
const PART_OF_A_WORD: &[u8] = b"-_.%+/";

/// The index of the next comma outside quotes, or the end; `None` if quotes stay open.
fn end_of_item(text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr2(b',', b'"', &text[at..]) {
        at += found;
        if text[at] == b',' {
            return Some(at);
        }
        at += 1;
        loop {
            at += memchr2(b'"', b'\\', &text[at..])?;
            if text[at] == b'"' {
                break;
            }
            // An escaped octet cannot close.
            at += 2;
            if at >= text.len() {
                return None;
            }
        }
        at += 1;
    }
    Some(text.len())
}

/// What stands before `=`: a scheme, if one begins here, and the name.
fn split_head(head: &str) -> (&str, &str) {
    let head = head.trim_ascii();
    match head.bytes().rposition(|b| b.is_ascii_whitespace()) {
        Some(at) => (head[..at].trim_ascii(), &head[at + 1..]),
        None => ("", head),
    }
}

/// A name without the quotes that some put around it.
fn bare(name: &str) -> &str {
    if name.starts_with('"') || name.ends_with('"') {
        name.trim_matches(|c: char| c == '"' || c.is_ascii_whitespace())
    } else {
        name
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
    if memchr2(b'\r', b'\n', text.as_bytes()).is_none() {
        out.extend_from_slice(text.trim_ascii().as_bytes());
        return;
    }
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
            ("Digest a=\"x\" y, ik=1", "Digest a=\"x\" y"),
            ("Digest a=x y,ck=1,b=\u{e9}\"ik=2,\",c", "Digest a=x y,b=\u{e9}\"ik=2,\",c"),
            (" Digest ck=\"1\",=2,a=", "Digest =2,a="),
        ] {
            assert_eq!(without_keys(value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn open_quotes_are_refused() {
        for value in ["Digest realm=\"a, ck=1", "Digest realm=\"a\\\", ck=1", "Digest ck=\"1", "Digest a=\"\\"] {
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
