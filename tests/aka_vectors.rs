//! Published and computed test vectors of `tests/data`, each file whole: TS 35.207/35.208 (Milenage), TS 35.233 (TUAK),
//! AUTS, RFC 3310 and RFC 4169 (digest AKA), RFC 2617 and RFC 7616 (digest), RFC 2202 (HMAC), TS 33.203 annex I.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response, rspauth};
use imsreg::aka::milenage::Milenage;
use imsreg::aka::tuak::{TuakKeys, TuakOutputs};
use imsreg::aka::usim::{Usim, Verdict};
use imsreg::aka::vector::{SubscriberKeys, Vector, open_auts};
use imsreg::aka::{Ck, Ik, K, Op, Opc};
use imsreg::ipsec::association::{Encryption, Integrity};
use imsreg::ipsec::keys::{encryption_key, integrity_key};
use serde_json::Value;

/// TS 35.207 and TS 35.208: all functions, OPc from OP, and the derived AUTN.
#[test]
fn milenage() {
    let file = file(include_str!("data/milenage.json"));
    let sets = list(&file, "sets");
    assert_eq!(sets.len(), 20);
    for set in sets {
        let (k, rand, amf) = (K(hex(set, "k")), hex(set, "rand"), hex(set, "amf"));
        let sqn = sqn(set, "sqn");
        let opc = Milenage::opc(&k, &Op(hex(set, "op")));
        assert_eq!(opc.0, hex::<16>(set, "opc"), "{}", set["id"]);
        let milenage = Milenage::new(&k, &opc);
        assert_eq!(milenage.f1(&rand, sqn, amf), (hex(set, "f1_mac_a"), hex(set, "f1star_mac_s")), "{}", set["id"]);
        let out = milenage.f2345(&rand);
        assert_eq!(
            (out.res, out.ck.0, out.ik.0, out.ak, milenage.f5_star(&rand)),
            (hex(set, "f2_res"), hex(set, "f3_ck"), hex(set, "f4_ik"), hex(set, "f5_ak"), hex(set, "f5star_ak")),
            "{}",
            set["id"]
        );
        let vector = Vector::compute(&SubscriberKeys::Milenage { k, opc }, rand, sqn, amf);
        assert_eq!(vector.autn, hex::<16>(set, "autn"), "{}", set["id"]);
        assert_eq!(vector.xres.as_slice(), octets(set, "f2_res"));
        assert_eq!((vector.ck.0, vector.ik.0), (hex(set, "f3_ck"), hex(set, "f4_ik")));
    }
}

/// TS 35.233 sets 1 to 6: all lengths of K, MAC, RES, CK and IK.
#[test]
fn tuak() {
    let file = file(include_str!("data/tuak.json"));
    let sets = list(&file, "sets");
    assert_eq!(sets.len(), 6);
    for set in sets {
        let (rand, amf, sqn) = (hex(set, "rand"), hex(set, "amf"), sqn(set, "sqn"));
        let number = |name: &str| u8::try_from(set[name].as_u64().unwrap()).unwrap();
        let res_len = octets(set, "f2_res").len().try_into().unwrap();
        let keys =
            TuakKeys::with_top(&octets(set, "k"), hex(set, "top"), res_len, number("keccak_iterations")).unwrap();
        assert_eq!(keys.topc(), &hex::<32>(set, "topc"), "{}", set["id"]);
        let (mac_a, mac_s) = match octets(set, "f1_mac_a").len() {
            8 => (keys.f1::<8>(&rand, sqn, amf).to_vec(), keys.f1_star::<8>(&rand, sqn, amf).to_vec()),
            16 => (keys.f1::<16>(&rand, sqn, amf).to_vec(), keys.f1_star::<16>(&rand, sqn, amf).to_vec()),
            _ => (keys.f1::<32>(&rand, sqn, amf).to_vec(), keys.f1_star::<32>(&rand, sqn, amf).to_vec()),
        };
        assert_eq!((mac_a, mac_s), (octets(set, "f1_mac_a"), octets(set, "f1star_mac_s")), "{}", set["id"]);
        match (octets(set, "f3_ck").len(), octets(set, "f4_ik").len()) {
            (16, 16) => tuak_outputs::<16, 16>(set, keys.f2345(&rand)),
            (16, _) => tuak_outputs::<16, 32>(set, keys.f2345(&rand)),
            (_, 16) => tuak_outputs::<32, 16>(set, keys.f2345(&rand)),
            _ => tuak_outputs::<32, 32>(set, keys.f2345(&rand)),
        }
        assert_eq!(keys.f5_star(&rand), hex(set, "f5star_ak"), "{}", set["id"]);
    }
}

fn tuak_outputs<const C: usize, const I: usize>(set: &Value, out: TuakOutputs<C, I>) {
    assert_eq!(
        (out.res.as_slice(), out.ck, out.ik, out.ak),
        (&octets(set, "f2_res")[..], hex(set, "f3_ck"), hex(set, "f4_ik"), hex(set, "f5_ak")),
        "{}",
        set["id"]
    );
}

/// Resynchronisation from the challenge to the HSS, with the digest over an empty password (RFC 3310 clause 3.4).
#[test]
fn auts() {
    let file = file(include_str!("data/auts.json"));
    let vectors = list(&file, "vectors");
    assert_eq!(vectors.len(), 20);
    for v in vectors {
        let keys = SubscriberKeys::Milenage { k: K(hex(v, "k")), opc: Opc(hex(v, "opc")) };
        let (rand, sqn_ms, challenge) = (hex(v, "rand"), sqn(v, "sqn_ms"), &v["challenge"]);
        let vector = Vector::compute(&keys, rand, sqn(challenge, "sqn_he"), hex(challenge, "amf"));
        assert_eq!(vector.autn, hex::<16>(challenge, "autn"), "{}", v["id"]);
        assert_eq!(keys.mac_s(&rand, sqn_ms), hex(v, "mac_s"), "{}", v["id"]);
        assert_eq!(keys.ak_star(&rand), hex(v, "ak_star"), "{}", v["id"]);

        let verdict = Usim::new(keys.clone(), sqn_ms).authenticate(&rand, &vector.autn);
        let Verdict::SynchronisationFailure { auts, sqn_ms: said, .. } = verdict else { panic!("{}", v["id"]) };
        assert_eq!((auts, said), (hex(v, "auts"), sqn_ms), "{}", v["id"]);
        assert_eq!(BASE64.encode(&auts), text(v, "auts_base64"));
        assert_eq!(open_auts(&keys, &rand, &auts).unwrap().sqn_ms, sqn_ms, "{}", v["id"]);
        assert_eq!(open_auts(&keys, &rand, &hex(v, "auts_bad_mac")), None, "{}", v["id"]);

        let qop = Qop { auth_int: false, nc: text(v, "nc"), cnonce: text(v, "cnonce") };
        for (qop, expected) in [(None, "response_empty_password_noqop"), (Some(qop), "response_empty_password_auth")] {
            let inputs = Inputs { nonce: text(challenge, "nonce"), qop, ..inputs(v, Algorithm::AkaV1Md5) };
            assert_eq!(response(&inputs, Secret::Password(b"")).as_str(), text(v, expected), "{}", v["id"]);
        }
    }
}

/// RFC 3310 and RFC 4169 end to end: vector, USIM, nonce, response.
#[test]
fn digest_aka() {
    let file = file(include_str!("data/aka_digest.json"));
    let vectors = list(&file, "vectors");
    assert_eq!(vectors.len(), 53);
    for v in vectors {
        let keys = SubscriberKeys::Milenage { k: K(hex(v, "k")), opc: Opc(hex(v, "opc")) };
        digest_aka_case(v, &keys, octets(v, "server_data"));
    }
}

/// Two AKAv1-MD5 results of an unrelated calculator, with the XOR algorithm of TS 34.108 and NUL octets in RES.
#[test]
fn digest_aka_third_party() {
    let file = file(include_str!("data/aka_digest.json"));
    let cases = list(&file, "third_party");
    assert_eq!(cases.len(), 2);
    for v in cases {
        digest_aka_case(v, &SubscriberKeys::Xor { k: K(hex(v, "k")) }, Vec::new());
    }
}

fn digest_aka_case(v: &Value, keys: &SubscriberKeys, server_data: Vec<u8>) {
    let vector = Vector::compute(keys, hex(v, "rand"), sqn(v, "sqn"), hex(v, "amf"));
    assert_eq!(vector.autn, hex::<16>(v, "autn"), "{}", v["id"]);
    let nonce = BASE64.encode(&[&vector.rand[..], &vector.autn[..], &server_data].concat());
    assert_eq!(nonce, text(v, "nonce"), "{}", v["id"]);
    let out = keys.outputs(&vector.rand);
    assert_eq!((out.res.as_slice(), out.ck.0, out.ik.0), (&octets(v, "res")[..], hex(v, "ck"), hex(v, "ik")));
    assert_eq!((&vector.xres, &vector.ck, &vector.ik), (&out.res, &out.ck, &out.ik));

    let inputs = inputs(v, algorithm(v));
    let secret = Secret::Aka { res: out.res.as_slice(), ik: &out.ik.0, ck: &out.ck.0 };
    assert!(response(&inputs, secret).matches(text(v, "response")), "{}", v["id"]);
    if let Some(password) = v["password_hex"].as_str() {
        let password = HEXLOWER.decode(password.as_bytes()).unwrap();
        assert_eq!(response(&inputs, Secret::Password(&password)).as_str(), text(v, "response"), "{}", v["id"]);
    }
    if let Some(ha1) = v["ha1"].as_str() {
        assert_eq!(response(&inputs, Secret::Ha1(ha1)).as_str(), text(v, "response"), "{}", v["id"]);
    }
}

/// RFC 2617 clause 3.5, RFC 7616 clause 3.9, responses of recorded devices, rspauth.
#[test]
fn digest() {
    let file = file(include_str!("data/digest.json"));
    let vectors = list(&file, "vectors");
    assert_eq!(vectors.len(), 15);
    for v in vectors {
        let inputs = inputs(v, algorithm(v));
        for secret in [Secret::Password(text(v, "password").as_bytes()), Secret::Ha1(text(v, "ha1"))] {
            assert_eq!(response(&inputs, secret).as_str(), text(v, "response"), "{}", v["id"]);
            // `rspauth_empty_body` is misnamed: it was computed over the `body` of its case.
            for expected in ["rspauth", "rspauth_empty_body"].iter().filter_map(|name| v[name].as_str()) {
                assert_eq!(rspauth(&inputs, secret).as_str(), expected, "{}", v["id"]);
            }
        }
    }
}

/// RFC 7616 clause 3.9.2 with FIPS 180-4 SHA-512/256; the value printed there was made otherwise (erratum).
#[test]
fn digest_sha_512_256() {
    let file = file(include_str!("data/digest.json"));
    let v = &file["sha512_256"];
    let response = response(&inputs(v, Algorithm::Sha512_256), Secret::Password(text(v, "password").as_bytes()));
    assert_eq!(response.as_str(), text(&v["with_fips_sha512_256"], "response"));
    assert_ne!(response.as_str(), text(&v["with_sha512_cut_to_256"], "response"));
}

/// RFC 2202, and the 96 bits of RFC 2403 and RFC 2404.
#[test]
fn hmac() {
    let file = file(include_str!("data/ipsec.json"));
    let cases = list(&file, "hmac");
    assert_eq!(cases.len(), 14);
    for v in cases {
        let digest = match text(v, "algorithm") {
            "HMAC-MD5" => mac::<Hmac<md5::Md5>>(v),
            "HMAC-SHA1" => mac::<Hmac<sha1::Sha1>>(v),
            other => panic!("{other}"),
        };
        assert_eq!(digest, octets(v, "digest"), "{}", v["id"]);
        assert_eq!(digest[..12], octets(v, "first_96_bits"), "{}", v["id"]);
    }
}

fn mac<M: Mac + KeyInit>(v: &Value) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(&octets(v, "key")).unwrap();
    mac.update(&octets(v, "data"));
    mac.finalize().into_bytes().to_vec()
}

/// TS 33.203 annex I.
#[test]
fn key_expansion() {
    let file = file(include_str!("data/ipsec.json"));
    let cases = list(&file, "key_expansion");
    assert_eq!(cases.len(), 6);
    for v in cases {
        let key = |name: &str| if v[name].is_null() { [0; 16] } else { hex(v, name) };
        let (ck, ik) = (Ck(key("ck")), Ik(key("ik")));
        let made = match (v["alg"].as_str(), v["ealg"].as_str()) {
            (Some(alg), _) => integrity_key(Integrity::from_token(alg).unwrap(), &ck, &ik),
            (_, Some(ealg)) => encryption_key(Encryption::from_token(ealg).unwrap(), &ck, &ik),
            _ => panic!("{}", v["id"]),
        };
        if v["salt"].is_null() {
            let name = if v["alg"].is_null() { "enc_key" } else { "auth_key" };
            assert_eq!(made.as_slice(), octets(v, name), "{}", v["id"]);
        } else {
            let aes = if v["alg"].is_null() { octets(v, "ck") } else { octets(v, "ik") };
            assert_eq!(made.as_slice(), [aes, octets(v, "salt")].concat(), "{}", v["id"]);
        }
    }
    let none = integrity_key(Integrity::Null, &Ck([1; 16]), &Ik([2; 16]));
    assert!(none.as_slice().is_empty());
}

fn file(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {}", value["id"]))
}

fn octets(value: &Value, name: &str) -> Vec<u8> {
    HEXLOWER.decode(text(value, name).as_bytes()).unwrap()
}

fn hex<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    octets(value, name).try_into().unwrap()
}

fn sqn(value: &Value, name: &str) -> u64 {
    hex::<6>(value, name).iter().fold(0, |sqn, octet| sqn << 8 | u64::from(*octet))
}

fn algorithm(value: &Value) -> Algorithm {
    Algorithm::from_token(text(value, "algorithm")).unwrap()
}

fn inputs(v: &Value, algorithm: Algorithm) -> Inputs<'_> {
    let qop =
        v["qop"].as_str().map(|qop| Qop { auth_int: qop == "auth-int", nc: text(v, "nc"), cnonce: text(v, "cnonce") });
    Inputs {
        algorithm,
        username: text(v, "username"),
        realm: text(v, "realm"),
        nonce: v["nonce"].as_str().unwrap_or_default(),
        uri: text(v, "uri"),
        method: text(v, "method"),
        qop,
        body: v["body"].as_str().unwrap_or_default().as_bytes(),
    }
}
