//! What a registration must satisfy: rules, each judged by what a trace shows of one registration and by nothing else.
//!
//! A [`Rule`] is one item: its id, its clause, why it matters, an example, and the function that judges. What the trace
//! cannot show is [`Verdict::NotObservable`], never a pass. No element is asked: the judge stands on message syntax and
//! arithmetic only.
//!
//! ```
//! use imsreg::trace::story::{Group, Registration};
//! use imsreg::validate::{self, Context, Verdict};
//!
//! let group = Group::default();
//! let findings = validate::judge(&Registration::of(&group), &Context::default(), |_| true);
//! assert!(findings.iter().all(|finding| finding.verdict != Verdict::Fail));
//! ```

mod context;
mod judgement;
pub mod junit;
mod rule;
pub(crate) mod rules;

pub use context::{Context, Keys};
pub use judgement::{Finding, Judgement};
pub use junit::junit;
pub use rule::{Rule, Severity, Side, Verdict};

use crate::trace::story::Registration;

/// Every rule, in the order of the catalogue.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    rules::FAMILIES.iter().copied().flatten().copied()
}

/// The rule with an id, in any case.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// Judges a registration by the rules that `wanted` takes, in the order of the catalogue. A rule gives one finding, or one
/// for each way in which it fails.
pub fn judge(registration: &Registration<'_>, context: &Context<'_>, wanted: impl Fn(&Rule) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules().filter(|rule| wanted(rule)) {
        let mut judgement = Judgement::default();
        (rule.judge)(registration, context, &mut judgement);
        findings.extend(judgement.findings(rule, registration.id()));
    }
    findings
}
