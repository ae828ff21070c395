//! Cx messages by their types: read, written again unchanged, refused with the Result-Code asked for.

use imsreg::cx::envelope::encode_fault;
use imsreg::cx::*;
use imsreg::diameter::{Avps, Header, Writer, dictionary};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::LazyLock;

#[path = "../fuzz/properties/diameter.rs"]
mod property;

/// AVPs of the vectors that no struct of ours holds.
const NOT_HELD: [u32; 2] = [dictionary::SUPPORTED_FEATURES, dictionary::LOOSE_ROUTE_INDICATION];

#[test]
fn every_message_of_ours_is_read_and_written_again_unchanged() {
    let mut seen = 0;
    for (id, bytes) in &*VECTORS {
        let header = Header::parse(bytes).unwrap();
        // The generic answer grammar of RFC 6733 clause 7.2 is not the command's.
        if header.application != APPLICATION || header.error || id == "uaa-5005-missing-avp" {
            continue;
        }
        let held = |bytes: &[u8]| {
            let mut held = Vec::new();
            let mut w = Writer::new(&mut held, &header);
            for avp in Avps::of(bytes).map(Result::unwrap) {
                if !NOT_HELD.contains(&avp.code) {
                    w.raw(avp.raw);
                }
            }
            w.finish();
            held
        };
        let expected = held(bytes);
        let mut again = Vec::new();
        property::recode(&header, bytes, &mut again).unwrap_or_else(|fault| panic!("{id}: {fault}"));
        // Of Supported-Features SAR holds what we support.
        let again = held(&again);
        if id == "saa-name-not-stored" {
            // The one message of the file with User-Name in front of the result.
            assert_eq!(sorted(&again), sorted(&expected), "{id}");
        } else {
            assert_eq!(again, expected, "{id}");
        }
        seen += 1;
    }
    assert_eq!(seen, 51);
}

#[test]
fn answers_of_the_generic_grammar_are_read_too() {
    let result = |id| Uaa::decode(find(&VECTORS, id)).unwrap().result;
    assert_eq!(result("uaa-unable-to-deliver"), CxResult::Base(3002));
    assert_eq!(result("uaa-5005-missing-avp"), CxResult::Base(5005));
}

#[test]
fn corpus_messages_are_read() {
    let Some(folder) = shared("corpus/diameter") else { return };
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("cx-") {
            continue;
        }
        let text: String = std::fs::read_to_string(&file).unwrap().split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap();
        let header = Header::parse(&bytes).unwrap();
        property::recode(&header, &bytes, &mut Vec::new()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        seen += 1;
    }
    assert_eq!(seen, 12);
}

#[test]
fn faulty_requests_get_the_result_code_and_failed_avp_asked_for() {
    let file: Value = serde_json::from_str(include_str!("data/vectors/diameter_negative.json")).unwrap();
    for m in file["messages"].as_array().unwrap() {
        let id = m["id"].as_str().unwrap();
        // Commands and applications are the node's business: tests/diameter_peer.rs.
        if matches!(id, "unknown-command" | "unknown-application") {
            continue;
        }
        let bytes = hex(&m["hex"]);
        let fault = Header::parse(&bytes).and_then(|_| Uar::decode(&bytes).map(drop)).err();
        if m["optional"] == true && fault.is_none() {
            continue;
        }
        let code = fault.as_ref().map(|f| u64::from(f.code));
        let also = m["also_acceptable"].as_array().is_some_and(|codes| codes.iter().any(|c| c.as_u64() == code));
        assert!(code == m["expect_result_code"].as_u64() || also, "{id}: {code:?}");
        let Some(fault) = fault else { continue };
        // RFC 6733 clause 7.5: these codes name the AVP.
        if matches!(fault.code, 5001 | 5004 | 5005 | 5009 | 5014) {
            let failed = Avps::new(fault.failed_avp.as_deref().expect(id)).next().unwrap().expect(id);
            if let Some(expected) = m["failed_avp_code"].as_u64() {
                assert_eq!(u64::from(failed.code), expected, "{id}");
            }
            assert_eq!(fault.failed_avp.as_ref().unwrap().len() % 4, 0, "{id}");
        }
    }
}

#[test]
fn a_fault_is_answered_within_the_grammar_of_the_command() {
    let request = find(&NEGATIVE, "missing-public-identity");
    let header = Header::parse(request).unwrap();
    let fault = Uar::decode(request).unwrap_err();
    assert!(!fault.is_protocol_error());
    let mut answer = Vec::new();
    let mut w = Writer::new(&mut answer, &header.answer(fault.is_protocol_error()));
    encode_fault(&fault, request, &header, "hss.example", "example", &mut w);
    w.finish();
    let codes: Vec<u32> = Avps::of(&answer).map(|avp| avp.unwrap().code).collect();
    assert_eq!(codes, [263, 260, 277, 264, 296, 268, 281, 279]);
    let failed = Avps::of(&answer).find(279, 0).unwrap().group().next().unwrap().unwrap();
    assert_eq!((failed.code, failed.vendor, failed.mandatory, failed.data), (601, VENDOR, true, &[][..]));
    let read = Uaa::decode(&answer).unwrap();
    assert_eq!((read.result, read.envelope.origin_host), (CxResult::Base(5005), "hss.example"));
}

/// TS 29.229 clause 7.2: a feature required by M that we lack is experimental 5011 with our own list.
#[test]
fn required_features_that_are_not_supported_are_refused() {
    let request = find(&VECTORS, "uar-register");
    let header = Header::parse(request).unwrap();
    let with_features = |mandatory: bool, list: u32| {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out, &header);
        for avp in Avps::of(request) {
            w.raw(avp.unwrap().raw);
        }
        w.group(dictionary::SUPPORTED_FEATURES, VENDOR, mandatory, |w| {
            w.u32(dictionary::VENDOR_ID, 0, true, VENDOR);
            w.u32(dictionary::FEATURE_LIST_ID, VENDOR, false, 1).u32(dictionary::FEATURE_LIST, VENDOR, false, list);
        });
        w.finish();
        out
    };
    assert!(Uar::decode(&with_features(false, 3)).is_ok());
    assert!(Uar::decode(&with_features(true, 0)).is_ok());
    let request = with_features(true, 3);
    let fault = Uar::decode(&request).unwrap_err();
    let mut answer = Vec::new();
    let mut w = Writer::new(&mut answer, &header.answer(false));
    encode_fault(&fault, &request, &header, "hss.example", "example", &mut w);
    w.finish();
    assert_eq!(Uaa::decode(&answer).unwrap().result, CxResult::FEATURE_UNSUPPORTED);
    assert!(Avps::of(&answer).find(dictionary::SUPPORTED_FEATURES, VENDOR).is_some());
}

/// field-lessons.md 57: the codes of Cx live in Experimental-Result, and some HSSs set V on it.
#[test]
fn experimental_result_with_v_is_read() {
    let bytes = find(&VECTORS, "uaa-first");
    let header = Header::parse(bytes).unwrap();
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out, &header);
    for avp in Avps::of(bytes).map(Result::unwrap) {
        match avp.code {
            dictionary::EXPERIMENTAL_RESULT => w.octets(avp.code, VENDOR, true, avp.data),
            _ => w.raw(avp.raw),
        };
    }
    w.finish();
    assert_eq!(Uaa::decode(&out).unwrap().result, CxResult::FIRST_REGISTRATION);
}

/// field-lessons.md 55, 59.
#[test]
fn sar_wants_the_identities_that_its_type_needs() {
    let sar = |impi, impus: &[&'static str], assignment| {
        let header = request(Sar::COMMAND);
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out, &header);
        let envelope = RequestEnvelope {
            session_id: "s;1;1",
            origin_host: "s",
            origin_realm: "r",
            destination_host: None,
            destination_realm: "r",
        };
        Sar {
            envelope,
            impi,
            impus: impus.to_vec(),
            server_name: "sip:s",
            assignment,
            user_data_already_available: false,
            supports_restoration: false,
            supports_shared_ifc: false,
            multiple_registration: false,
            restoration: None,
        }
        .encode(&mut w);
        w.finish();
        Sar::decode(&out)
            .map(drop)
            .map_err(|f| (f.code, Avps::new(&f.failed_avp.unwrap()).next().unwrap().unwrap().code))
    };
    use ServerAssignmentType as T;
    assert_eq!(sar(Some("u@r"), &["sip:u@r"], T::Registration), Ok(()));
    assert_eq!(sar(None, &["sip:u@r"], T::Registration), Err((5005, 1)));
    assert_eq!(sar(None, &["sip:u@r"], T::UnregisteredUser), Ok(()));
    assert_eq!(sar(Some("u@r"), &[], T::ReRegistration), Err((5005, 601)));
    assert_eq!(sar(Some("u@r"), &[], T::UserDeregistration), Ok(()));
    assert_eq!(sar(None, &[], T::UserDeregistration), Err((5005, 601)));
}

#[test]
fn secrets_are_not_in_debug() {
    for id in ["maa-aka", "maa-sip-digest"] {
        let bytes = find(&VECTORS, id);
        let maa = Maa::decode(bytes).unwrap();
        let item = maa.items[0].clone();
        let text = format!("{maa:?} {:?}", item.digest);
        for secret in [item.xres, item.ck, item.ik].into_iter().flatten() {
            assert!(!text.contains(&format!("{secret:?}")));
        }
        assert!(item.digest.is_none_or(|d| !text.contains(d.ha1)));
    }
}

#[test]
fn the_fuzz_corpus_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/diameter");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 10);
    files.iter().for_each(|file| property::diameter(&std::fs::read(file).unwrap()));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        property::diameter(&bytes);
    }

    #[test]
    fn one_octet_changed_is_read_or_refused(message in 0_usize..60, at in any::<prop::sample::Index>(), value: u8) {
        let mut bytes = VECTORS[message].1.clone();
        let at = at.index(bytes.len());
        bytes[at] = value;
        property::diameter(&bytes);
    }
}

fn sorted(message: &[u8]) -> Vec<&[u8]> {
    let mut avps: Vec<_> = Avps::of(message).map(|avp| avp.unwrap().raw).collect();
    avps.sort();
    avps
}

fn request(command: u32) -> Header {
    Header {
        request: true,
        proxiable: true,
        error: false,
        retransmitted: false,
        command,
        application: APPLICATION,
        hop_by_hop: 1,
        end_to_end: 2,
    }
}

type Messages = Vec<(String, Vec<u8>)>;
static VECTORS: LazyLock<Messages> = LazyLock::new(|| messages(include_str!("data/vectors/diameter.json")));
static NEGATIVE: LazyLock<Messages> = LazyLock::new(|| messages(include_str!("data/vectors/diameter_negative.json")));

fn messages(file: &str) -> Messages {
    let file: Value = serde_json::from_str(file).unwrap();
    let messages = file["messages"].as_array().unwrap();
    messages.iter().map(|m| (m["id"].as_str().unwrap().to_owned(), hex(&m["hex"]))).collect()
}

fn find<'a>(messages: &'a Messages, id: &str) -> &'a [u8] {
    &messages.iter().find(|(i, _)| i == id).unwrap().1
}

fn hex(v: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(v.as_str().unwrap().as_bytes()).unwrap()
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
