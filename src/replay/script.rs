//! What a trace shows of one registration, as steps that can be played again.

use super::comparison::Sender;
use crate::event::Role;
use crate::identity::Spi;
use crate::ipsec::association::Endpoint;
use crate::ipsec::negotiate;
use crate::packet::Transport;
use crate::sip::header::sec_agree::Mechanism;
use crate::sip::{HeaderName, Message as Sip, Method};
use crate::time::Instant;
use crate::trace::Ends;
use crate::trace::story::{Carried, Interface, Message, Registration};
use std::net::SocketAddr;

/// The messages between a UE and its network, each once, in the order of the trace.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    /// Recorded addresses of the UE.
    pub(super) ue: Vec<SocketAddr>,
    /// Recorded addresses of the P-CSCF.
    pub(super) pcscf: Vec<SocketAddr>,
    left_out: usize,
}

/// One message of a [`Script`].
#[derive(Clone)]
pub(super) struct Step {
    /// The number that `show` prints.
    pub(super) number: u64,
    pub(super) at: Option<Instant>,
    pub(super) sender: Sender,
    /// Request and response have the same.
    pub(super) exchange: usize,
    /// `None`: a request.
    pub(super) status: Option<u16>,
    pub(super) method: Box<str>,
    pub(super) transport: Transport,
    /// Whether an SA carried it; `None`: the trace does not tell.
    pub(super) protected: Option<bool>,
    pub(super) ends: Option<Ends>,
    pub(super) bytes: Vec<u8>,
}

/// Why a registration cannot be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoScript {
    /// No REGISTER.
    #[error("there is no REGISTER of a UE in it")]
    NoRegister,
    /// Messages that cannot be played are left out; this one cannot.
    #[error("message {0}, a REGISTER, is cut: the capture holds only its beginning")]
    Cut(u64),
}

impl Script {
    /// Of a registration: REGISTER, SUBSCRIBE, NOTIFY, MESSAGE, OPTIONS and PUBLISH with their final responses.
    pub fn of(registration: &Registration<'_>) -> Result<Self, NoScript> {
        let mut this = Self { steps: Vec::new(), ue: Vec::new(), pcscf: Vec::new(), left_out: 0 };
        for message in registration.messages() {
            let Some(sender) = sender_of(message) else { continue };
            let (Some(exchange), Some(sip)) = (message.exchange(), message.sip()) else { continue };
            if message.repeats().is_some() || message.status().is_some_and(|status| status < 200) {
                continue;
            }
            let method = message.method().map_or("", |method| method.as_str());
            if message.cut && method == "REGISTER" {
                return Err(NoScript::Cut(message.number));
            }
            if message.cut || !PLAYED.contains(&method) || exchange.request().is_none() {
                this.left_out += 1;
                continue;
            }
            let step = Step {
                number: message.number,
                at: message.at(),
                sender,
                exchange: exchange.index(),
                status: message.status(),
                method: method.into(),
                transport: transport_of(message, sip),
                protected: match message.carried() {
                    Carried::Clear => Some(false),
                    Carried::Sa(_) | Carried::Ports(_) | Carried::Foreign => Some(true),
                    Carried::Unknown => None,
                },
                ends: message.ends,
                bytes: message.bytes.clone(),
            };
            this.note_addresses(&step, sip);
            this.steps.push(step);
        }
        let is_register = |step: &Step| step.status.is_none() && &*step.method == "REGISTER";
        if this.steps.iter().any(is_register) { Ok(this) } else { Err(NoScript::NoRegister) }
    }

    /// How many messages there are to be played and compared.
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// True where there is none.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Messages over Gm that are not played: sessions, and what is cut.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    fn note_addresses(&mut self, step: &Step, sip: &Sip<'_>) {
        let mut note = |of: Sender, address: Option<SocketAddr>| {
            let list = if of == Sender::Ue { &mut self.ue } else { &mut self.pcscf };
            if let Some(address) = address.filter(|address| !list.contains(address)) {
                list.push(address);
            }
        };
        let other = if step.sender == Sender::Ue { Sender::Network } else { Sender::Ue };
        note(step.sender, step.ends.map(|ends| ends.from));
        note(other, step.ends.map(|ends| ends.to));
        if step.status.is_none() {
            let via = sip.via().ok();
            note(step.sender, via.and_then(|via| Some(SocketAddr::new(via.ip()?, via.port.unwrap_or(5060)))));
        }
        if step.status.is_none() && step.sender == Sender::Ue {
            let contact = sip.name_addrs(HeaderName::Contact).ok();
            let uri = contact.as_ref().and_then(|contacts| contacts.first()).map(|contact| contact.uri);
            note(Sender::Ue, uri.and_then(|uri| Some(SocketAddr::new(uri.ip()?, uri.port.unwrap_or(5060)))));
        }
    }
}

impl Step {
    pub(super) fn sip(&self) -> Option<Sip<'_>> {
        Sip::parse(&self.bytes).ok()
    }

    pub(super) const fn is_request(&self) -> bool {
        self.status.is_none()
    }

    pub(super) fn is_register(&self) -> bool {
        &*self.method == "REGISTER"
    }

    /// `401 to REGISTER`
    pub(super) fn name(&self) -> String {
        match self.status {
            Some(status) => format!("{status} to {}", self.method),
            None => self.method.to_string(),
        }
    }
}

/// What it holds are identities: the name only.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "message {}, {} of the {:?}", self.number, self.name(), self.sender)
    }
}

/// SPIs and ports of the first usable element of a security header.
pub(super) fn endpoint(sip: &Sip<'_>, name: HeaderName) -> Option<Endpoint> {
    let list = sip.security(name).ok()?;
    negotiate::usable(&list, &mut String::new()).first().map(|offer| offer.endpoint)
}

/// SPIs and ports of one element, where it has all four.
pub(super) fn endpoint_of(mechanism: &Mechanism<'_>) -> Option<Endpoint> {
    Some(Endpoint {
        spi_c: Spi(mechanism.spi_c?),
        spi_s: Spi(mechanism.spi_s?),
        port_c: mechanism.port_c?,
        port_s: mechanism.port_s?,
    })
}

/// Who sent a message that passed between UE and network; `None`: it passed elsewhere.
fn sender_of(message: Message<'_>) -> Option<Sender> {
    let exchange = message.exchange()?;
    let of_ue = match (exchange.client(), exchange.server()) {
        (Some(Role::Ue), _) => true,
        (_, Some(Role::Ue)) => false,
        // Nobody is known: what a REGISTER has passed first is nearest to its UE.
        (None, None) if exchange.interface() == Interface::Unknown => {
            exchange.method() == Some(Method::Register) && exchange.journey().first() == exchange
        }
        _ => return None,
    };
    if !of_ue && exchange.server() != Some(Role::Ue) {
        return None;
    }
    Some(if of_ue == message.is_request() { Sender::Ue } else { Sender::Network })
}

fn transport_of(message: Message<'_>, sip: &Sip<'_>) -> Transport {
    let by_via = || {
        let via = sip.via().ok();
        if via.is_some_and(|via| via.transport.eq_ignore_ascii_case("UDP")) { Transport::Udp } else { Transport::Tcp }
    };
    match message.ends.map(|ends| ends.transport) {
        Some(Transport::Udp) => Transport::Udp,
        Some(Transport::Tcp | Transport::Tls | Transport::Sctp) => Transport::Tcp,
        None => by_via(),
    }
}

const PLAYED: [&str; 6] = ["REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "OPTIONS", "PUBLISH"];
