//! `imsreg aka` against TS 35.207 and TS 35.208 set 1.

use crate::{imsreg, text};
use serde_json::Value;

const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OP: &str = "cdc202d5123e20f62b6d676ac72cb318";
const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";
const RAND: &str = "23553cbe9637a89d218ae64dae47bf35";
const AUTN: &str = "55f328b43577b9b94a9ffac354dfafb3";

/// The object, and the exit status.
fn aka(flags: &[&str]) -> (Value, Option<i32>) {
    let output = imsreg(&[&["aka", "--k", K, "--json"], flags].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
    (value, output.status.code())
}

#[test]
fn a_vector_of_the_standard() {
    for keys in [["--op", OP], ["--opc", OPC]] {
        let flags = [&keys[..], &["--rand", RAND, "--sqn", "ff9bb4d0b607", "--amf", "b9b9", "--show-keys"]].concat();
        let (found, status) = aka(&flags);
        let expected = [
            ("opc", OPC),
            ("autn", AUTN),
            ("xres", "a54211d5e3ba50bf"),
            ("ck", "b40ba9a3c58b2a05bbf0d987b21bf8cb"),
            ("ik", "f769bcd751044604127672711c6d3441"),
            ("ak", "aa689c648370"),
        ];
        for (name, value) in expected {
            assert_eq!(found["vector"][name], value, "{name}");
        }
        assert_eq!(status, Some(0));
    }
}

#[test]
fn keys_are_shown_to_whoever_asks() {
    for json in [&["--json"][..], &[]] {
        let output = imsreg(&[&["aka", "--k", K, "--op", OP, "--rand", RAND, "--sqn", "ff9bb4d0b607"], json].concat());
        let shown = text(&output.stdout);
        for secret in [K, OP, OPC, "a54211d5e3ba50bf", "b40ba9a3c58b2a05", "f769bcd751044604", "aa689c648370"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("****"));
    }
}

#[test]
fn the_mistake_that_fits_is_said_and_is_a_failure() {
    let (found, status) = aka(&["--opc", OPC, "--rand", RAND, "--autn", AUTN]);
    assert_eq!((found["autn"]["fits"].as_str(), status), (Some("as given"), Some(0)));
    assert_eq!(found["autn"]["sqn"], "ff9bb4d0b607");
    // OP in the field of OPc: the AUTN of the network was made with OPc, which is OP expanded.
    let (found, status) = aka(&["--opc", OP, "--rand", RAND, "--autn", AUTN]);
    let fits = found["autn"]["fits"].as_str().expect("a text");
    assert!(fits.starts_with("OPc expanded again"), "{fits}");
    assert_eq!(status, Some(1));
    let (found, status) = aka(&["--opc", K, "--rand", RAND, "--autn", AUTN]);
    assert_eq!((found["autn"]["fits"].as_str(), status), (Some("nothing that is known"), Some(1)));
}

#[test]
fn auts_is_made_and_opened() {
    let (made, _) = aka(&["--opc", OPC, "--rand", RAND, "--sqn-ms", "000000000040"]);
    for form in ["auts", "base64"] {
        let (found, status) =
            aka(&["--opc", OPC, "--rand", RAND, "--auts", made["made"][form].as_str().expect("a text")]);
        assert_eq!((found["auts"]["sqn"].as_str(), status), (Some("000000000040"), Some(0)));
    }
    let (_, status) = aka(&["--op", OPC, "--rand", RAND, "--auts", made["made"]["auts"].as_str().expect("a text")]);
    assert_eq!(status, Some(1));
}

/// The flags that ask for the response of a vector.
fn asked_by(vector: &Value) -> Vec<&str> {
    let word = |name: &str| vector[name].as_str().unwrap_or_default();
    let inputs = ["k", "opc", "nonce", "username", "realm", "uri"];
    let flags = ["--k", "--opc", "--nonce", "--username", "--realm", "--uri"];
    let pairs = flags.into_iter().zip(inputs).flat_map(|(flag, input)| [flag, word(input)]);
    ["aka", "--json"].into_iter().chain(pairs).collect()
}

/// The vector akav1-md5-noqop-01 of `tests/data/aka_digest.json`.
#[test]
fn a_response_and_what_another_was_made_with() {
    let file: Value = serde_json::from_str(include_str!("../data/aka_digest.json")).expect("JSON");
    let vector = |id: &str| {
        let all = file["vectors"].as_array().expect("vectors");
        all.iter().find(|vector| vector["id"] == id).expect("the vector").clone()
    };
    for id in ["akav1-md5-noqop-01", "akav1-md5-auth-01", "akav2-md5-auth"] {
        let v = vector(id);
        let word = |name: &str| v[name].as_str().unwrap_or_default();
        let qop = if word("qop").is_empty() { "none" } else { word("qop") };
        let how = ["--qop", qop, "--digest-algorithm", word("algorithm")];
        let counts = if qop == "none" { vec![] } else { vec!["--nc", word("nc"), "--cnonce", word("cnonce")] };
        let output = imsreg(&[&asked_by(&v)[..], &how, &counts].concat());
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(found["digest"]["response"], word("response"), "{id}");
        assert_eq!((found["autn"]["fits"].as_str(), output.status.code()), (Some("as given"), Some(0)), "{id}");
    }
    let (asked, given) = (vector("akav1-md5-auth-01"), vector("akav1-md5-noqop-01"));
    let word = |name: &str| asked[name].as_str().unwrap_or_default();
    let how = ["--qop", "auth", "--cnonce", word("cnonce"), "--response", given["response"].as_str().expect("a text")];
    let output = imsreg(&[&asked_by(&asked)[..], &how].concat());
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((found["digest"]["fits"].as_str(), output.status.code()), (Some("without qop"), Some(1)));
}

#[test]
fn wrong_flags_are_named() {
    for (flags, word) in [
        (&["--opc", OPC][..], "--rand"),
        (&["--opc", "00", "--rand", RAND], "--opc"),
        (&["--opc", OPC, "--rand", "zz"], "--rand zz"),
        (&["--rand", RAND], "--opc or --op"),
        (&["--opc", OPC, "--rand", RAND, "--username", "a@b", "--qop", "int"], "--qop int"),
    ] {
        let output = imsreg(&[&["aka", "--k", K], flags].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
}
