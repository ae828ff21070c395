//! What the HSS begins: RTR and PPR (TS 29.228 clauses 6.1.3 and 6.2).

use super::source::Member;
use super::state::Registration;
use super::{ChargingAddresses, Hss, Records};
use crate::cx::user_data::{ImsSubscription, ServiceProfile};
use crate::cx::{self, CxResult, Ppa, Ppr, ReasonCode, RequestEnvelope, Rta, Rtr};
use crate::diameter::peer::Node;
use crate::packet::Outbox;
use crate::time::Instant;

/// What a request of ours was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// To end registrations.
    Rtr(Member, ReasonCode),
    /// To take a profile.
    Ppr(Member),
}

/// Why nothing was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotSent {
    /// Nobody has this private or public identity.
    #[error("no subscriber has this identity")]
    UnknownSubscriber,
    /// No S-CSCF is assigned.
    #[error("no S-CSCF serves this subscriber")]
    NotServed,
    /// The S-CSCF is no peer that is open.
    #[error("the S-CSCF is not connected")]
    NotConnected,
    /// The subscriber is one of a range, or an identity belongs to somebody else.
    #[error("the profile cannot be changed")]
    NotChangeable,
}

/// The S-CSCFs that have assigned themselves, as SIP names them and as Diameter does.
#[derive(Debug, Default)]
pub(super) struct Servers(Vec<(Box<str>, Box<str>)>);

impl Servers {
    /// A SAR tells both names.
    pub(super) fn learn(&mut self, name: &str, host: &str) {
        let is_full = self.0.len() >= MOST_SERVERS;
        match self.0.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) if **known == *host => {}
            Some((_, known)) => *known = host.into(),
            None if is_full => {}
            None => self.0.push((name.into(), host.into())),
        }
    }

    pub(super) fn host(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, host)| &**host)
    }
}

impl Hss {
    /// Asks the S-CSCF of a subscriber, named by a private or a public identity, to end what is registered. The state
    /// changes when the S-CSCF has agreed.
    pub fn deregister(
        &mut self,
        now: Instant,
        identity: &str,
        reason: ReasonCode,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        let Self { node, records } = self;
        let member = records.member(identity)?;
        let name = records.states.registration(member).1.ok_or(NotSent::NotServed)?;
        let host = records.servers.host(name).ok_or(NotSent::NotConnected)?;
        records.send_rtr(node, now, member, host, reason, out)
    }

    /// Sends the profile and the charging addresses of a subscriber to the S-CSCF that has them.
    pub fn push_profile(&mut self, now: Instant, identity: &str, out: &mut Outbox) -> Result<(), NotSent> {
        let Self { node, records } = self;
        let member = records.member(identity)?;
        let name = records.states.registration(member).1.ok_or(NotSent::NotServed)?;
        let host = records.servers.host(name).ok_or(NotSent::NotConnected)?;
        let mut xml = Vec::new();
        records.store.write_user_data(member, &mut xml);
        let session_id = node.session_id();
        let impi = records.store.impi(member);
        let ppr = Ppr {
            envelope: records.request_envelope(&session_id, host),
            impi: &impi,
            user_data: Some(&xml),
            charging: super::sar::charging(records.store.of(member)),
            auth: None,
        };
        node.request_to(now, host, Ppr::COMMAND, cx::APPLICATION, Asked::Ppr(member), out, |w| ppr.encode(w))
            .map_err(|_| NotSent::NotConnected)
    }

    /// Provisions other service profiles and charging addresses (ecf primary and secondary, ccf primary and secondary)
    /// for a single subscriber. [`Hss::push_profile`] tells the S-CSCF.
    pub fn change_profile(
        &mut self,
        identity: &str,
        profiles: Vec<ServiceProfile>,
        charging: ChargingAddresses,
    ) -> Result<(), NotSent> {
        let member = self.records.member(identity)?;
        if self.records.store.change(member, profiles, charging) { Ok(()) } else { Err(NotSent::NotChangeable) }
    }

    /// The S-CSCF has answered.
    pub(super) fn on_answer(&mut self, now: Instant, asked: Asked, message: &[u8], out: &mut Outbox) {
        match asked {
            Asked::Rtr(member, reason) => {
                if let Ok(rta) = Rta::decode(message) {
                    self.records.on_rta(member, reason, &rta);
                    self.records.record_change(out);
                }
            }
            Asked::Ppr(member) => {
                // What does not fit there fits elsewhere: another S-CSCF is to be selected (TS 29.228 clause 6.2.1).
                if Ppa::decode(message).is_ok_and(|ppa| ppa.result == CxResult::TOO_MUCH_DATA) {
                    let impi = self.records.store.impi(member).into_owned();
                    // Where it cannot be sent, its connection has gone, and nothing is to be ended.
                    let _ = self.deregister(now, &impi, ReasonCode::ServerChange, out);
                }
            }
        }
    }
}

impl Records {
    fn member(&self, identity: &str) -> Result<Member, NotSent> {
        let by_impu = || self.store.by_impu(identity).map(|(member, _)| member);
        self.store.by_impi(identity).or_else(by_impu).ok_or(NotSent::UnknownSubscriber)
    }

    /// The public identities of a subscriber, in order.
    fn impus(&self, member: Member) -> Vec<String> {
        let mut xml = Vec::new();
        self.store.write_user_data(member, &mut xml);
        let document = ImsSubscription::parse(&xml).expect("it was written here");
        document.profiles.into_iter().flat_map(|profile| profile.identities).map(|i| i.identity).collect()
    }

    fn send_rtr(
        &self,
        node: &mut Node<Asked>,
        now: Instant,
        member: Member,
        host: &str,
        reason: ReasonCode,
        out: &mut Outbox,
    ) -> Result<(), NotSent> {
        let impi = self.store.impi(member);
        // Only this reason needs the identities: for others none stands for all.
        let impus = if reason == ReasonCode::NewServerAssigned { self.impus(member) } else { Vec::new() };
        let session_id = node.session_id();
        let rtr = Rtr {
            envelope: self.request_envelope(&session_id, host),
            impi: &impi,
            impus: impus.iter().map(String::as_str).collect(),
            reason,
            reason_info: None,
            associated_identities: Vec::new(),
        };
        node.request_to(now, host, Rtr::COMMAND, cx::APPLICATION, Asked::Rtr(member, reason), out, |w| rtr.encode(w))
            .map_err(|_| NotSent::NotConnected)
    }

    /// The S-CSCF that a user was taken over from is told so (TS 29.228 clause 6.1.3). One that is not connected, or was
    /// never heard of since the start, finds out when the user is called there.
    pub(super) fn tell_overtaken(
        &self,
        node: &mut Node<Asked>,
        now: Instant,
        (member, before): (Member, &str),
        out: &mut Outbox,
    ) {
        if let Some(host) = self.servers.host(before) {
            let _ = self.send_rtr(node, now, member, host, ReasonCode::NewServerAssigned, out);
        }
    }

    fn request_envelope<'a>(&'a self, session_id: &'a str, host: &'a str) -> RequestEnvelope<'a> {
        RequestEnvelope::new(session_id, self.config.diameter.origin(), (Some(host), &self.config.realm))
    }

    fn on_rta(&mut self, member: Member, reason: ReasonCode, rta: &Rta<'_>) {
        let is_kept = rta.emergency.iter().any(|(impi, _)| *impi == self.store.impi(member));
        // Who is registered elsewhere is so still.
        if !rta.result.is_success() || is_kept || reason == ReasonCode::NewServerAssigned {
            return;
        }
        let (registration, _) = self.states.registration(member);
        if reason == ReasonCode::RemoveScscf && registration == Registration::Registered {
            return;
        }
        self.states.restorations.forget(member);
        self.states.clear(member);
        self.states.of(member, self.store.of(member)).registration = Registration::NotRegistered;
    }
}

/// Names are learnt from peers: there is an end to it.
const MOST_SERVERS: usize = 1_000;
