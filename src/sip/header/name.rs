//! Header names.

use super::grammar::{ONES, marks};
use std::fmt;

macro_rules! names {
    ($($variant:ident $text:literal $($compact:literal)?,)*) => {
        /// A header that the code asks for; every other is [`HeaderName::Other`] and keeps its text in the line.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum HeaderName {
            $($variant,)*
            Other,
        }

        impl HeaderName {
            /// The long form; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            /// All names with their long and compact forms.
            pub const ALL: &'static [(Self, &'static str, Option<char>)] = &[
                $((Self::$variant, $text, names!(@compact $($compact)?)),)*
            ];
        }
    };
    (@compact) => { None };
    (@compact $c:literal) => { Some($c) };
}

names! {
    Accept "Accept",
    AcceptContact "Accept-Contact" 'a',
    Allow "Allow",
    AllowEvents "Allow-Events" 'u',
    AuthenticationInfo "Authentication-Info",
    Authorization "Authorization",
    CSeq "CSeq",
    CallId "Call-ID" 'i',
    CallInfo "Call-Info",
    Contact "Contact" 'm',
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding" 'e',
    ContentLength "Content-Length" 'l',
    ContentType "Content-Type" 'c',
    Date "Date",
    Event "Event" 'o',
    Expires "Expires",
    FeatureCaps "Feature-Caps",
    FlowTimer "Flow-Timer",
    From "From" 'f',
    Identity "Identity" 'y',
    IdentityInfo "Identity-Info" 'n',
    MaxForwards "Max-Forwards",
    MinExpires "Min-Expires",
    PAccessNetworkInfo "P-Access-Network-Info",
    PAssertedIdentity "P-Asserted-Identity",
    PAssociatedUri "P-Associated-URI",
    PCalledPartyId "P-Called-Party-ID",
    PChargingFunctionAddresses "P-Charging-Function-Addresses",
    PChargingVector "P-Charging-Vector",
    PPreferredIdentity "P-Preferred-Identity",
    PVisitedNetworkId "P-Visited-Network-ID",
    Path "Path",
    Privacy "Privacy",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    RecordRoute "Record-Route",
    ReferTo "Refer-To" 'r',
    ReferredBy "Referred-By" 'b',
    RejectContact "Reject-Contact" 'j',
    RequestDisposition "Request-Disposition" 'd',
    Require "Require",
    RetryAfter "Retry-After",
    Route "Route",
    SecurityClient "Security-Client",
    SecurityServer "Security-Server",
    SecurityVerify "Security-Verify",
    Server "Server",
    ServiceRoute "Service-Route",
    SessionExpires "Session-Expires" 'x',
    Subject "Subject" 's',
    SubscriptionState "Subscription-State",
    Supported "Supported" 'k',
    To "To" 't',
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    Via "Via" 'v',
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

impl HeaderName {
    /// Recognises a name as written: any case, compact or long.
    pub fn from_text(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    /// As [`HeaderName::from_text`].
    pub(crate) fn from_bytes(text: &[u8]) -> Self {
        let mut line = [b':'; 8 * (WORDS + 1)];
        match line.get_mut(..text.len()) {
            Some(name) if text.len() > 1 => name.copy_from_slice(text),
            _ => return Self::from_compact(text),
        }
        Self::at_start_of(&line).filter(|&(_, length)| length == text.len()).map_or(Self::Other, |(name, _)| name)
    }

    /// Recognises the long form, in any case, that a line begins with, and tells its length, where the colon is. `None`:
    /// another name, white space before the colon, or fewer than eight octets behind the name.
    #[inline(always)]
    pub(crate) fn at_start_of(line: &[u8]) -> Option<(Self, usize)> {
        let words = line.as_chunks::<8>().0;
        let mut hash = 0;
        for (n, word) in words.iter().take(WORDS).enumerate() {
            let word = u64::from_le_bytes(*word);
            let colon = marks(word, b':');
            if colon == 0 {
                hash = mix(hash, word);
                continue;
            }
            // The octets before the colon.
            let last = word & ((1 << (colon.trailing_zeros() & !7)) - 1);
            let long = LONG.get(usize::from(LONG_BY_HASH[slot(mix(hash, last))]))?;
            let length = 8 * n + colon.trailing_zeros() as usize / 8;
            let as_written = last == long.words[n] && (0..n).all(|n| u64::from_le_bytes(words[n]) == long.words[n]);
            let is_same = as_written || is_same_in_other_case(&line[..length], long.name.as_str().as_bytes());
            return (length == long.length && is_same).then_some((long.name, length));
        }
        None
    }

    /// Recognises a compact form.
    fn from_compact(text: &[u8]) -> Self {
        match *text {
            [letter] if letter.is_ascii_alphabetic() => {
                let index = COMPACT[(letter.to_ascii_lowercase() - b'a') as usize];
                Self::ALL.get(index as usize).map_or(Self::Other, |&(name, ..)| name)
            }
            _ => Self::Other,
        }
    }
}

#[cold]
fn is_same_in_other_case(text: &[u8], long: &[u8]) -> bool {
    text.eq_ignore_ascii_case(long)
}

/// A set of names, one bit each: what an element rewrites, for [`crate::sip::Message::parts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NameSet(u64);

impl NameSet {
    /// The set of these names.
    pub const fn of(names: &[HeaderName]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < names.len() {
            bits |= 1 << names[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// The names of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names that are in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True when `name` is in the set.
    pub const fn contains(self, name: HeaderName) -> bool {
        self.0 >> name as u8 & 1 != 0
    }

    /// True when there is no name in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

const _: () = assert!(HeaderName::ALL.len() < 64, "a bit for every name and for `Other`");

/// No name.
const NONE: u8 = u8::MAX;

/// Index into [`HeaderName::ALL`] of the compact forms `a` to `z`.
static COMPACT: [u8; 26] = {
    let mut table = [NONE; 26];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        if let Some(letter) = HeaderName::ALL[i].2 {
            table[(letter as u8 - b'a') as usize] = i as u8;
        }
        i += 1;
    }
    table
};

/// A long form of [`HeaderName::ALL`].
#[derive(Clone, Copy)]
struct Long {
    /// Its text, zeros behind it.
    words: [u64; WORDS],
    length: usize,
    name: HeaderName,
}

/// A long form is shorter than this many words of eight octets.
const WORDS: usize = 4;

/// In the order of [`HeaderName::ALL`].
static LONG: [Long; HeaderName::ALL.len()] = {
    let mut all = [Long { words: [0; WORDS], length: 0, name: HeaderName::Other }; HeaderName::ALL.len()];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let (name, text, _) = HeaderName::ALL[i];
        all[i] = Long { words: words_of(text), length: text.len(), name };
        i += 1;
    }
    all
};

const fn words_of(name: &str) -> [u64; WORDS] {
    let (name, mut words, mut i) = (name.as_bytes(), [0; WORDS], 0);
    while i < name.len() {
        words[i / 8] |= (name[i] as u64) << (8 * (i % 8));
        i += 1;
    }
    words
}

/// Index into [`LONG`] by [`slot`] of the hash: a perfect hash, so that one comparison decides.
static LONG_BY_HASH: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let name = HeaderName::ALL[i].1;
        let (words, mut hash, mut n) = (words_of(name), 0, 0);
        while n <= name.len() / 8 {
            hash = mix(hash, words[n]);
            n += 1;
        }
        assert!(table[slot(hash)] == NONE, "another multiplier is needed");
        table[slot(hash)] = i as u8;
        i += 1;
    }
    table
};

/// Adds the next word of a name to its hash. Bit 5 set makes letters lower case; what it does to other octets is harmless,
/// the name is compared afterwards.
const fn mix(hash: u64, word: u64) -> u64 {
    /// Gives every name its own slot.
    const MULTIPLIER: u64 = 0x0f6b_768d_c7c0_f509;
    (hash ^ (word | ONES << 5)).wrapping_mul(MULTIPLIER)
}

const fn slot(hash: u64) -> usize {
    (hash >> 56) as usize
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_every_form() {
        for &(name, long, compact) in HeaderName::ALL {
            assert_eq!(HeaderName::from_text(long), name);
            assert_eq!(HeaderName::from_text(&long.to_ascii_lowercase()), name);
            assert_eq!(HeaderName::from_text(&long.to_ascii_uppercase()), name);
            if let Some(letter) = compact {
                assert_eq!(HeaderName::from_text(&letter.to_string()), name);
                assert_eq!(HeaderName::from_text(&letter.to_ascii_uppercase().to_string()), name);
            }
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set = NameSet::of(&[HeaderName::Accept, HeaderName::Via, HeaderName::Other]);
        assert!(set.contains(HeaderName::Accept) && set.contains(HeaderName::Via) && set.contains(HeaderName::Other));
        assert!(!set.contains(HeaderName::WwwAuthenticate) && !set.is_empty());
        let both = set.union(NameSet::of(&[HeaderName::To]));
        assert_eq!(both.intersection(NameSet::of(&[HeaderName::To, HeaderName::From])), NameSet::of(&[HeaderName::To]));
    }

    #[test]
    fn other_names_are_not_taken_for_known_ones() {
        for text in ["", "q", "z", "1", "X-Foo", "Vias", "Via ", "Fromm", "Cont\u{0}ct", "Call\rID", "\u{e9}"] {
            assert_eq!(HeaderName::from_text(text), HeaderName::Other, "{text:?}");
        }
    }
}
