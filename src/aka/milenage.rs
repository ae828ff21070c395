//! Milenage (TS 35.206).

use super::{Ck, Ik, K, Op, Opc};
use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Milenage under one K and OPc: the key schedule is made once and serves all functions.
#[derive(Clone)]
pub struct Milenage {
    cipher: Aes128Enc,
    opc: Opc,
}

/// f2, f3, f4, f5 for one RAND.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct F2345 {
    pub res: [u8; 8],
    pub ck: Ck,
    pub ik: Ik,
    pub ak: [u8; 6],
}

impl Milenage {
    /// With OPc.
    pub fn new(k: &K, opc: &Opc) -> Self {
        Self { cipher: cipher(k), opc: opc.clone() }
    }

    /// OPc = E(OP) xor OP.
    pub fn opc(k: &K, op: &Op) -> Opc {
        let mut block = Array::from(op.0);
        cipher(k).encrypt_block(&mut block);
        Opc(xor(block.into(), &op.0))
    }

    /// f1 (MAC-A) and f1* (MAC-S).
    pub fn f1(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> ([u8; 8], [u8; 8]) {
        let mut blocks = [Array::from(self.block1(&self.temp(rand), sqn, amf))];
        self.cipher.encrypt_blocks(&mut blocks);
        let out1 = self.output(blocks[0].into());
        (part(&out1, 0), part(&out1, 8))
    }

    /// f2 to f5.
    pub fn f2345(&self, rand: &[u8; 16]) -> F2345 {
        let temp = self.temp(rand);
        let mut blocks =
            [Array::from(self.block2(&temp)), Array::from(self.block3(&temp)), Array::from(self.block4(&temp))];
        self.cipher.encrypt_blocks(&mut blocks);
        self.f2345_of(blocks.map(Into::into))
    }

    /// MAC-A with f2 to f5: what a vector needs. One call is cheaper than two, the blocks run side by side.
    pub fn f1_to_f5(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> ([u8; 8], F2345) {
        let temp = self.temp(rand);
        let mut blocks = [
            Array::from(self.block1(&temp, sqn, amf)),
            Array::from(self.block2(&temp)),
            Array::from(self.block3(&temp)),
            Array::from(self.block4(&temp)),
        ];
        self.cipher.encrypt_blocks(&mut blocks);
        let [one, two, three, four] = blocks.map(Into::into);
        (part(&self.output(one), 0), self.f2345_of([two, three, four]))
    }

    /// f5*: AK for AUTS.
    pub fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        let mut block = Array::from(self.offset(&self.temp(rand), 12, 8));
        self.cipher.encrypt_block(&mut block);
        part(&self.output(block.into()), 0)
    }

    fn temp(&self, rand: &[u8; 16]) -> [u8; 16] {
        let mut block = Array::from(xor(*rand, &self.opc.0));
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    /// Input of OUT1: r1 is 64 bits, c1 is zero.
    fn block1(&self, temp: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; 16] {
        let mut in1 = [0; 16];
        in1[..6].copy_from_slice(&sqn.to_be_bytes()[2..]);
        in1[6..8].copy_from_slice(&amf);
        in1.copy_within(..8, 8);
        let mut rotated = xor(in1, &self.opc.0);
        rotated.rotate_left(8);
        xor(rotated, temp)
    }

    fn block2(&self, temp: &[u8; 16]) -> [u8; 16] {
        self.offset(temp, 0, 1)
    }

    fn block3(&self, temp: &[u8; 16]) -> [u8; 16] {
        self.offset(temp, 4, 2)
    }

    fn block4(&self, temp: &[u8; 16]) -> [u8; 16] {
        self.offset(temp, 8, 4)
    }

    /// rot(TEMP xor OPc, r) xor c, r in octets and c as its last octet.
    fn offset(&self, temp: &[u8; 16], r: usize, c: u8) -> [u8; 16] {
        let mut block = xor(*temp, &self.opc.0);
        block.rotate_left(r);
        block[15] ^= c;
        block
    }

    fn output(&self, block: [u8; 16]) -> [u8; 16] {
        xor(block, &self.opc.0)
    }

    fn f2345_of(&self, [two, three, four]: [[u8; 16]; 3]) -> F2345 {
        let out2 = self.output(two);
        F2345 { res: part(&out2, 8), ck: Ck(self.output(three)), ik: Ik(self.output(four)), ak: part(&out2, 0) }
    }
}

impl std::fmt::Debug for Milenage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Milenage(..)")
    }
}

impl std::fmt::Debug for F2345 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("F2345(..)")
    }
}

fn cipher(k: &K) -> Aes128Enc {
    Aes128Enc::new(&Array::from(k.0))
}

fn xor(a: [u8; 16], b: &[u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(*b)).to_ne_bytes()
}

fn part<const N: usize>(block: &[u8; 16], at: usize) -> [u8; N] {
    std::array::from_fn(|i| block[at + i])
}
