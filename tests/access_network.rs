//! Users for whom the access network vouches, through the whole core: by their address (GIBA, TS 33.203 annex T) or their
//! line (NASS-Bundled, annex R); and our UE with a password against our core.
#![cfg(feature = "live")]

mod common;
mod digest_core;
#[path = "common/scratch.rs"]
mod scratch;

use digest_core::Core;
use imsreg::sip::Message;
use scratch::Scratch;

const HOME: &str = "192.0.2.7:5060";
const CAFE: &str = "192.0.2.8:5060";

const SUBSCRIBERS: &str = "subscribers:
  - {impus: [\"sip:early@sip.example.org\"], address: 192.0.2.7}
  - {impus: [\"sip:line@sip.example.org\"], lines: [dsl-7]}
";

fn core(test: &str) -> Core {
    let scratch = Scratch::new(test);
    let settings = ["pcscf.lines={192.0.2.7: dsl-7, 192.0.2.8: dsl-8}"];
    Core::with("plain-digest", &settings, &scratch.file("s.yaml", SUBSCRIBERS))
}

fn register(user: &str, from: &str, via: &str, cseq: u32, lines: &str) -> String {
    format!(
        "REGISTER sip:sip.example.org SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{user}{cseq};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@sip.example.org>;tag=a\r\nTo: <sip:{user}@sip.example.org>\r\n\
         Call-ID: {user}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{from}>\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

fn status(text: &str) -> u16 {
    Message::parse(text.as_bytes()).unwrap().status().unwrap()
}

#[test]
fn the_address_that_the_network_gave_registers_and_no_other() {
    let mut core = core("giba");
    assert_eq!(status(&core.hears(HOME, &register("early", HOME, HOME, 1, ""))), 200);
    // Via says what it likes: the P-CSCF writes where the request came from.
    assert_eq!(status(&core.hears(CAFE, &register("early", CAFE, HOME, 2, ""))), 403);
    assert_eq!(status(&core.hears(CAFE, &register("early", CAFE, CAFE, 3, ""))), 403);
    assert_eq!(status(&core.hears(HOME, &register("early", HOME, HOME, 4, "Expires: 0\r\n"))), 200);
}

#[test]
fn the_line_that_the_network_names_registers_and_no_other() {
    let mut core = core("nass");
    assert_eq!(status(&core.hears(HOME, &register("line", HOME, HOME, 1, ""))), 200);
    let claim = "P-Access-Network-Info: xDSL;dsl-location=\"dsl-7\";network-provided\r\n";
    assert_eq!(status(&core.hears(CAFE, &register("line", CAFE, CAFE, 2, claim))), 403);
}
