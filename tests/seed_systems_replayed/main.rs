//! Recorded flows of the seed documents and of running networks, replayed from their octets: the recorded phones against
//! our core, and the recorded network against our UE. Each part lists what it rewrites and what may differ.
#![cfg(feature = "live")]

mod cancelled;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/device.rs"]
mod device;
#[path = "../common/facts.rs"]
mod facts;
mod ims;
mod network;
mod pager;
#[path = "../common/scratch.rs"]
mod scratch;
mod session;
mod ue;
