//! Header names.

use crate::sip::octets;
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
        let mut line = [b':'; 2 * HALF];
        match line.get_mut(..text.len()) {
            Some(name) if text.len() > 1 => name.copy_from_slice(text),
            _ => return Self::from_compact(text),
        }
        Self::at_start_of(&line).filter(|&(_, length)| length == text.len()).map_or(Self::Other, |(name, _)| name)
    }

    /// Recognises the long form, in any case, that a line begins with, and tells its length, where the colon is. `None`:
    /// another name, white space before the colon, or so few octets behind the name that no block of them is whole.
    #[inline(always)]
    pub(crate) fn at_start_of(line: &[u8]) -> Option<(Self, usize)> {
        let (head, behind) = line.split_first_chunk()?;
        let (length, last) = match octets::first(head, b':') {
            Some(colon) => (colon, head[colon.wrapping_sub(1) % HALF]),
            None => {
                let length = HALF + octets::first(behind.first_chunk()?, b':')?;
                (length, *line.get(length - 1)?)
            }
        };
        let long = LONG.get(usize::from(LONG_BY_HASH[slot(head[0], last, length)]))?;
        let agreement = match octets::agreement(head, &long.text[0]) {
            HALF => HALF + octets::agreement(behind.first_chunk()?, &long.text[1]),
            agreement => agreement,
        };
        // As written, up to the colon.
        let is_same = agreement > length || is_same_in_other_case(&line[..length], long.name.as_str().as_bytes());
        is_same.then_some((long.name, length))
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

    /// All names that are not in the set, [`HeaderName::Other`] included.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0)
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
    /// Its text, a colon and zeros behind it.
    text: [[u8; HALF]; 2],
    name: HeaderName,
}

/// A long form is shorter than two blocks of so many octets.
const HALF: usize = 16;

/// In the order of [`HeaderName::ALL`].
static LONG: [Long; HeaderName::ALL.len()] = {
    let mut all = [Long { text: [[0; HALF]; 2], name: HeaderName::Other }; HeaderName::ALL.len()];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let (name, text, _) = HeaderName::ALL[i];
        all[i].name = name;
        all[i].text[text.len() / HALF][text.len() % HALF] = b':';
        let mut n = 0;
        while n < text.len() {
            all[i].text[n / HALF][n % HALF] = text.as_bytes()[n];
            n += 1;
        }
        i += 1;
    }
    all
};

/// Index into [`LONG`] by [`slot`]: no two names share one, so that one comparison decides.
static LONG_BY_HASH: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let name = HeaderName::ALL[i].1.as_bytes();
        let slot = slot(name[0], name[name.len() - 1], name.len());
        assert!(table[slot] == NONE, "another multiplier is needed");
        table[slot] = i as u8;
        i += 1;
    }
    table
};

/// The slot of a name by its first and last octet and its length. Bit 5 set makes letters lower case; what it does to
/// other octets is harmless, the name is compared afterwards.
const fn slot(first: u8, last: u8, length: usize) -> usize {
    /// Gives every name its own slot.
    const MULTIPLIER: u32 = 0x382f_21e5;
    let key = (first | 0x20) as u32 | ((last | 0x20) as u32) << 8 | (length as u32) << 16;
    (key.wrapping_mul(MULTIPLIER) >> 24) as usize
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
