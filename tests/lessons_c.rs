//! Lessons of the field on liveness and idle times, each under its number. Those that are not here are named in
//! `docs/field-lessons.md` with the tests that hold them.

mod pcscf_rig;

use imsreg::packet::{ConnectionState, Transport};
use imsreg::sip::HeaderName;
use pcscf_rig::{CORE, Phone, REALM, Rig, accepted, address, config, port_ps, response};

/// A UE on TCP whose radio goes idle closes its connection. It stays registered, and what is for it finds it.
#[test]
fn lesson_37_a_closed_connection_is_not_a_death() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.transport = Transport::Tcp;
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    let register = rig.forwarded();
    let path = register.header(HeaderName::Path).expect("a Path");
    rig.core_sends(30, &accepted(&register, 3_600));
    assert_eq!(rig.answer().status(), 200);

    rig.connection(60_000, port_ps(), phone.client(), ConnectionState::Closed);
    assert_eq!((rig.pcscf.identities(&phone.impi()).count(), rig.plane.len()), (2, 1));
    let message = format!(
        "MESSAGE sip:u@10.1.0.1:31001 SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKm\r\nMax-Forwards: 60\r\n\
         Route: {path}\r\nFrom: <sip:bob@home.example>;tag=bob\r\nTo: <sip:u@home.example>\r\nCall-ID: m\r\n\
         CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
    rig.core_sends(61_000, &message);
    let delivered = rig.answer();
    assert_eq!((delivered.to, delivered.protected), (phone.server(), true), "{}", delivered.text);
    let answer = response(&delivered, "200 OK", "");
    rig.ue_sends(61_010, Transport::Udp, phone.client(), port_ps(), &answer);
    assert_eq!(rig.forwarded().status(), 200);
    // It comes back on another connection, over the same set.
    phone.send_protected(&mut rig, 70_000);
    rig.accept(70_010, 3_600);
    assert_eq!((rig.plane.len(), rig.installed.len()), (1, 1));
}

/// 32 s of silence make a UE drop its PDN connection: whatever cannot be served is refused in the same millisecond.
#[test]
fn lesson_43_a_request_of_an_unknown_dialog_is_refused_at_once() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    let in_dialog = |phone: &mut Phone, method: &str, route: &str| {
        let text = phone.request(method, phone.port_s, route);
        text.replacen(&format!("sip:{REALM}"), "sip:bob@198.51.100.7", 1).replace("\r\nCall-ID", ";tag=x\r\nCall-ID")
    };
    // Not by a Route that was recorded here.
    for (at, method) in [(1_000, "BYE"), (2_000, "UPDATE")] {
        let text = in_dialog(&mut phone, method, "Route: <sip:10.0.0.1:6100;lr>\r\n");
        phone.send_over_sa(&mut rig, at, &text);
        let answer = rig.answer();
        assert_eq!((answer.status(), answer.at), (400, at));
    }
    // What the other end does not know comes back as it says so.
    let invite = phone.request("INVITE", phone.port_s, "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 3_000, &invite.replacen(&format!("sip:{REALM}"), "sip:bob@198.51.100.7", 1));
    let sent = rig.forwarded();
    let recorded: Vec<&str> = sent.message().elements(HeaderName::RecordRoute).collect();
    let route = format!("Route: {}, {}, <sip:s@{};lr>\r\n", recorded[1], recorded[0], address(CORE));
    let text = in_dialog(&mut phone, "BYE", &route);
    phone.send_over_sa(&mut rig, 3_050, &text);
    let passed = rig.forwarded();
    rig.core_sends(3_060, &response(&passed, "481 Call/Transaction Does Not Exist", ""));
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.at), (481, 3_060));
}
