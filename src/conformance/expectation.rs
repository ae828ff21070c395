//! What must follow, as data.

use crate::time::Duration;
use std::fmt;

/// Something that the accused must do, or must not. It is decided by what passes on Gm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expectation {
    /// The final answer to a request is one of these.
    Answer {
        /// The request, of either side.
        to: Selector,
        /// What it may be.
        statuses: Vec<Status>,
        /// What else holds of the answer.
        with: Vec<Condition>,
    },
    /// A request gets no answer at all.
    Silence {
        /// The request.
        to: Selector,
    },
    /// A request is not accepted: no answer, or a final answer that is neither 2xx nor 401.
    Refused {
        /// The request.
        to: Selector,
    },
    /// A message comes.
    Follows {
        /// Which.
        message: Selector,
        /// Behind the first that this one means; `None`: at any time.
        after: Option<Selector>,
        /// Not later than so long behind it, or behind the beginning.
        within: Option<Duration>,
        /// What else holds of it.
        with: Vec<Condition>,
    },
    /// A message does not come.
    Never {
        /// Which.
        message: Selector,
        /// Behind the first that this one means; `None`: at any time.
        after: Option<Selector>,
        /// Not earlier than so long behind it; `None`: not at all.
        within: Option<Duration>,
    },
    /// A UE gets a 200 to a REGISTER that asks for time.
    Serves {
        /// Which UE, from 1.
        ue: usize,
        /// Behind the first that this one means; `None`: at any time.
        after: Option<Selector>,
    },
    /// Something, but only where there is such a message.
    When {
        /// The message.
        message: Selector,
        /// What else holds of it.
        with: Vec<Condition>,
        /// What must follow then.
        then: Box<Self>,
    },
}

/// Some messages on Gm. A retransmission counts as what it repeats. Texts may hold `{ue2.impi}` and the like, see
/// [`super::Recording::names`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    /// Who sends it.
    pub from: Option<Party>,
    /// The UE at one end of it, from 1; `None`: any.
    pub ue: Option<usize>,
    /// As in mutations: `REGISTER`, `401`, `4xx`, `200 REGISTER`; empty: all.
    pub message: Box<str>,
    /// Whether it goes over an SA.
    pub protected: Option<bool>,
    /// Texts that are in it.
    pub has: Vec<Box<str>>,
    /// Texts that are not in it.
    pub lacks: Vec<Box<str>>,
    /// Which of those that fit.
    pub nth: Nth,
}

/// An end of Gm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// A UE.
    Ue,
    /// The network.
    Network,
}

/// Which of those that fit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Nth {
    /// Each that there is, where something must hold; the first, where something is counted from it.
    #[default]
    Every,
    /// This one, from 1.
    Number(usize),
    /// The last.
    Last,
}

/// A status, or a class of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// This one.
    Code(u16),
    /// `4xx`: all of this hundred. A challenge is not among them: 401 is only where it is named.
    Class(u16),
}

/// What must hold of a message besides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// The header.
    pub header: Box<str>,
    /// A parameter of it, of each element that there is; `None`: the whole value.
    pub parameter: Option<Box<str>>,
    /// What holds of it.
    pub test: Test,
}

/// What holds of a header or a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is this, in any case.
    Is(Box<str>),
    /// It is there, and something else.
    IsNot(Box<str>),
    /// This text is in it, in any case.
    Has(Box<str>),
    /// This text is not in it.
    Lacks(Box<str>),
    /// It is a number, and not less.
    AtLeast(u64),
    /// It is a number, and not more.
    AtMost(u64),
    /// It is another one than in the message before that fits: the same sender's last request of the method.
    Changed,
    /// It is the same as there.
    Same,
    /// It is a number, and one more than there.
    Next,
    /// It is the same as this header of the last message of the other side that had one (Security-Verify as
    /// Security-Server).
    Copies(Box<str>),
    /// No pair of integrity and encryption algorithms in it stands in this header of the last message of the other side that
    /// had one.
    NoPairOf(Box<str>),
}

impl Expectation {
    /// Whether it says that something is refused or ignored.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Silence { .. } | Self::Refused { .. } => true,
            Self::Answer { statuses, .. } => statuses.iter().all(|status| status.is_refusal()),
            Self::Follows { .. } | Self::Never { .. } | Self::Serves { .. } => false,
            Self::When { then, .. } => then.is_refusal(),
        }
    }

    /// Whether only the end of a run can tell that it holds.
    pub fn lasts(&self) -> bool {
        match self {
            Self::Silence { .. } | Self::Refused { .. } | Self::Never { .. } => true,
            Self::Answer { .. } | Self::Follows { .. } | Self::Serves { .. } => false,
            Self::When { then, .. } => then.lasts(),
        }
    }
}

impl Expectation {
    /// The same with every text of it as `fill` makes it.
    pub(super) fn filled(&self, fill: impl Fn(&str) -> String + Copy) -> Self {
        let of = |selector: &Selector| selector.filled(fill);
        let all = |with: &[Condition]| with.iter().map(|condition| condition.filled(fill)).collect();
        match self {
            Self::Answer { to, statuses, with } => {
                Self::Answer { to: of(to), statuses: statuses.clone(), with: all(with) }
            }
            Self::Silence { to } => Self::Silence { to: of(to) },
            Self::Refused { to } => Self::Refused { to: of(to) },
            Self::Follows { message, after, within, with } => {
                Self::Follows { message: of(message), after: after.as_ref().map(of), within: *within, with: all(with) }
            }
            Self::Never { message, after, within } => {
                Self::Never { message: of(message), after: after.as_ref().map(of), within: *within }
            }
            Self::Serves { ue, after } => Self::Serves { ue: *ue, after: after.as_ref().map(of) },
            Self::When { message, with, then } => {
                Self::When { message: of(message), with: all(with), then: Box::new(then.filled(fill)) }
            }
        }
    }
}

impl Condition {
    fn filled(&self, fill: impl Fn(&str) -> String) -> Self {
        let test = match &self.test {
            Test::Is(text) => Test::Is(fill(text).into()),
            Test::IsNot(text) => Test::IsNot(fill(text).into()),
            Test::Has(text) => Test::Has(fill(text).into()),
            Test::Lacks(text) => Test::Lacks(fill(text).into()),
            other => other.clone(),
        };
        Self { test, ..self.clone() }
    }
}

impl Selector {
    fn filled(&self, fill: impl Fn(&str) -> String) -> Self {
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| fill(text).into()).collect();
        Self { has: texts(&self.has), lacks: texts(&self.lacks), ..self.clone() }
    }

    /// Every message of this kind.
    pub fn of(message: &str) -> Self {
        Self {
            from: None,
            ue: None,
            message: message.into(),
            protected: None,
            has: Vec::new(),
            lacks: Vec::new(),
            nth: Nth::Every,
        }
    }
}

impl Status {
    /// Whether a status is meant.
    pub const fn has(self, status: u16) -> bool {
        match self {
            Self::Code(code) => status == code,
            Self::Class(hundreds) => status / 100 == hundreds && status != 401,
        }
    }

    const fn is_refusal(self) -> bool {
        match self {
            Self::Code(code) => code >= 300 && code != 401,
            Self::Class(hundreds) => hundreds >= 3,
        }
    }
}

/// As people read it, and as a selector in the middle of a sentence.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { to, statuses, with } => {
                let statuses: Vec<String> = statuses.iter().map(ToString::to_string).collect();
                write!(f, "the answer to {to} is {}{}", statuses.join(" or "), Conditions(with))
            }
            Self::Silence { to } => write!(f, "no answer to {to}"),
            Self::Refused { to } => write!(f, "{to} is refused, or not answered"),
            Self::Follows { message, after, within, with } => {
                write!(f, "{message} comes{}{}", Place(after.as_ref(), *within), Conditions(with))
            }
            Self::Never { message, after, within } => {
                write!(f, "{message} does not come{}", Place(after.as_ref(), *within))
            }
            Self::Serves { ue, after } => {
                write!(f, "a REGISTER of UE {ue} gets 200{}", Place(after.as_ref(), None))
            }
            Self::When { then, .. } => then.fmt(f),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            Nth::Every => {}
            Nth::Number(number) => write!(f, "number {number} of ")?,
            Nth::Last => f.write_str("the last of ")?,
        }
        match self.protected {
            Some(true) => f.write_str("protected ")?,
            Some(false) => f.write_str("unprotected ")?,
            None => {}
        }
        f.write_str(if self.message.is_empty() { "message" } else { &self.message })?;
        match (self.from, self.ue) {
            (Some(Party::Ue), Some(ue)) => write!(f, " of UE {ue}")?,
            (Some(Party::Ue), None) => f.write_str(" of the UE")?,
            (Some(Party::Network), Some(ue)) => write!(f, " to UE {ue}")?,
            (Some(Party::Network), None) => f.write_str(" of the network")?,
            (None, Some(ue)) => write!(f, " from or to UE {ue}")?,
            (None, None) => {}
        }
        for text in &self.has {
            write!(f, " with {text:?}")?;
        }
        for text in &self.lacks {
            write!(f, " without {text:?}")?;
        }
        Ok(())
    }
}

struct Place<'a>(Option<&'a Selector>, Option<Duration>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(within) = self.1 {
            write!(f, " within {:.1} s", within.as_secs_f64())?;
        }
        self.0.map_or(Ok(()), |after| write!(f, " behind {after}"))
    }
}

struct Conditions<'a>(&'a [Condition]);

impl fmt::Display for Conditions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|condition| write!(f, ", {condition}"))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, parameter, test } = self;
        match parameter {
            Some(parameter) => write!(f, "{parameter} of {header} ")?,
            None => write!(f, "{header} ")?,
        }
        match test {
            Test::Present => f.write_str("is there"),
            Test::Absent => f.write_str("is not there"),
            Test::Is(value) => write!(f, "is {value}"),
            Test::IsNot(value) => write!(f, "is not {value}"),
            Test::Has(text) => write!(f, "has {text}"),
            Test::Lacks(text) => write!(f, "has no {text}"),
            Test::AtLeast(bound) => write!(f, "is {bound} or more"),
            Test::AtMost(bound) => write!(f, "is {bound} or less"),
            Test::Changed => f.write_str("is another one than before"),
            Test::Same => f.write_str("is the same as before"),
            Test::Next => f.write_str("is one more than before"),
            Test::Copies(other) => write!(f, "copies {other}"),
            Test::NoPairOf(other) => write!(f, "has no pair of {other}"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(hundreds) => write!(f, "{hundreds}xx"),
        }
    }
}
