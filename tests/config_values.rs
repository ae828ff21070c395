//! What right files mean: profiles with their layers, element configurations, subscribers.
#![cfg(feature = "live")]

#[path = "common/scratch.rs"]
mod scratch;

use imsreg::aka::milenage::Milenage;
use imsreg::aka::usim::{Usim, Verdict};
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Op, Opc};
use imsreg::application_server::{Behaviour, Reaction};
use imsreg::config::{
    Elements, Profile, Setting, Subscribers, load_profile, load_subscribers, read_usim_file, write_usim_file,
};
use imsreg::diameter::peer::PeerConfig;
use imsreg::ims::Wiring;
use imsreg::ipsec::association::Mod;
use imsreg::packet::Transport;
use imsreg::pcscf::{NatPolicy, SecAgreePolicy};
use imsreg::scscf::{ChallengePolicy, SarAtRefresh};
use imsreg::time::{Duration, Epoch};
use scratch::Scratch;
use std::fmt::Write as _;
use std::path::Path;

fn lab(settings: &[&str]) -> Profile {
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
    load_profile("lab", &settings).unwrap()
}

#[track_caller]
fn subscribers(test: &str, text: &str) -> Subscribers {
    let scratch = Scratch::new(test);
    load_subscribers(&scratch.file("s.yaml", text), &lab(&[])).unwrap_or_else(|faults| panic!("{faults}"))
}

/// True when `usim` accepts a vector made with these keys: they are its keys.
fn has_keys(mut usim: Usim, k: [u8; 16], opc: [u8; 16]) -> bool {
    let keys = SubscriberKeys::Milenage { k: K(k), opc: Opc(opc) };
    let vector = Vector::compute(&keys, [0x5a; 16], usim.sqn_ms() + 32, [0x80, 0]);
    matches!(usim.authenticate(&vector.rand, &vector.autn), Verdict::Accepted { .. })
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// TS 33.203 annex M: tunnels where the plane carries them; behind a NAT others are let through only where nothing is sealed.
#[test]
fn what_a_pcscf_does_behind_a_nat_follows_from_its_plane() {
    let pcscf = |settings: &[&str]| {
        let config = lab(settings).pcscf(Elements::ALL).unwrap();
        (config.nat, config.carries_tunnels)
    };
    for (settings, expected) in [
        (&[][..], (NatPolicy::Offered, true)),
        (&["pcscf.ipsec=userspace"], (NatPolicy::Required, true)),
        (&["pcscf.ipsec=kernel"], (NatPolicy::Required, false)),
        (&["pcscf.ipsec=unprivileged"], (NatPolicy::Required, true)),
        (&["pcscf.ipsec=kernel", "pcscf.nat=off"], (NatPolicy::Off, false)),
        (&["pcscf.nat=required"], (NatPolicy::Required, true)),
    ] {
        assert_eq!(pcscf(settings), expected, "{settings:?}");
    }
    assert_eq!(lab(&[]).ue.modes, [Mod::Trans]);
    assert_eq!(lab(&["ue.modes=[UDP-enc-tun, trans]"]).ue.modes, [Mod::UdpEncTun, Mod::Trans]);
}

const K_TEXT: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OPC_TEXT: &str = "cd63cb71954a9f4e48a5994e37a02baf";
const OPC: [u8; 16] = [0xcd, 0x63, 0xcb, 0x71, 0x95, 0x4a, 0x9f, 0x4e, 0x48, 0xa5, 0x99, 0x4e, 0x37, 0xa0, 0x2b, 0xaf];

#[test]
fn what_yaml_takes_for_numbers_is_read_as_its_text() {
    for (imsi, k, sqn) in [
        ("001010000000001", "12345678901234567890123456789012", "10"),
        ("310410123456789", "8e123456789012345678901234567890", "0000000000ff"),
        ("000000000000000", "00000000000000000000000000000001", "1e5"),
        ("010101010101010", "1e000000000000000000000000000000", "0"),
    ] {
        let text = format!(
            "subscribers:\n  - {{imsi: {imsi}, k: {k}, opc: {OPC_TEXT}, amf: 0080, sqn: {sqn}, msisdn: +0123}}\n"
        );
        let all = subscribers("numbers", &text);
        let first = all.subscription(0).unwrap();
        assert_eq!(first.impi.as_str(), format!("{imsi}@ims.mnc001.mcc001.3gppnetwork.org"));
        assert_eq!(first.usim.as_ref().unwrap().sqn_ms(), u64::from_str_radix(sqn, 16).unwrap(), "{sqn}");
        assert!(has_keys(first.usim.unwrap(), hex(k), OPC), "{k}");
    }
}

#[test]
fn the_shipped_files_load_and_say_where_they_came_from() {
    let profile = lab(&[]);
    let names: Vec<&str> = profile.origins.iter().map(|o| o.path.as_str()).collect();
    assert_eq!(names, ["profiles/lab.yaml", "profiles/volte.yaml"]);
    let all = load_subscribers(Path::new("hss-data/lab.yaml"), &profile).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(all.store.len(), 100_001);
    let first = all.subscription(0).unwrap();
    assert_eq!(first.impu.as_str(), "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org");
    assert!(has_keys(first.usim.unwrap(), hex(K_TEXT), OPC));
    let huawei = load_profile("huawei-460-60", &[]).unwrap_or_else(|f| panic!("{f}"));
    let traced = load_subscribers(Path::new("hss-data/huawei-460-60.yaml"), &huawei).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(traced.store.len(), 1);
    assert!(traced.subscription(0).is_none(), "nobody knows its K");
    // A file under the current directory is read; without one the copy in the binary is.
    assert!(!profile.origins[0].embedded);
    assert_eq!(profile.origins[0].to_string(), "profiles/lab.yaml");
}

#[test]
fn volte_yaml_says_what_holds_without_it() {
    let scratch = Scratch::new("values-bare");
    let bare = scratch.file("bare.yaml", "realm: ims.mnc001.mcc001.3gppnetwork.org\n");
    let (mut bare, mut volte) =
        (load_profile(bare.to_str().unwrap(), &[]).unwrap(), load_profile("volte", &[]).unwrap());
    bare.origins.clear();
    volte.origins.clear();
    assert_eq!(format!("{volte:#?}"), format!("{bare:#?}"));
}

#[test]
fn a_profile_on_top_of_another() {
    let scratch = Scratch::new("values-layers");
    scratch.file(
        "base.yaml",
        "realm: base.example\nhosts: {a: 127.0.0.1, b: 127.0.0.2}\nscscf: {expires: {min: 30s, max: 900s}}\n",
    );
    let top =
        scratch.file("top.yaml", "extends: base\nhosts: {b: \"::1\"}\nscscf:\npcscf: {listen: [\"127.0.0.5:1\"]}\n");
    let settings = [
        "hosts.c.d.example=192.0.2.1",
        "pcscf.listen=[127.0.0.6:2, '[::1]:2']",
        "scscf.challenge=every 3",
        "scscf.sar_at_refresh=when-changed",
        "wiring=wire",
    ];
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
    let profile = load_profile(top.to_str().unwrap(), &settings).unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(&*profile.realm, "base.example");
    let hosts: Vec<String> = profile.hosts.iter().map(|(h, ip)| format!("{h} {ip}")).collect();
    assert_eq!(hosts, ["a 127.0.0.1", "b ::1", "c.d.example 192.0.2.1"]);
    assert_eq!((profile.scscf.min_expires.as_secs(), profile.scscf.max_expires.as_secs()), (30, 900));
    assert_eq!(profile.scscf.default_expires.as_secs(), 900);
    assert_eq!(profile.scscf.challenge, ChallengePolicy::Every(3));
    assert_eq!(profile.scscf.sar_at_refresh, SarAtRefresh::WhenChanged);
    assert_eq!(profile.pcscf.listen, ["127.0.0.6:2".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(profile.wiring, Wiring::Wire);
}

#[test]
fn set_reaches_every_key_of_volte_yaml() {
    // Every key there with its own value set again: an unknown path would be a fault.
    let mut keys = 0;
    for line in include_str!("../profiles/volte.yaml").lines() {
        if let Some((key, value)) = line.split('#').next().unwrap().split_once(": ")
            && !key.starts_with(' ')
        {
            Setting::from_set(&format!("{key}={}", value.trim()))
                .map(|s| load_profile("volte", &[s]))
                .unwrap()
                .unwrap();
            keys += 1;
        }
    }
    assert!(keys >= 4, "{keys}");
    let profile = lab(&[
        "timers.gm.t1=1s",
        "diameter.watchdog=6s",
        "pcscf.algorithms=hmac-md5-96/null",
        "icscf.scscfs=[{name: 'sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060'}]",
        "icscf.scscfs[0].capabilities=[1, 2]",
        "scscf.extra_headers_in_200.Accept-Resource-Priority=wps.4",
        "hss.capabilities.mandatory=[7]",
        "ue.retry.attempts=3",
        "pcscf.listen=[::1]:5060",
    ]);
    assert_eq!(profile.gm_timers.t1, Duration::from_secs(1));
    assert_eq!(profile.pcscf.algorithms.len(), 1);
    assert_eq!(profile.icscf.scscfs[0].capabilities, [1, 2]);
    assert_eq!(profile.scscf.extra_headers_in_200, [("Accept-Resource-Priority".into(), "wps.4".into())]);
    assert_eq!(profile.hss.capabilities.0, [7]);
    assert_eq!(profile.ue.retry.attempts, Some(3));
    assert_eq!(profile.pcscf.listen, ["[::1]:5060".parse().unwrap()]);
}

/// `hosts` of lab.yaml is for elements elsewhere: `imsreg --scscf 127.0.0.3:6061` moves the S-CSCF.
#[test]
fn where_an_element_of_this_process_listens_beats_hosts() {
    let profile = lab(&["scscf.listen=127.0.0.3:6061"]);
    let name = "scscf.ims.mnc001.mcc001.3gppnetwork.org";
    assert_eq!(profile.hosts[name].to_string(), "127.0.0.1");
    assert_eq!(profile.icscf(Elements::ALL, Epoch::SIMULATION).unwrap().hosts[name].to_string(), "127.0.0.3");
    let elsewhere = Elements { scscf: false, ..Elements::ALL };
    assert_eq!(profile.icscf(elsewhere, Epoch::SIMULATION).unwrap().hosts[name].to_string(), "127.0.0.1");
}

#[test]
fn elements_find_each_other() {
    let profile = lab(&[
        "icscf.listen=127.0.0.2:4061",
        "scscf.listen=127.0.0.3:6061",
        "hss.listen=127.0.0.4:3869",
        "realm=x.example",
    ]);
    let epoch = Epoch::SIMULATION;
    let pcscf = profile.pcscf(Elements::ALL).unwrap();
    assert_eq!(pcscf.next_hops, ["127.0.0.2:4061".parse().unwrap()]);
    assert_eq!(
        (&*pcscf.host, pcscf.core, pcscf.core_transport),
        ("pcscf.x.example", "127.0.0.1:5060".parse().unwrap(), Transport::Tcp)
    );
    assert!(pcscf.many_ues_per_address);
    assert_eq!(pcscf.sec_agree, SecAgreePolicy::Offered);
    let icscf = profile.icscf(Elements::ALL, epoch).unwrap();
    assert_eq!(&*icscf.scscfs[0].name, "sip:scscf.x.example:6061");
    assert_eq!(icscf.hosts["scscf.x.example"].to_string(), "127.0.0.3");
    assert_eq!(icscf.diameter.peers, [PeerConfig::tcp("127.0.0.4:3869".parse().unwrap())]);
    assert_eq!((&*icscf.diameter.origin_host, &*icscf.diameter.origin_realm), ("icscf.x.example", "x.example"));
    let scscf = profile.scscf(Elements::ALL, epoch).unwrap();
    assert_eq!(scscf.name, icscf.scscfs[0].name);
    assert_eq!(scscf.hosts["pcscf.x.example"].to_string(), "127.0.0.1");
    assert!(scscf.aka_without_sa);
    assert_eq!(scscf.icscf, Some("127.0.0.2:4061".parse().unwrap()));
    let hss = profile.hss(epoch).unwrap();
    assert_eq!(hss.diameter.listen, Some("127.0.0.4:3869".parse().unwrap()));
    assert!(hss.diameter.peers.is_empty());
}

#[test]
fn a_neighbour_that_is_nowhere_is_named_by_its_key() {
    let only = |list: &str| list.parse::<Elements>().unwrap();
    let epoch = Epoch::SIMULATION;
    // In `hosts` of lab.yaml, so four processes with the same profile find each other.
    assert_eq!(lab(&[]).pcscf(only("pcscf")).unwrap().next_hops, ["127.0.0.1:4060".parse().unwrap()]);
    assert_eq!(lab(&[]).scscf(only("scscf"), epoch).unwrap().icscf, Some("127.0.0.1:4060".parse().unwrap()));
    let given = lab(&["scscf.icscf=192.0.2.7:4099"]).scscf(Elements::ALL, epoch).unwrap();
    assert_eq!(given.icscf, Some("192.0.2.7:4099".parse().unwrap()));
    let volte = load_profile("volte", &[]).unwrap();
    assert_eq!(volte.scscf(only("scscf,hss"), epoch).unwrap().icscf, None, "it finds its users itself");
    let message = volte.pcscf(only("pcscf")).unwrap_err().to_string();
    assert_eq!(
        message,
        "profiles/volte.yaml: pcscf.next_hop: missing, ADDR:PORT of the I-CSCF expected, because it is not in this process \
         and hosts.icscf.ims.mnc001.mcc001.3gppnetwork.org is not given"
    );
    let message = volte.scscf(only("scscf"), epoch).unwrap_err().to_string();
    assert!(message.contains("scscf.hss: missing"), "{message}");
    let message = volte.icscf(only("icscf,hss"), epoch).unwrap_err().to_string();
    assert!(message.contains("hosts.scscf.ims.mnc001.mcc001.3gppnetwork.org: missing"), "{message}");
    let settings = [Setting::from_set("pcscf.next_hop=[icscf.example:4060, 192.0.2.7:4060]").unwrap()];
    let message = load_profile("volte", &settings).unwrap().pcscf(Elements::ALL).unwrap_err().to_string();
    assert!(message.contains("hosts.icscf.example: missing"), "{message}");
    assert!("pcscf,mgcf".parse::<Elements>().is_err() && only("pcscf,as").application_server);
}

#[test]
fn shared_sets_of_filter_criteria() {
    let criteria = "{priority: 3, server: \"sip:as.example\", conditions: [{method: MESSAGE}]}";
    let profile = lab(&[&format!("scscf.shared_ifc_sets=[{{id: 7, ifc: [{criteria}]}}, {{id: 8}}]")]);
    let sets = profile.scscf(Elements::ALL, Epoch::SIMULATION).unwrap().shared_ifc_sets;
    assert_eq!(sets.keys().copied().collect::<Vec<_>>(), [7, 8]);
    assert_eq!((sets[&7][0].priority, &*sets[&7][0].server.server_name, sets[&8].len()), (3, "sip:as.example", 0));
    for (value, fault) in [
        ("[{ifc: []}]", "scscf.shared_ifc_sets[0].id"),
        ("[{id: 1}, {id: 1}]", "set 1 given twice, one expected"),
        ("[{id: 1, sets: 2}]", "scscf.shared_ifc_sets[0].sets"),
    ] {
        let setting = Setting::new("--set", "scscf.shared_ifc_sets", value);
        let faults = load_profile("lab", &[setting]).unwrap_err().to_string();
        assert!(faults.contains(fault), "{faults}");
    }
}

#[test]
fn the_application_server_of_a_profile() {
    let with = |settings: &[&str]| {
        let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
        load_profile("lab", &settings).unwrap().application_server(Elements::ALL)
    };
    let plain = with(&["realm=x.example"]);
    assert_eq!((&*plain.name, plain.listen[0]), ("sip:as.x.example:5090", "127.0.0.1:5090".parse().unwrap()));
    assert_eq!((plain.register, plain.requests, plain.subscribe), (Behaviour::ACCEPT, Behaviour::ACCEPT, true));
    let told = with(&["as.name=sip:tas.example:5091", "as.register=503", "as.requests=silent", "as.requests_delay=2s"]);
    assert_eq!((&*told.name, told.register.reaction), ("sip:tas.example:5091", Reaction::Refuse(503)));
    assert_eq!(told.requests, Behaviour { reaction: Reaction::Silence, delay: Duration::from_secs(2) });
    let setting = Setting::from_set("as.register=200").unwrap();
    let fault = load_profile("lab", &[setting]).unwrap_err().to_string();
    assert!(fault.contains("accept, silent, or a status from 300 to 699 expected"), "{fault}");
    // Others find it where it listens.
    let profile = load_profile("lab", &[Setting::from_set("as.listen=127.0.0.9:5090").unwrap()]).unwrap();
    let here = Elements { application_server: true, ..Elements::ALL };
    let hosts = profile.scscf(here, Epoch::SIMULATION).unwrap().hosts;
    assert_eq!(hosts["as.ims.mnc001.mcc001.3gppnetwork.org"].to_string(), "127.0.0.9");
}

#[test]
fn a_range_counts_imsi_and_msisdn_up() {
    let all = subscribers(
        "range",
        &format!(
            "subscribers:
  - {{imsi: 001010000000998, range: 3, k: \"4b{{imsi}}\", op: 30313233343536373839616263646566, msisdn: +0998}}
  - {{imsi: 001010000009000, range: 2, k: {K_TEXT}, opc: {OPC_TEXT}}}
"
        ),
    );
    assert_eq!(all.store.len(), 5);
    let impis: Vec<String> = (0..6).map_while(|i| all.subscription(i)).map(|s| s.impi.to_string()).collect();
    let numbers: Vec<&str> = impis.iter().map(|i| i.split('@').next().unwrap()).collect();
    assert_eq!(
        numbers,
        ["001010000000998", "001010000000999", "001010000001000", "001010000009000", "001010000009001"]
    );
    let third = all.subscription_of("001010000001000").unwrap();
    assert_eq!(third.impu.as_str(), "sip:001010000001000@ims.mnc001.mcc001.3gppnetwork.org");
    let k = *b"K001010000001000";
    let Opc(opc) = Milenage::opc(&K(k), &Op(*b"0123456789abcdef"));
    assert!(has_keys(third.usim.unwrap(), k, opc));
    assert!(has_keys(all.subscription_of("001010000009001").unwrap().usim.unwrap(), hex(K_TEXT), OPC));
    assert!(all.subscription_of("001010000001001").is_none());
}

#[test]
fn what_is_derived_can_be_given() {
    let all = subscribers(
        "derived",
        &format!(
            "defaults: {{k: {K_TEXT}, opc: {OPC_TEXT}, sqn: 20, mnc_digits: 3}}
subscribers:
  - {{imsi: 310410000000001}}
  - {{imsi: 310410000000002, realm: my.example}}
  - {{imsi: 310410000000003, impi: me@home.example, impus: [tel:+1234, sip:me@home.example]}}
  - {{imsi: 310410000000004, algorithm: tuak, topc: {OPC_TEXT}{OPC_TEXT}, res_len: 16}}
  - {{imsi: 310410000000005, algorithm: xor, capabilities: {{mandatory: [1]}}, charging: {{ccf: [a]}}}}
  - {{imsi: 310410000000006, barred: [\"sip:310410000000006@ims.mnc410.mcc310.3gppnetwork.org\"]}}
"
        ),
    );
    let ids: Vec<String> =
        (0..5).map(|i| all.subscription(i).unwrap()).map(|s| format!("{} {}", s.impi, s.impu)).collect();
    let derived = "ims.mnc410.mcc310.3gppnetwork.org";
    assert_eq!(ids[0], format!("310410000000001@{derived} sip:310410000000001@{derived}"));
    assert_eq!(ids[1], "310410000000002@my.example sip:310410000000002@my.example");
    assert_eq!(ids[2], "me@home.example sip:me@home.example");
    assert_eq!(all.subscription(0).unwrap().usim.unwrap().sqn_ms(), 0x20);
    assert_eq!(all.store.len(), 6, "a subscriber who may not register at all is one too");
}

#[test]
fn subscribers_without_usim_need_no_imsi() {
    let subscribers = subscribers(
        "no-usim",
        "subscribers:
  - {impus: [\"sip:1000@192.168.1.88\"], password: \"1000\", digest: {username: \"1000\", realm: 192.168.1.88, qop: none}}
  - {imsi: 001010000000007, ha1: 939E7578ED9E3C518A452ACEE763BCE9}
  - {impus: [\"sip:line@x.example\"], lines: [dsl-7]}
  - {impus: [\"sip:early@x.example\"], address: 2001:db8::/64}
  - {impus: [\"sip:trace@x.example:5080\"], digest: {algorithm: unstated, recorded: [{nonce: n1, response: 00000000000000000000000000000000}]}}
",
    );
    assert_eq!(subscribers.store.len(), 5);
}

#[test]
fn what_proves_a_user_is_one_thing() {
    let scratch = Scratch::new("one-proof");
    let text = "subscribers:
  - {impus: [\"sip:a@x\"], password: secret-word, ha1: 939e7578ed9e3c518a452acee763bce9}
  - {impus: [\"sip:b@x\"], password: secret-word, k: 465b5ce8b199b49faa5f0a2ee238a6bc}
  - {impus: [\"sip:c@x\"], ha1: secret-word}
  - {impus: [\"sip:d@x\"], digest: {realm: x}}
  - {password: secret-word}
  - {impus: [\"sip:e@x\"], address: 10.0.0.0/8}
";
    let faults = load_subscribers(&scratch.file("s.yaml", text), &lab(&[])).unwrap_err().to_string();
    for expected in [
        "subscribers[0].ha1: found beside password, one of the two expected",
        "subscribers[1].k: found beside password, one of the two expected",
        "subscribers[2].ha1: \"..\" (11 characters) found, 32 hexadecimal digits, the MD5 of username:realm:password expected",
        "subscribers[3].password: missing, password, ha1, or digest.recorded expected",
        "subscribers[4].imsi: missing, 6 to 15 digits expected",
        "subscribers[5].address: \"10.0.0.0/8\" found, an address, or an IPv6 prefix such as 2001:db8::/64 expected",
    ] {
        assert!(faults.contains(expected), "{expected}\nnot in\n{faults}");
    }
    assert!(!faults.contains("secret-word") && !faults.contains("939e"), "{faults}");
}

#[test]
fn twenty_thousand_lines() {
    let mut text = "subscribers:\n".to_owned();
    for i in 0..20_000 {
        let _ = writeln!(
            text,
            "  - {{imsi: {:015}, k: {K_TEXT}, opc: {OPC_TEXT}, msisdn: \"+{i:09}\"}}",
            1_010_000_000_000_u64 + i
        );
    }
    let all = subscribers("many", &text);
    assert_eq!(all.store.len(), 20_000);
    assert!(all.subscription_of("001010000019999").is_some());
}

#[test]
fn a_usim_file_keeps_all_32_sqns() {
    let scratch = Scratch::new("values-usim");
    let array: [u64; 32] = std::array::from_fn(|i| 0x0000_ff00_0000 + u64::try_from(i).unwrap());
    for name in ["usim.yaml", "usim.json"] {
        let path = scratch.0.join(name);
        assert_eq!(read_usim_file(&path).unwrap(), None);
        write_usim_file(&path, &array).unwrap();
        assert_eq!(read_usim_file(&path).unwrap(), Some(array), "{name}");
        write_usim_file(&path, &[7; 32]).unwrap();
        assert_eq!(read_usim_file(&path).unwrap(), Some([7; 32]), "{name}");
    }
    let files = std::fs::read_dir(&scratch.0).unwrap().count();
    assert_eq!(files, 2, "nothing else is left");
    let json = std::fs::read_to_string(scratch.0.join("usim.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    let short = scratch.file("short.yaml", "sqn: [1, 2]\n");
    assert!(
        read_usim_file(&short)
            .unwrap_err()
            .to_string()
            .ends_with("short.yaml:1:6: sqn: 2 found, 32 sequence numbers expected")
    );
}

fn imsreg(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_imsreg"))
        .current_dir(directory)
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_fault_is_exit_status_2_and_a_file_here_wins() {
    let scratch = Scratch::new("values-exit");
    // Nothing here: the copies in the binary are read, and the first fault is that of the flag.
    let (code, told) = imsreg(&scratch.0, &["serve", "--set", "ue.port_c=x"]);
    assert_eq!(
        (code, told.as_str()),
        (Some(2), "--set ue.port_c: ue.port_c: \"x\" found, a port from 1 to 65535 expected\n")
    );
    std::fs::create_dir_all(scratch.0.join("profiles")).unwrap();
    scratch.file("profiles/lab.yaml", "extends: volte\nwiring: [wire]\n");
    let (code, told) = imsreg(&scratch.0, &["serve"]);
    assert_eq!(
        (code, told.as_str()),
        (Some(2), "profiles/lab.yaml:2:9: wiring: a list found, local or wire expected\n")
    );
    let (code, told) = imsreg(&scratch.0, &["serve", K_TEXT]);
    assert_eq!(code, Some(2));
    assert!(told.contains("unexpected argument") || told.contains("unrecognized"), "{told}");
    assert!(!told.contains(K_TEXT), "{told}");
}
