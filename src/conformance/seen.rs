//! What passed on Gm, and what expectations and rules say of it.

use super::expectation::{Condition, Expectation, Nth, Party, Selector, Test};
use super::{Accused, Case, End, Failure, Recording, Verdict};
use crate::mutation::{Guise, SipText, is_message, parameter, split};
use crate::sip::Method;
use crate::time::{Duration, Instant};
use crate::trace::Protection;
use crate::trace::story::{Carried, Group, Message, Registration};
use crate::validate::{self, Context, Keys, Severity, Side};

/// The messages of a recording, sorted by what they belong to.
pub(super) struct Gm<'a> {
    recording: &'a Recording,
    groups: Vec<Group>,
}

/// A message, and between whom.
#[derive(Clone, Copy)]
struct Seen<'r> {
    message: Message<'r>,
    from: Party,
    /// The UE at one end, from 1.
    ue: usize,
    at: Option<Instant>,
    /// It goes over an SA, or counts as if it did.
    protected: bool,
}

/// What is said of one expectation.
enum Said {
    Met,
    Unmet {
        found: String,
        messages: Vec<u64>,
    },
    Unseen(String),
    /// Nothing that it is about happened.
    Skipped,
}

impl<'a> Gm<'a> {
    /// Reads a recording; what cannot be read of it is not there.
    pub(super) fn read(recording: &'a Recording) -> Self {
        Self { recording, groups: recording.groups() }
    }

    /// Expectations first, then rules.
    pub(super) fn judge(&self, case: &Case) -> Verdict {
        let registrations: Vec<Registration<'_>> = self.groups.iter().map(Registration::of).collect();
        let seen = self.seen(&registrations, case.accused);
        if seen.is_empty() {
            return Verdict::NotObservable("nothing was recorded".to_owned());
        }
        let (mut failures, mut unseen) = (Vec::new(), Vec::new());
        let filled: Vec<Expectation> =
            case.expect.iter().map(|expectation| expectation.filled(|text| self.recording.filled(text))).collect();
        let mut is_about_nothing = !filled.is_empty();
        for expectation in &filled {
            let said = said(expectation, &seen);
            is_about_nothing &= matches!(said, Said::Skipped);
            match said {
                Said::Met | Said::Skipped => {}
                Said::Unmet { found, messages } => failures.push(Failure {
                    rule: None,
                    severity: case.severity,
                    clause: case.clause.clone(),
                    expected: expectation.to_string(),
                    found,
                    messages,
                }),
                Said::Unseen(why) => unseen.push(why),
            }
        }
        for registration in &registrations {
            self.judge_rules(case, registration, &mut failures, &mut unseen);
        }
        match (failures.is_empty(), unseen.into_iter().next()) {
            (false, _) => Verdict::Failed(failures),
            (true, Some(why)) => Verdict::NotObservable(why),
            (true, None) if is_about_nothing => Verdict::NotApplicable("nothing happened that it is about".to_owned()),
            (true, None) => Verdict::Passed,
        }
    }

    fn judge_rules(
        &self,
        case: &Case,
        registration: &Registration<'_>,
        failures: &mut Vec<Failure>,
        unseen: &mut Vec<String>,
    ) {
        let Recording { keys, setting, .. } = self.recording;
        let keys_of = |impi: &str| keys.iter().find(|(of, _)| **of == *impi).map(|(_, keys)| keys);
        let context = Context {
            keys: (!keys.is_empty()).then_some(&keys_of as &Keys<'_>),
            sec_agree_required: setting.sec_agree.then_some(true),
            esp_is_off: !setting.esp,
            ..Context::default()
        };
        let named = |id: &str| case.rules.iter().any(|rule| rule.eq_ignore_ascii_case(id));
        let findings = validate::judge(registration, &context, |rule| {
            let of_accused = (rule.side == Side::Ue) == (case.accused == Accused::Ue);
            let is_excused = case.excused.iter().any(|excused| excused.eq_ignore_ascii_case(rule.id));
            of_accused && !is_excused && (rule.severity == Severity::Error || named(rule.id))
        });
        for finding in findings {
            match finding.verdict {
                validate::Verdict::Fail => failures.push(Failure {
                    rule: Some(finding.rule.id),
                    severity: finding.rule.severity,
                    clause: finding.rule.clause.into(),
                    expected: finding.expected,
                    found: finding.found,
                    messages: finding.messages,
                }),
                validate::Verdict::NotObservable if named(finding.rule.id) => {
                    unseen.push(format!("{}: {}", finding.rule.id, finding.expected));
                }
                _ => {}
            }
        }
    }

    /// Everything on Gm, in the order of the recording.
    fn seen<'r>(&self, registrations: &'r [Registration<'r>], accused: Accused) -> Vec<Seen<'r>> {
        let all = registrations.iter().flat_map(|registration| registration.messages());
        let mut seen: Vec<Seen<'r>> = all.filter_map(|message| self.ends(message, accused)).collect();
        seen.sort_by_key(|seen| seen.message.number);
        if !self.recording.setting.agreement {
            let mut guises = vec![Guise::default(); self.recording.ues.len().max(1)];
            for seen in &mut seen {
                let text = SipText::read(&seen.message.record().bytes);
                seen.protected = text.zip(guises.get_mut(seen.ue - 1)).is_some_and(|(text, guise)| guise.covers(&text));
            }
        }
        seen
    }

    fn ends<'r>(&self, message: Message<'r>, accused: Accused) -> Option<Seen<'r>> {
        let ends = message.ends?;
        let ue = |address| self.recording.ues.iter().position(|end| end.has(address)).map(|at| at + 1);
        let is_network = |address| self.recording.network.iter().any(|end: &End| end.has(address));
        let (sender, receiver) = (ue(ends.from), ue(ends.to));
        let (from, ue) = match (sender, receiver, is_network(ends.from), is_network(ends.to)) {
            (Some(ue), ..) => (Party::Ue, ue),
            (None, Some(ue), ..) => (Party::Network, ue),
            // An unknown UE is the one that is looked at.
            (None, None, true, false) if accused == Accused::Ue => (Party::Network, 1),
            (None, None, false, true) if accused == Accused::Ue => (Party::Ue, 1),
            _ => return None,
        };
        Some(Seen { message, from, ue, at: message.at(), protected: is_protected(message) })
    }
}

fn said(expectation: &Expectation, seen: &[Seen<'_>]) -> Said {
    match expectation {
        Expectation::Answer { to, statuses, with } => {
            each(to, seen, |request| match request.message.exchange().and_then(|exchange| exchange.last()) {
                None => Err(("no answer".to_owned(), vec![request.message.number])),
                Some(answer) => {
                    let messages = vec![request.message.number, answer.number];
                    let status = answer.status().unwrap_or_default();
                    if !statuses.iter().any(|wanted| wanted.has(status)) {
                        return Err((status.to_string(), messages));
                    }
                    let Some(answer) = seen.iter().find(|seen| seen.message == answer) else { return Ok(()) };
                    match with.iter().find_map(|condition| missed(condition, *answer, seen)) {
                        Some(found) => Err((found, messages)),
                        None => Ok(()),
                    }
                }
            })
        }
        Expectation::Silence { to } => each(to, seen, |request| {
            let mut answers = request.message.exchange().into_iter().flat_map(|exchange| exchange.answers());
            answers
                .next()
                .map_or(Ok(()), |answer| Err((described(answer), vec![request.message.number, answer.number])))
        }),
        Expectation::Refused { to } => each(to, seen, |request| {
            let last = request.message.exchange().and_then(|exchange| exchange.last());
            let taken = last.filter(|last| last.status().is_some_and(|status| status / 100 == 2 || status == 401));
            taken.map_or(Ok(()), |answer| Err((described(answer), vec![request.message.number, answer.number])))
        }),
        Expectation::Follows { message, after, within, with } => {
            let behind = match behind(after.as_ref(), seen) {
                Ok(behind) => behind,
                Err(unseen) => return unseen,
            };
            let found = selected(message, behind.rest);
            let (in_time, late): (Vec<Seen<'_>>, Vec<Seen<'_>>) =
                found.into_iter().partition(|seen| behind.is_within(seen, *within));
            let mut wrong = None;
            for seen_there in &in_time {
                match with.iter().find_map(|condition| missed(condition, *seen_there, seen)) {
                    Some(found) => wrong = Some(Said::Unmet { found, messages: vec![seen_there.message.number] }),
                    None => return Said::Met,
                }
            }
            wrong.unwrap_or_else(|| match late.first() {
                Some(late) => Said::Unmet {
                    found: format!("it comes {} later", behind.since(late)),
                    messages: vec![late.message.number],
                },
                None => Said::Unmet { found: "none comes".to_owned(), messages: behind.anchor.into_iter().collect() },
            })
        }
        Expectation::Never { message, after, within } => {
            let behind = match behind(after.as_ref(), seen) {
                Ok(behind) => behind,
                Err(unseen) => return unseen,
            };
            let found = selected(message, behind.rest);
            match found.into_iter().find(|seen| behind.is_within(seen, *within)) {
                Some(seen) => Said::Unmet { found: described(seen.message), messages: vec![seen.message.number] },
                None => Said::Met,
            }
        }
        Expectation::Serves { ue, after } => {
            let behind = match behind(after.as_ref(), seen) {
                Ok(behind) => behind,
                Err(unseen) => return unseen,
            };
            let requests = behind.rest.iter().filter(|seen| {
                seen.ue == *ue && seen.from == Party::Ue && seen.message.is(Method::Register) && asks_for_time(**seen)
            });
            let statuses: Vec<Option<u16>> =
                requests.clone().map(|seen| seen.message.exchange().and_then(|exchange| exchange.status())).collect();
            if statuses.contains(&Some(200)) {
                return Said::Met;
            }
            let messages: Vec<u64> = requests.map(|seen| seen.message.number).collect();
            match statuses.last() {
                Some(Some(status)) => Said::Unmet { found: format!("its last REGISTER gets {status}"), messages },
                Some(None) => Said::Unmet { found: "its last REGISTER gets no answer".to_owned(), messages },
                None => Said::Unseen(format!("UE {ue} sends no REGISTER there")),
            }
        }
        Expectation::When { message, with, then } if happened(message, with, seen) => said(then, seen),
        Expectation::When { .. } => Said::Skipped,
    }
}

/// Whether a message is there that a condition of an expectation asks for.
fn happened(message: &Selector, with: &[Condition], seen: &[Seen<'_>]) -> bool {
    selected(message, seen).into_iter().any(|of| with.iter().all(|condition| missed(condition, of, seen).is_none()))
}

/// What must hold of each message that is meant: what is found instead, and where.
fn each(selector: &Selector, seen: &[Seen<'_>], holds: impl Fn(Seen<'_>) -> Result<(), (String, Vec<u64>)>) -> Said {
    let meant = selected(selector, seen);
    if meant.is_empty() {
        return Said::Unseen(format!("there is no {selector}"));
    }
    match meant.into_iter().find_map(|seen| holds(seen).err()) {
        Some((found, messages)) => Said::Unmet { found, messages },
        None => Said::Met,
    }
}

/// The part of a recording behind a message.
struct Behind<'s, 'r> {
    rest: &'s [Seen<'r>],
    anchor: Option<u64>,
    at: Option<Instant>,
}

impl Behind<'_, '_> {
    fn is_within(&self, seen: &Seen<'_>, within: Option<Duration>) -> bool {
        let Some(within) = within else { return true };
        seen.at.zip(self.at).is_none_or(|(at, anchor)| at.saturating_since(anchor) <= within)
    }

    fn since(&self, seen: &Seen<'_>) -> String {
        let time = seen.at.zip(self.at).map(|(at, anchor)| at.saturating_since(anchor));
        time.map_or_else(|| "too much".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    }
}

fn behind<'s, 'r>(after: Option<&Selector>, seen: &'s [Seen<'r>]) -> Result<Behind<'s, 'r>, Said> {
    let Some(after) = after else {
        return Ok(Behind { rest: seen, anchor: None, at: seen.first().and_then(|seen| seen.at) });
    };
    let anchor = selected(after, seen).into_iter().next();
    let anchor = anchor.ok_or_else(|| Said::Unseen(format!("there is no {after}")))?;
    let start = seen.partition_point(|seen| seen.message.number <= anchor.message.number);
    Ok(Behind { rest: &seen[start..], anchor: Some(anchor.message.number), at: anchor.at })
}

/// The messages that a selector means.
fn selected<'r>(selector: &Selector, seen: &[Seen<'r>]) -> Vec<Seen<'r>> {
    let fitting = seen.iter().filter(|seen| fits(selector, seen)).copied();
    match selector.nth {
        Nth::Every => fitting.collect(),
        Nth::Number(number) => fitting.skip(number - 1).take(1).collect(),
        Nth::Last => fitting.last().into_iter().collect(),
    }
}

fn fits(selector: &Selector, seen: &Seen<'_>) -> bool {
    let Selector { from, ue, message, protected, has, lacks, nth: _ } = selector;
    let record = seen.message.record();
    let text = |text: &str| memchr::memmem::find(&record.bytes, text.as_bytes()).is_some();
    from.is_none_or(|from| from == seen.from)
        && ue.is_none_or(|ue| ue == seen.ue)
        && seen.message.repeats().is_none()
        && is_message(message, record.protocol, &record.bytes)
        && protected.is_none_or(|protected| protected == seen.protected)
        && has.iter().all(|wanted| text(wanted))
        && !lacks.iter().any(|unwanted| text(unwanted))
}

fn is_protected(message: Message<'_>) -> bool {
    match message.carried() {
        Carried::Sa(_) | Carried::Ports(_) | Carried::Foreign => true,
        Carried::Clear => false,
        Carried::Unknown => message.record().protection != Protection::Clear,
    }
}

/// What is there in place of what a condition wants; `None`: it holds.
fn missed(condition: &Condition, of: Seen<'_>, seen: &[Seen<'_>]) -> Option<String> {
    let Condition { header, parameter, test } = condition;
    let value = value_of(of.message, header, parameter.as_deref());
    let name = parameter.as_ref().map_or_else(|| header.to_string(), |parameter| format!("{parameter} of {header}"));
    let shown = || value.as_ref().map_or_else(|| format!("no {name}"), |value| format!("{name} {value}"));
    let number = || value.as_deref().and_then(|value| value.split([' ', ';', ',']).next()?.parse::<u64>().ok());
    let before = || {
        let earlier = seen.iter().rev().filter(|other| {
            other.message.number < of.message.number
                && other.from == of.from
                && other.ue == of.ue
                && other.message.repeats().is_none()
                && other.message.is_request() == of.message.is_request()
                && other.message.method() == of.message.method()
        });
        earlier.map(|other| value_of(other.message, header, parameter.as_deref())).next().flatten()
    };
    let holds = match test {
        Test::Present => value.is_some(),
        Test::Absent => value.is_none(),
        Test::Is(wanted) => value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case(wanted)),
        Test::IsNot(unwanted) => value.as_deref().is_some_and(|value| !value.eq_ignore_ascii_case(unwanted)),
        Test::Has(text) => value.as_deref().is_some_and(|value| contains(value, text)),
        Test::Lacks(text) => value.as_deref().is_none_or(|value| !contains(value, text)),
        Test::AtLeast(bound) => number().is_some_and(|number| number >= *bound),
        Test::AtMost(bound) => number().is_some_and(|number| number <= *bound),
        Test::Changed => value.is_some() && value != before(),
        Test::Same => value.is_some() && value == before(),
        Test::Next => {
            let first = |value: Option<String>| value?.split(' ').next()?.parse::<u64>().ok();
            first(before()).is_some_and(|before| number() == Some(before + 1))
        }
        Test::Copies(other) => {
            let theirs =
                seen.iter().rev().filter(|seen| seen.message.number < of.message.number && seen.from != of.from);
            let copied = theirs.filter_map(|seen| value_of(seen.message, other, None)).next();
            value.is_some() && value.as_deref().map(without_space) == copied.as_deref().map(without_space)
        }
        Test::NoPairOf(other) => {
            let theirs =
                seen.iter().rev().filter(|seen| seen.message.number < of.message.number && seen.from != of.from);
            let offered = theirs.filter_map(|seen| value_of(seen.message, other, None)).next().unwrap_or_default();
            let offered = pairs(&offered);
            !pairs(value.as_deref().unwrap_or_default()).iter().any(|pair| offered.contains(pair))
        }
    };
    (!holds).then(shown)
}

/// A header, or a parameter: of each element that has it, with commas where they differ.
fn value_of(message: Message<'_>, header: &str, parameter: Option<&str>) -> Option<String> {
    let text = SipText::read(&message.record().bytes)?;
    match parameter {
        None => text.list(header),
        Some(parameter) => text.parameter(header, parameter),
    }
}

/// The pairs of algorithms of a security header; ealg is null where it is not said (TS 33.203 annex H).
fn pairs(list: &str) -> Vec<(String, String)> {
    let pair = |element: &str| {
        let of = |name| parameter(element, name).map(str::to_ascii_lowercase);
        Some((of("alg")?, of("ealg").unwrap_or_else(|| "null".to_owned())))
    };
    split(list, ',').into_iter().filter_map(pair).collect()
}

fn asks_for_time(seen: Seen<'_>) -> bool {
    let Some(text) = SipText::read(&seen.message.record().bytes) else { return false };
    text.value("Expires") != Some("0") && !text.list("Contact").is_some_and(|contact| contains(&contact, ";expires=0"))
}

fn described(message: Message<'_>) -> String {
    match (message.status(), message.method()) {
        (Some(status), Some(method)) => format!("{status} to {}", method.as_str()),
        (None, Some(method)) => method.as_str().to_owned(),
        (status, None) => status.map_or_else(|| "a message".to_owned(), |status| status.to_string()),
    }
}

fn contains(value: &str, text: &str) -> bool {
    value.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
}

fn without_space(value: &str) -> String {
    value.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}
