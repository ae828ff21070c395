//! The captures of the corpus and of the probes, against the counts that stand beside them.

use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Opc};
use imsreg::diameter::Header;
use imsreg::packet::Protocol;
use imsreg::sip::{Message, StartLine};
use imsreg::trace::keys::Keyring;
use imsreg::trace::{self, Message as Found, Options, Seen, Sighting, Summary};
use serde_yaml::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

pub(crate) fn read(path: &std::path::Path, options: Options) -> (Vec<Sighting>, Summary) {
    let mut trace = trace::open(File::open(path).unwrap(), options).unwrap();
    let sightings = trace.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
    let summary = trace.summary().clone();
    (sightings, summary)
}

fn messages(sightings: &[Sighting]) -> impl Iterator<Item = &Found> {
    sightings.iter().filter_map(|sighting| match &sighting.seen {
        Seen::Message(message) => Some(message),
        _ => None,
    })
}

/// The method or status of a message.
fn name(message: &Found) -> String {
    match message.protocol {
        Protocol::Sip => match Message::parse(&message.bytes).map(|message| message.start()) {
            Ok(StartLine::Request { method, .. }) => method.as_str().to_owned(),
            Ok(StartLine::Response { status, .. }) => status.to_string(),
            Err(_) => String::from_utf8_lossy(&message.bytes).split(' ').next().unwrap_or_default().to_owned(),
        },
        Protocol::Diameter => {
            let header = Header::read(&message.bytes).unwrap();
            format!("{}/{}", header.command, u8::from(header.request))
        }
    }
}

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("not run: no {} (IMSREG_SHARED)", path.display());
        return None;
    }
    Some(path)
}

fn yaml(path: PathBuf) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// `index.yaml` counts every copy of a packet, as Wireshark shows them, and Diameter on its own port only.
#[test]
fn messages_of_the_corpus_by_method_and_status() {
    let Some(folder) = shared("corpus/pcap") else { return };
    let index = yaml(folder.join("index.yaml"));
    let mut files = 0;
    for entry in index.as_sequence().unwrap() {
        let file = entry["file"].as_str().unwrap();
        if !file.contains(".pcap") {
            continue;
        }
        let (sightings, summary) = read(&folder.join(file), Options { keep_copies: true, ..Options::default() });
        let mut found = BTreeMap::<String, u64>::new();
        let is_counted = |message: &&Found| {
            let ends = message.ends.unwrap();
            message.protocol == Protocol::Sip || [ends.from, ends.to].iter().any(|end| end.port() == 3868)
        };
        for message in messages(&sightings).filter(is_counted) {
            *found.entry(name(message)).or_default() += 1;
        }
        let mut expected = BTreeMap::new();
        for group in ["sip", "diameter"] {
            for (name, count) in entry[group].as_mapping().unwrap() {
                expected.insert(name.as_str().unwrap().to_owned(), count.as_u64().unwrap());
            }
        }
        println!("{file}\n{summary}");
        assert_eq!(found, expected, "{file}");
        assert_eq!(summary.packets, entry["frames"].as_u64().unwrap(), "{file}");
        files += 1;
    }
    assert!(files >= 6);
}

#[test]
fn messages_of_the_probes() {
    let Some(folder) = shared("probes/captures") else { return };
    let truth = yaml(folder.join("truth.yaml"));
    let mut wrong = Vec::new();
    for entry in truth["captures"].as_sequence().unwrap() {
        let file = entry["file"].as_str().unwrap();
        if !file.contains(".pcap") {
            continue;
        }
        let mut keys = Keyring::new();
        if let (Some(k), Some(opc)) = (entry["args"]["k"].as_str(), entry["args"]["opc"].as_str()) {
            let octets =
                |hex: &str| <[u8; 16]>::try_from(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap();
            keys.add_subscriber(None, SubscriberKeys::Milenage { k: K(octets(k)), opc: Opc(octets(opc)) });
        }
        let (sightings, summary) = read(&folder.join(file), Options { keys, ..Options::default() });
        let expected = &entry["messages"];
        let expected = (expected["sip"].as_u64().unwrap(), expected["diameter"].as_u64().unwrap());
        if (summary.sip, summary.diameter) != expected || !summary.unread.is_empty() || !summary.sealed.is_empty() {
            wrong.push(format!(
                "{file}: {expected:?} expected\n{summary}{:?}",
                messages(&sightings).map(name).collect::<Vec<_>>()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
