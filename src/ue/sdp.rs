//! Session descriptions as far as signalling needs them (RFC 4566, RFC 3264): media is agreed upon and never sent.

use std::fmt::Write;
use std::net::IpAddr;

/// The media type.
pub(super) const CONTENT_TYPE: &str = "application/sdp";

/// True for a Content-Type of a session description.
pub(super) fn is_sdp(content_type: Option<&str>) -> bool {
    let bare = content_type.and_then(|t| t.split(';').next()).unwrap_or_default();
    bare.trim().eq_ignore_ascii_case(CONTENT_TYPE)
}

/// An offer of one inactive audio stream.
pub(super) fn offer(here: IpAddr) -> String {
    let mut out = head(here);
    out.push_str("m=audio 9 RTP/AVP 0\r\na=inactive\r\n");
    out
}

/// The answer to `offer`: as many streams, each inactive, in the first format offered (RFC 3264 clause 6).
pub(super) fn answer(offer: &[u8], here: IpAddr) -> String {
    let mut out = head(here);
    for line in String::from_utf8_lossy(offer).lines() {
        let Some(media) = line.strip_prefix("m=") else { continue };
        let words: Vec<&str> = media.split_ascii_whitespace().collect();
        if let [kind, port, protocol, format, ..] = words[..] {
            // A stream offered with port 0 stays refused.
            let port = if port == "0" { 0 } else { DISCARD };
            write!(out, "m={kind} {port} {protocol} {format}\r\na=inactive\r\n").expect("writing to a String");
        }
    }
    out
}

fn head(here: IpAddr) -> String {
    let family = if here.is_ipv4() { "IP4" } else { "IP6" };
    format!("v=0\r\no=- 1 1 IN {family} {here}\r\ns=-\r\nc=IN {family} {here}\r\nt=0 0\r\n")
}

const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_streams_of_the_offer() {
        let offer = b"v=0\r\nm=audio 4000 RTP/AVP 0 8\r\na=sendrecv\r\nm=video 0 RTP/AVP 31\r\nm=x 1\r\n";
        let answer = answer(offer, "10.0.0.1".parse().unwrap());
        let media: Vec<&str> = answer.lines().filter(|l| l.starts_with("m=")).collect();
        assert_eq!(media, ["m=audio 9 RTP/AVP 0", "m=video 0 RTP/AVP 31"]);
        assert!(answer.contains("c=IN IP4 10.0.0.1\r\n"));
    }

    #[test]
    fn the_type_is_known_in_any_case_and_with_parameters() {
        assert!(is_sdp(Some("Application/SDP ; charset=utf-8")));
        assert!(!is_sdp(Some("text/plain")) && !is_sdp(None));
    }
}
