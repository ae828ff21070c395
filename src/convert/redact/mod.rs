//! Replacements for what identifies anybody: the same value always by the same one, so that all that is equal in a trace
//! stays equal.
//!
//! IMSI, MSISDN, IMEI, names of users, addresses, CK, IK, XRES and HA1 go. Ports, SPIs, domains, tags, branches, nonces
//! and times stay. A response is calculated anew where a key is known that it was right under; ESP is sealed anew where
//! the trace itself reveals CK and IK, under those that stand in their place.

mod address;
mod cipher;
mod diameter;
mod scan;
mod sip;
mod vectors;

use crate::aka::vector::SubscriberKeys;
use crate::ipsec::association::{Algorithms, Encryption};
use crate::packet::Protocol;
use crate::trace::keys::Keyring;
use crate::trace::{Connection, Ends, Esp, Icv, Message, OpenedBy, Protection, Seen, Sighting};
use cipher::{Cipher, Class};
use scan::Scan;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use vectors::Vectors;

/// Replaces what a trace shows, sighting by sighting.
pub struct Redactor {
    scan: Scan,
    vectors: Vectors,
    /// What the redacted messages reveal: keys for ESP.
    keys: Keyring,
    /// By SPI.
    algorithms: HashMap<u32, Algorithms>,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    digests: u64,
    bodies: u64,
    unsealed: u64,
}

impl Redactor {
    /// Under a key that nobody knows.
    pub fn new(key: [u8; 32]) -> Self {
        Self::of(Cipher::new(key))
    }

    /// Under a key that follows from a text: the same replacements in every trace.
    pub fn with_seed(seed: &str) -> Self {
        Self::of(Cipher::of_seed(seed))
    }

    fn of(cipher: Cipher) -> Self {
        let vectors = Vectors::new(cipher.clone());
        Self {
            scan: Scan::new(cipher),
            vectors,
            keys: Keyring::new(),
            algorithms: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Keys of the subscriber with this private identity, or of everybody: responses are calculated anew.
    pub fn add_subscriber(&mut self, impi: Option<String>, keys: SubscriberKeys) {
        self.vectors.add_subscriber(impi, keys);
    }

    /// Replaces. What could not be kept is said.
    pub fn redact(&mut self, sighting: &mut Sighting) -> Option<String> {
        match &mut sighting.seen {
            Seen::Message(message) => self.message(message),
            Seen::Connection(Connection { ends, protection, .. }) => {
                *ends = self.ends(*ends);
                *protection = self.protection(*protection);
                None
            }
            Seen::Sealed(sealed) => {
                sealed.from = self.address(sealed.from);
                sealed.to = self.address(sealed.to);
                if sealed.esp.len() > HEAD_LEN {
                    let noise = self.scan.noise(&sealed.esp[HEAD_LEN..]);
                    sealed.esp[HEAD_LEN..].copy_from_slice(&noise);
                }
                None
            }
            Seen::Verified(verified) => {
                verified.to = self.address(verified.to);
                None
            }
            Seen::Lost(lost) => {
                (lost.from, lost.to) = (self.address(lost.from), self.address(lost.to));
                None
            }
            Seen::Unread(_) => None,
        }
    }

    /// Seals what was in an ESP packet: appends it from SPI to ICV. False where no key is known to everybody.
    pub fn seal(
        &mut self,
        esp: &Esp,
        from: IpAddr,
        to: IpAddr,
        protocol: u8,
        segment: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let iv = self.scan.cipher.octets(Class::Octets, &[&esp.spi.to_be_bytes(), &esp.sequence.to_be_bytes()], 16);
        let iv = iv.first_chunk().copied().unwrap_or_default();
        let start = out.len();
        let mut is_sealed = false;
        if esp.icv != Icv::Unknown
            && let Some(mut algorithms) = self.algorithms.get(&esp.spi).copied()
        {
            if esp.by == OpenedBy::Trial && algorithms.encryption != Encryption::AesGcm {
                algorithms.encryption = Encryption::Null;
            }
            is_sealed = self.keys.seal((esp.spi, esp.sequence), (from, to), algorithms, &iv, (protocol, segment), out);
        }
        if !is_sealed {
            if esp.by != OpenedBy::Trial {
                return false;
            }
            // Nothing encrypted, and an ICV that nobody can judge.
            in_clear(esp, protocol, segment, out);
            out.extend(self.scan.noise(&iv).into_iter().take(12));
        }
        if esp.icv == Icv::Wrong && out.len() > start {
            let last = out.len() - 1;
            out[last] ^= 1;
        }
        true
    }

    /// What was done, line by line.
    pub fn lines(&self) -> Vec<String> {
        let counts = [
            (self.scan.count, "identities and addresses replaced"),
            (self.scan.addresses.count() as u64, "different addresses and prefixes"),
            (self.counts.digests, "messages whose digest no longer verifies: no key was known for it"),
            (self.counts.bodies, "bodies that are no text, made of zeros now"),
            (
                self.counts.unsealed,
                "messages out of ESP whose keys the trace does not reveal, on the interface clear now",
            ),
        ];
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }

    fn message(&mut self, message: &mut Message) -> Option<String> {
        message.ends = message.ends.map(|ends| self.ends(ends));
        let was_esp = matches!(message.protection, Protection::Esp(_));
        message.protection = self.protection(message.protection);
        self.counts.unsealed += u64::from(was_esp && message.protection == Protection::Unknown);
        let mut comment = None;
        message.bytes = match message.protocol {
            Protocol::Diameter => diameter::message(&mut self.scan, &mut self.vectors, &message.bytes),
            Protocol::Sip => {
                let (bytes, lost) = sip::message(&mut self.scan, &self.vectors, &message.bytes);
                self.counts.digests += u64::from(lost.digest);
                self.counts.bodies += u64::from(lost.body);
                comment = match (lost.digest, lost.body) {
                    (true, false) => Some("redacted: its digest no longer verifies"),
                    (true, true) => Some("redacted: its digest no longer verifies, its body is made of zeros"),
                    (false, true) => Some("redacted: its body is made of zeros"),
                    (false, false) => None,
                };
                bytes
            }
        };
        if !message.cut {
            self.keys.learn_from(message);
        }
        comment.map(str::to_owned)
    }

    /// ESP under keys that only a file or K tells cannot be sealed so that somebody else opens it.
    fn protection(&mut self, protection: Protection) -> Protection {
        match protection {
            Protection::Esp(Esp { by: OpenedBy::KeyFile | OpenedBy::Computed, .. }) => Protection::Unknown,
            Protection::Esp(esp) => {
                if self.algorithms.len() >= MOST_SPIS {
                    self.algorithms.clear();
                }
                self.algorithms.extend(esp.pair.map(|pair| (esp.spi, pair)));
                protection
            }
            Protection::Clear | Protection::Set(_) | Protection::Unknown => protection,
        }
    }

    fn ends(&mut self, ends: Ends) -> Ends {
        let mut of = |end: SocketAddr| SocketAddr::new(self.address(end.ip()), end.port());
        Ends { from: of(ends.from), to: of(ends.to), transport: ends.transport }
    }

    fn address(&mut self, address: IpAddr) -> IpAddr {
        self.scan.addresses.replace(&self.scan.cipher, address)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// An ESP packet that nothing encrypts, up to its ICV (RFC 4303 clause 2).
fn in_clear(esp: &Esp, protocol: u8, segment: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&esp.spi.to_be_bytes());
    out.extend_from_slice(&esp.sequence.to_be_bytes());
    out.extend_from_slice(segment);
    let padding = (out.len() - start + 2).next_multiple_of(4) - (out.len() - start + 2);
    out.extend((1..=padding).map(|octet| octet as u8));
    out.push(padding as u8);
    out.push(protocol);
}

const HEAD_LEN: usize = 8;
const MOST_SPIS: usize = 1 << 17;
