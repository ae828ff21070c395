//! What is said when no narrower name fits, and of traces without a registration.

use crate::kit::*;
use crate::trace::{Trace, cut, is_first, is_register_of_ue, set, to_ue};
use imsreg::diagnose::{Bystanders, Certainty};
use imsreg::time::Duration;
use imsreg::trace::story::{Limits, Registration, Story};
use imsreg::trace::{Place, Sighting};

#[test]
fn silence_after_a_challenge() {
    diagnosed(&silent(first().gm())).caused_by("DIAG-AKA-SILENT", Certainty::Likely, "breaks no rule");
    let broken = challenged(first().gm(), |value| set(value, "nonce", "AAAA"));
    diagnosed(&silent(broken)).caused_by("DIAG-AKA-SILENT", Certainty::Likely, "AK-02");
    // The trace ends before anybody could say that nothing follows.
    let cut = first().gm().without(|text| !is_first(text) && !to_ue("401")(text));
    diagnosed(&cut).has_no_cause();
    // What the UE says is not in the trace.
    let downlink = silent(first().gm()).without(is_register_of_ue);
    diagnosed(&downlink).has_no_cause();
}

#[test]
fn a_challenge_that_does_not_arrive() {
    let whole = silent(first());
    let stopped = whole.without(to_ue("401")).going_on(200);
    diagnosed(&stopped).caused_by("DIAG-AKA-SILENT", Certainty::Likely, "stops at the P-CSCF");
    let gm = silent(first().gm());
    let (register, challenge) = (gm.position(is_first), gm.position(to_ue("401")));
    let repeated = gm.copied(register, challenge, Duration::from_secs(2), str::to_owned);
    diagnosed(&repeated).caused_by("DIAG-AKA-SILENT", Certainty::Likely, "repeats its REGISTER");
    // Neither AKA nor an offer of SAs: nobody is to make keys.
    let plain = gm_of_plain_digest();
    diagnosed(&plain).not_by("DIAG-AKA-SILENT");
    diagnosed(&plain).caused_by("DIAG-OTHER", Certainty::Possible, "a challenge without an answer");
}

fn gm_of_plain_digest() -> Trace {
    let names = ["Security-Client", "Security-Server", "Require", "Proxy-Require"];
    silent(first().gm()).edit(
        |_| true,
        |text| names.iter().fold(text.to_owned(), |text, name| cut(&text, name)).replace("AKAv1-MD5", "MD5"),
    )
}

#[test]
fn a_refusal_without_a_name() {
    let refused = refused(first().gm(), 1, "500 Server Internal Error");
    diagnosed(&refused).caused_by("DIAG-OTHER", Certainty::Possible, "500 Server Internal Error");
    diagnosed(&first().gm()).has_no_cause();
    diagnosed(&silent(first().gm())).not_by("DIAG-OTHER");
}

#[test]
fn a_trace_without_a_registration() {
    let seen = |trace: &Trace| {
        let mut story = Story::new(Limits::default());
        for (number, sighting) in (1..).zip(&trace.sightings) {
            story.see(Sighting { place: Place::Hop(number), ..sighting.clone() });
        }
        story.finish();
        let mut bystanders = Bystanders::default();
        while let Some(group) = story.next() {
            bystanders.see(&Registration::of(&group));
        }
        bystanders.no_attempt(story.totals())
    };
    let options =
        first().gm().without(|text| !is_first(text)).edit(is_first, |text| text.replace("REGISTER", "OPTIONS"));
    let found = seen(&options).expect("nobody registers");
    assert_eq!(found.cause.name, "DIAG-NO-ATTEMPT");
    assert!(found.found.contains("SIP OPTIONS (1)"), "{found:?}");
    assert!(seen(&first().gm()).is_none());
    // Of whom nobody knows, but somebody tries.
    let broken = first().gm().without(|text| !is_first(text)).edit(is_first, |text| {
        format!("{}\r\nExpires: 3600\r\n\r\n", text.split_once("\r\n").expect("a start line").0)
    });
    assert!(seen(&broken).is_none());
    // Whom the network asserts, and serves, is registered.
    let granted = |asserted: &'static str| {
        let is_answer = |text: &str| text.starts_with("SIP/2.0 401 ");
        first().gm().without(|text| !is_first(text) && !to_ue("401")(text)).edit(
            |text| is_first(text) || is_answer(text),
            move |text| {
                let text = text.replace("REGISTER", "MESSAGE").replace("401 Unauthorized", "200 OK");
                let text = cut(&cut(&text, "Security-Server"), "Security-Client");
                text.replacen("\r\nCSeq:", &format!("\r\n{asserted}CSeq:"), 1)
            },
        )
    };
    assert!(seen(&granted("")).is_some());
    assert!(seen(&granted("P-Asserted-Identity: <sip:user@ims.example>\r\n")).is_none());
}
