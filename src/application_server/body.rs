//! What a third-party REGISTER carries (TS 24.229 clause 5.4.1.7), in words.

use crate::sip::header::params::Params;
use crate::sip::{HeaderName, Message, StartLine};
use memchr::memmem;

/// One text for each part of the body.
pub(super) fn parts(message: &Message<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(content_type) = message.header(HeaderName::ContentType).filter(|_| !message.body().is_empty()) {
        collect(content_type, message.body(), &mut found);
    }
    found
}

fn collect(content_type: &str, body: &[u8], found: &mut Vec<String>) {
    let (kind, params) = content_type.split_at(content_type.find(';').unwrap_or(content_type.len()));
    let kind = kind.trim_ascii();
    if kind.eq_ignore_ascii_case("multipart/mixed") {
        let boundary = Params { text: params }.value("boundary").unwrap_or_default();
        for (content_type, part) in split(boundary.trim_matches('"'), body) {
            // A part of parts has no business here.
            let kind = content_type.split(';').next().unwrap_or_default().trim_ascii();
            found.push(one(kind, part));
        }
    } else {
        found.push(one(kind, body));
    }
}

fn one(kind: &str, body: &[u8]) -> String {
    if kind.eq_ignore_ascii_case("message/sip") {
        return match Message::parse(body).map(|message| message.start()) {
            Ok(StartLine::Request { method, .. }) => format!("{kind} {method}"),
            Ok(StartLine::Response { status, .. }) => format!("{kind} {status}"),
            Err(_) => format!("{kind} that is no message"),
        };
    }
    match service_info(body).filter(|_| kind.eq_ignore_ascii_case("application/3gpp-ims+xml")) {
        Some(info) => format!("{kind} {info}"),
        None => format!("{kind} of {} octets", body.len()),
    }
}

/// The text of service-info.
fn service_info(xml: &[u8]) -> Option<String> {
    let inside = std::str::from_utf8(xml).ok()?.split_once("<service-info>")?.1.split_once("</service-info>")?.0;
    quick_xml::escape::unescape(inside).ok().map(Into::into)
}

/// Content-Type and octets of each part (RFC 2046 clause 5.1.1).
fn split<'b>(boundary: &str, body: &'b [u8]) -> Vec<(&'b str, &'b [u8])> {
    let mut parts = Vec::new();
    if boundary.is_empty() {
        return parts;
    }
    let (first, next) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let Some(mut rest) = memmem::find(body, first.as_bytes()).map(|at| &body[at + first.len()..]) else { return parts };
    while !rest.starts_with(b"--") {
        let Some(end) = memmem::find(rest, next.as_bytes()) else { break };
        if let Some(head) = memmem::find(&rest[..end], b"\r\n\r\n") {
            let lines = std::str::from_utf8(&rest[..head]).unwrap_or_default().lines();
            let mut types = lines.filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim_ascii().eq_ignore_ascii_case("Content-Type").then_some(value.trim_ascii())
            });
            parts.push((types.next().unwrap_or("text/plain"), &rest[head + 4..end]));
        }
        rest = &rest[end + next.len()..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts_of(content_type: &str, body: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(content_type, body.as_bytes(), &mut found);
        found
    }

    #[test]
    fn each_part_is_named() {
        let xml = "<ims-3gpp version=\"1\"><service-info>a&lt;b</service-info></ims-3gpp>";
        assert_eq!(parts_of("application/3gpp-ims+xml", xml), ["application/3gpp-ims+xml a<b"]);
        let body = format!(
            "preamble\r\n--x\r\nContent-Type: application/3gpp-ims+xml\r\n\r\n{xml}\r\n--x\r\ncontent-type:message/sip\r\n\r\n\
             SIP/2.0 200 OK\r\n\r\n\r\n--x\r\nContent-Type: message/sip\r\n\r\nnothing\r\n--x--\r\n"
        );
        let expected = ["application/3gpp-ims+xml a<b", "message/sip 200", "message/sip that is no message"];
        assert_eq!(parts_of("multipart/mixed;boundary=\"x\"", &body), expected);
        assert_eq!(parts_of("text/plain", "abc"), ["text/plain of 3 octets"]);
    }

    #[test]
    fn what_does_not_end_is_no_part() {
        for body in ["", "--x", "--x\r\nContent-Type: a/b\r\n\r\nc", "--x\r\n--x--", "--y--"] {
            assert!(parts_of("multipart/mixed;boundary=x", body).is_empty(), "{body:?}");
        }
        assert!(parts_of("multipart/mixed", "--\r\n\r\n\r\n--").is_empty());
    }
}
