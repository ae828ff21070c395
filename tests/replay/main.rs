//! Recordings played again: in virtual time, the recorded UE against our core and the recorded network against our UE;
//! over loopback sockets, as users start it.
#![cfg(feature = "live")]

#[path = "../common/mod.rs"]
mod common;
mod core;
mod live;
mod network;
#[path = "../common/scratch.rs"]
mod scratch;
mod stage;
