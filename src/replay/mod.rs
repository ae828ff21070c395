//! Recorded messages played again: the recorded UE against a core, the recorded network against a UE.
//!
//! A [`Script`] is what a trace shows of one registration between its UE and its network. A [`Player`] plays one side of
//! it: it sends what that side sent, octet for octet but for what must be fresh, and compares what comes with what was
//! recorded ([`comparison`]). It is driven like an element and is none: message syntax, arithmetic and the trace are all
//! that is used.

pub mod comparison;

mod agreement;
mod answering;
mod answers;
mod course;
mod hearing;
mod learning;
mod player;
mod renewals;
mod report;
mod rewrite;
mod script;
mod sending;
mod telling;

pub use answers::Known;
pub use player::{Cue, Player, PlayerConfig};
pub use report::{Entry, Outcome, Report};
pub use script::{NoScript, Script};
pub use telling::Identities;
