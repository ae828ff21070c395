//! Traces in another form: packets of messages, copies of captures with what ESP holds beside them, and replacements of
//! what identifies anybody.
//!
//! [`Packets`] makes packets of what a trace shows, [`mod@file`] the octets of pcap and pcapng around them, [`Copier`] takes a
//! capture over as it is, [`Ends`](ends::MadeUp) are made up where a text tells none, and [`redact`] replaces.
//! `docs/traces.md` tells what stays and what goes.

pub mod copy;
pub mod ends;
pub mod file;
pub mod packets;
pub mod redact;

pub use copy::Copier;
pub use packets::Packets;
