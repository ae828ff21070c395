//! Texts of a registration in few octets.
//!
//! Identities, Contacts and Paths of a network repeat its domain and a handful of phrases. Each of them is one control
//! octet here: such octets do not occur in these texts but for folds, which are escaped.

use memchr::memchr3;

/// Packs and unpacks. The zero octet never occurs in a packed text: it separates them.
#[derive(Debug)]
pub(super) struct Compact {
    home: Box<str>,
}

impl Compact {
    /// For a network whose home domain is `home`.
    pub(super) fn new(home: &str) -> Self {
        Self { home: home.into() }
    }

    /// Appends `text` in its short form.
    pub(super) fn pack(&self, text: &str, out: &mut Vec<u8>) {
        let mut rest = self.pack_home(text.as_bytes(), out);
        // A domain begins behind one of these.
        while let Some(at) = memchr3(b'@', b'.', b';', rest) {
            let phrase =
                if rest[at] == b';' { PHRASES.iter().position(|p| rest[at..].starts_with(p.as_bytes())) } else { None };
            if let Some(n) = phrase {
                escape(&rest[..at], out);
                out.push(FIRST_PHRASE + n as u8);
                rest = &rest[at + PHRASES[n].len()..];
            } else {
                escape(&rest[..=at], out);
                rest = self.pack_home(&rest[at + 1..], out);
            }
        }
        escape(rest, out);
    }

    /// Appends the home domain if `text` begins with it, and returns what follows.
    fn pack_home<'t>(&self, text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
        match text.strip_prefix(self.home.as_bytes()) {
            Some(rest) if !self.home.is_empty() => {
                out.push(HOME);
                rest
            }
            _ => text,
        }
    }

    /// Appends what `packed` was made from.
    pub(super) fn unpack(&self, packed: &[u8], out: &mut Vec<u8>) {
        let mut rest = packed;
        while let Some(at) = code_in(rest) {
            out.extend_from_slice(&rest[..at]);
            let code = rest[at];
            rest = &rest[at + 1..];
            match code {
                HOME => out.extend_from_slice(self.home.as_bytes()),
                ESCAPE => {
                    out.extend(rest.first().map(|b| b & !ESCAPED));
                    rest = rest.get(1..).unwrap_or_default();
                }
                n => out.extend_from_slice(phrase(n)),
            }
        }
        out.extend_from_slice(rest);
    }

    /// True when `packed` was made from `text`.
    pub(super) fn is(&self, packed: &[u8], text: &str) -> bool {
        let mut text = text.as_bytes();
        let mut rest = packed;
        while let Some((&code, behind)) = rest.split_first() {
            rest = behind;
            let part = match code {
                HOME => self.home.as_bytes(),
                ESCAPE => {
                    let Some((&b, behind)) = rest.split_first() else { return false };
                    rest = behind;
                    &[b & !ESCAPED]
                }
                n if n < b' ' => phrase(n),
                _ => &[code],
            };
            let Some(left) = text.strip_prefix(part) else { return false };
            text = left;
        }
        text.is_empty()
    }

    /// What `packed` was made from, as text of its own.
    pub(super) fn text(&self, packed: &[u8]) -> String {
        let mut out = Vec::with_capacity(packed.len() + self.home.len());
        self.unpack(packed, &mut out);
        String::from_utf8(out).expect("packed from text, and only ASCII is replaced")
    }
}

fn escape(plain: &[u8], out: &mut Vec<u8>) {
    if code_in(plain).is_none() {
        out.extend_from_slice(plain);
        return;
    }
    for &b in plain {
        if b < b' ' {
            out.extend([ESCAPE, b | ESCAPED]);
        } else {
            out.push(b);
        }
    }
}

/// Where the first control octet is, looked for in blocks.
fn code_in(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<16>();
    let plain = |block: &&[u8; 16]| !block.iter().fold(false, |any, b| any | (*b < b' '));
    let from = 16 * blocks.iter().take_while(plain).count();
    text[from..].iter().position(|b| *b < b' ').map(|at| from + at)
}

fn phrase(code: u8) -> &'static [u8] {
    PHRASES.get(usize::from(code).wrapping_sub(FIRST_PHRASE.into())).map_or(b"", |p| p.as_bytes())
}

const HOME: u8 = 1;
const FIRST_PHRASE: u8 = 2;
const ESCAPE: u8 = 0x1f;
/// Lifts an escaped octet out of the control octets.
const ESCAPED: u8 = 0x40;

/// What IMS devices write into their Contacts and P-CSCFs into their Paths.
const PHRASES: [&str; 8] = [
    ";+sip.instance=\"<urn:gsma:imei:",
    ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
    ";+g.3gpp.smsip",
    ";+g.3gpp.accesstype=\"",
    ";+g.3gpp.mid-call",
    ";audio",
    ";video",
    ";lr",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_usual_ones_are_short() {
        let c = Compact::new("ims.mnc001.mcc001.3gppnetwork.org");
        for (text, most) in [
            ("", 0),
            ("sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org", 21),
            (
                ";+sip.instance=\"<urn:gsma:imei:86774304-000024-0>\";audio;+g.3gpp.smsip;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
                24,
            ),
            ("a\r\n b\0\x01\x1f;+g.3gpp.smsipé;", 40),
            ("ims.mnc001.mcc001.3gppnetwork.orgi;i", 4),
        ] {
            let mut packed = Vec::new();
            c.pack(text, &mut packed);
            assert!(!packed.contains(&0) && packed.len() <= most, "{} octets for {text:?}", packed.len());
            assert_eq!(c.text(&packed), text);
            assert!(c.is(&packed, text) && !c.is(&packed, "x") && !c.is(&packed, &format!("{text}x")));
        }
    }

    #[test]
    fn no_home_domain_is_no_fault() {
        let c = Compact::new("");
        let mut packed = Vec::new();
        c.pack("sip:a@b;lr", &mut packed);
        assert_eq!(c.text(&packed), "sip:a@b;lr");
    }
}
