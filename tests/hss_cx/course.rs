//! Vectors, sequence numbers, recorded challenges, ranges, and what is answered to requests that are not for the HSS.

use super::support::*;
use imsreg::aka::usim::{Usim, Verdict};
use imsreg::aka::vector::{SubscriberKeys, Vector, open_auts};
use imsreg::aka::{K, Opc};
use imsreg::cx::user_data::ImsSubscription;
use imsreg::cx::{
    self, Capabilities, CxResult, Lir, Maa, RequestEnvelope, Saa, ServerAssignmentType as Type, Uaa, Uar, VENDOR,
};
use imsreg::diameter::{Avps, dictionary as d};
use imsreg::event::What;
use imsreg::hss::store::{AuthVectors, KeyTemplate, OperatorTemplate, RangeKeys, RecordedVector, SubscriberRange};
use imsreg::hss::{HssConfig, SqnScheme, Store};
use imsreg::time::{Duration, Instant};

fn lab() -> Lab {
    lab_with(config(), 0)
}

fn lab_with(config: HssConfig, sqn: u64) -> Lab {
    let mut store = Store::default();
    let mut alice = subscriber("alice", &["alice", "tel:+999001"]);
    alice.sqn = sqn;
    store.add(alice).unwrap();
    Lab::new(config, store)
}

/// RAND, AUTN, XRES, CK and IK of the items of an MAA.
fn vectors(lab: &mut Lab, ask: &Ask) -> Vec<Vector> {
    let answer = lab.cx(ask);
    assert_eq!(answer.result(), CxResult::SUCCESS);
    let maa = Maa::decode(&answer.bytes).unwrap();
    let items = maa.items.iter().map(|item| {
        let challenge = item.authenticate.unwrap();
        Vector {
            rand: challenge[..16].try_into().unwrap(),
            autn: challenge[16..].try_into().unwrap(),
            xres: imsreg::aka::Xres::new(item.xres.unwrap()).unwrap(),
            ck: imsreg::aka::Ck(item.ck.unwrap().try_into().unwrap()),
            ik: imsreg::aka::Ik(item.ik.unwrap().try_into().unwrap()),
        }
    });
    items.collect()
}

fn one(lab: &mut Lab) -> Vector {
    vectors(lab, &mar("alice", "alice")).remove(0)
}

fn sqn_of(keys: &SubscriberKeys, vector: &Vector) -> u64 {
    let ak = keys.outputs(&vector.rand).ak;
    (0..6).fold(0, |sqn, i| sqn << 8 | u64::from(vector.autn[i] ^ ak[i]))
}

fn items(ask: Ask, wanted: u32) -> Ask {
    match ask {
        Ask::Mar { impi, impu, scheme, server, resync, .. } => {
            Ask::Mar { impi, impu, items: wanted, scheme, server, resync }
        }
        other => other,
    }
}

fn resync(rand: &[u8; 16], auts: &[u8; 14]) -> Ask {
    match mar("alice", "alice") {
        Ask::Mar { impi, impu, items, scheme, server, .. } => {
            let resync = Some([&rand[..], &auts[..]].concat());
            Ask::Mar { impi, impu, items, scheme, server, resync }
        }
        other => other,
    }
}

/// A USIM refuses `vector` and answers AUTS.
fn refuse(usim: &mut Usim, vector: &Vector) -> [u8; 14] {
    match usim.authenticate(&vector.rand, &vector.autn) {
        Verdict::SynchronisationFailure { auts, .. } => auts,
        other => panic!("{other:?}"),
    }
}

fn accept(usim: &mut Usim, vector: &Vector) {
    let Verdict::Accepted { res, ck, ik, .. } = usim.authenticate(&vector.rand, &vector.autn) else {
        panic!("not accepted");
    };
    assert_eq!((res, ck, ik), (vector.xres.clone(), vector.ck.clone(), vector.ik.clone()));
}

/// TS 29.229 clause 6.1: Session-Id first and the same, Origin-*, flags and identifiers.
#[test]
fn form_of_an_answer() {
    let mut lab = lab();
    let answer = lab.cx(&uar("alice", "alice"));
    assert!(answer.header.proxiable && !answer.header.error);
    let uaa = Uaa::decode(&answer.bytes).unwrap();
    assert_eq!(uaa.envelope.session_id, "cscf.example;1;2");
    assert_eq!((uaa.envelope.origin_host, uaa.envelope.origin_realm), (HOST, REALM));
    let capabilities = Capabilities { mandatory: vec![1, 7], optional: vec![20], server_names: Vec::new() };
    assert_eq!(uaa.capabilities, Some(capabilities));
    assert_eq!(answer.find(d::AUTH_SESSION_STATE, 0), Some(&[0, 0, 0, 1][..]));
    assert_eq!(&answer.bytes[20..24], d::SESSION_ID.to_be_bytes());
}

#[test]
fn requests_for_somebody_else() {
    let mut lab = lab();
    let ask = |lab: &mut Lab, command, application, host: Option<&str>, realm: &str| {
        let envelope = RequestEnvelope {
            session_id: "s;1;1",
            origin_host: "cscf.example",
            origin_realm: REALM,
            destination_host: host,
            destination_realm: realm,
        };
        let uar = Uar {
            envelope,
            impi: &format!("alice@{REALM}"),
            impu: &full("alice"),
            visited_network: REALM.as_bytes(),
            authorization_type: cx::UserAuthorizationType::Registration,
            emergency: false,
        };
        let answer = lab.ask(command, application, |w| uar.encode(w));
        (answer.result(), answer.header.error)
    };
    let protocol_error = |code| (CxResult::Base(code), true);
    assert_eq!(ask(&mut lab, 299, cx::APPLICATION, None, REALM), protocol_error(3001));
    assert_eq!(ask(&mut lab, Uar::COMMAND, cx::APPLICATION, Some("hss2.example"), REALM), protocol_error(3002));
    assert_eq!(ask(&mut lab, Uar::COMMAND, cx::APPLICATION, None, "example.org"), protocol_error(3003));
    assert_eq!(ask(&mut lab, Uar::COMMAND, 16_777_217, None, REALM), protocol_error(3007));
    let served = (CxResult::FIRST_REGISTRATION, false);
    assert_eq!(ask(&mut lab, Uar::COMMAND, cx::APPLICATION, Some(HOST), REALM), served);
}

/// RFC 6733 clause 6.2.
#[test]
fn proxy_info_comes_back() {
    let mut lab = lab();
    let envelope = RequestEnvelope {
        session_id: "s;1;1",
        origin_host: "cscf.example",
        origin_realm: REALM,
        destination_host: None,
        destination_realm: REALM,
    };
    let lir = Lir { envelope, impu: &full("alice"), originating: false, authorization_type: None };
    let answer = lab.ask(Lir::COMMAND, cx::APPLICATION, |w| {
        lir.encode(w);
        for state in [&b"one"[..], b"three"] {
            w.group(d::PROXY_INFO, 0, true, |w| {
                w.octets(d::PROXY_HOST, 0, true, b"agent.example").octets(d::PROXY_STATE, 0, true, state);
            });
        }
    });
    let states: Vec<_> = Avps::of(&answer.bytes)
        .map(Result::unwrap)
        .filter(|avp| avp.code == d::PROXY_INFO)
        .map(|avp| avp.group().find(d::PROXY_STATE, 0).unwrap().data.to_vec())
        .collect();
    assert_eq!(states, [b"one".to_vec(), b"three".to_vec()]);
}

#[test]
fn a_missing_avp_is_named() {
    let mut lab = lab();
    let answer = lab.ask(Uar::COMMAND, cx::APPLICATION, |w| {
        w.octets(d::SESSION_ID, 0, true, b"s;1;1");
    });
    assert_eq!(answer.result(), CxResult::Base(5005));
    assert!(answer.find(d::FAILED_AVP, 0).is_some());
    assert!(!answer.header.error);
}

#[test]
fn vectors_follow_one_another() {
    let mut lab = lab();
    let mut usim = Usim::new(keys(), 0);
    for n in 1..=40 {
        let vector = one(&mut lab);
        assert_eq!(sqn_of(&keys(), &vector), n * 32);
        accept(&mut usim, &vector);
    }
}

#[test]
fn at_most_five_vectors() {
    let mut lab = lab();
    let mut usim = Usim::new(keys(), 0);
    for (wanted, given) in [(0, 0), (1, 1), (3, 3), (5, 5), (100, 5), (u32::MAX, 5)] {
        let batch = vectors(&mut lab, &items(mar("alice", "alice"), wanted));
        assert_eq!(batch.len(), given);
        for vector in &batch {
            accept(&mut usim, vector);
        }
    }
}

/// TS 33.102 clause 6.3.5: the USIM is ahead.
#[test]
fn resynchronisation() {
    let mut lab = lab();
    let mut usim = Usim::new(keys(), 1 << 20);
    let vector = one(&mut lab);
    let auts = refuse(&mut usim, &vector);
    let fresh = vectors(&mut lab, &resync(&vector.rand, &auts)).remove(0);
    assert_eq!(sqn_of(&keys(), &fresh), (1 << 20) + 32);
    accept(&mut usim, &fresh);
    let What::SqnResynchronised { before, after, mac_s_valid, .. } = lab.events.last().unwrap().what.clone() else {
        panic!("{:?}", lab.events);
    };
    assert_eq!((before, after, mac_s_valid), (32, 1 << 20, true));
}

/// The HSS is too far ahead for the jump limit of the USIM: it comes down to SQN_MS.
#[test]
fn resynchronisation_downwards() {
    let mut lab = lab_with(config(), (1 << 28) << 5 << 1);
    let mut usim = Usim::new(keys(), 64);
    let vector = one(&mut lab);
    let auts = refuse(&mut usim, &vector);
    let fresh = vectors(&mut lab, &resync(&vector.rand, &auts)).remove(0);
    assert_eq!(sqn_of(&keys(), &fresh), 96);
    accept(&mut usim, &fresh);
}

/// TS 33.102 clause 6.3.5 (i): what would be accepted is kept.
#[test]
fn an_sqn_that_would_be_accepted_is_kept() {
    let mut lab = lab();
    let old = one(&mut lab);
    let auts = refuse(&mut Usim::new(keys(), 32), &old);
    for _ in 0..9 {
        one(&mut lab);
    }
    let fresh = vectors(&mut lab, &resync(&old.rand, &auts)).remove(0);
    assert_eq!(sqn_of(&keys(), &fresh), 32 * 11);
}

#[test]
fn a_wrong_mac_s_changes_nothing() {
    let mut lab = lab();
    let vector = one(&mut lab);
    let mut auts = refuse(&mut Usim::new(keys(), 1 << 20), &vector);
    auts[13] ^= 1;
    assert!(open_auts(&keys(), &vector.rand, &auts).is_none());
    let fresh = vectors(&mut lab, &resync(&vector.rand, &auts)).remove(0);
    assert_eq!(sqn_of(&keys(), &fresh), 64);
    let event = &lab.events.last().unwrap().what;
    assert!(matches!(event, What::SqnResynchronised { before: 32, after: 32, mac_s_valid: false, .. }), "{event:?}");
}

/// TS 33.102 annex C.1.2: SQN never wraps.
#[test]
fn sequence_numbers_end() {
    let last = (1 << 48) - 32;
    let mut lab = lab_with(config(), last - 32);
    assert_eq!(sqn_of(&keys(), &one(&mut lab)), last);
    for _ in 0..2 {
        let answer = lab.cx(&mar("alice", "alice"));
        assert_eq!((answer.result(), answer.has(d::SIP_AUTH_DATA_ITEM)), (CxResult::UNABLE_TO_COMPLY, false));
    }
}

/// TS 33.102 annex C.3.3.
#[test]
fn sqn_by_the_clock() {
    let config = HssConfig { sqn: SqnScheme::TimeBased, ..config() };
    let mut lab = lab_with(config.clone(), 0);
    lab.now = Instant::from_secs(1000);
    let mut usim = Usim::new(keys(), 0);
    let first = one(&mut lab);
    assert_eq!(sqn_of(&keys(), &first) >> 5, 1000);
    accept(&mut usim, &first);
    let second = one(&mut lab);
    assert_eq!(sqn_of(&keys(), &second) >> 5, 1001, "two in one second still differ");
    accept(&mut usim, &second);

    let mut restarted = lab_with(config, 0);
    restarted.now = lab.now + Duration::from_secs(60);
    accept(&mut usim, &one(&mut restarted));

    let mut ahead = Usim::new(keys(), 5_000_000 << 5);
    let vector = one(&mut restarted);
    let auts = refuse(&mut ahead, &vector);
    let fresh = vectors(&mut restarted, &resync(&vector.rand, &auts)).remove(0);
    assert_eq!(sqn_of(&keys(), &fresh) >> 5, 5_000_001);
    restarted.now += Duration::from_secs(30);
    assert_eq!(sqn_of(&keys(), &one(&mut restarted)) >> 5, 5_000_030, "the clock goes on from there");
}

/// An operator's trace: RAND, AUTN and the response are known, nothing else.
#[test]
fn recorded_vectors() {
    let recorded = |n: u8| RecordedVector { rand: [n; 16], autn: [n + 100; 16], response: format!("{n:032x}").into() };
    let mut trace = subscriber("trace", &["trace"]);
    trace.auth = AuthVectors::Recorded(vec![recorded(1), recorded(2)]);
    let mut store = Store::default();
    store.add(trace).unwrap();
    let mut lab = Lab::new(config(), store);
    for n in [1, 2, 2] {
        let answer = lab.cx(&mar("trace", "trace"));
        let maa = Maa::decode(&answer.bytes).unwrap();
        let item = maa.items[0].clone();
        assert_eq!(item.authenticate, Some(&[[n; 16], [n + 100; 16]].concat()[..]));
        assert_eq!(item.context, Some(format!("{n:032x}").as_bytes()));
        assert_eq!((item.xres, item.ck, item.ik), (None, None, None));
    }
}

/// A million subscribers of which each is found by its digits.
#[test]
fn a_range() {
    let mut store = Store::default();
    store.add_range(range("001010000001000", 1_000_000)).unwrap();
    assert_eq!(store.len(), 1_000_000);
    let mut lab = Lab::new(config(), store);
    for n in [0, 1, 9, 999, 123_456, 999_999_u64] {
        let imsi = format!("{:015}", 1_010_000_001_000 + n);
        let msisdn = format!("+{}", 99_900_000_000 + n);
        assert_eq!(lab.cx(&uar(&imsi, &imsi)).result(), CxResult::FIRST_REGISTRATION, "{imsi}");
        let digits = imsi.as_bytes();
        let k = K([b"K", digits].concat().try_into().unwrap());
        let opc = imsreg::aka::milenage::Milenage::opc(&k, &imsreg::aka::Op([0x30; 16]));
        let own = SubscriberKeys::Milenage { k, opc };
        let vector = vectors(&mut lab, &mar(&imsi, &imsi)).remove(0);
        assert!(matches!(Usim::new(own, 0).authenticate(&vector.rand, &vector.autn), Verdict::Accepted { .. }));
        let answer = lab.cx(&sar(Type::Registration, &imsi, &[&imsi]));
        let saa = Saa::decode(&answer.bytes).unwrap();
        let xml = std::str::from_utf8(saa.user_data.unwrap()).unwrap();
        for identity in [format!("{imsi}@{REALM}"), full(&imsi), format!("tel:{msisdn}")] {
            assert!(xml.contains(&format!(">{identity}<")), "{identity} in {xml}");
        }
        let document = ImsSubscription::parse(saa.user_data.unwrap()).unwrap();
        assert_eq!(document.default_impu(), Some(&*full(&imsi)));
        assert_eq!(lab.cx(&lir(&format!("tel:{msisdn}"))).result(), CxResult::SUCCESS);
    }
    for stranger in ["001010000000999", "001010001001000", "00101000000100x", "0001010000001000"] {
        assert_eq!(lab.cx(&uar(stranger, stranger)).result(), CxResult::USER_UNKNOWN, "{stranger}");
    }
    let neighbours = uar("001010000001001", "001010000001002");
    assert_eq!(lab.cx(&neighbours).result(), CxResult::IDENTITIES_DONT_MATCH);
    assert_eq!(lab.cx(&uar("001010000001003", "001010000001003")).result(), CxResult::FIRST_REGISTRATION);
}

#[test]
fn opc_of_a_range_may_hold_the_imsi() {
    let imsi = "001010000001000";
    let hole = KeyTemplate { octets: [b'O'; 16], imsi_at: Some(1) };
    let mut range = range(imsi, 2);
    range.keys.operator = OperatorTemplate::Opc(hole);
    let mut store = Store::default();
    store.add_range(range).unwrap();
    let mut lab = Lab::new(config(), store);
    let vector = vectors(&mut lab, &mar("001010000001001", "001010000001001")).remove(0);
    let keys = SubscriberKeys::Milenage { k: K(*b"K001010000001001"), opc: Opc(*b"O001010000001001") };
    assert!(matches!(Usim::new(keys, 0).authenticate(&vector.rand, &vector.autn), Verdict::Accepted { .. }));
}

#[test]
fn an_identity_is_had_once() {
    let mut store = Store::default();
    store.add_range(range("001010000001000", 1000)).unwrap();
    let taken = subscriber("alice", &["alice", "001010000001999"]);
    assert_eq!(store.add(taken).unwrap_err().0, full("001010000001999"));
    store.add(subscriber("bob", &["bob"])).unwrap();
    assert_eq!(store.add(subscriber("bob", &["bob2"])).unwrap_err().0, format!("bob@{REALM}"));
    assert_eq!(store.add(subscriber("bob2", &["bob"])).unwrap_err().0, full("bob"));
    assert_eq!(store.add(subscriber("eve", &["eve", "eve"])).unwrap_err().0, full("eve"));
    store.add(subscriber("001010000002500", &["eve"])).unwrap();
    assert_eq!(store.len(), 1002, "what was refused left nothing behind");

    let overlapping = store.add_range(sip_range("001010000001999", 10)).unwrap_err();
    assert_eq!(overlapping.0, format!("001010000001999@{REALM}"));
    let around = store.add_range(sip_range("001010000000500", 1000)).unwrap_err();
    assert_eq!(around.0, format!("001010000001499@{REALM}"));
    let over_a_single = store.add_range(sip_range("001010000002000", 501)).unwrap_err();
    assert_eq!(over_a_single.0, format!("001010000002500@{REALM}"));
    let same_for_all = SubscriberRange { imsi: "777777777777777".into(), ..range("001010000003000", 2) };
    assert!(store.add_range(same_for_all).is_err());
    assert!(store.add_range(range("999999999999999", 2)).is_err(), "fifteen digits are used up");
    store.add_range(sip_range("001010000004000", 500)).unwrap();
    assert_eq!(store.len(), 1502);
}

fn range(imsi: &str, count: u64) -> SubscriberRange {
    SubscriberRange {
        first: subscriber(imsi, &[imsi, "tel:+99900000000"]),
        imsi: imsi.into(),
        msisdn: Some("+99900000000".into()),
        count,
        keys: RangeKeys {
            k: KeyTemplate { octets: [b'K'; 16], imsi_at: Some(1) },
            operator: OperatorTemplate::Op(KeyTemplate { octets: [0x30; 16], imsi_at: None }),
        },
    }
}

/// Without MSISDN.
fn sip_range(imsi: &str, count: u64) -> SubscriberRange {
    let mut range = SubscriberRange { msisdn: None, ..range(imsi, count) };
    range.first.profiles[0].identities.truncate(1);
    range
}

/// TS 29.228 clause 6.3: what the answer repeats.
#[test]
fn an_maa_names_user_and_scheme() {
    let mut lab = lab();
    let answer = lab.cx(&mar("alice", "tel:+999001"));
    let maa = Maa::decode(&answer.bytes).unwrap();
    assert_eq!((maa.impi, maa.impu), (Some(&*format!("alice@{REALM}")), Some("tel:+999001")));
    assert_eq!(answer.find(d::SIP_NUMBER_AUTH_ITEMS, VENDOR), Some(&[0, 0, 0, 1][..]));
    assert_eq!((maa.items[0].number, maa.items[0].scheme), (Some(1), Some("Digest-AKAv1-MD5")));
}
