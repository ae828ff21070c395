//! What authenticates subscribers who have no USIM (TS 29.228 clause 6.3: SIP Digest, NASS-Bundled, Early-IMS-Security).

use crate::aka::digest::{Algorithm, ha1};
use crate::aka::{Ha1, Password};
use std::net::IpAddr;
use std::rc::Rc;

/// Of SIP digest: what SIP-Digest-Authenticate says. `Debug` hides HA1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestCredentials {
    /// `realm` of challenges.
    pub realm: Rc<str>,
    /// Digest-QoP: `auth`, `auth-int`, both with a comma between, or nothing.
    pub qop: Rc<str>,
    /// Challenges state `algorithm=MD5`; without it MD5 is meant.
    pub states_md5: bool,
    /// HA1 of MD5; nothing where the password is unknown.
    pub ha1: Option<Ha1>,
    /// HA1 of a better algorithm, which is offered first.
    pub alternate: Option<(Algorithm, Ha1)>,
    /// Of a trace whose password is unknown.
    pub recorded: Vec<RecordedDigest>,
}

/// A challenge of a trace, and the response that its UE gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedDigest {
    /// `nonce` of the challenge.
    pub nonce: Box<str>,
    /// The `response` expected: the verdict is equality with it.
    pub response: Box<str>,
}

impl DigestCredentials {
    /// Those of a password. `alternate` is offered beside MD5.
    pub fn of_password(
        username: &str,
        realm: &str,
        qop: &str,
        password: &Password,
        alternate: Option<Algorithm>,
    ) -> Self {
        let of = |algorithm| ha1(algorithm, username, realm, password);
        Self {
            realm: realm.into(),
            qop: qop.into(),
            states_md5: true,
            ha1: Some(of(Algorithm::Md5)),
            alternate: alternate.map(|algorithm| (algorithm, of(algorithm))),
            recorded: Vec::new(),
        }
    }

    /// Keeps texts that `other` has as well but once. Nearly all subscribers have the same ones, which are then in the
    /// caches when the next of them comes.
    pub(super) fn share(&mut self, other: &Self) {
        for (own, others) in [(&mut self.realm, &other.realm), (&mut self.qop, &other.qop)] {
            if own == others {
                *own = Rc::clone(others);
            }
        }
    }
}

/// The address that the access network has given to a UE of early IMS: one address, or the prefix of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessAddress {
    address: IpAddr,
    octets: [u8; 18],
}

impl AccessAddress {
    /// One IPv4 address, or the addresses of an IPv6 prefix of `length` bits; `None` for a length beyond 128.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let mut octets = [0; 18];
        match address {
            IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) if length <= 128 => {
                octets[1] = length;
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                octets[2..].copy_from_slice(&(u128::from(v6) & mask).to_be_bytes());
            }
            IpAddr::V6(_) => return None,
        }
        Some(Self { address, octets })
    }

    /// Framed-IP-Address.
    pub(super) fn framed_ip_address(&self) -> Option<&[u8]> {
        self.address.is_ipv4().then_some(&self.octets[..4])
    }

    /// Framed-IPv6-Prefix.
    pub(super) fn framed_ipv6_prefix(&self) -> Option<&[u8]> {
        self.address.is_ipv6().then_some(&self.octets)
    }
}
