//! A closed world in virtual time: elements on simulated links. Same seed, same bytes.
//!
//! [`World`] drives an [`crate::ims::Ims`] that is wired [`crate::ims::Wiring::Wire`]: whatever an element sends takes
//! a [`Link`] and its latency, losses and outages; the clock jumps to whatever happens next.

#[cfg(feature = "live")]
mod check;
mod connections;
mod esp;
mod link;
mod mutate;
mod nat;
mod protected;
#[cfg(feature = "live")]
pub mod replay;
#[cfg(feature = "live")]
mod scenario;
mod world;

#[cfg(feature = "live")]
pub use check::{CheckRig, is_ue};
pub use esp::EspPacket;
pub use link::{Link, Links, Outage};
#[cfg(feature = "live")]
pub use scenario::{Beside, Simulation, names_of};
pub use world::{Letter, Plane, Reset, World};
