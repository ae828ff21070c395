//! Why a registration failed: causes by name, each judged by what a trace shows and by what the rules of
//! [`crate::validate`] say of it. No element is asked.
//!
//! A [`Cause`] is one item: its name, its clause, what it means, what to do, and the function that looks for it. A cause
//! explains why the last attempt of a registration failed. A fault that did not stop it, or that a later attempt repaired,
//! is a remark. Where nothing is wrong there is neither.
//!
//! ```
//! use imsreg::diagnose::{self, Context};
//! use imsreg::trace::story::{Group, Registration};
//!
//! let group = Group::default();
//! let diagnosis = diagnose::diagnose(&Registration::of(&group), &Context::default());
//! assert!(diagnosis.causes.is_empty() && diagnosis.remarks.is_empty());
//! ```

mod case;
mod cause;
mod causes;
mod context;
mod findings;

pub use case::{Case, Failure, How};
pub use cause::{Cause, Certainty, Found};
pub use causes::Bystanders;
pub use context::Context;
pub use findings::{Diagnosis, Findings};

use crate::trace::story::Registration;

/// Every cause, in the order of the catalogue.
pub fn causes() -> impl Iterator<Item = &'static Cause> {
    causes::FAMILIES.iter().copied().flatten().copied()
}

/// The cause with a name, in any case.
pub fn cause(name: &str) -> Option<&'static Cause> {
    causes().find(|cause| cause.name.eq_ignore_ascii_case(name))
}

/// Says why a registration failed.
pub fn diagnose(registration: &Registration<'_>, context: &Context<'_>) -> Diagnosis {
    let case = Case::of(registration, context);
    let mut findings = Findings::new(&case);
    for cause in causes() {
        findings.look_for(cause, &case);
    }
    findings.sorted()
}
