//! From a trace to configuration: what a [`Registration`] shows of its network, its device and its subscriber, as YAML that
//! `config` reads. A comment beside each value names the message that it came from; what the trace does not tell is said at
//! the end.
//!
//! It stands on the trace and on message syntax. An element that runs with what is written here says what was recorded, in
//! the recorded form, but for what must be fresh.

mod device;
mod forms;
mod network;
mod page;
mod subscriber;

use crate::event::Role;
use crate::sip;
use crate::trace::story::{Exchange, Message, Registration};
use page::Page;

/// What is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts {
    /// How the network behaves.
    pub network: bool,
    /// How the device behaves.
    pub device: bool,
}

/// Why nothing can be derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Nothing {
    /// Neither a REGISTER of a UE nor an answer to one.
    #[error("no REGISTER between UE and P-CSCF; a trace from Gm is needed")]
    NoRegister,
    /// Nothing that the network says.
    #[error("no final answer to a REGISTER of the UE; nothing tells how the network answers")]
    NoAnswer,
    /// Nothing that the device says.
    #[error("no REGISTER of the UE; nothing tells how the device asks")]
    NoRequest,
}

/// A profile. A device alone is for `imsreg register --device`; with its network it is a whole profile, for `imsreg serve`,
/// `simulate` and the first run.
pub fn profile(registration: &Registration<'_>, parts: Parts, source: &str) -> Result<String, Nothing> {
    let seen = Seen::of(registration);
    if seen.exchanges.is_empty() {
        return Err(Nothing::NoRegister);
    }
    let (has_network, has_device) = (seen.answers().next().is_some(), seen.requests().next().is_some());
    // Where both are asked for, one is worth something alone.
    let parts = match parts {
        Parts { network: true, device: true } => Parts { network: has_network, device: has_device },
        Parts { network: true, .. } if !has_network => return Err(Nothing::NoAnswer),
        Parts { device: true, .. } if !has_device => return Err(Nothing::NoRequest),
        one => one,
    };
    let mut page = Page::new(&head(registration, parts, source));
    if parts.network {
        network::write(&seen, &mut page)?;
    }
    if parts.device {
        device::write(&seen, &mut page)?;
    }
    Ok(page.text())
}

/// The subscriber, for `--hss-data`: identities, and the challenges and responses that were recorded.
pub fn subscribers(registration: &Registration<'_>, source: &str) -> Result<String, Nothing> {
    let seen = Seen::of(registration);
    if seen.exchanges.is_empty() {
        return Err(Nothing::NoRegister);
    }
    subscriber::write(&seen, source)
}

fn head(registration: &Registration<'_>, parts: Parts, source: &str) -> String {
    let what = match parts {
        Parts { network: true, device: false } => "A network",
        Parts { network: false, device: true } => "A device",
        _ => "A network and a device",
    };
    let number = registration.id().unwrap_or_default();
    format!(
        "{what} as registration {number} of {source} shows it. Numbers are those of the messages in `imsreg show`.\n\
         Form: how header lines are written; {{name}} stands for what our own line has (docs/configuration.md, Forms)."
    )
}

/// What is looked at: the REGISTERs of the UE and their answers on the hop nearest to it.
struct Seen<'r> {
    registration: &'r Registration<'r>,
    /// In order.
    exchanges: Vec<Exchange<'r>>,
}

impl<'r> Seen<'r> {
    fn of(registration: &'r Registration<'r>) -> Self {
        let first =
            |exchange: &Exchange<'r>| !matches!(exchange.client(), Some(Role::Pcscf | Role::Icscf | Role::Scscf));
        let exchanges = registration.attempts().flat_map(|attempt| attempt.steps()).filter(first).collect();
        Self { registration, exchanges }
    }

    /// Every REGISTER of the UE, and what answers it.
    fn requests(&self) -> impl Iterator<Item = (Message<'r>, &'r sip::Message<'r>)> {
        self.exchanges.iter().filter_map(|exchange| with_sip(exchange.request()?))
    }

    /// Every final answer.
    fn answers(&self) -> impl Iterator<Item = (Message<'r>, &'r sip::Message<'r>)> {
        self.exchanges.iter().filter_map(|exchange| with_sip(exchange.last()?))
    }

    /// The first final answer of a status.
    fn answered(&self, is: impl Fn(u16) -> bool) -> Option<(Message<'r>, &'r sip::Message<'r>)> {
        self.answers().find(|(message, _)| message.status().is_some_and(&is))
    }
}

fn with_sip<'r>(message: Message<'r>) -> Option<(Message<'r>, &'r sip::Message<'r>)> {
    message.sip().map(|sip| (message, sip))
}

/// True for a nonce that a network gave.
fn nonce<'a>(sip: &sip::Message<'a>) -> Option<&'a str> {
    sip.authorization().ok().flatten()?.nonce.filter(|nonce| !nonce.is_empty())
}

/// A domain name as profiles want it.
fn is_domain(host: &str) -> bool {
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    host.len() <= 253 && host.split('.').all(is_label)
}

/// An identity as subscriber files want it.
fn is_identity(text: &str) -> bool {
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("tel:")).unwrap_or_default();
    !rest.is_empty() && !rest.contains('!') && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\",".contains(&b))
}
