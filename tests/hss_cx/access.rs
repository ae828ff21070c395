//! Subscribers without USIM: SIP digest, NASS-Bundled, Early-IMS-Security (TS 29.228 clause 6.3.1).

use crate::support::{Ask, Lab, config, mar, subscriber};
use imsreg::aka::Password;
use imsreg::aka::digest::Algorithm;
use imsreg::cx::{CxResult, Maa};
use imsreg::hss::Store;
use imsreg::hss::store::{AccessAddress, AuthVectors, DigestCredentials, RecordedDigest};

fn asks(name: &str, asked: &'static str) -> Ask {
    let Ask::Mar { impi, impu, items, server, resync, .. } = mar(name, name) else { unreachable!("it is a MAR") };
    Ask::Mar { impi, impu, items, scheme: asked, server, resync }
}

fn lab(auth: AuthVectors) -> Lab {
    let mut store = Store::default();
    store.add(imsreg::hss::Subscriber { auth, ..subscriber("u", &["u"]) }).unwrap();
    store.add(subscriber("sim", &["sim"])).unwrap();
    Lab::new(config(), store)
}

fn digest() -> DigestCredentials {
    // RFC 2617 clause 3.5 and RFC 7616 clause 3.9.1 as to the names; HA1 computed with openssl.
    let password = Password("Circle of Life".into());
    DigestCredentials::of_password("Mufasa", "http-auth@example.org", "auth", &password, Some(Algorithm::Sha256))
}

#[test]
fn who_asks_for_what_the_subscriber_has_gets_it_and_unknown_takes_it() {
    let lines = || AuthVectors::Lines(vec!["line-7".into()]);
    let address = || AuthVectors::Address(AccessAddress::new("192.0.2.7".parse().unwrap(), 32).unwrap());
    let password = || AuthVectors::Digest(Box::new(digest()));
    for (auth, own) in [(lines(), "NASS-Bundled"), (address(), "Early-IMS-Security"), (password(), "SIP Digest")] {
        let mut lab = lab(auth);
        for asked in ["NASS-Bundled", "Early-IMS-Security", "SIP Digest", "Digest-AKAv1-MD5", "Unknown"] {
            let answer = lab.cx(&asks("u", asked));
            if asked != own && asked != "Unknown" {
                assert_eq!(answer.result(), CxResult::AUTH_SCHEME_NOT_SUPPORTED, "{own}, {asked} asked for");
                continue;
            }
            let maa = Maa::decode(&answer.bytes).unwrap();
            assert_eq!((maa.result, maa.items.len(), maa.items[0].scheme), (CxResult::SUCCESS, 1, Some(own)));
        }
        // The USIM beside him.
        assert_eq!(lab.cx(&asks("sim", own)).result(), CxResult::AUTH_SCHEME_NOT_SUPPORTED);
        let answer = lab.cx(&asks("sim", "Unknown"));
        assert_eq!(Maa::decode(&answer.bytes).unwrap().items[0].scheme, Some("Digest-AKAv1-MD5"));
    }
}

#[test]
fn a_password_leaves_as_its_hashes() {
    let mut lab = lab(AuthVectors::Digest(Box::new(digest())));
    let answer = lab.cx(&asks("u", "SIP Digest"));
    let maa = Maa::decode(&answer.bytes).unwrap();
    let digest = maa.items[0].digest.unwrap();
    assert_eq!((digest.realm, digest.algorithm, digest.qop), ("http-auth@example.org", Some("MD5"), "auth"));
    assert_eq!(digest.ha1, "3d78807defe7de2157e2b0b6573a855f");
    assert_eq!(digest.alternate_algorithm, Some("SHA-256"));
    assert_eq!(digest.alternate_ha1.map(str::len), Some(64));
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("Circle"));
}

#[test]
fn recorded_digests_come_in_order() {
    let recorded = |n: &str| RecordedDigest { nonce: n.into(), response: n.repeat(32).into() };
    let credentials = DigestCredentials { ha1: None, recorded: vec![recorded("a"), recorded("b")], ..digest() };
    let mut lab = lab(AuthVectors::Digest(Box::new(credentials)));
    for expected in ["a", "b", "b"] {
        let answer = lab.cx(&asks("u", "Unknown"));
        let maa = Maa::decode(&answer.bytes).unwrap();
        assert_eq!(maa.items[0].authenticate, Some(expected.as_bytes()));
        assert_eq!(maa.items[0].context, Some(expected.repeat(32).as_bytes()));
    }
}

#[test]
fn addresses_and_lines_as_avps() {
    let prefix = AccessAddress::new("2001:db8:0:1::9".parse().unwrap(), 64).unwrap();
    let mut lab6 = lab(AuthVectors::Address(prefix));
    let answer = lab6.cx(&asks("u", "Early-IMS-Security"));
    let maa = Maa::decode(&answer.bytes).unwrap();
    let given = maa.items[0].framed_ipv6_prefix.unwrap();
    assert_eq!((&given[..2], &given[2..10]), (&[0, 64][..], &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1][..]));
    assert!(given[10..].iter().all(|octet| *octet == 0) && maa.items[0].framed_ip_address.is_none());
    assert_eq!(AccessAddress::new("2001:db8::".parse().unwrap(), 129), None);

    let mut lab = lab(AuthVectors::Lines(vec!["line-7".into(), "line-8".into()]));
    let answer = lab.cx(&asks("u", "NASS-Bundled"));
    let maa = Maa::decode(&answer.bytes).unwrap();
    assert_eq!(maa.items[0].lines, [b"line-7", b"line-8"]);
}
