//! Who is who in a trace, and what belongs together: from [`Sighting`](super::Sighting)s to registrations.
//!
//! [`Story`] sorts what a reader hands out into [`Group`]s, one for each registration, in bounded memory.
//! [`Registration::of`] reads a group: [`Message`]s with the roles of their ends, [`Exchange`]s (a request on one hop and
//! its answers), [`Journey`]s (a request on all hops with the Cx exchanges that it caused), [`Attempt`]s (a REGISTER, its
//! challenges, their answers, the end), [`Set`]s of SAs and what they carried, [`Subscription`]s. [`Observable`] tells what
//! the trace does not show. Everything stands on message syntax and arithmetic, on nothing that an element believes.
//!
//! ```
//! use imsreg::packet::Protocol;
//! use imsreg::trace::story::{Interface, Limits, Outcome, Registration, Story};
//! use imsreg::trace::{Message, Place, Protection, Seen, Sighting};
//!
//! let texts = [
//!     "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nCSeq: 1 REGISTER\r\n\
//!      From: <sip:u@ims.example>;tag=1\r\nTo: <sip:u@ims.example>\r\nCall-ID: c\r\n\r\n",
//!     "SIP/2.0 403 Forbidden\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nCSeq: 1 REGISTER\r\n\
//!      From: <sip:u@ims.example>;tag=1\r\nTo: <sip:u@ims.example>;tag=2\r\nCall-ID: c\r\n\r\n",
//! ];
//! let mut story = Story::new(Limits::default());
//! for (line, text) in (1..).zip(texts) {
//!     let (protection, bytes) = (Protection::Unknown, text.as_bytes().to_vec());
//!     let message = Message { protocol: Protocol::Sip, ends: None, protection, cut: false, bytes };
//!     story.see(Sighting { place: Place::Line(line), at: None, seen: Seen::Message(message) });
//! }
//! story.finish();
//! let group = story.next().unwrap();
//! let registration = Registration::of(&group);
//! let attempt = registration.attempts().next().unwrap();
//! assert_eq!(attempt.outcome(), Outcome::Refused(403));
//! assert_eq!(attempt.first().on(Interface::Gm).unwrap().answered(403).unwrap().number, 2);
//! assert!(!registration.observable().times);
//! ```

mod attempt;
mod exchange;
mod filter;
mod journey;
mod message;
mod names;
mod observable;
mod record;
mod registration;
mod role;
mod roles;
mod sets;
mod sorter;
mod subscription;
#[cfg(test)]
mod testing;
mod timing;
mod totals;

pub use attempt::{Attempt, Kind, Outcome};
pub use exchange::Exchange;
pub use filter::{Filter, FilterFault};
pub use journey::Journey;
pub use message::Message;
pub use observable::Observable;
pub use record::{ConnectionStep, Group, LostPacket, Record, ShutSpi};
pub use registration::Registration;
pub use role::{Interface, Known, Roles};
pub use sets::{Carried, Sa, Set, SetEnd};
pub use sorter::{Limits, Story};
pub use subscription::{Document, Subscription};
pub use timing::{Timer, Wait};
pub use totals::{Totals, Unread};
