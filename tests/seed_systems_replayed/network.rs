//! A core between phones that are texts, on addresses of their own, by UDP and TCP.

use crate::common::{Recorder, address};
use crate::facts::recorded;
use imsreg::config::{Elements, Setting, load_profile, load_subscribers};
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{ElementId, Ims, Outward};
use imsreg::packet::{Connection, ConnectionState, Effect, Packet, Protocol, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::{Duration, Epoch, Instant};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;

/// The core, and what it has sent outwards.
pub(crate) struct Network {
    ims: Ims,
    pub(crate) tap: Recorder,
    now: Instant,
    heard: VecDeque<Heard>,
    pub(crate) pcscf: SocketAddr,
}

/// A message for somebody outside.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) text: String,
}

/// Where a registered phone sends from and to, and what it was told when it registered.
#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) client: SocketAddr,
    pub(crate) network: SocketAddr,
    /// Security-Server of its challenge.
    pub(crate) security: Option<String>,
    /// What its requests are preloaded with.
    pub(crate) routes: Vec<String>,
}

impl Network {
    /// With a profile, settings as `--set` takes them, and a subscriber file.
    pub(crate) fn new(profile: &str, settings: &[&str], subscribers: &Path) -> Self {
        let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
        let profile = load_profile(profile, &settings).unwrap_or_else(|faults| panic!("{faults}"));
        let subscribers = load_subscribers(subscribers, &profile).unwrap_or_else(|faults| panic!("{faults}"));
        let (all, epoch) = (Elements::ALL, Epoch::SIMULATION);
        let mut random = Random::seeded(3_261);
        let mut ims = Ims::new(profile.wiring);
        let pcscf = profile.pcscf(all).unwrap();
        let listener = pcscf.listen[0];
        ims.add(Hss::new(profile.hss(epoch).unwrap(), subscribers.store, random.fork())).unwrap();
        ims.add(Scscf::new(profile.scscf(all, epoch).unwrap(), random.fork())).unwrap();
        ims.add(Icscf::new(profile.icscf(all, epoch).unwrap(), random.fork())).unwrap();
        ims.add(Pcscf::new(pcscf, random.fork())).unwrap();
        let (now, heard) = (Instant::ZERO, VecDeque::new());
        let mut this = Self { ims, tap: Recorder::default(), now, heard, pcscf: listener };
        this.call(|ims, _, out, tap| ims.start(Instant::ZERO, out, tap));
        this
    }

    /// Somebody outside sends a message, 10 ms after the last one.
    pub(crate) fn sends(&mut self, transport: Transport, from: SocketAddr, to: SocketAddr, text: &str) {
        self.pass(Duration::from_millis(10));
        let packet = Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport, from, to, sa: None };
        self.call(|ims, now, out, tap| ims.receive(now, &packet, out, tap));
    }

    /// The next message for this address. A 100 is heard by nobody.
    #[track_caller]
    pub(crate) fn hears(&mut self, host: SocketAddr) -> Heard {
        let at = self.heard.iter().position(|heard| heard.to.ip() == host.ip());
        let at = at.unwrap_or_else(|| panic!("{host} hears nothing\n{}", self.tap.trace()));
        self.heard.remove(at).expect("its position is known")
    }

    /// The same as its text.
    #[track_caller]
    pub(crate) fn told(&mut self, host: SocketAddr) -> String {
        self.hears(host).text
    }

    /// Nobody is told anything more.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        assert!(self.heard.is_empty(), "{:#?}", self.heard);
    }

    /// Who heard a request answers it, the way it came.
    pub(crate) fn answers(&mut self, phone: &Phone, asked: &Heard, text: &str) {
        match asked.transport {
            Transport::Udp => self.sends(Transport::Udp, phone.client, phone.network, text),
            stream => self.sends(stream, asked.to, asked.from, text),
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.ims.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.call(|ims, now, out, tap| ims.handle_timeout(now, out, tap));
        }
        self.now = until;
    }

    fn call(&mut self, act: impl FnOnce(&mut Ims, Instant, &mut Outward, &mut Recorder)) {
        let mut out = Outward::new();
        act(&mut self.ims, self.now, &mut out, &mut self.tap);
        while !out.is_empty() {
            let mut opened = Vec::new();
            let (effects, bytes) = out.drain();
            for (id, effect) in effects {
                match effect {
                    Effect::Transmit { mut from, to, transport, protocol: Protocol::Sip, range, .. } => {
                        if from.port() == 0 {
                            from = self::opened(from, to, transport, &mut opened, id);
                        }
                        let text = String::from_utf8(bytes[range].to_vec()).expect("text");
                        self.heard.push_back(Heard { from, to, transport, text });
                    }
                    Effect::Connect { from, to, transport, protocol: Protocol::Sip } => {
                        self::opened(from, to, transport, &mut opened, id);
                    }
                    _ => {}
                }
            }
            out.clear();
            for (id, connection) in opened {
                self.ims.connection(self.now, Some(id), &connection, &mut out, &mut self.tap);
            }
        }
        self.heard.retain(|heard| !heard.text.starts_with("SIP/2.0 100 "));
    }
}

/// A connection that a driver would open; our end of it.
fn opened(
    from: SocketAddr,
    to: SocketAddr,
    transport: Transport,
    all: &mut Vec<(ElementId, Connection)>,
    owner: ElementId,
) -> SocketAddr {
    let local = SocketAddr::new(from.ip(), if from.port() == 0 { 40_000 } else { from.port() });
    let (protocol, state) = (Protocol::Sip, ConnectionState::Opened);
    all.push((owner, Connection { local, remote: to, transport, protocol, inbound: false, state }));
    local
}

/// A handset of the recorded network registers through a security agreement, by the REGISTERs of `samsung-*`; `change`
/// rewrites what another handset writes otherwise.
pub(crate) fn handset(network: &mut Network, change: impl Fn(&str) -> String) -> Phone {
    let first = change(&recorded("recorded/samsung-01-register.sip"));
    let own = sent_by(&first);
    network.sends(Transport::Udp, own, network.pcscf, &first);
    let asked = network.told(own);
    assert_eq!(status(&asked), 401, "{asked}");
    let offer = offered(&asked);
    let server = SocketAddr::new(network.pcscf.ip(), server_port(&offer));
    let second = with(
        &change(&recorded("recorded/samsung-06-register-auth.sip")),
        None,
        &[("Security-Verify", vec![offer.clone()])],
    );
    let client = SocketAddr::new(own.ip(), sent_by(&second).port() + 1);
    network.sends(Transport::Tcp, client, server, &second);
    let accepted = network.told(own);
    assert_eq!(status(&accepted), 200, "{accepted}");
    let mut routes = vec![format!("<sip:{server};lr>")];
    routes.extend(values(&accepted, HeaderName::ServiceRoute));
    Phone { client, network: server, security: Some(offer), routes }
}

/// A phone without security agreement, which registers without password.
pub(crate) fn plain(network: &mut Network, transport: Transport, own: &str, impu: &str, contact: &str) -> Phone {
    let client = address(own);
    let user = impu.trim_start_matches("sip:");
    let realm = user.split('@').nth(1).expect("a domain");
    let text = format!(
        "REGISTER sip:{realm} SIP/2.0\r\nVia: SIP/2.0/{transport} {own};branch=z9hG4bKr{user}\r\nMax-Forwards: 70\r\n\
         From: <{impu}>;tag=r\r\nTo: <{impu}>\r\nCall-ID: {user}\r\nCSeq: 1 REGISTER\r\nContact: <{contact}>\r\n\
         Content-Length: 0\r\n\r\n"
    );
    network.sends(transport, client, network.pcscf, &text);
    let accepted = network.told(client);
    assert_eq!(status(&accepted), 200, "{accepted}");
    let mut routes = vec![format!("<sip:{};lr>", network.pcscf)];
    routes.extend(values(&accepted, HeaderName::ServiceRoute));
    Phone { client, network: network.pcscf, security: None, routes }
}

/// A recorded message with another Request-URI and other lines of these names; all else is as recorded, to the octet. No
/// value takes the header away; a header that was not there comes first.
pub(crate) fn with(text: &str, uri: Option<&str>, headers: &[(&str, Vec<String>)]) -> String {
    let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
    let mut lines = head.split("\r\n");
    let start = lines.next().expect("a start line");
    let start = match uri {
        Some(uri) => {
            let mut words = start.splitn(3, ' ');
            let (method, _, version) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            format!("{method} {uri} {version}")
        }
        None => start.to_owned(),
    };
    let mut rest: Vec<String> = Vec::new();
    let mut given = vec![false; headers.len()];
    let mut dropped = false;
    for line in lines {
        // A fold goes with its line.
        if line.starts_with([' ', '\t']) {
            if !dropped {
                rest.push(line.to_owned());
            }
            continue;
        }
        let name = line.split(':').next().unwrap_or_default().trim();
        let named = headers.iter().position(|(other, _)| other.eq_ignore_ascii_case(name));
        dropped = named.is_some();
        match named {
            Some(n) if !std::mem::replace(&mut given[n], true) => {
                rest.extend(headers[n].1.iter().map(|value| format!("{name}: {value}")));
            }
            Some(_) => {}
            None => rest.push(line.to_owned()),
        }
    }
    let mut out = vec![start];
    for ((name, values), _) in headers.iter().zip(&given).filter(|(_, given)| !**given) {
        out.extend(values.iter().map(|value| format!("{name}: {value}")));
    }
    out.extend(rest);
    out.join("\r\n") + "\r\n\r\n" + body
}

/// A plain answer to a request, from the other side of a recording that has none.
pub(crate) fn answer(line: &str, request: &str) -> String {
    let copied = |l: &&str| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| l.starts_with(name));
    let copied: String = request.split("\r\n").filter(copied).map(|line| format!("{line}\r\n")).collect();
    let message = Message::parse(request.as_bytes()).unwrap();
    let to = message.header(HeaderName::To).unwrap();
    format!("SIP/2.0 {line}\r\n{copied}To: {to};tag=called\r\nContent-Length: 0\r\n\r\n")
}

/// What follows the empty line.
pub(crate) fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").expect("an empty line").1
}

/// Security-Server of a challenge.
pub(crate) fn offered(challenge: &str) -> String {
    let message = Message::parse(challenge.as_bytes()).unwrap();
    message.header(HeaderName::SecurityServer).expect("an offer").to_owned()
}

/// The protected server port of an offer.
pub(crate) fn server_port(offer: &str) -> u16 {
    let port = offer.split(";port-s=").nth(1).and_then(|rest| rest.split([';', ',']).next());
    port.and_then(|port| port.parse().ok()).expect("a port")
}

/// All elements of a header.
pub(crate) fn values(text: &str, name: HeaderName) -> Vec<String> {
    let message = Message::parse(text.as_bytes()).unwrap();
    message.elements(name).map(str::to_owned).collect()
}

pub(crate) fn status(text: &str) -> u16 {
    Message::parse(text.as_bytes()).unwrap().status().unwrap_or_default()
}

/// Where the sender of a request says that it is.
pub(crate) fn sent_by(text: &str) -> SocketAddr {
    let message = Message::parse(text.as_bytes()).unwrap();
    let via = message.via().unwrap();
    format!("{}:{}", via.host, via.port.unwrap_or(5060)).parse().unwrap()
}
