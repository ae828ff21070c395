//! What holds for ESP whatever comes in: what was sealed is opened once and as it was, and nothing else is. The fuzz
//! target and `tests/esp` call it.

use imsreg::aka::{Ck, Ik};
use imsreg::identity::Spi;
use imsreg::ip::reassembly::Reassembly;
use imsreg::ip::transport::{self, Segment, TcpFields};
use imsreg::ip::{Packet, Upper};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use imsreg::ipsec::esp::{Carrier, Datagram, Drop, Engine, Opened, PORT, Sealed};
use imsreg::random::Random;
use imsreg::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// The first octet chooses algorithms, family, transport and mode, the next four where and how a packet is changed, the
/// rest is data.
pub(crate) fn esp(bytes: &[u8]) {
    let Some((&[how, at0, at1, change, cut], data)) = bytes.split_first_chunk() else { return };
    let data = &data[..data.len().min(2_000)];
    let algorithms = PAIRS[usize::from(how & 7)];
    let (v6, upper) = (how & 8 != 0, if how & 16 != 0 { Upper::Tcp } else { Upper::Udp });
    // Keys depend on all of the input: a fuzzer sees what is compared, and would bring a packet that was sealed before.
    let keys = bytes.iter().fold(FNV_OFFSET, |hash, octet| (hash ^ u128::from(*octet)).wrapping_mul(FNV_PRIME));
    let mut link = Link::with_keys(algorithms, v6, how & 32 != 0, keys);
    let sa = usize::from(how >> 6);
    let (first, second) = (link.seal(sa, upper, data), link.seal(sa, upper, data));
    assert_ne!(first.esp, second.esp);

    let mut out = Vec::new();
    assert_eq!(link.open(sa, &first.esp, &mut out).map(|opened| out[opened.data].to_vec()), Ok(data.to_vec()));
    assert_eq!(link.open(sa, &first.esp, &mut out), Err(Drop::Replayed));

    let len = out.len();
    let mut changed = second.esp.clone();
    let at = usize::from(u16::from_be_bytes([at0, at1])) % changed.len();
    changed[at] ^= change.max(1);
    assert!(link.open(sa, &changed, &mut out).is_err(), "octet {at} changed");
    assert!(link.open(sa, &second.esp[..at], &mut out).is_err(), "cut at {at}");
    changed[at] ^= change.max(1);
    changed.extend(std::iter::repeat_n(cut, usize::from(cut % 33) + 1));
    assert!(link.open(sa, &changed, &mut out).is_err(), "longer");
    // Anything under an SPI that exists.
    for sequence in [3, u32::from(cut) << 8 | 1] {
        let forged = [&second.esp[..4], &sequence.to_be_bytes(), data].concat();
        assert!(link.open(sa, &forged, &mut out).is_err(), "forged");
    }
    assert!(link.open(sa, data, &mut out).is_err());
    assert_eq!(out.len(), len, "what is refused leaves nothing");
    // None of it moved the window.
    assert!(link.open(sa, &second.esp, &mut out).is_ok());

    around(data);
}

/// Octets as IP packets, fragments, segments and datagrams: nothing panics, and what is whole lies inside.
fn around(data: &[u8]) {
    let mut reassembly = Reassembly::new();
    for part in data.chunks(80).chain([data]) {
        if let Ok(packet) = Packet::parse(part) {
            assert_eq!(&part[packet.payload_start..][..packet.payload.len()], packet.payload);
            let _ = reassembly.receive(Instant::ZERO, &packet);
            let _ = imsreg::ip::fragments::split(part, 68, 1, |part| assert!(Packet::parse(part).is_ok()));
        }
    }
    for upper in [Upper::Udp, Upper::Tcp] {
        for address in ADDRESSES {
            let address: IpAddr = address[0].parse().expect("an address");
            let segment = Segment { source: address, destination: address, upper, octets: data };
            if let Ok(checked) = segment.check() {
                assert!(checked.octets.len() <= data.len() && checked.data.len() < checked.octets.len());
            }
        }
    }
    if let Datagram::Esp(esp) = Datagram::of(data) {
        assert_eq!(esp, data);
    }
}

/// Both ends of one set.
pub(crate) struct Link {
    pub(crate) ue: Engine,
    pub(crate) pcscf: Engine,
    pub(crate) set: SaSet,
}

/// An ESP packet on its way.
pub(crate) struct OnTheWay {
    pub(crate) esp: Vec<u8>,
    pub(crate) sealed: Sealed,
}

impl Link {
    pub(crate) fn new(algorithms: Algorithms, v6: bool, tunnel: bool) -> Self {
        Self::with_keys(algorithms, v6, tunnel, 0xc1)
    }

    pub(crate) fn with_keys(algorithms: Algorithms, v6: bool, tunnel: bool, keys: u128) -> Self {
        let [ue, pcscf, nat, _] = ADDRESSES[usize::from(v6)].map(|address| address.parse().expect("an address"));
        let set = SaSet {
            id: SaSetId(7),
            ue_address: ue,
            pcscf_address: pcscf,
            ue: Endpoint { spi_c: Spi(256), spi_s: Spi(u32::MAX), port_c: 31_100, port_s: 31_800 },
            pcscf: Endpoint { spi_c: Spi(50_001), spi_s: Spi(50_000), port_c: 9_950, port_s: 9_900 },
            algorithms,
            mode: if tunnel { Mode::UdpTunnel { outer_ue: nat } } else { Mode::Transport },
            ck: Ck(keys.to_be_bytes()),
            ik: Ik((!keys).to_be_bytes()),
            at_ue: false,
        };
        let mut link = Self { ue: Engine::new(Random::seeded(1)), pcscf: Engine::new(Random::seeded(2)), set };
        link.pcscf.install(&link.set).expect("the first set collides with none");
        link.ue.install(&SaSet { at_ue: true, ..link.set.clone() }).expect("the first set collides with none");
        if tunnel {
            // The P-CSCF learns the port of the NAT from the first packet that comes out of it.
            let greeting = link.seal(0, Upper::Udp, b"first");
            link.open(0, &greeting.esp, &mut Vec::new()).expect("the first packet");
        }
        link
    }

    /// Sealed by its sender. SAs 0 and 3 go to the P-CSCF (SA 1 and SA 4 of TS 33.203), 1 and 2 to the UE.
    pub(crate) fn seal(&mut self, sa: usize, upper: Upper, data: &[u8]) -> OnTheWay {
        let (from, to) = self.ends(sa);
        let octets = segment(from, to, upper, data);
        let segment = Segment { source: from.ip(), destination: to.ip(), upper, octets: &octets };
        let mut esp = Vec::new();
        let sealed = self.sender(sa).seal(&segment, &mut esp).expect("an SA between these ends");
        OnTheWay { esp, sealed }
    }

    /// Opened by its receiver.
    pub(crate) fn open(&mut self, sa: usize, esp: &[u8], out: &mut Vec<u8>) -> Result<Opened, Drop> {
        let (from, to) = self.ends(sa);
        let (mut source, mut destination, mut carrier) = (from.ip(), to.ip(), Carrier::Ip);
        if let Mode::UdpTunnel { outer_ue } = self.set.mode {
            carrier = Carrier::Udp { source_port: PORT, destination_port: PORT };
            let nat = if from.ip() == self.set.ue_address { &mut source } else { &mut destination };
            *nat = outer_ue;
        }
        let opened = self.receiver(sa).open(source, destination, carrier, esp, out)?;
        assert_eq!((opened.source, opened.destination), (from, to), "selectors are those of the SA");
        Ok(opened)
    }

    pub(crate) fn ends(&self, sa: usize) -> (SocketAddr, SocketAddr) {
        let SaSet { ue, pcscf, .. } = &self.set;
        let at_ue = |port| SocketAddr::new(self.set.ue_address, port);
        let at_pcscf = |port| SocketAddr::new(self.set.pcscf_address, port);
        match sa {
            0 => (at_ue(ue.port_c), at_pcscf(pcscf.port_s)),
            1 => (at_pcscf(pcscf.port_c), at_ue(ue.port_s)),
            2 => (at_pcscf(pcscf.port_s), at_ue(ue.port_c)),
            _ => (at_ue(ue.port_s), at_pcscf(pcscf.port_c)),
        }
    }

    pub(crate) fn sender(&mut self, sa: usize) -> &mut Engine {
        if matches!(sa, 0 | 3) { &mut self.ue } else { &mut self.pcscf }
    }

    pub(crate) fn receiver(&mut self, sa: usize) -> &mut Engine {
        if matches!(sa, 0 | 3) { &mut self.pcscf } else { &mut self.ue }
    }
}

/// A datagram or segment with good checksums.
pub(crate) fn segment(from: SocketAddr, to: SocketAddr, upper: Upper, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match upper {
        Upper::Udp => transport::write_udp(&mut out, from, to, data),
        Upper::Tcp => {
            let fields = TcpFields { sequence: 1, acknowledged: 2, flags: transport::ACK };
            transport::write_tcp(&mut out, from, to, fields, data);
        }
    }
    out
}

/// UE, P-CSCF, NAT and a stranger.
pub(crate) const ADDRESSES: [[&str; 4]; 2] = [
    ["10.45.0.2", "10.45.0.1", "192.0.2.77", "10.45.0.3"],
    ["2001:db8::2", "2001:db8::1", "2001:db8:77::1", "2001:db8::3"],
];

/// Every pair of TS 33.203 annex H.
pub(crate) const PAIRS: [Algorithms; 8] = [
    Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null },
    Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::AesCbc },
    Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::DesEde3Cbc },
    Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null },
    Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
    Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::DesEde3Cbc },
    Algorithms { integrity: Integrity::AesGmac, encryption: Encryption::Null },
    Algorithms { integrity: Integrity::Null, encryption: Encryption::AesGcm },
];

/// FNV-1a of 128 bits.
const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
