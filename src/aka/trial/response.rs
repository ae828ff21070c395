//! What a response was computed over (RFC 3310, RFC 4169, RFC 7616).

use super::{Assumption, Candidate, Fit, Typed};
use crate::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use crate::aka::vector::Outputs;
use crate::aka::{Ck, Ik};
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// Where the password comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// RES follows from keys and RAND.
    Typed {
        /// The keys.
        typed: &'a Typed,
        /// Of the challenge.
        rand: &'a [u8; 16],
    },
    /// A vector, as the HSS gave it; without CK and IK no AKAv2.
    Vector {
        /// XRES.
        xres: &'a crate::aka::Xres,
        /// CK and IK.
        keys: Option<(&'a Ck, &'a Ik)>,
    },
    /// SIP digest.
    Password(&'a crate::aka::Password),
}

/// An answer to a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The texts of Authorization, and the algorithm of the challenge.
    pub inputs: Inputs<'a>,
    /// `response`
    pub response: &'a str,
    /// What may have been hashed in their place.
    pub others: Others<'a>,
}

/// Texts that may have been hashed instead of those in Authorization; those that follow from them are tried anyway.
#[derive(Clone, Copy, Default, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Others<'a> {
    pub usernames: &'a [&'a str],
    pub realms: &'a [&'a str],
    /// The Request-URI, at least.
    pub uris: &'a [&'a str],
    /// That of the challenge, at least.
    pub nonces: &'a [&'a str],
    /// nc and cnonce where Authorization has no qop.
    pub counts: Option<(&'a str, &'a str)>,
}

/// What `answer` was computed with. `None`: no variant fits.
pub fn of_response(source: Source<'_>, answer: &Answer<'_>) -> Option<Fit> {
    let texts = texts(answer);
    let qops = qops(answer);
    let mut best: Option<Fit> = None;
    for (from, secret) in secrets(source, answer.inputs.algorithm) {
        for (other, inputs) in &texts {
            for (qop, value) in &qops {
                let assumptions = || from.iter().chain(other).chain(qop);
                let count = assumptions().count();
                if best.as_ref().is_some_and(|best| best.assumptions.len() <= count) {
                    continue;
                }
                let inputs = Inputs { algorithm: secret.algorithm, qop: *value, ..*inputs };
                if response(&inputs, secret.secret()).matches(answer.response) {
                    best = Some(Fit { assumptions: assumptions().cloned().collect(), sqn: None });
                }
            }
        }
    }
    best
}

/// A password in one of its forms, under one algorithm.
struct Tried {
    algorithm: Algorithm,
    password: Zeroizing<Vec<u8>>,
    /// AKAv2 takes them as well.
    keys: Option<(Ck, Ik)>,
}

impl Tried {
    fn secret(&self) -> Secret<'_> {
        match &self.keys {
            Some((ck, ik)) => Secret::Aka { res: &self.password, ik: &ik.0, ck: &ck.0 },
            None => Secret::Password(&self.password),
        }
    }
}

/// What is assumed, and what follows. The challenge's algorithm with the password as it is comes first.
fn secrets(source: Source<'_>, asked: Algorithm) -> Vec<(Vec<Assumption>, Tried)> {
    let mut all = Vec::new();
    for (reading, res, keys) in passwords(source) {
        let is_aka = !matches!(source, Source::Password(_));
        for (form, password) in forms(&res, is_aka) {
            for &(name, algorithm, takes_keys) in if is_aka { AKA } else { PLAIN } {
                let keys = if takes_keys { keys.clone() } else { None };
                if takes_keys && keys.is_none() {
                    continue;
                }
                let other = (name != name_of(asked, is_aka)).then_some(Assumption::Algorithm(name));
                let assumed = reading.iter().cloned().chain(form.clone()).chain(other).collect();
                all.push((assumed, Tried { algorithm, password: password.clone(), keys }));
            }
        }
    }
    all
}

type Passwords = Vec<(Option<Assumption>, Zeroizing<Vec<u8>>, Option<(Ck, Ik)>)>;

fn passwords(source: Source<'_>) -> Passwords {
    let octets = |octets: &[u8]| Zeroizing::new(octets.to_vec());
    match source {
        Source::Typed { typed, rand } => typed
            .candidates()
            .into_iter()
            .map(|Candidate { assumption, keys }| {
                let Outputs { res, ck, ik, .. } = keys.outputs(rand);
                (assumption, octets(res.as_slice()), Some((ck, ik)))
            })
            .collect(),
        Source::Vector { xres, keys } => {
            vec![(None, octets(xres.as_slice()), keys.map(|(ck, ik)| (ck.clone(), ik.clone())))]
        }
        Source::Password(password) => vec![(None, octets(password.0.as_bytes()), None)],
    }
}

fn forms(res: &[u8], is_aka: bool) -> Vec<(Option<Assumption>, Zeroizing<Vec<u8>>)> {
    let octets = |octets: &[u8]| Zeroizing::new(octets.to_vec());
    let mut all = vec![(None, octets(res))];
    let mut add = |form, value: Vec<u8>| all.push((Some(form), Zeroizing::new(value)));
    if is_aka {
        if let Some(end) = res.iter().position(|octet| *octet == 0) {
            add(Assumption::ResCut, res[..end].to_vec());
        }
        for shorter in [4, 8].into_iter().filter(|shorter| *shorter < res.len()) {
            add(Assumption::ResShortened(shorter), res[..shorter].to_vec());
        }
        add(Assumption::ResInHex { upper: false }, HEXLOWER.encode(res).into_bytes());
        add(Assumption::ResInHex { upper: true }, HEXUPPER.encode(res).into_bytes());
        add(Assumption::ResInBase64, BASE64.encode(res).into_bytes());
    }
    add(Assumption::EmptyPassword, Vec::new());
    all
}

/// The texts of Authorization, then each other one alone.
fn texts<'a>(answer: &'a Answer<'a>) -> Vec<(Option<Assumption>, Inputs<'a>)> {
    let inputs = answer.inputs;
    let mut all = vec![(None, inputs)];
    let Inputs { username, realm, uri, nonce, method, .. } = inputs;
    let user = username.split('@').next().unwrap_or_default();
    let domain = username.split_once('@').map_or("", |(_, domain)| domain);
    for &other in answer.others.usernames.iter().chain([&user]) {
        if other != username {
            all.push((Some(Assumption::Username(other.into())), Inputs { username: other, ..inputs }));
        }
    }
    for &other in answer.others.realms.iter().chain([&domain]) {
        if other != realm {
            all.push((Some(Assumption::Realm(other.into())), Inputs { realm: other, ..inputs }));
        }
    }
    let bare = uri.split([';', '?']).next().unwrap_or_default();
    let portless =
        bare.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map(|(uri, _)| uri);
    let host = bare.split_once(':').map_or(bare, |(_, host)| host);
    for &other in answer.others.uris.iter().chain([&bare, &host]).chain(&portless) {
        if other != uri {
            all.push((Some(Assumption::Uri(other.into())), Inputs { uri: other, ..inputs }));
        }
    }
    for &other in answer.others.nonces {
        if other != nonce {
            all.push((Some(Assumption::Nonce(other.into())), Inputs { nonce: other, ..inputs }));
        }
    }
    for other in ["REGISTER", ""] {
        if other != method {
            all.push((Some(Assumption::Method(other.into())), Inputs { method: other, ..inputs }));
        }
    }
    all
}

fn qops<'a>(answer: &Answer<'a>) -> Vec<(Option<Assumption>, Option<Qop<'a>>)> {
    let said = answer.inputs.qop;
    let mut all = vec![(None, said)];
    if said.is_some() {
        all.push((Some(Assumption::QopNone), None));
    }
    let counts = said.map(|qop| (qop.nc, qop.cnonce)).or(answer.others.counts);
    if let Some((nc, cnonce)) = counts {
        for auth_int in [false, true] {
            if said.is_none_or(|said| said.auth_int != auth_int) {
                let name = if auth_int { Assumption::QopAuthInt } else { Assumption::QopAuth };
                all.push((Some(name), Some(Qop { auth_int, nc, cnonce })));
            }
        }
    }
    all
}

/// How the algorithm that the challenge names is called here.
fn name_of(asked: Algorithm, is_aka: bool) -> &'static str {
    match asked {
        // Some answer a challenge of plain digest with RES.
        Algorithm::Md5 if is_aka => "AKAv1-MD5",
        Algorithm::Sha256 if is_aka => "AKAv1-SHA-256",
        other => other.as_str(),
    }
}

/// Name, hash, and whether CK and IK go into the password (AKAv2). RES is a password like any other otherwise.
const AKA: &[(&str, Algorithm, bool)] = &[
    ("AKAv1-MD5", Algorithm::Md5, false),
    ("AKAv2-MD5", Algorithm::AkaV2Md5, true),
    ("AKAv2-SHA-256", Algorithm::AkaV2Sha256, true),
    ("AKAv1-SHA-256", Algorithm::Sha256, false),
    ("AKAv1-MD5-sess", Algorithm::Md5Sess, false),
    ("AKAv1-SHA-256-sess", Algorithm::Sha256Sess, false),
];

const PLAIN: &[(&str, Algorithm, bool)] = &[
    ("MD5", Algorithm::Md5, false),
    ("MD5-sess", Algorithm::Md5Sess, false),
    ("SHA-256", Algorithm::Sha256, false),
    ("SHA-256-sess", Algorithm::Sha256Sess, false),
    ("SHA-512-256", Algorithm::Sha512_256, false),
    ("SHA-512-256-sess", Algorithm::Sha512_256Sess, false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aka::{K, Opc, Password, Xres};

    const RAND: [u8; 16] = [0x31; 16];

    fn typed() -> Typed {
        Typed::opc(K([0x46; 16]), Opc([0xcd; 16]))
    }

    fn inputs(algorithm: Algorithm) -> Inputs<'static> {
        Inputs {
            algorithm,
            username: "001010000000001@ims.example",
            realm: "ims.example",
            nonce: "n0nce",
            uri: "sip:ims.example:5060;lr",
            method: "REGISTER",
            qop: Some(Qop { auth_int: false, nc: "00000001", cnonce: "c0" }),
            body: b"",
        }
    }

    fn fit(source: Source<'_>, response: &str) -> Option<Vec<Assumption>> {
        let others = Others { uris: &["sip:pcscf.example"], ..Others::default() };
        let answer = Answer { inputs: inputs(Algorithm::AkaV1Md5), response, others };
        of_response(source, &answer).map(|fit| fit.assumptions)
    }

    /// The digests are of `aka::digest`, which `tests/aka_vectors.rs` holds to published vectors.
    #[test]
    fn each_variant_is_told() {
        let typed = typed();
        let source = Source::Typed { typed: &typed, rand: &RAND };
        let out = typed.keys().outputs(&RAND);
        let res = out.res.as_slice();
        let aka = Secret::Aka { res, ik: &out.ik.0, ck: &out.ck.0 };
        let v1 = inputs(Algorithm::AkaV1Md5);
        let hex = HEXLOWER.encode(res);
        let cases = [
            (response(&v1, aka), vec![]),
            (response(&v1, Secret::Password(hex.as_bytes())), vec![Assumption::ResInHex { upper: false }]),
            (response(&v1, Secret::Password(b"")), vec![Assumption::EmptyPassword]),
            (response(&inputs(Algorithm::AkaV2Md5), aka), vec![Assumption::Algorithm("AKAv2-MD5")]),
            (response(&inputs(Algorithm::AkaV2Sha256), aka), vec![Assumption::Algorithm("AKAv2-SHA-256")]),
            (response(&inputs(Algorithm::AkaV1Sha256), aka), vec![Assumption::Algorithm("AKAv1-SHA-256")]),
            (
                response(&inputs(Algorithm::Md5Sess), Secret::Password(res)),
                vec![Assumption::Algorithm("AKAv1-MD5-sess")],
            ),
            (response(&Inputs { qop: None, ..v1 }, aka), vec![Assumption::QopNone]),
            (
                response(&Inputs { qop: v1.qop.map(|qop| Qop { auth_int: true, ..qop }), ..v1 }, aka),
                vec![Assumption::QopAuthInt],
            ),
            (
                response(&Inputs { username: "001010000000001", ..v1 }, aka),
                vec![Assumption::Username("001010000000001".into())],
            ),
            (
                response(&Inputs { uri: "sip:pcscf.example", qop: None, ..v1 }, aka),
                vec![Assumption::Uri("sip:pcscf.example".into()), Assumption::QopNone],
            ),
            (response(&Inputs { uri: "sip:ims.example", ..v1 }, aka), vec![Assumption::Uri("sip:ims.example".into())]),
        ];
        for (given, expected) in cases {
            assert_eq!(fit(source, given.as_str()), Some(expected));
        }
        assert_eq!(fit(source, "00000000000000000000000000000000"), None);
        assert_eq!(fit(source, ""), None);
    }

    #[test]
    fn the_keys_may_be_other_ones() {
        let typed = typed();
        let xor = crate::aka::vector::SubscriberKeys::Xor { k: K([0x46; 16]) }.outputs(&RAND);
        let given = response(&inputs(Algorithm::AkaV1Md5), Secret::Password(xor.res.as_slice()));
        let source = Source::Typed { typed: &typed, rand: &RAND };
        assert_eq!(fit(source, given.as_str()), Some(vec![Assumption::Xor]));
        let cut = response(&inputs(Algorithm::AkaV1Md5), Secret::Password(&xor.res.as_slice()[..8]));
        assert_eq!(fit(source, cut.as_str()), Some(vec![Assumption::Xor, Assumption::ResShortened(8)]));
    }

    #[test]
    fn a_vector_of_the_hss_and_a_password_do_as_well() {
        let xres = Xres::new(&[1, 2, 0, 4]).unwrap();
        let source = Source::Vector { xres: &xres, keys: None };
        let v1 = inputs(Algorithm::AkaV1Md5);
        let cut = response(&v1, Secret::Password(&[1, 2]));
        assert_eq!(fit(source, cut.as_str()), Some(vec![Assumption::ResCut]));

        let password = Password("secret".into());
        let session = response(&inputs(Algorithm::Md5Sess), Secret::Password(b"secret"));
        let answer = Answer { inputs: inputs(Algorithm::Md5), response: session.as_str(), others: Others::default() };
        let fit = of_response(Source::Password(&password), &answer).unwrap();
        assert_eq!(fit.to_string(), "algorithm MD5-sess");
        let shown = format!("{:?}", Source::Password(&password));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
