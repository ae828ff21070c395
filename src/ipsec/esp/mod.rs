//! ESP on bytes (RFC 4303) for the four SAs of Gm (TS 33.203 clause 7, annexes H, I, M).
//!
//! An [`Engine`] holds all sets of one host. It knows neither sockets nor time: segments go in and ESP packets come out,
//! and the other way round. `docs/ipsec.md` tells how the pieces fit around it.

mod counters;
mod drop;
mod encapsulation;
mod engine;
mod keep_alive;
mod opener;
mod replay;
mod set;
mod transform;
#[cfg(test)]
mod vectors;

pub use counters::Counters;
pub use drop::Drop;
pub use encapsulation::{Datagram, KEEP_ALIVE, PORT, write_packet};
pub use engine::{Carrier, Engine, Opened, Sealed};
pub use keep_alive::KeepAlives;
pub use opener::{Inside, Opener, in_clear};
pub use transform::overhead;
