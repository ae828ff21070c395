//! What behaviour tests share: a driver for one element as a ladder, and a recorder for whole worlds.
//!
//! A line has a time in milliseconds and a message. Messages are named as in [`name`]: `REGISTER sip:example.org`,
//! `401 REGISTER`, `UAR`, `UAA 2001`.
#![expect(dead_code, reason = "every test program uses its own part")]

use imsreg::capture::{Capture, Entry};
#[cfg(feature = "live")]
use imsreg::config::Scenario;
use imsreg::diameter::Header;
use imsreg::event::Event;
use imsreg::ims::{Element, Tap};
use imsreg::packet::{Connection, Effect, Outbox, Packet, Protocol, Transport};
#[cfg(feature = "live")]
use imsreg::sim::Simulation;
use imsreg::sip::Message;
use imsreg::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// One element between lines that come in and lines that go out.
pub(crate) struct Driver {
    pub(crate) element: Element,
    now: u64,
    out: Outbox,
    /// Since the last [`Driver::expect`].
    sent: Vec<Sent>,
}

/// What an element sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: String,
}

impl Driver {
    pub(crate) fn new(element: impl Into<Element>) -> Self {
        Self { element: element.into(), now: 0, out: Outbox::new(), sent: Vec::new() }
    }

    /// Starts the element: it opens its Diameter connections.
    pub(crate) fn start(&mut self) {
        self.element.start(Instant::from_millis(self.now), &mut self.out);
        self.collect(self.now);
    }

    /// A packet comes in.
    pub(crate) fn send(&mut self, at: u64, packet: &Packet<'_>) {
        self.drive(at);
        self.element.receive(Instant::from_millis(at), packet, &mut self.out);
        self.collect(at);
    }

    /// A SIP datagram comes in.
    pub(crate) fn send_udp(&mut self, at: u64, from: &str, to: &str, text: &str) {
        let (from, to) = (address(from), address(to));
        let bytes = text.as_bytes();
        self.send(at, &Packet { bytes, protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa: None });
    }

    /// News of a connection.
    pub(crate) fn connection(&mut self, at: u64, connection: &Connection) {
        self.drive(at);
        self.element.connection(Instant::from_millis(at), connection, &mut self.out);
        self.collect(at);
    }

    /// At `at`, and not before, exactly these have been sent since the last look. Hands them out.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&mut self, at: u64, names: [&str; N]) -> [Sent; N] {
        self.drive(at);
        let sent = std::mem::take(&mut self.sent);
        let found: Vec<(u64, &str)> = sent.iter().map(|sent| (sent.at, sent.name.as_str())).collect();
        assert_eq!(found, names.map(|name| (at, name)));
        sent.try_into().expect("as many as names")
    }

    /// Runs every timer up to `at`.
    pub(crate) fn drive(&mut self, at: u64) {
        assert!(at >= self.now, "a ladder is read downwards");
        for _ in 0..10_000 {
            match self.element.next_timeout() {
                Some(due) if due <= Instant::from_millis(at) => {
                    self.element.handle_timeout(due, &mut self.out);
                    self.collect(due.as_micros() / 1_000);
                }
                _ => {
                    self.now = at;
                    return;
                }
            }
        }
        panic!("timers do not come to rest before {at} ms");
    }

    fn collect(&mut self, at: u64) {
        let (effects, all) = self.out.drain();
        for effect in effects {
            if let Effect::Transmit { from, to, transport, protocol, range, .. } = effect {
                let bytes = all[range].to_vec();
                self.sent.push(Sent { at, from, to, transport, name: name(protocol, &bytes), bytes });
            }
        }
        self.out.clear();
    }
}

/// Runs a scenario to its end.
#[cfg(feature = "live")]
pub(crate) fn run(scenario: &Scenario) -> Simulation<Recorder> {
    let mut simulation = Simulation::new(scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"));
    simulation.run();
    simulation
}

/// Lets `seconds` go by after that.
#[cfg(feature = "live")]
pub(crate) fn pass(simulation: &mut Simulation<Recorder>, seconds: u64) {
    let until = simulation.world().now() + Duration::from_secs(seconds);
    simulation.world_mut().run_until(until);
}

/// Everything that was sent in a world, and what its elements told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) hops: Vec<Sent>,
    pub(crate) capture: Capture,
}

impl Recorder {
    /// How often each message was sent.
    pub(crate) fn count(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for hop in &self.hops {
            *count.entry(hop.name.clone()).or_default() += 1;
        }
        count
    }

    /// All bytes, times and addresses: equal for equal runs.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for hop in &self.hops {
            all.extend_from_slice(format!("{} {} {} {}\n", hop.at, hop.from, hop.to, hop.transport).as_bytes());
            all.extend_from_slice(&hop.bytes);
        }
        for entry in &self.capture.entries {
            if let Entry::Event { at, event } = entry {
                all.extend_from_slice(format!("{at} {event:?}\n").as_bytes());
            }
        }
        all
    }

    /// A line for each message and event, for messages of failing tests.
    pub(crate) fn trace(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for entry in &self.capture.entries {
            match entry {
                Entry::Hop(hop) => {
                    let (from, to, name) = (hop.from, hop.to, name(hop.protocol, &hop.bytes));
                    writeln!(text, "{} {from} > {} {to} {name}", hop.at, hop.transport)
                }
                Entry::Event { at, event } => writeln!(text, "{at} {} {:?}", event.role, event.what),
            }
            .expect("a String takes every write");
        }
        text
    }

    /// The names of what was sent to a host, in order.
    pub(crate) fn to(&self, host: IpAddr) -> Vec<&str> {
        self.hops.iter().filter(|hop| hop.to.ip() == host).map(|hop| hop.name.as_str()).collect()
    }
}

impl Tap for Recorder {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let Packet { from, to, transport, protocol, bytes, .. } = *packet;
        let name = name(protocol, bytes);
        self.capture.entries.push(Entry::hop(now, packet));
        self.hops.push(Sent { at: now.as_micros() / 1_000, from, to, transport, bytes: bytes.to_vec(), name });
    }

    fn event(&mut self, now: Instant, event: &Event) {
        self.capture.entries.push(Entry::Event { at: now, event: event.clone() });
    }
}

/// What a message is, in short.
pub(crate) fn name(protocol: Protocol, bytes: &[u8]) -> String {
    match protocol {
        Protocol::Sip => sip_name(bytes),
        Protocol::Diameter => diameter_name(bytes),
    }
}

fn sip_name(bytes: &[u8]) -> String {
    let Ok(message) = Message::parse(bytes) else { return format!("{} octets", bytes.len()) };
    match (message.method(), message.status()) {
        (Some(method), _) => format!("{method} {}", message.request_uri().unwrap_or_default()),
        (None, status) => {
            let method = message.cseq().map_or_else(|_| "?".to_owned(), |cseq| cseq.method.to_string());
            format!("{} {method}", status.unwrap_or_default())
        }
    }
}

fn diameter_name(bytes: &[u8]) -> String {
    let Some(header) = Header::read(bytes) else { return format!("{} octets", bytes.len()) };
    let command = match header.command {
        257 => "CE",
        280 => "DW",
        282 => "DP",
        300 => "UA",
        301 => "SA",
        302 => "LI",
        303 => "MA",
        304 => "RT",
        305 => "PP",
        _ => "??",
    };
    if header.request { format!("{command}R") } else { format!("{command}A") }
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
