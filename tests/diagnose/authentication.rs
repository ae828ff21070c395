//! Keys, sequence numbers, schemes (diagnoses 1.1).

use crate::kit::*;
use crate::trace::{Trace, cut, is_first, lab_keys, set, to_ue};
use imsreg::aka::milenage::Milenage;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Op, Opc};
use imsreg::diagnose::{Certainty, Context};
use imsreg::time::Duration;
use imsreg::validate;

const AUTS: &str = "AAECAwQFBgcICQoLDA0=";

fn empty(value: &str) -> String {
    set(value, "response", "")
}

fn auts(value: &str) -> String {
    format!("{},auts=\"{AUTS}\"", set(value, "response", ""))
}

fn other_keys() -> SubscriberKeys {
    SubscriberKeys::Milenage { k: K([1; 16]), opc: Opc([2; 16]) }
}

#[test]
fn a_mac_of_an_opc_that_was_expanded_again() {
    let SubscriberKeys::Milenage { k, opc } = lab_keys() else { unreachable!("Milenage") };
    let wrong = SubscriberKeys::Milenage { opc: Milenage::opc(&k, &Op(opc.0)), k };
    let forged = silent(with_vector(first().gm(), &wrong, [7; 16], 64));
    with_lab_keys(&forged).caused_by("DIAG-AKA-MAC", Certainty::Certain, "OPc expanded again");
    with_keys(&forged, &wrong).not_by("DIAG-AKA-MAC");
    with_keys(&silent(first().gm()), &other_keys()).caused_by("DIAG-AKA-MAC", Certainty::Certain, "none of the known");
}

#[test]
fn an_op_that_was_taken_as_opc() {
    let (k, op) = (K([5; 16]), Op([6; 16]));
    let right = SubscriberKeys::Milenage { opc: Milenage::opc(&k, &op), k: k.clone() };
    let wrong = SubscriberKeys::Milenage { k, opc: Opc(op.0) };
    let forged = silent(with_vector(first().gm(), &wrong, [7; 16], 64));
    let keys_of = |_: &str| Some(&right);
    let judge = validate::Context { keys: Some(&keys_of), ..validate::Context::default() };
    let told = Context { judge, op: Some(&op), ..Context::default() };
    diagnosed_in(&forged, &told).caused_by("DIAG-AKA-MAC", Certainty::Certain, "OP taken as OPc");
    with_keys(&forged, &right).caused_by("DIAG-AKA-MAC", Certainty::Certain, "none of the known");
}

#[test]
fn an_empty_response_says_that_the_mac_is_wrong() {
    let refused_by_ue = refused(refusing(first(), empty), 2, "403 Forbidden");
    diagnosed(&refused_by_ue).caused_by("DIAG-AKA-MAC", Certainty::Certain, "empty response");
    with_lab_keys(&refused_by_ue).caused_by("DIAG-AKA-MAC", Certainty::Certain, "the USIM has others");
    // Here a later challenge was right.
    let repaired = refusing(first().gm(), empty);
    diagnosed(&repaired).remarks("DIAG-AKA-MAC", "empty response");
    diagnosed(&refused(refusing(first(), auts), 2, "403 Forbidden")).not_by("DIAG-AKA-MAC");
}

#[test]
fn a_ue_that_starts_again_and_again() {
    let once = first().gm();
    let (register, challenge) = (once.position(is_first), once.position(to_ue("401")));
    let again = |trace: Trace, number: u32| {
        let last = trace.sightings.len() - 1;
        let renew = move |text: &str| {
            let text = text
                .replace("branch=z9hG4bK", &format!("branch=z9hG4bK{number}"))
                .replace("Call-ID: ", &format!("Call-ID: {number}"));
            // Another RAND.
            match text.find("nonce=\"").map(|at| at + 7).filter(|at| !text[*at..].starts_with('"')) {
                Some(at) => format!("{}AAA{number}{}", &text[..at], &text[at + 4..]),
                None => text,
            }
        };
        trace.copied(register, last, Duration::from_secs(3), renew).copied(
            challenge,
            last + 1,
            Duration::from_millis(20),
            renew,
        )
    };
    let begun = Trace { sightings: once.sightings[..=challenge].to_vec() };
    let loops = again(again(begun.clone(), 1), 2).going_on(200);
    let diagnosis = diagnosed(&loops);
    diagnosis.caused_by("DIAG-AKA-SILENT", Certainty::Likely, "silence");
    assert!(diagnosis.causes[1].cause.name == "DIAG-AKA-MAC" && diagnosis.causes[1].found.contains("3 challenges"));
    diagnosed(&again(begun, 1).going_on(200)).not_by("DIAG-AKA-MAC");
    with_lab_keys(&loops).caused_by("DIAG-AKA-MAC", Certainty::Certain, "none of the known");
}

#[test]
fn auts_that_repairs_nothing() {
    let refused_by_ue = refused(refusing(first(), auts), 2, "403 Forbidden");
    diagnosed(&without_diameter(refused_by_ue.clone())).caused_by("DIAG-SQN-SYNC", Certainty::Likely, "auts");
    with_lab_keys(&without_diameter(refused_by_ue)).caused_by("DIAG-SQN-SYNC", Certainty::Likely, "not right");
    // Resynchronised, and registered.
    diagnosed(&refusing(first().gm(), auts)).remarks("DIAG-SQN-SYNC", "resynchronisation repaired it");
    diagnosed(&refused(refusing(first().gm(), empty), 2, "403 Forbidden")).not_by("DIAG-SQN-SYNC");
}

#[test]
fn auts_that_never_gets_to_the_hss() {
    let kept = refused(refusing(first(), auts), 2, "403 Forbidden");
    diagnosed(&kept).caused_by("DIAG-SQN-NOTFWD", Certainty::Certain, "no Multimedia-Auth-Request");
    diagnosed(&without_diameter(kept)).not_by("DIAG-SQN-NOTFWD");
}

#[test]
fn a_challenge_without_aka() {
    let down = refused(challenged(first(), |value| value.replace("AKAv1-MD5", "MD5")), 2, "403 Forbidden");
    diagnosed(&down).caused_by("DIAG-ALG-DOWN", Certainty::Certain, "WWW-Authenticate MD5");
    diagnosed(&down).caused_by("DIAG-ALG-DOWN", Certainty::Certain, "MAA Digest-AKAv1-MD5");
    let other = refused(answered(first().gm(), |value| value.replace("AKAv1-MD5", "MD5")), 2, "403 Forbidden");
    diagnosed(&other).caused_by("DIAG-ALG-DOWN", Certainty::Certain, "Authorization MD5");
    diagnosed(&refused(first().gm(), 2, "403 Forbidden")).not_by("DIAG-ALG-DOWN");
    // A user of plain digest.
    let plain = down
        .edit(|_| true, |text| ["Security-Client", "Security-Server"].iter().fold(text.to_owned(), |t, n| cut(&t, n)));
    diagnosed(&plain.edit(|_| true, |text| text.replace("algorithm=AKAv1-MD5", "algorithm=MD5")))
        .not_by("DIAG-ALG-DOWN");
}

#[test]
fn no_private_identity() {
    let absent = first().gm().edit(is_first, |text| cut(text, "Authorization"));
    diagnosed(&refused(absent.clone(), 1, "403 User Unknown")).caused_by(
        "DIAG-AUTH-ABSENT",
        Certainty::Certain,
        "no Authorization",
    );
    diagnosed(&refused(first().gm(), 1, "403 User Unknown")).not_by("DIAG-AUTH-ABSENT");
    diagnosed(&refused(absent, 1, "421 Extension Required")).not_by("DIAG-AUTH-ABSENT");
}
