//! What a trace shows of a registration: a rule that needs more than that cannot be judged.

use super::message::Message;
use super::registration::Registration;
use super::role::Interface;
use super::sets::Carried;
use crate::cx::{Maa, Mar};
use crate::event::Role;
use crate::sip::HeaderName;
use crate::time::Instant;
use crate::trace::Step;

/// What the trace shows; `false` and `None` are what it does not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Observable {
    /// Every message has addresses.
    pub addresses: bool,
    /// Every message has a time.
    pub times: bool,
    /// Messages over Gm that nothing protected, or of which a text does not tell.
    pub gm_clear: bool,
    /// Messages over Gm that were protected: ESP could be opened, or the trace is of a kind without it.
    pub gm_inner: bool,
    /// ESP that stayed shut: more was said than can be read.
    pub shut: bool,
    /// Messages from the UE.
    pub uplink: bool,
    /// Messages to the UE.
    pub downlink: bool,
    /// Messages between CSCFs.
    pub mw: bool,
    /// Messages to or from application servers.
    pub isc: bool,
    /// Cx.
    pub cx: bool,
    /// CK and IK, or XRES: in a 401 on Mw or in a Multimedia-Auth-Answer.
    pub keys: bool,
    /// The registration begins within the trace: its first attempt is an initial one.
    pub beginning: bool,
    /// Every message is there to its end, and no connection has gaps.
    pub whole: bool,
    /// The time of the last thing that the trace shows, of whomever.
    pub until: Option<Instant>,
}

impl Observable {
    pub(super) fn of(registration: &Registration<'_>) -> Self {
        let mut this = Self {
            addresses: true,
            times: true,
            whole: true,
            shut: !registration.group.shut.is_empty(),
            until: registration.group.seen_until,
            ..Self::default()
        };
        for message in registration.messages() {
            this.see(message);
        }
        let first = registration.attempts().next();
        this.beginning =
            first.is_some_and(|attempt| attempt.kind() == super::Kind::Initial && attempt.request().is_some());
        this.whole &= registration.group.connections.iter().all(|step| step.connection.step != Step::Gap);
        this
    }

    fn see(&mut self, message: Message<'_>) {
        self.addresses &= message.ends.is_some();
        self.times &= message.at.is_some();
        self.whole &= !message.cut;
        match message.interface() {
            Interface::Gm => {
                self.uplink |= message.from() == Some(Role::Ue);
                self.downlink |= message.to() == Some(Role::Ue);
                match message.carried() {
                    Carried::Clear => self.gm_clear = true,
                    Carried::Sa(_) | Carried::Ports(_) | Carried::Foreign => self.gm_inner = true,
                    // A text shows what its author saw, whatever protected it.
                    Carried::Unknown => (self.gm_clear, self.gm_inner) = (true, true),
                }
            }
            Interface::Mw => {
                self.mw = true;
                self.keys |= shows_ck(message);
            }
            Interface::Isc => self.isc = true,
            Interface::Cx => {
                self.cx = true;
                self.keys |= shows_vector(message);
            }
            Interface::OtherDiameter | Interface::Unknown => {}
        }
    }
}

fn shows_ck(message: Message<'_>) -> bool {
    let Some(sip) = message.sip().filter(|sip| sip.header(HeaderName::WwwAuthenticate).is_some()) else { return false };
    sip.challenges().is_ok_and(|challenges| challenges.iter().any(|challenge| challenge.ck.is_some()))
}

fn shows_vector(message: Message<'_>) -> bool {
    let is_maa = message.diameter().is_some_and(|header| header.command == Mar::COMMAND && !header.request);
    is_maa && Maa::decode(&message.record().bytes).is_ok_and(|maa| maa.items.iter().any(|item| item.xres.is_some()))
}
