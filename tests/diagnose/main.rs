//! Every cause of `imsreg::diagnose`: a trace that it explains, and a near miss that it must not take. The traces are
//! simulated registrations that were changed in one place.
#![cfg(feature = "live")]

mod agreement;
mod authentication;
mod command;
#[path = "../common/mod.rs"]
mod common;
mod ending;
mod events;
mod hss;
mod kit;
mod ports;
mod response;
mod routing;
mod sets;
mod sound;
#[path = "../story_kit/mod.rs"]
#[expect(dead_code, reason = "the tests of rules use the rest")]
mod trace;
mod transport;
