//! Texts of a registration in few octets.
//!
//! Identities, Contacts and Paths of a network repeat its domain and a handful of phrases. Each of them is one control
//! octet here: such octets do not occur in these texts but for folds, which are escaped.

/// Packs and unpacks. The zero octet never occurs in a packed text: it separates them.
#[derive(Debug)]
pub(super) struct Compact {
    /// The home domain behind `@`.
    at_home: Box<str>,
    /// The same behind a dot.
    dot_home: Box<str>,
}

impl Compact {
    /// For a network whose home domain is `home`.
    pub(super) fn new(home: &str) -> Self {
        Self { at_home: ["@", home].concat().into(), dot_home: [".", home].concat().into() }
    }

    /// Appends `text` in its short form.
    pub(super) fn pack(&self, text: &str, out: &mut Vec<u8>) {
        let mut rest = text.as_bytes();
        if let Some((n, scheme)) = (FIRST_SCHEME..).zip(SCHEMES).find(|(_, scheme)| rest.starts_with(scheme.as_bytes()))
        {
            out.push(n);
            rest = &rest[scheme.len()..];
        }
        let mut at = 0;
        while let Some(&octet) = rest.get(at) {
            let short = if IS_SPECIAL[usize::from(octet)] { self.short_form(&rest[at..]) } else { None };
            let Some((code, len)) = short else {
                at += 1;
                continue;
            };
            out.extend_from_slice(&rest[..at]);
            out.push(code);
            if code == ESCAPE {
                out.push(octet | ESCAPED);
            }
            rest = &rest[at + len..];
            at = 0;
        }
        out.extend_from_slice(rest);
    }

    /// The code of what `text` begins with, and how many octets that is. The first one is special.
    fn short_form(&self, text: &[u8]) -> Option<(u8, usize)> {
        match text[0] {
            b'@' | b'.' => {
                let (code, home) = if text[0] == b'@' { (AT_HOME, &self.at_home) } else { (DOT_HOME, &self.dot_home) };
                let home = home.as_bytes();
                // Dots are many, and what follows most of them begins otherwise.
                let is_home = home.len() > 1 && text.get(1) == home.get(1) && text.starts_with(home);
                is_home.then_some((code, home.len()))
            }
            b';' | b'>' => {
                // Most phrases differ in their last octet.
                let is_it = |p: &&str| text.get(p.len() - 1) == p.as_bytes().last() && text.starts_with(p.as_bytes());
                let (n, phrase) = (FIRST_PHRASE..).zip(PHRASES).find(|(_, phrase)| is_it(phrase))?;
                Some((n, phrase.len()))
            }
            _ => Some((ESCAPE, 1)),
        }
    }

    /// Appends what `packed` was made from.
    pub(super) fn unpack(&self, packed: &[u8], out: &mut Vec<u8>) {
        let mut rest = packed;
        while let Some(at) = code_in(rest) {
            out.extend_from_slice(&rest[..at]);
            let code = rest[at];
            rest = &rest[at + 1..];
            if code == ESCAPE {
                out.extend(rest.first().map(|b| b & !ESCAPED));
                rest = rest.get(1..).unwrap_or_default();
            } else {
                out.extend_from_slice(self.long_form(code).as_bytes());
            }
        }
        out.extend_from_slice(rest);
    }

    /// True when `packed` was made from `text`.
    pub(super) fn is(&self, packed: &[u8], text: &str) -> bool {
        let (mut rest, mut text) = (packed, text.as_bytes());
        while let Some(at) = code_in(rest) {
            let (plain, code, behind) = (&rest[..at], rest[at], &rest[at + 1..]);
            let escaped = behind.first().filter(|_| code == ESCAPE).map(|b| b & !ESCAPED);
            rest = &behind[usize::from(escaped.is_some())..];
            let left = text.strip_prefix(plain).and_then(|text| text.strip_prefix(escaped.as_slice()));
            let left = left.and_then(|text| text.strip_prefix(self.long_form(code).as_bytes()));
            let Some(left) = left else { return false };
            text = left;
        }
        text == rest
    }

    /// What a code stands for; nothing for [`ESCAPE`].
    fn long_form(&self, code: u8) -> &str {
        let nth = |texts: &[&'static str], first: u8| texts.get(usize::from(code.wrapping_sub(first))).copied();
        match code {
            AT_HOME => &self.at_home,
            DOT_HOME => &self.dot_home,
            _ => nth(&SCHEMES, FIRST_SCHEME).or_else(|| nth(&PHRASES, FIRST_PHRASE)).unwrap_or_default(),
        }
    }

    /// What `packed` was made from, as text of its own.
    pub(super) fn text(&self, packed: &[u8]) -> String {
        let mut out = Vec::with_capacity(packed.len() + self.at_home.len());
        self.unpack(packed, &mut out);
        String::from_utf8(out).expect("packed from text, and only ASCII is replaced")
    }
}

/// Where the first control octet is, looked for eight octets at a time: those below a space borrow from their highest
/// bit, and so does an octet behind one of them, never one before.
fn code_in(text: &[u8]) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<8>();
    for (n, block) in blocks.iter().enumerate() {
        let octets = u64::from_le_bytes(*block);
        let found = octets.wrapping_sub(SPACES) & !octets & HIGHEST_BITS;
        if found != 0 {
            return Some(8 * n + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|b| *b < b' ').map(|at| 8 * blocks.len() + at)
}

const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// What may begin a shorter form inside a text.
const IS_SPECIAL: [bool; 256] = {
    let mut is_special = [false; 256];
    let mut octet = 0;
    while octet < 256 {
        is_special[octet] = octet < 0x20 || matches!(octet as u8, b'@' | b'.' | b';' | b'>');
        octet += 1;
    }
    is_special
};

const AT_HOME: u8 = 1;
const DOT_HOME: u8 = 2;
const FIRST_SCHEME: u8 = 3;
const FIRST_PHRASE: u8 = FIRST_SCHEME + SCHEMES.len() as u8;
const ESCAPE: u8 = 0x1f;
/// Lifts an escaped octet out of the control octets.
const ESCAPED: u8 = 0x40;

/// How identities, Contacts and Paths begin.
const SCHEMES: [&str; 3] = ["sip:", "<sip:", "tel:+"];

/// What IMS devices write into their Contacts, and P-CSCFs into their Paths and Record-Routes. Of two that begin alike
/// the longer comes first.
const PHRASES: [&str; 11] = [
    ";+sip.instance=\"<urn:gsma:imei:",
    ">\"",
    ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
    ";+g.3gpp.smsip",
    ";+g.3gpp.accesstype=\"",
    ";+g.3gpp.mid-call",
    ";audio",
    ";video",
    ";lr>, <sip:",
    ";lr>",
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
            ("001010000000001@ims.mnc001.mcc001.3gppnetwork.org", 16),
            ("sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org", 17),
            ("<sip:abcdefghijklm@pcscf.ims.mnc001.mcc001.3gppnetwork.org;lr>", 22),
            ("<sip:a@pcscf.ims.mnc001.mcc001.3gppnetwork.org:5060;lr>, <sip:127.0.0.1:6100;lr>", 30),
            ("tel:+99912345", 9),
            (
                ";+sip.instance=\"<urn:gsma:imei:86774304-000024-0>\";audio;+g.3gpp.smsip;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
                22,
            ),
            ("a\r\n b\0\x01\x1f;+g.3gpp.smsipé;", 40),
            ("sip:@ims.mnc001.mcc001.3gppnetwork.orgi;i>", 6),
        ] {
            let mut packed = Vec::new();
            c.pack(text, &mut packed);
            assert!(!packed.contains(&0) && packed.len() <= most, "{} octets for {text:?}", packed.len());
            assert_eq!(c.text(&packed), text);
            assert!(c.is(&packed, text) && !c.is(&packed, "x") && !c.is(&packed, &format!("{text}x")));
        }
    }

    #[test]
    fn the_first_control_octet_is_found_wherever_it_stands() {
        for (len, octet) in [(7, 0x1f), (8, 0), (9, b' '), (16, 0x7f), (17, 0xff), (23, 1)] {
            for at in 0..len {
                let mut text = vec![0x80; len];
                text[at] = octet;
                text[len - 1] = 0x1f;
                let first = if octet < b' ' { at } else { len - 1 };
                assert_eq!(code_in(&text), Some(first), "{octet} at {at} of {len}");
                assert_eq!(code_in(&text[..first]), None);
            }
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
