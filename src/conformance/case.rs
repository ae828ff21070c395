//! One case.

use super::Expectation;
use crate::time::Duration;
use crate::validate::Severity;

/// What is asked of the accused. How its world is made stands beside it, in `config::CheckCase`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its name, that of its mutation.
    pub id: Box<str>,
    /// What it belongs to: `offer`, `verify`, ..
    pub group: Box<str>,
    /// What is done to the accused, in a sentence.
    pub about: Box<str>,
    /// Who is looked at.
    pub accused: Accused,
    /// The rules of the catalogue that it is about.
    pub rules: Vec<Box<str>>,
    /// Rules that the fault breaks by itself: where they fail, that says nothing of the accused.
    pub excused: Vec<Box<str>>,
    /// Where it is written what must follow.
    pub clause: Box<str>,
    /// How bad it is when an expectation is not met.
    pub severity: Severity,
    /// What the setting must offer.
    pub needs: Vec<Need>,
    /// A timer of the peer that has to pass.
    pub waits: Option<Duration>,
    /// What must follow, all of it.
    pub expect: Vec<Expectation>,
}

/// Who is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Accused {
    /// A P-CSCF, and the core behind it: we are the UEs.
    Pcscf,
    /// A UE: we are the network.
    Ue,
}

/// What the setting must offer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Need {
    /// SAs are ESP.
    Esp,
    /// SAs are clear text between their ports.
    NoEsp,
    /// UDP on Gm; the first REGISTER goes over it.
    Udp,
    /// TCP on Gm; the first REGISTER goes over it.
    Tcp,
    /// A second subscriber.
    SecondUe,
    /// A second public identity of the first subscriber, that is not barred.
    SecondIdentity,
    /// Somebody who tells the network to de-register, or to authenticate again.
    Operator,
    /// The network wants a security agreement of everybody.
    SecAgree,
    /// UE and network agree on security: the case is about that.
    Agreement,
}

/// What a run offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// SAs are ESP; else clear text between their ports.
    pub esp: bool,
    /// UDP can be used.
    pub udp: bool,
    /// TCP can be used.
    pub tcp: bool,
    /// How many subscribers there are.
    pub ues: usize,
    /// The first has a second public identity.
    pub second_identity: bool,
    /// The network takes orders.
    pub operator: bool,
    /// The network wants a security agreement of everybody.
    pub sec_agree: bool,
    /// UE and network agree on security. Else everything stays in clear, and what follows a challenge counts as protected.
    pub agreement: bool,
    /// Cases that wait for a timer of the peer are left out.
    pub fast: bool,
}

impl Setting {
    /// One that offers everything, with ESP or without.
    pub const fn full(esp: bool) -> Self {
        Self {
            esp,
            udp: true,
            tcp: true,
            ues: 2,
            second_identity: true,
            operator: true,
            sec_agree: true,
            agreement: true,
            fast: false,
        }
    }

    /// The same without a security agreement.
    #[must_use]
    pub const fn in_clear(self) -> Self {
        Self { esp: false, sec_agree: false, agreement: false, ..self }
    }
}

impl Case {
    /// Why it cannot be judged in a setting; `None`: it can.
    pub fn obstacle(&self, setting: &Setting) -> Option<String> {
        if let Some(need) = self.needs.iter().find(|need| !need.is_met(setting)) {
            let is_about_it = matches!(need, Need::Agreement | Need::SecAgree | Need::Esp | Need::NoEsp);
            if is_about_it && !setting.agreement {
                return Some("is about the security agreement, which is off".to_owned());
            }
            return Some(format!("needs {}", need.as_str()));
        }
        let wait = self.waits.filter(|_| setting.fast)?;
        Some(format!("waits {} s for a timer of the peer, which --fast leaves out", wait.as_secs()))
    }

    /// Whether it expects that something is refused or ignored. Then it says nothing where nothing works at all.
    pub fn expects_refusal(&self) -> bool {
        self.expect.iter().any(Expectation::is_refusal)
    }

    /// Whether only the end of the run can tell: something must not happen.
    pub fn lasts(&self) -> bool {
        self.expect.iter().any(Expectation::lasts)
    }
}

impl Accused {
    /// As in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcscf => "pcscf",
            Self::Ue => "ue",
        }
    }
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Esp,
        Self::NoEsp,
        Self::Udp,
        Self::Tcp,
        Self::SecondUe,
        Self::SecondIdentity,
        Self::Operator,
        Self::SecAgree,
        Self::Agreement,
    ];

    /// As in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::NoEsp => "no-esp",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::SecondUe => "second-ue",
            Self::SecondIdentity => "second-identity",
            Self::Operator => "operator",
            Self::SecAgree => "sec-agree",
            Self::Agreement => "agreement",
        }
    }

    const fn is_met(self, setting: &Setting) -> bool {
        match self {
            Self::Esp => setting.esp,
            Self::NoEsp => !setting.esp && setting.agreement,
            Self::Udp => setting.udp,
            Self::Tcp => setting.tcp,
            Self::SecondUe => setting.ues > 1,
            Self::SecondIdentity => setting.second_identity,
            Self::Operator => setting.operator,
            Self::SecAgree => setting.sec_agree,
            Self::Agreement => setting.agreement,
        }
    }
}
