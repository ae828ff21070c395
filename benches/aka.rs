//! The cryptography of one AKA registration: `cargo bench --bench aka`.

use imsreg::aka::digest::{Algorithm, Inputs, Secret, response};
use imsreg::aka::milenage::Milenage;
use imsreg::aka::tuak::TuakKeys;
use imsreg::aka::usim::Usim;
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Op};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let k = K([0x46; 16]);
    let opc = Milenage::opc(&k, &Op([0xcd; 16]));
    let milenage = SubscriberKeys::Milenage { k: k.clone(), opc };
    let tuak = SubscriberKeys::Tuak(Box::new(TuakKeys::new(&[0x46; 16], [0xcd; 32], 8, 1).expect("sound lengths")));
    let xor = SubscriberKeys::Xor { k };
    for (name, keys) in [("Milenage", &milenage), ("TUAK", &tuak), ("XOR", &xor)] {
        measure(&format!("vector, {name}"), |n| Vector::compute(black_box(keys), rand(n), n << 5, [0x80, 0]));
    }
    let mut usim = Usim::new(milenage.clone(), 0);
    measure("USIM, vector and verdict, Milenage", |n| {
        let vector = Vector::compute(&milenage, rand(n), (n + 1) << 5, [0x80, 0]);
        usim.authenticate(&vector.rand, &vector.autn)
    });
    let inputs = |algorithm| Inputs {
        algorithm,
        username: "001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
        realm: "ims.mnc001.mcc001.3gppnetwork.org",
        nonce: "I1U8vpY3qJ0hiuZNrke/NVXzKLQ1d4AAWbzqV2g3FSs=",
        uri: "sip:ims.mnc001.mcc001.3gppnetwork.org",
        method: "REGISTER",
        qop: None,
        body: b"",
    };
    for algorithm in [Algorithm::AkaV1Md5, Algorithm::AkaV2Md5, Algorithm::AkaV1Sha256] {
        measure(&format!("response, {}", algorithm.as_str()), |n| {
            let secret = Secret::Aka { res: &n.to_be_bytes(), ik: &[1; 16], ck: &[2; 16] };
            response(black_box(&inputs(algorithm)), secret)
        });
    }
}

fn rand(n: u64) -> [u8; 16] {
    (u128::from(n) << 64 | u128::from(!n)).to_be_bytes()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn measure<T>(name: &str, mut run: impl FnMut(u64) -> T) {
    const ROUNDS: u64 = 200_000;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for n in 0..ROUNDS {
            black_box(run(black_box(n)));
        }
        best = best.min(start.elapsed().as_secs_f64() / ROUNDS as f64);
        // The USIM takes each SQN once: later rounds would measure refusals.
        if name.starts_with("USIM") {
            break;
        }
    }
    println!("{name:40} {:7.0} ns", best * 1e9);
}
