//! Diameter base protocol (RFC 6733): header, AVPs, dictionary, peers. Our own codec, borrowed on reading.

pub mod avp;
pub mod dictionary;
pub mod fault;
pub mod header;
pub mod peer;

pub use avp::{Avp, Avps, Writer};
pub use fault::Fault;
pub use header::Header;
