//! `imsreg`: an IMS registration simulator.
//!
//! Network elements are plain structs without sockets, clocks, tasks or threads: [`pcscf::Pcscf`], [`icscf::Icscf`],
//! [`scscf::Scscf`], [`hss::Hss`], [`ue::Ue`]. They exchange bytes only: SIP and Diameter messages as they would be on
//! the wire. Whoever drives them hands in packets and the time, and carries out effects ([`packet::Outbox`]).
//!
//! Start reading at [`packet`] (what goes in and out), [`ims`] (elements wired at addresses) and [`pcscf`]. One complete
//! registration, in virtual time:
//!
//! ```
//! # #[cfg(feature = "live")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use imsreg::config::{Elements, load_profile, load_subscribers};
//! use imsreg::ims::{Ims, Outward};
//! use imsreg::random::Random;
//! use imsreg::time::{Epoch, Instant};
//! use imsreg::ue::{Ue, UeStatus};
//! use imsreg::{hss::Hss, icscf::Icscf, pcscf::Pcscf, scscf::Scscf};
//!
//! let profile = load_profile("lab", &[]).map_err(|faults| faults.to_string())?;
//! let subscribers = load_subscribers("hss-data/lab.yaml".as_ref(), &profile).map_err(|faults| faults.to_string())?;
//! let subscription = subscribers.subscription(0).ok_or("a subscriber whose keys are known")?;
//!
//! let (all, epoch, mut random) = (Elements::ALL, Epoch::SIMULATION, Random::seeded(7));
//! let mut ims = Ims::new(profile.wiring);
//! ims.add(Hss::new(profile.hss(epoch)?, subscribers.store, random.fork()))?;
//! ims.add(Scscf::new(profile.scscf(all, epoch).map_err(|f| f.to_string())?, random.fork()))?;
//! ims.add(Icscf::new(profile.icscf(all, epoch).map_err(|f| f.to_string())?, random.fork()))?;
//! ims.add(Pcscf::new(profile.pcscf(all).map_err(|f| f.to_string())?, random.fork()))?;
//! let ue = profile.ue(&subscription, profile.pcscf.listen[0], profile.ue.address, epoch);
//! let ue = ims.add(Ue::new(ue, random.fork()))?;
//!
//! // All elements are in this process: every message is delivered as bytes before `command` returns.
//! let (now, mut out) = (Instant::ZERO, Outward::new());
//! ims.start(now, &mut out, &mut ());
//! ims.command(ue, now, &mut out, &mut (), |element, out| {
//!     element.as_ue_mut().expect("it was added as a UE").register(now, out);
//! });
//! assert_eq!(ims.element(ue).as_ue().map(Ue::status), Some(UeStatus::Registered));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "live"))]
//! # fn main() {}
//! ```
#![forbid(unsafe_code)]

pub mod aka;
pub mod application_server;
pub mod capture;
#[cfg(feature = "live")]
pub mod cli;
#[cfg(feature = "live")]
pub mod config;
pub mod conformance;
#[cfg(feature = "live")]
pub mod convert;
pub mod cx;
mod decimal;
pub mod derive;
pub mod diagnose;
pub mod diameter;
pub mod event;
pub mod hss;
pub mod icscf;
pub mod identity;
pub mod ims;
pub mod ip;
pub mod ipsec;
pub mod ladder;
#[cfg(feature = "live")]
pub mod live;
pub mod mutation;
pub mod packet;
pub mod pcscf;
pub mod random;
pub mod reginfo;
pub mod replay;
pub mod scscf;
pub mod sim;
pub mod sip;
pub mod time;
pub mod trace;
pub mod ue;
pub mod validate;
