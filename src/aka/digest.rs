//! Digest responses: MD5, SHA-256, SHA-512-256 (RFC 2617, RFC 7616), AKAv1 (RFC 3310) and AKAv2 (RFC 4169).

use super::{Ha1, Password};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// An `algorithm` of digest authentication.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameter")]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
    Sha512_256,
    Sha512_256Sess,
    AkaV1Md5,
    AkaV1Sha256,
    AkaV2Md5,
    AkaV2Sha256,
}

impl Algorithm {
    const ALL: [Self; 10] = [
        Self::AkaV1Md5,
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512_256,
        Self::Sha512_256Sess,
        Self::AkaV1Sha256,
        Self::AkaV2Md5,
        Self::AkaV2Sha256,
    ];

    /// Reads the token, any case.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(token))
    }

    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Sess => "SHA-512-256-sess",
            Self::AkaV1Md5 => "AKAv1-MD5",
            Self::AkaV1Sha256 => "AKAv1-SHA-256",
            Self::AkaV2Md5 => "AKAv2-MD5",
            Self::AkaV2Sha256 => "AKAv2-SHA-256",
        }
    }

    const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess | Self::Sha512_256Sess)
    }

    const fn is_aka_v2(self) -> bool {
        matches!(self, Self::AkaV2Md5 | Self::AkaV2Sha256)
    }
}

/// What a digest is computed over; texts exactly as they appear in the header.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Inputs<'a> {
    pub algorithm: Algorithm,
    pub username: &'a str,
    pub realm: &'a str,
    pub nonce: &'a str,
    pub uri: &'a str,
    pub method: &'a str,
    /// `auth` or `auth-int`, with nc and cnonce; `None`: RFC 2069 form.
    pub qop: Option<Qop<'a>>,
    /// Hashed with `auth-int` only.
    pub body: &'a [u8],
}

/// qop with what it brings.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Qop<'a> {
    pub auth_int: bool,
    pub nc: &'a str,
    pub cnonce: &'a str,
}

/// A digest in lower-case hex, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response {
    hex: [u8; 64],
    len: u8,
}

impl Response {
    /// 32 or 64 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("hex digits")
    }

    /// Compares with a received response in constant time; the case of the digits does not count.
    pub fn matches(&self, received: &str) -> bool {
        let mut folded = [0; 64];
        let Some(given) = folded.get_mut(..received.len()).filter(|_| received.len() == usize::from(self.len)) else {
            return false;
        };
        given.copy_from_slice(received.as_bytes());
        given.make_ascii_lowercase();
        // Behind the digits both are zero. Eight octets at a time: each comparison is kept from the optimizer.
        let words =
            |hex: [u8; 64]| <[[u8; 8]; 8]>::try_from(hex.as_chunks().0).expect("64 octets").map(u64::from_le_bytes);
        words(self.hex).ct_eq(&words(folded)).into()
    }

    fn as_bytes(&self) -> &[u8] {
        &self.hex[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands for the password.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// A password as text.
    Password(&'a [u8]),
    /// HA1 in hex, from the HSS.
    Ha1(&'a str),
    /// RES with IK and CK: AKAv1 uses RES, AKAv2 all three.
    Aka {
        /// RES or XRES.
        res: &'a [u8],
        /// IK
        ik: &'a [u8; 16],
        /// CK
        ck: &'a [u8; 16],
    },
}

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The `response` parameter.
pub fn response(inputs: &Inputs<'_>, secret: Secret<'_>) -> Response {
    digest(inputs, inputs.method, secret)
}

/// The `rspauth` parameter of Authentication-Info: no method stands before the URI (RFC 2617 clause 3.2.3).
pub fn rspauth(inputs: &Inputs<'_>, secret: Secret<'_>) -> Response {
    digest(inputs, "", secret)
}

/// Whether a received `response` is right.
#[derive(Debug)]
pub enum Checked {
    /// It is not.
    Wrong,
    /// It is. `rspauth` proves to the UE that we know the secret too, over an answer without body; `None`: without qop
    /// there is no such thing.
    Right {
        /// For Authentication-Info.
        rspauth: Option<Response>,
    },
}

/// HA2 of the last request that was checked, and of its answer. REGISTERs of one network have one method and one URI,
/// so it is nearly always the one wanted; nothing secret goes into it.
#[derive(Debug, Default)]
pub struct LastHa2(Option<Remembered>);

#[derive(Debug)]
struct Remembered {
    algorithm: Algorithm,
    method: Box<str>,
    uri: Box<str>,
    pair: Pair,
}

/// HA2 of a request without body in it, and of the answer.
#[derive(Clone, Copy, Debug)]
struct Pair {
    request: Response,
    answer: Response,
}

impl LastHa2 {
    fn of<H: Digest>(&mut self, inputs: &Inputs<'_>) -> &Pair {
        let Inputs { algorithm, method, uri, .. } = *inputs;
        let is_it = |r: &Remembered| r.algorithm == algorithm && *r.method == *method && *r.uri == *uri;
        if !self.0.as_ref().is_some_and(is_it) {
            let of = |method: &str| hash::<H>(&[method.as_bytes(), uri.as_bytes()]);
            let pair = Pair { request: of(method), answer: of("") };
            self.0 = Some(Remembered { algorithm, method: method.into(), uri: uri.into(), pair });
        }
        &self.0.as_ref().expect("just filled").pair
    }
}

/// Checks the `response` received, in constant time, and makes the `rspauth` of its answer: the two have in common what
/// takes longest, HA1 and nonce.
pub fn check(inputs: &Inputs<'_>, secret: Secret<'_>, received: &str, last: &mut LastHa2) -> Checked {
    match inputs.algorithm {
        Algorithm::Md5 | Algorithm::Md5Sess | Algorithm::AkaV1Md5 | Algorithm::AkaV2Md5 => {
            check_with::<Md5>(inputs, secret, received, last)
        }
        Algorithm::Sha256 | Algorithm::Sha256Sess | Algorithm::AkaV1Sha256 | Algorithm::AkaV2Sha256 => {
            check_with::<Sha256>(inputs, secret, received, last)
        }
        Algorithm::Sha512_256 | Algorithm::Sha512_256Sess => check_with::<Sha512_256>(inputs, secret, received, last),
    }
}

/// HA1 as an HSS stores it: it takes the place of the password (RFC 7616 clause 3.4.2). Texts as they appear in the
/// header; the `-sess` variants begin with that of their hash.
pub fn ha1(algorithm: Algorithm, username: &str, realm: &str, password: &Password) -> Ha1 {
    let parts = [username.as_bytes(), realm.as_bytes(), password.0.as_bytes()];
    let hex = match algorithm {
        Algorithm::Sha256 | Algorithm::Sha256Sess | Algorithm::AkaV1Sha256 | Algorithm::AkaV2Sha256 => {
            hash::<Sha256>(&parts)
        }
        Algorithm::Sha512_256 | Algorithm::Sha512_256Sess => hash::<Sha512_256>(&parts),
        Algorithm::Md5 | Algorithm::Md5Sess | Algorithm::AkaV1Md5 | Algorithm::AkaV2Md5 => hash::<Md5>(&parts),
    };
    Ha1(hex.as_str().into())
}

fn digest(inputs: &Inputs<'_>, method: &str, secret: Secret<'_>) -> Response {
    match inputs.algorithm {
        Algorithm::Md5 | Algorithm::Md5Sess | Algorithm::AkaV1Md5 | Algorithm::AkaV2Md5 => {
            digest_with::<Md5>(inputs, method, secret)
        }
        Algorithm::Sha256 | Algorithm::Sha256Sess | Algorithm::AkaV1Sha256 | Algorithm::AkaV2Sha256 => {
            digest_with::<Sha256>(inputs, method, secret)
        }
        Algorithm::Sha512_256 | Algorithm::Sha512_256Sess => digest_with::<Sha512_256>(inputs, method, secret),
    }
}

fn digest_with<H: Digest + EagerHash>(inputs: &Inputs<'_>, method: &str, secret: Secret<'_>) -> Response {
    let ha2 = match inputs.qop {
        Some(Qop { auth_int: true, .. }) => ha2_with_body::<H>(inputs, method, inputs.body),
        _ => hash::<H>(&[method.as_bytes(), inputs.uri.as_bytes()]),
    };
    end(beginning::<H>(inputs, secret), &ha2)
}

fn check_with<H: Digest + EagerHash + Clone>(
    inputs: &Inputs<'_>,
    secret: Secret<'_>,
    received: &str,
    last: &mut LastHa2,
) -> Checked {
    let Pair { request, answer } = match inputs.qop {
        Some(Qop { auth_int: true, .. }) => Pair {
            request: ha2_with_body::<H>(inputs, inputs.method, inputs.body),
            answer: ha2_with_body::<H>(inputs, "", b""),
        },
        _ => *last.of::<H>(inputs),
    };
    let beginning = beginning::<H>(inputs, secret);
    if !end(beginning.clone(), &request).matches(received) {
        return Checked::Wrong;
    }
    Checked::Right { rspauth: inputs.qop.map(|_| end(beginning, &answer)) }
}

fn ha2_with_body<H: Digest>(inputs: &Inputs<'_>, method: &str, body: &[u8]) -> Response {
    let body = hash::<H>(&[body]);
    hash::<H>(&[method.as_bytes(), inputs.uri.as_bytes(), body.as_bytes()])
}

/// All that stands before HA2.
fn beginning<H: Digest + EagerHash>(inputs: &Inputs<'_>, secret: Secret<'_>) -> H {
    let mut ha1 = match secret {
        Secret::Ha1(hex) => First::Given(hex),
        Secret::Password(password) => First::Computed(first::<H>(inputs, password)),
        Secret::Aka { res, ik, ck } if inputs.algorithm.is_aka_v2() => {
            let mut password = aka_v2_password::<H>(res, ik, ck);
            let ha1 = first::<H>(inputs, password.as_slice());
            password.text.zeroize();
            First::Computed(ha1)
        }
        Secret::Aka { res, .. } => First::Computed(first::<H>(inputs, res)),
    };
    if inputs.algorithm.is_session() {
        let cnonce = inputs.qop.map_or("", |qop| qop.cnonce);
        ha1 = First::Computed(hash::<H>(&[ha1.as_bytes(), inputs.nonce.as_bytes(), cnonce.as_bytes()]));
    }
    let mut hasher = H::new();
    hasher.update(ha1.as_bytes());
    let nonce = inputs.nonce.as_bytes();
    match inputs.qop {
        Some(Qop { auth_int, nc, cnonce }) => {
            let qop: &[u8] = if auth_int { b"auth-int" } else { b"auth" };
            update(&mut hasher, &[nonce, nc.as_bytes(), cnonce.as_bytes(), qop]);
        }
        None => update(&mut hasher, &[nonce]),
    }
    hasher
}

/// What a digest is made of, HA1 excepted, in one piece with a colon before and behind each part: a hash takes one long
/// piece at a fraction of what it takes for many short ones.
fn update<H: Digest>(hasher: &mut H, parts: &[&[u8]]) {
    let mut joined = [0; 128];
    match join(parts, &mut joined) {
        Some(joined) => hasher.update(joined),
        None => {
            for part in parts {
                hasher.update(b":");
                hasher.update(part);
            }
            hasher.update(b":");
        }
    }
}

/// `None`: there is no room for them.
fn join<'b>(parts: &[&[u8]], room: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut at = 0;
    for part in parts {
        let (colon, to) = room.get_mut(at..=at + part.len())?.split_first_mut()?;
        *colon = b':';
        to.copy_from_slice(part);
        at += 1 + part.len();
    }
    *room.get_mut(at)? = b':';
    Some(&room[..=at])
}

fn end<H: Digest>(mut beginning: H, ha2: &Response) -> Response {
    beginning.update(ha2.as_bytes());
    hex(beginning)
}

/// HA1.
enum First<'a> {
    Given(&'a str),
    Computed(Response),
}

impl First<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Given(hex) => hex.as_bytes(),
            Self::Computed(hex) => hex.as_bytes(),
        }
    }
}

fn first<H: Digest>(inputs: &Inputs<'_>, password: &[u8]) -> Response {
    hash::<H>(&[inputs.username.as_bytes(), inputs.realm.as_bytes(), password])
}

/// The hex digest of the parts with colons between them.
fn hash<H: Digest>(parts: &[&[u8]]) -> Response {
    let mut hasher = H::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hex(hasher)
}

fn hex<H: Digest>(hasher: H) -> Response {
    let octets = hasher.finalize();
    let mut out = Response { hex: [0; 64], len: 2 * octets.len() as u8 };
    HEXLOWER.encode_mut(&octets, &mut out.hex[..2 * octets.len()]);
    out
}

/// The password of AKAv2: base64 of an HMAC (RFC 4169 clause 3).
struct AkaV2Password {
    text: [u8; 44],
    len: usize,
}

impl AkaV2Password {
    fn as_slice(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

fn aka_v2_password<H: EagerHash>(res: &[u8], ik: &[u8; 16], ck: &[u8; 16]) -> AkaV2Password {
    let mut mac = <Hmac<H> as KeyInit>::new_from_slice(&[res, ik, ck].concat()).expect("HMAC takes keys of any length");
    mac.update(b"http-digest-akav2-password");
    let tag = mac.finalize().into_bytes();
    let mut password = AkaV2Password { text: [0; 44], len: BASE64.encode_len(tag.len()) };
    BASE64.encode_mut(&tag, &mut password.text[..password.len]);
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_any_case() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_token(algorithm.as_str()), Some(algorithm));
            assert_eq!(Algorithm::from_token(&algorithm.as_str().to_lowercase()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_token("AKAv3-MD5"), None);
    }

    #[test]
    fn matches_hex_of_any_case_and_nothing_else() {
        let right = hash::<Md5>(&[b""]);
        assert_eq!(right.as_str(), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(right.matches("D41D8CD98F00B204E9800998ECF8427E"));
        for wrong in ["", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427f", &"d".repeat(65)] {
            assert!(!right.matches(wrong), "{wrong:?}");
        }
    }

    /// RFC 7616 clause 3.4.2: with `-sess`, HA1 = H(H(user:realm:password):nonce:cnonce). Computed with Python's
    /// hashlib.
    #[test]
    fn session_variants() {
        let inputs = |algorithm| Inputs {
            algorithm,
            username: "alice",
            realm: "example.org",
            nonce: "n0",
            uri: "sip:example.org",
            method: "REGISTER",
            qop: Some(Qop { auth_int: false, nc: "00000001", cnonce: "c0" }),
            body: b"",
        };
        for (algorithm, expected) in SESSION_RESPONSES {
            let from_password = response(&inputs(*algorithm), Secret::Password(b"secret"));
            assert_eq!(from_password.as_str(), *expected, "{algorithm:?}");
        }
        let ha1 = hash::<Md5>(&[b"alice", b"example.org", b"secret"]);
        let from_ha1 = response(&inputs(Algorithm::Md5Sess), Secret::Ha1(ha1.as_str()));
        assert_eq!(from_ha1.as_str(), SESSION_RESPONSES[0].1);
    }

    /// By the two functions that make each by itself, and by hash functions of three sizes.
    #[test]
    fn a_check_agrees_with_response_and_rspauth() {
        let long = "n".repeat(200);
        let mut last = LastHa2::default();
        for algorithm in Algorithm::ALL {
            for (nonce, uri) in [("n0", "sip:a"), ("n0", "sip:b"), (&*long, "sip:b")] {
                for auth_int in [None, Some(false), Some(true)] {
                    let qop = auth_int.map(|auth_int| Qop { auth_int, nc: "00000001", cnonce: "c0" });
                    let (username, realm, method, body) = ("alice", "example.org", "REGISTER", &b"body"[..]);
                    let inputs = Inputs { algorithm, username, realm, nonce, uri, method, qop, body };
                    let secret = Secret::Aka { res: b"result", ik: &[1; 16], ck: &[2; 16] };
                    let right = response(&inputs, secret);
                    let Checked::Right { rspauth: given } = check(&inputs, secret, right.as_str(), &mut last) else {
                        panic!("{inputs:?}")
                    };
                    let wanted = qop.map(|_| rspauth(&Inputs { body: b"", ..inputs }, secret));
                    assert_eq!(given, wanted, "{inputs:?}");
                    let wrong = check(&inputs, Secret::Password(b"other"), right.as_str(), &mut last);
                    assert!(matches!(wrong, Checked::Wrong), "{inputs:?}");
                }
            }
        }
    }

    const SESSION_RESPONSES: &[(Algorithm, &str)] = &[
        (Algorithm::Md5Sess, "86cdd992e428b07dbb0e722387eea857"),
        (Algorithm::Sha256Sess, "c0320404d075b9ad26d2adb5c2fd3d58566eae67624de6037890a0e7d710df92"),
        (Algorithm::Sha512_256Sess, "81912b4f8f664defdbb929bb9f2bd12ddcecbf8c08c6b5c1b396bb1a49041b7e"),
    ];
}
