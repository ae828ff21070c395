//! UEs behind a NAT at the P-CSCF (TS 33.203 annex M, TS 24.229 annex F): who is, what is agreed, by which address.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::ipsec::association::{Mode, SaSet};
use imsreg::pcscf::{NatPolicy, PcscfConfig};
use imsreg::sip::HeaderName;
use pcscf_rig::{PCSCF, Phone, Rig, address, challenge, config};
use std::net::{IpAddr, SocketAddr};

const NAT: &str = "203.0.113.9:40001";

/// What a REGISTER from behind the NAT leads to: a status of the P-CSCF, or 0 where it went on.
fn first(config: PcscfConfig, from: &str, bend: impl Fn(String) -> String) -> (u16, Option<String>) {
    let (mut rig, mut phone) = (Rig::new(config), Phone::new(1));
    let text = bend(phone.first());
    rig.ue_sends(0, phone.transport, address(from), address(PCSCF), &text);
    match rig.to_ue.pop() {
        Some(answer) => (answer.status(), answer.header(HeaderName::SecurityServer)),
        None => {
            assert_eq!(rig.to_core.len(), 1);
            (0, None)
        }
    }
}

/// Every pair in both modes.
fn both_modes(text: String) -> String {
    let (before, list) = text.split_once("Security-Client: ").expect("an offer");
    let (list, after) = list.split_once("\r\n").expect("a line");
    format!("{before}Security-Client: {list}, {}\r\n{after}", list.replace("mod=trans", "mod=UDP-enc-tun"))
}

/// In tunnel mode only.
fn tunnel(text: String) -> String {
    text.replace("mod=trans", "mod=UDP-enc-tun")
}

#[test]
fn what_is_agreed_behind_a_nat_and_elsewhere() {
    use NatPolicy::{Off, Offered, Required};
    let at = |nat, carries_tunnels| PcscfConfig { nat, carries_tunnels, ..config() };
    let here = "10.1.0.1:5060";
    let same: fn(String) -> String = |text| text;
    for (nat, carries, from, bend, status) in [
        (Required, true, here, same, 0),
        (Required, true, here, both_modes, 0),
        // No NAT, no tunnel.
        (Required, true, here, tunnel, 494),
        (Required, true, NAT, both_modes, 0),
        (Required, true, NAT, tunnel, 0),
        // TS 33.203 clause M.7.1: transport mode cannot pass.
        (Required, true, NAT, same, 494),
        (Offered, true, NAT, same, 0),
        (Offered, true, NAT, tunnel, 0),
        // Plane `kernel` does not carry it.
        (Required, false, NAT, both_modes, 494),
        (Offered, false, NAT, both_modes, 0),
        (Offered, false, NAT, tunnel, 494),
        (Off, true, NAT, same, 0),
        (Off, true, NAT, tunnel, 494),
    ] {
        let (answer, _) = first(at(nat, carries), from, bend);
        assert_eq!(answer, status, "{nat:?} {carries} {from}");
    }
    // What a NAT cannot have hidden: our own address, nobody's, everybody's, one of the other family.
    for inside in ["10.0.0.1", "0.0.0.0", "224.0.0.1", "[2001:db8::7]"] {
        let bend = |text: String| both_modes(text).replace("UDP 10.1.0.1:5060", &format!("UDP {inside}:5060"));
        assert_eq!(first(config(), NAT, bend).0, 494, "{inside}");
    }
    // A host name tells nothing.
    let named = |text: String| text.replace("UDP 10.1.0.1:5060", "UDP phone.example:5060");
    assert_eq!(first(config(), NAT, named).0, 0);
}

#[test]
fn the_refusal_names_both_addresses_and_lists_what_would_pass() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let text = phone.first();
    rig.ue_sends(0, phone.transport, address(NAT), address(PCSCF), &text);
    let answer = rig.answer();
    let list = answer.header(HeaderName::SecurityServer).expect("the list");
    assert!(list.contains("mod=UDP-enc-tun") && !list.contains("mod=trans"), "{list}");
    let told = |e: &What| matches!(e, What::Refused { cause, clause, .. } if cause.contains("10.1.0.1") && clause.ends_with("M.7.1"));
    assert!(rig.events.iter().any(told), "{:?}", rig.events);
}

/// Registers a phone behind the NAT and returns the set that the plane was asked for.
fn register(rig: &mut Rig, phone: &mut Phone) -> SaSet {
    let text = both_modes(phone.first());
    rig.ue_sends(0, phone.transport, address(NAT), address(PCSCF), &text);
    let answer = rig.challenge(1, phone);
    let list = answer.header(HeaderName::SecurityServer).expect("the list");
    assert!(list.contains("mod=UDP-enc-tun") && !list.contains("mod=trans"), "{list}");
    assert_eq!(answer.to, address(NAT), "by received and rport");
    let set = rig.installed.last().cloned().expect("a set");
    let text = both_modes(phone.protected());
    phone.send_over_sa(rig, 2, &text);
    rig.accept(3, 3_600);
    set
}

#[test]
fn the_set_knows_both_addresses_and_requests_go_to_the_one_inside() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let set = register(&mut rig, &mut phone);
    let outer_ue: IpAddr = "203.0.113.9".parse().unwrap();
    assert_eq!((set.ue_address, set.mode), (phone.ip, Mode::UdpTunnel { outer_ue }));
    let views = rig.pcscf.sa_set_views();
    assert_eq!((views[0].ue_address, views[0].nat), (phone.ip, Some(outer_ue)));
    // Over SAs Via may name either address; any other is somebody else's.
    let cases = [(10, "203.0.113.9:31001", 0), (20, "10.1.0.1:31001", 0), (30, "203.0.113.10:31001", 403)];
    for (at, via, status) in cases {
        let text = both_modes(phone.protected()).replace("UDP 10.1.0.1:31001", &format!("UDP {via}"));
        phone.send_over_sa(&mut rig, at, &text);
        match status {
            0 => drop(rig.accept(at + 1, 3_600)),
            _ => assert_eq!(rig.answer().status(), status),
        }
    }
    // A list in the other mode is not the one that was sent.
    let text = both_modes(phone.protected());
    let (before, verify) = text.split_once("Security-Verify: ").expect("it mirrors");
    let text = format!("{before}Security-Verify: {}", verify.replacen("UDP-enc-tun", "trans", 1));
    phone.send_over_sa(&mut rig, 40, &text);
    assert_eq!(rig.answer().status(), 494);
}

/// A new authentication over the set goes the same way, though its packets show no NAT.
#[test]
fn the_next_set_has_the_mode_and_the_nat_of_the_one_before() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let first = register(&mut rig, &mut phone);
    let before = phone.clone();
    phone.change();
    let text = both_modes(phone.protected());
    before.send_over_sa(&mut rig, 100, &text);
    rig.challenge(101, &mut phone);
    let second = rig.installed.last().cloned().expect("another set");
    assert_ne!(first.id, second.id);
    assert_eq!((first.mode, first.ue_address), (second.mode, second.ue_address));
}

/// Many UEs share the address of a NAT: clear text of the one with SAs is refused, that of its neighbours is not.
#[test]
fn neighbours_behind_one_nat_are_told_apart_by_port() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    register(&mut rig, &mut phone);
    let options = |port: u16| {
        format!(
            "OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bKo{port};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:x@y>;tag=1\r\nTo: <sip:z@y>\r\nCall-ID: o{port}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let nat = address(NAT);
    rig.ue_sends(50, phone.transport, nat, address(PCSCF), &options(nat.port()));
    rig.silent();
    rig.ue_sends(51, phone.transport, SocketAddr::new(nat.ip(), 40_002), address(PCSCF), &options(40_002));
    assert_eq!(rig.answer().status(), 200);
}

/// Two homes may use the same private address. Ports that another UE has there are refused, others are not.
#[test]
fn the_same_address_behind_another_nat() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    register(&mut rig, &mut phone);
    let mut other = Phone { ip: phone.ip, ..Phone::new(2) };
    let from = address("203.0.113.77:40001");
    let text = both_modes(other.first());
    rig.ue_sends(100, other.transport, from, address(PCSCF), &text);
    let request = rig.forwarded();
    rig.core_sends(101, &challenge(&request, "nonce"));
    assert_eq!(rig.answer().status(), 403);
    other.change();
    other.call_id = "again".into();
    let text = both_modes(other.first());
    rig.ue_sends(200, other.transport, from, address(PCSCF), &text);
    rig.challenge(201, &mut other);
    let set = rig.installed.last().cloned().expect("a set");
    assert_eq!(set.mode, Mode::UdpTunnel { outer_ue: from.ip() });
    assert_ne!(set.pcscf.port_c, 5_100, "port_us and port_pc must not meet");
}

/// Nothing is left of a UE that never answers, nor of one that de-registers.
#[test]
fn nothing_is_left() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let text = both_modes(phone.first());
    rig.ue_sends(0, phone.transport, address(NAT), address(PCSCF), &text);
    rig.challenge(1, &mut phone);
    assert_eq!(rig.pcscf.sa_sets(), 1);
    rig.drive(300_000);
    assert_eq!((rig.pcscf.sa_sets(), rig.pcscf.subscribers()), (0, 0));
}
