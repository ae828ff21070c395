//! A whole core in one process, and devices that are texts.

use crate::common::{Recorder, address};
use imsreg::config::{Elements, Setting, load_profile, load_subscribers};
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{Ims, Outward};
use imsreg::packet::{Effect, Packet, Protocol, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::time::{Epoch, Instant};
use std::net::SocketAddr;
use std::path::Path;

/// Our core with the profile of a system.
pub(crate) struct Core {
    pub(crate) ims: Ims,
    pub(crate) tap: Recorder,
    now: u64,
}

impl Core {
    /// With a profile, settings as `--set` takes them, and a subscriber file.
    pub(crate) fn with(profile: &str, settings: &[&str], subscribers: &Path) -> Self {
        let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
        let profile = load_profile(profile, &settings).unwrap_or_else(|faults| panic!("{faults}"));
        let subscribers = load_subscribers(subscribers, &profile).unwrap_or_else(|faults| panic!("{faults}"));
        let (all, epoch) = (Elements::ALL, Epoch::SIMULATION);
        let mut random = Random::seeded(28_181);
        let mut ims = Ims::new(profile.wiring);
        ims.add(Hss::new(profile.hss(epoch).unwrap(), subscribers.store, random.fork())).unwrap();
        ims.add(Scscf::new(profile.scscf(all, epoch).unwrap(), random.fork())).unwrap();
        ims.add(Icscf::new(profile.icscf(all, epoch).unwrap(), random.fork())).unwrap();
        ims.add(Pcscf::new(profile.pcscf(all).unwrap(), random.fork())).unwrap();
        let mut this = Self { ims, tap: Recorder::default(), now: 0 };
        let mut out = Outward::new();
        this.ims.start(Instant::ZERO, &mut out, &mut this.tap);
        this
    }

    /// A device sends a request by UDP and hears one final answer.
    #[track_caller]
    pub(crate) fn hears(&mut self, from: &str, text: &str) -> String {
        let mut heard = self.sends(from, text);
        assert_eq!(heard.len(), 1, "{}", self.tap.trace());
        let (to, text) = heard.remove(0);
        assert_eq!(to, address(from), "{text}");
        text
    }

    /// A device sends a message by UDP, a second after the last one: what leaves the core, but for 100.
    pub(crate) fn sends(&mut self, from: &str, text: &str) -> Vec<(SocketAddr, String)> {
        self.now += 1_000;
        let now = Instant::from_millis(self.now);
        let mut out = Outward::new();
        while let Some(due) = self.ims.next_timeout().filter(|due| *due <= now) {
            self.ims.handle_timeout(due, &mut out, &mut self.tap);
        }
        let (transport, protocol) = (Transport::Udp, Protocol::Sip);
        let (from, to) = (address(from), address("127.0.0.1:5060"));
        let packet = Packet { bytes: text.as_bytes(), protocol, transport, from, to, sa: None };
        self.ims.receive(now, &packet, &mut out, &mut self.tap);
        let (effects, bytes) = out.drain();
        effects
            .filter_map(|(_, effect)| match effect {
                Effect::Transmit { to, transport: Transport::Udp, range, .. } => {
                    Some((to, String::from_utf8(bytes[range].to_vec()).unwrap()))
                }
                _ => None,
            })
            .filter(|(_, text)| !text.starts_with("SIP/2.0 100"))
            .collect()
    }
}
