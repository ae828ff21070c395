//! Keys. None of them can be printed by accident: `Debug` shows the name, there is no `Display`, and memory is wiped.
//! Equality takes the same time whatever differs.

use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Zeroize, ZeroizeOnDrop)]
        pub struct $name(pub [u8; $len]);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret! {
    /// Confidentiality key.
    Ck, 16
}
secret! {
    /// Integrity key.
    Ik, 16
}
secret! {
    /// Subscriber key of Milenage and of the XOR algorithm.
    K, 16
}
secret! {
    /// Operator variant configuration field.
    Op, 16
}
secret! {
    /// OP encrypted under K.
    Opc, 16
}

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Zeroize, ZeroizeOnDrop)]
        pub struct $name(pub Box<str>);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_text! {
    /// Password of digest authentication.
    Password
}
secret_text! {
    /// HA1 of digest authentication: hash of user name, realm and password, in hex.
    Ha1
}

/// Expected response, 4 to 16 octets (32 with TUAK), any value, NUL included.
#[derive(Clone, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Xres {
    octets: [u8; 32],
    len: u8,
}

impl Xres {
    /// Takes 1 to 32 octets; `None` for any other length.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let mut out = Self { octets: [0; 32], len: 0 };
        if octets.is_empty() {
            return None;
        }
        out.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        out.len = u8::try_from(octets.len()).ok()?;
        Some(out)
    }

    /// No octets at all: what somebody makes of one who loses them.
    pub(crate) const fn empty() -> Self {
        Self { octets: [0; 32], len: 0 }
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl PartialEq for Xres {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice().ct_eq(other.as_slice()).into()
    }
}

impl fmt::Debug for Xres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Xres(..)")
    }
}
