//! Rules CX-01 to CX-07.

use crate::aka::with_keys;
use crate::trace::{Trace, change, lab_keys, to_ue};
use imsreg::cx::{CxResult, Maa, Mar, Saa, Sar, ServerAssignmentType, Uaa, Uar};
use imsreg::packet::Protocol;
use imsreg::trace::{Message, Seen};
use imsreg::validate::Verdict;

fn first() -> Trace {
    Trace::of("first-registration")
}

fn uaa(with: impl Fn(&mut Uaa<'_>)) -> Trace {
    first().rewritten(Uar::COMMAND, false, |bytes, w| {
        let mut uaa = Uaa::decode(bytes).expect("a UAA");
        with(&mut uaa);
        uaa.encode(w);
    })
}

#[test]
fn what_is_sound_passes_and_without_cx_nothing_is_judged() {
    for id in ["CX-01", "CX-03", "CX-05", "CX-07"] {
        first().passes(id);
    }
    for id in ["CX-01", "CX-02", "CX-03", "CX-05", "CX-06", "CX-07"] {
        first().gm().is_not_observable(id);
    }
    for id in ["CX-02", "CX-04"] {
        first().is_not_applicable(id);
    }
}

#[test]
fn cx_01() {
    uaa(|uaa| uaa.server_name = None).fails("CX-01", "Server-Name");
    uaa(|uaa| uaa.result = CxResult::SUCCESS).fails("CX-01", "FIRST_REGISTRATION");
    uaa(|uaa| uaa.result = CxResult::Experimental(2005)).fails("CX-01", "2005");
}

#[test]
fn cx_02() {
    let refused = |result: CxResult, status: &'static str| {
        uaa(move |uaa| uaa.result = result).edit(
            |text| to_ue("401")(text) || to_ue("200")(text),
            move |text| text.replace("401 Unauthorized", status).replace("200 OK", status),
        )
    };
    refused(CxResult::ROAMING_NOT_ALLOWED, "403 Forbidden").passes("CX-02");
    refused(CxResult::ROAMING_NOT_ALLOWED, "500 Error").fails("CX-02", "500 after");
    refused(CxResult::UNABLE_TO_COMPLY, "403 Forbidden").fails("CX-02", "403 after");
}

#[test]
fn cx_03() {
    let maa = |with: fn(&mut Maa<'_>)| {
        first().rewritten(Mar::COMMAND, false, |bytes, w| {
            let mut maa = Maa::decode(bytes).expect("an MAA");
            with(&mut maa);
            maa.encode(w);
        })
    };
    maa(|maa| maa.items[0].ik = None).fails("CX-03", "IK");
    maa(|maa| maa.items[0].xres = None).fails("CX-03", "XRES");
    maa(|maa| maa.items.clear()).fails("CX-03", "SIP-Auth-Data-Item");
    maa(|maa| maa.impi = None).fails("CX-03", "User-Name");
}

#[test]
fn cx_05() {
    let sar = |with: fn(&mut Sar<'_>)| {
        first().rewritten(Sar::COMMAND, true, |bytes, w| {
            let mut sar = Sar::decode(bytes).expect("an SAR");
            with(&mut sar);
            sar.encode(w);
        })
    };
    sar(|sar| sar.assignment = ServerAssignmentType::UserDeregistration).fails("CX-05", "UserDeregistration");
    // UAA said FIRST_REGISTRATION.
    sar(|sar| sar.assignment = ServerAssignmentType::ReRegistration).fails("CX-05", "ReRegistration");
    uaa(|uaa| uaa.result = CxResult::SUBSEQUENT_REGISTRATION)
        .rewritten(Sar::COMMAND, true, |bytes, w| {
            let mut sar = Sar::decode(bytes).expect("an SAR");
            sar.assignment = ServerAssignmentType::ReRegistration;
            sar.encode(w);
        })
        .passes("CX-05");
    sar(|sar| sar.impus.push("sip:other@ims.example")).fails("CX-05", "one Public-Identity");
    let saa = first().rewritten(Sar::COMMAND, false, |bytes, w| {
        let mut saa = Saa::decode(bytes).expect("an SAA");
        saa.user_data = Some(b"<IMSSubscription>");
        saa.encode(w);
    });
    saa.fails("CX-05", "a profile that can be read");
}

/// The answer to the challenge is refused, and the HSS must hear of it (TS 24.229 clause 5.4.1.2.3).
#[test]
fn cx_05_authentication_failure() {
    let refused =
        || first().edit(|text| text.starts_with("SIP/2.0 200 "), |text| text.replace("200 OK", "403 Forbidden"));
    let mut silent = refused();
    silent.sightings.retain(|sighting| match &sighting.seen {
        Seen::Message(message) if message.protocol == Protocol::Diameter => {
            imsreg::diameter::Header::read(&message.bytes).is_none_or(|header| header.command != Sar::COMMAND)
        }
        _ => true,
    });
    silent.is_not_observable("CX-05");
    silent.going_on(20).fails("CX-05", "AUTHENTICATION_FAILURE");
    refused().going_on(20).passes("CX-05");
}

#[test]
fn cx_07() {
    let reversed = |value: &str| value.rsplit(',').collect::<Vec<_>>().join(",");
    first().edit(to_ue("200"), |text| change(text, "P-Associated-URI", reversed)).fails("CX-07", "sip:");
}

#[test]
fn cx_06() {
    let keys = lab_keys();
    let judged = |trace: &Trace| with_keys(trace, "CX-06", &keys)[0].verdict;
    let mut trace = Trace::of("re-authentication");
    assert_eq!(judged(&trace), Verdict::Pass);
    trace.is_not_observable("CX-06");
    // The vectors change their places.
    let vector = |message: &Message| {
        let maa = Maa::decode(&message.bytes).ok()?;
        maa.items.first().and_then(|item| item.authenticate).map(<[u8]>::to_vec)
    };
    let messages = trace.sightings.iter_mut().filter_map(|sighting| match &mut sighting.seen {
        Seen::Message(message) if message.protocol == Protocol::Diameter => Some(message),
        _ => None,
    });
    let mut answers: Vec<_> = messages.filter_map(|message| Some((vector(message)?, message))).collect();
    let [(first, _), .., (last, _)] = &answers[..] else { panic!("two vectors") };
    let (first, last) = (first.clone(), last.clone());
    for (own, message) in &mut answers {
        let other = if *own == first { &last } else { &first };
        let at = message.bytes.windows(own.len()).position(|octets| octets == *own).expect("its vector");
        message.bytes[at..at + own.len()].copy_from_slice(other);
    }
    assert_eq!(judged(&trace), Verdict::Fail);
    // After a resynchronisation SQN goes on from that of the USIM (TS 33.102 clause 6.3.5).
    let mut count = 0;
    for sighting in &mut trace.sightings {
        let Seen::Message(message) = &mut sighting.seen else { continue };
        let Some(header) = imsreg::diameter::Header::read(&message.bytes) else { continue };
        if message.protocol != Protocol::Diameter || header.command != Mar::COMMAND || !header.request {
            continue;
        }
        count += 1;
        if count > 1 {
            let mut mar = Mar::decode(&message.bytes).expect("a MAR");
            mar.resync = Some(&[7; 30]);
            let mut out = Vec::new();
            let mut writer = imsreg::diameter::Writer::new(&mut out, &header);
            mar.encode(&mut writer);
            writer.finish();
            message.bytes = out;
        }
    }
    assert!(count > 1);
    assert_ne!(judged(&trace), Verdict::Fail);
}
