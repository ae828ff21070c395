//! SIP digest over TLS, agreed by `Security-Client: tls` (RFC 3329, TS 33.203 annex O, TS 24.229 clause 5.2.2.4).
//!
//! A TLS session is known by the addresses of its connection. The 200 binds it to a subscriber: from then on it is the
//! way to the UE, its REGISTERs are `tls-yes`, and the identity has no other place until the connection ends.

use super::Pcscf;
use super::config::SecAgreePolicy;
use super::flow::{Agreement, FlowKey, Short};
use super::from_core::FromCore;
use super::refusal::Refusal;
use super::register::{Examined, Refused, is_answer, is_same_client, joined};
use super::request::Read;
use super::to_ue::Answer;
use crate::event::{Event, Role, What};
use crate::ipsec::negotiate;
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Route, Transport};
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant, Timeouts};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

/// TLS towards UEs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsAccess {
    /// The listener.
    pub listen: SocketAddr,
    /// Whether and when it is agreed.
    pub rank: TlsRank,
}

/// Where `tls` stands among the mechanisms of security agreements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsRank {
    /// Before ipsec-3gpp.
    Preferred,
    /// Where ipsec-3gpp is not offered.
    AfterIpsec,
    /// Never: who comes by TLS agrees on nothing.
    NotAgreed,
}

/// What is known of TLS. There is one only with a listener for it.
#[derive(Debug)]
pub(super) struct Tls {
    access: TlsAccess,
    /// Challenges whose answers must come over TLS, by the hash of the nonce.
    agreed: HashMap<Short, Agreed, RandomState>,
    /// The challenge that each session answers, by its far end: it ends with the session.
    challenged: HashMap<SocketAddr, Short, RandomState>,
    /// Sessions that were agreed and serve a registration, by their far end.
    sessions: HashMap<SocketAddr, FlowKey, RandomState>,
    timeouts: Timeouts<Short>,
}

/// What the answer to a challenge is compared with.
#[derive(Debug)]
struct Agreed {
    flow: FlowKey,
    /// Security-Client of the challenged REGISTER.
    client: Rc<str>,
    /// The session over which that came; `None`: it came in clear, and the answer brings a session along.
    over: Option<SocketAddr>,
}

impl Tls {
    pub(super) fn new(access: TlsAccess) -> Self {
        Self {
            access,
            agreed: HashMap::default(),
            challenged: HashMap::default(),
            sessions: HashMap::default(),
            timeouts: Timeouts::new(),
        }
    }

    /// The earliest timer.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(nonce) = self.timeouts.pop(now) {
            self.agreed.remove(&nonce);
        }
    }

    /// True where `tls` is chosen, given whether ipsec-3gpp could be.
    pub(super) fn is_chosen(&self, beside_ipsec: bool) -> bool {
        match self.access.rank {
            TlsRank::Preferred => true,
            TlsRank::AfterIpsec => !beside_ipsec,
            TlsRank::NotAgreed => false,
        }
    }

    /// Adds our element to a Security-Server list of ipsec-3gpp elements. The values of q differ (RFC 3329 clause 2.2).
    pub(super) fn complete(&self, list: String) -> String {
        match self.access.rank {
            TlsRank::NotAgreed => list,
            _ if list.is_empty() => MIRROR.to_owned(),
            TlsRank::Preferred => format!("{MIRROR}, {list}"),
            TlsRank::AfterIpsec => format!("{list}, {MIRROR};q=0.01"),
        }
    }

    /// True when an answer to this nonce must come over TLS.
    pub(super) fn is_agreed(&self, nonce: Short) -> bool {
        self.agreed.contains_key(&nonce)
    }
}

impl Pcscf {
    /// A REGISTER over TLS.
    pub(super) fn examine_tls(
        &mut self,
        packet: &Packet<'_>,
        message: &Message<'_>,
        read: &Read<'_>,
        out: &mut Outbox,
    ) -> Result<Examined, Refused> {
        let credentials = message.authorization()?;
        let user = self.user_of(message, credentials.as_ref().and_then(|c| c.username))?;
        let bound = self.books.registered_in_clear(packet.from, Transport::Tls);
        if bound.is_some_and(|flow| !flow.is_of_same_user(user)) {
            return Err(Refusal::ForeignIdentity.into());
        }
        let answered = credentials.filter(is_answer).and_then(|c| c.nonce).map(|nonce| self.hash_of_nonce(nonce));
        if answered.is_some_and(|nonce| self.books.is_agreed(nonce)) {
            return Err(Refusal::AnswerInClear.into());
        }
        let is_verified = self.verify(packet.from, message, user, answered)?;
        let agreement = match self.config.sec_agree {
            SecAgreePolicy::Off => None,
            // The session has its agreement.
            _ if is_verified || bound.is_some() => self.offered(message, None, out),
            policy => self.negotiate(message, policy, None, out)?,
        };
        let flow = match self.beside(read) {
            Some(beside) => user.beside(beside),
            None => bound.unwrap_or(user),
        };
        let begins_again = agreement.is_some() && answered.is_none();
        if !begins_again && !is_verified && self.has_agreed_session(flow, packet.from) {
            return Err(Refusal::BesideTls.into());
        }
        let integrity = match &credentials {
            None => None,
            Some(_) if bound == Some(flow) => Some("tls-yes"),
            Some(_) => answered.map(|_| "tls-pending"),
        };
        Ok(Examined { flow, agreement, integrity })
    }

    /// What the UE mirrors is what was sent, and what it offers is what it offered (RFC 3329 clause 2.3.1). True where
    /// there was something to compare.
    fn verify(
        &mut self,
        source: SocketAddr,
        message: &Message<'_>,
        user: FlowKey,
        answered: Option<Short>,
    ) -> Result<bool, Refusal> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        let mirrors = is_mirrored(message);
        let Some(nonce) = answered else { return tls.verify_session(source, message, mirrors) };
        let Some(agreed) = tls.agreed.get_mut(&nonce) else { return tls.verify_session(source, message, mirrors) };
        let fault = if !agreed.flow.is_of_same_user(user) {
            Refusal::ForeignIdentity
        } else if agreed.over.is_some_and(|over| over != source) {
            Refusal::AnswerElsewhere
        } else if !mirrors {
            Refusal::VerifyDiffers
        } else if !is_same_client(message, &agreed.client) {
            Refusal::ClientDiffers
        } else {
            agreed.over = Some(source);
            tls.challenged.insert(source, nonce);
            return Ok(true);
        };
        // TS 24.229 clause 5.2.2.4: the attempt is over.
        tls.agreed.remove(&nonce);
        Err(fault)
    }

    /// A REGISTER in clear, of an identity that may have a TLS session.
    pub(super) fn refuses_beside_tls(&self, flow: FlowKey, agreement: Option<&Agreement>) -> Option<Refusal> {
        self.tls.as_ref()?;
        let is_bound = self.books.way_in_clear(flow).is_some_and(|way| way.transport == Transport::Tls);
        let begins_again = matches!(agreement, Some(Agreement::Tls { .. }));
        (is_bound && !begins_again).then_some(Refusal::BesideTls)
    }

    /// True where another session than that from `source` was agreed for this flow and serves it.
    fn has_agreed_session(&self, flow: FlowKey, source: SocketAddr) -> bool {
        let (Some(tls), Some(way)) = (&self.tls, self.books.way_in_clear(flow)) else { return false };
        way.to != source && tls.sessions.get(&way.to) == Some(&flow)
    }

    /// A challenge after an agreement on `tls`.
    pub(super) fn on_401_for_tls(
        &mut self,
        now: Instant,
        server: ServerId,
        (flow, client): (FlowKey, Rc<str>),
        response: &FromCore<'_>,
        out: &mut Outbox,
    ) {
        let over = self.to_ue.route(server).filter(|way| way.transport == Transport::Tls).map(|way| way.to);
        let nonce = self.hash_of_nonce(response.nonce().unwrap_or_default());
        if let Some(tls) = &mut self.tls {
            tls.agreed.insert(nonce, Agreed { flow, client, over });
            if let Some(over) = over {
                tls.challenged.insert(over, nonce);
            }
            tls.timeouts.after(now, REG_AWAIT_AUTH, nonce);
        }
        let answer = Answer::Relayed { response, strip: &self.strip, security_server: Some(MIRROR) };
        self.to_ue.answer(now, server, &answer, out);
    }

    /// A registration is granted by `way`: what that does to TLS sessions. Call it before the books know.
    pub(super) fn bind_tls(&mut self, flow: FlowKey, way: Option<Route>, is_agreed: bool, out: &mut Outbox) {
        let Some(tls) = &mut self.tls else { return };
        let old = self.books.way_in_clear(flow).filter(|old| old.transport == Transport::Tls);
        if let Some(old) = old.filter(|old| way.is_some_and(|way| way.to != old.to)) {
            close(old, "the UE has registered by another way", out);
        }
        let Some(way) = way.filter(|way| way.transport == Transport::Tls) else { return };
        if is_agreed {
            tls.sessions.insert(way.to, flow);
        }
        if old.is_none_or(|old| old.to != way.to) {
            out.event(|| Event { role: Role::Pcscf, what: What::TlsBound { ue: way.to } });
        }
    }

    /// TS 33.203 clause O.3.1.1: with the authentication the session that was made for it has failed.
    /// Returns its way, which is closed behind the answer.
    pub(super) fn failed_session(&self, server: ServerId, status: u16) -> Option<Route> {
        self.tls.as_ref().filter(|_| status == 403)?;
        let way = self.to_ue.route(server).filter(|way| way.transport == Transport::Tls)?;
        self.books.registered_in_clear(way.to, Transport::Tls).is_none().then_some(way)
    }

    /// Notes the end of an implicit set. With the last one its TLS session ends (TS 24.229 clause 5.2.5).
    pub(super) fn deregister(&mut self, now: Instant, flow: FlowKey, identity: &str, out: &mut Outbox) {
        let way = self.tls.as_ref().and_then(|_| self.books.way_in_clear(flow));
        self.books.deregister(now, flow, identity);
        if let Some(way) = way.filter(|way| way.transport == Transport::Tls && !self.books.is_registered(flow)) {
            close(way, "de-registered", out);
        }
    }

    /// A connection has ended: nothing leads to its UE any more, and the next that comes is not its session
    /// (TS 33.203 clause O.4.2).
    pub(super) fn on_tls_news(&mut self, connection: &Connection, out: &mut Outbox) {
        let Some(tls) = self.tls.as_mut().filter(|_| connection.transport == Transport::Tls) else { return };
        if connection.state == ConnectionState::Opened {
            return;
        }
        tls.sessions.remove(&connection.remote);
        if let Some(nonce) = tls.challenged.remove(&connection.remote) {
            tls.agreed.remove(&nonce);
        }
        if self.books.lose_way(connection.remote, Transport::Tls) {
            let what = What::TlsUnbound { ue: connection.remote, cause: "the connection has ended" };
            out.event(|| Event { role: Role::Pcscf, what });
        }
    }
}

impl Tls {
    /// Without a challenge to answer: a session that was agreed goes on as it was, and nobody mirrors what was not sent.
    fn verify_session(&self, source: SocketAddr, message: &Message<'_>, mirrors: bool) -> Result<bool, Refusal> {
        match self.sessions.contains_key(&source) {
            true if mirrors => Ok(true),
            false if message.header(HeaderName::SecurityVerify).is_none() => Ok(false),
            _ => Err(Refusal::VerifyDiffers),
        }
    }
}

/// True for an element that names TLS as we do it: RFC 3329 gives it no parameter but `q`.
pub(super) fn is_tls(mechanism: &Mechanism<'_>) -> bool {
    mechanism.name.eq_ignore_ascii_case("tls") && !mechanism.params.has("mediasec")
}

/// The agreement that a REGISTER proposes by `tls`.
pub(super) fn agreement(message: &Message<'_>) -> Agreement {
    Agreement::Tls { client: joined(message, HeaderName::SecurityClient) }
}

fn is_mirrored(message: &Message<'_>) -> bool {
    if message.only(HeaderName::SecurityVerify) == Some(MIRROR) {
        return true;
    }
    let sent = Mechanisms::parse(HeaderName::SecurityServer, std::iter::once(MIRROR));
    let verify = message.security(HeaderName::SecurityVerify);
    sent.is_ok_and(|sent| verify.is_ok_and(|verify| negotiate::same(&sent, &verify)))
}

/// Ends a session behind what was sent over it.
pub(super) fn close(Route { transport, from, to, .. }: Route, cause: &'static str, out: &mut Outbox) {
    out.push(Effect::Close { transport, local: from, remote: to });
    out.event(|| Event { role: Role::Pcscf, what: What::TlsUnbound { ue: to, cause } });
}

/// Security-Server of a 401 that agrees on TLS, and what Security-Verify mirrors.
pub(super) const MIRROR: &str = "tls";
/// TS 24.229 table 7.8.1.
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
