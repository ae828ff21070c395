//! Identities in any text: numbers, user parts of URIs, addresses, instances. What is no identity goes through as it is.

use super::address::Addresses;
use super::cipher::{Cipher, Class};
use foldhash::fast::FixedState;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The rewriter of texts, and whom it has met.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) cipher: Cipher,
    pub(super) addresses: Addresses,
    /// Hashes of the numbers that were replaced: they are replaced where nothing tells that they are numbers, too.
    known: HashSet<u64>,
    pub(super) count: u64,
}

/// What is expected of a text. That alone decides, and not what came before: else what is equal would not stay equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// User parts are users.
    Identities,
    /// User parts are of nodes: only those with a long number in them go.
    Technical,
}

impl Scan {
    pub(super) fn new(cipher: Cipher) -> Self {
        Self { cipher, addresses: Addresses::default(), known: HashSet::new(), count: 0 }
    }

    /// Appends the text with replacements.
    pub(super) fn text(&mut self, text: &str, kind: Kind, out: &mut String) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            let rest = &text[at..];
            let found = self
                .instance(rest, before)
                .or_else(|| self.address(rest, before))
                .or_else(|| self.telephone(rest, before))
                .or_else(|| self.user(rest, before, kind))
                .or_else(|| self.number(rest, before));
            match found {
                Some((len, replaced)) => {
                    self.count += 1;
                    out.push_str(&replaced);
                    at += len;
                }
                None => {
                    let len = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(&rest[..len]);
                    at += len;
                }
            }
        }
    }

    /// The name of a user, with or without a number in it.
    pub(super) fn name(&mut self, name: &str) -> String {
        if NOBODY.iter().any(|nobody| nobody.eq_ignore_ascii_case(name)) {
            return name.to_owned();
        }
        let mut out = String::with_capacity(name.len());
        let mut letters = Vec::new();
        let mut rest = name;
        let mut numbers = Vec::new();
        // Long numbers are replaced as everywhere; all else together.
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits >= LONG {
                numbers.push((letters.len(), self.digits(&rest[..digits])));
                rest = &rest[digits..];
                continue;
            }
            let len = digits.max(rest.chars().next().map_or(0, char::len_utf8));
            letters.extend_from_slice(&rest.as_bytes()[..len]);
            rest = &rest[len..];
        }
        self.cipher.name(&mut letters);
        let letters = String::from_utf8(letters).expect("letters were exchanged for letters");
        let mut done = 0;
        for (place, number) in numbers {
            out.push_str(&letters[done..place]);
            out.push_str(&number);
            done = place;
        }
        out.push_str(&letters[done..]);
        out
    }

    /// A number, which is known from now on.
    pub(super) fn digits(&mut self, digits: &str) -> String {
        self.learn(digits);
        self.cipher.digits(digits)
    }

    /// A key, of any length.
    pub(super) fn key(&self, octets: &[u8]) -> Vec<u8> {
        self.cipher.octets(Class::Key, &[octets], octets.len())
    }

    /// Octets that say nothing, for others that would.
    pub(super) fn noise(&self, octets: &[u8]) -> Vec<u8> {
        self.cipher.octets(Class::Octets, &[octets], octets.len())
    }

    fn learn(&mut self, text: &str) {
        if self.known.len() < MOST_KNOWN {
            self.known.insert(hash(text));
        }
    }

    fn is_known(&self, text: &str) -> bool {
        self.known.contains(&hash(text))
    }

    /// `urn:gsma:imei:`, `urn:uuid:` and what follows; P-Access-Network-Info names cells.
    fn instance(&mut self, rest: &str, before: Option<u8>) -> Option<(usize, String)> {
        if before.is_some_and(|before| before.is_ascii_alphanumeric()) {
            return None;
        }
        let begins = |name: &str| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        for name in ["urn:gsma:imei:", "urn:imei:"] {
            if begins(name) {
                let value = &rest[name.len()..];
                let len = value.bytes().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
                return Some((name.len() + len, format!("{}{}", &rest[..name.len()], self.separated(&value[..len]))));
            }
        }
        if begins("urn:uuid:") {
            let value = rest.get(9..45)?;
            return Some((45, format!("{}{}", &rest[..9], self.uuid(value))));
        }
        for name in CELLS {
            if begins(name) {
                let value = &rest[name.len()..];
                let quote = usize::from(value.starts_with('"'));
                let len = value[quote..].bytes().take_while(u8::is_ascii_alphanumeric).count();
                let kept = len.min(6);
                let (head, tail) = value[quote..quote + len].split_at(kept);
                let replaced = format!("{}{}{head}{}", &rest[..name.len()], &value[..quote], self.hexadecimal(tail));
                return Some((name.len() + quote + len, replaced));
            }
        }
        None
    }

    fn address(&mut self, rest: &str, before: Option<u8>) -> Option<(usize, String)> {
        let bytes = rest.as_bytes();
        if !bytes[0].is_ascii_hexdigit() && bytes[0] != b':' {
            return None;
        }
        let is_end = |at: usize| bytes.get(at).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_');
        // Tokens are made of addresses, too: letters may stand before one.
        if before.is_none_or(|before| !before.is_ascii_digit() && before != b'.') {
            let v4 = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
            let v4 = rest[..v4].trim_end_matches('.').len();
            if let Ok(address) = rest[..v4].parse::<Ipv4Addr>() {
                return Some((v4, self.addresses.replace(&self.cipher, address.into()).to_string()));
            }
        }
        if before.is_some_and(|before| before.is_ascii_alphanumeric() || matches!(before, b'.' | b'_')) {
            return None;
        }
        let v6 = bytes.iter().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
        // A URI scheme ends with a colon as well: an address has two at least, and none before it.
        if before == Some(b':') || bytes[..v6].iter().filter(|b| **b == b':').count() < 2 {
            return None;
        }
        let address = rest[..v6].parse::<Ipv6Addr>().ok().filter(|_| is_end(v6))?;
        Some((v6, self.addresses.replace(&self.cipher, IpAddr::V6(address)).to_string()))
    }

    /// What follows `tel:`, and numbers behind a plus.
    fn telephone(&mut self, rest: &str, before: Option<u8>) -> Option<(usize, String)> {
        if before.is_some_and(|before| before.is_ascii_alphanumeric()) {
            return None;
        }
        let scheme = rest.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:"));
        let value = &rest[scheme.map_or(0, str::len)..];
        let is_number = |b: &u8| b.is_ascii_digit() || (scheme.is_some() && matches!(b, b'-' | b'.' | b'(' | b')'));
        let plus = usize::from(value.starts_with('+'));
        let len = value.as_bytes()[plus..].iter().take_while(|b| is_number(b)).count();
        let is_wanted = if scheme.is_some() { len > 0 } else { plus > 0 && len >= LONG };
        is_wanted.then(|| {
            let number = self.separated(&value[plus..plus + len]);
            (
                scheme.map_or(0, str::len) + plus + len,
                format!("{}{}{number}", scheme.unwrap_or_default(), &value[..plus]),
            )
        })
    }

    /// What stands before an at sign.
    fn user(&mut self, rest: &str, before: Option<u8>, kind: Kind) -> Option<(usize, String)> {
        if !before.is_none_or(|before| matches!(before, b':' | b'<' | b'>' | b'"' | b'=' | b' ' | b',' | b'\t' | b'/'))
        {
            return None;
        }
        let len = rest.bytes().take_while(|b| is_of_user(*b)).count();
        // A number may have parameters of its own before the at sign (RFC 3261 clause 19.1.6).
        let parameters = match rest.as_bytes().get(len) {
            Some(b';') if before == Some(b':') => {
                rest.as_bytes()[len..].iter().take_while(|b| is_of_user(**b) || matches!(b, b';' | b'=')).count()
            }
            _ => 0,
        };
        if len == 0 || rest.as_bytes().get(len + parameters) != Some(&b'@') {
            return None;
        }
        let user = &rest[..len];
        (kind == Kind::Identities || has_number(user)).then(|| (len, self.name(user)))
    }

    /// IMSI and IMEI by their length, other numbers where they are known.
    fn number(&mut self, rest: &str, before: Option<u8>) -> Option<(usize, String)> {
        if before.is_some_and(|before| before.is_ascii_digit()) {
            return None;
        }
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &rest[..len];
        (len >= LONGER || (len >= LONG && self.is_known(digits))).then(|| (len, self.digits(digits)))
    }

    /// A number with dashes and the like among its digits.
    fn separated(&mut self, text: &str) -> String {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let replaced = self.digits(&digits);
        let mut replaced = replaced.chars();
        text.chars().map(|c| if c.is_ascii_digit() { replaced.next().unwrap_or(c) } else { c }).collect()
    }

    /// The version and the variant stay.
    fn uuid(&self, text: &str) -> String {
        let kept = [14, 19];
        let replaced = self
            .hexadecimal(&text.char_indices().filter(|(at, _)| !kept.contains(at)).map(|(_, c)| c).collect::<String>());
        let mut replaced = replaced.chars();
        text.char_indices().map(|(at, c)| if kept.contains(&at) { c } else { replaced.next().unwrap_or(c) }).collect()
    }

    /// Hexadecimal digits for such, in their case.
    fn hexadecimal(&self, text: &str) -> String {
        let mut values: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|value| value as u8).collect();
        self.cipher.nibbles(&mut values);
        let is_upper = text.chars().any(|c| c.is_ascii_uppercase());
        let mut values = values.into_iter().map(|value| {
            let digit = char::from_digit(value.into(), 16).unwrap_or('0');
            if is_upper { digit.to_ascii_uppercase() } else { digit }
        });
        text.chars().map(|c| if c.is_ascii_hexdigit() { values.next().unwrap_or(c) } else { c }).collect()
    }
}

/// RFC 3261 clause 25.1, without what ends a word in other places.
const fn is_of_user(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'&' | b'+' | b'$' | b'?' | b'/' | b'%'
        )
}

fn has_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= LONG)
}

fn hash(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

/// Digits that may be those of a subscriber.
const LONG: usize = 7;
/// Digits that are nothing else: of an IMSI or IMEI.
const LONGER: usize = 14;
const MOST_KNOWN: usize = 2_000_000;
/// Users that are nobody, and nodes.
const NOBODY: [&str; 6] = ["", "anonymous", "orig", "term", "mo", "mt"];
const CELLS: [&str; 4] = ["utran-cell-id-3gpp=", "cgi-3gpp=", "utran-sai-3gpp=", "i-wlan-node-id="];

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> String {
        let mut scan = Scan::new(Cipher::of_seed("x"));
        let mut out = String::new();
        scan.text(text, Kind::Identities, &mut out);
        out
    }

    #[test]
    fn identities_go_and_all_else_stays() {
        for text in [
            "REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0",
            "Expires: 600000",
            "spi-c=1234567890;spi-s=4294967295;port-c=5100",
            "CSeq: 2147483647 REGISTER",
            "Date: Sat, 13 Nov 2010 23:29:00 GMT",
            "v=0",
            "<?xml version=\"1.0\"?>",
            "urn:urn-7:3gpp-service.ims.icsi.mmtel",
        ] {
            assert_eq!(both(text), text);
        }
    }

    #[test]
    fn the_same_identity_is_the_same_everywhere() {
        let text = "sip:001010000000001@ims.example 001010000000001 tel:+99912345678 sip:+99912345678@ims.example;x=99912345678 \
                    tel:+999-1234-5678 alice <sip:alice@ims.example>";
        let found = both(text);
        for gone in ["000000001@", "12345678", "alice@"] {
            assert!(!found.contains(gone), "{gone} in {found}");
        }
        let words: Vec<&str> = found.split(' ').collect();
        assert_eq!(words[0].strip_prefix("sip:").unwrap().split('@').next(), Some(words[1]));
        let number = words[2].strip_prefix("tel:+").unwrap();
        assert_eq!(words[3], format!("sip:+{number}@ims.example;x={number}"));
        assert_eq!(words[4].replace('-', ""), words[2]);
    }

    #[test]
    fn numbers_with_parameters() {
        let found = both("INVITE sip:0399912345;phone-context=0499912345@0499912345;user=phone SIP/2.0");
        assert!(!found.contains("99912345"), "{found}");
        assert!(found.contains(";phone-context=") && found.ends_with(";user=phone SIP/2.0"), "{found}");
    }

    #[test]
    fn addresses_and_instances() {
        let found = both(
            "Via: SIP/2.0/UDP [2001:1:2::3]:5060;received=2001:1:2::3;x=192.0.2.1:5060 urn:gsma:imei:35693803-564380-0 \
                          <urn:uuid:f81d4fae-7dec-11d0-A765-00a0c91e6bf6> 192.0.2.1.",
        );
        for gone in ["2001:1:2::3", "192.0.2.1", "564380", "f81d4fae"] {
            assert!(!found.contains(gone), "{gone} in {found}");
        }
        assert!(
            found.contains("urn:gsma:imei:35693") && found.contains("-11") | found.contains("urn:uuid:"),
            "{found}"
        );
        assert!(found.contains("]:5060;received=") && found.ends_with('.'), "{found}");
    }

    #[test]
    fn nodes_keep_their_names() {
        let mut scan = Scan::new(Cipher::of_seed("x"));
        let mut out = String::new();
        scan.text("<sip:7x3@pcscf.example;lr>", Kind::Technical, &mut out);
        assert_eq!(out, "<sip:7x3@pcscf.example;lr>");
        out.clear();
        scan.text("<sip:+99912345678@pcscf.example;lr>", Kind::Technical, &mut out);
        assert!(!out.contains("12345678"), "{out}");
    }
}
