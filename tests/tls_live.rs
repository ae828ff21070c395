//! SIP digest over TLS on sockets: `serve` with a TLS listener, `register --transport tls`, certificates, captures.
#![cfg(feature = "live")]

#[path = "common/binary.rs"]
mod binary;
#[path = "common/scratch.rs"]
mod scratch;

use binary::{Core, host, imsreg};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::Output;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The core of a test with a TLS listener.
fn serve(test: u8, subscribers: &Path, more: &[&str]) -> Core {
    let listen = format!("pcscf.tls.listen=\"{}:0\"", host(test));
    let subscribers = subscribers.to_str().expect("UTF-8");
    let base = ["--profile", "digest-tls", "--set", &listen, "--hss-data", subscribers];
    Core::start(test, &[&base[..], more].concat())
}

fn subscribers(scratch: &Scratch) -> PathBuf {
    let impus = "impus: [\"sip:alice@ims.example.org\"]";
    scratch.file("subscribers.yaml", &format!("subscribers:\n  - {{{impus}, password: secret-of-alice}}\n"))
}

/// Alice registers and de-registers.
fn register(test: u8, core: &Core, more: &[&str]) -> Output {
    let source = host(test + 100);
    let base =
        ["register", "--profile", "digest-tls", "--pcscf", core.at("pcscf-tls"), "--source", &source, "--deregister"];
    let alice = ["--impu", "sip:alice@ims.example.org", "--password", "secret-of-alice", "--timeout", "20"];
    imsreg(&[&base[..], &alice, more].concat())
}

#[test]
fn a_phone_registers_over_tls_and_the_capture_can_be_read() {
    let scratch = Scratch::new("tls-register");
    let capture = scratch.0.join("tls.pcapng");
    let capture = capture.to_str().expect("UTF-8");
    let core = serve(1, &subscribers(&scratch), &["--set", "pcscf.sec_agree=required"]);
    let output = register(1, &core, &["--tls-insecure", "--capture", capture]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("registered") && out.contains("de-registered"), "{out}");
    let octets = std::fs::read(capture).expect("a capture");
    let captured = text(&octets);
    let has = |part: &str| captured.contains(part);
    for part in
        ["Via: SIP/2.0/TLS ", "Security-Client: tls\r\n", "Security-Server: tls\r\n", "Security-Verify: tls\r\n"]
    {
        assert!(has(part), "{part:?} is not in the capture");
    }
    assert!(!captured.contains("secret-of-alice") && !has("PRIVATE KEY"));
    // A wrong password ends with its cause, and the process says no secret.
    let source = host(102);
    let base =
        ["register", "--profile", "digest-tls", "--pcscf", core.at("pcscf-tls"), "--source", &source, "--tls-insecure"];
    let wrong = imsreg(&[&base[..], &["--impu", "sip:alice@ims.example.org", "--password", "guessed"]].concat());
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stdout));
    assert!(!text(&wrong.stderr).contains("guessed"));
}

#[test]
fn who_is_not_believed_is_not_told_anything() {
    let scratch = Scratch::new("tls-trust");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([host(3), "pcscf.ims.example.org".to_owned()]).expect("a certificate");
    let certificate = scratch.file("pcscf.pem", &cert.pem());
    let key = scratch.file("pcscf.key", &signing_key.serialize_pem());
    let other = generate_simple_self_signed([host(3)]).expect("a certificate");
    let other = scratch.file("other.pem", &other.cert.pem());
    let [certificate, key, other] = [certificate, key, other].map(|path| path.to_str().expect("UTF-8").to_owned());
    let files = [format!("pcscf.tls.certificate={certificate}"), format!("pcscf.tls.key={key}")];
    let core = serve(3, &subscribers(&scratch), &["--set", &files[0], "--set", &files[1]]);
    for (more, succeeds) in [
        (vec!["--tls-trust", &certificate], true),
        (vec!["--tls-trust", &certificate, "--tls-name", "pcscf.ims.example.org"], true),
        (vec!["--tls-trust", &certificate, "--tls-name", "pcscf.example.com"], false),
        (vec!["--tls-trust", &other], false),
    ] {
        let more = [&more[..], &["--set", "ue.retry.attempts=1"]].concat();
        let output = register(3, &core, &more);
        let err = text(&output.stderr);
        assert_eq!(output.status.success(), succeeds, "{more:?}: {}{err}", text(&output.stdout));
        assert!(succeeds || err.contains("transport failed"), "{err}");
    }
    let nobody = register(3, &core, &[]);
    let err = text(&nobody.stderr);
    assert_eq!((nobody.status.code(), err.contains("--tls-trust")), (Some(2), true), "{err}");
}

#[test]
fn what_is_wrong_with_certificate_and_key_is_said_with_its_place() {
    let scratch = Scratch::new("tls-faults");
    let one = generate_simple_self_signed(["a.example".to_owned()]).expect("a certificate");
    let two = generate_simple_self_signed(["b.example".to_owned()]).expect("a certificate");
    let certificate = scratch.file("one.pem", &one.cert.pem());
    let key = scratch.file("one.key", &one.signing_key.serialize_pem());
    let stranger = scratch.file("two.key", &two.signing_key.serialize_pem());
    let broken = scratch.file("broken.key", "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n");
    let empty = scratch.file("empty.pem", "nothing\n");
    let missing = scratch.0.join("missing.pem");
    for (certificate, key, key_is_wrong, why) in [
        (&certificate, Some(&stranger), true, "it is not the key of the certificate"),
        (&certificate, Some(&broken), true, "is not base64"),
        (&certificate, Some(&empty), true, "no private key in the file"),
        (&empty, Some(&key), false, "no certificate in the file"),
        (&missing, Some(&key), false, "cannot be read"),
        (&certificate, None, true, "missing, a PEM file with the private key expected"),
    ] {
        let key_line = key.map_or_else(String::new, |key| format!("    key: {}\n", key.display()));
        let profile = scratch.file(
            "profile.yaml",
            &format!(
                "extends: digest-tls\nrealm: ims.example.org\npcscf:\n  tls:\n    listen: 127.0.0.1:5061\n    \
                 certificate: {}\n{key_line}",
                certificate.display()
            ),
        );
        let profile = profile.to_str().expect("UTF-8");
        let output = imsreg(&["serve", "--only", "pcscf", "--profile", profile]);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        let (line, name) = match (key_is_wrong, key) {
            (true, Some(_)) => (7, "pcscf.tls.key"),
            (true, None) => (5, "pcscf.tls.key"),
            _ => (6, "pcscf.tls.certificate"),
        };
        assert!(err.contains(&format!("profile.yaml:{line}:")) && err.contains(name) && err.contains(why), "{err}");
        assert!(!err.contains("!!!!"), "{err}");
    }
}

/// TS 33.203 annex O.1: TLS goes with SIP digest, a USIM agrees on ipsec-3gpp.
#[test]
fn a_usim_over_tls_is_refused_before_anything_is_sent() {
    let keys = ["--imsi", "001010000000001", "--k", "465b5ce8b199b49faa5f0a2ee238a6bc"];
    let opc = ["--opc", "cd63cb71954a9f4e48a5994e37a02baf"];
    let over = ["register", "--pcscf", "127.0.0.1:5061", "--transport", "tls"];
    let output = imsreg(&[&over[..], &keys, &opc].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--transport tls: a USIM agrees on ipsec-3gpp") && said.contains("--password"), "{said}");
    let first = imsreg(&["--once", "--set", "ue.transport=tls", "--set", "pcscf.tls.listen=127.0.0.1:5061"]);
    let said = text(&first.stderr);
    assert!(first.status.code() == Some(2) && said.contains("ue.transport: a USIM agrees"), "{said}");
}
