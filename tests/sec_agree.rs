//! Security agreement at the P-CSCF (RFC 3329, TS 33.203 clause 7, TS 24.229 clause 5.2.2): who is let in, what is
//! compared, how sets of SAs come and go.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::ipsec::association::{Mod, PortPair, SaId, SaSetId};
use imsreg::ipsec::negotiate;
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::pcscf::{PcscfConfig, SecAgreePolicy};
use imsreg::sip::HeaderName;
use pcscf_rig::{
    MD5_NULL, PCSCF, Phone, Rig, SHA_AES, SHA_NULL, accepted, address, challenge, config, port_ps, response,
};

/// Sends a first REGISTER that `bend` has changed and returns the status, or 0 when it went to the core.
fn first(policy: SecAgreePolicy, bend: impl Fn(String) -> String) -> (u16, Option<String>) {
    let mut rig = Rig::new(PcscfConfig { sec_agree: policy, ..config() });
    let mut phone = Phone::new(1);
    let text = bend(phone.first());
    phone.send_clear(&mut rig, 0, &text);
    match rig.to_ue.pop() {
        Some(answer) => {
            assert!(rig.to_core.is_empty());
            (answer.status(), answer.header(HeaderName::SecurityServer).filter(|_| has_require(&answer)))
        }
        None => {
            assert_eq!(rig.to_core.len(), 1);
            (0, None)
        }
    }
}

fn has_require(answer: &pcscf_rig::Sent) -> bool {
    answer.header(HeaderName::Require).as_deref() == Some("sec-agree")
}

fn without(names: &'static [&'static str]) -> impl Fn(String) -> String {
    move |text| {
        let kept = |line: &&str| !names.iter().any(|n| line.starts_with(n));
        text.split_inclusive("\r\n").filter(kept).collect()
    }
}

#[test]
fn who_is_let_in_by_which_policy() {
    use SecAgreePolicy::{Off, Offered, Required};
    let tags = &["Require", "Proxy-Require", "Supported"];
    for (names, required, offered) in [
        (&[][..], 0, 0),
        // The offer alone says what the UE wants.
        (tags, 0, 0),
        (&["Security-Client"], 494, 494),
        (&["Security-Client", "Require", "Proxy-Require"], 494, 0),
        (&["Security-Client", "Require", "Proxy-Require", "Supported"], 421, 0),
        (&["Security-Client", "Require"], 494, 494),
    ] {
        assert_eq!(first(Required, without(names)).0, required, "required, without {names:?}");
        assert_eq!(first(Offered, without(names)).0, offered, "offered, without {names:?}");
        assert_eq!(first(Off, without(names)).0, 0, "off, without {names:?}");
    }
}

#[test]
fn an_offer_without_anything_usable_is_494_with_the_static_list() {
    let offer = |value: &'static str| {
        move |text: String| {
            let line = text.lines().find(|l| l.starts_with("Security-Client")).unwrap().to_owned();
            text.replace(&line, &format!("Security-Client: {value}"))
        }
    };
    let tail = ";spi-c=1000;spi-s=1001;port-c=31000;port-s=31001";
    let mut lists = Vec::new();
    for value in [
        "",
        ";;;=,,\"<>",
        "tls;q=0.5",
        "ipsec-3gpp;alg=hmac-sha-2-256-128;spi-c=1000;spi-s=1001;port-c=31000;port-s=31001",
        "ipsec-3gpp;alg=null;ealg=null;spi-c=1000;spi-s=1001;port-c=31000;port-s=31001",
        "ipsec-3gpp;alg=hmac-md5-96;ealg=aes-cbc;spi-c=1000;spi-s=1001;port-c=31000;port-s=31001",
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1000;port-c=31000;port-s=31001",
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1000;spi-s=1001;port-s=31001",
        "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=255;spi-s=1001;port-c=31000;port-s=31001",
        "ipsec-3gpp;alg=hmac-sha-1-96;mod=UDP-enc-tun;spi-c=1000;spi-s=1001;port-c=31000;port-s=31001",
    ] {
        for policy in [SecAgreePolicy::Required, SecAgreePolicy::Offered] {
            let (status, list) = first(policy, offer(value));
            assert_eq!(status, 494, "{value} {tail}");
            lists.push(list.expect("494 carries the list"));
        }
        assert_eq!(first(SecAgreePolicy::Off, offer(value)).0, 0);
    }
    let pairs = |list: &str| -> Vec<String> {
        list.split(", ").map(|e| e.split(";spi-c").next().unwrap().to_owned()).collect()
    };
    assert_eq!(
        pairs(&lists[0]),
        [
            "ipsec-3gpp;q=0.3;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc",
            "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=null",
            "ipsec-3gpp;q=0.1;alg=hmac-md5-96;prot=esp;mod=trans;ealg=null",
        ]
    );
    assert!(lists.iter().all(|l| pairs(l) == pairs(&lists[0])), "the list does not depend on the offer");
    let (status, list) =
        first(SecAgreePolicy::Required, without(&["Security-Client", "Require", "Proxy-Require", "Supported"]));
    assert_eq!((status, pairs(&list.expect("421 carries the list"))), (421, pairs(&lists[0])));
}

#[test]
fn across_another_proxy_it_is_502() {
    let second =
        |text: String| text.replacen("Max-Forwards", "Via: SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKx\r\nMax-Forwards", 1);
    assert_eq!(first(SecAgreePolicy::Required, second).0, 502);
}

#[test]
fn unknown_mechanisms_are_skipped_and_named_in_one_event() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let text = phone.first().replace(
        "Security-Client: ",
        "Security-Client: tls, ipsec-3gpp;alg=hmac-sha-2-256-128;ealg=aes-gcm-16;spi-c=1;spi-s=2;port-c=3;port-s=4,",
    );
    phone.send_clear(&mut rig, 0, &text);
    rig.challenge(10, &mut phone);
    let skipped = |e: &What| matches!(e, What::OfferSkipped { unknown } if unknown == "mechanism=tls, alg=hmac-sha-2-256-128, ealg=aes-gcm-16");
    assert_eq!(rig.events.iter().filter(|e| skipped(e)).count(), 1, "{:?}", rig.events);
}

/// RFC 3329 clause 2.2: an element of no use is passed over. Nothing is lost of the comparison (TS 33.203 clause 7.2).
#[test]
fn malformed_elements_are_passed_over_and_named_in_one_event() {
    let bad = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=;spi-s=2001;port-c=32000;port-s=32001";
    let beside = |text: String, bad: &str| {
        text.replacen("Security-Client: ", &format!("Security-Client: {bad}, ipsec-3gpp;spi-s=none,"), 1)
    };
    let turned = |text: String| text.replace("prot=esp;mod=trans;ealg=aes-cbc", "ealg=aes-cbc;mod=trans;prot=esp");
    type Bend<'b> = &'b dyn Fn(String) -> String;
    let answers: [(&str, Bend<'_>, u16); 4] = [
        ("as it was", &|text| beside(text, bad), 0),
        ("parameters in another order", &|text| turned(beside(text, bad)), 0),
        ("the bad element has changed", &|text| beside(text, &bad.replace("2001", "2003")), 494),
        ("the bad elements are gone", &|text| text, 494),
    ];
    for (what, answer, status) in answers {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        let first = beside(phone.first(), bad);
        phone.send_clear(&mut rig, 0, &first);
        rig.challenge(10, &mut phone);
        assert_eq!((rig.installed[0].ue.spi_c.0, rig.installed[0].algorithms), (phone.spis.0, SHA_AES));
        let named = |e: &&What| matches!(e, What::OfferSkipped { unknown } if unknown == "fault=malformed parameter");
        assert_eq!(rig.events.iter().filter(named).count(), 1, "{:?}", rig.events);
        let second = answer(phone.protected());
        phone.send_over_sa(&mut rig, 20, &second);
        match status {
            0 => assert_eq!(rig.accept(30, 600).status(), 200, "{what}"),
            refusal => assert_eq!(rig.answer().status(), refusal, "{what}"),
        }
    }
    // Its neighbours in an offer without anything sound.
    assert_eq!(
        first(SecAgreePolicy::Required, |text| {
            text.replace("alg=hmac-md5-96", "alg=x").replace(";spi-c=1010;", ";spi-c=1 010;")
        })
        .0,
        494
    );
}

#[test]
fn the_priority_list_of_the_network_decides() {
    for (algorithms, chosen) in
        [(vec![SHA_AES, MD5_NULL], SHA_AES), (vec![MD5_NULL, SHA_AES], MD5_NULL), (vec![SHA_NULL, MD5_NULL], MD5_NULL)]
    {
        let (mut rig, mut phone) = (Rig::new(PcscfConfig { algorithms, ..config() }), Phone::new(1));
        phone.send_first(&mut rig, 0);
        let answer = rig.challenge(10, &mut phone);
        assert_eq!(rig.installed[0].algorithms, chosen);
        // The UE comes to the same by the header.
        let message = answer.message();
        let server = message.security(HeaderName::SecurityServer).unwrap();
        assert_eq!(negotiate::choose_at_ue(&server, &[MD5_NULL, SHA_AES], &[Mod::Trans]).unwrap().algorithms, chosen);
    }
}

#[test]
fn security_server_holds_our_numbers_and_no_more() {
    let (mut rig, mut phone) = (Rig::new(PcscfConfig { full_list_in_401: false, ..config() }), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let answer = rig.challenge(10, &mut phone);
    let set = &rig.installed[0];
    assert_eq!(
        answer.header(HeaderName::SecurityServer).unwrap(),
        format!(
            "ipsec-3gpp;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc;spi-c={};spi-s={};port-c={};port-s=6100",
            set.pcscf.spi_c, set.pcscf.spi_s, set.pcscf.port_c
        )
    );
    assert_eq!((set.ue.spi_c.0, set.ue.spi_s.0, set.ue.port_c, set.ue.port_s), (1_010, 1_011, 31_000, 31_001));
    assert_eq!((set.ck.0[0], set.ik.0[0], set.at_ue), (0xd5, 0xe1, false));
    assert_eq!((set.ue_address, set.pcscf_address), (phone.ip, address(PCSCF).ip()));
    phone.send_protected(&mut rig, 20);
    rig.accept(30, 600);
}

#[test]
fn the_protected_answer_is_compared() {
    let verify = "Security-Verify: ";
    type Bend = fn(String) -> String;
    let bends: [(&str, Bend); 9] = [
        ("no Security-Verify", |t| t.replace("Security-Verify", "X-Verify")),
        ("no Security-Client", |t| t.replace("Security-Client", "X-Client")),
        ("another port-s in Verify", |t| t.replace("port-s=6100", "port-s=6101")),
        ("an element more in Verify", |t| t.replace("Security-Verify: ", "Security-Verify: tls;q=0.1, ")),
        ("another order in Verify", |t| t.replace("q=0.3", "q=0.15")),
        ("an element less in Client", |t| {
            t.replace("Security-Client: ipsec-3gpp;alg=hmac-md5-96;", "Security-Client: x;alg=hmac-md5-96;")
        }),
        ("another SPI in Client", |t| t.replace("spi-c=1010", "spi-c=1012")),
        ("a weaker pair in Client", |t| t.replace("ealg=aes-cbc;spi-c=1010", "ealg=null;spi-c=1010")),
        ("garbage in Verify", |t| t.replace("Security-Verify: ", "Security-Verify: ;;\"")),
    ];
    for (what, bend) in bends {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        rig.challenge(10, &mut phone);
        let good = phone.protected();
        assert!(good.contains(verify));
        let bent = bend(good.clone());
        assert_ne!(bent, good, "{what}");
        phone.send_over_sa(&mut rig, 20, &bent);
        let answer = rig.answer();
        assert_eq!((answer.status(), answer.protected), (494, true), "{what}");
        assert_eq!(answer.header(HeaderName::SecurityServer), phone.server, "{what}: the unmodified list");
        assert!(rig.to_core.is_empty(), "{what}");
        // The attempt is over: the right answer comes too late, a repetition gets the same 494, the set ends.
        phone.send_protected(&mut rig, 30);
        rig.silent();
        phone.send_over_sa(&mut rig, 40, &bent);
        assert_eq!(rig.answer().text, answer.text, "{what}");
        rig.drive(128_021);
        assert_eq!(rig.plane.len(), 0, "{what}");
        // In clear it is refused as well for as long as the core knows the challenge.
        let clear = phone.protected();
        phone.send_clear(&mut rig, 128_100, &clear.replace(";branch", ";rport;branch"));
        assert_eq!(rig.answer().status(), 494, "{what}");
    }
}

#[test]
fn a_re_register_is_compared_with_the_last_security_server() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    let text = phone.protected().replace("port-s=6100", "port-s=6101");
    phone.send_over_sa(&mut rig, 1_000, &text);
    assert_eq!(rig.answer().status(), 494);
    // The registration lives, and so does its set.
    phone.send_protected(&mut rig, 2_000);
    rig.accept(2_010, 3_600);
}

#[test]
fn the_sa_belongs_to_one_identity_at_one_address() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    let text = phone.protected().replace("username=\"0010", "username=\"0020");
    phone.send_over_sa(&mut rig, 1_000, &text);
    assert_eq!(rig.answer().status(), 403);
    let text = phone.protected().replacen("10.1.0.1:31001", "10.1.0.2:31001", 1);
    phone.send_over_sa(&mut rig, 2_000, &text);
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.to), (403, phone.server()), "Via does not lead the answer elsewhere");
    rig.silent();
}

#[test]
fn what_must_be_protected_is_refused_elsewhere() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    let text = phone.protected();
    // The right answer in clear, from the same place and from another.
    phone.send_clear(&mut rig, 20, &text);
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.to), (494, phone.clear()), "not in clear to port_us, which Via names");
    let text = phone.protected();
    rig.ue_sends(30, Transport::Tcp, address("10.1.0.9:7777"), address(PCSCF), &text);
    assert_eq!(rig.answer().status(), 494);
    // At a protected port without an SA: the plane keeps it, and the P-CSCF would.
    let (from, to) = (phone.clear(), port_ps());
    rig.ue_sends(40, Transport::Udp, from, to, &text);
    assert_eq!(rig.refused_by_plane, 1);
    let mut forged =
        Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa: None };
    rig.packet(50, &forged);
    forged.sa = Some(SaId { set: SaSetId(77), pair: PortPair::UcPs });
    rig.packet(60, &forged);
    forged = Packet { from: phone.client(), sa: Some(SaId { set: SaSetId(1), pair: PortPair::UsPc }), ..forged };
    rig.packet(70, &forged);
    rig.silent();
    assert_eq!(rig.pcscf.dropped(), 3);
    // An empty response or AUTS asks for another challenge, and comes in clear.
    let text = phone.first().replace("nonce=\"\"", &format!("nonce=\"{}\"", phone.nonce));
    phone.send_clear(&mut rig, 80, &text);
    assert_eq!(rig.to_core.len(), 1);
    let text = text
        .replace("response=\"\"", "response=\"12\",auts=\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"")
        .replace("z9hG4bK", "z9hG4bKz");
    let text = text.replace("CSeq: 4 ", "CSeq: 5 ");
    phone.send_clear(&mut rig, 90, &text);
    assert_eq!(rig.to_core.len(), 2);
}

#[test]
fn clear_text_beside_live_sas_is_dropped_and_counted() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    let no_offer = without(&["Security-Client"])(phone.first());
    let answer = phone.first().replace("response=\"\"", "response=\"aa\"");
    let texts = [phone.request("MESSAGE", 5_060, ""), phone.request("OPTIONS", 5_060, ""), no_offer, answer];
    for (n, text) in texts.iter().enumerate() {
        phone.send_clear(&mut rig, 1_000, text);
        rig.silent();
        assert_eq!(rig.pcscf.dropped(), n as u64 + 1, "{text}");
    }
    let named = |e: &&What| matches!(e, What::PacketDropped { cause: "clear text beside live SAs", .. });
    assert_eq!(rig.events.iter().filter(named).count(), 4);
    // Another UE is not concerned.
    let mut other = Phone::new(2);
    let text = other.request("MESSAGE", 5_060, "");
    other.send_clear(&mut rig, 1_000, &text);
    assert_eq!(rig.answer().status(), 403);
}

#[test]
fn with_many_ues_behind_one_address_the_port_tells_them_apart() {
    let mut rig = Rig::new(PcscfConfig { many_ues_per_address: true, ..config() });
    let (mut one, mut two) = (Phone::new(1), Phone::new(1));
    (two.user, two.clear_port, two.port_c, two.port_s) = ("001010000000077".into(), 5_070, 32_000, 32_001);
    (two.call_id, two.branch, two.spis) = ("other".into(), 77_000, (5_000, 5_001));
    rig.register(0, &mut one, 3_600);
    rig.register(100, &mut two, 3_600);
    let mut three = Phone::new(1);
    (three.clear_port, three.branch) = (5_080, 99_000);
    let text = three.request("MESSAGE", 5_080, "");
    three.send_clear(&mut rig, 1_000, &text);
    assert_eq!(rig.answer().status(), 403, "a third one has no SAs");
    for phone in [&mut one, &mut two] {
        let text = phone.request("MESSAGE", phone.clear_port, "");
        phone.send_clear(&mut rig, 2_000, &text);
        // Clear text from a protected port gives it away, too.
        rig.ue_sends(2_000, Transport::Udp, phone.client(), address(PCSCF), &text);
    }
    rig.silent();
    assert_eq!(rig.pcscf.dropped(), 4);
}

#[test]
fn a_temporary_sa_takes_register_only() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    for method in ["MESSAGE", "OPTIONS", "SUBSCRIBE"] {
        let text = phone.request(method, 31_001, "");
        phone.send_over_sa(&mut rig, 20, &text);
    }
    rig.silent();
    assert_eq!(rig.pcscf.dropped(), 3);
}

#[test]
fn a_challenge_without_keys_ends_in_500_or_in_keys_of_zeros() {
    for accept in [false, true] {
        let mut rig = Rig::new(PcscfConfig { accept_challenge_without_keys: accept, ..config() });
        let mut phone = Phone::new(1);
        phone.send_first(&mut rig, 0);
        let request = rig.forwarded();
        let line = "WWW-Authenticate: Digest realm=\"x\",nonce=\"n\",algorithm=AKAv1-MD5\r\n";
        rig.core_sends(10, &response(&request, "401 Unauthorized", line));
        let answer = rig.answer();
        assert_eq!((answer.status(), rig.installed.len()), if accept { (401, 1) } else { (500, 0) });
    }
}

#[test]
fn a_200_without_a_challenge_is_no_registration_where_sas_were_asked_for() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let request = rig.forwarded();
    rig.core_sends(10, &accepted(&request, 600));
    assert_eq!(rig.answer().status(), 500);
    assert_eq!(rig.pcscf.subscribers(), 0);
}

#[test]
fn a_refused_answer_ends_the_temporary_set() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    let request = rig.forwarded();
    rig.core_sends(30, &response(&request, "403 Forbidden", ""));
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.protected), (403, true));
    rig.drive(128_029);
    assert_eq!(rig.plane.len(), 1, "retransmissions of the 403 are still due");
    rig.drive(128_030);
    assert_eq!((rig.plane.len(), rig.pcscf.sa_sets()), (0, 0));
}

#[test]
fn numbers_in_use_are_refused() {
    let (mut rig, mut one, mut two) = (Rig::new(config()), Phone::new(1), Phone::new(2));
    rig.register(0, &mut one, 3_600);
    // Another subscriber at the same address with the same port_uc.
    two.ip = one.ip;
    (two.clear_port, two.branch) = (5_061, 88_000);
    two.send_first(&mut rig, 1_000);
    let request = rig.forwarded();
    rig.core_sends(1_010, &challenge(&request, "n2"));
    assert_eq!(rig.answer().status(), 403);
    // The same subscriber offers its numbers again over the SA, and is challenged.
    one.send_protected(&mut rig, 2_000);
    let request = rig.forwarded();
    rig.core_sends(2_010, &challenge(&request, "n3"));
    assert_eq!(rig.answer().status(), 403);
    assert_eq!((rig.plane.len(), rig.refusals()), (1, vec![403, 403]));
    // Its registration is as it was, and without a challenge the same offer does no harm.
    one.send_protected(&mut rig, 3_000);
    rig.accept(3_010, 3_600);
}

#[test]
fn port_pc_differs_for_sets_that_share_port_us_and_may_not_elsewhere() {
    let mut rig = Rig::new(PcscfConfig { port_c: 5_100..=5_101, ..config() });
    let mut phones: Vec<Phone> = (1..=6).map(Phone::new).collect();
    for (n, phone) in (0_u64..).zip(&mut phones) {
        rig.register(n * 1_000, phone, 3_600);
    }
    assert_eq!(rig.plane.len(), 6, "two ports are enough for any number of addresses");
    rig.reauthenticate(10_000, &mut phones[0], 3_600);
    let ports: Vec<u16> =
        rig.installed.iter().filter(|s| s.ue_address == phones[0].ip).map(|s| s.pcscf.port_c).collect();
    assert_ne!(ports[0], ports[1]);
    // A third set of the same UE finds no port.
    let over = phones[0].clone();
    phones[0].change();
    phones[0].send_re_register(&mut rig, 11_000, &over);
    let request = rig.forwarded();
    rig.core_sends(11_010, &challenge(&request, "n"));
    assert_eq!(rig.answer().status(), 500);
}

#[test]
fn three_sets_for_one_subscriber_and_not_a_fourth() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    rig.reauthenticate(1_000, &mut phone, 36_000);
    rig.reauthenticate(2_000, &mut phone, 36_000);
    assert_eq!(rig.plane.len(), 3);
    let over = phone.clone();
    phone.change();
    phone.send_re_register(&mut rig, 3_000, &over);
    let request = rig.forwarded();
    rig.core_sends(3_010, &challenge(&request, "n"));
    assert_eq!((rig.answer().status(), rig.plane.len()), (403, 3));
    // The oldest has been used up to 1,010 ms and its successor from 2,000 ms on.
    phone = Phone { branch: phone.branch, cseq: phone.cseq, ..over };
    rig.drive(130_020);
    assert_eq!(rig.plane.len(), 2);
    rig.reauthenticate(131_000, &mut phone, 36_000);
}

#[test]
fn attempts_of_others_do_not_lock_a_subscriber_out() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 36_000);
    for n in 2..=9 {
        let mut other = Phone::new(n);
        other.user.clone_from(&phone.user);
        other.send_first(&mut rig, u64::from(n) * 1_000);
        rig.challenge(u64::from(n) * 1_000 + 10, &mut other);
        assert!(rig.plane.len() <= 3);
    }
    rig.reauthenticate(20_000, &mut phone, 36_000);
}

#[test]
fn a_challenge_over_a_protected_register_without_offer_is_494() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    let text = without(&["Security-Client"])(phone.protected());
    phone.send_over_sa(&mut rig, 1_000, &text);
    let request = rig.forwarded();
    rig.core_sends(1_010, &challenge(&request, "n"));
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.protected, has_require(&answer)), (494, true, true));
}
