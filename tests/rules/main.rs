//! Every rule of `imsreg::validate` with every verdict, over simulated registrations that were changed in one place.
#![cfg(feature = "live")]

mod aka;
#[path = "../common/mod.rs"]
mod common;
mod completion;
mod cx;
mod deregister;
mod granted;
mod life;
mod network;
mod offer;
mod reg_event;
mod register;
mod server;
mod sound;
#[path = "../story_kit/mod.rs"]
mod trace;
