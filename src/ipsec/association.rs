//! One set of four security associations (TS 33.203 clause 7.1; `docs/sec-agree.md`).

use crate::aka::{Ck, Ik};
use crate::identity::Spi;
use std::fmt;
use std::net::IpAddr;

/// Names a set of SAs within one process. Never reused. Below 2^63.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SaSetId(pub u64);

impl fmt::Display for SaSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of the two port pairs of a set a packet uses.
///
/// A pair names an SA in each direction, so a [`SaId`] and the direction of the packet name one SA of the four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PortPair {
    /// port_uc and port_ps: SA 1 towards the P-CSCF, SA 3 towards the UE.
    UcPs,
    /// port_us and port_pc: SA 4 towards the P-CSCF, SA 2 towards the UE.
    UsPc,
}

/// The SA that carried a packet or must carry it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SaId {
    /// The set.
    pub set: SaSetId,
    /// The pair of ports within it.
    pub pair: PortPair,
}

/// Integrity algorithm, the `alg` parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Integrity {
    /// `hmac-md5-96`
    HmacMd5,
    /// `hmac-sha-1-96`
    HmacSha1,
    /// `aes-gmac`
    AesGmac,
    /// `null`, only with [`Encryption::AesGcm`]
    Null,
}

/// Encryption algorithm, the `ealg` parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Encryption {
    /// `null`, the default
    Null,
    /// `des-ede3-cbc`
    DesEde3Cbc,
    /// `aes-cbc`
    AesCbc,
    /// `aes-gcm`
    AesGcm,
}

impl Integrity {
    /// The value of `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacMd5 => "hmac-md5-96",
            Self::HmacSha1 => "hmac-sha-1-96",
            Self::AesGmac => "aes-gmac",
            Self::Null => "null",
        }
    }

    /// Reads a value of `alg`, in any case.
    pub fn from_token(token: &str) -> Option<Self> {
        let all = [Self::HmacMd5, Self::HmacSha1, Self::AesGmac, Self::Null];
        let exact = all.into_iter().find(|a| a.as_str() == token);
        exact.or_else(|| all.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(token)))
    }
}

impl Encryption {
    /// The value of `ealg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::DesEde3Cbc => "des-ede3-cbc",
            Self::AesCbc => "aes-cbc",
            Self::AesGcm => "aes-gcm",
        }
    }

    /// Reads a value of `ealg`, in any case.
    pub fn from_token(token: &str) -> Option<Self> {
        let all = [Self::Null, Self::DesEde3Cbc, Self::AesCbc, Self::AesGcm];
        let exact = all.into_iter().find(|a| a.as_str() == token);
        exact.or_else(|| all.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(token)))
    }
}

/// A pair that one element of Security-Client or Security-Server names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Algorithms {
    /// `alg`
    pub integrity: Integrity,
    /// `ealg`
    pub encryption: Encryption,
}

impl Algorithms {
    /// Every pair that TS 33.203 annex H allows.
    pub const ALL: [Self; 8] = [
        Self::of(Integrity::HmacSha1, Encryption::Null),
        Self::of(Integrity::HmacSha1, Encryption::AesCbc),
        Self::of(Integrity::HmacSha1, Encryption::DesEde3Cbc),
        Self::of(Integrity::HmacMd5, Encryption::Null),
        Self::of(Integrity::HmacMd5, Encryption::AesCbc),
        Self::of(Integrity::HmacMd5, Encryption::DesEde3Cbc),
        Self::of(Integrity::AesGmac, Encryption::Null),
        Self::of(Integrity::Null, Encryption::AesGcm),
    ];

    const fn of(integrity: Integrity, encryption: Encryption) -> Self {
        Self { integrity, encryption }
    }

    /// True for the pairs that TS 33.203 annex H allows; never (null, null).
    pub const fn is_valid(self) -> bool {
        matches!(
            (self.integrity, self.encryption),
            (Integrity::HmacMd5 | Integrity::HmacSha1, Encryption::Null | Encryption::AesCbc | Encryption::DesEde3Cbc)
                | (Integrity::AesGmac, Encryption::Null)
                | (Integrity::Null, Encryption::AesGcm)
        )
    }
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.integrity.as_str(), self.encryption.as_str())
    }
}

/// SPIs and ports of one side: those it puts into its own header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// `spi-c`: inbound SPI of the client port.
    pub spi_c: Spi,
    /// `spi-s`: inbound SPI of the server port.
    pub spi_s: Spi,
    /// `port-c`
    pub port_c: u16,
    /// `port-s`
    pub port_s: u16,
}

/// A value of the `mod` parameter that can be agreed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Mod {
    /// `trans`, the default: ESP in IP.
    #[default]
    Trans,
    /// `UDP-enc-tun`: the IP packet in ESP in UDP, through a NAT (TS 33.203 annex M).
    UdpEncTun,
}

impl Mod {
    /// The value of `mod`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trans => "trans",
            Self::UdpEncTun => "UDP-enc-tun",
        }
    }

    /// Reads a value of `mod`, in any case.
    pub fn from_token(token: &str) -> Option<Self> {
        let all = [Self::Trans, Self::UdpEncTun];
        let exact = all.into_iter().find(|mode| mode.as_str() == token);
        exact.or_else(|| all.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(token)))
    }
}

impl fmt::Display for Mod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How ESP goes over IP, with the addresses that it takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    /// `trans`: ESP in IP.
    #[default]
    Transport,
    /// `UDP-enc-tun`: the IP packet in ESP in UDP, through a NAT (TS 33.203 annex M).
    UdpTunnel {
        /// Where the UE is outside the tunnel: at the UE its own address, at the P-CSCF that of the NAT.
        outer_ue: IpAddr,
    },
}

impl Mode {
    /// As it is agreed on.
    pub const fn name(self) -> Mod {
        match self {
            Self::Transport => Mod::Trans,
            Self::UdpTunnel { .. } => Mod::UdpEncTun,
        }
    }
}

/// Everything a plane needs to make the four SAs.
#[derive(Clone, Debug)]
pub struct SaSet {
    /// Its name.
    pub id: SaSetId,
    /// Address of the UE; in tunnel mode that of the packets inside.
    pub ue_address: IpAddr,
    /// Address of the P-CSCF.
    pub pcscf_address: IpAddr,
    /// SPIs and ports of the UE.
    pub ue: Endpoint,
    /// SPIs and ports of the P-CSCF.
    pub pcscf: Endpoint,
    /// What was agreed.
    pub algorithms: Algorithms,
    /// How packets are carried.
    pub mode: Mode,
    /// Confidentiality key; its `Debug` shows nothing.
    pub ck: Ck,
    /// Integrity key; its `Debug` shows nothing.
    pub ik: Ik,
    /// True on the side of the UE.
    pub at_ue: bool,
}

impl SaSet {
    /// True where both addresses are those of hosts, and of one family.
    pub const fn is_between_hosts(&self) -> bool {
        self.ue_address.is_ipv4() == self.pcscf_address.is_ipv4()
            && !self.ue_address.is_unspecified()
            && !self.pcscf_address.is_unspecified()
    }
}

#[cfg(test)]
impl SaSet {
    /// A set between 10.0.0.7 and 10.0.0.1 for unit tests.
    pub(crate) fn for_tests(at_ue: bool) -> Self {
        Self {
            id: SaSetId(1),
            ue_address: "10.0.0.7".parse().unwrap(),
            pcscf_address: "10.0.0.1".parse().unwrap(),
            ue: Endpoint { spi_c: Spi(300), spi_s: Spi(301), port_c: 31_000, port_s: 31_001 },
            pcscf: Endpoint { spi_c: Spi(400), spi_s: Spi(401), port_c: 5_100, port_s: 6_100 },
            algorithms: Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
            mode: Mode::Transport,
            ck: Ck([0xcc; 16]),
            ik: Ik([0x11; 16]),
            at_ue,
        }
    }
}
