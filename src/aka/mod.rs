//! Authentication and key agreement: TS 33.102, TS 35.206 (Milenage), TS 35.231 (TUAK), TS 34.108 (XOR), RFC 3310 and
//! RFC 4169 (digest AKA), RFC 2617 and RFC 7616 (digest).

pub mod digest;
pub mod milenage;
pub mod trial;
pub mod tuak;
pub mod usim;
pub mod vector;
pub mod xor;

mod secret;

pub use secret::{Ck, Ha1, Ik, K, Op, Opc, Password, Xres};
