//! Keys and sequence numbers: what the UE says of a challenge (diagnoses 1.1).

use super::turn::{Said, Turn, autn_fit, is_forged};
use crate::aka::trial;
use crate::cx::{Mar, Uar};
use crate::diagnose::{Case, Cause, Failure, How};
use crate::event::Role;
use crate::sip::HeaderName;
use crate::trace::story::{Attempt, Exchange, Kind, Message, Outcome};
use crate::validate::rules::credentials::{first_challenge, rand_autn};
use crate::validate::rules::walk::is_aka;
use crate::validate::{Severity, Verdict};

pub(super) const CAUSES: &[&Cause] = &[&AKA_MAC, &SQN_NOTFWD, &SQN_SYNC, &ALG_DOWN, &AUTH_ABSENT];

const AKA_MAC: Cause = Cause {
    name: "DIAG-AKA-MAC",
    clause: "TS 33.102 clause 6.3.3; TS 24.229 clause 5.1.1.5.3",
    meaning: "The UE refuses the challenge as not genuine: its USIM and the HSS do not have the same keys or algorithm.",
    action: "Compare K and OPc of the HSS with those of the USIM (is the value an OP or an OPc?), then AMF and the algorithm. With \
             --k and --opc or --op this command tries the known mistakes.",
    behind: &[],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            let turns = Turn::all(attempt);
            let challenges: Vec<Message<'_>> = attempt.challenges().collect();
            let is_last = |challenge: Message<'_>| challenges.last() == Some(&challenge);
            let forged: Vec<Message<'_>> = challenges.iter().copied().filter(|c| is_forged(*c, case)).collect();
            let refused: Vec<&Turn<'_>> = turns.iter().filter(|turn| turn.said() == Said::Empty).collect();
            let explains = forged.last().is_some_and(|last| is_last(*last))
                || turns.last().is_some_and(|turn| turn.said() == Said::Empty);
            let Some(challenge) = forged.last().copied().or_else(|| refused.last().map(|turn| turn.challenge)) else {
                continue;
            };
            let messages = forged.iter().copied().chain(refused.iter().flat_map(|turn| turn.messages()));
            let messages: Vec<Message<'_>> = messages.collect();
            let (expected, found, action) = keys_said(challenge, case, !refused.is_empty());
            let noted = if explains {
                findings.of(attempt, messages, expected, found)
            } else {
                findings.remark(messages, expected, found)
            };
            noted.ruled_out("DIAG-SQN-SYNC: the UE sent no auts");
            if let Some(action) = action {
                noted.action(action);
            }
        }
        restarts(case, findings);
    },
};

const SQN_NOTFWD: Cause = Cause {
    name: "DIAG-SQN-NOTFWD",
    clause: "TS 29.228 clause 6.3.1; TS 24.229 clause 5.4.1.2.2",
    meaning: "The UE asks for resynchronisation, and the S-CSCF does not pass its auts on to the HSS.",
    action: "Make the S-CSCF send RAND and AUTS in SIP-Authorization of the next Multimedia-Auth-Request, for users who are not \
             registered yet as well.",
    behind: &[],
    find: |case, findings| {
        let shows_mar = case.registration.exchanges().any(|exchange| exchange.command() == Some(Mar::COMMAND));
        for attempt in case.registration.attempts().filter(|_| shows_mar) {
            let asking = Turn::all(attempt).into_iter().filter(|turn| turn.said() == Said::Auts);
            let kept: Vec<(Turn<'_>, Passed<'_>)> = asking.map(|turn| (turn, Passed::of(&turn))).collect();
            if kept.iter().any(|(_, passed)| matches!(passed, Passed::On)) {
                // Who gives up after one or two has done what is asked for.
                continue;
            }
            let found = kept.iter().find_map(|(turn, passed)| match passed {
                Passed::On | Passed::Unseen => None,
                Passed::Changed(mar, octets) => Some((turn, Some(*mar), format!("{octets} other octets"))),
                Passed::Dropped(mar) => Some((turn, Some(*mar), "a Multimedia-Auth-Request without it".to_owned())),
                Passed::Kept => Some((turn, None, "no Multimedia-Auth-Request".to_owned())),
            });
            if let Some((turn, mar, found)) = found {
                findings.of(attempt, turn.messages().chain(mar), "RAND and AUTS in SIP-Authorization", found);
            }
        }
    },
};

const SQN_SYNC: Cause = Cause {
    name: "DIAG-SQN-SYNC",
    clause: "TS 33.102 clauses 6.3.3 and 6.3.5; TS 24.229 clause 5.1.1.5.3",
    meaning: "The sequence number of the HSS is out of the range that the USIM accepts.",
    action: "See that the HSS takes SQN_MS of the auts and goes on above it (by 32 at least), that one HSS alone serves this USIM, \
             and that its data was not reset.",
    behind: &["DIAG-SQN-NOTFWD"],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            let turns = Turn::all(attempt);
            let asking: Vec<&Turn<'_>> = turns.iter().filter(|turn| turn.said() == Said::Auts).collect();
            let Some(last) = asking.last() else { continue };
            let explains =
                attempt.outcome() != Outcome::Registered && turns.last().is_some_and(|turn| turn.said() == Said::Auts);
            // Once is what auts is for.
            let is_over = !explains && asking.len() < 2;
            let newest = attempt.challenges().last().filter(|_| !is_over).unwrap_or(last.challenge);
            let (expected, found) = sequence_numbers(last, newest, case);
            let messages = asking.iter().flat_map(|turn| turn.messages());
            let noted = if explains {
                findings.of(attempt, messages, expected, found)
            } else {
                findings.remark(messages, expected, found)
            };
            noted.ruled_out("DIAG-AKA-MAC: a UE sends auts only after MAC was right");
            if is_over {
                noted.action(
                    "Nothing, if it was once: resynchronisation repaired it. If it comes again, see that one HSS alone serves this \
                     USIM, and that its data was not reset.",
                );
            } else if is_repaired(last, attempt, case) {
                noted
                    .possible()
                    .action("The newest challenge has an SQN that the USIM accepts: look for what comes after it.");
            } else if asking.len() < 2 {
                noted.likely();
            }
            if let Some(fit) = wrong_auts(last, case) {
                noted.action(format!("The auts itself is not right under the keys given: {fit}. Repair the USIM."));
            }
        }
    },
};

const ALG_DOWN: Cause = Cause {
    name: "DIAG-ALG-DOWN",
    clause: "RFC 3310 clause 3.1; TS 24.229 clause 5.4.1.2.1; TS 29.228 clause 6.3.1",
    meaning: "UE, S-CSCF and HSS do not use the same authentication scheme: AKA on one side, a password on the other.",
    action: "Set the authentication scheme of the subscriber in the HSS to Digest-AKAv1-MD5, and let the UE answer with the \
             algorithm of the challenge.",
    behind: &[],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            let Some(challenge) = attempt.challenges().last() else { continue };
            let Some(asked) = first_challenge(challenge) else { continue };
            let offer = attempt
                .request()
                .filter(|request| request.sip().is_some_and(|sip| sip.header(HeaderName::SecurityClient).is_some()));
            let turn = Turn::all(attempt).into_iter().last().filter(|turn| turn.said() == Said::Response);
            let answers_otherwise = turn.is_some_and(|turn| {
                turn.given.algorithm.is_some_and(|given| !given.eq_ignore_ascii_case(asked.algorithm.unwrap_or("MD5")))
            });
            if (is_aka(asked) || offer.is_none()) && !answers_otherwise {
                continue;
            }
            let scheme = case.failure().map(|_| schemes(attempt)).unwrap_or_default();
            let algorithm = |algorithm: Option<&str>| algorithm.unwrap_or("none (MD5)").to_owned();
            let mut found = format!("{scheme}WWW-Authenticate {}", algorithm(asked.algorithm));
            if let Some(turn) = turn {
                found.push_str(&format!(", Authorization {}", algorithm(turn.given.algorithm)));
            }
            let expected = if is_aka(asked) { algorithm(asked.algorithm) } else { "AKAv1-MD5".to_owned() };
            let messages = attempt.request().into_iter().chain([challenge]);
            let messages: Vec<Message<'_>> = messages.chain(turn.iter().flat_map(Turn::messages)).collect();
            findings.of(attempt, messages, expected, found);
        }
    },
};

const AUTH_ABSENT: Cause = Cause {
    name: "DIAG-AUTH-ABSENT",
    clause: "TS 24.229 clauses 5.1.1.2.2 and 5.3.1.2",
    meaning: "The UE gave no private identity: its first REGISTER has no Authorization.",
    action: "Use an IMS stack (with ISIM or USIM), or have the core derive the private identity from the public one.",
    behind: &[],
    find: |case, findings| {
        let Some((attempt, by, 400 | 403 | 404)) =
            case.refusal().filter(|(attempt, ..)| attempt.kind() == Kind::Initial)
        else {
            return;
        };
        let Some(request) = attempt.request().filter(|request| request.from() == Some(Role::Ue) && !request.cut) else {
            return;
        };
        let is_absent = request.sip().is_some_and(|sip| sip.authorization().is_ok_and(|digest| digest.is_none()));
        if attempt.challenge().is_none() && is_absent {
            findings.cause([request, by], "Authorization with username, realm and uri", "no Authorization").ruled_out(
                "DIAG-HSS-UNKNOWN: without a private identity the HSS cannot know the user, whatever it holds",
            );
        }
    },
};

/// Expected, found and action of [`AKA_MAC`].
fn keys_said(challenge: Message<'_>, case: &Case<'_>, refused: bool) -> (String, String, Option<String>) {
    let said = if refused { "an empty response without auts: the UE found MAC wrong" } else { "no answer" };
    match autn_fit(challenge, case) {
        None => ("a response".to_owned(), said.to_owned(), None),
        Some(Some(fit)) if fit.is_as_given() => (
            "a response: MAC is right under K and OPc given".to_owned(),
            said.to_owned(),
            Some("The HSS has the keys given, and the USIM has others: repair the USIM, or give this HSS its keys.".to_owned()),
        ),
        Some(Some(fit)) => (
            "MAC of K and OPc given".to_owned(),
            format!("a MAC that fits this: {fit}"),
            Some(format!("Repair the HSS. Its MAC was made with: {fit}.")),
        ),
        Some(None) => (
            "MAC of K and OPc given".to_owned(),
            "another MAC; none of the known mistakes fits (OP and OPc exchanged or expanded again, AMF 8000, 9001, 0000, XOR, \
             TUAK)"
                .to_owned(),
            Some("K or OPc of the HSS is another value altogether: enter both anew, or see that the keys given are those of \
                  this USIM."
                .to_owned()),
        ),
    }
}

/// The UE starts again and again after challenges that break no rule: the other face of a wrong MAC.
fn restarts(case: &Case<'_>, findings: &mut crate::diagnose::Findings<'_>) {
    let Some(Failure { attempt, how: How::Silent(challenge) }) = case.failure() else { return };
    let silent: Vec<Message<'_>> = case
        .registration
        .attempts()
        .filter(|attempt| attempt.outcome() == Outcome::Challenged && attempt.answer().is_none())
        .filter_map(Attempt::challenge)
        .collect();
    let is_sound = |message: &Message<'_>| {
        !case.failures().any(|f| f.rule.severity == Severity::Error && f.messages.contains(&message.number))
    };
    let repeats = |message: &Message<'_>| {
        let mut requests = message.exchange().into_iter().flat_map(|exchange| exchange.requests().collect::<Vec<_>>());
        requests.any(|request| request.index() > message.index())
    };
    let is_known = case.verdict("AK-14") != Verdict::NotObservable;
    if silent.len() < RESTARTS
        || is_known
        || !silent.iter().all(is_sound)
        || silent.iter().any(repeats)
        || findings.has(AKA_MAC.name)
    {
        return;
    }
    let found = format!("{} challenges, and a new first REGISTER after each", silent.len());
    let messages = attempt.request().into_iter().chain(silent).chain([challenge]);
    findings.cause(messages, "an answer to the challenge", found).possible();
}

/// Expected and found of [`SQN_SYNC`].
fn sequence_numbers(last: &Turn<'_>, newest: Message<'_>, case: &Case<'_>) -> (String, String) {
    let sqn = autn_fit(newest, case).flatten().and_then(|fit| fit.sqn);
    match (last.sqn_ms(case), sqn) {
        (Some(ms), Some(he)) => {
            let ahead = he.cast_signed() - ms.cast_signed();
            (
                format!("SQN above SQN_MS {ms:012x}, by 2^33 at most"),
                format!("SQN {he:012x} (SEQ {}, IND {}), {ahead} from SQN_MS", he >> 5, he & 31),
            )
        }
        _ => ("a response".to_owned(), "auts: SQN is out of range for the USIM".to_owned()),
    }
}

/// True where the newest challenge is later than the auts, and has an SQN that fits it.
fn is_repaired(last: &Turn<'_>, attempt: Attempt<'_>, case: &Case<'_>) -> bool {
    let newest = attempt.challenges().last().filter(|newest| newest.index() > last.register.index());
    let sqn = newest.and_then(|newest| autn_fit(newest, case).flatten()?.sqn);
    last.sqn_ms(case).zip(sqn).is_some_and(|(ms, he)| he > ms && he - ms <= 1 << 33)
}

/// What auts was made with, where it is not right under the keys.
fn wrong_auts(turn: &Turn<'_>, case: &Case<'_>) -> Option<String> {
    let ((rand, autn), typed) = (rand_autn(turn.challenge)?, case.typed.as_ref()?);
    match trial::of_auts(typed, &rand, [autn[6], autn[7]], &turn.auts()?) {
        Some(fit) if fit.is_as_given() => None,
        Some(fit) => Some(fit.to_string()),
        None => Some("no known mistake fits".to_owned()),
    }
}

/// What became of auts.
enum Passed<'r> {
    /// The HSS got it.
    On,
    /// The HSS got so many other octets, in this MAR.
    Changed(Message<'r>, usize),
    /// The HSS was asked without it.
    Dropped(Message<'r>),
    /// The HSS was not asked.
    Kept,
    /// The trace does not show it.
    Unseen,
}

impl<'r> Passed<'r> {
    fn of(turn: &Turn<'r>) -> Self {
        let (Some(auts), Some((rand, _))) = (turn.auts(), rand_autn(turn.challenge)) else { return Self::Unseen };
        match turn.journey.cx(Mar::COMMAND).and_then(Exchange::request) {
            Some(mar) => match Mar::decode(&mar.record().bytes).ok().and_then(|mar| mar.resync) {
                Some(octets) if *octets == [&rand[..], &auts].concat() => Self::On,
                Some(octets) => Self::Changed(mar, octets.len()),
                None => Self::Dropped(mar),
            },
            None if turn.reply().is_some() && reached_scscf(turn) => Self::Kept,
            None => Self::Unseen,
        }
    }
}

/// True where nothing tells that the S-CSCF did not get the REGISTER.
fn reached_scscf(turn: &Turn<'_>) -> bool {
    let hops: Vec<Exchange<'_>> = turn.journey.hops().collect();
    let shows_mw = turn.register.registration().observable().mw;
    !shows_mw || hops.iter().any(|hop| hop.server() == Some(Role::Scscf)) || turn.journey.cx(Uar::COMMAND).is_some()
}

/// The schemes of the MAAs of an attempt, as the start of a sentence.
fn schemes(attempt: Attempt<'_>) -> String {
    use crate::cx::Maa;
    let answers = attempt.journeys().filter_map(|journey| journey.cx(Mar::COMMAND)?.last());
    let scheme = |maa: Message<'_>| {
        let maa = Maa::decode(&maa.record().bytes).ok()?;
        maa.items.iter().find_map(|item| item.scheme).map(str::to_owned)
    };
    answers.filter_map(scheme).next_back().map(|scheme| format!("MAA {scheme}, ")).unwrap_or_default()
}

/// So many challenges without an answer in a row.
const RESTARTS: usize = 3;
