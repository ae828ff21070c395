//! `--mutate` in `register` and `serve`.

use super::binary::{Core, host, imsreg};
use super::scratch::Scratch;
use super::{FIRST, SECOND, register, said};

const FAULTS: &str = "mutations:
  - id: spi-12
    alter:
      - {at: ue, message: REGISTER, protected: false, do: [{header: Security-Client, parameter: spi-c, set: '12'}]}
  - id: twice
    alter:
      - {at: ue, message: REGISTER, protected: true, copy: {after: 0s}}
  - id: no-server
    alter:
      - {at: pcscf, to: ue, message: 401, do: [{header: Security-Server, remove: true}]}
  - id: unknown
    alter:
      - {at: hss, message: UAA, do: [{experimental: 5001}]}
  - id: believes
    alter:
      - {at: ue, to: pcscf, message: REGISTER, arriving: true, protected: false, do: [{header: Max-Forwards, set: '0'}]}
  - id: in-clear
    alter:
      - {at: ue, message: REGISTER, protected: true, clear: true, from_port: 5060, to_port: 5060}
  - id: past-the-plane
    alter:
      - {at: ue, message: REGISTER, protected: true, clear: true}
  - id: other-port
    alter:
      - {at: ue, message: REGISTER, protected: true, from_port: 31999}
  - id: wrong-ck
    sets: [{at: ue, fault: wrong-ck}]
  - id: refused
    sets: [{at: ue, fault: refused}]
";

fn faults(scratch: &Scratch) -> impl Fn(&str) -> String {
    let file = scratch.file("faults.yaml", FAULTS);
    move |id| format!("{}:{id}", file.display())
}

#[test]
fn a_ue_that_is_made_faulty_is_refused_as_the_fault_deserves() {
    let scratch = Scratch::new("mutate-register");
    let fault = faults(&scratch);
    let core = Core::start(1, &["--sec-agree", "required"]);
    let outcome = |id: &str| {
        let output = register(1, &core, FIRST, &["--mutate", &fault(id)]);
        (output.status.code(), said(&output))
    };
    let (status, said) = outcome("spi-12");
    assert!(status == Some(1) && said.contains("494 "), "{said}");
    let (status, said) = outcome("in-clear");
    assert!(status == Some(1) && !said.contains("registered\n"), "{said}");
    let (status, said) = outcome("other-port");
    assert!(status == Some(1) && said.contains("no final answer"), "{said}");
    let (status, said) = outcome("refused");
    assert!(status == Some(1) && said.contains("could not be installed"), "{said}");
}

#[test]
fn a_network_that_is_made_faulty_is_so_to_one_ue() {
    let scratch = Scratch::new("mutate-serve");
    let fault = faults(&scratch);
    for (test, id, told) in [(2, "no-server", "Security-Server"), (3, "unknown", "403 "), (4, "believes", "483 ")] {
        let core = Core::start(test, &["--mutate", &fault(id)]);
        let output = register(test, &core, FIRST, &[]);
        assert!(output.status.code() == Some(1) && said(&output).contains(told), "{id}: {}", said(&output));
        let other = register(test, &core, SECOND, &[]);
        assert!(other.status.success(), "{id}: {}", said(&other));
    }
    let chosen = format!("{SECOND}@ims.mnc001.mcc001.3gppnetwork.org");
    let core = Core::start(5, &["--mutate", &fault("unknown"), "--mutate-ue", &chosen]);
    assert!(register(5, &core, FIRST, &[]).status.success());
    assert_eq!(register(5, &core, SECOND, &[]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_done_is_told_at_once() {
    let scratch = Scratch::new("mutate-impossible");
    let fault = faults(&scratch);
    let pcscf = format!("{}:5060", host(6));
    let refused = |args: &[&str], line: &str| {
        let output = imsreg(args);
        let said = said(&output);
        assert!(output.status.code() == Some(2) && said.lines().count() == 1 && said.contains(line), "{said}");
    };
    let ue = ["register", "--pcscf", &pcscf, "--imsi", FIRST, "--subscriber", "hss-data/lab.yaml", "--mutate"];
    for (id, line) in [
        ("no-server", "--mutate no-server: the P-CSCF is not in this process"),
        ("past-the-plane", "plane none has everything in clear"),
        ("wrong-ck", "plane none has no keys"),
        ("no-such-id", "ID one of spi-12, twice"),
    ] {
        refused(&[&ue[..], &[&fault(id)]].concat(), line);
    }
    refused(&[&ue[..], &["no-such-case"]].concat(), "--mutate no-such-case: no case of that name");
    refused(&[&ue[..], &["server-missing"]].concat(), "--mutate server-missing: the P-CSCF is not in this process");
    refused(&[&ue[..], &[&fault("other-port"), "--ipsec", "unprivileged"]].concat(), "no SA of plane unprivileged");
    refused(&["serve", "--mutate", &fault("spi-12")], "the UE is not in this process");
    refused(&["serve", "--only", "hss", "--mutate", &fault("no-server")], "the P-CSCF is not in this process");
}

#[test]
fn esp_shows_other_keys_and_what_goes_past_it() {
    let scratch = Scratch::new("mutate-esp");
    let fault = faults(&scratch);
    let core = Core::start(7, &["--ipsec", "unprivileged", "--esp-port", "4507", "--sec-agree", "required"]);
    for (id, works) in [("wrong-ck", false), ("past-the-plane", false), ("twice", true)] {
        let flags = ["--ipsec", "unprivileged", "--esp-port", "4507", "--mutate", &fault(id)];
        let output = register(7, &core, FIRST, &flags);
        assert_eq!(output.status.success(), works, "{id}: {}", said(&output));
    }
}
