use crate::network::{Network, SECURITY_SERVER, granted};
use imsreg::event::What;
use imsreg::ipsec::association::{Encryption, Integrity, SaSetId};
use imsreg::packet::{SaFailure, SaFault};
use imsreg::pcscf::SecAgreePolicy;
use imsreg::ue::UeStatus;

fn answer_with(n: &mut Network, server: &str) {
    n.register();
    let first = n.sent();
    let line = format!("Security-Server: {SECURITY_SERVER}\r\n");
    let challenge = n.challenge(&first, |text| text.replace(&line, server));
    n.answer(&first, &challenge);
}

/// TS 24.229 clause 5.1.1.5.1, RFC 3329 clause 2.3.1: no agreement, no answer, and nothing in clear.
#[test]
fn without_a_usable_security_server_the_attempt_is_abandoned() {
    let without = |name: &str| {
        let kept = SECURITY_SERVER.split(';').filter(|p| !p.starts_with(name));
        format!("Security-Server: {}\r\n", kept.collect::<Vec<_>>().join(";"))
    };
    let changed = |from: &str, to: &str| format!("Security-Server: {}\r\n", SECURITY_SERVER.replace(from, to));
    for server in [
        String::new(),
        without("alg="),
        without("spi-c="),
        without("spi-s="),
        without("port-c="),
        without("port-s="),
        changed("aes-cbc", "des-ede3-cbc"),
        changed("aes-cbc", "rot13-cbc"),
        changed("hmac-sha-1-96", "hmac-md5-96"),
        changed("ipsec-3gpp", "tls"),
        changed("mod=trans", "mod=tun"),
        changed("spi-c=5001", "spi-c=4294967296"),
        changed("spi-c=5001", "spi-c=7"),
        changed("port-s=6100", "port-s=5060"),
        "Security-Server: ;;=,\"<\r\n".to_owned(),
    ] {
        let mut n = Network::new();
        answer_with(&mut n, &server);
        n.quiet();
        assert!(n.sets.is_empty(), "{server}");
        assert_eq!(n.ue.status(), UeStatus::Waiting, "{server}");
        assert!(n.ue.failure().unwrap().contains("Security-Server"), "{}", n.ue.failure().unwrap());
        assert!((30.0..=60.0).contains(&n.wait()));
        n.at(61.0);
        assert_eq!(n.sent().credential("nonce").unwrap(), "", "a new attempt");
    }
}

/// RFC 3329 clause 2.3.1: the largest q among the pairs that were offered, and everything mirrored.
#[test]
fn the_best_common_element_is_used_and_all_are_mirrored() {
    let element = |q: &str, ealg: &str, spi: u32| {
        format!(
            "ipsec-3gpp;q={q};alg=hmac-sha-1-96;prot=esp;mod=trans;ealg={ealg};spi-c={spi};spi-s={};port-c=5100;port-s=6100",
            spi + 1
        )
    };
    let list = [
        element("0.2", "aes-cbc", 1_000),
        element("0.9", "aes-gcm", 2_000),
        "frob-9;q=0.01".to_owned(),
        element("0.5", "null", 3_000),
        element("0.5", "aes-cbc", 4_294_967_290),
    ];
    let lines: String = list.iter().map(|e| format!("Security-Server: {e}\r\n")).collect();
    let mut n = Network::new();
    answer_with(&mut n, &lines);
    let second = n.sent();
    let set = n.only_set();
    assert_eq!((set.algorithms.integrity, set.algorithms.encryption), (Integrity::HmacSha1, Encryption::Null));
    assert_eq!(set.pcscf.spi_c.0, 3_000);
    assert_eq!(second.header("Security-Verify"), list.join(", "));
}

/// RFC 3329 clauses 2.2 and 2.3.1: an element that cannot be read is of no use, and is mirrored with the rest.
#[test]
fn a_malformed_element_is_passed_over_and_mirrored() {
    let list = [SECURITY_SERVER.replace("spi-c=5001", "spi-c="), SECURITY_SERVER.to_owned(), ";;=".to_owned()];
    let mut n = Network::new();
    answer_with(&mut n, &format!("Security-Server: {}\r\n", list.join(",")));
    let second = n.sent();
    assert_eq!(n.only_set().pcscf.spi_c.0, 5_001);
    assert_eq!(second.header("Security-Verify"), list.join(", "));
}

#[test]
fn an_answer_without_security_server_is_enough_where_an_agreement_is_only_offered() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Offered);
    answer_with(&mut n, "");
    let second = n.sent();
    assert_eq!((second.sa, second.to.port()), (None, 5060));
    assert_eq!(second.credential("response").unwrap(), n.expected(&second));
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

/// Lesson 24: a failed set-up fails the registration.
#[test]
fn a_set_that_cannot_be_installed_ends_the_attempt() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Offered);
    let set = challenged_at_a_slow_plane(&mut n);
    let failure = SaFailure { set, cause: SaFault::Refused("out of order".into()) };
    n.call(|ue, now, out| ue.sa_failed(now, &failure, out));
    assert_eq!(n.ue.status(), UeStatus::Waiting);
    assert!(
        n.ue.failure().unwrap().contains("security associations could not be installed: the plane refuses: out of")
    );
    assert!(n.sets.is_empty());
    n.quiet();
}

/// The REGISTER that needs the set waits for it, and not for ever.
#[test]
fn a_set_is_awaited_for_five_seconds() {
    let mut n = Network::new();
    let set = challenged_at_a_slow_plane(&mut n);
    n.at(4.9);
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Registering);
    n.call(|ue, now, out| ue.sa_installed(now, set, out));
    let second = n.sent();
    assert_eq!(second.sa.map(|sa| sa.set), Some(set));
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);

    let mut n = Network::new();
    let set = challenged_at_a_slow_plane(&mut n);
    n.at(5.0);
    assert!(n.ue.failure().unwrap().contains("has not answered in time"));
    assert!(n.sets.is_empty() && n.ue.status() == UeStatus::Waiting);
    n.call(|ue, now, out| ue.sa_installed(now, set, out));
    n.quiet();
}

fn challenged_at_a_slow_plane(n: &mut Network) -> SaSetId {
    n.silent_plane = true;
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    n.quiet();
    assert!(!n.told(|e| matches!(e, What::SaInstalled { .. })));
    n.only_set().id
}

#[test]
fn a_200_that_asks_for_nothing_is_not_a_registration_where_an_agreement_is_required() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.answer(&first, &granted(&first, 600));
    assert_eq!(n.ue.status(), UeStatus::Waiting);
    assert!(!n.told(|e| matches!(e, What::Registered { .. })));
}

/// port_uc and the SPIs are never those of a set that lives (TS 33.203 clause 7.1).
#[test]
fn nothing_of_a_living_set_is_offered_again() {
    let mut n = Network::with(|c| c.port_c_pool = 2).registered(1_200);
    let used = n.only_set().ue;
    for round in 1..=6 {
        n.at(f64::from(600 * round));
        let refresh = n.sent();
        assert_ne!(refresh.offers()[0]["port-c"], used.port_c.to_string());
        n.answer(&refresh, &granted(&refresh, 1_200));
    }
}
