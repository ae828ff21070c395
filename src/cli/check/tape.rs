//! What passes on Gm while a case is played: kept as a capture, and counted.

use crate::capture::Entry;
use crate::capture::pcapng::Writer;
use crate::conformance::End;
use crate::event::{Event, What};
use crate::ims::{Tap, Wire};
use crate::ipsec::association::SaSet;
use crate::live::Clock;
use crate::packet::{Packet, Protocol, Transport};
use crate::sip::header::contact::Contacts;
use crate::sip::{HeaderName, Message, StartLine};
use crate::time::{Duration, Instant};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::net::IpAddr;
use std::rc::Rc;

/// Every copy is the same tape.
#[derive(Clone)]
pub(super) struct Tape {
    clock: Clock,
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    writer: Writer<Octets>,
    octets: Octets,
    gm: Gm,
    /// When something passed last, and when something came from the other side.
    last: Instant,
    heard: Option<Instant>,
    /// What the first of that came over.
    over: Transport,
    /// When we said something for the first time; what repeats it does not count.
    spoke: Instant,
    said: HashSet<u64>,
    /// Our requests without a final answer, by branch, and when each left first.
    open: HashMap<Box<str>, Instant>,
    /// When an answer of ours left, and nothing has followed it yet.
    told: Option<Instant>,
    /// The longest time from a request of ours to its first answer, and from an answer of ours to a request.
    slowest: Duration,
    /// How many messages we have sent.
    sent: u32,
    /// A challenge did not verify.
    wrong_mac: bool,
    /// A registration was granted to us and not ended since.
    granted: bool,
}

/// What belongs to Gm, and which side is ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Gm {
    /// Everything: we are UEs, at these addresses.
    Ues(Vec<IpAddr>),
    /// What is not within the core, which has this address: we are the P-CSCF, at these.
    Pcscf {
        /// Of the other elements.
        core: IpAddr,
        /// Its own ports.
        own: Vec<End>,
    },
}

impl Tape {
    pub(super) fn new(clock: Clock, gm: Gm) -> io::Result<Self> {
        let octets = Octets::default();
        let inner = Inner {
            writer: Writer::new(octets.clone(), clock.epoch())?,
            octets,
            gm,
            last: Instant::ZERO,
            heard: None,
            over: Transport::Udp,
            spoke: Instant::ZERO,
            said: HashSet::new(),
            open: HashMap::new(),
            told: None,
            slowest: Duration::ZERO,
            sent: 0,
            wrong_mac: false,
            granted: false,
        };
        Ok(Self { clock, inner: Rc::new(RefCell::new(inner)) })
    }

    /// The capture as far as it is written: every block is whole.
    pub(super) fn capture(&self) -> Vec<u8> {
        self.inner.borrow().octets.0.borrow().clone()
    }

    /// How many octets of it are written.
    pub(super) fn len(&self) -> usize {
        self.inner.borrow().octets.0.borrow().len()
    }

    /// How long nothing has passed.
    pub(super) fn quiet(&self) -> Duration {
        self.clock.now().saturating_since(self.inner.borrow().last)
    }

    /// When the other side was heard last.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.inner.borrow().heard
    }

    /// What the other side was heard over first.
    pub(super) fn heard_over(&self) -> Transport {
        self.inner.borrow().over
    }

    /// How long nothing has come, and we have said nothing new either.
    pub(super) fn silence(&self) -> Duration {
        let inner = self.inner.borrow();
        self.clock.now().saturating_since(inner.spoke.max(inner.heard.unwrap_or(Instant::ZERO)))
    }

    /// Whether a request of ours has no final answer yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.inner.borrow().open.is_empty()
    }

    /// The longest that the other side took to answer, or to go on behind an answer.
    pub(super) fn slowest(&self) -> Duration {
        self.inner.borrow().slowest
    }

    /// How many messages we have sent.
    pub(super) fn sent(&self) -> u32 {
        self.inner.borrow().sent
    }

    /// Whether a registration was granted to us, and has not been ended since.
    pub(super) fn is_granted(&self) -> bool {
        self.inner.borrow().granted
    }

    /// Whether a challenge did not verify with our keys.
    pub(super) fn has_wrong_mac(&self) -> bool {
        self.inner.borrow().wrong_mac
    }
}

impl Inner {
    fn see(&mut self, now: Instant, packet: &Packet<'_>) {
        self.last = now;
        let is_ours = match &self.gm {
            Gm::Ues(ues) => ues.contains(&packet.from.ip()),
            Gm::Pcscf { own, .. } => own.iter().any(|end| end.has(packet.from)),
        };
        if is_ours {
            self.sent += 1;
            if self.said.insert(foldhash::fast::FixedState::with_seed(0).hash_one(packet.bytes)) {
                self.spoke = now;
            }
        } else {
            if self.heard.is_none() {
                self.over = packet.transport;
            }
            self.heard = Some(now);
        }
        let Ok(message) = Message::parse(packet.bytes) else { return };
        if is_ours {
            self.told = Some(now).filter(|_| matches!(message.start(), StartLine::Response { .. }));
        } else if let (Some(told), StartLine::Request { .. }) = (self.told.take(), message.start()) {
            self.slowest = self.slowest.max(now.saturating_since(told));
        }
        let Some(branch) = message.via().ok().and_then(|via| via.branch()) else { return };
        match message.start() {
            StartLine::Request { method, .. } if is_ours && method.as_str() != "ACK" => {
                self.open.entry(branch.into()).or_insert(now);
            }
            StartLine::Response { status, .. } if !is_ours => {
                if let Some(since) = self.open.get(branch) {
                    self.slowest = self.slowest.max(now.saturating_since(*since));
                }
                if status >= 200 {
                    self.open.remove(branch);
                }
                if status / 100 == 2 && message.cseq().is_ok_and(|cseq| cseq.method.as_str() == "REGISTER") {
                    self.granted = has_time(&message);
                }
            }
            _ => {}
        }
    }

    fn is_gm(&self, packet: &Packet<'_>) -> bool {
        let Packet { from, to, protocol, .. } = packet;
        match &self.gm {
            Gm::Ues(_) => true,
            Gm::Pcscf { core, .. } => *protocol == Protocol::Sip && from.ip() != *core && to.ip() != *core,
        }
    }
}

/// Whether a 200 to a REGISTER leaves something registered: to a de-registration some list the Contact with no time.
fn has_time(message: &Message<'_>) -> bool {
    match message.contacts() {
        Ok(Contacts::List(contacts)) => contacts.iter().any(|c| c.expires.or_else(|| message.expires()) != Some(0)),
        _ => message.header(HeaderName::Contact).is_some(),
    }
}

impl Tap for Tape {
    fn packet(&mut self, _now: Instant, packet: &Packet<'_>) {
        // As for captures: elements wired locally do all their work within one instant of theirs.
        let now = self.clock.now();
        let mut inner = self.inner.borrow_mut();
        if !inner.is_gm(packet) {
            return;
        }
        inner.see(now, packet);
        if let Entry::Hop(hop) = Entry::hop(now, packet) {
            inner.writer.hop(&hop).expect("memory takes it");
        }
    }

    fn event(&mut self, _now: Instant, event: &Event) {
        tracing::debug!(role = %event.role, "{:?}", event.what);
        if matches!(event.what, What::MacFailure { .. }) {
            self.inner.borrow_mut().wrong_mac = true;
        }
    }

    fn wire(&self) -> Option<Rc<dyn Wire>> {
        Some(Rc::new(self.clone()))
    }
}

/// What goes over an SA is kept as it is on the wire where the plane shows that, and as the text in it.
impl Wire for Tape {
    fn sealed(&self, set: &SaSet) {
        self.inner.borrow_mut().writer.sealed(set.id).expect("memory takes it");
    }

    fn packet(&self, packet: &[u8]) {
        let now = self.clock.now();
        self.inner.borrow_mut().writer.wire(now, packet).expect("memory takes it");
    }
}

#[derive(Clone, Default)]
struct Octets(Rc<RefCell<Vec<u8>>>);

impl Write for Octets {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
