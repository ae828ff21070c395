//! `imsreg`: an IMS registration simulator.
//!
//! Network elements are plain structs without sockets, clocks, tasks or threads: [`pcscf::Pcscf`], [`icscf::Icscf`],
//! [`scscf::Scscf`], [`hss::Hss`], [`ue::Ue`]. They exchange bytes only: SIP and Diameter messages as they would be on
//! the wire. Whoever drives them hands in packets and the time, and carries out effects ([`packet::Outbox`]).
#![forbid(unsafe_code)]

pub mod aka;
pub mod capture;
#[cfg(feature = "live")]
pub mod cli;
#[cfg(feature = "live")]
pub mod config;
pub mod cx;
pub mod diameter;
pub mod event;
pub mod hss;
pub mod icscf;
pub mod identity;
pub mod ims;
pub mod ipsec;
pub mod ladder;
#[cfg(feature = "live")]
pub mod live;
pub mod packet;
pub mod pcscf;
pub mod random;
pub mod scscf;
pub mod sim;
pub mod sip;
pub mod time;
pub mod ue;
