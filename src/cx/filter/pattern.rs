//! POSIX extended regular expressions (IEEE 1003.1 clause 9.4), as TS 29.228 annex B wants them.

use regex::{Regex, RegexBuilder};
use std::fmt::{self, Write};

/// A pattern, compiled.
#[derive(Clone)]
pub(super) struct Pattern(Regex);

/// A pattern that cannot be read: its condition never holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatternFault {
    /// Priority of the filter criteria.
    pub priority: u32,
    /// The element that holds the pattern.
    pub element: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Pattern {
    /// Found anywhere in a value.
    pub(super) fn within(pattern: &str) -> Result<Self, String> {
        Self::compile(&translated(pattern)?, false)
    }

    /// The whole of a name, in any case.
    pub(super) fn name(pattern: &str) -> Result<Self, String> {
        Self::compile(&format!("^(?:{})$", translated(pattern.trim_ascii())?), true)
    }

    pub(super) fn is_in(&self, value: &str) -> bool {
        self.0.is_match(value)
    }

    fn compile(pattern: &str, any_case: bool) -> Result<Self, String> {
        let compiled = RegexBuilder::new(pattern).case_insensitive(any_case).size_limit(LARGEST).build();
        compiled.map(Self).map_err(|error| match error {
            // The rest of it draws the pattern.
            regex::Error::Syntax(text) => {
                let last = text.lines().last().unwrap_or_default();
                last.strip_prefix("error: ").unwrap_or(last).to_owned()
            }
            other => other.to_string(),
        })
    }
}

/// A pattern may hold an identity.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({} octets)", self.0.as_str().len())
    }
}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter criteria {}: {} is no regular expression: {}", self.priority, self.element, self.why)
    }
}

/// The same in the syntax of the crate. Both agree but within brackets, where POSIX knows neither escapes nor sets.
fn translated(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find(['[', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('\\') {
            let escaped = rest.chars().take(2).map(char::len_utf8).sum();
            out.push_str(&rest[..escaped]);
            rest = &rest[escaped..];
        } else {
            rest = bracket(rest, &mut out)?;
        }
    }
    Ok(out + rest)
}

/// Translates the bracket expression at the front; one that does not end is left to the crate to refuse.
fn bracket<'p>(pattern: &'p str, out: &mut String) -> Result<&'p str, String> {
    let (mut inside, negated) = match pattern[1..].strip_prefix('^') {
        Some(inside) => (inside, "^"),
        None => (&pattern[1..], ""),
    };
    out.push('[');
    out.push_str(negated);
    let start = inside.len();
    while let Some(c) = inside.chars().next() {
        if c == ']' && inside.len() < start {
            out.push(']');
            return Ok(&inside[1..]);
        }
        if let Some((name, behind)) = inside.strip_prefix("[:").and_then(|class| class.split_once(":]")) {
            if !CLASSES.contains(&name) {
                return Err("unknown character class".to_owned());
            }
            write!(out, "[:{name}:]").expect("a String takes every text");
            inside = behind;
            continue;
        }
        if inside.starts_with("[.") || inside.starts_with("[=") {
            return Err("collating elements are not supported".to_owned());
        }
        let is_range = c == '-' && inside.len() < start && !inside.starts_with("-]");
        if !is_range && matches!(c, '[' | ']' | '\\' | '&' | '~' | '-' | '^') {
            out.push('\\');
        }
        out.push(c);
        inside = &inside[c.len_utf8()..];
    }
    Ok(inside)
}

/// IEEE 1003.1 clause 9.3.5.
const CLASSES: [&str; 12] =
    ["alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit"];

/// Octets of a compiled pattern: thousands of characters, but no repetition of repetitions.
const LARGEST: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(pattern: &str, value: &str) -> bool {
        Pattern::within(pattern).expect(pattern).is_in(value)
    }

    #[test]
    fn brackets_are_those_of_posix() {
        for (pattern, yes, no) in [
            (r"^[\]$", r"\", "]"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^[a&&b]+$", "a&b", "c"),
            (r"^[[]$", "[", "]"),
            (r"^[[:digit:]_-]+$", "1_-", "a"),
            (r"^[a-c^]+$", "ab^c", "d"),
            (r"^[-a]$", "-", "b"),
            (r"^\[$", "[", r"\["),
            (r"^sip:\+1[0-9]{3}@(a|b)\.net$", "sip:+1234@a.net", "sip:+1234@aqnet"),
        ] {
            assert!(is_in(pattern, yes) && !is_in(pattern, no), "{pattern}");
        }
        assert!(is_in("b", "abc"), "found anywhere");
        assert!(!is_in("B", "abc"), "case counts");
    }

    #[test]
    fn names_are_compared_whole_and_in_any_case() {
        let name = Pattern::name("Event").unwrap();
        assert!(name.is_in("event") && !name.is_in("P-Event"));
        assert!(Pattern::name("P-.*|From").unwrap().is_in("from"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_and_not_quoted() {
        for pattern in ["+1234", "(", "[a", "a{3000}{3000}", "[[:nothing:]]", "[[.hyphen.]]", "\\"] {
            let why = Pattern::within(pattern).map(|_| ()).expect_err(pattern);
            assert!(!why.is_empty() && !why.contains("1234"), "{why}");
        }
    }
}
