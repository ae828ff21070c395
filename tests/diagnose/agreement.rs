//! The security agreement: the offer, the list, the copies.

use crate::kit::*;
use crate::trace::{Trace, change, cut, is_first, is_second, to_ue};
use imsreg::diagnose::Certainty;

/// An element; SPIs and ports are those of a UE.
fn element(algorithms: &str) -> String {
    format!("ipsec-3gpp;{algorithms};spi-c=4096;spi-s=4097;port-c=31000;port-s=31001")
}

fn full(alg: &str, ealg: &str) -> String {
    element(&format!("alg={alg};ealg={ealg};prot=esp;mod=trans"))
}

/// One of the P-CSCF.
fn served(alg: &str, ealg: &str) -> String {
    full(alg, ealg).replace("4096", "50001").replace("4097", "50002").replace("31000", "5100").replace("31001", "6100")
}

/// The first REGISTER offers this; `status` with this list refuses it, without one where it is empty.
fn offered(offer: &str, status: &str, list: &str) -> Trace {
    let trace = first().gm().edit(is_first, |text| change(text, "Security-Client", |_| offer.to_owned()));
    let trace = refused(trace, 1, status);
    if list.is_empty() {
        return trace;
    }
    let code = format!("SIP/2.0 {status}");
    let header = format!("\r\nSecurity-Server: {list}\r\n\r\n");
    trace.edit(|text| text.starts_with(&code), |text| text.replacen("\r\n\r\n", &header, 1))
}

/// The challenge offers these to a UE that offered those, and nothing follows.
fn challenged_with(offer: &str, list: &str) -> Trace {
    let trace = first().gm().edit(is_first, |text| change(text, "Security-Client", |_| offer.to_owned()));
    silent(trace.edit(to_ue("401"), |text| change(text, "Security-Server", |_| list.to_owned())))
}

#[test]
fn no_offer() {
    let name = "DIAG-SEC-NOOFFER";
    let without = || first().edit(is_first, |text| cut(text, "Security-Client"));
    diagnosed(&refused(without().gm(), 1, "421 Extension Required")).caused_by(
        name,
        Certainty::Certain,
        "no Security-Client",
    );
    let halved = || first().gm().edit(is_first, |text| text.replace(";spi-s=", ";x="));
    diagnosed(&refused(halved(), 1, "494 Security Agreement Required")).caused_by(
        name,
        Certainty::Certain,
        "without spi-s",
    );
    diagnosed(&refused(halved(), 1, "400 Bad Request")).caused_by(name, Certainty::Likely, "without spi-s");
    diagnosed(&refused(first().gm(), 1, "403 Forbidden")).not_by(name);
    diagnosed(&refused(first().gm(), 1, "494 Security Agreement Required")).not_by(name);
    // It went on to the HSS: somebody behind the P-CSCF refuses.
    diagnosed(&refused(without(), 1, "403 Forbidden")).not_by(name);
}

#[test]
fn nothing_in_common() {
    let name = "DIAG-SEC-EMPTYLIST";
    let status = "494 Security Agreement Required";
    let (md5, sha1) = (full("hmac-md5-96", "des-ede3-cbc"), served("hmac-sha-1-96", "aes-cbc"));
    diagnosed(&offered(&md5, status, &sha1)).caused_by(name, Certainty::Certain, "hmac-md5-96 with des-ede3-cbc");
    diagnosed(&offered(&md5, status, "")).caused_by(name, Certainty::Likely, "hmac-md5-96 with des-ede3-cbc");
    diagnosed(&offered(&full("hmac-sha-1-96", "aes-cbc"), status, &sha1)).not_by(name);
    diagnosed(&offered(&full("hmac-sha-1-96", "aes-cbc"), "403 Forbidden", "")).not_by(name);
}

#[test]
fn defaults_left_out() {
    let name = "DIAG-SEC-DEFAULTS";
    let (short, list) = (element("alg=hmac-sha-1-96"), served("hmac-sha-1-96", "null"));
    let status = "494 Security Agreement Required";
    diagnosed(&offered(&short, status, &list)).caused_by(name, Certainty::Certain, "taken for");
    diagnosed(&offered(&short, status, &served("hmac-sha-1-96", "aes-cbc"))).not_by(name);
    let longer = |text: &str| change(text, "Security-Verify", |value| value.replace(";mod=trans", ""));
    let copy = refused(first().gm().edit(is_second, longer), 2, status);
    diagnosed(&copy).caused_by(name, Certainty::Certain, "mod=trans");
}

#[test]
fn stumbling_over_the_unknown() {
    let name = "DIAG-SEC-PARSE";
    let (own, list) = (full("hmac-sha-1-96", "aes-cbc"), served("hmac-sha-1-96", "aes-cbc"));
    let status = "494 Security Agreement Required";
    diagnosed(&offered(&format!("sdes-srtp;mediasec, {own}"), status, &list)).caused_by(
        name,
        Certainty::Certain,
        "sdes-srtp;mediasec",
    );
    diagnosed(&offered(&format!("{own};new=1"), status, &list)).caused_by(name, Certainty::Certain, "parameter new");
    let lines = format!("{}\r\nSecurity-Client: {own}", full("hmac-md5-96", "null"));
    diagnosed(&offered(&lines, status, &list)).caused_by(name, Certainty::Certain, "2 lines");
    diagnosed(&offered(&format!("{own};new=1"), "400 Bad Request", "")).caused_by(name, Certainty::Likely, "new");
    // Its pair is not on the list: nobody stumbled.
    let other = served("hmac-md5-96", "null");
    diagnosed(&offered(&format!("sdes-srtp;mediasec, {own}"), status, &other)).not_by(name);
    // Nothing is unknown.
    diagnosed(&offered(&own, status, &list)).not_by(name);
}

#[test]
fn no_port_left() {
    let name = "DIAG-PORT-EXHAUST";
    diagnosed(&refused(first().gm(), 1, "503 No free client port for IPSEC tunnel")).caused_by(
        name,
        Certainty::Certain,
        "503 No free",
    );
    diagnosed(&refused(first().gm(), 1, "503 Service Unavailable")).not_by(name);
    // The keys came, and the P-CSCF made nothing of them.
    let given = first().edit(to_ue("401"), |text| {
        cut(&text.replace("401 Unauthorized", "500 Server Internal Error"), "Security-Server")
    });
    let end = given.position(to_ue("500"));
    let given = Trace { sightings: given.sightings[..=end].to_vec() };
    diagnosed(&given).caused_by(name, Certainty::Likely, "500");
    let keyless = |text: &str| text.replace(",ck=", ",x=");
    diagnosed(&given.edit(|text| text.starts_with("SIP/2.0 401 ") && text.contains(",ck="), keyless)).not_by(name);
}

#[test]
fn a_challenge_without_a_list() {
    let name = "DIAG-SEC-NOSERVER";
    let bare = || first().gm().edit(to_ue("401"), |text| cut(text, "Security-Server"));
    diagnosed(&silent(bare())).caused_by(name, Certainty::Certain, "none in the 401");
    // It registers all the same.
    diagnosed(&bare()).remarks(name, "none in the 401");
    diagnosed(&silent(first().gm())).not_by(name);
    let unasked = bare().edit(is_first, |text| cut(text, "Security-Client"));
    diagnosed(&silent(unasked)).not_by(name);
}

#[test]
fn a_pair_that_nobody_offered() {
    let name = "DIAG-SEC-PICK";
    let offer = format!("{}, {}", full("hmac-sha-1-96", "null"), full("hmac-md5-96", "aes-cbc"));
    let mixed = served("hmac-sha-1-96", "aes-cbc");
    diagnosed(&challenged_with(&offer, &mixed)).caused_by(name, Certainty::Certain, "not as a pair");
    let tunnel = served("hmac-sha-1-96", "null").replace("mod=trans", "mod=tun");
    diagnosed(&challenged_with(&offer, &tunnel)).caused_by(name, Certainty::Certain, "tun");
    // More than was offered may be there.
    let more = format!("{mixed}, {}", served("hmac-md5-96", "aes-cbc"));
    diagnosed(&challenged_with(&offer, &more)).not_by(name);
}

#[test]
fn copies_of_the_list() {
    let name = "DIAG-SEC-VERIFY";
    let altered = || {
        first()
            .gm()
            .edit(is_second, |text| change(text, "Security-Verify", |value| value.replace("port-s=", "port-s=1")))
    };
    let status = "494 Security Agreement Required";
    diagnosed(&refused(altered(), 2, status)).caused_by(name, Certainty::Certain, "port-s=1");
    diagnosed(&refused(altered(), 2, "403 Forbidden")).caused_by(name, Certainty::Likely, "port-s=1");
    diagnosed(&altered()).remarks(name, "compare Security-Verify with what it served");
    // The P-CSCF refuses what is right.
    diagnosed(&refused(first().gm(), 2, status)).caused_by(name, Certainty::Certain, "parameter by parameter");
    diagnosed(&refused(first().gm(), 2, "403 Forbidden")).not_by(name);
    // The copy was wrong, and the S-CSCF refused for its own reasons.
    let behind =
        first().edit(is_second, |text| change(text, "Security-Verify", |value| value.replace("port-s=", "port-s=1")));
    diagnosed(&refused(behind, 2, "403 Forbidden")).not_by(name);
}

#[test]
fn another_offer_in_the_answer() {
    let name = "DIAG-SEC-CLIENTCHG";
    let status = "494 Security Agreement Required";
    let changed = || {
        first().gm().edit(is_second, |text| change(text, "Security-Client", |value| value.replace("spi-c=", "spi-c=1")))
    };
    diagnosed(&refused(changed(), 2, status)).caused_by(name, Certainty::Certain, "spi-c=1");
    diagnosed(&changed()).remarks(name, "spi-c=1");
    diagnosed(&refused(first().gm(), 2, status)).not_by(name);
    // Who refuses a challenge offers anew.
    let empty = |value: &str| crate::trace::set(value, "response", "");
    diagnosed(&refusing(first().gm(), empty)).not_by(name);
}

#[test]
fn nothing_encrypted() {
    let null = "hmac-sha-1-96/null";
    let by_pcscf = Trace::with("first-registration", &[("pcscf.algorithms", null)]);
    diagnosed(&by_pcscf).remarks("DIAG-SEC-PREF", "hmac-sha-1-96 with null");
    let by_ue = Trace::with("first-registration", &[("pcscf.algorithms", null), ("ue.algorithms", null)]);
    diagnosed(&by_ue).remarks("DIAG-NULLENC", "hmac-sha-1-96 with null");
    assert!(diagnosed(&by_ue).remarks.iter().all(|remark| remark.cause.name != "DIAG-SEC-PREF"));
    let encrypted = Trace::with("first-registration", &[("pcscf.algorithms", "hmac-sha-1-96/aes-cbc")]);
    let names = ["DIAG-SEC-PREF", "DIAG-NULLENC"];
    assert!(diagnosed(&encrypted).remarks.iter().all(|remark| !names.contains(&remark.cause.name)));
}
