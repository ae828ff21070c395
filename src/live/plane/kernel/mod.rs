//! Plane `kernel`: states and policies of the kernel's own ESP.
//!
//! A set is four states and four policies, made in this order and taken away in the other: a policy without its state
//! would make the kernel ask a key manager. Every protected port has walls beside, policies of low rank that block what
//! no set lets through, in both directions: they stay while the port is open, so that what is sent after the end of a
//! set does not leave in clear. And they stay for [`UNWORKED`] after the port has closed and its states are gone: a kernel
//! keeps packets that it has opened in a queue of work before it delivers them, and what comes out of it would be
//! answered with a reset in clear.

mod netlink;
mod request;
mod run_file;

use super::{Plane, Unavailable};
use crate::aka::{Ck, Ik};
use crate::config::PlaneChoice;
use crate::identity::Spi;
use crate::ims::Wire;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, Mode, SaSet, SaSetId};
use crate::ipsec::esp::{self, Counters};
use crate::live::shard::Shared;
use crate::time::Duration;
use netlink::Xfrm;
use netlink_packet_xfrm::constants::{XFRM_MODE_TRANSPORT, XFRM_POLICY_BLOCK};
use netlink_packet_xfrm::{XfrmAttrs, XfrmMessage};
use request::Sa;
use run_file::{Range, RunFile};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use tokio::time::Instant;

/// The plane.
pub(super) struct KernelPlane {
    /// Held for as long as anything bears our mark.
    _run_file: RunFile,
    tables: Rc<RefCell<Tables<netlink::Kernel>>>,
    /// Who is told of keys: the packets themselves are the kernel's.
    wire: Option<Rc<dyn Wire>>,
}

impl KernelPlane {
    /// Asks the kernel whether it has ESP, and sweeps what an earlier run of ours left.
    pub(super) fn open() -> Result<Self, Unavailable> {
        let unavailable = |why: String, todo| Unavailable { plane: PlaneChoice::Kernel, why, todo };
        let kernel = netlink::Kernel::open()
            .map_err(|e| unavailable(format!("this kernel has no XFRM ({e})"), "take plane userspace"))?;
        let (run_file, left) =
            RunFile::take().map_err(|e| unavailable(format!("no range of reqids could be taken: {e}"), RUN_FILE))?;
        let mut tables = Tables::new(kernel, run_file.range);
        let denied = |e: io::Error| match e.kind() {
            io::ErrorKind::PermissionDenied => {
                unavailable("states and policies may not be changed".to_owned(), "run it with CAP_NET_ADMIN")
            }
            _ => unavailable(format!("the tables of the kernel cannot be read: {e}"), "take plane userspace"),
        };
        for left in left {
            let swept = tables.sweep(left.range).map_err(denied)?;
            tracing::info!(states = swept.states, policies = swept.policies, "swept what an earlier run left");
            left.swept();
        }
        tables.probe().map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => denied(e),
            _ => unavailable(format!("this kernel has no ESP ({e})"), "take plane userspace, which brings its own"),
        })?;
        Ok(Self { _run_file: run_file, tables: Rc::new(RefCell::new(tables)), wire: None })
    }
}

impl Plane for KernelPlane {
    fn prepare(&self, _socket: &Socket, local: SocketAddr) -> io::Result<()> {
        self.tables.borrow_mut().wall_in(local)
    }

    fn release(&self, local: SocketAddr) {
        self.tables.borrow_mut().tear_down(local);
    }

    fn watch(&mut self, wire: Rc<dyn Wire>) {
        self.wire = Some(wire);
    }

    fn install(&mut self, set: &SaSet, _shared: &Shared) -> Result<(), String> {
        if let Some(cause) = cannot_carry(set) {
            return Err(cause);
        }
        let is_new = self.tables.borrow_mut().install(Instant::now(), set)?;
        if let (Some(wire), true) = (&self.wire, is_new) {
            wire.sealed(set);
        }
        Ok(())
    }

    fn extend(&mut self, set: SaSetId, life: Duration) {
        if let Err(error) = self.tables.borrow_mut().extend(Instant::now(), set, life) {
            tracing::warn!(%set, %error, "the life of a set could not be extended in the kernel");
        }
    }

    fn counters(&self, set: SaSetId) -> Option<Counters> {
        self.tables.borrow_mut().counters(set)
    }

    fn remove(&mut self, set: SaSetId) {
        self.tables.borrow_mut().remove(set);
    }

    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(stop(Rc::clone(&self.tables), tokio::time::sleep(UNWORKED)))
    }
}

/// Takes away what is ours, the walls last and with a pause before where there were sets.
async fn stop<X: Xfrm>(tables: Rc<RefCell<Tables<X>>>, pause: impl Future<Output = ()>) {
    let left = |error: io::Error| tracing::warn!(%error, "states and policies of this run are left in the kernel");
    let (range, had_sets) = (tables.borrow().range, tables.borrow().had_sets);
    if let Err(error) = tables.borrow_mut().sweep_sets(range) {
        return left(error);
    }
    if had_sets {
        pause.await;
    }
    if let Err(error) = tables.borrow_mut().sweep_walls(range) {
        left(error);
    }
}

/// What the kernel would take without protecting anything, or cannot do here.
fn cannot_carry(set: &SaSet) -> Option<String> {
    let peer = if set.at_ue { set.pcscf_address } else { set.ue_address };
    if set.mode != Mode::Transport {
        return Some("plane kernel does not carry UDP-enc-tun; plane userspace does".to_owned());
    }
    // Policies do not hold on the loopback device, and what one host sends to itself goes there.
    let own = peer.is_loopback() || is_own(peer);
    own.then(|| format!("both ends are addresses of this host, and the kernel protects nothing on its way to {peer}"))
}

/// What goes to an address of this host comes from it. To bind to it tells nothing where `ip_nonlocal_bind` is set.
fn is_own(address: IpAddr) -> bool {
    let to = SocketAddr::new(address, DISCARD);
    let from = || {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, None)?;
        socket.connect(&to.into())?;
        socket.local_addr()
    };
    from().ok().and_then(|from| from.as_socket()).is_some_and(|from| from.ip() == address)
}

/// What of the kernel's tables is ours.
struct Tables<X> {
    xfrm: X,
    range: Range,
    sets: HashMap<SaSetId, Installed>,
    numbers: HashSet<u32>,
    next: u32,
    had_sets: bool,
    walls: HashSet<SocketAddr>,
    /// Closed ports whose walls have been given an end.
    ending: HashSet<SocketAddr>,
}

struct Installed {
    sas: [Sa; 4],
    number: u32,
    algorithms: Algorithms,
    since: Instant,
}

/// How much a sweep took away.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Swept {
    states: usize,
    policies: usize,
}

impl<X: Xfrm> Tables<X> {
    fn new(xfrm: X, range: Range) -> Self {
        Self {
            xfrm,
            range,
            sets: HashMap::new(),
            numbers: HashSet::new(),
            next: 0,
            had_sets: false,
            walls: HashSet::new(),
            ending: HashSet::new(),
        }
    }

    /// Makes four states, then four policies; an error leaves nothing behind. Tells whether the set is a new one.
    fn install(&mut self, now: Instant, set: &SaSet) -> Result<bool, String> {
        if self.sets.contains_key(&set.id) {
            return Ok(false);
        }
        let number = self.free_number().ok_or("every reqid of this process is taken")?;
        let sas = request::four(set, self.range.reqid(number));
        for (made, sa) in sas.iter().enumerate() {
            if let Err(error) = self.xfrm.ask(sa.add_state(request::algorithms(set.algorithms, &set.ck, &set.ik), None))
            {
                self.take_away(&[], &sas[..made]);
                return Err(format!("the kernel refuses a state with {}: {error}", set.algorithms));
            }
        }
        for (made, sa) in sas.iter().enumerate() {
            if let Err(error) = self.xfrm.ask(sa.add_policy(None)) {
                self.take_away(&sas[..made], &sas);
                return Err(format!("the kernel refuses a policy: {error}"));
            }
        }
        self.numbers.insert(number);
        self.had_sets = true;
        self.sets.insert(set.id, Installed { sas, number, algorithms: set.algorithms, since: now });
        Ok(true)
    }

    /// Moves the end of states and policies. The kernel counts the life of a state from its beginning, and that of the
    /// policy that takes the place of another from now.
    fn extend(&mut self, now: Instant, set: SaSetId, life: Duration) -> io::Result<()> {
        let Some(Installed { sas, algorithms, since, .. }) = self.sets.get(&set) else { return Ok(()) };
        let whole = now.saturating_duration_since(*since) + life;
        for sa in sas {
            let keys = request::algorithms(*algorithms, &FILLER.0, &FILLER.1);
            self.xfrm.ask(sa.extend_state(keys, whole))?;
            self.xfrm.ask(sa.extend_policy(life))?;
        }
        Ok(())
    }

    /// What the kernel has counted on the four states. It tells no other drops by state.
    fn counters(&mut self, set: SaSetId) -> Option<Counters> {
        let sas = self.sets.get(&set)?.sas;
        let mut counters = Counters::default();
        for sa in sas {
            // One whose life has ended is no longer there.
            let Ok(state) = self.xfrm.state(sa.get_state()) else { continue };
            let (carried, dropped) = (state.user_sa_info.lifetime_cur, state.user_sa_info.stats);
            if sa.is_inbound() {
                counters.opened += carried.packets;
                counters.opened_octets += carried.bytes;
            } else {
                counters.sealed += carried.packets;
                counters.sealed_octets += carried.bytes;
            }
            counters.add_drops(esp::Drop::Replayed, dropped.replay.into());
            counters.add_drops(esp::Drop::TooOld, dropped.replay_window.into());
            counters.add_drops(esp::Drop::Icv, dropped.integrity_failed.into());
        }
        Some(counters)
    }

    fn remove(&mut self, set: SaSetId) {
        if let Some(Installed { sas, number, .. }) = self.sets.remove(&set) {
            self.take_away(&sas, &sas);
            self.numbers.remove(&number);
        }
    }

    /// Policies go first. What the kernel has ended by itself is no longer there.
    fn take_away(&mut self, policies: &[Sa], states: &[Sa]) {
        let orders = policies.iter().map(Sa::delete_policy).chain(states.iter().map(Sa::delete_state));
        for order in orders {
            if let Err(error) = self.xfrm.ask(order)
                && !is_gone(&error)
            {
                tracing::warn!(%error, "a state or policy could not be taken away");
            }
        }
    }

    /// Puts up the walls of a protected port; a port has them once.
    fn wall_in(&mut self, local: SocketAddr) -> io::Result<()> {
        if !self.walls.insert(local) {
            return Ok(());
        }
        let was_ending = self.ending.remove(&local);
        for wall in request::walls(local, self.range.wall_priority(), None) {
            // Walls that end take back their end; those of somebody else stay as they are.
            let order = if was_ending { XfrmMessage::UpdatePolicy(wall) } else { XfrmMessage::AddPolicy(wall) };
            match self.xfrm.ask(order) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    self.tear_down(local);
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The walls of a closed port stand for [`UNWORKED`], then the kernel takes them away.
    fn tear_down(&mut self, local: SocketAddr) {
        if self.walls.remove(&local) {
            for wall in request::walls(local, self.range.wall_priority(), Some(UNWORKED)) {
                // They may never have been put up, and end all the same.
                let _ = self.xfrm.ask(XfrmMessage::UpdatePolicy(wall));
            }
            self.ending.insert(local);
        }
    }

    /// Takes away all that bears the mark of `range`, and nothing else. Walls go last: what still comes through a state
    /// whose policy is gone would else be answered in clear.
    fn sweep(&mut self, range: Range) -> io::Result<Swept> {
        let sets = self.sweep_sets(range)?;
        Ok(Swept { policies: sets.policies + self.sweep_walls(range)?, ..sets })
    }

    fn sweep_sets(&mut self, range: Range) -> io::Result<Swept> {
        let mut swept = Swept::default();
        for policy in self.xfrm.policies()? {
            let reqids = policy.nlas.iter().filter_map(|attribute| match attribute {
                XfrmAttrs::Template(templates) => templates.first().map(|template| template.reqid),
                _ => None,
            });
            if reqids.into_iter().any(|reqid| range.contains(reqid)) {
                gone_or(self.xfrm.ask(request::delete_policy(&policy)))?;
                swept.policies += 1;
            }
        }
        for state in self.xfrm.states()? {
            let info = &state.user_sa_info;
            // SPI 0: the kernel's own note that a policy had no state.
            if range.contains(info.reqid) && info.mode == XFRM_MODE_TRANSPORT && info.id.spi != 0 {
                gone_or(self.xfrm.ask(request::delete_state(&state)))?;
                swept.states += 1;
            }
        }
        if range == self.range {
            self.sets.clear();
            self.numbers.clear();
        }
        Ok(swept)
    }

    fn sweep_walls(&mut self, range: Range) -> io::Result<usize> {
        let mut swept = 0;
        for policy in self.xfrm.policies()? {
            let info = &policy.user_policy_info;
            if info.action == XFRM_POLICY_BLOCK && info.priority == range.wall_priority() {
                gone_or(self.xfrm.ask(request::delete_policy(&policy)))?;
                swept += 1;
            }
        }
        if range == self.range {
            self.walls.clear();
            self.ending.clear();
        }
        Ok(swept)
    }

    /// Makes a state of each address family between addresses for documents (RFC 5737, RFC 3849) and takes it away. Its SPI
    /// is of this process alone: another that starts at the same moment probes too.
    fn probe(&mut self) -> io::Result<()> {
        let pairs: [[IpAddr; 2]; 2] = [
            [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
            [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2].into()],
        ];
        let reqid = self.range.reqid(Range::len() - 1);
        for [from, to] in pairs {
            let sa =
                Sa::inbound(SocketAddr::new(from, 9), SocketAddr::new(to, 9), Spi(PROBE_SPI + self.range.0), reqid);
            let probed = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null };
            let keys = request::algorithms(probed, &FILLER.0, &FILLER.1);
            // One that a run before left would be in the way.
            let _ = self.xfrm.ask(sa.delete_state());
            match self.xfrm.ask(sa.add_state(keys, Some(PROBE_LIFE))) {
                Ok(()) => self.xfrm.ask(sa.delete_state())?,
                // A kernel without IPv6 serves IPv4.
                Err(_) if from.is_ipv6() => tracing::info!("this kernel has no ESP for IPv6"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn free_number(&mut self) -> Option<u32> {
        // The last number is that of the probe.
        (0..Range::len() - 1).find_map(|_| {
            let number = self.next;
            self.next = (self.next + 1) % (Range::len() - 1);
            (!self.numbers.contains(&number)).then_some(number)
        })
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

fn gone_or(answer: io::Result<()>) -> io::Result<()> {
    answer.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

/// Keys that are none: a state that is extended keeps those it has, but the kernel wants some to read. The halves differ,
/// so that triple DES takes them too.
const FILLER: (Ck, Ik) = (Ck([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), Ik([1; 16]));
/// How long the kernel may take to deliver what it has opened: late stable kernels of 6.1 and all since hand packets of
/// transport mode to a queue of work, which waits behind other programs for a processor.
const UNWORKED: Duration = Duration::from_millis(500);
/// Nothing is sent to it.
const DISCARD: u16 = 9;
const PROBE_SPI: u32 = 0x696d_7331;
const PROBE_LIFE: Duration = Duration::from_secs(5);
/// What the kernel says to a state that is not there.
const ESRCH: i32 = 3;
const RUN_FILE: &str = "make /run/imsreg writable, or name another folder in IMSREG_RUN_DIR";

#[cfg(test)]
mod tests;
