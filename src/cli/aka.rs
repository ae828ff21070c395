//! `imsreg aka`: the calculator. Vectors, AUTN, AUTS and digest responses from K, and which known mistake fits.

use super::Failure;
use super::args::{AkaAlgorithm, AkaArgs, KeyArg};
use super::out::Out;
use crate::aka::digest::{self, Algorithm, Inputs, Qop, Secret};
use crate::aka::trial::{self, Answer, Fit, Others, Source, Typed};
use crate::aka::tuak::TuakKeys;
use crate::aka::vector::{SubscriberKeys, Vector, make_auts, open_auts};
use crate::aka::{K, Op, Opc};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value, json};

pub(super) fn run(args: &AkaArgs) -> Result<(), Failure> {
    let typed = typed(args)?;
    let keys = typed.keys();
    let from_nonce = args.nonce.as_deref().and_then(halves);
    let rand = match (&args.rand, from_nonce) {
        (Some(rand), _) => fixed(rand, "--rand", "32 hexadecimal digits")?,
        (None, Some((rand, _))) => rand,
        (None, None) => {
            return Err(Failure::Usage("--rand, or --nonce with RAND and AUTN in it, is needed".to_owned()));
        }
    };
    let amf: [u8; 2] = fixed(&args.amf, "--amf", "4 hexadecimal digits")?;
    let mut report = Report { args, sections: Map::new(), has_failed: false };
    report.vector(&keys, rand, amf)?;
    let autn = match &args.autn {
        Some(autn) => Some(fixed(autn, "--autn", "32 hexadecimal digits")?),
        None => from_nonce.map(|(_, autn)| autn),
    };
    if let Some(autn) = autn {
        report.autn(&typed, &rand, &autn);
    }
    if let Some(sqn_ms) = &args.sqn_ms {
        let auts = make_auts(&keys, &rand, sqn(sqn_ms, "--sqn-ms")?);
        report.add("made", json!({"auts": HEXLOWER.encode(&auts), "base64": BASE64.encode(&auts)}));
    }
    if let Some(auts) = &args.auts {
        report.auts(&typed, &keys, &rand, autn.map_or(amf, |autn| [autn[6], autn[7]]), auts)?;
    }
    if args.username.is_some() {
        report.response(&typed, &keys, &rand)?;
    }
    report.print();
    if report.has_failed { Err(Failure::Failed("what was given does not fit these keys".to_owned())) } else { Ok(()) }
}

struct Report<'a> {
    args: &'a AkaArgs,
    sections: Map<String, Value>,
    has_failed: bool,
}

impl Report<'_> {
    fn add(&mut self, name: &str, value: Value) {
        self.sections.insert(name.to_owned(), value);
    }

    fn secret(&self, octets: &[u8]) -> String {
        if self.args.show_keys { HEXLOWER.encode(octets) } else { "****".to_owned() }
    }

    fn vector(&mut self, keys: &SubscriberKeys, rand: [u8; 16], amf: [u8; 2]) -> Result<(), Failure> {
        let sqn = sqn(&self.args.sqn, "--sqn")?;
        let vector = Vector::compute(keys, rand, sqn, amf);
        let nonce = [&vector.rand[..], &vector.autn[..]].concat();
        let mut value = Map::new();
        match keys {
            SubscriberKeys::Milenage { opc, .. } => value.insert("opc".to_owned(), self.secret(&opc.0).into()),
            SubscriberKeys::Tuak(tuak) => value.insert("topc".to_owned(), self.secret(tuak.topc()).into()),
            SubscriberKeys::Xor { .. } => None,
        };
        let members = [
            ("rand", HEXLOWER.encode(&vector.rand)),
            ("sqn", format!("{sqn:012x}")),
            ("amf", HEXLOWER.encode(&amf)),
            ("autn", HEXLOWER.encode(&vector.autn)),
            ("mac_a", HEXLOWER.encode(&vector.autn[8..])),
            ("xres", self.secret(vector.xres.as_slice())),
            ("ck", self.secret(&vector.ck.0)),
            ("ik", self.secret(&vector.ik.0)),
            ("ak", self.secret(&keys.outputs(&rand).ak)),
            ("nonce", BASE64.encode(&nonce)),
        ];
        value.extend(members.map(|(name, text)| (name.to_owned(), text.into())));
        self.add("vector", value.into());
        Ok(())
    }

    fn autn(&mut self, typed: &Typed, rand: &[u8; 16], autn: &[u8; 16]) {
        let fit = trial::of_autn(typed, rand, autn);
        let mut value = self.fit(fit.as_ref());
        value.insert("amf".to_owned(), HEXLOWER.encode(&autn[6..8]).into());
        self.add("autn", value.into());
    }

    fn auts(
        &mut self,
        typed: &Typed,
        keys: &SubscriberKeys,
        rand: &[u8; 16],
        amf: [u8; 2],
        text: &str,
    ) -> Result<(), Failure> {
        let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|octets| octets.len() == 14);
        let octets = octets.or_else(|| BASE64.decode(text.as_bytes()).ok());
        let auts: [u8; 14] = octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| {
            Failure::Usage("--auts: expected 28 hexadecimal digits, or 14 octets in base64".to_owned())
        })?;
        let fit = match open_auts(keys, rand, &auts) {
            Some(opened) => Some(Fit { assumptions: Vec::new(), sqn: Some(opened.sqn_ms) }),
            None => trial::of_auts(typed, rand, amf, &auts),
        };
        let value = self.fit(fit.as_ref());
        self.add("auts", value.into());
        Ok(())
    }

    fn response(&mut self, typed: &Typed, keys: &SubscriberKeys, rand: &[u8; 16]) -> Result<(), Failure> {
        let args = self.args;
        let algorithm = Algorithm::from_token(&args.digest_algorithm)
            .ok_or_else(|| Failure::Usage(format!("--digest-algorithm {}: not known", args.digest_algorithm)))?;
        let username = args.username.as_deref().unwrap_or_default();
        let realm = args.realm.as_deref().or_else(|| username.split_once('@').map(|(_, realm)| realm));
        let realm = realm.ok_or_else(|| Failure::Usage("--realm is needed: the user name has none".to_owned()))?;
        let vector = Vector::compute(keys, *rand, sqn(&args.sqn, "--sqn")?, fixed(&args.amf, "--amf", "4 digits")?);
        let made = BASE64.encode(&[&vector.rand[..], &vector.autn[..]].concat());
        let uri = args.uri.clone().unwrap_or_else(|| format!("sip:{realm}"));
        let qop = |auth_int| Qop { auth_int, nc: &args.nc, cnonce: &args.cnonce };
        let qop = match args.qop.as_str() {
            "none" => None,
            "auth" => Some(qop(false)),
            "auth-int" => Some(qop(true)),
            other => return Err(Failure::Usage(format!("--qop {other}: none, auth or auth-int expected"))),
        };
        let inputs = Inputs {
            algorithm,
            username,
            realm,
            nonce: args.nonce.as_deref().unwrap_or(&made),
            uri: &uri,
            method: &args.method,
            qop,
            body: b"",
        };
        let out = keys.outputs(rand);
        let secret = Secret::Aka { res: out.res.as_slice(), ik: &out.ik.0, ck: &out.ck.0 };
        let response = digest::response(&inputs, secret);
        let mut value = json!({"response": response.as_str(), "rspauth": digest::rspauth(&inputs, secret).as_str()});
        if let Some(given) = &args.response {
            let others = Others { counts: Some((&args.nc, &args.cnonce)), ..Others::default() };
            let answer = Answer { inputs, response: given, others };
            let fit = trial::of_response(Source::Typed { typed, rand }, &answer);
            if let Some(value) = value.as_object_mut() {
                value.extend(self.fit(fit.as_ref()));
            }
        }
        self.add("digest", value);
        Ok(())
    }

    /// What a trial found. Whatever is not as given has failed.
    fn fit(&mut self, fit: Option<&Fit>) -> Map<String, Value> {
        self.has_failed |= fit.is_none_or(|fit| !fit.is_as_given());
        let mut value = Map::new();
        value.insert("fits".to_owned(), fit.map_or_else(|| "nothing that is known".to_owned(), Fit::to_string).into());
        let assumptions = fit.map(|fit| fit.assumptions.iter().map(ToString::to_string).collect::<Vec<_>>());
        value.insert("assumptions".to_owned(), json!(assumptions));
        if let Some(sqn) = fit.and_then(|fit| fit.sqn) {
            value.insert("sqn".to_owned(), format!("{sqn:012x}").into());
        }
        value
    }

    fn print(&self) {
        let mut out = Out::new();
        if self.args.common.json {
            out.line(&Value::from(self.sections.clone()).to_string());
            return;
        }
        for (name, section) in &self.sections {
            out.line(name);
            for (name, value) in section.as_object().into_iter().flatten().filter(|(name, _)| *name != "assumptions") {
                out.line(&format!("  {name:<9} {}", value.as_str().unwrap_or_default()));
            }
        }
        if !self.args.show_keys {
            out.line("keys are shown with --show-keys");
        }
    }
}

fn typed(args: &AkaArgs) -> Result<Typed, Failure> {
    let algorithm = args.algorithm;
    let missing = || Failure::Usage("--opc or --op is needed".to_owned());
    let wrong = |flag: &str, digits: usize| Failure::Usage(format!("{flag}: expected {digits} hexadecimal digits"));
    let octets = |key: &KeyArg, flag| key.octets().ok_or_else(|| wrong(flag, 32));
    match algorithm {
        AkaAlgorithm::Xor => Ok(Typed::from(&SubscriberKeys::Xor { k: K(octets(&args.k, "--k")?) })),
        AkaAlgorithm::Milenage => {
            let k = K(octets(&args.k, "--k")?);
            match (&args.opc, &args.op) {
                (Some(opc), _) => Ok(Typed::opc(k, Opc(octets(opc, "--opc")?))),
                (None, Some(op)) => Ok(Typed::op(k, Op(octets(op, "--op")?))),
                (None, None) => Err(missing()),
            }
        }
        AkaAlgorithm::Tuak => {
            let k = args.k.any().filter(|k| matches!(k.len(), 16 | 32)).ok_or_else(|| wrong("--k", 32))?;
            let wide = |key: &KeyArg, flag| {
                key.any().and_then(|octets| <[u8; 32]>::try_from(&octets[..]).ok()).ok_or_else(|| wrong(flag, 64))
            };
            let keys = match (&args.opc, &args.op) {
                (Some(topc), _) => TuakKeys::new(&k, wide(topc, "--opc")?, args.res_len, args.iterations),
                (None, Some(top)) => TuakKeys::with_top(&k, wide(top, "--op")?, args.res_len, args.iterations),
                (None, None) => return Err(missing()),
            };
            let keys = keys.ok_or_else(|| Failure::Usage("--res-len: 4, 8, 16 or 32 expected".to_owned()))?;
            Ok(Typed::from(&SubscriberKeys::Tuak(Box::new(keys))))
        }
    }
}

fn fixed<const N: usize>(text: &str, flag: &str, expected: &str) -> Result<[u8; N], Failure> {
    let octets = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
    let wrong = || Failure::Usage(format!("{flag} {text}: expected {expected}"));
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)
}

/// Up to 12 hexadecimal digits.
fn sqn(text: &str, flag: &str) -> Result<u64, Failure> {
    let read = (text.len() <= 12).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    read.ok_or_else(|| Failure::Usage(format!("{flag} {text}: expected up to 12 hexadecimal digits")))
}

/// RAND and AUTN of a nonce.
fn halves(nonce: &str) -> Option<([u8; 16], [u8; 16])> {
    let octets = BASE64.decode(nonce.as_bytes()).or_else(|_| BASE64_NOPAD.decode(nonce.as_bytes())).ok()?;
    Some((octets.get(..16)?.try_into().ok()?, octets.get(16..32)?.try_into().ok()?))
}
