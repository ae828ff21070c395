//! TUAK (TS 35.231): every function is Keccak-f\[1600\] over one block.

use super::Xres;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// K, TOPc and the lengths in use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TuakKeys {
    k: [u8; 32],
    k_is_256_bits: bool,
    topc: [u8; 32],
    res_len: u8,
    iterations: u8,
}

/// f2 to f5 for one RAND, CK of `C` octets and IK of `I` octets.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct TuakOutputs<const C: usize, const I: usize> {
    pub res: Xres,
    pub ck: [u8; C],
    pub ik: [u8; I],
    pub ak: [u8; 6],
}

impl TuakKeys {
    /// `None` unless K has 16 or 32 octets, RES 4, 8, 16 or 32, and there is at least one iteration.
    pub fn new(k: &[u8], topc: [u8; 32], res_len: u8, iterations: u8) -> Option<Self> {
        let sound = matches!(k.len(), 16 | 32) && matches!(res_len, 4 | 8 | 16 | 32) && iterations > 0;
        sound.then(|| {
            let mut out = Self { k: [0; 32], k_is_256_bits: k.len() == 32, topc, res_len, iterations };
            out.k[..k.len()].copy_from_slice(k);
            out
        })
    }

    /// The same with TOP, from which TOPc is computed.
    pub fn with_top(k: &[u8], top: [u8; 32], res_len: u8, iterations: u8) -> Option<Self> {
        let mut keys = Self::new(k, top, res_len, iterations)?;
        // While TOPc is computed, TOP stands in its place (TS 35.231 clause 6.1).
        let state = keys.permuted(0x00, &[0; 16], 0, [0; 2]);
        keys.topc = field(&state, 0);
        Some(keys)
    }

    /// The first 16 octets of K, which another algorithm would take.
    pub(super) fn first_half_of_k(&self) -> [u8; 16] {
        std::array::from_fn(|i| self.k[i])
    }

    /// TOPc.
    pub fn topc(&self) -> &[u8; 32] {
        &self.topc
    }

    /// f1 (MAC-A) of 8, 16 or 32 octets.
    pub fn f1<const N: usize>(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; N] {
        field(&self.permuted(const { mac_length(N) }, rand, sqn, amf), 0)
    }

    /// f1* (MAC-S) of 8, 16 or 32 octets.
    pub fn f1_star<const N: usize>(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; N] {
        field(&self.permuted(0x80 | const { mac_length(N) }, rand, sqn, amf), 0)
    }

    /// f2 to f5, CK and IK of 16 or 32 octets each.
    pub fn f2345<const C: usize, const I: usize>(&self, rand: &[u8; 16]) -> TuakOutputs<C, I> {
        let res = match self.res_len {
            4 => 0x00,
            8 => 0x08,
            16 => 0x10,
            _ => 0x20,
        };
        let instance = 0x40 | res | if C == 32 { 0x04 } else { 0 } | if I == 32 { 0x02 } else { 0 };
        let state = self.permuted(instance, rand, 0, [0; 2]);
        let len = usize::from(self.res_len);
        let mut octets = [0; 32];
        for (to, from) in octets.iter_mut().zip(state[..len].iter().rev()) {
            *to = *from;
        }
        let res = Xres::new(&octets[..len]).expect("4 to 32 octets");
        octets.zeroize();
        TuakOutputs { res, ck: field(&state, 32), ik: field(&state, 64), ak: field(&state, 96) }
    }

    /// f5*: AK for AUTS.
    pub fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        field(&self.permuted(0xc0, rand, 0, [0; 2]), 96)
    }

    /// The state after the permutations (TS 35.231 clause 7).
    fn permuted(&self, instance: u8, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; 200] {
        let mut octets = [0; 200];
        put(&mut octets, 0, &self.topc);
        octets[32] = instance | u8::from(self.k_is_256_bits);
        put(&mut octets, 33, b"TUAK1.0");
        put(&mut octets, 40, rand);
        put(&mut octets, 56, &amf);
        put(&mut octets, 58, &sqn.to_be_bytes()[2..]);
        put(&mut octets, 64, &self.k[..if self.k_is_256_bits { 32 } else { 16 }]);
        octets[96] = 0x1f;
        octets[135] = 0x80;
        let mut lanes = [0; 25];
        for (lane, chunk) in lanes.iter_mut().zip(octets.chunks_exact(8)) {
            *lane = u64::from_le_bytes(chunk.try_into().expect("eight octets"));
        }
        keccak::Keccak::new().with_f1600(|f1600| {
            for _ in 0..self.iterations {
                f1600(&mut lanes);
            }
        });
        for (lane, chunk) in lanes.iter().zip(octets.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&lane.to_le_bytes());
        }
        lanes.zeroize();
        octets
    }
}

impl std::fmt::Debug for TuakKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TuakKeys(..)")
    }
}

impl<const C: usize, const I: usize> std::fmt::Debug for TuakOutputs<C, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TuakOutputs(..)")
    }
}

/// INSTANCE of a MAC of `octets` octets.
const fn mac_length(octets: usize) -> u8 {
    match octets {
        8 => 0x08,
        16 => 0x10,
        32 => 0x20,
        _ => panic!("a MAC of TUAK has 8, 16 or 32 octets"),
    }
}

/// Every field of the state holds its octets in reversed order.
fn put(state: &mut [u8; 200], at: usize, value: &[u8]) {
    for (to, from) in state[at..].iter_mut().zip(value.iter().rev()) {
        *to = *from;
    }
}

fn field<const N: usize>(state: &[u8; 200], at: usize) -> [u8; N] {
    std::array::from_fn(|i| state[at + N - 1 - i])
}
