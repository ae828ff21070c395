//! What was recorded of a run.

use super::Setting;
use crate::aka::vector::SubscriberKeys;
use crate::trace::keys::Keyring;
use crate::trace::story::{Group, Limits, Story};
use crate::trace::{self, Options};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// What a rig hands to the judge.
#[derive(Clone)]
pub struct Recording {
    /// A capture of Gm as `--capture` writes it: what an SA carries is there as clear text with its SA.
    pub capture: Vec<u8>,
    /// Where UEs are, the first first. Where we are the network: may be empty, then everybody who talks to `network` is
    /// the first.
    pub ues: Vec<End>,
    /// Where the network is on Gm. Where we are the UEs: may be empty, then everybody whom they talk to is.
    pub network: Vec<End>,
    /// What `{ue2.impi}` and the like stand for in texts of cases, without the braces: `ueN.impi`, `ueN.impu`, `ueN.user`
    /// (of the IMPI), `realm`.
    pub names: Vec<(Box<str>, Box<str>)>,
    /// Keys of subscribers by IMPI, where they are known.
    pub keys: Vec<(Box<str>, SubscriberKeys)>,
    /// What the run offered.
    pub setting: Setting,
    /// Whether the control registration of the same run succeeded.
    pub control: bool,
}

/// Some ports of a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The host.
    pub address: IpAddr,
    /// Its ports.
    pub ports: RangeInclusive<u16>,
}

impl Recording {
    /// Its messages, sorted by what they belong to; what cannot be read of it is not there.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut keys = Keyring::new();
        for (impi, subscriber) in &self.keys {
            keys.add_subscriber(Some(impi), subscriber.clone());
        }
        let mut story = Story::new(Limits::default());
        let mut groups = Vec::new();
        if let Ok(source) = trace::open(&self.capture[..], Options { keys, ..Options::default() }) {
            for sighting in source.map_while(Result::ok) {
                story.see(sighting);
                groups.extend(std::iter::from_fn(|| story.next()));
            }
        }
        story.finish();
        groups.extend(std::iter::from_fn(|| story.next()));
        groups
    }

    /// A text of a case with its names filled.
    pub fn filled(&self, text: &str) -> String {
        let fill = |text: String, (name, value): &(Box<str>, Box<str>)| text.replace(&format!("{{{name}}}"), value);
        if text.contains('{') { self.names.iter().fold(text.to_owned(), fill) } else { text.to_owned() }
    }
}

impl End {
    /// All ports of a host.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, ports: 0..=u16::MAX }
    }

    /// Whether it holds an address.
    pub fn has(&self, address: SocketAddr) -> bool {
        self.address == address.ip() && self.ports.contains(&address.port())
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("octets", &self.capture.len()).finish_non_exhaustive()
    }
}
