//! `imsreg check pcscf` and `imsreg check ue` over sockets.

use super::binary::{Core, host, imsreg};
use super::scratch::Scratch;
use super::{FIRST, SECOND, said};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Output;

const CASES: &str = "accused: pcscf
group: live
cases:
  - id: live-wrong-response
    about: the answer to the challenge is wrong
    clause: TS 24.229 clause 5.4.1.2.3
    misbehave: wrong-response
    expect: [{refused: REGISTER, nth: 2}, {never: '200 REGISTER'}]
  - id: live-in-clear
    about: the answer to the challenge comes outside of the SA
    clause: TS 24.229 clause 5.2.2.2
    rules: [SA-45]
    needs: [agreement]
    alter:
      - {at: ue, message: REGISTER, protected: true, clear: true, from_port: 5060, to_port: 5060}
    expect: [{refused: REGISTER, nth: 2}]
  - id: live-message
    about: a MESSAGE reaches the second UE, which answers it
    clause: TS 24.229 clause 5.2.7
    needs: [second-ue]
    steps: [{at: 0s, do: register}, {at: 1m, do: message, ue: 1, to: 2}]
    expect: [{answer: MESSAGE, from: ue, is: 200}]
  - id: live-again
    about: another REGISTER soon after is served
    clause: TS 24.229 clause 5.1.1.4.1
    steps: [{at: 0s, do: register, ue: 1}, {at: 10m, do: reregister, ue: 1}]
    expect: [{serves: 1, after: {message: 200 REGISTER, nth: 1}}]
  - id: live-timer
    about: nobody has time for this
    clause: TS 24.229 table 7.8.1
    waits: 4m
    expect: [{serves: 1}]
";

/// Runs `check pcscf` with the cases above and `more` flags.
fn check(core: &str, scratch: &Scratch, more: &[&str]) -> Output {
    let cases = scratch.file("cases.yaml", CASES);
    let base = ["check", "pcscf", core, "--subscriber", "hss-data/lab.yaml", "--fast", "--cases"];
    // Tests run at the same time, and each takes two hundred addresses.
    let (host, _) = core.split_once(':').expect("address and port");
    let [_, a, b, test] = host.parse::<Ipv4Addr>().expect("an address of this test").octets();
    let source = Ipv4Addr::new(127, a ^ 0x80, b ^ test, 1).to_string();
    let places = ["--source", &source, "--addresses", "100"];
    imsreg(&[&base[..], &[cases.to_str().expect("UTF-8")], &places, more].concat())
}

fn passes(output: &Output, cases: &[&str]) {
    let said = said(output);
    assert!(output.status.success(), "{said}");
    for case in cases {
        let passed = |line: &str| line.contains(" passed  ") && line.contains(&format!(" {case} "));
        assert!(said.lines().any(passed), "{case}:\n{said}");
    }
}

#[test]
fn our_own_network_passes_and_what_was_seen_can_be_read() {
    let scratch = Scratch::new("check-pcscf");
    let core = Core::start(11, &["--sec-agree", "required"]);
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let (html, junit, captures) = (path("report.html"), path("report.xml"), path("captures"));
    let files = ["--html", &html, "--junit", &junit, "--capture", &captures];
    let output = check(core.at("pcscf"), &scratch, &[&["--only", "live,offer"][..], &files].concat());
    passes(&output, &["live-wrong-response", "live-in-clear", "live-message", "live-again", "offer-no-alg"]);
    assert!(said(&output).contains("--fast: cases that wait for a timer of the peer were left out"));
    assert!(std::fs::read_to_string(html).expect("a page").contains("live-again"));
    assert!(std::fs::read_to_string(junit).expect("a report").contains("<testsuite"));
    for case in ["control", "live-again"] {
        let capture = Path::new(&captures).join(case).with_extension("pcapng");
        let validated = imsreg(&["validate", capture.to_str().expect("UTF-8"), "--severity", "E"]);
        assert!(said(&validated).contains("pass"), "{case}: {}", said(&validated));
    }
}

#[test]
fn a_network_without_a_security_agreement_is_judged_in_clear() {
    let scratch = Scratch::new("check-clear");
    let core = Core::start(18, &["--sec-agree", "off", "--set", "scscf.aka_without_sa=accept"]);
    let only = ["--sec-agree", "off", "--only", "live,offer,challenge-form,challenge-response-zeros"];
    let output = check(core.at("pcscf"), &scratch, &only);
    passes(
        &output,
        &["live-wrong-response", "live-message", "live-again", "challenge-form", "challenge-response-zeros"],
    );
    let said = said(&output);
    assert!(said.contains("is about the security agreement, which is off"), "{said}");
    // One that registers nobody without it is caught.
    let core = Core::start(19, &["--sec-agree", "off", "--set", "scscf.aka_without_sa=refuse"]);
    let output = check(core.at("pcscf"), &scratch, &only);
    assert!(output.status.code() == Some(1), "{}", super::said(&output));
}

#[test]
fn over_esp_of_our_own_as_well() {
    let scratch = Scratch::new("check-esp");
    let core = Core::start(12, &["--sec-agree", "required", "--ipsec", "unprivileged", "--esp-port", "4512"]);
    let output =
        check(core.at("pcscf"), &scratch, &["--only", "live", "--ipsec", "unprivileged", "--esp-port", "4512"]);
    passes(&output, &["live-wrong-response", "live-in-clear", "live-message", "live-again"]);
}

#[test]
fn a_network_that_is_made_faulty_is_caught() {
    let scratch = Scratch::new("check-faulty");
    let faults = scratch.file(
        "faults.yaml",
        "mutations:
  - id: believes-every-response
    alter:
      - {at: scscf, to: icscf, message: 403, do: [{start: SIP/2.0 200 OK}, {header: Contact, set: '{last.Contact};expires=600'}]}
  - id: lets-keys-out
    alter:
      - {at: pcscf, to: ue, message: 401, do: [{header: WWW-Authenticate, parameter: ck, set: '\"00112233445566778899aabbccddeeff\"'}]}
  - id: grants-no-offer
    alter:
      - {at: pcscf, to: ue, message: 494, do: [{start: SIP/2.0 200 OK}]}
",
    );
    for (test, id, case) in
        [(13, "believes-every-response", "live-wrong-response"), (14, "lets-keys-out", "live-again")]
    {
        // The UE that the check plays is the only one that there is.
        let fault = format!("{}:{id}", faults.display());
        let core = Core::start(test, &["--sec-agree", "required", "--mutate", &fault]);
        let output = check(core.at("pcscf"), &scratch, &["--only", case]);
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(&format!("failed E {case}")), "{id}: {said}");
    }
}

#[test]
fn our_own_ue_passes_and_a_faulty_one_is_caught() {
    let scratch = Scratch::new("check-ue");
    let faults = scratch.file(
        "faults.yaml",
        "mutations:
  - id: goes-on-without-server
    alter:
      - {at: ue, message: REGISTER, protected: true, clear: true, from_port: 5060, to_port: 5060}
",
    );
    let (listen, source) = (format!("{}:5060", host(21)), host(22));
    let binary = env!("CARGO_BIN_EXE_imsreg");
    let check = |only: &str, more: &str| {
        let command = format!(
            "exec {binary} register --pcscf $IMSREG_CHECK_PCSCF --source {source} --imsi {FIRST} \
             --subscriber hss-data/lab.yaml --stay {more} 2>/dev/null"
        );
        imsreg(&["check", "ue", "--listen", &listen, "--fast", "--only", only, "--ue-command", &command])
    };
    let cases = ["server-missing", "server-no-spi-c", "choice-sound", "challenge-mac-wrong"];
    passes(&check(&cases.join(","), ""), &cases[..3]);
    let faulty = format!("--mutate {}:goes-on-without-server", faults.display());
    let output = check("choice-sound", &faulty);
    assert!(output.status.code() == Some(1), "{}", said(&output));
}

#[test]
fn two_ues_at_one_address_are_kept_apart_on_sockets() {
    let scratch = Scratch::new("check-neighbours");
    let cases = ["sa-two-at-one-address", "sa-spis-of-neighbour", "sa-ports-of-neighbour", "sa-port-s-of-neighbour"];
    let core = Core::start(115, &["--sec-agree", "required"]);
    passes(&check(core.at("pcscf"), &scratch, &["--only", &cases.join(",")]), &cases);
    let core = Core::start(116, &["--sec-agree", "required", "--ipsec", "unprivileged", "--esp-port", "4516"]);
    let esp = ["--ipsec", "unprivileged", "--esp-port", "4516", "--only", cases[0]];
    passes(&check(core.at("pcscf"), &scratch, &esp), &cases[..1]);
}

#[test]
fn a_network_that_stops_serving_is_told_of() {
    let scratch = Scratch::new("check-stops");
    let fault = "mutations: [{id: stops, alter: [{at: hss, message: UAA, from: 7, do: [{experimental: 5001}]}]}]";
    let fault = scratch.file("fault.yaml", fault).display().to_string();
    // Nothing but refusals is wanted, so that the case passes all the same.
    let case = "accused: pcscf
group: refusals
cases:
  - id: refusals-only
    about: no agreement is asked for
    clause: TS 24.229 clause 5.2.2.2
    alter:
      - {at: ue, message: REGISTER, protected: false, do: [{header: Require, remove: true}, {header: Proxy-Require, remove: true}, {header: Security-Client, remove: true}]}
    expect: [{refused: REGISTER, nth: 1}]
";
    let case = scratch.file("case.yaml", case).display().to_string();
    let run = |core: &str, more: &[&str]| {
        let only = ["--only", "live-again,refusals-only", "--cases", &case, "--repeat", "3"];
        check(core, &scratch, &[&only[..], more].concat())
    };
    let sound = Core::start(110, &["--sec-agree", "required"]);
    let output = run(sound.at("pcscf"), &["--json"]);
    assert!(output.status.success() && said(&output).contains("\"control_at_end\":true"), "{}", said(&output));
    let stops = Core::start(111, &["--sec-agree", "required", "--mutate", &fault]);
    let (junit, html) = (scratch.0.join("report.xml"), scratch.0.join("report.html"));
    let files = ["--junit", junit.to_str().expect("UTF-8"), "--html", html.to_str().expect("UTF-8")];
    let output = run(stops.at("pcscf"), &files);
    let told = said(&output);
    let line = "the control registration behind the last case did not succeed: ";
    assert!(output.status.code() == Some(1) && told.contains(line) && told.contains("refusals-only"), "{told}");
    assert!(std::fs::read_to_string(junit).expect("a report").contains("control at the end"));
    assert!(std::fs::read_to_string(html).expect("a page").contains("No sound registration is served any more"));
}

#[test]
fn a_ue_that_registers_no_more_is_told_of() {
    let scratch = Scratch::new("check-ue-stops");
    let (listen, source, binary) = (format!("{}:5060", host(112)), host(113), env!("CARGO_BIN_EXE_imsreg"));
    let count = scratch.0.join("count").display().to_string();
    let run = |times: u32| {
        let _ = std::fs::remove_file(&count);
        let command = format!(
            "echo >>{count}; [ $(wc -l <{count}) -le {times} ] || exit 0; exec {binary} register --pcscf $IMSREG_CHECK_PCSCF \
             --source {source} --imsi {FIRST} --subscriber hss-data/lab.yaml --stay 2>/dev/null"
        );
        let only = ["--only", "server-missing", "--patience", "5", "--json"];
        imsreg(&[&["check", "ue", "--listen", &listen, "--fast", "--ue-command", &command][..], &only].concat())
    };
    let output = run(3);
    assert!(output.status.success() && said(&output).contains("\"control_at_end\":true"), "{}", said(&output));
    let output = run(2);
    let told = said(&output);
    assert!(output.status.code() == Some(1) && told.contains("\"control_at_end\":false"), "{told}");
    assert!(told.contains("behind the last case did not succeed: no REGISTER came within 5 s"), "{told}");
}

#[test]
fn a_network_resets_connections_and_takes_other_sas_on_sockets() {
    let binary = env!("CARGO_BIN_EXE_imsreg");
    let [.., a, b] = std::process::id().to_be_bytes();
    let check = |test: u8, only: &[&str], ue: &str, network: &[&str]| {
        let listen = format!("{}:5060", host(test));
        let command = format!(
            "exec {binary} register --pcscf $IMSREG_CHECK_PCSCF --source 127.{}.{b}.$((IMSREG_CHECK_PLACE + {})) \
             --imsi {FIRST} --subscriber hss-data/lab.yaml --stay {ue} 2>/dev/null",
            a.max(1),
            test + 3
        );
        let flags = ["--fast", "--jobs", "3", "--ue-command", &command];
        let run = ["check", "ue", "--listen", &listen, "--only", &only.join(",")];
        passes(&imsreg(&[&run[..], &flags, network].concat()), only);
    };
    let esp = ["--ipsec", "unprivileged", "--esp-port", "4580"];
    let sealed = format!("--transport tcp {}", esp.join(" "));
    let over_tcp = ["timing-reset", "timing-grant-other-ports", "challenge-amf-0000"];
    // Each waits for what must not come.
    std::thread::scope(|scope| {
        scope.spawn(|| check(80, &over_tcp, "--transport tcp", &[]));
        scope.spawn(|| check(90, &over_tcp[1..2], "--transport udp", &[]));
        scope.spawn(|| check(100, &over_tcp[..2], &sealed, &esp));
    });
}

#[test]
fn a_fragment_gets_lost_on_sockets_or_why_not_is_told() {
    let (listen, source, binary) = (format!("{}:5060", host(69)), host(70), env!("CARGO_BIN_EXE_imsreg"));
    let short = "--set ue.transport=udp --set 'ue.features=;+g.3gpp.smsip' --set ue.access_network=3GPP-E-UTRAN-FDD \
                 --set ue.user_agent=phone";
    let command = format!(
        "exec {binary} register --pcscf $IMSREG_CHECK_PCSCF --source {source} --imsi {FIRST} \
         --subscriber hss-data/lab.yaml --stay {short} 2>/dev/null"
    );
    let run = ["check", "ue", "--listen", &listen, "--only", "timing-fragment-lost", "--ue-command", &command];
    let output = imsreg(&run);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let verdict = |of: &str| said.lines().any(|line| line.contains(of) && line.contains("timing-fragment-lost"));
    let is_told = verdict("not-applicable") && said.contains("CAP_NET_RAW");
    assert!(verdict(" passed ") || is_told, "{said}");
}

#[test]
fn ues_that_take_orders_are_played_side_by_side() {
    let scratch = Scratch::new("check-jobs");
    let cases = scratch.file(
        "cases.yaml",
        "accused: ue
group: mine
cases:
  - id: mine-knows-who-comes
    about: the first UE is the one that comes, whoever is first in the file
    clause: TS 24.229 clause 5.1.1.2
    expect: [{follows: REGISTER, has: ['{ue1.impi}'], within: 5s}, {never: REGISTER, has: ['{ue2.impi}'], within: 5s}]
",
    );
    let [.., a, b] = std::process::id().to_be_bytes();
    let (listen, binary) = (format!("127.{}.{b}.41:5060", a.max(1)), env!("CARGO_BIN_EXE_imsreg"));
    let ue = format!("127.{}.{b}.$((IMSREG_CHECK_PLACE + 51))", a.max(1));
    let command = format!(
        "exec {binary} register --pcscf $IMSREG_CHECK_PCSCF --source {ue} --imsi {SECOND} \
         --subscriber hss-data/lab.yaml --stay --orders 2>/dev/null"
    );
    let mine = ["mine-knows-who-comes", "life-deregister", "life-restoration-asked", "server-missing", "choice-sound"];
    let only = mine.join(",");
    let run =
        ["check", "ue", "--listen", &listen, "--jobs", "5", "--only", &only, "--cases", cases.to_str().expect("UTF-8")];
    let output = imsreg(&[&run[..], &["--ue-orders", "--ue-command", &command]].concat());
    passes(&output, &mine);
    // Without orders the same UE does nothing but register.
    let output = imsreg(&[&run[..], &["--ue-command", &command]].concat());
    assert!(said(&output).contains("needs a UE that does on request more than to register"), "{}", said(&output));
}

#[test]
fn what_is_wrong_with_the_input_is_one_line() {
    let core = Core::start(15, &[]);
    let refused = |args: &[&str], line: &str| {
        let output = imsreg(args);
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.lines().count() == 1 && said.contains(line), "{said}");
    };
    let lab = ["--subscriber", "hss-data/lab.yaml"];
    let nobody = format!("{}:5060", host(16));
    refused(&[&["check", "pcscf", &nobody][..], &lab].concat(), &format!("no answer from {nobody}"));
    refused(&[&["check", "pcscf", core.at("pcscf")][..], &lab, &["--only", "SA-99"]].concat(), "--only SA-99: no case");
    refused(&["check", "pcscf", core.at("pcscf")], "who is the UE?");
    let keys =
        ["--imsi", FIRST, "--k", "00112233445566778899aabbccddeeff", "--opc", "00112233445566778899aabbccddeeff"];
    refused(
        &[&["check", "pcscf", core.at("pcscf")][..], &keys].concat(),
        "wrong key: the challenge for 001010000000001@",
    );
    let same = host(15);
    refused(
        &[&["check", "pcscf", core.at("pcscf"), "--source", &same][..], &lab].concat(),
        "the P-CSCF has that address",
    );
    let listen = format!("{}:5060", host(17));
    refused(
        &["check", "ue", "--listen", &listen, "--patience", "1", "--only", "server-missing", "--json"],
        "no REGISTER came",
    );
}

#[test]
fn cases_are_listed() {
    let output = imsreg(&["check", "pcscf", "--list"]);
    assert!(output.status.success() && said(&output).contains("offer-no-alg  E  offer"), "{}", said(&output));
    let output = imsreg(&["check", "ue", "--list", "--json", "--only", "choice"]);
    let said = said(&output);
    assert!(output.status.success() && said.lines().all(|line| line.contains("\"group\":\"choice\"")), "{said}");
}
