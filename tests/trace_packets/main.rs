//! Captures of packets, read as messages: `imsreg::trace::packets`.

mod build;
#[cfg(feature = "live")]
mod corpus;
mod files;
mod fuzzed;
mod lost;
mod memory;
mod sealed;
mod streams;
mod tunnels;
