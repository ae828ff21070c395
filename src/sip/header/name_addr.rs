//! name-addr and addr-spec with header parameters (RFC 3261 clause 20.10): From, To, Path, Route, P-Associated-URI.

use super::grammar;
use super::params::Params;
use super::{HeaderError, HeaderName};
use crate::sip::Uri;
use crate::sip::uri::clean_length;
use memchr::{memchr, memchr3};

/// One element. Without angle brackets every parameter belongs to the header.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The element as received.
    pub text: &'a str,
    /// Display name as written, quotes included.
    pub display: Option<&'a str>,
    /// The URI.
    pub uri: Uri<'a>,
    /// Header parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one whole element of `header` (which the error names).
    pub fn parse(header: HeaderName, text: &'a str) -> Result<Self, HeaderError> {
        match Self::take(header, text, |_, _| ())? {
            (element, "") => Ok(element),
            _ => Err(HeaderError::bad(header, "something follows the address")),
        }
    }

    /// `tag`
    pub fn tag(&self) -> Option<&'a str> {
        self.params.value("tag")
    }

    /// Reads the element at the start of `list` and shows its parameters to `see`. What is left starts with the comma
    /// or whatever else follows.
    pub(crate) fn take(
        header: HeaderName,
        list: &'a str,
        see: impl FnMut(&'a str, Option<&'a str>),
    ) -> Result<(Self, &'a str), HeaderError> {
        let fault = |fault| HeaderError::bad(header, fault);
        let list = list.trim_ascii_start();
        let (display, uri, after) = match bracket(list).map_err(fault)? {
            Some(open) => {
                let inside = &list[open + 1..];
                let (uri, close) = match Uri::usual(inside).filter(|&(_, close)| close < inside.len()) {
                    Some(usual) => usual,
                    None => any_uri(header, inside)?,
                };
                let display = if open == 0 { "" } else { grammar::trim(&list[..open]) };
                ((!display.is_empty()).then_some(display), uri, &inside[close + 1..])
            }
            None => {
                let end = list.bytes().position(|b| matches!(b, b';' | b',') || grammar::is(b, grammar::LWS));
                let (uri, after) = list.split_at(end.unwrap_or(list.len()));
                let uri = Uri::parse(uri).map_err(|error| error.within(header))?;
                if uri.headers.is_some() {
                    return Err(fault("a URI with ? needs angle brackets"));
                }
                (None, uri, after)
            }
        };
        let (params, rest) = Params::take(after, see).map_err(fault)?;
        let text = grammar::trim(&list[..list.len() - rest.len()]);
        Ok((Self { text, display, uri, params }, rest))
    }

    /// Reads every element of `list` into `elements`. A missing comma between two bracketed addresses is tolerated:
    /// cores write P-Associated-URI so.
    pub(crate) fn take_all(header: HeaderName, list: &'a str, elements: &mut Vec<Self>) -> Result<(), HeaderError> {
        let mut rest = list;
        loop {
            rest = skip_commas(rest);
            if rest.is_empty() {
                return Ok(());
            }
            let (element, after) = Self::take(header, rest, |_, _| ())?;
            if !after.is_empty() && !after.starts_with([',', '<']) {
                return Err(HeaderError::bad(header, "something follows the address"));
            }
            elements.push(element);
            rest = after;
        }
    }
}

/// The URI that a closing angle bracket ends, and its length.
fn any_uri(header: HeaderName, inside: &str) -> Result<(Uri<'_>, usize), HeaderError> {
    let close = clean_length(inside.as_bytes());
    if inside.as_bytes().get(close) != Some(&b'>') {
        return Err(HeaderError::bad(header, "an octet that no URI may hold, or no closing angle bracket"));
    }
    Ok((Uri::parse_clean(&inside[..close]).map_err(|error| error.within(header))?, close))
}

/// `list` without commas and white space at its start: empty elements are left out.
pub(crate) fn skip_commas(list: &str) -> &str {
    let skipped = list.bytes().take_while(|&b| b == b',' || grammar::is(b, grammar::LWS)).count();
    if skipped == 0 { list } else { &list[skipped..] }
}

/// Where the angle bracket of the element at the start of `list` is, past its display name.
#[inline]
fn bracket(list: &str) -> Result<Option<usize>, &'static str> {
    let bytes = list.as_bytes();
    match bytes.first() {
        Some(b'<') => Ok(Some(0)),
        Some(b'"') => {
            let (rest, _) = grammar::quoted(list).map_err(|_| "no closing quote of the display name")?;
            let (rest, ()) = grammar::lws(rest).unwrap_or((rest, ()));
            if rest.starts_with('<') {
                Ok(Some(list.len() - rest.len()))
            } else {
                Err("no address after the display name")
            }
        }
        _ => match memchr3(b'<', b',', b';', bytes) {
            Some(at) if bytes[at] == b'<' => match memchr(b'"', &bytes[..at]) {
                Some(_) => Err("quote inside the display name"),
                None => Ok(Some(at)),
            },
            _ => Ok(None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NameAddr<'_>, HeaderError> {
        NameAddr::parse(HeaderName::To, text)
    }

    #[test]
    fn brackets_decide_whose_parameters_they_are() {
        let inside = parse("\"J, \\\"R\\\"\" <sip:a@b;x=1>;tag=2").unwrap();
        assert_eq!(inside.display, Some("\"J, \\\"R\\\"\""));
        assert_eq!((inside.uri.params.value("x"), inside.tag()), (Some("1"), Some("2")));
        let outside = parse("sip:a@b;x=1 ; tag = 2").unwrap();
        assert_eq!(
            (outside.uri.params.value("x"), outside.params.value("x"), outside.tag()),
            (None, Some("1"), Some("2"))
        );
    }

    #[test]
    fn display_name_without_space_before_the_bracket() {
        let address = parse("caller<sip:caller@example.com>;tag=323").unwrap();
        assert_eq!((address.display, address.tag()), (Some("caller"), Some("323")));
    }

    #[test]
    fn a_list_without_comma_between_brackets() {
        let mut list = Vec::new();
        NameAddr::take_all(HeaderName::PAssociatedUri, "<sip:a@b> <tel:+1>,, \"x\" <sip:c@d>", &mut list).unwrap();
        assert_eq!(list.iter().map(|a| a.uri.text).collect::<Vec<_>>(), ["sip:a@b", "tel:+1", "sip:c@d"]);
        assert_eq!(list[0].text, "<sip:a@b>");
    }

    #[test]
    fn faults() {
        for text in [
            "",
            "<>",
            "\"open <sip:a@b>",
            "\"x\"",
            "<sip:a@b",
            "sip:a@b?x=y",
            "<sip:a@b>;;",
            "<sip:a@b> x",
            "<sip:a b@c>",
            "a \"b\" <sip:a@b>",
            "<sip:a@b>, <sip:c@d>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
