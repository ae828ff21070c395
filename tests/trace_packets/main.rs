//! Captures of packets, read as messages.

mod build;
#[cfg(feature = "live")]
mod corpus;
