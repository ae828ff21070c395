use crate::network::{Network, granted, reply};
use imsreg::event::What;
use imsreg::pcscf::SecAgreePolicy;
use imsreg::time::Instant;
use imsreg::ue::UeStatus;

#[test]
fn min_expires_is_obeyed_once_and_kept() {
    let mut n = Network::with(|c| c.expires = imsreg::time::Duration::from_secs(60));
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &reply(&second, "423 Interval Too Brief", &["Min-Expires: 600"]));
    let third = n.sent();
    assert!(n.sets.is_empty(), "the temporary set ends with its attempt");
    assert_eq!((third.sa, third.header("Expires"), third.at), (None, "600", n.now));
    assert_eq!((third.header("Call-ID"), third.cseq()), (first.header("Call-ID"), 3));
    assert_ne!(third.offers()[0]["spi-c"], first.offers()[0]["spi-c"]);
    n.answer(&third, &reply(&third, "423 Interval Too Brief", &["Min-Expires: 6000"]));
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Waiting);
    n.at(61.0);
    assert_eq!(n.sent().header("Expires"), "600");
}

#[test]
fn a_423_without_min_expires_is_a_refusal() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.answer(&first, &reply(&first, "423 Interval Too Brief", &[]));
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Waiting);
}

/// TS 24.229 clause 5.1.1.2.1 leaves 403 to the operator; most have it stop the UE.
#[test]
fn forbidden_ends_it() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.answer(&first, &reply(&first, "403 Forbidden", &[]));
    assert_eq!(n.ue.status(), UeStatus::Failed { status: 403 });
    assert_eq!(
        n.ue.failure().unwrap(),
        "403 Forbidden to the first REGISTER; a 200 was expected (TS 24.229 clause 5.1.1.2.1)"
    );
    n.at(100_000.0);
    n.quiet();
    n.register();
    assert_ne!(n.sent().header("Call-ID"), first.header("Call-ID"));
}

/// RFC 5626 clause 4.5.
#[test]
fn other_refusals_are_waited_for_longer_and_longer() {
    for status in
        ["404 Not Found", "500 Server Internal Error", "504 Server Time-out", "600 Busy Everywhere", "305 Use Proxy"]
    {
        let mut n = Network::new();
        n.register();
        for (low, high) in [(30.0, 60.0), (60.0, 120.0), (120.0, 240.0)] {
            let m = n.sent();
            let asked = n.now.as_micros() as f64 / 1e6;
            n.answer(&m, &reply(&m, status, &[]));
            assert_eq!(n.ue.status(), UeStatus::Waiting);
            assert!((low..=high).contains(&n.wait()), "{status}: {}", n.wait());
            n.at(asked + n.wait() - 0.01);
            n.quiet();
            n.at(asked + n.wait() + 0.01);
        }
        let m = n.sent();
        assert_eq!(m.cseq(), 1, "a new attempt");
    }
}

#[test]
fn retry_after_is_obeyed() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.answer(&first, &reply(&first, "503 Service Unavailable", &["Retry-After: 4 (maintenance);duration=60"]));
    n.at(3.9);
    n.quiet();
    n.at(4.0);
    assert_eq!(n.sent().at, Instant::from_secs(4));
}

#[test]
fn it_gives_up_after_the_attempts_allowed() {
    let mut n = Network::with(|c| c.retry.attempts = Some(2));
    n.register();
    for _ in 0..2 {
        let m = n.sent();
        n.ignore();
        n.answer(&m, &reply(&m, "500 Server Internal Error", &[]));
        n.at(n.now.as_micros() as f64 / 1e6 + 61.0);
    }
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Failed { status: 500 });
    assert!(n.told(|e| matches!(e, What::GaveUp { status: 500, .. })));
}

#[test]
fn a_200_that_grants_nothing_is_a_failure() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Off);
    n.register();
    let first = n.sent();
    n.answer(&first, &granted(&first, 0));
    assert_eq!(n.ue.status(), UeStatus::Waiting);
}

#[test]
fn a_420_for_sec_agree_ends_an_offer_that_is_not_required() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Offered);
    n.register();
    let first = n.sent();
    n.answer(&first, &reply(&first, "420 Bad Extension", &["Unsupported: sec-agree"]));
    assert!(n.sent().all("Security-Client").is_empty());
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.answer(&first, &reply(&first, "420 Bad Extension", &["Unsupported: sec-agree"]));
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Waiting);
}

/// A refresh that fails: the registration lives on while the UE starts over in clear (TS 24.229 clause 5.1.1.4.1).
#[test]
fn a_failed_refresh_becomes_an_initial_registration() {
    let mut n = Network::new().registered(1_200);
    let old = n.only_set().id;
    n.at(600.0);
    let refresh = n.sent();
    n.answer(&refresh, &reply(&refresh, "504 Server Time-out", &[]));
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.at(660.0);
    let first = n.sent();
    n.ignore();
    assert_eq!(first.sa, None);
    assert_ne!(first.header("Call-ID"), refresh.header("Call-ID"));
    assert_eq!(first.credential("nonce").unwrap(), "");
    let challenge = n.challenge(&first, |t| t.replace("port-c=5100", "port-c=5101"));
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &granted(&second, 1_200));
    assert_ne!(n.only_set().id, old, "the new set replaces all");
}

#[test]
fn a_refresh_that_shall_wait_is_repeated_over_the_set() {
    let mut n = Network::new().registered(1_200);
    n.at(600.0);
    let refresh = n.sent();
    n.answer(&refresh, &reply(&refresh, "503 Service Unavailable", &["Retry-After: 100"]));
    n.at(700.0);
    let again = n.sent();
    assert_eq!(again.sa, refresh.sa);
    assert_eq!(again.cseq(), refresh.cseq() + 1);
    assert_eq!(again.credential("nc").unwrap(), "00000003");
}
