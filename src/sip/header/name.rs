//! Header names.

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
    #[inline(always)]
    pub(crate) fn from_bytes(text: &[u8]) -> Self {
        let [first, .., last] = *text else { return Self::from_compact(text) };
        let index = LONG[slot(text.len(), first, text[text.len() / 2], last, MULTIPLIER)];
        match Self::ALL.get(index as usize) {
            Some(&(name, long, _)) if is_same(text, long.as_bytes()) => name,
            _ => Self::Other,
        }
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

/// True when two names are the same in any case. Nearly all are written as in the standard, which two comparisons of a
/// fixed length show.
#[inline]
fn is_same(text: &[u8], long: &[u8]) -> bool {
    let is_equal = match text.len() {
        length if length != long.len() => return false,
        2..=3 => ends_agree::<2>(text, long),
        4..=7 => ends_agree::<4>(text, long),
        8..=15 => ends_agree::<8>(text, long),
        16..=32 => ends_agree::<16>(text, long),
        _ => false,
    };
    is_equal || is_same_in_other_case(text, long)
}

/// True when the first `N` octets and the last `N` are equal.
#[inline]
fn ends_agree<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
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

/// Index into [`HeaderName::ALL`] by [`slot`]: a perfect hash, so that one comparison decides.
static LONG: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        table[slot_of(HeaderName::ALL[i].1, MULTIPLIER)] = i as u8;
        i += 1;
    }
    table
};

/// The first multiplier of a fixed sequence that gives every name its own slot.
const MULTIPLIER: u32 = {
    let mut multiplier: u32 = 0xcd38_f5c3;
    while !is_perfect(multiplier) {
        multiplier = multiplier.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 1;
    }
    multiplier
};

const fn is_perfect(multiplier: u32) -> bool {
    let mut taken = [false; 256];
    let mut i = 0;
    while i < HeaderName::ALL.len() {
        let slot = slot_of(HeaderName::ALL[i].1, multiplier);
        if taken[slot] {
            return false;
        }
        taken[slot] = true;
        i += 1;
    }
    true
}

const fn slot_of(name: &str, multiplier: u32) -> usize {
    let bytes = name.as_bytes();
    slot(bytes.len(), bytes[0], bytes[bytes.len() / 2], bytes[bytes.len() - 1], multiplier)
}

/// Bit 5 set makes letters lower case; what it does to other octets is harmless, the name is compared afterwards.
const fn slot(length: usize, first: u8, middle: u8, last: u8, multiplier: u32) -> usize {
    let key = u32::from_le_bytes([first, middle, last, length as u8]) | 0x0020_2020;
    (key.wrapping_mul(multiplier) >> 24) as usize
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
