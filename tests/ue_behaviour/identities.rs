//! Further identities over the security associations of the first; emergency registrations; what a Contact offers.

use super::network::{Network, Sent, granted, reply};
use imsreg::event::What;
use imsreg::identity::Impu;
use imsreg::ue::UeStatus;

const SECOND: &str = "sip:second@ims.mnc001.mcc001.3gppnetwork.org";

/// Registered for an hour and, 10 s later, with a second identity, which is of another implicit set.
fn two() -> Network {
    let mut n = Network::new().registered(7_200);
    n.at(10.0);
    n.call(|ue, now, out| ue.register_identity(now, Impu::from(SECOND), out).unwrap());
    let m = n.sent();
    assert_eq!(identity(&m), SECOND);
    assert!(m.sa.is_some() && !m.header("Security-Verify").is_empty());
    n.answer(&m, &granted(&m, 3_600));
    assert_eq!(n.ue.other_identities().map(Impu::as_str).collect::<Vec<_>>(), [SECOND]);
    n
}

fn identity(m: &Sent) -> &str {
    m.header("To").trim_matches(['<', '>'])
}

#[test]
fn each_identity_is_refreshed_for_itself() {
    let mut n = two();
    // 3600 - 600 s after its own 200.
    n.at(3_009.0);
    n.quiet();
    n.at(3_011.0);
    let m = n.sent();
    assert_eq!((identity(&m), m.header("Expires")), (SECOND, "600000"));
    n.answer(&m, &granted(&m, 3_600));
    // 7200 - 600 s: the first, twice as long registered; the second was refreshed meanwhile.
    n.at(6_012.0);
    let m = n.sent();
    assert_eq!(identity(&m), SECOND);
    n.answer(&m, &granted(&m, 7_200));
    n.at(6_601.0);
    let m = n.sent();
    assert_ne!(identity(&m), SECOND);
    n.answer(&m, &granted(&m, 7_200));
    assert_eq!(n.ue.other_identities().count(), 1);
}

#[test]
fn an_identity_of_another_set_is_deregistered_first() {
    let mut n = two();
    n.deregister();
    let m = n.sent();
    assert_eq!((identity(&m), m.header("Expires")), (SECOND, "0"));
    n.answer(&m, &reply(&m, "200 OK", &[]));
    let m = n.sent();
    assert_ne!(identity(&m), SECOND);
    assert_eq!(m.header("Expires"), "0");
    n.answer(&m, &reply(&m, "200 OK", &[]));
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert!(n.sets.is_empty());
}

#[test]
fn a_refusal_of_a_further_identity_leaves_the_first() {
    let mut n = Network::new().registered(7_200);
    n.call(|ue, now, out| ue.register_identity(now, Impu::from(SECOND), out).unwrap());
    let m = n.sent();
    n.answer(&m, &reply(&m, "403 Forbidden", &[]));
    assert!(n.told(|e| matches!(e, What::GaveUp { status: 403, .. })));
    assert_eq!((n.ue.status(), n.ue.other_identities().count()), (UeStatus::Registered, 0));
    assert_eq!(n.sets.len(), 1);
}

#[test]
fn nothing_is_asked_before_the_first_is_registered() {
    let mut n = Network::new();
    n.call(|ue, now, out| assert!(ue.register_identity(now, Impu::from(SECOND), out).is_err()));
    n.quiet();
}

#[test]
fn a_contact_offers_what_the_ue_is_told_to() {
    let mut n = Network::with(|config| {
        config.reg_id = Some(3);
        config.gruu = true;
    });
    n.register();
    let m = n.sent();
    assert_eq!(m.header("Supported"), "path, outbound, gruu");
    assert!(m.header("Contact").contains(";reg-id=3"));
    // For emergency calls there is neither a flow of RFC 5626 nor a word of it.
    let mut n = Network::with(|config| {
        config.reg_id = Some(3);
        config.emergency = true;
    });
    n.register();
    let m = n.sent();
    assert_eq!(m.header("Supported"), "path");
    assert!(m.header("Contact").contains(";sos>") && !m.header("Contact").contains("reg-id"));
}
