//! One CSCF between a scripted HSS and scripted SIP neighbours, in virtual time. The Diameter base protocol is played
//! here; SIP messages and Cx requests wait in order until a test asks for them.

use imsreg::diameter::peer::{NodeConfig, PeerConfig};
use imsreg::diameter::{Header, Writer};
use imsreg::event::What;
use imsreg::icscf::Icscf;
use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Transport};
use imsreg::scscf::Scscf;
use imsreg::time::{Duration, Epoch, Instant};
use std::collections::VecDeque;
use std::net::SocketAddr;

pub(crate) const REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const HSS: &str = "127.0.0.1:3868";

/// What both CSCFs offer.
pub(crate) trait Element {
    fn start(&mut self, now: Instant, out: &mut Outbox);
    fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox);
    fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox);
    fn next_timeout(&self) -> Option<Instant>;
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox);
}

macro_rules! element {
    ($name:ident) => {
        impl Element for $name {
            fn start(&mut self, now: Instant, out: &mut Outbox) {
                $name::start(self, now, out);
            }
            fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
                $name::receive(self, now, packet, out);
            }
            fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
                $name::connection(self, now, connection, out);
            }
            fn next_timeout(&self) -> Option<Instant> {
                $name::next_timeout(self)
            }
            fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
                $name::handle_timeout(self, now, out);
            }
        }
    };
}

element!(Scscf);
element!(Icscf);

/// A message that the element sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) to: SocketAddr,
    pub(crate) text: String,
}

pub(crate) struct Driver<E> {
    pub(crate) element: E,
    pub(crate) now: Instant,
    /// Where the element hears SIP.
    own: SocketAddr,
    pub(crate) out: Outbox,
    sip: VecDeque<Sent>,
    cx: VecDeque<Vec<u8>>,
    events: Vec<What>,
    /// Our end and the element's end of the Diameter connection.
    peer: Option<(SocketAddr, SocketAddr)>,
}

impl<E: Element> Driver<E> {
    /// Starts the element and opens its connection to the HSS.
    pub(crate) fn new(element: E, own: &str) -> Self {
        let mut this = Self {
            element,
            now: Instant::from_secs(1),
            own: own.parse().unwrap(),
            out: Outbox::new(),
            sip: VecDeque::new(),
            cx: VecDeque::new(),
            events: Vec::new(),
            peer: None,
        };
        this.element.start(this.now, &mut this.out);
        this.absorb();
        assert!(this.peer.is_some(), "the element connects to its HSS");
        this
    }

    /// A SIP message arrives over TCP.
    pub(crate) fn sip(&mut self, from: &str, text: &str) {
        self.packet(text.as_bytes(), Protocol::Sip, from.parse().unwrap(), self.own);
    }

    /// The next SIP message sent.
    pub(crate) fn sent(&mut self) -> Sent {
        self.next_sent().expect("a SIP message was sent")
    }

    /// The next SIP message sent, if there is one.
    pub(crate) fn next_sent(&mut self) -> Option<Sent> {
        self.sip.pop_front()
    }

    /// The next Cx request sent.
    pub(crate) fn asked(&mut self) -> Vec<u8> {
        self.cx.pop_front().expect("a Cx request was sent")
    }

    /// The HSS answers `request`.
    pub(crate) fn hss(&mut self, request: &[u8], error: bool, write: impl FnOnce(&mut Writer<'_>)) {
        let header = Header::parse(request).unwrap().answer(error);
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes, &header);
        write(&mut w);
        w.finish();
        self.diameter(&bytes);
    }

    /// The HSS sends a Diameter message.
    pub(crate) fn diameter(&mut self, bytes: &[u8]) {
        let (hss, own) = self.peer.unwrap();
        self.packet(bytes, Protocol::Diameter, hss, own);
    }

    /// Nothing was sent but what has been looked at.
    pub(crate) fn quiet(&self) {
        assert!(self.sip.is_empty(), "{:?}", self.sip);
        assert!(self.cx.is_empty(), "{} Cx requests", self.cx.len());
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..100_000 {
            match self.element.next_timeout() {
                Some(due) if due <= until => {
                    self.now = self.now.max(due);
                    self.element.handle_timeout(self.now, &mut self.out);
                    self.absorb();
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("timers do not come to rest");
    }

    /// The events since the last look.
    pub(crate) fn events(&mut self) -> Vec<What> {
        std::mem::take(&mut self.events)
    }

    fn packet(&mut self, bytes: &[u8], protocol: Protocol, from: SocketAddr, to: SocketAddr) {
        let packet = Packet { bytes, protocol, transport: Transport::Tcp, from, to, sa: None };
        self.element.receive(self.now, &packet, &mut self.out);
        self.absorb();
        // Over TCP transactions end at once (RFC 3261 clause 17.2.2: timer J is 0).
        self.pass(Duration::ZERO);
    }

    /// Takes what the element wants done.
    pub(crate) fn absorb(&mut self) {
        while !self.out.is_empty() {
            let (bytes, effects) = self.out.take();
            for effect in effects {
                match effect {
                    Effect::Transmit { to, protocol: Protocol::Sip, range, .. } => {
                        self.sip.push_back(Sent { to, text: String::from_utf8(bytes[range].to_vec()).unwrap() });
                    }
                    Effect::Transmit { from, to, protocol: Protocol::Diameter, range, .. } => {
                        self.base_protocol(from, to, &bytes[range]);
                    }
                    Effect::Connect { from, to, transport, protocol } => {
                        let local = SocketAddr::new(from.ip(), 40_000);
                        self.peer = Some((to, local));
                        let state = ConnectionState::Opened;
                        let opened = Connection { local, remote: to, transport, protocol, inbound: false, state };
                        self.element.connection(self.now, &opened, &mut self.out);
                    }
                    Effect::Event(event) => self.events.push(event.what),
                    _ => {}
                }
            }
        }
    }

    fn base_protocol(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let header = Header::parse(bytes).unwrap();
        if header.application != 0 {
            return self.cx.push_back(bytes.to_vec());
        }
        if !header.request {
            return;
        }
        let mut answer = Vec::new();
        let mut w = Writer::new(&mut answer, &header.answer(false));
        w.u32(268, 0, true, 2001).octets(264, 0, true, b"hss.example").octets(296, 0, true, REALM.as_bytes());
        if header.command == 257 {
            w.address(257, 0, true, to.ip()).u32(266, 0, true, 10_415).octets(269, 0, false, b"script");
            w.u32(265, 0, true, 10_415);
            w.group(260, 0, true, |w| {
                w.u32(266, 0, true, 10_415).u32(258, 0, true, 16_777_216);
            });
        }
        w.finish();
        self.packet(&answer, Protocol::Diameter, to, from);
    }
}

/// The Diameter side of an element that knows one HSS.
pub(crate) fn node(origin_host: &str) -> NodeConfig {
    NodeConfig {
        origin_host: origin_host.into(),
        origin_realm: REALM.into(),
        address: "127.0.0.1".parse().unwrap(),
        listen: None,
        transports: vec![Transport::Tcp],
        peers: vec![PeerConfig::tcp(HSS.parse().unwrap())],
        watchdog: Duration::from_secs(30),
        reconnect: Duration::from_secs(30),
        request_timeout: Duration::from_secs(5),
        accept_unknown_peers: false,
        epoch: Epoch::SIMULATION,
    }
}

/// The value of the first line of this name; panics where there is none.
pub(crate) fn header<'t>(text: &'t str, name: &str) -> &'t str {
    headers(text, name).next().unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// The values of all lines of this name.
pub(crate) fn headers<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let name = format!("{name}: ");
    text.split("\r\n").filter_map(move |line| line.strip_prefix(&*name))
}

/// The status of a response.
pub(crate) fn status(text: &str) -> u16 {
    text.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or_else(|| panic!("{text}"))
}
