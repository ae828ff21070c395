//! Rules NW-01 to NW-06.

use crate::trace::{Trace, cut, is_register_of_ue, to_ue};

fn first() -> Trace {
    Trace::of("first-registration")
}

fn forwarded(text: &str) -> bool {
    text.starts_with("REGISTER ") && !is_register_of_ue(text)
}

#[test]
fn what_is_sound_passes_and_without_mw_nothing_is_judged() {
    for id in ["NW-01", "NW-02", "NW-04", "NW-05"] {
        first().passes(id);
        first().gm().is_not_observable(id);
    }
    first().is_not_applicable("NW-06");
}

#[test]
fn nw_01() {
    for name in ["Path", "P-Charging-Vector", "P-Visited-Network-ID"] {
        first().edit(forwarded, |text| cut(text, name)).fails("NW-01", name);
    }
}

#[test]
fn nw_02() {
    let with = |from: &'static str, to: &'static str| first().edit(forwarded, move |text| text.replace(from, to));
    with("integrity-protected=\"no\"", "integrity-protected=\"yes\"").fails("NW-02", "no / yes");
    with("integrity-protected=\"yes\"", "integrity-protected=\"no\"").fails("NW-02", "yes / no");
}

#[test]
fn nw_04_and_05() {
    let to_scscf = |text: &str| text.starts_with("REGISTER ") && text.matches("\r\nVia:").count() >= 3;
    first().edit(to_scscf, |text| cut(text, "Path")).fails("NW-04", "sip:");
    let own_alone = |text: &str| {
        let mut vias = 0;
        let is_kept = |line: &&str| {
            vias += usize::from(line.starts_with("Via:"));
            !line.starts_with("Via:") || vias == 1
        };
        text.split("\r\n").filter(is_kept).collect::<Vec<_>>().join("\r\n")
    };
    first().edit(to_scscf, own_alone).fails("NW-04", "1 Vias after 2");
    let granted = |text: &str| text.starts_with("SIP/2.0 200 ") && !to_ue("200")(text);
    first().edit(granted, |text| cut(text, "Path")).fails("NW-05", "Path");
    first().edit(granted, |text| cut(text, "Service-Route")).fails("NW-05", "Service-Route");
}

#[test]
fn nw_03() {
    first().passes("NW-03");
    let is_large = |text: &str| text.starts_with("SIP/2.0") && text.contains(" REGISTER\r\n");
    first().gm().without(is_large).is_not_observable("NW-03");
    let small = [
        ("ue.features", ";audio"),
        ("ue.algorithms", "hmac-sha-1-96/aes-cbc"),
        ("pcscf.algorithms", "hmac-sha-1-96/aes-cbc"),
    ];
    Trace::with("first-registration", &small).gm().is_not_applicable("NW-03");
}

#[test]
fn nw_06() {
    let sos = Trace::of("emergency");
    sos.passes("NW-06");
    sos.clone().edit(to_ue("200"), |text| text.replace(";sos", "")).fails("NW-06", "sos");
    sos.gm().without(to_ue("200")).is_not_observable("NW-06");
}
