//! The XOR test algorithm (TS 34.108 clause 8.1.2), for test USIMs: RES has 16 octets, f1* is f1 and f5* is f5.

use super::{Ck, Ik, K};

/// f2 to f5 for one RAND.
pub(super) fn f2345(k: &K, rand: &[u8; 16]) -> ([u8; 16], Ck, Ik, [u8; 6]) {
    let xd = xd(k, rand);
    let rotated = |octets| {
        let mut out = xd;
        out.rotate_left(octets);
        out
    };
    let third = rotated(3);
    (xd, Ck(rotated(1)), Ik(rotated(2)), std::array::from_fn(|i| third[i]))
}

/// f1 and f1*: the first half of XD under SQN and AMF.
pub(super) fn f1(k: &K, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; 8] {
    let mut mac = [0; 8];
    mac[..6].copy_from_slice(&sqn.to_be_bytes()[2..]);
    mac[6..].copy_from_slice(&amf);
    for (m, x) in mac.iter_mut().zip(xd(k, rand)) {
        *m ^= x;
    }
    mac
}

fn xd(k: &K, rand: &[u8; 16]) -> [u8; 16] {
    std::array::from_fn(|i| k.0[i] ^ rand[i])
}
