//! Rules RG-01 to RG-17.

use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, is_second, to_ue};
use imsreg::validate::{Context, Verdict};

fn first() -> Trace {
    Trace::of("first-registration")
}

fn edited(with: impl Fn(&str) -> String) -> Trace {
    first().edit(is_first, with)
}

fn contact(with: impl Fn(&str) -> String) -> Trace {
    edited(move |text| change(text, "Contact", &with))
}

fn unseen() -> Trace {
    first().gm().without(is_register_of_ue)
}

#[test]
fn what_is_sound_passes_and_what_is_not_there_is_not_observable() {
    for id in [
        "RG-01", "RG-02", "RG-03", "RG-05", "RG-06", "RG-07", "RG-08", "RG-09", "RG-11", "RG-12", "RG-13", "RG-14",
        "RG-16", "RG-17",
    ] {
        first().passes(id);
    }
    for id in [
        "RG-01", "RG-02", "RG-03", "RG-05", "RG-06", "RG-07", "RG-08", "RG-09", "RG-11", "RG-13", "RG-14", "RG-16",
        "RG-17",
    ] {
        unseen().is_not_observable(id);
    }
}

#[test]
fn rg_01() {
    edited(|text| text.replacen("REGISTER sip:", "REGISTER sip:somebody@", 1)).fails("RG-01", "somebody@");
}

#[test]
fn rg_02() {
    edited(|text| change(text, "From", |value| value.replace("sip:", "sip:x"))).fails("RG-02", "sip:x");
    edited(|text| change(&change(text, "From", |_| "<tel:+1>;tag=a".into()), "To", |_| "<tel:+1>".into()))
        .fails("RG-02", "tel:+1");
}

#[test]
fn rg_03() {
    edited(|text| text.replacen("mnc001", "mnc01", 1)).fails("RG-03", "ims.mnc01.mcc001");
    edited(|text| text.replacen("REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org", "REGISTER sip:home.example", 1))
        .is_not_applicable("RG-03");
}

#[test]
fn rg_04() {
    first().passes("RG-04");
    first()
        .edit(is_register_of_ue, |text| {
            change(&change(text, "Contact", |v| v.replace(";expires=600000", "")), "Expires", |_| "3600".into())
        })
        .fails("RG-04", "3600");
    unseen().is_not_observable("RG-04");
}

#[test]
fn rg_05() {
    edited(|text| change(text, "Supported", |_| "timer".into())).fails("RG-05", "timer");
    contact(|value| format!("{value};reg-id=1")).fails("RG-05", "outbound");
}

#[test]
fn rg_06() {
    edited(|text| cut(text, "Authorization")).fails("RG-06", "none");
    edited(|text| change(text, "Authorization", |value| value.replace("response=\"\"", "response=\"abc\"")))
        .fails("RG-06", "response: not empty");
    let used = |value: &str| value.replace("nonce=\"\"", "nonce=\"AAAA\"").replace("response=\"\"", "response=\"00\"");
    edited(|text| change(text, "Authorization", used)).gm().fails("RG-06", "nonce: AAAA");
    edited(|text| change(text, "Authorization", |value| value.replace("uri=", "url="))).fails("RG-06", "uri: absent");
    let trusted = edited(|text| cut(text, "Authorization"))
        .gm()
        .without(|text| is_register_of_ue(text) && !is_first(text) || to_ue("200")(text));
    trusted.edit(to_ue("401"), |text| text.replace("401 Unauthorized", "200 OK")).is_not_applicable("RG-06");
}

#[test]
fn rg_07() {
    edited(|text| text.replacen("\r\n", "\r\nP-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1\r\n", 1))
        .fails("RG-07", "3GPP-E-UTRAN-FDD");
}

#[test]
fn rg_08_and_09() {
    contact(|value| value.replace("+sip.instance", "+sip.instant")).fails("RG-08", "none");
    contact(|value| value.replace("mmtel", "other") + ";audio").fails("RG-08", "mmtel");
    contact(|value| value.replace("%3A", ":").replace("%3a", ":")).fails("RG-09", "urn:urn-7:");
    contact(|value| value.split(";+g.3gpp.icsi-ref").next().unwrap().to_owned() + ";+g.3gpp.icsi-ref=urn%3Aurn-7")
        .fails("RG-09", "urn%3Aurn-7");
}

#[test]
fn rg_10() {
    let udp = Trace::with(
        "first-registration",
        &[("ue.transport", "udp"), ("ue.features", ";audio"), ("ue.algorithms", "hmac-sha-1-96/aes-cbc")],
    );
    udp.passes("RG-10");
    udp.edit(is_first, |text| text.replacen(";rport", "", 1)).fails("RG-10", "rport");
    unseen().is_not_observable("RG-10");
    first().is_not_applicable("RG-10");
}

#[test]
fn rg_11() {
    edited(|text| text.replacen("\r\n", "\r\nRoute: <sip:pcscf.example;lr>\r\n", 1)).fails("RG-11", "pcscf.example");
}

#[test]
fn rg_12() {
    first().edit(is_second, |text| change(text, "CSeq", |_| "7 REGISTER".into())).fails("RG-12", "CSeq 2");
    let unanswered = first().gm().without(|text| is_register_of_ue(text) && !is_first(text) || to_ue("200")(text));
    unanswered.is_not_applicable("RG-12");
}

#[test]
fn rg_13() {
    let hasty = first().gm().swapped(to_ue("401"), is_second);
    hasty.fails("RG-13", "the final answer first");
}

#[test]
fn rg_14() {
    first()
        .gm()
        .moved(is_first, |ends| ends.transport = imsreg::packet::Transport::Udp)
        .fails("RG-14", "octets over UDP");
}

#[test]
fn rg_15() {
    first().passes("RG-15");
    first().gm().moved(is_first, |ends| ends.to.set_port(5070)).is_not_observable("RG-15");
    // Who knows what P-CSCF discovery gave can tell.
    let announced = |port| Context { pcscf_port: Some(port), ..Context::default() };
    let elsewhere = first().gm().moved(is_first, |ends| ends.to.set_port(5070));
    let verdict = |trace: &Trace, port| trace.findings_with("RG-15", &announced(port))[0].clone();
    let wrong = verdict(&elsewhere, 5060);
    assert_eq!((wrong.verdict, &*wrong.expected, &*wrong.found), (Verdict::Fail, "port 5060", "port 5070"));
    assert_eq!(verdict(&elsewhere, 5070).verdict, Verdict::Pass);
    assert_eq!(verdict(&first(), 5070).verdict, Verdict::Fail);
    elsewhere.without(is_first).is_not_observable("RG-15");
}

#[test]
fn rg_16() {
    edited(|text| cut(text, "Max-Forwards")).fails("RG-16", "Max-Forwards");
    edited(|text| change(text, "From", |value| value.split(';').next().unwrap().to_owned()))
        .fails("RG-16", "From with a tag");
}

#[test]
fn rg_17() {
    edited(|text| change(text, "Authorization", |value| format!("{value},integrity-protected=\"yes\"")))
        .fails("RG-17", "yes");
    edited(|text| cut(text, "Authorization")).gm().without(is_second).is_not_applicable("RG-17");
}
