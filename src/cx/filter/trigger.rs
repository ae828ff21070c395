//! A trigger point: service point triggers in groups (TS 29.228 annex B.2.2).

use super::Request;
use super::pattern::{Pattern, PatternFault};
use crate::cx::user_data::{Condition, InitialFilterCriteria, Spt};

/// TriggerPoint, compiled.
#[derive(Debug)]
pub(super) enum Trigger {
    /// There is none: every request meets the criteria.
    Always,
    /// Every group must hold, a group by any of its conditions.
    Conjunctive(Box<[Group]>),
    /// One group must hold, by all of its conditions.
    Disjunctive(Box<[Group]>),
}

type Group = Box<[Test]>;

/// SPT, once for each of its groups.
#[derive(Clone, Debug)]
pub(super) struct Test {
    negated: bool,
    /// `None`: its pattern cannot be read.
    subject: Option<Subject>,
}

#[derive(Clone, Debug)]
enum Subject {
    RequestUri(Pattern),
    /// The method, and the bits of the registration types that count, all if none is named.
    Method(Box<str>, u8),
    Header {
        name: Pattern,
        content: Option<Pattern>,
    },
    SessionCase(u8),
    SessionDescription {
        line: Pattern,
        content: Option<Pattern>,
    },
}

impl Trigger {
    pub(super) fn compile(criteria: &InitialFilterCriteria, faults: &mut Vec<PatternFault>) -> Self {
        let Some(trigger) = &criteria.trigger else { return Self::Always };
        let mut groups: Vec<(u32, Vec<Test>)> = Vec::new();
        for spt in &trigger.conditions {
            let test = Test::compile(criteria.priority, spt, faults);
            for number in &spt.groups {
                match groups.iter_mut().find(|(known, _)| known == number) {
                    Some((_, tests)) => tests.push(test.clone()),
                    None => groups.push((*number, vec![test.clone()])),
                }
            }
        }
        let groups = groups.into_iter().map(|(_, tests)| tests.into()).collect();
        if trigger.cnf { Self::Conjunctive(groups) } else { Self::Disjunctive(groups) }
    }

    pub(super) fn holds(&self, request: &Request<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Conjunctive(groups) => groups.iter().all(|tests| tests.iter().any(|t| t.holds(request))),
            Self::Disjunctive(groups) => groups.iter().any(|tests| tests.iter().all(|t| t.holds(request))),
        }
    }
}

impl Test {
    fn compile(priority: u32, spt: &Spt, faults: &mut Vec<PatternFault>) -> Self {
        let subject = Subject::compile(spt).map_err(|(element, why)| PatternFault { priority, element, why });
        Self { negated: spt.negated, subject: subject.map_err(|fault| faults.push(fault)).ok() }
    }

    fn holds(&self, request: &Request<'_>) -> bool {
        self.subject.as_ref().is_some_and(|subject| subject.is_that_of(request) != self.negated)
    }
}

/// The element with the pattern that cannot be read, and why.
type Unreadable = (&'static str, String);

impl Subject {
    fn compile(spt: &Spt) -> Result<Self, Unreadable> {
        let within = |element: &'static str| move |why: String| (element, why);
        let content =
            |text: &Option<String>, element| text.as_deref().map(Pattern::within).transpose().map_err(within(element));
        Ok(match &spt.condition {
            Condition::RequestUri(uri) => Self::RequestUri(Pattern::within(uri).map_err(within("RequestURI"))?),
            Condition::Method(method) => {
                let types = spt.registration_types.iter().fold(0, |bits, kind| bits | 1 << (kind & 7));
                Self::Method(method.trim_ascii().into(), if types == 0 { ALL_TYPES } else { types })
            }
            Condition::SipHeader { header, content: text } => Self::Header {
                name: Pattern::name(header).map_err(within("SIPHeader/Header"))?,
                content: content(text, "SIPHeader/Content")?,
            },
            Condition::SessionCase(case) => Self::SessionCase(*case),
            Condition::SessionDescription { line, content: text } => Self::SessionDescription {
                line: Pattern::name(line).map_err(within("SessionDescription/Line"))?,
                content: content(text, "SessionDescription/Content")?,
            },
        })
    }

    fn is_that_of(&self, request: &Request<'_>) -> bool {
        let fits = |content: &Option<Pattern>, value: &str| content.as_ref().is_none_or(|c| c.is_in(value));
        match self {
            Self::RequestUri(uri) => uri.is_in(request.request_uri),
            Self::Method(method, types) => {
                **method == *request.method && request.registration.is_none_or(|kind| types >> kind as u8 & 1 == 1)
            }
            Self::Header { name, content } => {
                request.headers.any(&mut |header, value| name.is_in(header) && fits(content, value))
            }
            Self::SessionCase(case) => *case == request.session_case as u8,
            Self::SessionDescription { line, content } => request.session_description.lines().any(|text| {
                text.split_once('=').is_some_and(|(kind, value)| line.is_in(kind.trim_ascii()) && fits(content, value))
            }),
        }
    }
}

/// A bit for each registration type.
const ALL_TYPES: u8 = 0b111;
