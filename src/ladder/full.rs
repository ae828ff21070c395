//! Whole messages, as people read them: SIP as it stands, Diameter AVP by AVP. CK, IK, XRES and HA1 are masked.

use crate::diameter::dictionary::{self, Kind};
use crate::diameter::{Avp, Avps, Header};
use crate::packet::Protocol;
use crate::sip::HeaderName;
use std::fmt::Write;

/// The lines of a message.
pub fn lines(protocol: Protocol, bytes: &[u8], show_keys: bool) -> Vec<String> {
    match protocol {
        Protocol::Sip => sip(bytes, show_keys),
        Protocol::Diameter => diameter(bytes, show_keys),
    }
}

fn sip(bytes: &[u8], show_keys: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut lines, mut in_challenge, mut in_headers) = (Vec::new(), false, true);
    for line in text.trim_end_matches(['\r', '\n']).split('\n') {
        let line = line.trim_end_matches('\r');
        in_headers &= !line.is_empty();
        if !line.starts_with([' ', '\t']) {
            let name = line.split_once(':').map_or("", |(name, _)| name.trim_end());
            in_challenge = in_headers && SHOW_KEYS_IN.contains(&HeaderName::from_text(name));
        }
        let line = if in_challenge && !show_keys { masked(line) } else { line.to_owned() };
        lines.push(line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}"));
    }
    lines
}

/// `ck` and `ik` of a challenge without their values.
fn masked(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((at, name)) = next_key(rest) {
        let (before, after) = rest.split_at(at + name);
        out.push_str(before);
        let blank = after.len() - after.trim_start().len();
        let value = &after[blank..];
        let length = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(value.len(), |end| end + 2),
            None => value.find([',', ' ', '\t']).unwrap_or(value.len()),
        };
        out.push_str("\"****\"");
        rest = &value[length..];
    }
    out.push_str(rest);
    out
}

/// Where `ck=` or `ik=` begins, in any case, and how long it is with its white space.
fn next_key(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| {
        let begins = at == 0 || matches!(bytes[at - 1], b',' | b' ' | b'\t');
        let name = bytes.get(at..at + 2).filter(|name| begins && name[1].eq_ignore_ascii_case(&b'k'))?;
        let is_key = matches!(name[0], b'c' | b'C' | b'i' | b'I');
        let blank = bytes[at + 2..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        (is_key && bytes.get(at + 2 + blank) == Some(&b'=')).then_some((at, blank + 3))
    })
}

fn diameter(bytes: &[u8], show_keys: bool) -> Vec<String> {
    let Some(header) = Header::read(bytes) else { return vec![format!("{} octets", bytes.len())] };
    let name = match dictionary::command_names(header.command) {
        Some((request, answer)) => (if header.request { request } else { answer }).to_owned(),
        None => format!("command {}", header.command),
    };
    let mut lines = vec![format!(
        "{name}, application {}, hop-by-hop {:08x}, end-to-end {:08x}",
        header.application, header.hop_by_hop, header.end_to_end
    )];
    let is_answer = !header.request;
    avps(Avps::of(bytes), 1, show_keys, is_answer, &mut lines);
    lines
}

fn avps(list: Avps<'_>, depth: usize, show_keys: bool, is_answer: bool, lines: &mut Vec<String>) {
    for avp in list {
        let indent = "  ".repeat(depth);
        let Ok(avp) = avp else {
            lines.push(format!("{indent}(the rest is no AVP)"));
            return;
        };
        let definition = dictionary::lookup(avp.code, avp.vendor);
        let name =
            definition.map_or_else(|| format!("AVP {} of vendor {}", avp.code, avp.vendor), |d| d.name.to_owned());
        match definition.map(|definition| definition.kind) {
            Some(Kind::Grouped) => {
                lines.push(format!("{indent}{name}"));
                avps(avp.group(), depth + 1, show_keys, is_answer, lines);
            }
            // In a request SIP-Authorization is what a UE said, in an answer XRES.
            _ if !show_keys && is_secret(&avp, is_answer) => lines.push(format!("{indent}{name}: ****")),
            kind => lines.push(format!("{indent}{name}: {}", value(&avp, kind))),
        }
    }
}

fn is_secret(avp: &Avp<'_>, is_answer: bool) -> bool {
    match (avp.vendor, avp.code) {
        (dictionary::TGPP, dictionary::CONFIDENTIALITY_KEY | dictionary::INTEGRITY_KEY)
        | (0, dictionary::DIGEST_HA1) => true,
        (dictionary::TGPP, dictionary::SIP_AUTHORIZATION) => is_answer,
        _ => false,
    }
}

fn value(avp: &Avp<'_>, kind: Option<Kind>) -> String {
    match kind {
        Some(Kind::Unsigned32 | Kind::Enumerated | Kind::Time) => {
            avp.u32().map_or_else(|_| hex(avp.data), |n| n.to_string())
        }
        Some(Kind::Address) => avp.address().map_or_else(|_| hex(avp.data), |ip| ip.to_string()),
        _ => match std::str::from_utf8(avp.data) {
            Ok(text) if !text.is_empty() && !text.contains(|c: char| c.is_control() && !c.is_whitespace()) => {
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            _ => hex(avp.data),
        },
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut out, octet| {
        write!(out, "{octet:02x}").expect("a String takes it");
        out
    })
}

const SHOW_KEYS_IN: [HeaderName; 2] = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_masked_wherever_they_stand() {
        let text = b"SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest ck=\"00aa\", nonce=\"ck=1\",\r\n IK = 11bb,qop=auth\r\n\
                     Server: ck=\"kept\"\r\n\r\nck=body";
        let shown = lines(Protocol::Sip, text, false).join("\n");
        assert!(!shown.contains("00aa") && !shown.contains("11bb"), "{shown}");
        assert!(shown.contains("ck=\"****\"") && shown.contains("IK =\"****\",qop=auth"), "{shown}");
        assert!(shown.contains("Server: ck=\"kept\"") && shown.ends_with("ck=body"), "{shown}");
        assert!(lines(Protocol::Sip, text, true).join("\n").contains("00aa"));
    }
}
