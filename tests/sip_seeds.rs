//! The messages of the seed documents (`tests/data/seeds`) read as their index says.

use imsreg::sip::header::contact::Contacts;
use imsreg::sip::header::digest::Digest;
use imsreg::sip::{HeaderName, Message, StartLine};
use serde_json::{Map, Value, json};
use std::path::Path;

#[test]
fn every_seed_reads_as_its_index_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/seeds");
    let index = std::fs::read(folder.join("index.json")).expect("the index of the seeds");
    let index: Vec<Value> = serde_json::from_slice(&index).expect("the index is JSON");
    assert_eq!(index.len(), 40);
    for entry in &index {
        let file = entry["file"].as_str().expect("a file name");
        let bytes = std::fs::read(folder.join(file)).expect("a seed");
        let message = Message::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        message.check().unwrap_or_else(|error| panic!("{file}: {error}"));
        let expected = entry["parse"].as_object().expect("a map");
        let read = parse(&message);
        for (key, value) in expected {
            assert_eq!(read.get(key).unwrap_or(&Value::Null), value, "{file}: {key}");
        }
    }
}

/// A message in the form of the index.
fn parse(message: &Message<'_>) -> Map<String, Value> {
    let via = message.via().expect("a Via");
    let cseq = message.cseq().expect("a CSeq");
    let port = via.port.map_or(String::new(), |port| format!(":{port}"));
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    match message.start() {
        StartLine::Request { method, uri } => {
            put("kind", json!("request"));
            put("method", json!(method.as_str()));
            put("request_uri", json!(uri));
        }
        StartLine::Response { status, reason } => {
            put("kind", json!("response"));
            put("status", json!(status));
            put("reason", json!(reason));
        }
    }
    put("call_id", json!(message.call_id().expect("a Call-ID")));
    put("cseq", json!(format!("{} {}", cseq.number, cseq.method)));
    put("expires", json!(message.expires().map(|seconds| seconds.to_string())));
    put("max_forwards", json!(message.max_forwards().expect("a number").map(|hops| hops.to_string())));
    put("user_agent", json!(message.header(HeaderName::UserAgent)));
    put("from_tag", json!(message.from().expect("a From").tag()));
    put("to_tag", json!(message.to().expect("a To").tag()));
    put("via_count", json!(message.elements(HeaderName::Via).count()));
    put("via_transport", json!(via.transport));
    put("via_sent_by", json!(format!("{}{port}", via.host)));
    put("via_branch", json!(via.branch()));
    let rport = via.params.get("rport");
    put(
        "via_rport",
        rport.map_or(Value::Null, |port| port.map_or(json!(true), |port| json!(port.parse::<u16>().ok()))),
    );
    if let Contacts::List(contacts) = message.contacts().expect("Contacts")
        && !contacts.is_empty()
    {
        put("contact_count", json!(contacts.len()));
    }
    for (key, name) in [
        ("security_client", HeaderName::SecurityClient),
        ("security_server", HeaderName::SecurityServer),
        ("security_verify", HeaderName::SecurityVerify),
    ] {
        put(key, security(message, name));
    }
    let uris = message.name_addrs(HeaderName::PAssociatedUri).expect("addresses");
    put("p_associated_uri", json!(uris.iter().map(|address| address.uri.text).collect::<Vec<_>>()));
    put("authorization", credentials(message));
    let challenges = message.challenges().expect("challenges");
    put("www_authenticate", challenges.first().map_or(Value::Null, |challenge| json!(digest(challenge))));
    put("content_length", json!(message.header(HeaderName::ContentLength).and_then(|n| n.parse::<u32>().ok())));
    put("body_octets", json!(message.body().len()));
    out
}

fn security(message: &Message<'_>, name: HeaderName) -> Value {
    let elements = message.security(name).expect("mechanisms").0;
    let read = |m: &imsreg::sip::header::sec_agree::Mechanism<'_>| {
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        json!({
            "mechanism": m.name, "alg": m.alg, "prot": m.prot, "mod": m.mode, "ealg": m.ealg,
            "spi_c": number(m.spi_c), "spi_s": number(m.spi_s),
            "port_c": number(m.port_c.map(u32::from)), "port_s": number(m.port_s.map(u32::from)),
        })
    };
    json!(elements.iter().map(read).collect::<Vec<_>>())
}

/// Digest credentials; of another scheme only what can be seen of it.
fn credentials(message: &Message<'_>) -> Value {
    if let Some(credentials) = message.authorization().expect("credentials or none") {
        return json!(digest(&credentials));
    }
    match message.header(HeaderName::Authorization) {
        Some(r#"Capability, algorithm="H:MD5""#) => json!({"scheme": "Capability", "algorithm": "H:MD5"}),
        Some(other) => panic!("unknown scheme in {other}"),
        None => Value::Null,
    }
}

fn digest(digest: &Digest<'_>) -> Map<String, Value> {
    let params = digest.params().map(|(name, value, _)| (name.to_ascii_lowercase(), json!(value)));
    std::iter::once(("scheme".to_owned(), json!("Digest"))).chain(params).collect()
}
