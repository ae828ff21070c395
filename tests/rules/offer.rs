//! Rules SA-01 to SA-12.

use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, to_ue};

fn first() -> Trace {
    Trace::of("first-registration")
}

/// The offer with its first element changed.
fn offering(changed: impl Fn(&str) -> String) -> Trace {
    first().edit(is_register_of_ue, |text| change(text, "Security-Client", &changed))
}

/// No REGISTER of the UE.
fn unseen() -> Trace {
    first().gm().without(is_register_of_ue)
}

/// Nothing of a security agreement.
fn plain() -> Trace {
    first().edit(
        |_| true,
        |text| {
            let text = ["Security-Client", "Security-Server", "Security-Verify", "Proxy-Require"]
                .iter()
                .fold(text.to_owned(), |text, name| cut(&text, name));
            text.replace("Require: sec-agree\r\n", "").replace(",sec-agree", "").replace("sec-agree,", "")
        },
    )
}

/// The offer is refused with the P-CSCF's own list.
fn refused(offer: impl Fn(&str) -> String) -> Trace {
    let refused = first().gm().edit(is_first, |text| change(text, "Security-Client", &offer));
    let refused = refused.without(|text| is_register_of_ue(text) && !is_first(text));
    refused.edit(to_ue("401"), |text| {
        cut(text, "WWW-Authenticate").replace("SIP/2.0 401 Unauthorized", "SIP/2.0 494 Security Agreement Required")
    })
}

#[test]
fn sa_01() {
    first().passes("SA-01");
    first().edit(is_first, |text| cut(text, "Proxy-Require")).fails("SA-01", "no Proxy-Require");
    first().edit(is_first, |text| cut(text, "Security-Client")).fails("SA-01", "no Security-Client");
    unseen().is_not_observable("SA-01");
    plain().is_not_applicable("SA-01");
}

#[test]
fn sa_02() {
    let supported = first().edit(is_first, |text| change(text, "Supported", |value| format!("{value},sec-agree")));
    supported.passes("SA-02");
    let alone = supported.clone().edit(is_first, |text| {
        ["Security-Client", "Require", "Proxy-Require"].iter().fold(text.to_owned(), |text, name| cut(&text, name))
    });
    alone.fails("SA-02", "Supported only");
    let beside_an_offer =
        |text: &str| ["Require", "Proxy-Require"].iter().fold(text.to_owned(), |text, name| cut(&text, name));
    supported.edit(is_first, beside_an_offer).fails("SA-02", "Supported only");
    unseen().is_not_observable("SA-02");
    plain().is_not_applicable("SA-02");
}

#[test]
fn sa_03() {
    first().passes("SA-03");
    offering(|value| value.replacen("spi-c", "spi", 1)).fails("SA-03", "no spi-c");
    offering(|value| value.replace("ipsec-3gpp", "ipsec3gpp")).fails("SA-03", "ipsec3gpp");
    unseen().is_not_observable("SA-03");
    plain().is_not_applicable("SA-03");
}

#[test]
fn sa_04() {
    let short = |value: &str| value.replace(";prot=esp", "").replace(";mod=trans", "");
    offering(short).passes("SA-04");
    refused(short).fails("SA-04", "494, though its own list holds");
    offering(short).gm().without(|text| to_ue("401")(text) || to_ue("200")(text)).is_not_observable("SA-04");
    first().is_not_applicable("SA-04");
}

#[test]
fn sa_05() {
    first().passes("SA-05");
    let with = |name: &'static str, number: &'static str| {
        offering(move |value| {
            let at = value.find(name).expect("the parameter") + name.len();
            let end = value[at..].find([';', ',']).map_or(value.len(), |end| at + end);
            format!("{}{number}{}", &value[..at], &value[end..])
        })
    };
    with("spi-c=", "255").fails("SA-05", "spi-c=255");
    with("spi-s=", "4294967296").fails("SA-05", "spi-s=4294967296");
    with("spi-s=", "0x100").fails("SA-05", "spi-s=0x100");
    unseen().is_not_observable("SA-05");
    plain().is_not_applicable("SA-05");
    with("port-c=", "5060").fails("SA-06", "port-c=5060");
    with("port-s=", "65536").fails("SA-06", "port-s=65536");
    with("port-s=", "0").fails("SA-06", "port-s=0");
    with("spi-c=", "999999").fails("SA-07", "spi-c=");
}

#[test]
fn sa_06_and_07() {
    for id in ["SA-06", "SA-07"] {
        first().passes(id);
        unseen().is_not_observable(id);
        plain().is_not_applicable(id);
    }
}

#[test]
fn sa_08_and_09() {
    for id in ["SA-08", "SA-09"] {
        unseen().is_not_observable(id);
        plain().is_not_applicable(id);
    }
    offering(|value| value.replace("hmac-sha-1-96", "hmac-md5-96")).fails("SA-08", "no hmac-sha-1-96");
    offering(|value| value.replace("ealg=null", "ealg=aes-cbc")).fails("SA-08", "no null");
    offering(|value| value.replace("hmac-sha-1-96", "hmac-md5-96")).fails("SA-09", "hmac-md5-96");
    let new = ["hmac-sha-1-96/aes-cbc", "hmac-sha-1-96/null"].join(",");
    let _ = new;
    offering(|value| value.replace("hmac-md5-96", "hmac-sha-1-96").replace("des-ede3-cbc", "aes-cbc")).passes("SA-09");
    first().passes("SA-08");
}

#[test]
fn sa_10() {
    let ranked = |value: &str| value.replace("ipsec-3gpp", "ipsec-3gpp;q=0.1");
    offering(ranked).fails("SA-10", "another q");
    offering(|value| value.replacen("ipsec-3gpp", "ipsec-3gpp;q=1.5", 1)).fails("SA-10", "q=1.5");
    offering(|value| value.replacen("ipsec-3gpp", "ipsec-3gpp;q=0.15", 1)).passes("SA-10");
    let without_q = plain();
    without_q.is_not_applicable("SA-10");
}

#[test]
fn sa_11() {
    let odd = |value: &str| format!("sdes-srtp;mediasec,{}", value.replacen(";alg", ";new=1;alg", 1));
    offering(odd).passes("SA-11");
    refused(odd).fails("SA-11", "494, though its own list holds");
    first().is_not_applicable("SA-11");
    offering(odd).gm().without(|text| to_ue("401")(text) || to_ue("200")(text)).is_not_observable("SA-11");
}

#[test]
fn sa_12() {
    let lines = |value: &str| {
        value.replacen(",ipsec-3gpp", "\r\nSecurity-Client: ipsec-3gpp", 1).replacen(
            ", ipsec-3gpp",
            "\r\nSecurity-Client: ipsec-3gpp",
            1,
        )
    };
    offering(lines).passes("SA-12");
    first().is_not_applicable("SA-12");
    offering(lines).gm().without(|text| to_ue("401")(text) || to_ue("200")(text)).is_not_observable("SA-12");
}
