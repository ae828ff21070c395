//! One set as its host uses it: two SAs out, two SAs in, the same keys on all four.

use super::counters::{Counters, Drops};
use super::engine::Carrier;
use super::replay::Window;
use super::transform::{HEAD_LEN, TRAILER_LEN, Transform};
use super::{Drop, PORT};
use crate::identity::Spi;
use crate::ipsec::association::{Mode, PortPair, SaSet};
use crate::random::Random;
use std::net::IpAddr;

/// Hundreds of thousands of these live in a large run. Pairs of ports index the arrays.
pub(super) struct Set {
    transform: Transform,
    outbound_spis: [Spi; 2],
    /// The last sequence numbers sent.
    sent: [u32; 2],
    windows: [Window; 2],
    /// Part of every IV that counts.
    salt: [u8; 3],
    at_ue: bool,
    tunnel: Option<Box<Tunnel>>,
    sealed_octets: u64,
    opened: u64,
    opened_octets: u64,
    drops: Option<Box<Drops>>,
}

/// The ends outside the tunnel.
struct Tunnel {
    here: IpAddr,
    there: IpAddr,
    /// At the P-CSCF the NAT chooses it: known once a packet came out of it.
    port_there: Option<u16>,
}

impl Set {
    /// `None` for a pair of algorithms that TS 33.203 does not have.
    pub(super) fn new(set: &SaSet, random: &mut Random) -> Option<Self> {
        let SaSet { ue, pcscf, at_ue, .. } = *set;
        let tunnel = match set.mode {
            Mode::Transport => None,
            Mode::UdpTunnel { outer_ue } if at_ue => {
                Some(Tunnel { here: outer_ue, there: set.pcscf_address, port_there: Some(PORT) })
            }
            Mode::UdpTunnel { outer_ue } => Some(Tunnel { here: set.pcscf_address, there: outer_ue, port_there: None }),
        };
        Some(Self {
            transform: Transform::new(set)?,
            // SA 1 and SA 4 of the UE, SA 3 and SA 2 of the P-CSCF: the receiver chose the SPI.
            outbound_spis: if at_ue { [pcscf.spi_s, pcscf.spi_c] } else { [ue.spi_c, ue.spi_s] },
            sent: [0; 2],
            windows: [Window::default(); 2],
            salt: random.bytes(),
            at_ue,
            tunnel: tunnel.map(Box::new),
            sealed_octets: 0,
            opened: 0,
            opened_octets: 0,
            drops: None,
        })
    }

    /// The pair of ports of an inbound SPI, by whether it is that of our server port.
    pub(super) const fn pair(&self, server: bool) -> PortPair {
        // The UE's client port and the P-CSCF's server port make a pair.
        if self.at_ue == server { PortPair::UsPc } else { PortPair::UcPs }
    }

    /// Addresses of the ESP packets between these ends, and what carries them.
    pub(super) fn outer(&self, here: IpAddr, there: IpAddr) -> Result<(IpAddr, IpAddr, Carrier), Drop> {
        let Some(tunnel) = &self.tunnel else { return Ok((here, there, Carrier::Ip)) };
        let destination_port = tunnel.port_there.ok_or(Drop::NatPortUnknown)?;
        Ok((tunnel.here, tunnel.there, Carrier::Udp { source_port: PORT, destination_port }))
    }

    pub(super) const fn is_tunnel(&self) -> bool {
        self.tunnel.is_some()
    }

    /// True when an ESP packet to this address may be for this set. In transport mode selectors tell.
    pub(super) fn ends_at(&self, destination: IpAddr) -> bool {
        self.tunnel.as_ref().is_none_or(|tunnel| tunnel.here == destination)
    }

    /// Appends the ESP packet whose payload `write` appends.
    pub(super) fn seal(
        &mut self,
        pair: PortPair,
        next_header: u8,
        random: &mut Random,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Drop> {
        let sequence = self.sent[pair as usize].checked_add(1).ok_or(Drop::SequenceExhausted)?;
        let shape = self.transform.shape();
        let start = out.len();
        out.extend_from_slice(&self.outbound_spis[pair as usize].0.to_be_bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.iv(pair, sequence, random)[..shape.iv]);
        write(out);
        let len = out.len() - start - HEAD_LEN - shape.iv + TRAILER_LEN;
        let padding = len.next_multiple_of(shape.block) - len;
        out.extend_from_slice(&PADDING[..padding]);
        out.push(u8::try_from(padding).expect("less than a block"));
        out.push(next_header);
        self.transform.seal(out, start);
        // Only now: what was not sent used no number.
        self.sent[pair as usize] = sequence;
        Ok(())
    }

    /// The longest IV; a shape takes as much of it as it wants.
    fn iv(&self, pair: PortPair, sequence: u32, random: &mut Random) -> [u8; 16] {
        if !self.transform.counts() {
            // CBC wants an IV that nobody can foretell (RFC 3602 clause 3).
            return if self.transform.shape().iv == 0 { [0; 16] } else { random.bytes() };
        }
        // GCM and GMAC want one that never comes again under their key (RFC 4106 clause 3.1), which all four SAs share:
        // end and pair of ports are in it, and the sequence number, which never wraps.
        let mut iv = [0; 16];
        iv[0] = 0x80 | u8::from(self.at_ue) << 1 | pair as u8;
        iv[1..4].copy_from_slice(&self.salt);
        iv[4..8].copy_from_slice(&sequence.to_be_bytes());
        iv
    }

    /// Appends the payload of an ESP packet, without its trailer, and returns the next header. The order of checks is that
    /// of RFC 4303 clause 3.4.
    pub(super) fn open(
        &mut self,
        pair: PortPair,
        source: IpAddr,
        carrier: Carrier,
        esp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<u8, Drop> {
        let shape = self.transform.shape();
        match (&self.tunnel, carrier) {
            (None, Carrier::Ip) | (Some(_), Carrier::Udp { .. }) => {}
            _ => return Err(Drop::Encapsulation),
        }
        let sealed = esp.len().checked_sub(HEAD_LEN + shape.iv + shape.icv).ok_or(Drop::Length)?;
        if sealed == 0 || sealed % shape.block != 0 {
            return Err(Drop::Length);
        }
        let sequence = u32::from_be_bytes(*esp[4..].first_chunk().expect("the length was checked"));
        self.windows[pair as usize].check(sequence)?;
        let start = out.len();
        self.transform.verify(esp, out)?;
        let newest = self.windows[pair as usize].update(sequence);
        if let (Some(tunnel), Carrier::Udp { source_port, .. }) = (&mut self.tunnel, carrier) {
            if tunnel.there != source {
                return Err(Drop::Selector);
            }
            // The NAT may have chosen another port since (RFC 3948 clause 3.1.1 and RFC 7296 clause 2.23).
            if newest && !self.at_ue {
                tunnel.port_there = Some(source_port);
            }
        }
        self.transform.decrypt(&esp[HEAD_LEN..HEAD_LEN + shape.iv], &mut out[start..]);
        let (len, next_header) = trailer(&out[start..])?;
        out.truncate(start + len);
        Ok(next_header)
    }

    pub(super) const fn count_sealed(&mut self, octets: usize) {
        self.sealed_octets += octets as u64;
    }

    pub(super) const fn count_opened(&mut self, octets: usize) {
        self.opened += 1;
        self.opened_octets += octets as u64;
    }

    pub(super) fn count_drop(&mut self, reason: Drop) {
        self.drops.get_or_insert_default().count(reason);
    }

    pub(super) fn counters(&self) -> Counters {
        let Self { sealed_octets, opened, opened_octets, .. } = *self;
        // Every packet took a sequence number.
        let sealed = self.sent.iter().map(|sent| u64::from(*sent)).sum();
        let drops = self.drops.as_deref().copied().unwrap_or_default();
        Counters { sealed, sealed_octets, opened, opened_octets, drops }
    }

    /// Lets tests come near the end of the numbers.
    #[cfg(test)]
    pub(super) const fn set_sent(&mut self, pair: PortPair, sent: u32) {
        self.sent[pair as usize] = sent;
    }
}

/// How long the payload is that ends in padding and trailer, and its next header.
pub(super) fn trailer(clear: &[u8]) -> Result<(usize, u8), Drop> {
    let &[.., padding, next_header] = clear else { return Err(Drop::Length) };
    let padding = usize::from(padding);
    let len = clear.len().checked_sub(TRAILER_LEN + padding).ok_or(Drop::Padding)?;
    if clear[len..][..padding] != PADDING[..padding] {
        return Err(Drop::Padding);
    }
    Ok((len, next_header))
}

/// RFC 4303 clause 2.4: 1, 2, 3, ...
const PADDING: [u8; 255] = {
    let mut octets = [0; 255];
    let mut at = 0;
    while at < octets.len() {
        octets[at] = at as u8 + 1;
        at += 1;
    }
    octets
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What a set costs is told in docs/ipsec.md.
    #[test]
    fn a_set_is_small() {
        assert!(size_of::<Set>() <= 120, "{}", size_of::<Set>());
    }
}
