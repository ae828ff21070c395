//! The HSS: subscribers, authentication centre, registration state (TS 29.228 clause 6).

mod auc;
mod config;
mod credentials;
mod identities;
mod lir;
mod mar;
mod network;
mod pages;
mod range;
mod record;
mod restoration;
mod sar;
mod source;
mod state;
pub mod store;
mod uar;

pub use config::{HssConfig, SqnScheme};
pub use network::NotSent;
pub use record::{RecordFault, Restored};
pub use store::{ChargingAddresses, Store, Subscriber};

use crate::aka::vector::SubscriberKeys;
use crate::cx::envelope::{self, encode_fault};
use crate::cx::{Capabilities, Lir, Mar, RequestEnvelope, Sar, Uar, UserAuthorizationType};
use crate::diameter::peer::{Node, PeerId, Received};
use crate::diameter::{Fault, Header};
use crate::event::Role;
use crate::packet::{Connection, Outbox, Packet};
use crate::random::Random;
use crate::time::Instant;
use network::{Asked, Servers};
use record::Record;
use source::Auth;
use state::States;

/// The element.
#[derive(Debug)]
pub struct Hss {
    node: Node<Asked>,
    records: Records,
}

/// Everything but the Diameter side.
#[derive(Debug)]
struct Records {
    config: HssConfig,
    store: Store,
    states: States,
    servers: Servers,
    random: Random,
    /// Changes are recorded before they are promised.
    recording: bool,
    /// The User-Data being sent.
    user_data: Vec<u8>,
}

impl Hss {
    /// With the subscribers of `store`, none of them registered.
    pub fn new(config: HssConfig, store: Store, mut random: Random) -> Self {
        let node = Node::new(config.diameter.clone(), random.fork()).with_role(Role::Hss);
        let states = States::default();
        let servers = Servers::default();
        let records = Records { config, store, states, servers, random, recording: false, user_data: Vec::new() };
        Self { node, records }
    }

    /// The keys of the subscriber with this private identity; `None`: he has none, or there is no such subscriber.
    pub fn keys(&self, impi: &str) -> Option<SubscriberKeys> {
        let store = &self.records.store;
        match store.auth(store.by_impi(impi)?) {
            Auth::Algorithm(keys) => Some(keys.into_owned()),
            Auth::Recorded(_) | Auth::None => None,
        }
    }

    /// From now on each change that an answer promises leaves as [`crate::packet::Effect::Record`] in front of it.
    pub const fn record_changes(&mut self) {
        self.records.recording = true;
    }

    /// Takes back a record of an earlier run, before the start.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<Restored, RecordFault> {
        let impi = std::str::from_utf8(key).map_err(|_| RecordFault::Key)?;
        let record = Record::read(value)?;
        let Records { store, states, servers, .. } = &mut self.records;
        let Some(member) = store.by_impi(impi) else { return Ok(Restored::UnknownSubscriber) };
        states.restore(member, store.of(member), &record)?;
        // Whoever served must be told, though it has said nothing since the start.
        if let Some((name, host)) = record.overtaken.filter(|(_, host)| !host.is_empty()) {
            servers.learn(name, host);
        }
        Ok(Restored::Taken)
    }

    /// Nothing to connect to; peers come.
    pub fn start(&mut self, now: Instant, out: &mut Outbox) {
        self.node.start(now, out);
    }

    /// Takes a Diameter packet.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        let (peer, header, message) = match self.node.receive(now, packet, out) {
            Received::Request { peer, header, message } => (peer, header, message),
            Received::Answer { context, message, .. } => return self.on_answer(now, context, message, out),
            Received::Handled => return,
        };
        if let Err(fault) = self.request(now, peer, &header, message, out) {
            let (host, realm) = self.records.origin();
            self.node.answer(peer, &header, fault.is_protocol_error(), out, |w| {
                encode_fault(&fault, message, &header, host, realm, w);
            });
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        self.node.connection(now, connection, out);
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.node.next_timeout()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.node.handle_timeout(now, out, &mut Vec::new());
    }

    /// Disconnects its peers in order.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        self.node.stop(now, out);
    }

    /// As given.
    pub const fn config(&self) -> &HssConfig {
        &self.records.config
    }

    fn request(
        &mut self,
        now: Instant,
        peer: PeerId,
        header: &Header,
        message: &[u8],
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Self { node, records } = self;
        match header.command {
            Uar::COMMAND => {
                let uar = Uar::decode(message)?;
                if uar.authorization_type == UserAuthorizationType::RegistrationAndCapabilities {
                    uar::await_reassignment(records, &uar);
                    records.record_change(out);
                }
                let uaa = uar::answer(records, &uar);
                node.answer(peer, header, false, out, |w| uaa.encode(w));
            }
            Mar::COMMAND => {
                let mar = Mar::decode(message)?;
                let given = mar::answer(records, now, &mar, out);
                let maa = given.message(records, &mar);
                node.answer(peer, header, false, out, |w| maa.encode(w));
            }
            Sar::COMMAND => {
                let sar = Sar::decode(message)?;
                records.servers.learn(sar.server_name, sar.envelope.origin_host);
                let (saa, overtaken) = sar::answer(records, &sar, message, out)?;
                node.answer(peer, header, false, out, |w| saa.encode(w));
                if let Some((member, before)) = overtaken {
                    records.tell_overtaken(node, now, (member, &before), out);
                }
            }
            Lir::COMMAND => {
                let lir = Lir::decode(message)?;
                if lir.authorization_type == Some(UserAuthorizationType::RegistrationAndCapabilities) {
                    lir::await_reassignment(records, &lir);
                    records.record_change(out);
                }
                let lia = lir::answer(records, &lir);
                node.answer(peer, header, false, out, |w| lia.encode(w));
            }
            // RTR and PPR go the other way.
            _ => return Err(Fault::new(3001, "command not supported")),
        }
        Ok(())
    }
}

impl Records {
    /// Records the subscription that this request has changed. Comes before the answer.
    fn record_change(&mut self, out: &mut Outbox) {
        if let Some(member) = self.states.take_touched().filter(|_| self.recording)
            && let Some(state) = self.states.find(member)
        {
            let record = Record::of(member, state, &self.states, &self.servers);
            out.record(self.store.impi(member).as_bytes(), |value| record.write(value));
        }
    }

    /// Sets the S-CSCF reassignment pending flag of a user who has an S-CSCF to lose.
    fn await_reassignment(&mut self, member: source::Member) {
        if self.states.registration(member).1.is_some() {
            self.states.restorations.await_reassignment(member);
            self.states.of(member, self.store.of(member));
        }
    }

    /// Origin-Host and Origin-Realm.
    fn origin(&self) -> (&str, &str) {
        self.config.diameter.origin()
    }

    /// The common AVPs of the answer.
    fn envelope<'a>(&'a self, request: &RequestEnvelope<'a>) -> envelope::Envelope<'a> {
        let (origin_host, origin_realm) = self.origin();
        envelope::Envelope { session_id: request.session_id, origin_host, origin_realm }
    }

    /// What an S-CSCF must and should be capable of for `member`.
    fn capabilities(&self, member: source::Member) -> Capabilities<'_> {
        let own = self.store.of(member).capabilities.as_ref();
        let (mandatory, optional) = own.unwrap_or(&self.config.capabilities);
        Capabilities { mandatory: mandatory.clone(), optional: optional.clone(), server_names: Vec::new() }
    }

    /// The same where it was not asked for: left out when any S-CSCF will do. An empty Server-Capabilities would say so
    /// too, but Kamailio drops a message with a grouped AVP of no octets.
    fn needed_capabilities(&self, member: source::Member) -> Option<Capabilities<'_>> {
        Some(self.capabilities(member)).filter(|c| !c.mandatory.is_empty() || !c.optional.is_empty())
    }
}
