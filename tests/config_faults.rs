//! Wrong files: each gives exactly these messages, with line and column.
#![cfg(feature = "live")]

#[path = "common/scratch.rs"]
mod scratch;

use imsreg::config::{Faults, Setting, load_profile, load_subscribers};
use proptest::prelude::*;
use scratch::Scratch;

impl Scratch {
    /// The messages, without the name of the directory.
    fn messages(&self, faults: &Faults) -> Vec<String> {
        let prefix = format!("{}/", self.0.display());
        faults.to_string().lines().map(|l| l.replace(&prefix, "")).collect()
    }
}

#[track_caller]
fn profile_faults(test: &str, text: &str, expected: &[&str]) {
    let scratch = Scratch::new(test);
    let path = scratch.file("p.yaml", text);
    let faults = load_profile(path.to_str().unwrap(), &[]).unwrap_err();
    assert_eq!(scratch.messages(&faults), expected);
}

#[track_caller]
fn subscriber_faults(test: &str, text: &str, expected: &[&str]) -> Faults {
    let scratch = Scratch::new(test);
    let path = scratch.file("s.yaml", text);
    let faults = load_subscribers(&path, &load_profile("lab", &[]).unwrap()).unwrap_err();
    assert_eq!(scratch.messages(&faults), expected);
    faults
}

const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";

#[test]
fn faults_of_what_passes_a_nat() {
    let text = "realm: ims.example.org\npcscf: {nat: maybe}\nue: {modes: [tun, trans]}\n";
    let expected = [
        "p.yaml:2:14: pcscf.nat: \"maybe\" found, required, offered or off expected",
        "p.yaml:3:14: ue.modes[0]: \"tun\" found, trans or UDP-enc-tun expected",
    ];
    profile_faults("nat", text, &expected);
}

#[test]
fn all_faults_of_a_profile() {
    profile_faults(
        "all",
        r#"# comment
realm: ims.example.org
wirring: local
pcscf:
  listen: ["127.0.0.1:5060", "localhost:5060", "0.0.0.0:5060"]
  port_s: 70000
  port_c: 5163-5100
  sec_agree: sometimes
  algorithms: [[hmac-sha-1-96, aes-cbc], [null, null], [hmac-sha-1-96], [sha1, aes-cbc]]
  strip_from_answers: {Path: yes}
icscf:
  scscfs:
    - {capabilities: [1, -1]}
    - {name: "scscf.example.org"}
scscf: [60s]
timers: {gm: {t1: 2, t2: 16s, t4: 17s}}
diameter: {watchdog: 5s}
"#,
        &[
            "p.yaml:3:1: wirring: unknown key, one of extends, realm, wiring, hosts, core_transport, timers, limits, \
             diameter, pcscf, icscf, scscf, hss, as, ue expected",
            "p.yaml:5:30: pcscf.listen[1]: \"localhost:5060\" found, an address of this machine with a port, such as \
             127.0.0.1:5060 or [::1]:5060 expected",
            "p.yaml:5:48: pcscf.listen[2]: \"0.0.0.0:5060\" found, an address of this machine with a port, such as \
             127.0.0.1:5060 or [::1]:5060 expected",
            "p.yaml:6:11: pcscf.port_s: \"70000\" found, a port from 1 to 65535 expected",
            "p.yaml:7:11: pcscf.port_c: \"5163-5100\" found, ports such as 5100-5163, from 1 to 65535 expected",
            "p.yaml:8:14: pcscf.sec_agree: \"sometimes\" found, required, offered or off expected",
            "p.yaml:9:42: pcscf.algorithms[1]: [null, null] found, a pair such as [hmac-sha-1-96, aes-cbc], as TS 33.203 \
             annex H allows expected",
            "p.yaml:9:56: pcscf.algorithms[2]: [hmac-sha-1-96] found, a pair such as [hmac-sha-1-96, aes-cbc], as TS \
             33.203 annex H allows expected",
            "p.yaml:9:74: pcscf.algorithms[3][0]: \"sha1\" found, hmac-md5-96, hmac-sha-1-96, aes-gmac or null expected",
            "p.yaml:10:23: pcscf.strip_from_answers: a mapping found, a name of letters, digits and '-' expected",
            "p.yaml:13:7: icscf.scscfs[0].name: missing, a SIP URI such as sip:scscf.example.org:6060 expected",
            "p.yaml:13:26: icscf.scscfs[0].capabilities[1]: \"-1\" found, a number from 0 to 4294967295 expected",
            "p.yaml:14:14: icscf.scscfs[1].name: \"scscf.example.org\" found, a SIP URI such as \
             sip:scscf.example.org:6060 expected",
            "p.yaml:15:8: scscf: a list found, a mapping expected",
            "p.yaml:16:19: timers.gm.t1: \"2\" found, a time such as 500ms, 60s, 4m or 2h, above zero expected",
            "p.yaml:17:22: diameter.watchdog: \"5s\" found, a time of 6s or more (RFC 3539 clause 3.4.1) expected",
        ],
    );
}

#[test]
fn a_key_given_twice_names_both_places() {
    profile_faults(
        "twice",
        "realm: a.example\nhss: {listen: \"127.0.0.1:1\"}\nrealm: b.example\nhosts:\n  a: 127.0.0.1\n  a: ::1\n",
        &[
            "p.yaml:3:1: realm: given twice, first at p.yaml:1:1",
            "p.yaml:6:3: hosts.a: given twice, first at p.yaml:5:3",
        ],
    );
}

#[test]
fn a_missing_key_is_missed_at_its_mapping() {
    profile_faults(
        "missing",
        "pcscf: {sec_agree: off}\n",
        &["p.yaml:1:1: realm: missing, a domain name such as ims.mnc001.mcc001.3gppnetwork.org expected"],
    );
    profile_faults(
        "nothing",
        "# nothing\nrealm:\n",
        &["p.yaml:2:1: realm: missing, a domain name such as ims.mnc001.mcc001.3gppnetwork.org expected"],
    );
    profile_faults(
        "empty",
        "",
        &["p.yaml:1:1: realm: missing, a domain name such as ims.mnc001.mcc001.3gppnetwork.org expected"],
    );
}

#[test]
fn a_syntax_error_ends_the_list() {
    profile_faults(
        "syntax",
        "realm: ims.example.org\npcscf: {listen: [1, 2}\nhss: {}\n",
        &["p.yaml:2:22: not YAML: did not find expected ',' or ']'"],
    );
    profile_faults(
        "tab",
        "realm: a.b\npcscf:\n\tport_s: 1\n",
        &["p.yaml:3:1: not YAML: found character that cannot start any token"],
    );
    profile_faults(
        "front",
        "realm: a.b\npcscf: {port_s: x}\nicscf:\n  host: [a\n",
        &[
            "p.yaml:2:17: pcscf.port_s: \"x\" found, a port from 1 to 65535 expected",
            "p.yaml:5:1: not YAML: did not find expected ',' or ']'",
        ],
    );
    profile_faults("two", "realm: a.b\n---\nrealm: c.d\n", &["p.yaml:2:1: not YAML: a second document"]);
    profile_faults(
        "key",
        "realm: a.b\n? [x]\n: y\n",
        &["p.yaml:2:3: not YAML: invalid type: sequence, expected a key"],
    );
}

#[test]
fn flags_are_named_as_they_were_written() {
    let settings = [
        Setting::new("--realm", "realm", "not a realm"),
        Setting::from_set("pcscf.port_s=0").unwrap(),
        Setting::from_set("pcscf.nonsense=1").unwrap(),
        Setting::from_set("icscf.scscfs=[{name: x}]").unwrap(),
        Setting::from_set("pcscf=5").unwrap(),
    ];
    let faults = load_profile("lab", &settings[..4]).unwrap_err();
    let lines = faults.to_string();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "--realm: realm: \"not a realm\" found, a domain name such as \
         ims.mnc001.mcc001.3gppnetwork.org expected"
    );
    assert_eq!(lines[1], "--set pcscf.port_s: pcscf.port_s: \"0\" found, a port from 1 to 65535 expected");
    assert!(
        lines[2].starts_with("--set pcscf.nonsense: pcscf.nonsense: unknown key, one of listen, host,"),
        "{}",
        lines[2]
    );
    assert!(lines[3].starts_with("--set icscf.scscfs: icscf.scscfs[0].name: \"x\" found, a SIP URI"), "{}", lines[3]);
    assert_eq!(lines.len(), 4);
    let faults = load_profile("lab", &settings[4..]).unwrap_err();
    assert_eq!(faults.to_string(), "--set pcscf: pcscf: \"5\" found, a mapping expected");
    assert!(Setting::from_set("pcscf.port_s").is_err());
}

#[test]
fn extends_must_end_and_be_there() {
    let scratch = Scratch::new("extends");
    let a = scratch.file("a.yaml", "extends: b\nrealm: a.example\n");
    scratch.file("b.yaml", "extends: a\n");
    let faults = load_profile(a.to_str().unwrap(), &[]).unwrap_err();
    let shown = scratch.messages(&faults);
    assert_eq!(shown, ["b.yaml:1:10: extends: a.yaml extends itself in the end, a profile that does not expected"]);
    let c = scratch.file("c.yaml", "realm: a.example\nextends: nowhere\nwiring: x\n");
    let shown = scratch.messages(&load_profile(c.to_str().unwrap(), &[]).unwrap_err());
    assert!(shown[0].starts_with("c.yaml:2:10: extends: profiles/nowhere.yaml cannot be read: "), "{}", shown[0]);
    assert_eq!(shown[1], "c.yaml:3:9: wiring: \"x\" found, local or wire expected");
    let shown = load_profile("no-such", &[]).unwrap_err().to_string();
    assert!(shown.starts_with("profiles/no-such.yaml: cannot be read"), "{shown}");
    assert!(
        shown.ends_with("built in are lab, volte, huawei-460-60, plain-digest, digest-tls, gb28181, hikvision"),
        "{shown}"
    );
}

#[test]
fn a_fault_of_the_profile_extended_is_placed_in_its_own_file() {
    let scratch = Scratch::new("base");
    scratch.file("base.yaml", "realm: a.example\nue: {port_c: x}\nhss: {sqn: y}\n");
    let top = scratch.file("top.yaml", "extends: base\nue: {port_s: z}\nhss: {sqn: counter}\n");
    let shown = scratch.messages(&load_profile(top.to_str().unwrap(), &[]).unwrap_err());
    assert_eq!(
        shown,
        [
            "top.yaml:2:14: ue.port_s: \"z\" found, a port from 1 to 65535 expected",
            "base.yaml:2:14: ue.port_c: \"x\" found, a port from 1 to 65535 expected",
        ]
    );
}

#[test]
fn all_faults_of_a_subscriber_file() {
    let text = format!(
        "defaults: {{amf: 80, colour: red}}
subscribers:
  - {{imsi: 00101000000000x, k: {K}, opc: {OPC}}}
  - {{k: {short}, opc: {OPC}, imsi: 001010000000002}}
  - imsi: 001010000000003
    k: {K}
  - {{imsi: 001010000000004, k: {K}, op: {OPC}, opc: {OPC}}}
  - {{imsi: 001010000000005, k: {K}, opc: {OPC}, sqn: 0x20, msisdn: \"+12x\"}}
  - {{}}
  - [imsi]
  - {{imsi: 001010000000006, k: {K}, opc: {OPC}, algorithm: tuak}}
  - {{imsi: 001010000000007, k: {K}, opc: {OPC}, impus: [sips:a@b], barred: [tel:+1]}}
  - {{imsi: 001010000000008, recorded: [{{rand: 00, response: {K}}}], opc: {OPC}}}
",
        short = &K[..31]
    );
    let faults = subscriber_faults(
        "subscribers",
        &text,
        &[
            "s.yaml:1:17: defaults.amf: \"80\" found, 4 hexadecimal digits expected",
            "s.yaml:1:21: defaults.colour: unknown key, one of k, charging, algorithm, op, opc, top, topc, res_len, \
         iterations, amf, sqn, realm, mnc_digits, capabilities, visited_networks, media_profile, shared_ifc_sets, ifc expected",
            "s.yaml:3:12: subscribers[0].imsi: \"00101000000000x\" found, 6 to 15 digits expected",
            "s.yaml:4:9: subscribers[1].k: \"..\" (31 characters) found, 32 hexadecimal digits expected",
            "s.yaml:5:5: subscribers[2].opc: missing, opc or op of 32 hexadecimal digits expected",
            "s.yaml:7:70: subscribers[3].op: found beside opc, one of the two expected",
            "s.yaml:8:110: subscribers[4].sqn: \"0x20\" found, 1 to 12 hexadecimal digits expected",
            "s.yaml:8:124: subscribers[4].msisdn: \"+12x\" found, + and 3 to 15 digits expected",
            "s.yaml:9:5: subscribers[5].imsi: missing, 6 to 15 digits expected",
            "s.yaml:9:5: subscribers[5].k: missing, 32 hexadecimal digits expected",
            "s.yaml:9:5: subscribers[5].opc: missing, opc or op of 32 hexadecimal digits expected",
            "s.yaml:10:5: subscribers[6]: a list found, a mapping expected",
            "s.yaml:11:5: subscribers[7].topc: missing, topc or top of 64 hexadecimal digits expected",
            "s.yaml:12:113: subscribers[8].impus[0]: \"sips:a@b\" found, a SIP or tel URI without wildcard expected",
            "s.yaml:13:40: subscribers[9].recorded[0].autn: missing, nonce, or rand and autn, expected",
            "s.yaml:13:47: subscribers[9].recorded[0].rand: \"00\" found, 32 hexadecimal digits expected",
            "s.yaml:13:102: subscribers[9].opc: found beside recorded, one of the two expected",
        ],
    );
    for shown in [faults.to_string(), faults.draw(false), format!("{faults:?}")] {
        for secret in [K, OPC, &K[..31], &K[..20]] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn sets_are_judged() {
    let text = format!(
        "subscribers:
  - {{imsi: 001010000000001, k: {K}, opc: {OPC}, barred: [tel:+1]}}
  - {{imsi: 001010000000002, k: {K}, opc: {OPC}, impus: []}}
  - {{imsi: 001010000000003, k: {K}, opc: {OPC}, charging: {{ecf: [a, b, c]}}}}
  - {{imsi: 001010, k: \"4b{{imsi}}\", opc: {OPC}}}
"
    );
    subscriber_faults(
        "sets",
        &text,
        &[
            "s.yaml:2:113: subscribers[0].barred: \"tel:+1\" found, an identity of the set expected: \
         sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
            "s.yaml:3:112: subscribers[1].impus: nothing to register, one identity expected",
            "s.yaml:4:121: subscribers[2].charging.ecf: more than two found, a primary and a secondary expected",
            "s.yaml:5:12: subscribers[3].imsi: \"001010\" found, 15 digits expected because a key holds {imsi}",
        ],
    );
}

#[test]
fn two_subscribers_with_one_identity() {
    let text = format!(
        "defaults: {{k: {K}, opc: {OPC}}}
subscribers:
  - {{imsi: 001010000000005}}
  - {{imsi: 001010000000009, impus: [sip:a@b, sip:c@d]}}
  - {{imsi: 001010000000001, range: 5}}
  - {{imsi: 001010000000007, impus: [sip:c@d]}}
  - {{imsi: 001010000000009}}
  - {{imsi: 001010000000005, realm: other.example}}
  - {{imsi: 001010000001000, range: 10, msisdn: \"+100\"}}
  - {{imsi: 001010000002000, range: 10, msisdn: \"+109\"}}
"
    );
    subscriber_faults(
        "duplicates",
        &text,
        &[
            "s.yaml:5:5: subscribers[2]: an IMPI like \"001010000000001@ims.mnc001.mcc001.3gppnetwork.org\" found twice, it is \
         also at s.yaml:3:5",
            "s.yaml:6:5: subscribers[3]: IMPU \"sip:c@d\" found, one subscriber only expected: it is also at s.yaml:4:5",
            "s.yaml:7:5: subscribers[4]: IMPI \"001010000000009@ims.mnc001.mcc001.3gppnetwork.org\" found, one subscriber \
         only expected: it is also at s.yaml:4:5",
            "s.yaml:10:5: subscribers[7]: an IMPU like \"sip:+109@ims.mnc001.mcc001.3gppnetwork.org\" found twice, it is also \
         at s.yaml:9:5",
        ],
    );
}

#[test]
fn ranges_are_judged() {
    let text = format!(
        "defaults: {{k: {K}, opc: {OPC}}}
subscribers:
  - {{imsi: 999999999999990, range: 11}}
  - {{imsi: 001010000000001, range: 1000, msisdn: \"+999\"}}
  - {{imsi: 001010000010001, range: 0}}
  - {{imsi: 001010000020001, range: 3, impus: [sip:a@b]}}
  - {{imsi: 001010000030001, range: 3, algorithm: tuak, topc: {OPC}{OPC}}}
"
    );
    subscriber_faults(
        "ranges",
        &text,
        &[
            "s.yaml:3:36: subscribers[0].range: 11 found, fewer expected: the IMSI would need another digit",
            "s.yaml:4:36: subscribers[1].range: 1000 found, fewer expected: the MSISDN would need another digit",
            "s.yaml:5:36: subscribers[2].range: \"0\" found, a number from 1 to 100000000 expected",
            "s.yaml:6:36: subscribers[3].range: \"sip:a@b\" would be the same for all, the digits of the IMSI expected in it",
            "s.yaml:7:36: subscribers[4].range: a range with tuak found, milenage or xor expected",
        ],
    );
}

#[test]
fn keys_in_wrong_places_are_masked_and_drawn_lines_too() {
    let text = format!("subscribers:\n  - {{imsi: 001010000000001, k:{K}, amf: {OPC}, opc: \"{}\"}}\n", &OPC[..9]);
    let scratch = Scratch::new("masked");
    let path = scratch.file("s.yaml", &text);
    let faults = load_subscribers(&path, &load_profile("lab", &[]).unwrap()).unwrap_err();
    let lines = scratch.messages(&faults);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines.iter().any(|l| l == "s.yaml:2:70: subscribers[0].amf: \"..\" found, 4 hexadecimal digits expected"));
    assert!(lines.iter().any(|l| l.starts_with("s.yaml:2:29: subscribers[0].k:..: unknown key")), "{lines:#?}");
    let drawn = faults.draw(false);
    assert!(drawn.contains("s.yaml:2:70"), "{drawn}");
    assert!(drawn.contains("imsi: 001010000000001"), "{drawn}");
    for shown in [faults.to_string(), drawn, faults.draw(true), format!("{faults:?}")] {
        for secret in [&K[..12], &OPC[..9]] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_directory_reports_all_its_files() {
    let scratch = Scratch::new("directory");
    scratch.file("b.yaml", "subscribers: [{imsi: 1}]\n");
    scratch.file("a.yaml", "subscribers: x\n");
    scratch.file("notes.txt", "not looked at");
    let profile = load_profile("lab", &[]).unwrap();
    let faults = load_subscribers(&scratch.0, &profile).unwrap_err();
    let lines = scratch.messages(&faults);
    assert_eq!(
        lines,
        [
            "a.yaml:1:14: subscribers: \"x\" found, a list expected",
            "b.yaml:1:15: subscribers[0].k: missing, 32 hexadecimal digits expected",
            "b.yaml:1:15: subscribers[0].opc: missing, opc or op of 32 hexadecimal digits expected",
            "b.yaml:1:22: subscribers[0].imsi: \"1\" found, 6 to 15 digits expected",
        ]
    );
    let missing = load_subscribers(&scratch.0.join("none.yaml"), &profile).unwrap_err();
    assert!(scratch.messages(&missing)[0].starts_with("none.yaml: cannot be read: "));
}

#[test]
fn names_of_headers_and_hosts_are_names() {
    profile_faults(
        "names",
        "realm: a.b\nscscf:\n  extra_headers_in_200: {\"A:b\\r\\nVia\": x, C: \"d\\r\\nVia: y\"}\nhosts: {\"a b\": 127.0.0.1}\n",
        &[
            "p.yaml:3:26: scscf.extra_headers_in_200: \"A:b\\r\\nVia\" found, a name of letters, digits and '-' expected",
            "p.yaml:3:46: scscf.extra_headers_in_200.C: \"d\\r\\nVia: y\" found, a text in one line expected",
            "p.yaml:4:9: hosts: \"a b\" found, a host name or address of letters, digits, '.', '-' and ':' expected",
        ],
    );
}

#[test]
fn every_line_of_a_large_file_may_be_wrong() {
    let mut text = "subscribers:\n".to_owned();
    for i in 0..5_000 {
        text.push_str(&format!("  - {{imsi: 0010100000{i:05}, k: {}, opc: {OPC}}}\n", &K[..30]));
        text.push_str(&format!("  - {{imsi: 0010100001{i:05}, k: {K}}}\n"));
    }
    let scratch = Scratch::new("large");
    let path = scratch.file("s.yaml", &text);
    let faults = load_subscribers(&path, &load_profile("lab", &[]).unwrap()).unwrap_err();
    assert_eq!(faults.0.len(), 10_000);
    assert_eq!(faults.0[9_998].place, Some((10_000, 32)));
    assert_eq!(faults.0[9_999].place, Some((10_001, 5)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is typed into a good file: no panic, every fault has a place in it, and no key is shown.
    #[test]
    fn any_slip_has_a_place(
        at in 0_usize..900,
        cut in 0_usize..40,
        typed in "[a-z0-9:,{}\\[\\]\"'#&*!|\\n -]{0,12}",
    ) {
        let good = format!(
            "defaults: {{amf: \"8000\", algorithm: milenage}}\nsubscribers:\n  - {{imsi: 001010000000001, k: {K}, opc: {OPC}}}\n  \
             - imsi: 001010000000002\n    k: {K}\n    op: {OPC}\n    impus: [sip:a@b, tel:+1]\n    barred: [tel:+1]\n  \
             - {{imsi: 001010000001000, range: 10, k: \"4b{{imsi}}\", opc: {OPC}, charging: {{ccf: [a, b]}}}}\n"
        );
        let at = at % good.len();
        let text = format!("{}{typed}{}", &good[..at], &good[(at + cut).min(good.len())..]);
        let scratch = Scratch::new("slip");
        let path = scratch.file("s.yaml", &text);
        if let Err(faults) = load_subscribers(&path, &load_profile("lab", &[]).unwrap()) {
            for fault in &faults.0 {
                prop_assert!(fault.place.is_some(), "{fault}");
            }
            for shown in [faults.to_string(), faults.draw(false)] {
                prop_assert!(!shown.contains(&K[..12]) && !shown.contains(&OPC[20..]), "{shown}");
            }
        }
    }
}
