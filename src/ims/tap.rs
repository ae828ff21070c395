//! Who looks on: every packet and event of an [`Ims`](super::Ims), and its sets of SAs.

use crate::event::Event;
use crate::ipsec::association::SaSet;
use crate::packet::Packet;
use crate::time::Instant;
use std::rc::Rc;

/// Sees every packet and event of an [`Ims`](super::Ims), in order.
pub trait Tap {
    /// A packet as sent, or as received from outside.
    fn packet(&mut self, now: Instant, packet: &Packet<'_>);
    /// Something that an element tells.
    fn event(&mut self, now: Instant, event: &Event);
    /// False when nobody looks at events: elements then make none.
    fn wants_events(&self) -> bool {
        true
    }
    /// A simulated plane made this set: what goes over its SAs comes by [`Tap::esp`] as well.
    fn sealed(&mut self, _now: Instant, _set: &SaSet) {}
    /// An IP packet with ESP in it that a simulated plane sends, behind the message that is in it.
    fn esp(&mut self, _now: Instant, _packet: &[u8]) {}
    /// Who looks at what a plane puts on the wire; asked once, when the driver starts.
    fn wire(&self) -> Option<Rc<dyn Wire>> {
        None
    }
}

/// Sees sets of SAs as a plane carries them: clear text passes the [`Tap`], ESP passes here.
pub trait Wire {
    /// The plane made this set: what goes over its SAs is ESP on the wire.
    fn sealed(&self, set: &SaSet);
    /// An IP packet with ESP in it, as it is sent or received.
    fn packet(&self, packet: &[u8]);
}

/// Looks at nothing.
impl Tap for () {
    fn packet(&mut self, _now: Instant, _packet: &Packet<'_>) {}
    fn event(&mut self, _now: Instant, _event: &Event) {}
    fn wants_events(&self) -> bool {
        false
    }
}
