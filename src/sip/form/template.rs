//! A value with placeholders: the parts of a header value that the element knows, in somebody else's order and spelling.

use super::FormFault;
use crate::sip::header::grammar;
use crate::sip::{HeaderName, Message};

/// A value with placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    /// What separates parameters.
    separator: u8,
    /// Up to the first parameter: always written.
    head: Box<[Piece]>,
    params: Box<[Param]>,
    /// Between the elements of a list in one line; `None`: a line for each.
    joiner: Option<Box<str>>,
    of_elements: bool,
}

/// One parameter, left out where the element has no value for it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Param {
    /// With the white space around it.
    separator: Box<str>,
    pieces: Box<[Piece]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Box<str>),
    /// `{}`
    Whole,
    /// `{*}`, `{*-name}`: all parameters that have no place of their own, but for these.
    Others(Box<[Box<str>]>),
    /// `{name}`, `{Header:name}`, `{Header:}`, `{name?default}`, `{name|otherwise}`
    Value {
        header: Option<Box<str>>,
        name: Box<str>,
        unless: Option<Box<str>>,
        otherwise: Option<Box<str>>,
    },
}

/// `text` with its braces doubled: a constant part of a form.
pub fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

impl Template {
    pub(super) fn read(name: HeaderName, text: &str) -> Result<Self, FormFault> {
        let of_elements = LISTS.contains(&name);
        let bare = text.trim_end_matches(|c: char| of_elements && (c == ',' || c.is_ascii_whitespace()));
        let joiner = (bare.len() < text.len()).then(|| text[bare.len()..].into());
        let separator = separator_of(name);
        let (head, params) = split(name, bare);
        let param = |(before, text): (&str, &str)| Ok(Param { separator: before.into(), pieces: pieces(text)? });
        let params = params.into_iter().map(param).collect::<Result<_, _>>()?;
        Ok(Self { separator, head: pieces(head)?, params, joiner, of_elements })
    }

    /// True where what the element has in lines of this name is not asked for: it is written in any case.
    pub(super) fn is_free(&self) -> bool {
        let of_line =
            |piece: &Piece| matches!(piece, Piece::Whole | Piece::Others(_) | Piece::Value { header: None, .. });
        !self.params.iter().map(|param| &param.pieces).chain([&self.head]).flatten().any(of_line)
    }

    /// What it is where the element has no line of this name.
    pub(super) fn free_text(&self, message: &Message<'_>) -> String {
        self.text_of(message, "") + self.joiner.as_deref().unwrap_or_default()
    }

    /// Writes what the element has in lines of these values, each line by `write`.
    pub(super) fn write(&self, message: &Message<'_>, values: &[&str], mut write: impl FnMut(&str)) {
        let mut joined: Option<String> = None;
        for value in values {
            let mut rest = *value;
            while !rest.is_empty() {
                let end = if self.of_elements { grammar::element_end(rest) } else { rest.len() };
                let element = rest[..end].trim_ascii();
                rest = rest.get(end + 1..).unwrap_or_default();
                if element.is_empty() {
                    continue;
                }
                let text = self.text_of(message, element);
                match (&self.joiner, &mut joined) {
                    (None, _) => write(&text),
                    (Some(_), None) => joined = Some(text),
                    (Some(joiner), Some(joined)) => joined.extend([joiner, text.as_str()]),
                }
            }
        }
        if let Some(joined) = joined {
            write(&joined);
        }
    }

    fn text_of(&self, message: &Message<'_>, element: &str) -> String {
        let mut out = String::new();
        // Its parts may be missing; what is around them stays.
        let _ = self.push(message, element, &self.head, &mut out);
        let mut is_first = true;
        for Param { separator, pieces } in &self.params {
            let before = out.len();
            let follows_scheme = is_first && self.separator == b',';
            out.push_str(if follows_scheme { "" } else { separator });
            if self.push(message, element, pieces, &mut out).is_none() {
                out.truncate(before);
            } else {
                is_first = false;
            }
        }
        out
    }

    /// `None`: the element has no value for a placeholder.
    fn push(&self, message: &Message<'_>, element: &str, pieces: &[Piece], out: &mut String) -> Option<()> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Whole => out.push_str(element),
                Piece::Others(except) => {
                    let is_out = |name: &str| self.names(name) || except.iter().any(|e| e.eq_ignore_ascii_case(name));
                    let others = parameters(element, self.separator).filter(|(name, _)| !is_out(name));
                    let others: Vec<&str> = others.map(|(_, text)| text).collect();
                    let separator = self.params.last().map_or("", |param| &*param.separator);
                    let separator = if separator.is_empty() { ", " } else { separator };
                    (!others.is_empty()).then(|| out.push_str(&others.join(separator)))?;
                }
                Piece::Value { header, name, unless, otherwise } => {
                    let value = match header {
                        None => value_of(element, self.separator, name),
                        Some(header) => value_in(message, header, name),
                    };
                    let value = value.or(otherwise.as_deref()).filter(|value| unless.as_deref() != Some(*value))?;
                    out.push_str(value);
                }
            }
        }
        Some(())
    }

    /// True when a parameter of this name has a place.
    fn names(&self, name: &str) -> bool {
        let begins = |param: &Param| match param.pieces.first() {
            Some(Piece::Text(text)) => {
                let own = text.split('=').next().unwrap_or_default().trim();
                own.eq_ignore_ascii_case(name)
            }
            _ => false,
        };
        self.params.iter().any(begins)
    }
}

/// The text between placeholders, and these.
fn pieces(text: &str) -> Result<Box<[Piece]>, FormFault> {
    let mut pieces = Vec::new();
    let mut constant = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        constant.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            constant.push_str(brace);
            rest = after;
            continue;
        }
        let (inner, after) = rest.split_once('}').filter(|_| brace == "{").ok_or(FormFault::Placeholder)?;
        rest = after;
        if !constant.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut constant).into()));
        }
        pieces.push(placeholder(inner)?);
    }
    constant.push_str(rest);
    if !constant.is_empty() {
        pieces.push(Piece::Text(constant.into()));
    }
    Ok(pieces.into())
}

fn placeholder(inner: &str) -> Result<Piece, FormFault> {
    let (header, inner) = match inner.split_once(':') {
        Some((header, inner)) => (Some(header), inner),
        None => (None, inner),
    };
    let (name, unless) = match inner.split_once('?') {
        Some((name, unless)) => (name, Some(unless)),
        None => (inner, None),
    };
    let (name, otherwise) = match name.split_once('|') {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (name, None),
    };
    match (header, name, unless) {
        (None, "", None) => Ok(Piece::Whole),
        (None, _, None) if name.starts_with('*') => {
            let mut except = name[1..].split('-').map(str::trim);
            match except.next() {
                Some("") => Ok(Piece::Others(except.map(Into::into).collect())),
                _ => Err(FormFault::Placeholder),
            }
        }
        (Some(header), "", None) if is_token(header) => {
            Ok(Piece::Value { header: Some(header.into()), name: name.into(), unless: None, otherwise: None })
        }
        _ if is_token(name) && header.is_none_or(is_token) => {
            let [unless, otherwise] = [unless, otherwise].map(|text| text.map(Into::into));
            Ok(Piece::Value { header: header.map(Into::into), name: name.into(), unless, otherwise })
        }
        _ => Err(FormFault::Placeholder),
    }
}

/// A part of the first element of another header of the message.
fn value_in<'m>(message: &'m Message<'_>, header: &str, name: &str) -> Option<&'m str> {
    let value = message.header_named(header)?;
    let known = HeaderName::from_text(header);
    if name.is_empty() {
        return Some(value);
    }
    if is_digest(known) {
        return value_of(value, b',', name);
    }
    value_of(&value[..grammar::element_end(value)], b';', name)
}

/// A part of a value by name: of an address `uri`, of a Via `transport` and `sent-by`, else a parameter.
fn value_of<'v>(value: &'v str, separator: u8, name: &str) -> Option<&'v str> {
    let head = || &value[..parameter_end(value, separator)];
    match name {
        "uri" if separator == b';' => {
            let head = head();
            match head.split_once('<') {
                Some((_, uri)) => Some(uri.split('>').next().unwrap_or(uri)),
                None => Some(head.trim()),
            }
        }
        "sent-by" => head().split_ascii_whitespace().nth(1),
        "transport" if head().starts_with("SIP/2.0/") => head().split_ascii_whitespace().next()?.get(8..),
        _ => {
            let found = parameters(value, separator).find(|(own, _)| own.eq_ignore_ascii_case(name))?.1;
            let (_, value) = found.split_once('=')?;
            let value = value.trim();
            Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
        }
    }
}

/// What comes before the parameters of a value, and these, each with the text between it and the one before.
pub fn split(name: HeaderName, value: &str) -> (&str, Vec<(&str, &str)>) {
    let separator = separator_of(name);
    let head_end = match separator {
        b',' => value.find(' ').map_or(value.len(), |scheme| scheme + 1),
        _ => value[..parameter_end(value, separator)].trim_ascii_end().len(),
    };
    let (head, mut rest) = value.split_at(head_end);
    let mut params = Vec::new();
    while !rest.is_empty() {
        let shown = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == char::from(separator));
        let (before, end) = (&rest[..rest.len() - shown.len()], parameter_end(shown, separator));
        let text = shown[..end].trim_ascii_end();
        if text.is_empty() {
            break;
        }
        params.push((before, text));
        rest = &shown[text.len()..];
    }
    (head, params)
}

/// The parameters of a value: name and text.
fn parameters(value: &str, separator: u8) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = match separator {
        b',' => value.split_once(' ').map_or("", |(_, list)| list),
        _ => value.get(parameter_end(value, separator) + 1..).unwrap_or_default(),
    };
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let end = parameter_end(rest, separator);
            let text = rest[..end].trim();
            rest = rest.get(end + 1..).unwrap_or_default();
            if !text.is_empty() {
                return Some((text.split('=').next().unwrap_or(text).trim(), text));
            }
        }
    })
}

/// Where the text up to a separator outside quotes and angle brackets ends.
fn parameter_end(text: &str, separator: u8) -> usize {
    let (mut quoted, mut inside, mut escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => inside = true,
            b'>' if !quoted => inside = false,
            _ if byte == separator && !quoted && !inside => return at,
            _ => {}
        }
    }
    text.len()
}

const fn separator_of(name: HeaderName) -> u8 {
    if is_digest(name) { b',' } else { b';' }
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && grammar::span(text.as_bytes(), grammar::TOKEN) == text.len()
}

const fn is_digest(name: HeaderName) -> bool {
    matches!(
        name,
        HeaderName::Authorization
            | HeaderName::ProxyAuthorization
            | HeaderName::WwwAuthenticate
            | HeaderName::ProxyAuthenticate
    )
}

/// Headers whose elements are shaped one by one.
const LISTS: [HeaderName; 7] = [
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::SecurityVerify,
    HeaderName::PAssociatedUri,
    HeaderName::ServiceRoute,
    HeaderName::Path,
    HeaderName::Contact,
];
