//! The command as its users start it: exit status, what it prints, what it refuses. On loopback addresses of its own.
#![cfg(feature = "live")]

#[path = "common/scratch.rs"]
mod scratch;

use scratch::Scratch;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// Addresses of one test; tests run side by side, and so do programs of tests.
struct Place(u8);

impl Place {
    fn host(&self) -> String {
        let [.., a, b] = std::process::id().to_be_bytes();
        format!("127.{}.{b}.{}", a.max(1), self.0)
    }

    fn at(&self, port: u16) -> String {
        format!("{}:{port}", self.host())
    }

    /// `serve` with its core here, and `more` flags.
    fn serve(&self, more: &[&str]) -> (Running, String) {
        let listeners = [
            ["--sip".to_owned(), self.at(5060)],
            ["--diameter".to_owned(), self.at(3868)],
            ["--set".to_owned(), format!("icscf.listen={}", self.at(4060))],
            ["--set".to_owned(), format!("scscf.listen={}", self.at(6060))],
        ];
        let listeners = listeners.as_flattened().iter().map(String::as_str);
        start_serve(&["serve"].into_iter().chain(listeners).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn flags(&self) -> Vec<String> {
        let pairs = [("--sip", 5060), ("--icscf", 4060), ("--scscf", 6060), ("--diameter", 3868), ("--ue", 20_000)];
        pairs.iter().flat_map(|(flag, port)| [(*flag).to_owned(), self.at(*port)]).collect()
    }
}

fn imsreg(args: &[&str], more: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_imsreg"))
        .args(args)
        .args(more)
        .env_remove("IMSREG_PROFILE")
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the binary that cargo built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_first_run_draws_12_sip_and_8_cx_messages_and_exits_0() {
    let output = imsreg(&["--once"], &Place(1).flags());
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    // What stands on an arrow: a time or an SPI may hold any digits.
    let stands = |line: &str, word: &str| ["─", "═"].iter().any(|shaft| line.contains(&format!("{shaft}{word}")));
    let arrows = |words: &[&str]| out.lines().filter(|l| words.iter().any(|w| stands(l, w))).count();
    assert_eq!(arrows(&["REGISTER", "401 ", "200 "]), 12, "{out}");
    assert_eq!(arrows(&["UAR", "UAA", "MAR", "MAA", "SAR", "SAA"]), 8, "{out}");
    for note in ["AUTN verified", "SA set"] {
        assert!(out.contains(note), "{note} missing:\n{out}");
    }
    for line in ladder(&out).lines() {
        assert!(line.chars().count() <= 120, "wider than 120 columns: {line}");
    }
}

#[test]
fn no_key_is_in_the_ladder_unless_asked_for() {
    // TS 35.208 test set 1 is what the first run uses; CK and IK depend on RAND, so what is masked is looked for by form.
    let output = imsreg(&["--once"], &Place(2).flags());
    let out = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!has_key(&ladder(&out)), "a key in the ladder:\n{out}");
    let shown = imsreg(&["--once", "--show-keys"], &Place(2).flags());
    assert!(has_key(&ladder(&text(&shown.stdout))), "--show-keys shows none:\n{}", text(&shown.stdout));
}

/// Without what to try next, where a key of the lab stands.
fn ladder(out: &str) -> String {
    out.lines().filter(|line| line.contains('│')).collect::<Vec<_>>().join("\n")
}

/// 32 hexadecimal digits in a row.
fn has_key(out: &str) -> bool {
    let mut run = 0;
    out.chars().any(|c| {
        run = if c.is_ascii_hexdigit() { run + 1 } else { 0 };
        run == 32
    })
}

#[test]
fn json_prints_one_object_a_line_and_the_report_last() {
    let output = imsreg(&["--once", "--json"], &Place(3).flags());
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    let lines: Vec<serde_json::Value> =
        out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert!(lines.iter().all(|l| l["event"].is_string()), "{out}");
    assert_eq!(lines.last().expect("lines")["event"], "report");
    assert!(lines.iter().any(|l| l["event"] == "ready"));
    assert!(!has_key(&out), "a key in the events:\n{out}");
}

#[test]
fn a_port_in_use_is_named_with_its_holder_and_the_flag() {
    let place = Place(4);
    #[expect(clippy::disallowed_types, reason = "a socket is what holds a port")]
    let held = std::net::UdpSocket::bind(place.at(5060)).expect("a free port");
    let output = imsreg(&["--once"], &place.flags());
    drop(held);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for part in ["P-CSCF", &format!("{}/UDP", place.at(5060)), &std::process::id().to_string(), "--sip ADDR:PORT"] {
        assert!(err.contains(part), "{part} missing in: {err}");
    }
}

#[test]
fn serve_says_ready_and_ends_in_order_at_sigterm() {
    let mut serve = start_serve(&["serve", "--only", "hss", "--diameter", &Place(5).at(0)]);
    let ready = serve.1.clone();
    let hss = ready.split(' ').find_map(|word| word.strip_prefix("hss="));
    let port = hss.and_then(|at| at.rsplit_once(':')).map(|(_, p)| p.parse::<u16>().expect("a port"));
    assert!(port.is_some_and(|p| p != 0), "{ready}");
    assert!(end(&mut serve.0).success());
}

/// A phone without USIM: a password, over UDP, whose very first datagram must get out.
#[test]
fn a_password_registers_at_a_served_core() {
    let place = Place(17);
    let mut serve = place.serve(&["--profile", "plain-digest", "--hss-data", "hss-data/plain-digest.yaml"]);
    let (pcscf, source) = (place.at(5060), Place(18).host());
    let base = ["register", "--profile", "plain-digest", "--pcscf", &pcscf, "--source", &source, "--deregister"];
    let phone = ["--impu", "sip:1000@192.168.1.88", "--username", "1000", "--password"];
    let output = imsreg(&[&base[..], &phone, &["1000"]].concat(), &[]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    assert!(out.contains("de-registered") && !out.contains("again, as"), "{out}");
    let wrong = imsreg(&[&base[..], &phone, &["guessed"]].concat(), &[]);
    assert_eq!(wrong.status.code(), Some(1), "a wrong password registers: {}", text(&wrong.stdout));
    let all = format!("{out}{}{}", text(&wrong.stdout), text(&wrong.stderr));
    assert!(!all.contains("guessed"), "{all}");
    assert!(end(&mut serve.0).success());
}

#[test]
fn register_against_serve_and_back() {
    let place = Place(6);
    let mut serve = place.serve(&["--sec-agree", "required"]);
    let keys = ["--k", "465b5ce8b199b49faa5f0a2ee238a6bc", "--opc", "cd63cb71954a9f4e48a5994e37a02baf"];
    let (pcscf, source) = (place.at(5060), Place(10).host());
    let base = ["register", "--pcscf", &pcscf, "--source", &source, "--imsi", "001010000000001"];
    for transport in ["udp", "tcp"] {
        let mut args = [base.as_slice(), &keys, &["--deregister", "--transport", transport]].concat();
        let output = imsreg(&args, &[]);
        let out = text(&output.stdout);
        assert!(output.status.success(), "{transport}: {out}{}", text(&output.stderr));
        assert!(out.contains("registered") && out.contains("de-registered"), "{out}");
        args[base.len() + 1] = "00000000000000000000000000000000";
        let wrong = imsreg(&args, &[]);
        assert_eq!(wrong.status.code(), Some(1), "a wrong K registers: {}", text(&wrong.stdout));
        assert!(text(&wrong.stderr).contains("MAC"), "the cause is not named: {}", text(&wrong.stderr));
    }
    assert!(end(&mut serve.0).success());
}

#[test]
fn the_first_run_takes_no_plane() {
    let output = imsreg(&["--once", "--set", "ue.ipsec=unprivileged"], &Place(21).flags());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("serve and register"), "{}", text(&output.stderr));
}

/// Sealed Gm without any privilege: ESP in UDP between the two, over one port of the P-CSCF's.
#[test]
fn unprivileged_ends_register_through_esp() {
    let place = Place(18);
    let mut serve = place.serve(&["--sec-agree", "required", "--ipsec", "unprivileged", "--esp-port", "4501"]);
    let keys = ["--k", "465b5ce8b199b49faa5f0a2ee238a6bc", "--opc", "cd63cb71954a9f4e48a5994e37a02baf"];
    let itself = "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
    let (pcscf, source) = (place.at(5060), Place(19).host());
    let base = ["register", "--pcscf", &pcscf, "--source", &source, "--imsi", "001010000000001", "--message", itself];
    for (transport, pair) in [("udp", "hmac-sha-1-96/aes-cbc"), ("tcp", "hmac-md5-96/null")] {
        let algorithms = format!("ue.algorithms=[{pair}]");
        let esp = ["--ipsec", "unprivileged", "--esp-port", "4501", "--transport", transport, "--set", &algorithms];
        let more = ["--deregister", "--json"];
        let output = imsreg(&[base.as_slice(), &keys, &esp, &more].concat(), &[]);
        let out = text(&output.stdout);
        assert!(output.status.success(), "{transport}: {out}{}", text(&output.stderr));
        let events: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let has = |event: &str| events.iter().any(|e| e["event"] == event);
        assert!(has("sa-established") && has("message-received") && has("deregistered"), "{out}");
    }
    // Subscribed, the UE is sent a NOTIFY over a connection that the P-CSCF opens.
    let esp = ["--ipsec", "unprivileged", "--esp-port", "4501", "--set", "ue.subscribe=true", "--stay", "--json"];
    let is_notify = |line: &str| line.contains(r#""label":"NOTIFY"#) && line.contains(r#""transport":"TCP""#);
    let mut stays = start_reading(&[base.as_slice(), &keys, &esp].concat(), is_notify);
    assert!(end(&mut stays.0).success());
    // What is not sealed reaches no protected port.
    let clear = ["--ipsec", "none", "--timeout", "2"];
    let output = imsreg(&[base.as_slice(), &keys, &clear].concat(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(end(&mut serve.0).success());
}

/// IMSI and address are counted up; what failed is told by cause, with how many failed so.
#[test]
fn many_ues_of_one_process_register() {
    let place = Place(22);
    let mut serve = place.serve(&["--sec-agree", "required"]);
    let (pcscf, source) = (place.at(5060), Place(100).host());
    let base = ["register", "--pcscf", &pcscf, "--source", &source, "--deregister"];
    let range = ["--subscriber", "hss-data/lab.yaml", "--imsi", "001010000001000", "--count", "25"];
    let output = imsreg(&[&base[..], &range, &["--rate", "100"]].concat(), &[]);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{out}{}", text(&output.stderr));
    let lines: Vec<&str> = out.lines().map(|line| line.rsplit_once(" in ").expect("a time").0).collect();
    assert_eq!(lines, ["25 of 25 UEs registered", "25 of 25 UEs de-registered"]);
    let output = imsreg(&[&base[..], &range, &["--json"]].concat(), &[]);
    let out = text(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(out.lines().last().expect("a report")).expect("JSON");
    let numbers = ["ues", "registered", "deregistered", "lost"].map(|key| report[key].as_u64());
    assert_eq!((report["ok"].as_bool(), numbers), (Some(true), [Some(25), Some(25), Some(25), Some(0)]), "{report}");
    assert_eq!(out.lines().filter(|line| line.contains(r#""event":"deregistered""#)).count(), 25);
    // The keys of the first are those of nobody else.
    let keys = ["--k", "465b5ce8b199b49faa5f0a2ee238a6bc", "--opc", "cd63cb71954a9f4e48a5994e37a02baf"];
    let others = ["--imsi", "001010000000001", "--count", "3"];
    let output = imsreg(&[&base[..], &keys, &others].concat(), &[]);
    let (out, why) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.starts_with("1 of 3 UEs registered") && out.contains("\nnot registered, 2: 403 "), "{out}");
    assert!(out.contains("\n1 of 1 UEs de-registered"), "{out}");
    assert!(why.starts_with("imsreg: 2 of 3 UEs not registered: 403 "), "{why}");
    let output =
        imsreg(&["register", "--pcscf", &pcscf, "--imsi", "001010000000001", "--k", keys[1], "--count", "2"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--source"), "{}", text(&output.stderr));
    assert!(end(&mut serve.0).success());
}

/// UEs that do their SAs wrong on request: the command says how it ended, `imsreg sa` why their packets were dropped.
#[test]
fn ues_that_misbehave_are_withstood() {
    let (place, scratch) = (Place(20), Scratch::new("misbehave"));
    let socket = scratch.0.join("socket").to_str().expect("UTF-8").to_owned();
    let sip = place.at(5060);
    let mut serve = place.serve(&[
        "--set",
        "scscf.challenge=always",
        "--sec-agree",
        "required",
        "--ipsec",
        "unprivileged",
        "--esp-port",
        "4502",
        "--control",
        &socket,
    ]);
    let register = |how: &str, number: u32| {
        let imsi = format!("{}", 1_010_000_001_000_u64 + u64::from(number));
        let imsi = format!("00{imsi}");
        let source = Place(21).host();
        let base = ["register", "--pcscf", &sip, "--source", &source, "--imsi", &imsi, "--timeout", "3"];
        let more = ["--subscriber", "hss-data/lab.yaml", "--ipsec", "unprivileged", "--esp-port", "4502"];
        imsreg(&[&base[..], &more, &["--misbehave", how]].concat(), &[])
    };
    let dropped = |reason: &str| {
        let said = imsreg(&["sa", "--socket", &socket, "--json"], &[]);
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).expect("one JSON object");
        let sets = said["sets"].as_array().expect("sets");
        sets.iter().filter_map(|set| set["packets"]["dropped"][reason].as_u64()).sum::<u64>()
    };
    for (number, (how, reason)) in
        [("old-keys", "icv"), ("wrong-expansion", "icv"), ("wrong-ports", "selector")].into_iter().enumerate()
    {
        let before = dropped(reason);
        let output = register(how, number as u32);
        assert_eq!(output.status.code(), Some(1), "{how}: {}", text(&output.stdout));
        assert!(dropped(reason) > before, "{how}: {}", text(&output.stderr));
    }
    let output = register("replay", 3);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(dropped("replayed") > 0);
    for (number, how, status) in [(4, "wrong-response", "403"), (5, "reused-spi", "403")] {
        let output = register(how, number);
        assert_eq!(output.status.code(), Some(1), "{how}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(status), "{how}: {}", text(&output.stderr));
    }
    let clear = imsreg(&["register", "--pcscf", &sip, "--imsi", "001010000001000", "--misbehave", "replay"], &[]);
    assert_eq!(clear.status.code(), Some(2), "{}", text(&clear.stderr));
    assert!(end(&mut serve.0).success());
}

#[test]
fn ctl_shows_registrations_and_security_associations_of_a_running_serve() {
    let (place, scratch) = (Place(13), Scratch::new("ctl"));
    let socket = scratch.0.join("socket").to_str().expect("UTF-8").to_owned();
    let sip = place.at(5060);
    let mut serve = place.serve(&["--control", &socket]);
    assert!(serve.1.trim_end().ends_with(&format!(" control={socket}")), "{}", serve.1);
    let ctl = |args: &[&str]| imsreg(&[&["ctl", "--socket", &socket, "--json"], args].concat(), &[]);
    let said = |output: Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("one JSON object");
    let before = said(ctl(&["registrations"]));
    assert_eq!((&before["ok"], before["registrations"].as_array().map(Vec::len)), (&true.into(), Some(0)));
    let source = Place(14).host();
    let subscriber = ["--imsi", "001010000001000", "--subscriber", "hss-data/lab.yaml"];
    let ue = imsreg(&[&["register", "--json", "--pcscf", &sip, "--source", &source], &subscriber[..]].concat(), &[]);
    assert!(ue.status.success(), "{}", text(&ue.stderr));
    let lines = text(&ue.stdout);
    let answer = lines.lines().find(|line| line.contains(r#""label":"200 OK""#)).expect("the answer to REGISTER");
    assert!(answer.contains(r#""protected":true"#) && answer.contains(r#""from":"P-CSCF""#), "{answer}");

    let impu = "sip:001010000001000@ims.mnc001.mcc001.3gppnetwork.org";
    let registrations = said(ctl(&["registrations", impu]));
    let registration = &registrations["registrations"][0];
    assert_eq!(registration["impi"], impu[4..]);
    assert_eq!(registration["contacts"].as_array().map(Vec::len), Some(1));
    let other = said(ctl(&["registrations", "sip:nobody@example.org"]));
    assert_eq!(other["registrations"].as_array().map(Vec::len), Some(0));
    let sa = said(imsreg(&["sa", "--socket", &socket, "--json"], &[]));
    let set = &sa["sets"][0];
    assert_eq!((&set["phase"], &set["ue"]["address"]), (&"established".into(), &source.into()));
    assert!(set["seconds_old"].as_u64().is_some_and(|age| age < 30) && set["packets"].is_null(), "{set}");
    let line = sa["lines"][1].as_str().expect("a line");
    assert!(line.contains(" s old, ") && line.ends_with("sip:..1000@ims.mnc001.mcc001.3gppnetwork.org"), "{line}");
    assert_eq!((&set["pcscf"]["port_s"], &set["identities"][0]), (&6100.into(), &impu.into()));

    // Challenged at its next REGISTER, which is due before the shortened end.
    assert_eq!(said(ctl(&["reauth", impu, "--within", "90"]))["ok"], true);
    let shortened = said(ctl(&["registrations", impu]));
    let left = shortened["registrations"][0]["contacts"][0]["seconds_left"].as_u64().expect("seconds");
    assert!((80..=90).contains(&left), "{left}");
    // A subscriber of a range has no profile of its own to be changed.
    let changed = ctl(&["profile", impu, "hss-data/lab.yaml"]);
    assert_eq!((changed.status.code(), &said(changed)["ok"]), (Some(1), &false.into()));
    assert_eq!(said(ctl(&["deregister", impu, "--reason", "permanent-termination"]))["ok"], true, "RTR leaves");
    assert_eq!(said(ctl(&["registrations"]))["registrations"].as_array().map(Vec::len), Some(0));
    let again = ctl(&["deregister", impu]);
    assert_eq!((again.status.code(), &said(again)["ok"]), (Some(1), &false.into()), "nobody is registered any more");

    let nonsense = ctl(&["registrations", "nobody"]);
    assert_eq!(nonsense.status.code(), Some(1), "{}", text(&nonsense.stderr));
    let nowhere = imsreg(&["sa", "--socket", "/nowhere"], &[]);
    assert!(
        nowhere.status.code() == Some(2) && text(&nowhere.stderr).contains("--socket"),
        "{}",
        text(&nowhere.stderr)
    );
    assert!(end(&mut serve.0).success());
    assert!(!scratch.0.join("socket").exists());
}

/// With the UE of the first run still there, and of the same address.
#[test]
fn what_the_first_run_suggests_works() {
    let recorded = ["--profile", "huawei-460-60", "--hss-data", "hss-data/lab.yaml"];
    for (place, more) in [(Place(8), &[][..]), (Place(9), &recorded)] {
        let flags = place.flags();
        let args: Vec<&str> = more.iter().copied().chain(flags.iter().map(String::as_str)).collect();
        let (mut network, line, before) = start_reading(&args, |line| line.starts_with("be another UE: "));
        // What follows the registration has a ladder of its own.
        let (first, second) = before.split_once("What followed the 200:\n").expect("the UE subscribes");
        assert!(first.contains("12 SIP and 8 Cx messages") && !first.contains("SUBSCRIBE"), "{first}");
        assert!(
            second.contains("══SUBSCRIBE═") && second.contains("NOTIFY") && !second.contains("REGISTER═"),
            "{second}"
        );
        let (_, suggested) = line.split_once("imsreg ").expect("a command");
        let host = place.host();
        for imsi in ["001010000001000", "001010000001001"] {
            let suggested = suggested.replace("001010000001000", imsi);
            let args: Vec<&str> = suggested.split_whitespace().chain(["--source", &host]).collect();
            let output = imsreg(&args, &[]);
            assert!(output.status.success(), "{suggested}: {}{}", text(&output.stdout), text(&output.stderr));
        }
        assert!(end(&mut network).success());
    }
}

#[test]
fn the_first_run_of_a_recorded_subscriber_says_what_to_do_instead() {
    let output = imsreg(&["--once", "--profile", "huawei-460-60"], &Place(7).flags());
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{err}");
    for part in
        ["hss-data/huawei-460-60.yaml: ", "no UE to simulate", "imsreg serve --profile huawei-460-60", "--hss-data"]
    {
        assert!(err.contains(part), "{part} missing: {err}");
    }
}

#[test]
fn faults_of_a_file_come_all_at_once_with_status_2() {
    let scratch = Scratch::new("command-line");
    let file = scratch.file("bad.yaml", "subscribers:\n  - {imsi: 12x, k: 00, opcc: 11}\n");
    let output = imsreg(&["serve", "--only", "hss", "--hss-data", file.to_str().expect("UTF-8")], &[]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    let places = err.lines().filter(|l| l.contains("bad.yaml:2:")).count();
    assert!(places >= 3, "imsi, k and opcc each want a line: {err}");
}

#[test]
fn a_state_directory_has_one_owner_who_is_an_hss() {
    let scratch = Scratch::new("command-line-state");
    let state = scratch.0.join("state");
    let state = state.to_str().expect("UTF-8");
    let address = Place(10).at(0);
    let hss = ["serve", "--only", "hss", "--diameter", &address, "--state", state];
    let mut serve = start_serve(&hss);
    let second = imsreg(&hss, &[]);
    let err = text(&second.stderr);
    assert_eq!(
        (second.status.code(), &*err),
        (Some(2), &*format!("imsreg: state directory {state}: another process has it open\n"))
    );
    let pcscf = imsreg(&["serve", "--only", "pcscf", "--state", state], &[]);
    let err = text(&pcscf.stderr);
    assert_eq!((pcscf.status.code(), err.contains("--state") && err.contains("HSS")), (Some(2), true), "{err}");
    assert!(end(&mut serve.0).success());
    let mut again = start_serve(&hss);
    assert!(end(&mut again.0).success());
}

/// A running `serve` and its `ready` line.
fn start_serve(args: &[&str]) -> (Running, String) {
    start(args, "ready ")
}

/// Starts the command and waits for a line that begins so.
fn start(args: &[&str], wanted: &str) -> (Running, String) {
    let (running, line, _) = start_reading(args, |line| line.starts_with(wanted));
    (running, line)
}

/// The same, with what came before that line.
fn start_reading(args: &[&str], wanted: impl Fn(&str) -> bool) -> (Running, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imsreg"))
        .args(args)
        .env_remove("IMSREG_PROFILE")
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary that cargo built");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut before = String::new();
    let line = lines.by_ref().map_while(Result::ok).find(|line| {
        before.extend([line, "\n"]);
        wanted(line)
    });
    let line = line.unwrap_or_else(|| {
        panic!("imsreg ended with {:?} before it said what was waited for:\n{before}", child.wait());
    });
    // The rest of its output is nobody's business, but the pipe must not break.
    std::mem::forget(lines);
    (Running(child), line, before)
}

/// A command that a failing test must not leave behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn end(Running(child): &mut Running) -> std::process::ExitStatus {
    let term = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(term.success());
    child.wait().expect("a child")
}
