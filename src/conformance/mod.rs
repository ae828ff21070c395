//! Conformance: what somebody else's P-CSCF, or UE, must do when a sound flow is altered in one place.
//!
//! A [`Case`] is data: a fault made on purpose on our side (`docs/mutations.md`), and the [`Expectation`]s of what the
//! accused does then. A rig plays it, in virtual time ([`crate::sim`]) or over sockets, and keeps what passed on Gm as a
//! [`Recording`]; [`judge()`] reads that, and nothing else: the expectations, the rules that the case names, and every rule
//! of severity E whose side is the accused. What the recording cannot show is never a pass.
//!
//! `docs/conformance.md` tells users the same.

mod case;
mod expectation;
mod judge;
mod recording;
pub mod report;
mod seen;
mod verdict;

pub use case::{Accused, Case, Need, Setting};
pub use expectation::{Condition, Expectation, Nth, Party, Selector, Status, Test};
pub use judge::judge;
pub use recording::{End, Recording};
pub use verdict::{Failure, Outcome, Verdict};
