//! The recorded network against our UE.

use crate::stage::{course, faults, lab_subscription, of_known, profile, simulated, stage};
use imsreg::aka::usim::Usim;
use imsreg::config::Subscription;
use imsreg::identity::{Impi, Impu, Realm};
use imsreg::replay::{Known, Outcome};

fn keys(subscription: &Subscription) -> Known {
    Known::Keys(subscription.usim.as_ref().expect("keys").keys().clone())
}

#[test]
fn our_own_captures_show_no_difference() {
    let profile = profile("lab", &["ue.refresh=false"]);
    let subscription = lab_subscription(&profile);
    for scenario in ["first-registration", "refresh", "re-authentication"] {
        let script = simulated(scenario, &[]).remove(0);
        let report = stage(&profile, keys(&subscription)).ue(&script, &subscription, ()).unwrap();
        assert_eq!(faults(&report), [""; 0], "{scenario}: {:#?}", course(&report));
        assert!(report.is_same());
    }
}

/// Without K the UE gets the recorded challenge; one that has this K can verify it.
#[test]
fn a_recorded_vector_serves_a_ue_with_that_k() {
    let profile = profile("lab", &[]);
    let subscription = lab_subscription(&profile);
    let script = simulated("first-registration", &[]).remove(0);
    let report = stage(&profile, Known::Nothing).ue(&script, &subscription, ()).unwrap();
    assert_eq!(faults(&report), [""; 0], "{:#?}", course(&report));
}

#[test]
fn a_ue_with_another_k_is_found() {
    let profile = profile("lab", &[]);
    let subscription = lab_subscription(&profile);
    let script = simulated("first-registration", &[]).remove(0);
    let other = of_known([0x42; 16]);
    let report = stage(&profile, other).ue(&script, &subscription, ()).unwrap();
    assert!(faults(&report).iter().any(|fault| fault.contains("Authorization[0] ;response")), "{:#?}", faults(&report));
}

#[test]
fn a_ue_that_differs_is_found() {
    let script = simulated("first-registration", &[]).remove(0);
    let changes = [
        ("ue.expires=1800s", "REGISTER: Expires[0]: \"600000\" recorded, \"1800\" came"),
        ("ue.algorithms=[[hmac-sha-1-96, aes-cbc]]", "REGISTER: Security-Client[1]"),
        ("ue.sec_agree=off", "REGISTER: Security-Client[0]"),
        ("ue.features=;+g.3gpp.smsip", "REGISTER: Contact[0] ;audio: \"(flag)\" recorded, nothing came"),
    ];
    for (setting, found) in changes {
        let profile = profile("lab", &[setting]);
        let subscription = lab_subscription(&profile);
        let report = stage(&profile, keys(&subscription)).ue(&script, &subscription, ()).unwrap();
        assert!(faults(&report).iter().any(|fault| fault.starts_with(found)), "{setting}: {:#?}", faults(&report));
    }
}

/// SQN of the USIM beyond that of the recording: it asks for another challenge, which K can make.
#[test]
fn a_usim_that_stands_higher_is_challenged_again() {
    let profile = profile("lab", &[]);
    let mut subscription = lab_subscription(&profile);
    let known = keys(&subscription);
    let usim = subscription.usim.take().expect("keys");
    subscription.usim = Some(Usim::new(usim.keys().clone(), 1 << 20));
    let script = simulated("first-registration", &[]).remove(0);
    let report = stage(&profile, known).ue(&script, &subscription, ()).unwrap();
    assert!(report.entries.iter().any(|entry| matches!(&entry.outcome, Outcome::Note(text) if text.contains("SQN"))));
    assert_eq!(faults(&report), [""; 0], "{:#?}", course(&report));
}

/// A phone of another subscriber of another network: identities are not what is compared.
#[test]
fn another_subscriber_does_not_matter() {
    let profile = profile("lab", &[]);
    let usim = lab_subscription(&profile).usim;
    let realm = "ims.mnc005.mcc999.3gppnetwork.org";
    let impi = format!("999050000000077@{realm}");
    let subscription = Subscription {
        impu: Impu::new(format!("sip:{impi}")),
        impi: Impi::new(impi),
        realm: Realm::new(realm),
        usim,
        login: None,
    };
    let script = simulated("first-registration", &[]).remove(0);
    let report = stage(&profile, keys(&subscription)).ue(&script, &subscription, ()).unwrap();
    assert_eq!(faults(&report), [""; 0], "{:#?}", course(&report));
}
