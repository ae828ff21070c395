//! Our UE alone, without a security agreement, and a network that is texts.

use crate::common::address;
use imsreg::aka::Password;
use imsreg::config::{Subscription, load_profile};
use imsreg::event::What;
use imsreg::identity::{Impi, Impu, Realm};
use imsreg::packet::{Effect, Outbox, Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Login, Ue, UeConfig};

/// Our UE alone.
pub(crate) struct Device {
    pub(crate) ue: Ue,
    sent: Vec<String>,
    now: Instant,
    pub(crate) events: Vec<What>,
}

impl Device {
    pub(crate) fn new(username: &str, password: &str, aor: &str, uri: &str) -> Self {
        let profile = load_profile("plain-digest", &[]).unwrap();
        let login = Login { username: username.into(), password: Password(password.into()) };
        let subscription = Subscription {
            impi: Impi::from(username),
            impu: Impu::from(aor),
            // The Request-URI, which is the `uri` of credentials, is made of it.
            realm: Realm::from(uri.strip_prefix("sip:").unwrap()),
            usim: None,
            login: Some(login),
        };
        let (pcscf, local) = (address("127.0.0.1:5060"), address("192.0.2.10:5060"));
        let config: UeConfig = profile.ue(&subscription, pcscf, local, Epoch::SIMULATION);
        let mut this =
            Self { ue: Ue::new(config, Random::seeded(1)), sent: Vec::new(), now: Instant::ZERO, events: Vec::new() };
        this.call(Ue::register);
        this
    }

    pub(crate) fn call(&mut self, act: impl FnOnce(&mut Ue, Instant, &mut Outbox)) {
        let mut out = Outbox::new();
        act(&mut self.ue, self.now, &mut out);
        let (bytes, effects) = out.take();
        for effect in effects {
            match effect {
                Effect::Transmit { range, .. } => self.sent.push(String::from_utf8(bytes[range].to_vec()).unwrap()),
                Effect::Event(event) => self.events.push(event.what),
                _ => {}
            }
        }
    }

    /// The one message that it has sent.
    pub(crate) fn sent(&mut self) -> String {
        assert_eq!(self.sent.len(), 1, "{:?} {:?}", self.sent, self.ue.failure());
        self.sent.remove(0)
    }

    /// All that it has sent since the last look.
    pub(crate) fn all_sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.ue.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.call(Ue::handle_timeout);
        }
        self.now = until;
    }

    /// It hears a message from the network.
    pub(crate) fn hears(&mut self, text: &str) {
        let (transport, protocol) = (Transport::Udp, Protocol::Sip);
        let (from, to) = (address("127.0.0.1:5060"), address("192.0.2.10:5060"));
        let packet = Packet { bytes: text.as_bytes(), protocol, transport, from, to, sa: None };
        self.call(|ue, now, out| ue.receive(now, &packet, out));
    }
}

/// A recorded response as the answer to a request of ours.
pub(crate) fn like(request: &str, recorded: &str) -> String {
    let asked = Message::parse(request.as_bytes()).unwrap();
    let mut text = String::new();
    let message = Message::parse(recorded.as_bytes()).unwrap();
    text += recorded.split("\r\n").next().unwrap();
    text += "\r\n";
    for line in message.lines() {
        match line.name {
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                text += &format!("{}: {}\r\n", line.name_text, asked.header(line.name).unwrap());
            }
            HeaderName::To => text += &format!("To: {};tag=recorded\r\n", asked.header(line.name).unwrap()),
            _ => text += std::str::from_utf8(line.raw).unwrap(),
        }
    }
    text + "\r\n"
}
