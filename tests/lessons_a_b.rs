//! What registration faults in real networks taught others about security agreement (A) and the routing on Gm (B): each
//! test carries the number of its lesson. Lessons 1 and 19 are unit tests of `pcscf`, lesson 8 and 17 also of
//! `ipsec::table`.
//!
//! What needs ESP or a kernel, and what other tests hold, is in `docs/field-lessons.md`.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::packet::Transport;
use imsreg::pcscf::PcscfConfig;
use imsreg::sip::{HeaderName, Uri};
use imsreg::time::Duration;
use pcscf_rig::{
    CK, IK, PCSCF, PORT_S, Phone, REALM, Rig, SHA_NULL, Sent, accepted, address, challenge, config, port_ps, response,
};

fn lifetimes(rig: &Rig) -> Vec<u64> {
    let lifetime = |what: &What| match what {
        What::SaEstablished { lifetime, .. } => Some(lifetime.as_secs()),
        _ => None,
    };
    rig.events.iter().filter_map(lifetime).collect()
}

/// In every branch that answers a 401, whatever the rest of it says. The rig looks at every octet towards the UE.
#[test]
fn lesson_01_keys_are_stripped_in_every_branch() {
    let keys = format!("ck=\"{CK}\",ik=\"{IK}\"");
    let digest = format!("Digest realm=\"{REALM}\",nonce=\"n\",algorithm=AKAv1-MD5");
    let lines = [
        format!("WWW-Authenticate: {digest},{keys}\r\n"),
        format!("WWW-Authenticate: {digest},{keys}, {digest},{keys}\r\n"),
        format!("WWW-Authenticate: {digest}\r\nWWW-Authenticate: {digest},{keys}\r\n"),
        format!("www-authenticate: {digest}\r\n ,CK = \"{CK}\"\r\n\t,iK=\"{IK}\"\r\n"),
        format!("WWW-Authenticate: {digest},{keys},nonce=\"open\r\n"),
        format!("Proxy-Authenticate: {digest},{keys}\r\n"),
        format!("Authentication-Info: {keys}\r\nX-Keys: {keys}\r\n"),
    ];
    for status in ["401 Unauthorized", "407 Proxy Authentication Required", "200 OK", "403 Forbidden", "503 E", "699 Z"]
    {
        for line in &lines {
            for offer in [true, false] {
                let policy = imsreg::pcscf::SecAgreePolicy::Offered;
                let mut rig = Rig::new(PcscfConfig { sec_agree: policy, ..config() });
                let mut phone = Phone::new(1);
                let lines = phone.contact(5_060) + &if offer { phone.agreement() } else { String::new() };
                let text = phone.request("REGISTER", 5_060, &lines);
                phone.send_clear(&mut rig, 0, &text);
                let request = rig.forwarded();
                rig.core_sends(10, &response(&request, status, line));
                assert_eq!(rig.to_ue.len(), 1, "{status} {line}");
            }
        }
    }
}

/// Odd methods and odd CSeq: the answer to what we sent must match it, and another method never reaches a core.
#[test]
fn lesson_01_keys_do_not_pass_by_another_method_or_cseq() {
    for (from, to) in
        [("1 REGISTER", "1 OPTIONS"), ("1 REGISTER", "2 REGISTER"), ("1 REGISTER", "1 register"), ("CSeq: ", "X: ")]
    {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        let request = rig.forwarded();
        let bent = challenge(&request, "n").replace(&format!("CSeq: {from}"), &format!("CSeq: {to}"));
        rig.core_sends(10, &bent.replace("CSeq: 1 R", if from == "CSeq: " { "X: 1 R" } else { "CSeq: 1 R" }));
        // Whatever came of it, the rig has seen no key.
        let text = phone.request("OPTIONS", 5_060, &phone.agreement());
        phone.send_clear(&mut rig, 20, &text);
        assert!(rig.to_core.is_empty());
    }
}

#[test]
fn lesson_02_an_sa_is_active_before_anything_is_answered_over_it() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    assert_eq!(rig.plane.len(), 1, "SA active");
    assert!(rig.installed[0].ck.0 != [0; 16] && rig.installed[0].ik.0 != [0; 16], "made of the keys of the challenge");
    let at = |name: &str| rig.order.iter().position(|o| o == name).unwrap();
    assert!(at("install 1") < at("401"));
}

#[test]
fn lesson_03_several_mechanisms_with_the_same_numbers() {
    let (mut rig, mut phone) = (Rig::new(PcscfConfig { algorithms: vec![SHA_NULL], ..config() }), Phone::new(1));
    let pairs = [
        "hmac-md5-96;ealg=null",
        "hmac-md5-96;ealg=aes-cbc",
        "hmac-sha-1-96;ealg=null",
        "hmac-sha-1-96;ealg=des-ede3-cbc",
    ];
    let all =
        pairs.map(|p| format!("ipsec-3gpp;alg={p};prot=esp;mod=trans;spi-c=1010;spi-s=1011;port-c=31000;port-s=31001"));
    let ours = format!("Security-Client: {}", phone.security_client());
    // As one list, and as one line each.
    for lines in
        [format!("Security-Client: {}", all.join(",")), all.map(|p| format!("Security-Client: {p}")).join("\r\n")]
    {
        rig = Rig::new(rig.pcscf.config().clone());
        phone = Phone::new(1);
        let text = phone.first().replace(&ours, &lines);
        phone.send_clear(&mut rig, 0, &text);
        let answer = rig.challenge(10, &mut phone);
        assert_eq!(rig.installed[0].algorithms, SHA_NULL);
        assert!(answer.header(HeaderName::SecurityServer).unwrap().contains(";prot=esp;mod=trans;"));
        let text = phone.protected().replace(&ours, &lines);
        phone.send_over_sa(&mut rig, 20, &text);
        rig.accept(30, 600);
    }
}

#[test]
fn lesson_04_new_numbers_at_every_register_replace_the_stale_set() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    // The phone was switched off and begins again, with other numbers and another Call-ID.
    phone.change();
    phone.call_id = "again".into();
    rig.register(10_000, &mut phone, 3_600);
    assert_eq!((rig.plane.len(), rig.pcscf.sa_sets()), (1, 1));
    assert_eq!(rig.order[rig.order.len() - 2..], ["200", "remove 1"], "the old set goes after the 200");
    // The same with the numbers that it had: the old set would be in the way, and goes before.
    phone.call_id = "third".into();
    rig.register(20_000, &mut phone, 3_600);
    assert_eq!((rig.plane.len(), rig.pcscf.sa_sets()), (1, 1));
    let tail: Vec<&str> = rig.order.iter().rev().take(5).rev().map(String::as_str).collect();
    assert_eq!(tail, ["remove 2", "install 3", "401", "REGISTER", "200"]);
}

#[test]
fn lesson_05_one_set_serves_udp_and_tcp() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.transport = Transport::Tcp;
    rig.register(0, &mut phone, 3_600);
    let message = phone.request("MESSAGE", 31_001, "").replace("SIP/2.0/TCP", "SIP/2.0/UDP");
    rig.ue_sends(1_000, Transport::Udp, phone.client(), port_ps(), &message);
    let answer = rig.served(1_010);
    assert_eq!((answer.transport, answer.to, answer.protected), (Transport::Udp, phone.server(), true));
}

#[test]
fn lesson_06_security_server_has_the_parameters_of_annex_h_only() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let answer = rig.challenge(10, &mut phone);
    let message = answer.message();
    for mechanism in &message.security(HeaderName::SecurityServer).unwrap().0 {
        let names: Vec<&str> = mechanism.params.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["q", "alg", "prot", "mod", "ealg", "spi-c", "spi-s", "port-c", "port-s"]);
    }
}

#[test]
fn lesson_07_security_verify_compared_by_parameter() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    let server = phone.server.clone().unwrap();
    let rewritten: Vec<String> = server
        .split(", ")
        .map(|element| {
            let mut parts: Vec<String> = element.split(';').skip(1).map(str::to_owned).collect();
            parts.reverse();
            let parts: Vec<String> = parts
                .iter()
                .filter(|p| !p.starts_with("prot") && *p != "ealg=null")
                .map(|p| p.replace("q=0.3", "Q=0.300").replace("hmac", "HMAC").replace("spi-c=", "spi-c = 0"))
                .collect();
            format!("IPSEC-3GPP ; {}", parts.join(" ; "))
        })
        .collect();
    let text = phone.protected().replace(&server, &rewritten.join("\r\nSecurity-Verify: "));
    let ours = phone.security_client();
    let text = text.replace(&ours, &ours.replace(";prot=esp", "").replace(", ", "\r\nSecurity-Client: "));
    phone.send_over_sa(&mut rig, 20, &text);
    rig.accept(30, 600);
}

#[test]
fn lesson_08_one_collision_does_not_end_security_server_for_ever() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.broken_plane = true;
    for n in 0..3 {
        phone.send_first(&mut rig, n * 1_000);
        rig.fail_to_challenge(n * 1_000 + 10);
    }
    assert_eq!(rig.pcscf.sa_sets(), 0, "nothing half made is left");
    rig.broken_plane = false;
    rig.register(10_000, &mut phone, 600);
    assert_eq!(rig.plane.len(), 1);
}

/// Where a plane holds a set of an earlier process in the way of the next port_pc, one attempt fails, and the next has
/// other numbers.
#[test]
fn lesson_09_what_an_earlier_process_left_locks_nobody_out() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 600);
    let left = imsreg::ipsec::association::SaSet {
        id: imsreg::ipsec::association::SaSetId(1 << 60),
        ..rig.installed[0].clone()
    };
    let mut next = Rig::new(config());
    next.plane.install(&left).expect("an empty plane");
    phone.change();
    phone.send_first(&mut next, 1_000);
    next.fail_to_challenge(1_010);
    next.register(40_000, &mut phone, 600);
    assert_eq!(next.plane.len(), 2);
}

/// Half done is not done: an answer that comes after reg-await-auth's start counts from the answer, one that never comes
/// ends the attempt after five seconds, and a second REGISTER does not wait for the first one's set.
#[test]
fn lesson_24_a_plane_that_says_nothing_fails_the_registration_after_five_seconds() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.slow_plane = true;
    phone.send_first(&mut rig, 0);
    let request = rig.forwarded();
    rig.core_sends(10, &challenge(&request, "nonce10"));
    rig.drive(5_009);
    assert!(rig.to_ue.iter().all(|sent| sent.status() == 100), "{:?}", rig.to_ue);
    rig.to_ue.clear();
    rig.drive(5_010);
    assert_eq!(rig.answer().status(), 500);
    assert_eq!((rig.pcscf.sa_sets(), rig.pcscf.subscribers()), (0, 0));
    rig.plane_answers(5_100);
    rig.plane = Default::default();
    rig.silent();

    // Another attempt overtakes: the first is answered, the second has its set.
    phone.change();
    phone.send_first(&mut rig, 10_000);
    let request = rig.forwarded();
    rig.core_sends(10_010, &challenge(&request, "nonce1"));
    phone.change();
    phone.send_first(&mut rig, 10_500);
    let request = rig.forwarded();
    rig.core_sends(10_510, &challenge(&request, "nonce2"));
    assert_eq!(rig.answer().status(), 500);
    rig.plane_answers(11_000);
    let answer = rig.answer();
    assert_eq!((answer.status(), rig.pcscf.sa_sets()), (401, 1));
    phone.note(&answer);
    phone.send_protected(&mut rig, 11_020);
    rig.accept(11_030, 600);
    assert_eq!(rig.extended.last().map(|(_, until)| *until), Some(641));
}

#[test]
fn lesson_11_lifetime_is_that_of_the_grant() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    assert_eq!(lifetimes(&rig), [3_630], "600,000 were asked for");
    rig.drive(3_630_029);
    assert_eq!(rig.plane.len(), 1);
    rig.drive(3_630_030);
    assert_eq!((rig.plane.len(), rig.pcscf.subscribers()), (0, 0));
}

/// A grant shorter than reg-await-auth ends the set earlier than the temporary one would have ended.
#[test]
fn lesson_11_a_short_grant_ends_before_four_minutes() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 60);
    rig.drive(90_029);
    assert_eq!(rig.plane.len(), 1);
    rig.drive(90_030);
    assert_eq!(rig.plane.len(), 0);
}

#[test]
fn lesson_12_a_refresh_without_a_challenge_extends_the_sa() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    for n in 1..=10 {
        let at = n * 1_800_000;
        phone.send_protected(&mut rig, at);
        rig.accept(at + 10, 3_600);
        assert_eq!((rig.plane.len(), rig.installed.len()), (1, 1));
    }
    // A shorter grant does not shorten it (TS 24.229 clause 5.2.2.1: not less than before).
    phone.send_protected(&mut rig, 18_001_000);
    rig.accept(18_001_010, 60);
    rig.drive(18_000_010 + 3_629_999);
    assert_eq!(rig.plane.len(), 1);
    rig.drive(18_000_010 + 3_630_000);
    assert_eq!(rig.plane.len(), 0);
}

#[test]
fn lesson_13_a_temporary_set_lives_four_minutes() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    rig.drive(240_009);
    assert_eq!(rig.plane.len(), 1);
    rig.drive(240_010);
    assert_eq!((rig.plane.len(), rig.pcscf.subscribers()), (0, 0));
    phone.send_protected(&mut rig, 240_020);
    rig.silent();
    assert_eq!(rig.refused_by_plane, 1);
}

#[test]
fn lesson_14_a_second_challenge_replaces_the_first_and_outlives_its_timer() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    // The same phone, another branch: for us another request.
    phone.send_first(&mut rig, 200_000);
    rig.challenge(200_010, &mut phone);
    assert_eq!((rig.plane.len(), rig.installed.len()), (1, 2));
    rig.drive(240_010);
    assert_eq!(rig.plane.len(), 1, "the timer of the first set is not that of the second");
    phone.send_protected(&mut rig, 300_000);
    rig.accept(300_010, 600);
}

#[test]
fn lesson_14_challenges_that_cross_each_serve_or_go() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    phone.send_first(&mut rig, 100);
    let (first, second) = (rig.to_core.remove(0), rig.to_core.remove(0));
    rig.core_sends(200, &challenge(&second, "n2"));
    let answer = rig.answer();
    phone.note(&answer);
    rig.core_sends(300, &challenge(&first, "n1"));
    let answer = rig.answer();
    assert_eq!(rig.plane.len(), 1);
    phone.note(&answer);
    phone.send_protected(&mut rig, 400);
    rig.accept(500, 600);
    assert_eq!(rig.plane.len(), 1);
}

#[test]
fn lesson_15_change_of_set_at_re_authentication() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    let old = phone.clone();
    let (challenge, ok) = rig.reauthenticate(1_000_000, &mut phone, 36_000);
    let (first, second) = (rig.installed[0].clone(), rig.installed[1].clone());
    assert_eq!((challenge.from.port(), challenge.protected), (first.pcscf.port_c, true), "401 over the old set");
    assert_eq!((ok.from.port(), ok.protected), (second.pcscf.port_c, true), "200 over the new set");
    assert_eq!(lifetimes(&rig), [36_030, 36_030]);
    // Nothing is cut at the 200, and the old set still carries.
    rig.drive(2_000_000);
    assert_eq!(rig.plane.len(), 2);
    let mut over_old = Phone { branch: 5_000, ..old };
    let text = over_old.request("MESSAGE", 31_001, "");
    over_old.send_over_sa(&mut rig, 2_000_000, &text);
    assert_eq!(rig.served(2_000_010).from.port(), first.pcscf.port_c, "answers go over the set of the request");
    // The first message over the new one leaves the old one 64*T1.
    let text = phone.request("MESSAGE", 31_001, "");
    phone.send_over_sa(&mut rig, 3_000_000, &text);
    rig.served(3_000_010);
    rig.drive(3_127_999);
    assert_eq!(rig.plane.len(), 2);
    rig.drive(3_128_000);
    assert_eq!(rig.plane.len(), 1);
    let text = over_old.request("MESSAGE", 31_001, "");
    over_old.send_over_sa(&mut rig, 3_128_001, &text);
    rig.silent();
}

#[test]
fn lesson_15_a_failed_re_authentication_leaves_the_old_set() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    let mut old = phone.clone();
    phone.change();
    phone.send_re_register(&mut rig, 1_000_000, &old);
    rig.challenge(1_000_010, &mut phone);
    phone.send_protected(&mut rig, 1_000_020);
    let request = rig.forwarded();
    rig.core_sends(1_000_030, &response(&request, "403 Forbidden", ""));
    assert_eq!(rig.answer().from.port(), rig.installed[1].pcscf.port_c);
    rig.drive(2_000_000);
    assert_eq!(rig.plane.len(), 1);
    (old.cseq, old.branch) = (phone.cseq, phone.branch);
    old.send_protected(&mut rig, 2_000_000);
    rig.accept(2_000_010, 36_000);
}

#[test]
fn lesson_16_port_pc_changes_and_port_ps_stays() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    rig.reauthenticate(200_000, &mut phone, 36_000);
    rig.reauthenticate(400_000, &mut phone, 36_000);
    let ports: Vec<(u16, u16)> = rig.installed.iter().map(|s| (s.pcscf.port_c, s.pcscf.port_s)).collect();
    assert_eq!(ports, [(5_100, PORT_S), (5_101, PORT_S), (5_102, PORT_S)]);
    assert!(rig.installed.iter().all(|s| s.ue.port_s == 31_001));
}

#[test]
fn lesson_17_the_end_of_the_old_set_leaves_the_new_one_its_port_us() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    rig.reauthenticate(1_000, &mut phone, 36_000);
    let text = phone.request("MESSAGE", 31_001, "");
    phone.send_over_sa(&mut rig, 2_000, &text);
    rig.served(2_010);
    rig.drive(200_000);
    assert_eq!(rig.plane.len(), 1);
    phone.send_protected(&mut rig, 200_000);
    assert_eq!(rig.accept(200_010, 600).to, phone.server());
}

#[test]
fn lesson_18_the_set_ends_after_the_transaction_of_the_de_registration() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    let text = phone.protected().replace("Expires: 600000", "Expires: 0");
    phone.send_over_sa(&mut rig, 10_000, &text);
    let ok = rig.accept(10_010, 0);
    assert!(ok.protected);
    assert_eq!(rig.pcscf.identities(&phone.impi()).count(), 0);
    assert_eq!(rig.plane.len(), 1);
    phone.send_over_sa(&mut rig, 20_000, &text);
    assert_eq!(rig.answer().text, ok.text, "the 200 can be repeated");
    rig.drive(138_009);
    assert_eq!(rig.plane.len(), 1);
    rig.drive(138_010);
    assert_eq!((rig.plane.len(), rig.pcscf.subscribers()), (0, 0));
}

#[test]
fn lesson_18_after_a_challenge_old_and_new_set_end_together() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    rig.reauthenticate(10_000, &mut phone, 0);
    assert_eq!((rig.plane.len(), rig.pcscf.identities(&phone.impi()).count()), (2, 0));
    rig.drive(138_029);
    assert_eq!(rig.plane.len(), 2);
    rig.drive(138_030);
    assert_eq!((rig.plane.len(), rig.pcscf.subscribers()), (0, 0));
    // Nothing of them is in the way of the next.
    rig.register(140_000, &mut phone, 36_000);
    assert_eq!(rig.plane.len(), 1);
}

#[test]
fn lesson_18_another_identity_keeps_the_set() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    // A second identity, of an implicit set of its own.
    let other = format!("sip:second@{REALM}");
    let text = phone.protected().replace(&format!("To: <{}>", phone.impu()), &format!("To: <{other}>"));
    phone.send_over_sa(&mut rig, 1_000, &text);
    let request = rig.forwarded();
    rig.core_sends(1_010, &accepted(&request, 36_000).replace(", <tel:+99912345>", ""));
    rig.answer();
    assert_eq!(rig.pcscf.identities(&phone.impi()).count(), 3);
    let goodbye = phone.protected().replace("Expires: 600000", "Expires: 0");
    phone.send_over_sa(&mut rig, 2_000, &goodbye);
    rig.accept(2_010, 0);
    assert_eq!(rig.pcscf.identities(&phone.impi()).collect::<Vec<_>>(), [other.as_str()]);
    rig.drive(1_000_000);
    assert_eq!(rig.plane.len(), 1);
    let goodbye =
        phone.protected().replace("Contact: <", "X: <").replace("Expires: 600000", "Expires: 0\r\nContact: *");
    phone.send_over_sa(
        &mut rig,
        1_000_000,
        &goodbye.replace(&format!("To: <{}>", phone.impu()), &format!("To: <{other}>")),
    );
    let request = rig.forwarded();
    rig.core_sends(1_000_010, &response(&request, "200 OK", ""));
    assert_eq!(rig.answer().status(), 200);
    rig.drive(1_200_000);
    assert_eq!(rig.plane.len(), 0);
}

#[test]
fn lesson_19_spis_differ_from_each_other_and_from_those_of_the_ue() {
    let mut rig = Rig::new(config());
    for n in 1..=200 {
        let mut phone = Phone::new(n);
        phone.send_first(&mut rig, u64::from(n) * 10);
        rig.challenge(u64::from(n) * 10 + 5, &mut phone);
    }
    let mut all: Vec<u32> = rig.installed.iter().flat_map(|s| [s.pcscf.spi_c.0, s.pcscf.spi_s.0]).collect();
    assert!(all.iter().all(|spi| *spi >= 256));
    assert!(rig.installed.iter().all(|s| ![s.ue.spi_c, s.ue.spi_s].contains(&s.pcscf.spi_c)));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 400);
}

#[test]
fn lesson_20_and_36_the_local_address_is_that_of_the_family_of_the_ue() {
    let listen = vec![address(PCSCF), address("[fd00::1]:5060")];
    let (mut rig, mut phone) = (Rig::new(PcscfConfig { listen, ..config() }), Phone::new(1));
    phone.ip = "fd00::7".parse().unwrap();
    let here = address("[fd00::1]:5060");
    let text = phone.first();
    rig.ue_sends(0, Transport::Udp, phone.clear(), here, &text);
    let request = rig.forwarded();
    assert_eq!(request.from, address(PCSCF), "the core is IPv4");
    rig.core_sends(10, &challenge(&request, "n"));
    let answer = rig.answer();
    assert_eq!(answer.from, here);
    phone.note(&answer);
    assert_eq!((rig.installed[0].pcscf_address, rig.installed[0].ue_address), (here.ip(), phone.ip));
    let text = phone.protected();
    rig.ue_sends(20, Transport::Udp, phone.client(), std::net::SocketAddr::new(here.ip(), PORT_S), &text);
    let ok = rig.accept(30, 600);
    assert_eq!((ok.from.ip(), ok.to), (here.ip(), phone.server()));
}

#[test]
fn lesson_23_nothing_goes_in_clear_to_a_protected_port() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    // A UE that starts again in clear, and whose Via names port_us: the rig sees to it that no answer goes there.
    phone.change();
    let text = phone.first().replacen("10.1.0.1:5060;", "10.1.0.1:31001;", 1).replace(";rport", "");
    phone.send_clear(&mut rig, 10_000, &text);
    let answer = rig.challenge(10_010, &mut phone);
    assert_eq!((answer.to, answer.protected), (phone.clear(), false));
    // From a protected port in clear: there is no way to answer.
    let text = phone.first();
    rig.ue_sends(20_000, Transport::Udp, phone.client(), address(PCSCF), &text);
    rig.silent();
}

#[test]
fn lesson_24_a_set_that_cannot_be_made_fails_the_registration() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.broken_plane = true;
    let first = phone.first();
    phone.send_clear(&mut rig, 0, &first);
    let answer = rig.fail_to_challenge(10);
    assert_eq!((answer.to, answer.protected), (phone.clear(), false));
    assert!(
        answer.header(HeaderName::SecurityServer).is_none() && answer.header(HeaderName::To).unwrap().contains("tag=")
    );
    assert_eq!(rig.order, ["REGISTER", "install 1", "remove 1", "500"]);
    let told = |what: &What| matches!(what, What::Refused { status: 500, cause, .. } if cause.contains("broken"));
    assert!(rig.events.iter().any(told), "{:?}", rig.events);
    // Repeated, it gets the same answer; the UE that knows the nonce by witchcraft goes on unprotected: in vain.
    phone.send_clear(&mut rig, 2_000, &first);
    assert_eq!(rig.answer().text, answer.text);
    phone.nonce = "nonce10".into();
    let text = phone.protected().replace("10.1.0.1:31001;", "10.1.0.1:5060;");
    phone.send_clear(&mut rig, 3_000, &text);
    assert_eq!(rig.answer().status(), 494);
    let text = without_agreement(&phone.protected());
    phone.send_clear(&mut rig, 4_000, &text);
    assert_eq!(rig.answer().status(), 494);
    rig.silent();
    assert_eq!((rig.pcscf.subscribers(), rig.pcscf.sa_sets()), (0, 0));
}

fn without_agreement(text: &str) -> String {
    let gone = ["Security-", "Require", "Proxy-Require"];
    text.split_inclusive("\r\n").filter(|l| !gone.iter().any(|g| l.starts_with(g))).collect()
}

#[test]
fn lesson_25_udp_answers_go_from_port_pc_to_port_us() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    // Neither rport nor another port in Via changes that (RFC 3581 does not hold between protected ports).
    let text = phone.protected().replacen("10.1.0.1:31001;", "10.1.0.1:9;rport;", 1);
    phone.send_over_sa(&mut rig, 20, &text);
    let ok = rig.accept(30, 3_600);
    let expected = (rig.installed[0].pcscf.port_c, phone.server());
    assert_eq!((ok.from.port(), ok.to), expected);
    assert!(ok.text.contains(";rport=31000"), "it tells the source port all the same: {}", ok.text);
    // Refusals take the same way.
    let text = phone.protected().replace("Max-Forwards: 70", "Max-Forwards: 0");
    phone.send_over_sa(&mut rig, 40, &text);
    let answer = rig.answer();
    assert_eq!((answer.status(), (answer.from.port(), answer.to)), (483, expected));
}

#[test]
fn lesson_26_tcp_answers_go_on_the_connection_of_the_ue() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    phone.transport = Transport::Tcp;
    phone.send_protected(&mut rig, 20);
    let ok = rig.accept(30, 3_600);
    assert_eq!((ok.transport, ok.from, ok.to), (Transport::Tcp, port_ps(), phone.client()));
}

#[test]
fn lesson_27_answers_and_repetitions_leave_from_the_socket_of_the_request() {
    let listen = vec![address(PCSCF), address("10.0.0.1:5080")];
    let mut rig = Rig::new(PcscfConfig { listen, ..config() });
    let mut phone = Phone::new(1);
    let text = phone.first();
    rig.ue_sends(0, Transport::Udp, address("10.1.0.1:7777"), address("10.0.0.1:5080"), &text);
    let request = rig.forwarded();
    rig.core_sends(10, &challenge(&request, "n"));
    let way = |s: &Sent| (s.from, s.to);
    let expected = (address("10.0.0.1:5080"), address("10.1.0.1:7777"));
    assert_eq!(way(&rig.answer()), expected);
    rig.ue_sends(1_000, Transport::Udp, address("10.1.0.1:7777"), address("10.0.0.1:5080"), &text);
    assert_eq!(way(&rig.answer()), expected);
}

#[test]
fn lesson_28_the_via_of_a_request_names_where_its_answer_is_awaited() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let request = rig.forwarded();
    let message = request.message();
    let via = message.via().unwrap();
    assert_eq!((via.host, via.port), ("pcscf.visited.example", Some(request.from.port())));
}

#[test]
fn lesson_30_the_path_names_the_subscriber_by_a_token_that_nobody_can_guess() {
    let token = |seed_phone: u8| {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(seed_phone));
        phone.send_first(&mut rig, 0);
        let request = rig.forwarded();
        let message = request.message();
        let path = message.name_addrs(HeaderName::Path).unwrap()[0].uri;
        path.user.unwrap().to_owned()
    };
    assert_ne!(token(1), token(2));
    assert_eq!(token(1), token(1));
    assert!(!token(1).contains("00101"));
}

#[test]
fn lesson_31_and_32_a_route_that_names_us_is_consumed() {
    for route in
        ["<sip:10.0.0.1:5060;lr>", "<sip:pcscf.visited.example;lr>", "<sip:10.0.0.1:5060;lr>,<sip:10.0.0.1:6100;lr>"]
    {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        let text = phone.first().replace("Max-Forwards", &format!("Route: {route}\r\nMax-Forwards"));
        phone.send_clear(&mut rig, 0, &text);
        let request = rig.forwarded();
        assert!(request.header(HeaderName::Route).is_none());
        let path = request.header(HeaderName::Path).unwrap();
        assert_eq!(path.matches(";lr").count(), 1);
        assert!(Uri::parse(path.trim_start_matches('<').trim_end_matches('>')).is_ok());
    }
}

/// The pool of port_pc is larger than one, and a wave of registrations spreads over it without a collision.
#[test]
fn lesson_21_a_wave_of_registrations_meets_no_collision() {
    let mut rig = Rig::new(config());
    let mut phones: Vec<Phone> = (1..=100).map(Phone::new).collect();
    for phone in &mut phones {
        phone.send_first(&mut rig, 0);
    }
    for (request, phone) in std::mem::take(&mut rig.to_core).into_iter().zip(&mut phones) {
        rig.core_sends(10, &challenge(&request, &phone.user));
        let answer = rig.answer();
        phone.note(&answer);
    }
    for phone in &mut phones {
        phone.send_protected(&mut rig, 20);
    }
    for request in std::mem::take(&mut rig.to_core) {
        rig.core_sends(30, &accepted(&request, 600));
        assert_eq!(rig.answer().status(), 200);
    }
    assert_eq!(rig.plane.len(), 100);
    assert!(lifetimes(&rig).iter().all(|l| Duration::from_secs(*l) == Duration::from_secs(630)));
}
