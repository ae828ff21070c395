//! Rules SA-13 and SA-20 to SA-31.

use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, to_ue};
use imsreg::validate::{Context, Verdict};

fn first() -> Trace {
    Trace::of("first-registration")
}

fn challenged(with: impl Fn(&str) -> String) -> Trace {
    first().edit(to_ue("401"), with)
}

fn served(with: impl Fn(&str) -> String) -> Trace {
    challenged(move |text| change(text, "Security-Server", &with))
}

/// The first REGISTER as `edit` makes it, refused, and nothing after it.
fn refused(status: &'static str, edit: impl Fn(&str) -> String) -> Trace {
    let refused = first().gm().edit(is_first, edit).without(|text| is_register_of_ue(text) && !is_first(text));
    refused.edit(to_ue("401"), move |text| cut(text, "WWW-Authenticate").replace("401 Unauthorized", status))
}

fn without_offer(text: &str) -> String {
    let text = ["Security-Client", "Security-Verify", "Require", "Proxy-Require"]
        .iter()
        .fold(text.to_owned(), |text, name| cut(&text, name));
    text.replace(",sec-agree", "").replace("sec-agree,", "")
}

fn plain() -> Trace {
    first().edit(is_register_of_ue, without_offer).edit(to_ue("401"), |text| cut(text, "Security-Server"))
}

fn unseen() -> Trace {
    first().gm().without(is_register_of_ue)
}

#[test]
fn sa_13() {
    let two = |value: &str| format!("{value},{value}");
    served(|value| two(&value.split(',').next().unwrap().replace(";q=", ";x="))).fails("SA-13", "2 elements without q");
    served(|value| {
        two(&value.split(',').next().unwrap().replace(";q=", ";x=").replacen("ipsec-3gpp", "ipsec-3gpp;q=0.5", 1))
    })
    .passes("SA-13");
    plain().is_not_applicable("SA-13");
}

#[test]
fn sa_20() {
    first().passes("SA-20");
    challenged(|text| cut(text, "Security-Server")).fails("SA-20", "none in the 401");
    served(|value| value.replace("spi-c=", "spi=")).fails("SA-20", "spi=");
    first().gm().without(to_ue("401")).is_not_observable("SA-20");
    plain().is_not_applicable("SA-20");
}

#[test]
fn sa_21() {
    first().passes("SA-21");
    served(|value| value.replace("hmac-", "hmax-")).fails("SA-21", "hmax-");
    served(|value| value.replace("mod=trans", "mod=tun")).fails("SA-21", "tun");
    unseen().is_not_observable("SA-21");
    plain().is_not_applicable("SA-21");
}

#[test]
fn sa_22() {
    let other = |value: &str| value.replace("hmac-", "hmax-");
    let twice = Trace::of("re-authentication");
    twice.clone().edit(to_ue("401"), other).passes("SA-22");
    // The offer is the same, and the list of the second challenge is not.
    let second = |text: &str| to_ue("401")(text) && text.contains("CSeq: 3 REGISTER");
    let short = |text: &str| change(text, "Security-Server", |value| value.split(',').next().unwrap().to_owned());
    twice.edit(second, short).fails("SA-22", "hmac-sha-1-96");
    plain().is_not_applicable("SA-22");
    served(|value| value.split(',').next().unwrap().to_owned()).is_not_observable("SA-22");
}

#[test]
fn sa_23() {
    first().passes("SA-23");
    let same_as_ue =
        first().edit(is_register_of_ue, |text| change(text, "Security-Client", |value| spi(value, "spi-c", "777777")));
    same_as_ue
        .edit(to_ue("401"), |text| change(text, "Security-Server", |value| spi(value, "spi-s", "777777")))
        .fails("SA-23", "777777 is the UE's");
    served(|value| spi(&spi(value, "spi-s", "4711"), "spi-c", "4711")).fails("SA-23", "spi-c and spi-s are 4711");
    plain().is_not_applicable("SA-23");
}

fn spi(value: &str, name: &str, number: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find(&format!("{name}=")) {
        let start = at + name.len() + 1;
        let end = rest[start..].find([';', ',']).map_or(rest.len(), |end| start + end);
        out += &rest[..start];
        out += number;
        rest = &rest[end..];
    }
    out + rest
}

#[test]
fn sa_24() {
    Trace::of("re-authentication").passes("SA-24");
    served(|value| spi(value, "port-s", "5060")).fails("SA-24", "port-s=5060");
    Trace::of("re-authentication")
        .edit(to_ue("401"), |text| change(text, "Security-Server", |v| spi(v, "port-c", "5199")))
        .fails("SA-24", "port-c");
    plain().is_not_applicable("SA-24");
}

#[test]
fn sa_25() {
    first().passes("SA-25");
    let leaks = challenged(|text| {
        change(text, "WWW-Authenticate", |value| format!("{value},ck=\"00112233445566778899aabbccddeeff\""))
    });
    leaks.fails("SA-25", "ck or ik in the challenge");
    let said = format!("{:?}", leaks.findings("SA-25"));
    assert!(!said.contains("00112233445566778899aabbccddeeff"), "keys are not shown: {said}");
    first().gm().without(to_ue("401")).is_not_applicable("SA-25");
}

#[test]
fn sa_26() {
    first().passes("SA-26");
    first()
        .edit(|text| text.starts_with("SIP/2.0 401") && text.contains(",ck="), |text| text.replace(",ck=", ",xx="))
        .fails("SA-26", "ck absent");
    first().gm().is_not_observable("SA-26");
    first()
        .edit(|text| text.starts_with("SIP/2.0 401"), |text| text.replace("AKAv1-MD5", "MD5"))
        .is_not_applicable("SA-26");
}

#[test]
fn sa_27() {
    let refused_421 = refused("421 Extension Required", without_offer);
    refused_421.fails("SA-27", "a 421 without it");
    refused_421.edit(to_ue("421"), |text| text.replacen("\r\n", "\r\nRequire: sec-agree\r\n", 1)).passes("SA-27");
    let required = Context { sec_agree_required: Some(true), ..Context::default() };
    let findings = plain().findings_with("SA-27", &required);
    assert_eq!((findings[0].verdict, &*findings[0].found), (Verdict::Fail, "a challenge"));
    plain().is_not_observable("SA-27");
    first().is_not_applicable("SA-27");
}

#[test]
fn sa_28() {
    let subscribing = Trace::of("reg-event").gm();
    let is_subscribe = |text: &str| text.starts_with("SUBSCRIBE ");
    subscribing.is_not_applicable("SA-28");
    let tagged = subscribing.in_clear(is_subscribe);
    tagged.fails("SA-28", "200 without Security-Server");
    tagged.clone().without(|text| to_ue("200")(text) && text.contains(" SUBSCRIBE\r\n")).is_not_observable("SA-28");
    let refused = tagged.edit(
        |text| to_ue("200")(text) && text.contains(" SUBSCRIBE\r\n"),
        |text| {
            text.replace(
                "200 OK\r\n",
                "494 Security Agreement Required\r\nSecurity-Server: ipsec-3gpp;alg=hmac-sha-1-96\r\n",
            )
        },
    );
    refused.passes("SA-28");
}

#[test]
fn sa_30() {
    first().passes("SA-30");
    let forwarded = |text: &str| text.starts_with("REGISTER ") && !is_register_of_ue(text);
    first()
        .edit(forwarded, |text| text.replacen("\r\n", "\r\nSecurity-Client: ipsec-3gpp\r\n", 1))
        .fails("SA-30", "Security-Client");
    first().gm().is_not_observable("SA-30");
    plain().is_not_applicable("SA-30");
}

#[test]
fn sa_31() {
    let odd = |text: &str| change(text, "Security-Client", |value| value.replace("hmac-", "hmax-"));
    refused("494 Security Agreement Required", odd).passes("SA-31");
    refused("421 Extension Required", odd).fails("SA-31", "494 with Security-Server");
    let nowhere = |text: &str| without_offer(text);
    refused("421 Extension Required", nowhere).passes("SA-31");
    refused("494 Security Agreement Required", nowhere).fails("SA-31", "421 with Security-Server");
    refused("494 Security Agreement Required", odd)
        .edit(to_ue("494"), |text| cut(text, "Security-Server"))
        .fails("SA-31", "494 without");
    first().is_not_applicable("SA-31");
    unseen().is_not_observable("SA-31");
}
