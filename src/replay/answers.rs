//! Challenges and their answers: recorded ones, or computed anew where K or the password is known.

use super::rewrite::replaced;
use crate::aka::digest::{self, Algorithm, Inputs, Qop, Secret};
use crate::aka::usim::{Usim, Verdict};
use crate::aka::vector::{self, SubscriberKeys, Vector};
use crate::aka::{Ck, Ik, Password};
use crate::random::Random;
use crate::sip::HeaderName;
use crate::sip::header::digest::Digest;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};

/// What is known of the subscriber.
#[derive(Clone, Debug, Default)]
pub enum Known {
    /// Nothing: recorded challenges have recorded answers.
    #[default]
    Nothing,
    /// K and its operator value.
    Keys(SubscriberKeys),
    /// A password.
    Password(Password),
}

/// A challenge as it was recorded, and the one in its place.
#[derive(Clone, Default)]
pub(super) struct Challenge {
    pub(super) recorded: Values,
    pub(super) now: Values,
}

/// The parameters of a challenge that its answer repeats.
#[derive(Clone, Default)]
pub(super) struct Values {
    pub(super) realm: String,
    pub(super) nonce: String,
    opaque: Option<String>,
    algorithm: Option<String>,
}

/// What an answer is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judged {
    /// It follows from the key.
    Right,
    /// It does not.
    Wrong,
    /// Nobody can tell.
    Unknown,
}

/// Why no answer can be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CannotAnswer {
    #[error("the challenge is not the recorded one, and without K or the password nobody can answer it")]
    NotRecorded,
    #[error("the nonce holds no RAND and AUTN, so K does not help")]
    NoVector,
}

impl Values {
    pub(super) fn of(challenge: &Digest<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            realm: owned(challenge.realm).unwrap_or_default(),
            nonce: owned(challenge.nonce).unwrap_or_default(),
            opaque: owned(challenge.opaque),
            algorithm: owned(challenge.algorithm),
        }
    }

    /// RAND and AUTN, and what else the nonce holds (RFC 3310 clause 3.2).
    fn vector(&self) -> Option<([u8; 16], [u8; 16], Vec<u8>)> {
        vector_of(&self.nonce)
    }
}

impl Challenge {
    /// Authorization as the UE would give it now: `value` as recorded, with what else is new in it already.
    pub(super) fn answer(
        &self,
        value: &str,
        name: HeaderName,
        method: &str,
        body: &[u8],
        known: &Known,
    ) -> Result<String, CannotAnswer> {
        let Ok(Some(recorded)) = Digest::parse(name, value) else { return Ok(value.to_owned()) };
        let mut edits: Vec<(&str, String)> = Vec::new();
        let pairs = [
            (recorded.nonce, Some(&self.recorded.nonce), Some(&self.now.nonce)),
            (recorded.realm, Some(&self.recorded.realm), Some(&self.now.realm)),
            (recorded.opaque, self.recorded.opaque.as_ref(), self.now.opaque.as_ref()),
            (recorded.algorithm, self.recorded.algorithm.as_ref(), self.now.algorithm.as_ref()),
        ];
        for (given, was, is) in pairs {
            if let (Some(given), Some(was), Some(is)) = (given, was, is)
                && given == was
            {
                edits.push((given, is.clone()));
            }
        }
        let auts = match recorded.auts {
            Some(recorded) => self.auts(recorded, known),
            None => None,
        };
        if let (Some(given), Some(auts)) = (recorded.auts, &auts) {
            edits.push((given, BASE64.encode(auts)));
        }
        let now = replaced(value, edits);
        let Ok(Some(digest)) = Digest::parse(name, &now) else { return Ok(now) };
        let Some(response) = digest.response.filter(|response| !response.is_empty()) else { return Ok(now) };
        if (&self.now.nonce, &self.now.realm) == (&self.recorded.nonce, &self.recorded.realm) {
            return Ok(now);
        }
        let renewed = match (known, recorded.auts) {
            (Known::Nothing, _) => return Err(CannotAnswer::NotRecorded),
            (_, Some(_)) => compute(&digest, method, body, Secret::Password(b"")),
            _ => self.compute(&digest, method, body, known)?,
        };
        // An answer that was wrong when it was recorded stays wrong.
        let was_wrong = self.judge_recorded(value, name, method, body, known) == Judged::Wrong;
        match renewed.filter(|_| !was_wrong) {
            Some(renewed) => Ok(replaced(&now, vec![(response, renewed)])),
            None => Ok(now),
        }
    }

    /// CK and IK of the challenge of now.
    pub(super) fn keys(&self, known: &Known) -> Option<(Ck, Ik)> {
        let (Known::Keys(keys), Some((rand, ..))) = (known, self.now.vector()) else { return None };
        let outputs = keys.outputs(&rand);
        Some((outputs.ck, outputs.ik))
    }

    /// Whether K made the AUTN of now; `None`: nobody can tell.
    pub(super) fn is_genuine(&self, known: &Known) -> Option<bool> {
        let (Known::Keys(keys), Some((rand, autn, _))) = (known, self.now.vector()) else { return None };
        Some(vector::open_autn(keys, &rand, &autn).is_genuine)
    }

    /// Whether an answer to the challenge of now is right.
    pub(super) fn judge(&self, value: &str, name: HeaderName, method: &str, body: &[u8], known: &Known) -> Judged {
        let Ok(Some(digest)) = Digest::parse(name, value) else { return Judged::Unknown };
        if digest.nonce != Some(&self.now.nonce) || digest.auts.is_some() {
            return Judged::Unknown;
        }
        match self.compute(&digest, method, body, known) {
            Ok(Some(right)) => {
                let given = digest.response.unwrap_or_default();
                if right.eq_ignore_ascii_case(given) { Judged::Right } else { Judged::Wrong }
            }
            _ => Judged::Unknown,
        }
    }

    /// SQN of the UE, where it asks for another and K knows how to read that.
    pub(super) fn resynchronised(&self, value: &str, known: &Known) -> Option<u64> {
        let Ok(Some(digest)) = Digest::parse(HeaderName::Authorization, value) else { return None };
        let (Known::Keys(keys), Some((rand, ..))) = (known, self.now.vector()) else { return None };
        let auts: [u8; 14] = decoded(digest.auts?)?.try_into().ok()?;
        vector::open_auts(keys, &rand, &auts).map(|found| found.sqn_ms)
    }

    /// SQN of the recorded challenge, where K made it.
    pub(super) fn recorded_sqn(&self, known: &Known) -> Option<u64> {
        let (Known::Keys(keys), Some((rand, autn, _))) = (known, self.recorded.vector()) else { return None };
        let opened = vector::open_autn(keys, &rand, &autn);
        opened.is_genuine.then_some(opened.sqn)
    }

    /// A challenge of the same kind, made anew: the value of WWW-Authenticate, and what it says.
    pub(super) fn made_anew(
        value: &str,
        name: HeaderName,
        sqn: u64,
        known: &Known,
        random: &mut Random,
    ) -> (String, Self) {
        let Ok(Some(recorded)) = Digest::parse(name, value) else { return (value.to_owned(), Self::default()) };
        let mut this = Self { recorded: Values::of(&recorded), now: Values::of(&recorded) };
        let nonce = match (known, this.recorded.vector()) {
            (Known::Keys(keys), Some((_, autn, rest))) => {
                let made = Vector::compute(keys, random.bytes(), sqn, [autn[6], autn[7]]);
                BASE64.encode(&[&made.rand[..], &made.autn, &rest].concat())
            }
            (Known::Password(_), None) => HEXLOWER.encode(&random.bytes::<16>()),
            _ => return (value.to_owned(), this),
        };
        let now = match recorded.nonce {
            Some(given) => replaced(value, vec![(given, nonce.clone())]),
            None => value.to_owned(),
        };
        this.now.nonce = nonce;
        (now, this)
    }

    fn judge_recorded(&self, value: &str, name: HeaderName, method: &str, body: &[u8], known: &Known) -> Judged {
        let recorded = Self { recorded: self.recorded.clone(), now: self.recorded.clone() };
        recorded.judge(value, name, method, body, known)
    }

    fn compute(
        &self,
        digest: &Digest<'_>,
        method: &str,
        body: &[u8],
        known: &Known,
    ) -> Result<Option<String>, CannotAnswer> {
        match known {
            Known::Nothing => Err(CannotAnswer::NotRecorded),
            Known::Password(password) => Ok(compute(digest, method, body, Secret::Password(password.0.as_bytes()))),
            Known::Keys(keys) => {
                let (rand, ..) = self.now.vector().ok_or(CannotAnswer::NoVector)?;
                let outputs = keys.outputs(&rand);
                let secret = Secret::Aka { res: outputs.res.as_slice(), ik: &outputs.ik.0, ck: &outputs.ck.0 };
                Ok(compute(digest, method, body, secret))
            }
        }
    }

    /// AUTS for the challenge of now: of a USIM that stands where the recorded one stood.
    fn auts(&self, recorded: &str, known: &Known) -> Option<[u8; 14]> {
        let Known::Keys(keys) = known else { return None };
        let (rand, ..) = self.recorded.vector()?;
        let auts: [u8; 14] = decoded(recorded)?.try_into().ok()?;
        let sqn_ms = vector::open_auts(keys, &rand, &auts)?.sqn_ms;
        let (rand, autn, _) = self.now.vector()?;
        match Usim::new(keys.clone(), sqn_ms).authenticate(&rand, &autn) {
            Verdict::SynchronisationFailure { auts, .. } => Some(auts),
            Verdict::Accepted { .. } | Verdict::MacFailure => None,
        }
    }
}

/// Nonces are no secrets, but identities stand beside them.
impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(..)")
    }
}

fn compute(digest: &Digest<'_>, method: &str, body: &[u8], secret: Secret<'_>) -> Option<String> {
    let algorithm = digest.algorithm.map_or(Some(Algorithm::Md5), Algorithm::from_token)?;
    let qop = digest.qop.map(|qop| Qop {
        auth_int: qop.eq_ignore_ascii_case("auth-int"),
        nc: digest.nc.unwrap_or_default(),
        cnonce: digest.cnonce.unwrap_or_default(),
    });
    let inputs = Inputs {
        algorithm,
        username: digest.username?,
        realm: digest.realm?,
        nonce: digest.nonce?,
        uri: digest.uri?,
        method,
        qop,
        body,
    };
    Some(digest::response(&inputs, secret).as_str().to_owned())
}

fn vector_of(nonce: &str) -> Option<([u8; 16], [u8; 16], Vec<u8>)> {
    let octets = decoded(nonce)?;
    let rand = *octets.first_chunk()?;
    let autn = *octets.get(16..)?.first_chunk()?;
    Some((rand, autn, octets[32..].to_vec()))
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aka::milenage::Milenage;
    use crate::aka::{K, Op};

    const ALGORITHM: &str = "AKAv1-MD5";

    fn keys() -> SubscriberKeys {
        let k = K([0x11; 16]);
        let opc = Milenage::opc(&k, &Op([0x22; 16]));
        SubscriberKeys::Milenage { k, opc }
    }

    /// A challenge, and the right answer to it.
    fn recorded(sqn: u64) -> (String, String) {
        let made = Vector::compute(&keys(), [7; 16], sqn, [0x80, 0]);
        let nonce = BASE64.encode(&[made.rand, made.autn].concat());
        let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", algorithm={ALGORITHM}");
        let answer = format!(
            "Digest username=\"u\",realm=\"r\",uri=\"sip:r\",nonce=\"{nonce}\",algorithm={ALGORITHM},response=\"0\""
        );
        let digest = Digest::parse(HeaderName::Authorization, &answer).unwrap().unwrap();
        let secret = Secret::Aka { res: made.xres.as_slice(), ik: &made.ik.0, ck: &made.ck.0 };
        let response = compute(&digest, "REGISTER", b"", secret).unwrap();
        let answer = answer.replace("\"0\"", &format!("\"{response}\""));
        (challenge, answer)
    }

    fn made(value: &str, known: &Known) -> (String, Challenge) {
        Challenge::made_anew(value, HeaderName::WwwAuthenticate, 64, known, &mut Random::seeded(1))
    }

    fn answer(challenge: &Challenge, value: &str, known: &Known) -> Result<String, CannotAnswer> {
        challenge.answer(value, HeaderName::Authorization, "REGISTER", b"", known)
    }

    #[test]
    fn with_k_challenge_and_answer_are_computed_anew() {
        let (value, given) = recorded(32);
        let known = Known::Keys(keys());
        let (now, challenge) = made(&value, &known);
        assert_ne!(now, value);
        assert_eq!((challenge.recorded_sqn(&known), challenge.is_genuine(&known)), (Some(32), Some(true)));
        let answered = answer(&challenge, &given, &known).unwrap();
        let judge = |value: &str| challenge.judge(value, HeaderName::Authorization, "REGISTER", b"", &known);
        assert_eq!((judge(&answered), judge(&given)), (Judged::Right, Judged::Unknown));
        // What was wrong stays wrong.
        let at = given.find("response=\"").unwrap() + 10;
        let wrong = [&given[..at], if given[at..].starts_with('0') { "1" } else { "0" }, &given[at + 1..]].concat();
        assert_eq!(judge(&answer(&challenge, &wrong, &known).unwrap()), Judged::Wrong);
    }

    #[test]
    fn without_k_only_the_recorded_challenge_can_be_answered() {
        let (value, given) = recorded(32);
        let (now, challenge) = made(&value, &Known::Nothing);
        assert_eq!(now, value);
        assert_eq!(answer(&challenge, &given, &Known::Nothing).unwrap(), given);
        let (_, other) = made(&value, &Known::Keys(keys()));
        assert_eq!(answer(&other, &given, &Known::Nothing), Err(CannotAnswer::NotRecorded));
        assert!(!format!("{other:?} {:?}", Known::Keys(keys())).contains("17, 17"));
    }

    #[test]
    fn a_usim_that_stood_higher_asks_again() {
        let (value, given) = recorded(32);
        let known = Known::Keys(keys());
        let (_, challenge) = made(&value, &known);
        let (rand, autn, _) = challenge.recorded.vector().unwrap();
        let Verdict::SynchronisationFailure { auts, .. } = Usim::new(keys(), 4096).authenticate(&rand, &autn) else {
            panic!("the SQN is old")
        };
        let given = format!("{given},auts=\"{}\"", BASE64.encode(&auts));
        let answered = answer(&challenge, &given, &known).unwrap();
        assert_ne!(answered, given);
        assert_eq!(challenge.resynchronised(&answered, &known), Some(4096));
    }

    #[test]
    fn passwords_too() {
        let value = "Digest realm=\"r\",nonce=\"abc\",algorithm=MD5";
        let known = Known::Password(Password("secret".into()));
        let (_, challenge) = made(value, &known);
        let given = "Digest username=\"u\",realm=\"r\",nonce=\"abc\",uri=\"sip:r\",response=\"\"";
        assert!(answer(&challenge, given, &known).unwrap().ends_with("response=\"\""), "no answer stays none");
        let digest = Digest::parse(HeaderName::Authorization, given).unwrap().unwrap();
        let right = compute(&digest, "REGISTER", b"", Secret::Password(b"secret")).unwrap();
        let given = given.replace("response=\"\"", &format!("response=\"{right}\""));
        let answered = answer(&challenge, &given, &known).unwrap();
        assert!(!answered.contains(&right) && !answered.contains("abc"));
        let judged = challenge.judge(&answered, HeaderName::Authorization, "REGISTER", b"", &known);
        assert_eq!(judged, Judged::Right);
    }
}
