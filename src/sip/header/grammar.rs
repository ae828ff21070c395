//! What the headers have in common (RFC 3261 clause 25.1), as parsers over `&str`.
//!
//! Character classes are one table look-up an octet; every class is ASCII, so the splits fall on character borders.

use crate::sip::octets;
use memchr::memchr2_iter;
use nom::branch::alt;
use nom::combinator::{opt, recognize};
use nom::sequence::preceded;
use nom::{Err, IResult, Parser};
use wide::u8x16;

/// The result of a parser: what is left, and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a str, T, ()>;

/// `token`
pub(crate) const TOKEN: u8 = 1;
/// White space, with the line ends that a fold leaves inside a value.
pub(crate) const LWS: u8 = 1 << 1;
/// An unquoted parameter value: token, host, or what the field puts there (`received=sip:192.0.2.1`).
pub(crate) const VALUE: u8 = 1 << 2;
/// What may appear in a URI, `%` apart.
pub(crate) const URI: u8 = 1 << 3;
/// A host name or IPv4 address.
pub(crate) const HOST: u8 = 1 << 4;
/// The inside of an IPv6 reference.
pub(crate) const IPV6: u8 = 1 << 5;
/// An unquoted digest value: base64 with its `=` included.
pub(crate) const DIGEST: u8 = 1 << 6;
/// A telephone number with its visual separators (RFC 3966).
pub(crate) const PHONE: u8 = 1 << 7;

/// True when `byte` belongs to `class`.
pub(crate) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// How many octets at the start of `text` belong to `class`; looked at four at a time.
#[inline]
pub(crate) fn span(text: &[u8], class: u8) -> usize {
    let mut at = 0;
    for &[a, b, c, d] in text.as_chunks::<4>().0 {
        if CLASSES[a as usize] & CLASSES[b as usize] & CLASSES[c as usize] & CLASSES[d as usize] & class == 0 {
            break;
        }
        at += 4;
    }
    while let Some(&byte) = text.get(at)
        && is(byte, class)
    {
        at += 1;
    }
    at
}

/// Where the run of [`TOKEN`] ends that begins at `from`.
pub(crate) fn token_end(text: &[u8], from: usize) -> usize {
    let usual = plain_end(text, from);
    match text.get(usual) {
        Some(octet) if is(*octet, TOKEN) => usual + span(&text[usual..], TOKEN),
        _ => usual,
    }
}

/// Where the run of letters, digits and `+-._` ends that begins at `from`.
pub(crate) fn plain_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| {
        let others = octets::equal(block, b',') | octets::equal(block, b'/');
        letters(block) | octets::equal(block, b'_') | octets::between(block, b'+', b'9') & !others
    })
}

/// Where the run of [`HOST`] in lower case ends that begins at `from`, `_` apart.
pub(crate) fn lower_host_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| {
        let digits = octets::between(block, b'-', b'9') & !octets::equal(block, b'/');
        octets::between(block, b'a', b'z') | digits
    })
}

/// True when there is no white space in `text`.
pub(crate) fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Other control characters are none.
    !bytes[visible_end(bytes, 0)..].iter().any(|&octet| is(octet, LWS))
}

/// Where the run of octets ends that begins at `from` and are neither white space nor other control characters.
pub(crate) fn visible_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, visible)
}

/// Where the run of [`VALUE`] ends that begins at `from`.
pub(crate) fn value_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| {
        // `<` and `>` differ in one bit.
        digest(block) & !(octets::equal(block | u8x16::splat(2), b'>') | octets::equal(block, b';'))
    })
}

/// Where the run of [`DIGEST`] ends that begins at `from`.
pub(crate) fn digest_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, digest)
}

/// Where the run of [`URI`] ends that begins at `from`.
pub(crate) fn uri_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| {
        let brackets = octets::equal(block | u8x16::splat(2), b'>');
        visible(block) & !(brackets | octets::equal(block, b'"') | octets::equal(block, b'%'))
    })
}

/// Where the run of [`HOST`] ends that begins at `from`.
pub(crate) fn host_end(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| {
        let digits = octets::between(block, b'-', b'9') & !octets::equal(block, b'/');
        letters(block) | octets::equal(block, b'_') | digits
    })
}

#[inline(always)]
fn letters(block: u8x16) -> u8x16 {
    octets::between(block | u8x16::splat(0x20), b'a', b'z')
}

/// Neither white space nor any other control character.
#[inline(always)]
fn visible(block: u8x16) -> u8x16 {
    octets::between(block, b'!', 0xff) & !octets::equal(block, 0x7f)
}

#[inline(always)]
fn digest(block: u8x16) -> u8x16 {
    visible(block) & !(octets::equal(block, b'"') | octets::equal(block, b','))
}

/// Where the first `octet` is among the first octets of `text`, as far as a name goes, and these in words of eight.
#[inline]
pub(crate) fn near(text: &[u8], octet: u8) -> Option<usize> {
    for (n, word) in text.as_chunks().0.iter().take(3).enumerate() {
        let marks = marks(u64::from_le_bytes(*word), octet);
        if marks != 0 {
            return Some(8 * n + marks.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// The highest bit of the first octet of `word` that is `octet`, perhaps with higher ones; 0 if there is none. Subtraction
/// sets that bit, and borrows only from the octets above it.
#[inline]
pub(crate) const fn marks(word: u64, octet: u8) -> u64 {
    let zero_there = word ^ (ONES * octet as u64);
    zero_there.wrapping_sub(ONES) & !zero_there & (ONES << 7)
}

/// 1 in each octet.
pub(crate) const ONES: u64 = u64::from_le_bytes([1; 8]);

/// `text` after the octets of white space at its start.
#[inline]
pub(crate) fn after_lws(text: &str) -> &str {
    match text.as_bytes() {
        [first, ..] if is(*first, LWS) => &text[span(text.as_bytes(), LWS)..],
        _ => text,
    }
}

/// At least one octet of `class`.
pub(crate) fn run(class: u8) -> impl Fn(&str) -> Parsed<'_, &str> {
    move |input| match span(input.as_bytes(), class) {
        0 => Err(Err::Error(())),
        length => Ok(cut(input, length)),
    }
}

/// `token`
pub(crate) fn token(input: &str) -> Parsed<'_, &str> {
    run(TOKEN)(input)
}

/// Optional white space.
pub(crate) fn lws(input: &str) -> Parsed<'_, ()> {
    Ok((after_lws(input), ()))
}

/// `byte` with optional white space on both sides.
pub(crate) fn separator(byte: u8) -> impl Fn(&str) -> Parsed<'_, ()> {
    move |input| {
        let (input, ()) = lws(input)?;
        if input.as_bytes().first() == Some(&byte) { lws(&input[1..]) } else { Err(Err::Error(())) }
    }
}

/// A quoted string: what stands between the quotes, escapes unresolved.
pub(crate) fn quoted(input: &str) -> Parsed<'_, &str> {
    let bytes = input.as_bytes();
    if bytes.first() != Some(&b'"') {
        return Err(Err::Error(()));
    }
    match closing_quote(bytes, 1) {
        Some(end) => Ok((&input[end + 1..], &input[1..end])),
        None => Err(Err::Error(())),
    }
}

/// A parameter value without its quotes.
pub(crate) fn value(input: &str) -> Parsed<'_, &str> {
    alt((quoted, run(VALUE))).parse(input)
}

/// `; name [= value]` at `at` as nearly all write it: without white space. The name, the value, and where what follows
/// begins; `None` is left to [`next_parameter`].
#[inline]
pub(crate) fn usual_parameter(text: &str, at: usize) -> Option<(&str, Option<&str>, usize)> {
    let bytes = text.as_bytes();
    let name_end = match bytes.get(at..)? {
        // The commonest name is a token, which need not be looked at octet by octet.
        [b';', b't', b'a', b'g', b'=', ..] => at + 4,
        [b';', ..] => token_end(bytes, at + 1),
        _ => return None,
    };
    let (value, end) = match bytes.get(name_end) {
        Some(b'=') => {
            let (value, _, end) = usual_value(text, name_end + 1, value_end)?;
            (Some(value), end)
        }
        None | Some(b';' | b',') => (None, name_end),
        _ => return None,
    };
    let name = text.get(at + 1..name_end).filter(|name| !name.is_empty())?;
    Some((name, value, end))
}

/// The value at `at`, in quotes or up to `plain_end`: it without quotes, whether it had them, and where what follows
/// begins.
#[inline]
pub(crate) fn usual_value(
    text: &str,
    at: usize,
    plain_end: impl Fn(&[u8], usize) -> usize,
) -> Option<(&str, bool, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(at) == Some(&b'"') {
        let end = closing_quote(bytes, at + 1)?;
        return Some((text.get(at + 1..end)?, true, end + 1));
    }
    let end = plain_end(bytes, at);
    Some((text.get(at..end).filter(|value| !value.is_empty())?, false, end))
}

/// `name [= value]`. Handsets put a bare quoted string into P-Access-Network-Info: its name keeps the quotes.
pub(crate) fn parameter(input: &str) -> Parsed<'_, (&str, Option<&str>)> {
    (alt((token, recognize(quoted))), opt(preceded(separator(b'='), value))).parse(input)
}

/// `; name [= value]`. More semicolons than one are outside the grammar, but even RFC 5626 prints two where a parameter
/// begins a new line.
pub(crate) fn next_parameter(input: &str) -> Parsed<'_, (&str, Option<&str>)> {
    let mut rest = after_lws(input);
    if !rest.starts_with(';') {
        return Err(Err::Error(()));
    }
    while rest.starts_with(';') {
        rest = after_lws(&rest[1..]);
    }
    parameter(rest)
}

/// True when two names are the same in any case.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    // Most are written as in the standard, and comparing that is much cheaper.
    a.len() == b.len() && (a == b || a.eq_ignore_ascii_case(b))
}

/// True when `text` holds `word` in any case. It is searched for by its letter at `rare`.
pub(crate) fn mentions(text: &str, word: &str, rare: usize) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(letter) = word.get(rare) else { return word.is_empty() };
    memchr2_iter(letter.to_ascii_lowercase(), letter.to_ascii_uppercase(), text).any(|at| {
        let found = at.checked_sub(rare).and_then(|start| text.get(start..start + word.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// The decimal number at the start of `text` and its length, which is 0 where there is none. `None`: so many digits that
/// [`digits`] must read them.
#[inline]
pub(crate) fn leading_number(text: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (at, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Some((number, at));
        }
        if at == 19 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some((number, text.len()))
}

/// Decimal digits, all of `text`; what does not fit becomes `u64::MAX`.
#[inline]
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    match leading_number(text) {
        Some((_, 0)) => None,
        Some((number, length)) => (length == text.len()).then_some(number),
        None => many_digits(text),
    }
}

/// As [`digits`], of twenty octets or more. Nineteen digits fit, zeros before them do not count.
fn many_digits(text: &[u8]) -> Option<u64> {
    let zeros = text.iter().take_while(|&&b| b == b'0').count();
    match &text[zeros..] {
        [] => Some(0),
        rest if rest.len() <= 19 => digits(rest),
        rest => rest.iter().all(u8::is_ascii_digit).then_some(u64::MAX),
    }
}

/// As [`digits`], `None` when the number is above `limit`.
pub(crate) fn number(text: &str, limit: u64) -> Option<u64> {
    digits(text.as_bytes()).filter(|&n| n <= limit)
}

/// Seconds as deltas are read (sip.md section 1): clamped to 2^32-1.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    digits(text.as_bytes()).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// Where the list element at the start of `text` ends: the next comma outside quotes and angle brackets.
pub(crate) fn element_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at = octets::run_end(bytes, at, |block| {
            !(octets::equal(block, b',') | octets::equal(block, b'"') | octets::equal(block, b'<'))
        });
        at = match bytes.get(at) {
            None | Some(b',') => return at,
            Some(b'"') => match closing_quote(bytes, at + 1) {
                Some(end) => end + 1,
                None => return bytes.len(),
            },
            _ => match octets::run_end(bytes, at, |block| !octets::equal(block, b'>')) {
                end if end < bytes.len() => end + 1,
                _ => at + 1,
            },
        };
    }
}

/// `text` without the white space around it.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) if !is(*first, LWS) && !is(*last, LWS) => text,
        _ => trimmed(text),
    }
}

fn trimmed(text: &str) -> &str {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(|&b| !is(b, LWS)).map_or(0, |last| last + 1);
    after_lws(&text[..end])
}

/// The element at the start of a list and the rest after its comma.
pub(crate) fn split_element(list: &str) -> (&str, &str) {
    let end = element_end(list);
    (trim(&list[..end]), list.get(end + 1..).unwrap_or(""))
}

/// Where the first quote or backslash at or after `from` is.
pub(crate) fn quote_or_escape(text: &[u8], from: usize) -> usize {
    octets::run_end(text, from, |block| !(octets::equal(block, b'"') | octets::equal(block, b'\\')))
}

/// The quote that closes a string whose inside starts at `from`.
pub(crate) fn closing_quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at = quote_or_escape(bytes, at);
        if *bytes.get(at)? == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Splits after `length` octets.
fn cut(input: &str, length: usize) -> (&str, &str) {
    let (taken, rest) = input.split_at(length);
    (rest, taken)
}

static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    mark(&mut table, b"-.!%*_+`'~", TOKEN);
    mark(&mut table, b" \t\r\n", LWS);
    mark(&mut table, b"-_.!~*'();/?:@&=+$,[]#|^{}`\\", URI);
    mark(&mut table, b"-._", HOST);
    mark(&mut table, b":.", IPV6);
    mark(&mut table, b"+-.()*#", PHONE);
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() {
            table[byte] |= TOKEN | URI | HOST;
        }
        if b.is_ascii_hexdigit() {
            table[byte] |= IPV6 | PHONE;
        }
        let plain = b > b' ' && b != 0x7f && b != b'"' && b != b',';
        if plain {
            table[byte] |= DIGEST;
        }
        if plain && b != b';' && b != b'<' && b != b'>' {
            table[byte] |= VALUE;
        }
        // Unescaped UTF-8 in a user part is outside the grammar but harmless.
        if b >= 0x80 {
            table[byte] |= URI;
        }
        byte += 1;
    }
    table
};

const fn mark(table: &mut [u8; 256], bytes: &[u8], class: u8) {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= class;
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_ends_at_the_first_unescaped_quote() {
        assert_eq!(quoted(r#""a \"b\" \\" rest"#), Ok((" rest", r#"a \"b\" \\"#)));
        assert!(quoted(r#""open \""#).is_err());
        assert!(quoted("\"open \\").is_err());
    }

    #[test]
    fn commas_inside_quotes_and_angle_brackets_do_not_split() {
        assert_eq!(split_element(r#""a, b" <sip:x,y@z> ;p="," , next"#), (r#""a, b" <sip:x,y@z> ;p=",""#, " next"));
        assert_eq!(split_element("one"), ("one", ""));
        assert_eq!(split_element(",two"), ("", "two"));
    }

    #[test]
    fn a_word_is_found_in_any_case() {
        for text in ["integrity-protected=yes", "a-b,\"INTEGRITY-Protected\" = no", "y-integrity-protected"] {
            assert!(mentions(text, "integrity-protected", 8), "{text}");
        }
        for text in ["", "y", "integrity", "integrity-protecte", "ntegrity-protected", "integrity_protected"] {
            assert!(!mentions(text, "integrity-protected", 8), "{text}");
        }
    }

    #[test]
    fn a_span_ends_at_the_first_octet_of_another_class() {
        for length in 0..12 {
            let text = [&b"abcdefghijkl"[..length], b";abcdefgh"].concat();
            assert_eq!((span(&text, TOKEN), span(&text[..length], TOKEN)), (length, length));
        }
        assert_eq!(span(b"a;;;bcd", TOKEN), 1);
    }

    #[test]
    fn comparisons_agree_with_the_table() {
        type End = fn(&[u8], usize) -> usize;
        let classes: [(u8, End); 5] =
            [(TOKEN, token_end), (VALUE, value_end), (DIGEST, digest_end), (URI, uri_end), (HOST, host_end)];
        for (class, end) in classes {
            for byte in 0..=u8::MAX {
                let text = [b"aa", &[byte][..], b"aaaaaaaaaaaaaaaaaaa;\"%"].concat();
                assert_eq!(end(&text, 1), 1 + span(&text[1..], class), "{class} {byte:#x}");
                assert_eq!(end(&text[..3], 3), 3);
            }
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!((leading_number(b"068;"), leading_number(b"")), (Some((68, 3)), Some((0, 0))));
        assert_eq!(leading_number(b"9999999999999999999x"), Some((9_999_999_999_999_999_999, 19)));
        assert_eq!((leading_number(b"00000000000000000001"), leading_number(b"-1")), (None, Some((0, 0))));
        assert_eq!(digits(b"0068"), Some(68));
        assert_eq!(digits(b"99999999999999999999999"), Some(u64::MAX));
        assert_eq!(digits(b"00000000000000000000000000000007"), Some(7));
        assert_eq!(digits(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        assert_eq!((digits(b"-1"), digits(b"+1"), digits(b""), digits(b"1 ")), (None, None, None, None));
        assert_eq!(seconds("4294967296"), Some(u32::MAX));
        assert_eq!(number("256", 255), None);
    }

    #[test]
    fn a_parameter_may_have_white_space_and_folds() {
        assert_eq!(next_parameter(" ;\r\n tag =\r\n \"x\" ;y"), Ok((" ;y", ("tag", Some("x")))));
        assert_eq!(next_parameter(";lr;a=b"), Ok((";a=b", ("lr", None))));
        assert_eq!(next_parameter(";;\r\n ;a"), Ok(("", ("a", None))));
        assert!(next_parameter(";;").is_err());
    }
}
