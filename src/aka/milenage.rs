//! Milenage (TS 35.206).

use super::{Ck, Ik, K, Op, Opc};

/// Milenage under one K and OPc.
#[derive(Clone, Debug)]
pub struct Milenage {
    _opc: Opc,
}

/// f2, f3, f4, f5 for one RAND.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct F2345 {
    pub res: [u8; 8],
    pub ck: Ck,
    pub ik: Ik,
    pub ak: [u8; 6],
}

impl Milenage {
    /// With OPc.
    pub fn new(_k: &K, opc: &Opc) -> Self {
        Self { _opc: opc.clone() }
    }

    /// OPc = E(OP) xor OP.
    pub fn opc(_k: &K, _op: &Op) -> Opc {
        todo!()
    }

    /// f1 (MAC-A) and f1* (MAC-S).
    pub fn f1(&self, _rand: &[u8; 16], _sqn: u64, _amf: [u8; 2]) -> ([u8; 8], [u8; 8]) {
        todo!()
    }

    /// f2 to f5.
    pub fn f2345(&self, _rand: &[u8; 16]) -> F2345 {
        todo!()
    }

    /// f5*: AK for AUTS.
    pub fn f5_star(&self, _rand: &[u8; 16]) -> [u8; 6] {
        todo!()
    }
}
