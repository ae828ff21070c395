//! Keys of ESP (diagnoses 1.3; TS 33.203 annex I).

use super::gm::{self, is_sealed};
use crate::aka::{Ck, Ik};
use crate::cx::{AuthItem, Maa, Mar};
use crate::diagnose::{Case, Cause, How};
use crate::event::Role;
use crate::trace::story::{Attempt, Exchange, Message, Set};
use crate::trace::{Icv, Mistake, Protection, Shut};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

pub(super) const CAUSES: &[&Cause] = &[&KEY];

const KEY: Cause = Cause {
    name: "DIAG-KEY",
    clause: "TS 33.203 clause 7.1 and annex I; TS 29.228 clause 6.3",
    meaning: "The two ends have different keys for ESP: each drops what the other sends, without a word.",
    action: "Compare CK and IK of both ends, and how they become keys: hmac-md5-96 takes IK, hmac-sha-1-96 IK and 32 zero \
             bits, des-ede3-cbc CK1 CK2 CK1, aes-cbc CK.",
    behind: &["DIAG-SEC-PICK"],
    find: |case, findings| {
        for finding in case.failed("SA-50") {
            let challenge = finding.messages.first().and_then(|number| case.registration.message(*number));
            let set = challenge.and_then(|challenge| case.registration.sets().find(|set| set.challenge() == challenge));
            let Some((set, attempt)) = set.and_then(|set| Some((set, set.attempt()?))) else { continue };
            let messages = case.messages_of(finding);
            let mistake = mistake_of(set);
            let found = match mistake {
                Some(mistake) => format!("{}; it fits with {mistake}", finding.found),
                None => finding.found.clone(),
            };
            let noted = gm::stopped(case, findings, attempt, messages, finding.expected.as_str(), found);
            if mistake == Some(Mistake::OtherChallenge) {
                noted.action("Take CK and IK of the challenge that is answered, not of one before.");
            }
        }
        if findings.has("DIAG-KEY") {
            return;
        }
        let Some(failure) = case.failure() else { return };
        if let Some((messages, found)) = two_vectors(case, failure.attempt) {
            let is_lost = !matches!(failure.how, How::Refused(_));
            if is_lost {
                findings.cause(messages, "one CK and IK for one RAND", found);
            } else {
                findings.remark(messages, "one CK and IK for one RAND", found);
            }
            return;
        }
        // ESP left, nothing came back, and nobody has a key to try.
        let (set, last) = match failure.how {
            How::Unheard(challenge) => (case.registration.sets().find(|set| set.challenge() == challenge), challenge),
            How::Unanswered(request) if is_sealed(request) && request.from() == Some(Role::Ue) => {
                let sa = request.carried().sa();
                (sa.map(|sa| case.registration.set(sa.set)), request)
            }
            _ => return,
        };
        // What is cut cannot be judged.
        let is_cut = |set: &Set<'_>| {
            let mut shut = set.shut().flat_map(|shut| &shut.first).peekable();
            shut.peek().is_some() && shut.all(|(.., sealed)| sealed.why == Shut::Cut)
        };
        let Some(set) = set.filter(|set| !is_talked_back(*set) && !is_cut(set)) else { return };
        let of_capture = set.messages().any(|message| matches!(message.record().protection, Protection::Set(_)));
        let was_heard = last != set.challenge() && gm::was_forwarded(failure.attempt.latest()) == Some(true);
        if of_capture || was_heard {
            return;
        }
        let count: u64 = set.shut().map(|shut| shut.count).sum::<u64>() + set.messages().count() as u64;
        let is_right = set.messages().any(|message| match message.record().protection {
            Protection::Esp(esp) => esp.icv == Icv::Right,
            _ => false,
        });
        let known = if is_right {
            "they are right under the keys that the trace shows: look for those of the P-CSCF"
        } else {
            "no key is known to judge them by"
        };
        let found = format!("{count} packets of the UE, and nothing back; {known}");
        findings.cause([set.challenge(), last], "an answer over the SAs", found).possible();
    },
};

/// The messages of an attempt that show two CK or IK for the RAND of its last challenge, and whose they are: the HSS's, the
/// S-CSCF's, and those that follow from K.
fn two_vectors<'r>(case: &Case<'r>, attempt: Attempt<'r>) -> Option<(Vec<Message<'r>>, String)> {
    let challenge = attempt.challenges().last()?;
    let rand = rand_of(challenge)?;
    let journey = attempt.journeys().find(|journey| journey.last() == Some(challenge))?;
    let mut vectors: Vec<Told<'r>> = Vec::new();
    if let Some(answer) = journey.cx(Mar::COMMAND).and_then(Exchange::last)
        && let Ok(maa) = Maa::decode(&answer.record().bytes)
    {
        let of_rand = |item: &&AuthItem<'_>| item.authenticate.is_some_and(|octets| octets.starts_with(&rand));
        let keys = maa.items.iter().find(of_rand).and_then(|item| item.ck.zip(item.ik));
        vectors.extend(keys.and_then(|(ck, ik)| Told::of("the MAA", Some(answer), ck, ik)));
    }
    for answer in journey.hops().filter_map(|hop| hop.answered(401)).filter(|answer| rand_of(*answer) == Some(rand)) {
        let digests = answer.sip().and_then(|sip| sip.challenges().ok()).unwrap_or_default();
        let hex = |text: &str| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().map(Zeroizing::new);
        let keys = digests.iter().find_map(|digest| Some((hex(digest.ck?)?, hex(digest.ik?)?)));
        vectors.extend(keys.and_then(|(ck, ik)| Told::of("the 401", Some(answer), &ck, &ik)));
    }
    if let Some(keys) = case.keys {
        let outputs = keys.outputs(&rand);
        vectors.push(Told { by: "K", shown: None, keys: (outputs.ck, outputs.ik) });
    }
    let (first, others) = vectors.split_first()?;
    let other = others.iter().find(|other| other.keys != first.keys)?;
    let messages = first.shown.into_iter().chain(other.shown).chain([challenge]).collect();
    Some((messages, format!("{} and {} have different ones", first.by, other.by)))
}

/// CK and IK as somebody tells them.
struct Told<'r> {
    by: &'static str,
    shown: Option<Message<'r>>,
    keys: (Ck, Ik),
}

impl<'r> Told<'r> {
    fn of(by: &'static str, shown: Option<Message<'r>>, ck: &[u8], ik: &[u8]) -> Option<Self> {
        Some(Self { by, shown, keys: (Ck(ck.try_into().ok()?), Ik(ik.try_into().ok()?)) })
    }
}

/// RAND of a challenge (RFC 3310 clause 3.2).
fn rand_of(challenge: Message<'_>) -> Option<[u8; 16]> {
    let digests = challenge.sip()?.challenges().ok()?;
    digests.iter().find_map(|digest| {
        let nonce = digest.nonce?.as_bytes();
        let octets = BASE64.decode(nonce).or_else(|_| BASE64_NOPAD.decode(nonce)).ok()?;
        octets.first_chunk().copied()
    })
}

/// The first mistake that makes the ICV of a packet of a set right.
pub(super) fn mistake_of(set: Set<'_>) -> Option<Mistake> {
    let opened = set.messages().find_map(|message| match message.record().protection {
        Protection::Esp(esp) => esp.mistake,
        _ => None,
    });
    let asked = || {
        set.connections().find_map(|step| match step.connection.protection {
            Protection::Esp(esp) => esp.mistake,
            _ => None,
        })
    };
    let shut = || set.shut().flat_map(|shut| &shut.first).find_map(|(.., sealed)| sealed.mistake);
    opened.or_else(asked).or_else(shut)
}

/// True where the P-CSCF sent something over a set.
fn is_talked_back(set: Set<'_>) -> bool {
    let ue = set.addresses().map(|(ue, _)| ue);
    let of_pcscf = |shut: &crate::trace::story::ShutSpi| {
        Some(shut.to) == ue && shut.first.iter().any(|(.., s)| s.why != Shut::Cut)
    };
    set.messages().any(|message| message.from() == Some(Role::Pcscf)) || set.shut().any(of_pcscf)
}
