//! A recorded message with single lines of it rewritten; every other octet stays.

use super::comparison::Sender;
use super::renewals::Renewals;
use crate::sip::{HeaderName, Line, Message, StartLine};

/// What becomes of a line.
#[derive(Debug)]
pub(super) enum Rewrite {
    /// Its value is renewed.
    Renew,
    /// It goes.
    Drop,
    /// It has this value.
    Value(String),
    /// These lines, with their ends, stand in its place.
    Lines(Vec<u8>),
}

/// The message with everything renewed, as it would be now.
pub(super) fn renewed(recorded: &[u8], renewals: &Renewals) -> Vec<u8> {
    rewrite(recorded, renewals, None, |_| Rewrite::Renew)
}

/// The message with every line as `choose` says. `uri`: another Request-URI. Content-Length follows the body.
pub(super) fn rewrite(
    recorded: &[u8],
    renewals: &Renewals,
    uri: Option<&str>,
    mut choose: impl FnMut(&Line<'_>) -> Rewrite,
) -> Vec<u8> {
    let parsed = Message::parse(recorded).ok().or_else(|| Message::beginning(recorded));
    let Some(message) = parsed else { return recorded.to_vec() };
    let body = match std::str::from_utf8(message.body()) {
        Ok(text) => renewals.renewed(text).into_bytes(),
        Err(_) => message.body().to_vec(),
    };
    let mut out = Vec::with_capacity(recorded.len() + 64);
    let start = recorded.iter().position(|octet| *octet == b'\n').map_or(recorded.len(), |end| end + 1);
    start_line(&recorded[..start], &message, renewals, uri, &mut out);
    for line in message.lines() {
        let chosen = match line.name {
            HeaderName::ContentLength if body.len() != message.body().len() => Rewrite::Value(body.len().to_string()),
            _ => choose(&line),
        };
        match chosen {
            Rewrite::Drop => {}
            Rewrite::Lines(lines) => out.extend_from_slice(&lines),
            Rewrite::Value(value) => with_value(&line, &value, &mut out),
            Rewrite::Renew => with_value(&line, &renewed_value(&line, renewals), &mut out),
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

/// The value of a line as it would be now.
pub(super) fn renewed_value(line: &Line<'_>, renewals: &Renewals) -> String {
    match line.name {
        HeaderName::CallId => renewals.call_id_of(line.value).unwrap_or(line.value).to_owned(),
        HeaderName::SecurityClient => renewals.mechanisms(Sender::Ue, line.value),
        HeaderName::SecurityServer | HeaderName::SecurityVerify => renewals.mechanisms(Sender::Network, line.value),
        _ => renewals.renewed(line.value),
    }
}

/// `text` with some of its slices replaced.
pub(super) fn replaced(text: &str, mut edits: Vec<(&str, String)>) -> String {
    edits.sort_by_key(|(part, _)| part.as_ptr());
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (part, now) in edits {
        let at = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        if at >= done && at + part.len() <= text.len() {
            out.push_str(&text[done..at]);
            out.push_str(&now);
            done = at + part.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

fn start_line(raw: &[u8], message: &Message<'_>, renewals: &Renewals, uri: Option<&str>, out: &mut Vec<u8>) {
    let (StartLine::Request { uri: recorded, .. }, Ok(line)) = (message.start(), std::str::from_utf8(raw)) else {
        out.extend_from_slice(raw);
        return;
    };
    let now = uri.map_or_else(|| renewals.renewed(recorded), str::to_owned);
    match line.split_once(recorded) {
        Some((front, back)) => out.extend_from_slice([front, &now, back].concat().as_bytes()),
        None => out.extend_from_slice(raw),
    }
}

/// The line with another value: name, colon, white space and line end stay.
fn with_value(line: &Line<'_>, value: &str, out: &mut Vec<u8>) {
    let at = (line.value.as_ptr() as usize).wrapping_sub(line.raw.as_ptr() as usize);
    match (line.raw.get(..at), line.raw.get(at + line.value.len()..)) {
        (Some(front), Some(back)) if !line.value.is_empty() => {
            out.extend_from_slice(front);
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(back);
        }
        _ => out.extend_from_slice([line.name_text, ": ", value, "\r\n"].concat().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "REGISTER sip:ims.example SIP/2.0\r\nv : SIP/2.0/UDP 10.0.0.7:5060;\r\n\tbranch=z9hG4bKa\r\n\
        x-Odd:   10.0.0.7  \r\nRoute: <sip:a;lr>\r\nRoute: <sip:b;lr>\r\nl: 9\r\n\r\n10.0.0.7\n";

    #[test]
    fn nothing_to_renew_changes_no_octet() {
        assert_eq!(renewed(RECORDED.as_bytes(), &Renewals::default()), RECORDED.as_bytes());
    }

    #[test]
    fn lines_keep_their_dress_and_the_length_follows_the_body() {
        let mut renewals = Renewals::default();
        renewals.host("10.0.0.7".parse().unwrap(), "192.0.2.100".parse().unwrap());
        renewals.end("10.0.0.7:5060".parse().unwrap(), "192.0.2.100:5070".parse().unwrap());
        let choose = |line: &Line<'_>| match line.value {
            "<sip:a;lr>" => Rewrite::Lines(b"Route: <sip:c>\r\n".to_vec()),
            "<sip:b;lr>" => Rewrite::Drop,
            _ => Rewrite::Renew,
        };
        let now = rewrite(RECORDED.as_bytes(), &renewals, Some("sip:x"), choose);
        let expected = "REGISTER sip:x SIP/2.0\r\nv : SIP/2.0/UDP 192.0.2.100:5070;\r\n\tbranch=z9hG4bKa\r\n\
            x-Odd:   192.0.2.100  \r\nRoute: <sip:c>\r\nl: 12\r\n\r\n192.0.2.100\n";
        assert_eq!(String::from_utf8_lossy(&now), expected);
    }

    #[test]
    fn slices_are_replaced_in_any_order() {
        let text = "a=1;b=2;c=3";
        let edits = vec![(&text[6..7], "two".to_owned()), (&text[2..3], "one".to_owned())];
        assert_eq!(replaced(text, edits), "a=one;b=two;c=3");
    }
}
