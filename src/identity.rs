//! Identities of TS 23.003 clause 13: IMPI, IMPU, home domain, and the SPI of RFC 4303.
//!
//! `Display` writes the whole value, for messages, ladders and reports. `Debug` shortens it, because `Debug` is what
//! reaches logs.

use std::borrow::Borrow;
use std::fmt;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Shortened(&self.0), f)
            }
        }
    };
}

identity! {
    /// Private user identity (TS 23.003 clause 13.3): a network access identifier, `user@realm`.
    Impi
}
identity! {
    /// Public user identity (TS 23.003 clause 13.4): a SIP or tel URI in its canonical form.
    Impu
}
identity! {
    /// A home domain or Diameter realm.
    Realm
}

/// An identity as logs may show it: the user part loses all but its last four characters.
#[derive(Clone, Copy)]
pub struct Shortened<'a>(pub &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once(':') {
            Some((s, r)) if matches!(s, "sip" | "sips" | "tel") => (&self.0[..=s.len()], r),
            _ => ("", self.0),
        };
        let (user, host) = rest.split_at(rest.find(['@', ';']).unwrap_or(rest.len()));
        let keep = user.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
        // Host and parameters of an identity say nothing about whose it is.
        if keep == 0 { write!(f, "{scheme}{user}{host}") } else { write!(f, "{scheme}..{}{host}", &user[keep..]) }
    }
}

impl fmt::Debug for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Security parameters index of one inbound SA (RFC 4303 clause 2.1; 0 to 255 are reserved).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Spi(pub u32);

impl Spi {
    /// The lowest value that RFC 4303 leaves to the receiver.
    pub const FIRST: Self = Self(256);
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The home domain of an IMSI (TS 23.003 clause 13.2); a two-digit MNC is padded with a leading zero.
/// `None` unless `imsi` has 6 to 15 digits and `mnc_digits` is 2 or 3.
pub fn home_domain(imsi: &str, mnc_digits: usize) -> Option<Realm> {
    let sound = (6..=15).contains(&imsi.len()) && imsi.bytes().all(|b| b.is_ascii_digit());
    if !sound || !(2..=3).contains(&mnc_digits) {
        return None;
    }
    let (mcc, mnc) = (&imsi[..3], &imsi[3..3 + mnc_digits]);
    Some(Realm::new(format!("ims.mnc{mnc:0>3}.mcc{mcc}.3gppnetwork.org")))
}

/// The IMPI of a UE without ISIM (TS 23.003 clause 13.3).
pub fn impi_from_imsi(imsi: &str, realm: &Realm) -> Impi {
    Impi::new(format!("{imsi}@{realm}"))
}

/// The temporary public user identity (TS 23.003 clause 13.4B).
pub fn temporary_impu(impi: &Impi) -> Impu {
    Impu::new(format!("sip:{impi}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_as_ts_23_003_says() {
        let realm = home_domain("460600100049906", 2).unwrap();
        assert_eq!(realm.as_str(), "ims.mnc060.mcc460.3gppnetwork.org");
        let impi = impi_from_imsi("460600100049906", &realm);
        assert_eq!(temporary_impu(&impi).as_str(), "sip:460600100049906@ims.mnc060.mcc460.3gppnetwork.org");
        assert_eq!(home_domain("310410123456789", 3).unwrap().as_str(), "ims.mnc410.mcc310.3gppnetwork.org");
        assert_eq!(home_domain("31041x", 3), None);
    }

    #[test]
    fn debug_is_shortened_and_display_is_not() {
        let impu = Impu::from("sip:001010000000001@ims.example");
        assert_eq!(format!("{impu:?}"), "sip:..0001@ims.example");
        assert_eq!(impu.to_string(), "sip:001010000000001@ims.example");
        assert_eq!(format!("{:?}", Impu::from("tel:+99912345")), "tel:..2345");
        assert_eq!(format!("{:?}", Impi::from("é€@x")), "é€@x");
    }
}
