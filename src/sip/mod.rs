//! SIP message syntax (RFC 3261 and the extensions of TS 24.229): no state, no time.
//!
//! [`Message::parse`] splits lines once into a table of ranges; a header is parsed when somebody asks for it; what is
//! not understood is kept and can be forwarded. [`Writer`] emits.

pub mod alternative_service;
pub mod destination;
pub mod emit;
pub mod form;
pub mod frame;
pub mod header;
pub mod keep_alive;
pub mod message;
pub mod method;
mod octets;
pub mod overload;
pub mod parse;
pub mod proxy;
pub mod stun;
mod table;
pub mod transaction;
pub mod uri;

pub use emit::Writer;
pub use header::{HeaderError, HeaderName, NameSet};
pub use message::{Checked, Line, Message, Part, Run, StartLine};
pub use method::Method;
pub use parse::ParseError;
pub use uri::Uri;
