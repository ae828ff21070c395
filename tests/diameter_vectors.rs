//! Every message of `diameter.json`: read AVP by AVP, written again octet by octet, and compared with what tshark saw.

use imsreg::diameter::{Avp, Avps, Header, Writer, dictionary};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn every_message_is_read_as_the_file_says_and_written_again_unchanged() {
    let messages = messages();
    assert_eq!(messages.len(), 60);
    for m in &messages {
        let id = m["id"].as_str().unwrap();
        let bytes = hex(&m["hex"]);
        let header = Header::parse(&bytes).unwrap();
        let expected = &m["header"];
        assert_eq!(u64::from(header.command), expected["command"], "{id}");
        assert_eq!(u64::from(header.application), expected["application"], "{id}");
        assert_eq!(format!("{:08x}", header.hop_by_hop), expected["hop_by_hop"], "{id}");
        assert_eq!(format!("{:08x}", header.end_to_end), expected["end_to_end"], "{id}");
        assert_avps(id, Avps::of(&bytes), &m["avps"]);

        let mut out = b"before".to_vec();
        let mut w = Writer::new(&mut out, &header);
        write_avps(&mut w, &m["avps"]);
        w.finish();
        assert_eq!(out[6..], bytes, "{id}");
    }
}

#[test]
fn codes_names_and_m_bits_are_those_of_the_dictionary() {
    fn check(id: &str, avps: &Value) {
        for avp in avps.as_array().unwrap() {
            let (code, vendor) = (number(&avp["code"]), number(&avp["vendor"]));
            let known = dictionary::lookup(code, vendor).unwrap_or_else(|| panic!("{id}: {code} of {vendor}"));
            let mandatory = flags(avp) & 0x40 != 0;
            assert_eq!(mandatory, known.mandatory, "{id}: M of {}", known.name);
            if avp.get("avps").is_some() {
                assert_eq!(known.kind, dictionary::Kind::Grouped, "{id}: {}", known.name);
                check(id, &avp["avps"]);
            }
        }
    }
    for m in messages() {
        check(m["id"].as_str().unwrap(), &m["avps"]);
    }
}

#[test]
fn tshark_cuts_and_names_the_avps_as_we_do() {
    let seen: Value = serde_json::from_str(include_str!("data/vectors/diameter_tshark.json")).unwrap();
    let messages = messages();
    let mut named = 0;
    for (m, seen) in messages.iter().zip(seen.as_array().unwrap()) {
        let id = m["id"].as_str().unwrap();
        assert_eq!(seen["id"], id);
        let bytes = hex(&m["hex"]);
        let list = |v: &Value| v.as_array().cloned().unwrap_or_else(|| vec![v.clone()]);
        let raw = list(&seen["diameter"]["diameter.avp"]);
        let trees = list(&seen["diameter"]["diameter.avp_tree"]);
        let ours: Vec<Avp<'_>> = Avps::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(ours.len(), raw.len(), "{id}");
        for ((avp, raw), tree) in ours.iter().zip(&raw).zip(&trees) {
            let octets: Vec<String> = avp.raw.iter().map(|b| format!("{b:02x}")).collect();
            assert!(raw.as_str().unwrap().starts_with(&octets.join(":")), "{id}: {}", avp.code);
            let name = dictionary::lookup(avp.code, avp.vendor).unwrap().name;
            named += usize::from(tree.get(format!("diameter.{name}")).is_some());
        }
    }
    // tshark 4.0 spells a few names otherwise, as "Server-Capabilites": the rest must be there.
    let all: usize = messages.iter().map(|m| m["avps"].as_array().unwrap().len()).sum();
    assert!(named * 10 > all * 9, "{named} of {all} AVPs have the same name");
}

#[test]
fn messages_of_the_corpus_are_framed_and_walked() {
    let Some(folder) = shared("corpus/diameter") else { return };
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "hex") {
            continue;
        }
        let text: String = std::fs::read_to_string(&file).unwrap().split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap();
        let name = file.display();
        assert_eq!(imsreg::diameter::header::frame(&bytes, 65_536), Some(Ok(bytes.len())), "{name}");
        let header = Header::parse(&bytes).unwrap_or_else(|f| panic!("{name}: {f}"));
        let mut again = Vec::new();
        let mut w = Writer::new(&mut again, &header);
        for avp in Avps::of(&bytes) {
            w.raw(avp.unwrap_or_else(|f| panic!("{name}: {f}")).raw);
        }
        w.finish();
        assert_eq!(again, bytes, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 21);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        avps in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut out = Vec::new();
        let mut w = Writer::avps(&mut out);
        for (code, vendor, mandatory, data) in &avps {
            w.octets(*code, *vendor, *mandatory, data);
        }
        let read: Vec<_> = Avps::new(&out)
            .map(|avp| avp.map(|avp| (avp.code, avp.vendor, avp.mandatory, avp.data.to_vec())).unwrap())
            .collect();
        prop_assert_eq!(read, avps);
    }
}

fn assert_avps(id: &str, read: Avps<'_>, expected: &Value) {
    let read: Vec<Avp<'_>> = read.map(Result::unwrap).collect();
    let expected = expected.as_array().unwrap();
    assert_eq!(read.len(), expected.len(), "{id}");
    for (avp, expected) in read.iter().zip(expected) {
        assert_eq!(u64::from(avp.code), expected["code"], "{id}");
        assert_eq!(u64::from(avp.vendor), expected["vendor"], "{id}: {}", avp.code);
        assert_eq!(avp.mandatory, flags(expected) & 0x40 != 0, "{id}: {}", avp.code);
        match expected.get("avps") {
            Some(inner) => assert_avps(id, avp.group(), inner),
            None => assert_eq!(avp.data, hex(&expected["data"]), "{id}: {}", avp.code),
        }
    }
}

fn write_avps(w: &mut Writer<'_>, avps: &Value) {
    for avp in avps.as_array().unwrap() {
        let (code, vendor, mandatory) = (number(&avp["code"]), number(&avp["vendor"]), flags(avp) & 0x40 != 0);
        match avp.get("avps") {
            Some(inner) => w.group(code, vendor, mandatory, |w| write_avps(w, inner)),
            None => w.octets(code, vendor, mandatory, &hex(&avp["data"])),
        };
    }
}

fn messages() -> Vec<Value> {
    let mut file: Value = serde_json::from_str(include_str!("data/vectors/diameter.json")).unwrap();
    std::mem::take(file["messages"].as_array_mut().unwrap())
}

fn hex(v: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(v.as_str().unwrap().as_bytes()).unwrap()
}

fn number(v: &Value) -> u32 {
    u32::try_from(v.as_u64().unwrap()).unwrap()
}

fn flags(avp: &Value) -> u8 {
    u8::from_str_radix(avp["flags"].as_str().unwrap(), 16).unwrap()
}

/// A folder beside the repository, by IMSREG_SHARED or `../shared`.
fn shared(path: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let found = Some(root.join(path)).filter(|p| p.exists());
    if found.is_none() {
        println!("not run: no {path} beside the repository (IMSREG_SHARED)");
    }
    found
}
