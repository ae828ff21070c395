//! What carries ESP under the protected ports: one interface, and SIP code cannot tell which is behind it.
//!
//! The elements say which sets of SAs they want, `live::protected` opens and closes the ports that go with them, and
//! a `Plane` makes the SAs. A plane is opened before the first protected port, sweeps then what an earlier run of its
//! own left, and leaves nothing behind when it is stopped.

mod kernel;
mod mappings;
mod none;
mod unprivileged;
mod userspace;

pub(super) use unprivileged::{Inside, InsideStream};

use super::shard::Shared;
use crate::config::PlaneChoice;
use crate::event::{Event, Role, What};
use crate::ims::Wire;
use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::esp::{self, Counters};
use crate::random::Random;
use crate::time::Duration;
use socket2::Socket;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;

/// What a plane does for the driver. Orders about one set come in this order: install, extend (again and again),
/// remove. No connection of a set is open any more when it is removed, so nothing of it can leave in clear.
pub(super) trait Plane {
    /// What carries protected datagrams and connections within the process, in place of sockets of the system.
    fn inside(&self) -> Option<&Rc<Inside>> {
        None
    }

    /// The driver is there; the protected ports of a P-CSCF are open.
    fn start(&mut self, _shared: &Shared) {}

    /// Prepares a socket of a protected port before it is bound: nothing that is not protected may reach it, and
    /// nothing may leave it in clear.
    fn prepare(&self, socket: &Socket, local: SocketAddr) -> io::Result<()>;

    /// The protected port `local` is closed.
    fn release(&self, local: SocketAddr);

    /// From now on, tells of every set and packet that it carries.
    fn watch(&mut self, _wire: Rc<dyn Wire>) {}

    /// Makes the four SAs of a set, all of them or none; an error tells the cause. To make a set again changes nothing.
    fn install(&mut self, set: &SaSet, shared: &Shared) -> Result<(), String>;

    /// Moves the end of life that the plane itself sees to: `life` from now. It is a backstop behind the SIP timers,
    /// never the first to act (TS 33.203 clause 7.4).
    fn extend(&mut self, set: SaSetId, life: Duration);

    /// What went through a set that is alive; `None` where the plane does not count.
    fn counters(&self, _set: SaSetId) -> Option<Counters> {
        None
    }

    /// From now on what leaves over a set leaves twice, for UEs that misbehave. Planes whose ESP is not ours cannot.
    fn replay(&mut self, _set: SaSetId) {}

    /// How what is to leave a protected port in clear does so.
    fn in_clear(&self) -> InClear {
        InClear::Raw
    }

    /// From now on SYNs that come over an SA are not answered. False where the plane cannot see to that.
    fn deafen(&mut self, _deaf: bool) -> bool {
        false
    }

    /// Ends the four SAs of a set, after what was sent through them before. Unknown sets are ignored.
    fn remove(&mut self, set: SaSetId);

    /// Ends all sets and takes away what the plane put into the system.
    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// How what is to leave a protected port in clear does so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InClear {
    /// By the socket of the port: the plane leaves everything in clear.
    Socket,
    /// By a socket that the system gives to that port for a moment.
    Borrowed,
    /// By a raw socket, past the plane.
    Raw,
}

/// Shows an ESP packet to whoever looks.
fn show(wire: Option<&dyn Wire>, source: IpAddr, destination: IpAddr, carrier: esp::Carrier, octets: &[u8]) {
    if let Some(wire) = wire {
        let mut packet = Vec::new();
        esp::write_packet(&mut packet, source, destination, carrier, octets);
        wire.packet(&packet);
    }
}

/// A plane that is ready for its first set.
pub struct OpenPlane(pub(super) Box<dyn Plane>);

impl OpenPlane {
    /// Opens the plane that a profile names. `esp_port` is the UDP port of plane `unprivileged` at the P-CSCF, `random`
    /// is where IVs come from.
    pub async fn open(choice: PlaneChoice, esp_port: u16, random: Random) -> Result<Self, Unavailable> {
        Ok(match choice {
            PlaneChoice::None => Self::default(),
            PlaneChoice::Userspace => Self(Box::new(userspace::Userspace::open(random).await?)),
            PlaneChoice::Kernel => Self(Box::new(kernel::KernelPlane::open()?)),
            PlaneChoice::Unprivileged => Self(Box::new(unprivileged::Unprivileged::open(random, esp_port))),
        })
    }
}

/// Plane `none`.
impl Default for OpenPlane {
    fn default() -> Self {
        Self(Box::new(none::None))
    }
}

impl fmt::Debug for OpenPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPlane").finish_non_exhaustive()
    }
}

/// A plane that cannot work here.
#[derive(Debug, thiserror::Error)]
#[error("plane {plane}: {why}; {todo}")]
pub struct Unavailable {
    /// Which.
    pub plane: PlaneChoice,
    /// What is missing.
    pub why: String,
    /// What helps.
    pub todo: &'static str,
}

/// An event for a packet that is not let in.
fn tell(shared: &Shared, role: Role, source: IpAddr, destination: IpAddr, reason: esp::Drop) {
    let mut shard = shared.borrow_mut();
    let now = shard.clock.now();
    let (from, to) = (SocketAddr::new(source, 0), SocketAddr::new(destination, 0));
    let what = What::PacketDropped { from, to, cause: reason.as_str() };
    shard.tap.event(now, &Event { role, what });
}
