//! Lessons of the field on the registrar as its neighbours see it, each under its number. Those that are not here are
//! named in `docs/field-lessons.md` with the tests that hold them.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::sip::HeaderName;
use pcscf_rig::{Phone, Rig, Sent, config, response};

/// A 200 with these further lines, `{contact}` standing for the UE's own address.
fn granted(request: &Sent, lines: &str) -> String {
    let contact = request.header(HeaderName::Contact).expect("Contact");
    let own = contact.split(';').next().expect("an address");
    response(request, "200 OK", &lines.replace("{contact}", own))
}

/// The P-CSCF keeps what the registrar granted to this UE: `expires` of its own Contact first, then Expires; never what
/// was asked for, nor what another Contact was granted.
#[test]
fn lesson_64_the_grant_is_read_from_the_answer() {
    let cases = [
        ("Contact: {contact};expires=600\r\nExpires: 7200\r\n", Some(600)),
        ("Contact: {contact}\r\nExpires: 7200\r\n", Some(7_200)),
        ("Contact: <sip:other@10.9.9.9>;expires=9000, {contact};expires=300\r\nExpires: 7200\r\n", Some(300)),
        ("Contact: <sip:other@10.9.9.9>;expires=9000\r\nExpires: 7200\r\n", None),
        ("Contact: {contact};expires=0\r\nExpires: 7200\r\n", None),
        ("Contact: {contact}\r\n", None),
    ];
    for (lines, expected) in cases {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        rig.challenge(10, &mut phone);
        phone.send_protected(&mut rig, 20);
        let request = rig.forwarded();
        rig.core_sends(30, &granted(&request, lines));
        assert_eq!(rig.answer().status(), 200);
        let expires = rig.events.iter().find_map(|what| match what {
            What::Registered { expires, .. } => Some(expires.as_secs()),
            _ => None,
        });
        assert_eq!(expires, expected, "{lines}");
        let Some(expires) = expires else {
            assert_eq!(rig.pcscf.identities(&phone.impi()).count(), 0, "{lines}");
            continue;
        };
        // The set outlives it by 30 s (TS 24.229 clause 5.2.2.1).
        rig.drive((expires + 30) * 1_000);
        assert_eq!(rig.plane.len(), 1, "{lines}");
        rig.drive((expires + 30) * 1_000 + 30);
        assert_eq!((rig.plane.len(), rig.pcscf.subscribers()), (0, 0), "{lines}");
    }
}
