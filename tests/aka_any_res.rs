//! RES may hold any octet, NUL, colon, CR and LF included: 100,000 vectors, each from the AuC through the USIM to the
//! verdict of the S-CSCF.

use data_encoding::BASE64;
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use imsreg::aka::milenage::Milenage;
use imsreg::aka::tuak::TuakKeys;
use imsreg::aka::usim::{Usim, Verdict};
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Op, Xres};
use imsreg::random::Random;

#[test]
fn any_res_verifies() {
    let mut random = Random::seeded(0x3310);
    let mut with_zero = 0;
    for n in 0..100_000_u64 {
        let keys = keys(n, &mut random);
        let sqn = (n + 1) << 5;
        let vector = Vector::compute(&keys, random.bytes(), sqn, random.bytes());
        let Verdict::Accepted { res, ck, ik, .. } = Usim::new(keys, n << 5).authenticate(&vector.rand, &vector.autn)
        else {
            panic!("vector {n} was not accepted");
        };
        let nonce = BASE64.encode(&[vector.rand, vector.autn].concat());
        let inputs = inputs(n, &nonce);
        let answer = response(&inputs, Secret::Aka { res: res.as_slice(), ik: &ik.0, ck: &ck.0 });
        let right = |xres: &Xres| {
            let secret = Secret::Aka { res: xres.as_slice(), ik: &vector.ik.0, ck: &vector.ck.0 };
            response(&inputs, secret).matches(answer.as_str())
        };
        assert!(right(&vector.xres), "vector {n}");
        // An implementation that ends RES at its first NUL would take the rest of it for the same.
        if let Some(zero) = res.as_slice().iter().position(|octet| *octet == 0) {
            with_zero += 1;
            if let Some(cut) = Xres::new(&res.as_slice()[..zero]) {
                assert!(!right(&cut), "vector {n}");
            }
        }
    }
    assert!(with_zero > 2_000, "{with_zero} RES with a NUL octet are too few to show anything");
}

fn keys(n: u64, random: &mut Random) -> SubscriberKeys {
    match n % 10 {
        0 => {
            let res_len = [4, 8, 16, 32][(n / 10 % 4) as usize];
            SubscriberKeys::Tuak(Box::new(TuakKeys::new(&random.bytes::<32>(), random.bytes(), res_len, 1).unwrap()))
        }
        1 => SubscriberKeys::Xor { k: K(random.bytes()) },
        _ => {
            let k = K(random.bytes());
            let opc = Milenage::opc(&k, &Op(random.bytes()));
            SubscriberKeys::Milenage { k, opc }
        }
    }
}

fn inputs(n: u64, nonce: &str) -> Inputs<'_> {
    let algorithms =
        [Algorithm::AkaV1Md5, Algorithm::AkaV2Md5, Algorithm::AkaV1Sha256, Algorithm::AkaV2Sha256, Algorithm::AkaV1Md5];
    let qop = Qop { auth_int: n.is_multiple_of(3), nc: "00000001", cnonce: "6b8b4567" };
    Inputs {
        algorithm: algorithms[(n % 5) as usize],
        username: "001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
        realm: "ims.mnc001.mcc001.3gppnetwork.org",
        nonce,
        uri: "sip:ims.mnc001.mcc001.3gppnetwork.org",
        method: "REGISTER",
        qop: n.is_multiple_of(2).then_some(qop),
        body: b"",
    }
}
