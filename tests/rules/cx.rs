//! Rules CX-01 to CX-07.

use crate::trace::{Trace, change, to_ue};
use imsreg::cx::{CxResult, Maa, Mar, Saa, Sar, ServerAssignmentType, Uaa, Uar};
use imsreg::diameter::{Header, Writer};
use imsreg::packet::Protocol;
use imsreg::trace::Seen;

fn first() -> Trace {
    Trace::of("first-registration")
}

/// Every message of a command, request or answer, written anew by `with`.
fn rewritten(mut trace: Trace, command: u32, request: bool, with: impl Fn(&[u8], &mut Writer<'_>)) -> Trace {
    let mut changed = 0;
    for sighting in &mut trace.sightings {
        let Seen::Message(message) = &mut sighting.seen else { continue };
        let Some(header) = Header::read(&message.bytes).filter(|_| message.protocol == Protocol::Diameter) else {
            continue;
        };
        if (header.command, header.request) == (command, request) {
            let mut out = Vec::new();
            let mut writer = Writer::new(&mut out, &header);
            with(&message.bytes, &mut writer);
            writer.finish();
            message.bytes = out;
            changed += 1;
        }
    }
    assert!(changed > 0, "nothing was changed");
    trace
}

fn uaa(with: impl Fn(&mut Uaa<'_>)) -> Trace {
    rewritten(first(), Uar::COMMAND, false, |bytes, w| {
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
        rewritten(first(), Mar::COMMAND, false, |bytes, w| {
            let mut maa = Maa::decode(bytes).expect("an MAA");
            with(&mut maa);
            maa.encode(w);
        })
    };
    maa(|maa| maa.items[0].ik = None).fails("CX-03", "IK");
    maa(|maa| maa.items[0].xres = None).fails("CX-03", "XRES");
    maa(|maa| maa.items.clear()).fails("CX-03", "SIP-Auth-Data-Item");
}

#[test]
fn cx_05() {
    let sar = |with: fn(&mut Sar<'_>)| {
        rewritten(first(), Sar::COMMAND, true, |bytes, w| {
            let mut sar = Sar::decode(bytes).expect("an SAR");
            with(&mut sar);
            sar.encode(w);
        })
    };
    sar(|sar| sar.assignment = ServerAssignmentType::UserDeregistration).fails("CX-05", "UserDeregistration");
    sar(|sar| sar.impus.push("sip:other@ims.example")).fails("CX-05", "one Public-Identity");
    let saa = rewritten(first(), Sar::COMMAND, false, |bytes, w| {
        let mut saa = Saa::decode(bytes).expect("an SAA");
        saa.user_data = Some(b"<IMSSubscription>");
        saa.encode(w);
    });
    saa.fails("CX-05", "a profile that can be read");
}

#[test]
fn cx_07() {
    let reversed = |value: &str| value.rsplit(',').collect::<Vec<_>>().join(",");
    first().edit(to_ue("200"), |text| change(text, "P-Associated-URI", reversed)).fails("CX-07", "sip:");
}
