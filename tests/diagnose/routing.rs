//! Identities that do not match, and requests that go astray (diagnoses 1.2).

use crate::kit::*;
use crate::trace::{Trace, change, cut, is_first, to_ue};
use imsreg::cx::{CxResult, Saa, Sar, Uaa, Uar};
use imsreg::diagnose::Certainty;
use imsreg::diameter::{Header, Writer, dictionary};
use imsreg::packet::Protocol;
use imsreg::time::Duration;
use imsreg::trace::Seen;

/// An exchange of Rx during the first REGISTER.
fn with_rx(trace: Trace, result: u32) -> Trace {
    let message = |request: bool| {
        let header = Header {
            request,
            proxiable: true,
            error: false,
            retransmitted: false,
            command: 265,
            application: 16_777_236,
            hop_by_hop: 99,
            end_to_end: 99,
        };
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header);
        writer.octets(dictionary::SESSION_ID, 0, true, b"rx;1").octets(8, 0, true, &[10, 64, 0, 1]);
        if !request {
            writer.u32(dictionary::RESULT_CODE, 0, true, result);
        }
        writer.finish();
        bytes
    };
    let at = trace.position(is_first);
    let mut trace = trace;
    for (offset, request) in [(1, true), (2, false)] {
        trace = trace.copied(at, at + offset - 1, Duration::from_millis(1), str::to_owned);
        let Seen::Message(seen) = &mut trace.sightings[at + offset].seen else { unreachable!("a message was copied") };
        seen.protocol = Protocol::Diameter;
        seen.bytes = message(request);
        if !request && let Some(ends) = &mut seen.ends {
            (ends.from, ends.to) = (ends.to, ends.from);
        }
    }
    trace
}

#[test]
fn a_bearer_that_cannot_be_watched() {
    let failed = with_rx(refused(first().gm(), 1, "403 Forbidden"), 5065);
    diagnosed(&failed).caused_by("DIAG-QOS", Certainty::Certain, "Result-Code 5065");
    diagnosed(&with_rx(refused(first().gm(), 1, "403 Forbidden"), 2001)).not_by("DIAG-QOS");
    let told = refused(first().gm(), 1, "403 Can't register to QoS for signalling");
    diagnosed(&told).caused_by("DIAG-QOS", Certainty::Likely, "QoS");
}

#[test]
fn a_register_that_goes_round() {
    let routed = || first().gm().edit(is_first, |text| text.replacen("\r\n", "\r\nRoute: <sip:10.64.0.1;lr>\r\n", 1));
    let looped = refused(routed(), 1, "482 Loop Detected");
    diagnosed(&looped).caused_by("DIAG-ROUTE-LOOP", Certainty::Certain, "482");
    let only = |trace: Trace| {
        let at = trace.position(is_first);
        let mut only = Trace { sightings: vec![trace.sightings[at].clone()] };
        // A 100 shows that the other direction can be seen.
        only = only.copied(0, 0, Duration::from_millis(10), |text| {
            let headers: Vec<&str> = text.split("\r\n").skip(1).filter(|line| !line.starts_with("Route")).collect();
            format!("SIP/2.0 100 Trying\r\n{}", headers.join("\r\n"))
        });
        if let Seen::Message(message) = &mut only.sightings[1].seen
            && let Some(ends) = &mut message.ends
        {
            (ends.from, ends.to) = (ends.to, ends.from);
        }
        only.going_on(200)
    };
    diagnosed(&only(routed())).caused_by("DIAG-ROUTE-LOOP", Certainty::Likely, "no answer");
    diagnosed(&only(first().gm())).not_by("DIAG-ROUTE-LOOP");
    diagnosed(&refused(routed(), 1, "504 Server Time-out")).caused_by("DIAG-ROUTE-LOOP", Certainty::Possible, "504");
    for (trace, status) in
        [(first().gm(), "403 Forbidden"), (first().gm(), "504 Server Time-out"), (routed(), "403 Forbidden")]
    {
        diagnosed(&refused(trace, 1, status)).not_by("DIAG-ROUTE-LOOP");
    }
}

#[test]
fn identities_that_the_ue_gets() {
    let bare = first().gm().edit(to_ue("200"), |text| cut(text, "P-Associated-URI"));
    diagnosed(&bare).remarks("DIAG-PAU", "");
    let mut sound = diagnosed(&first().gm());
    sound.remarks.retain(|found| found.cause.name == "DIAG-PAU");
    assert!(sound.remarks.is_empty(), "{sound:#?}");
    let barred = |yes: &'static str| {
        refused(first(), 2, "403 Forbidden").rewritten(Sar::COMMAND, false, move |bytes, w| {
            let mut saa = Saa::decode(bytes).expect("an SAA");
            let data = String::from_utf8(saa.user_data.expect("a profile").to_vec()).expect("XML");
            let data = data
                .replace("<PublicIdentity>", &format!("<PublicIdentity><BarringIndication>{yes}</BarringIndication>"));
            saa.user_data = Some(data.as_bytes());
            saa.encode(w);
        })
    };
    diagnosed(&barred("1")).caused_by("DIAG-PAU", Certainty::Certain, "barred ones only");
    diagnosed(&barred("0")).not_by("DIAG-PAU");
}

#[test]
fn domains_that_are_not_one() {
    let realm = |to: &'static str| {
        let home = "realm=\"ims.mnc001.mcc001.3gppnetwork.org\"";
        let edited = first().gm().edit(is_first, move |text| {
            change(text, "Authorization", |value| value.replace(home, &format!("realm=\"{to}\"")))
        });
        refused(edited, 1, "403 Forbidden")
    };
    diagnosed(&realm("ims.example.org")).caused_by("DIAG-REALM", Certainty::Likely, "realm ims.example.org");
    diagnosed(&refused(first().gm(), 1, "403 Forbidden")).not_by("DIAG-REALM");
    let answer = answered(first(), |value| value.replace("realm=\"ims.", "realm=\"old."));
    diagnosed(&refused(answer, 2, "403 Forbidden")).caused_by("DIAG-REALM", Certainty::Certain, "realm old.");
    let unserved = refused(first(), 1, "480 Temporarily Unavailable").rewritten(Uar::COMMAND, false, |bytes, w| {
        let uaa = Uaa::decode(bytes).expect("a UAA");
        Uaa { result: CxResult::Base(3003), server_name: None, capabilities: None, ..uaa }.encode(w);
    });
    diagnosed(&unserved).caused_by("DIAG-REALM", Certainty::Certain, "3003");
}
