//! REGISTER from a UE: what must be agreed and compared, then onwards (TS 24.229 clause 5.2.2.1, RFC 3329 clause 2.3).

use super::Pcscf;
use super::config::SecAgreePolicy;
use super::flow::{Agreement, Asked, Beside, Challenging, FlowKey, Offered, Origin, Set, SetRef, Short};
use super::nat::Between;
use super::refusal::Refusal;
use super::refuse::Listed;
use super::request::{Read, wants_agreement};
use super::tls::{self, is_tls};
use super::to_core::{Additions, via_count, write_register};
use crate::event::{Event, Role, What};
use crate::ipsec::association::{Algorithms, Endpoint, Mod, PortPair};
use crate::ipsec::negotiate;
use crate::packet::{Outbox, Packet, Protocol, Route, Transport};
use crate::sip::header::digest::Digest;
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderError, HeaderName, Message, Uri};
use crate::time::Instant;
use std::net::SocketAddr;
use std::rc::Rc;

/// Why a REGISTER ends here, and what that means for the set it came over.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// The set whose attempt is over.
    pub(super) failed: Option<SetRef>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, failed: None }
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Self {
        Refusal::from(error).into()
    }
}

/// What examination has found.
pub(super) struct Examined {
    pub(super) flow: FlowKey,
    pub(super) agreement: Option<Agreement>,
    pub(super) integrity: Option<&'static str>,
}

impl Pcscf {
    /// A REGISTER not seen before.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each found by somebody else")]
    pub(super) fn on_register(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        read: &Read<'_>,
        server: ServerId,
        over: Option<SetRef>,
        out: &mut Outbox,
    ) {
        let examined = match over {
            Some(set) => self.examine_protected(packet, message, set),
            None if packet.transport == Transport::Tls => self.examine_tls(packet, message, read, out),
            None => self.examine_clear(packet, message, read, out),
        };
        match examined {
            Ok(examined) => {
                let origin = over.map_or(Origin::Clear { ue: packet.from, here: packet.to }, Origin::Protected);
                self.forward(now, packet.from, message, read, server, origin, examined, out);
            }
            Err(Refused { refusal, failed }) => {
                let list = match over.and_then(|o| self.books.get(o)) {
                    Some(set) => Some(Listed::Sas(set.pcscf(self.config.port_s), set.algorithms, set.mode)),
                    None => (packet.transport == Transport::Tls).then_some(Listed::Tls),
                };
                self.refuse_with_list(now, packet.from, message, server, &refusal, list, out);
                if let Some(set) = failed {
                    self.books.fail(now, set);
                }
            }
        }
    }

    /// True for a REGISTER in clear that a UE with established SAs may send: it has lost them and begins again.
    pub(super) fn begins_again(&self, packet: &Packet<'_>, message: &Message<'_>) -> bool {
        let is_answer = message.authorization().ok().flatten().is_some_and(|c| is_answer(&c));
        if self.config.sec_agree == SecAgreePolicy::Off || is_answer {
            return false;
        }
        let (list, mut unknown) = (message.sound_security(HeaderName::SecurityClient), String::new());
        let offers = negotiate::offers(&list, &mut unknown);
        let between = message.via().map_or(Between::OPEN, |via| self.between(&via, packet.from.ip()));
        negotiate::choose_at_pcscf(&self.config.algorithms, between.modes, offers).is_some()
    }

    fn examine_clear(
        &self,
        packet: &Packet<'_>,
        message: &Message<'_>,
        read: &Read<'_>,
        out: &mut Outbox,
    ) -> Result<Examined, Refused> {
        let source = packet.from;
        let credentials = message.authorization()?;
        if let Some(nonce) = credentials.as_ref().filter(|c| is_answer(c)).and_then(|c| c.nonce) {
            let nonce = self.hash_of_nonce(nonce);
            if self.books.is_agreed(nonce) || self.tls.as_ref().is_some_and(|tls| tls.is_agreed(nonce)) {
                return Err(Refusal::AnswerInClear.into());
            }
        }
        let agreement = match self.config.sec_agree {
            SecAgreePolicy::Off => None,
            policy => {
                let between = self.between(&message.via()?, source.ip());
                self.negotiate(message, policy, Some(between), out)?
            }
        };
        let user = self.user_of(message, credentials.as_ref().and_then(|c| c.username))?;
        let same_user = |flow: &FlowKey| agreement.is_none() && flow.is_of_same_user(user);
        let flow = match self.beside(read) {
            Some(beside) => user.beside(beside),
            // `*` and queries name no flow.
            None => self.books.registered_in_clear(source, packet.transport).filter(same_user).unwrap_or(user),
        };
        if let Some(refusal) = self.refuses_beside_tls(flow, agreement.as_ref()) {
            return Err(refusal.into());
        }
        let for_sas = matches!(agreement.as_ref(), Some(Agreement::Sas(_)));
        let is_aka = for_sas || credentials.as_ref().is_some_and(is_aka);
        let integrity = match &credentials {
            None => None,
            Some(_) if is_aka => Some("no"),
            Some(credentials) => self.ip_association(source, flow, credentials),
        };
        Ok(Examined { flow, agreement, integrity })
    }

    /// TS 24.229 clause 5.2.2.2. SIP digest without an answer carries no parameter: `no` would select AKA.
    fn ip_association(&self, source: SocketAddr, flow: FlowKey, credentials: &Digest<'_>) -> Option<&'static str> {
        if self.books.is_associated(source, flow) {
            return Some("ip-assoc-yes");
        }
        is_answer(credentials).then_some("ip-assoc-pending")
    }

    /// RFC 3329 clause 2.3.1, with the exception of TS 24.229: a REGISTER with a usable offer goes on. `between`: `None`
    /// over TLS.
    pub(super) fn negotiate(
        &self,
        message: &Message<'_>,
        policy: SecAgreePolicy,
        between: Option<Between>,
        out: &mut Outbox,
    ) -> Result<Option<Agreement>, Refusal> {
        let tagged = |name| wants_agreement(message, name);
        let asked = tagged(HeaderName::Require) || tagged(HeaderName::ProxyRequire);
        if asked && via_count(message) > 1 {
            return Err(Refusal::NotFirstHop);
        }
        if let Some(agreement) = self.offered(message, between, out) {
            return Ok(Some(agreement));
        }
        // Who sends an offer asks, though we have nothing of it.
        let asked = asked || message.header(HeaderName::SecurityClient).is_some();
        match policy {
            _ if asked => Err(match between {
                Some(Between { modes, inside: Some(inside) }) if !modes.contains(&Mod::Trans) => {
                    Refusal::BehindNat { inside }
                }
                _ => Refusal::NoCommonMechanism,
            }),
            SecAgreePolicy::Required if tagged(HeaderName::Supported) => Err(Refusal::NoCommonMechanism),
            SecAgreePolicy::Required => Err(Refusal::AgreementWanted),
            SecAgreePolicy::Offered | SecAgreePolicy::Off => Ok(None),
        }
    }

    /// The mechanism that is chosen of what Security-Client offers. Over TLS only TLS makes sense.
    pub(super) fn offered(
        &self,
        message: &Message<'_>,
        between: Option<Between>,
        out: &mut Outbox,
    ) -> Option<Agreement> {
        let Between { modes, inside } = between.unwrap_or(Between { modes: &[], inside: None });
        let (offer, offers_tls) = self.chosen(message.values(HeaderName::SecurityClient), modes, out);
        if offers_tls && self.tls.as_ref().is_some_and(|tls| tls.is_chosen(offer.is_some())) {
            return Some(tls::agreement(message));
        }
        let client = joined(message, HeaderName::SecurityClient);
        Some(Agreement::Sas(Box::new(Offered { offer: offer?, client, inside })))
    }

    /// What new security associations are made of, after a challenge over those that there are. `client`: Security-Client
    /// as one list. They go the way of those there are.
    pub(super) fn offer_for_sas(&self, client: &str, mode: Mod, out: &mut Outbox) -> Option<negotiate::Offer> {
        let (offer, offers_tls) = self.chosen(std::iter::once(client), &[mode], out);
        offer.filter(|_| !(offers_tls && self.tls.as_ref().is_some_and(|tls| tls.is_chosen(true))))
    }

    /// The best offer of SAs, and whether TLS is among the mechanisms and known here.
    fn chosen<'a>(
        &self,
        client: impl Iterator<Item = &'a str>,
        modes: &[Mod],
        out: &mut Outbox,
    ) -> (Option<negotiate::Offer>, bool) {
        let mut choice = negotiate::Choice::new(&self.config.algorithms, modes);
        let (mut offers_tls, mut fault) = (false, None);
        let see = |mechanism: &Mechanism<'_>| match self.tls {
            Some(_) if is_tls(mechanism) => offers_tls = true,
            _ => choice.see(mechanism),
        };
        // RFC 3329 clause 2.2: an element that is of no use is passed over.
        Mechanisms::read(HeaderName::SecurityClient, client, see, |_, found| fault = fault.or(Some(found.fault)));
        if let Some(fault) = fault {
            choice.see_malformed(fault);
        }
        let (offer, unknown) = choice.made();
        if !unknown.is_empty() {
            out.event(|| Event { role: Role::Pcscf, what: What::OfferSkipped { unknown } });
        }
        (offer, offers_tls)
    }

    fn examine_protected(&self, packet: &Packet<'_>, message: &Message<'_>, over: SetRef) -> Result<Examined, Refused> {
        let set = self.books.get(over).ok_or(Refusal::NotRegistered)?;
        let bearer = message.bearer()?;
        let flow = set.flow;
        if !self.user_of(message, bearer.and_then(|b| b.username))?.is_of_same_user(flow) {
            return Err(Refusal::ForeignIdentity.into());
        }
        // Behind a NAT it names the address that the NAT shows (TS 24.229 clause F.2.1.2.2), or the UE's own.
        if message.via()?.ip().is_some_and(|ip| ip != packet.from.ip() && self.books.outside(set) != Some(ip)) {
            return Err(Refusal::ForeignVia.into());
        }
        let ends = |refusal| Refused { refusal, failed: Some(over) };
        if !self.is_verified(message, set) {
            return Err(ends(Refusal::VerifyDiffers));
        }
        let agreement = match self.books.challenged(set) {
            // Octet for octet what was challenged: read then, with this result.
            Some(challenged) if is_joined(message, HeaderName::SecurityClient, &challenged.client) => {
                let client = Rc::clone(&challenged.client);
                let offer = alone(set.algorithms, set.mode, set.ue);
                Some(Agreement::Sas(Box::new(Offered { offer, client, inside: None })))
            }
            Some(challenged) if !is_same_client(message, &challenged.client) => {
                return Err(ends(Refusal::ClientDiffers));
            }
            _ => Some(Agreement::Unread { client: joined(message, HeaderName::SecurityClient) }),
        };
        Ok(Examined { flow, agreement, integrity: bearer.map(|_| "yes") })
    }

    /// TS 33.203 clause 7.2: the UE mirrors what was sent, unchanged.
    fn is_verified(&self, message: &Message<'_>, set: &Set) -> bool {
        let endpoint = set.pcscf(self.config.port_s);
        let is_mirrored = |text: &str| match self.config.full_list_in_401 {
            true => self.static_texts[set.mode as usize].is(text, &endpoint),
            false => text == self.security_server(set.algorithms, set.mode, endpoint),
        };
        if message.only(HeaderName::SecurityVerify).is_some_and(is_mirrored) {
            return true;
        }
        // Not octet for octet, and yet perhaps the same.
        let Ok(verify) = message.security(HeaderName::SecurityVerify) else { return false };
        if self.config.full_list_in_401 {
            let (pairs, ranks) = (&self.config.algorithms, &self.config.q);
            negotiate::is_copy_of(&verify, negotiate::ranked_list(pairs, ranks, set.mode, endpoint))
        } else {
            negotiate::is_copy_of(&verify, [alone(set.algorithms, set.mode, endpoint)])
        }
    }

    /// Whose REGISTER it is: the user name, or the IMPI that To implies (TS 23.003 clause 13.3).
    pub(super) fn user_of(&self, message: &Message<'_>, username: Option<&str>) -> Result<FlowKey, HeaderError> {
        match username.filter(|username| memchr::memchr(b'@', username.as_bytes()).is_some()) {
            Some(username) => Ok(FlowKey::of(&self.hasher, username)),
            None => Ok(FlowKey::of(&self.hasher, &impi_of(&message.to()?.uri))),
        }
    }

    /// What the flow is for that a REGISTER in clear begins, if it is to live beside the usual one. Over security
    /// associations it is that of their set.
    pub(super) fn beside(&self, read: &Read<'_>) -> Option<Beside> {
        if read.sos {
            return Some(Beside::Emergency);
        }
        let (reg_id, instance) = read.flow.filter(|_| self.config.outbound)?;
        Some(Beside::Outbound { reg_id, instance: self.hash_of(instance) })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each found by somebody else")]
    fn forward(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        read: &Read<'_>,
        server: ServerId,
        origin: Origin,
        examined: Examined,
        out: &mut Outbox,
    ) {
        let Some(&hop) = self.config.next_hops.first() else {
            self.refuse(now, source, message, server, &Refusal::CoreSilent, out);
            return;
        };
        let Examined { flow, agreement, integrity } = examined;
        let token = flow.token(&self.hasher);
        let icid = self.random.token::<20>();
        let (icid, line) = (icid.as_bytes(), self.config.lines.get(&source.ip()).map(|line| &**line));
        // RFC 5626 clause 5.1.
        let outbound = self.config.outbound && read.has_reg_id;
        let hops = read.max_forwards;
        let add = Additions { texts: &self.texts, source, hops, token: &token, outbound, integrity, icid, line };
        let (asked, likeness) = ((!read.is_refresh).then(|| Asked::by(message)), read.likeness);
        let context = Challenging { server, origin, flow, agreement, asked, likeness, hop: 0 };
        let route = self.core_route(hop);
        self.core.request(now, self.config.core_timers, route, true, context, out, |bytes, transport, branch| {
            write_register(bytes, transport, branch, message, &add);
        });
    }

    /// The way to a next hop.
    pub(super) fn core_route(&self, hop: SocketAddr) -> Route {
        let same_family = |a: &SocketAddr| a.is_ipv4() == hop.is_ipv4();
        let from = match self.config.core {
            core if same_family(&core) => core,
            core => self.config.listen.iter().copied().find(same_family).unwrap_or(core),
        };
        match self.config.core_transport {
            Transport::Udp => Route::sip(Transport::Udp, from, hop),
            stream => Route::sip(stream, SocketAddr::new(from.ip(), 0), hop),
        }
    }

    /// Where answers to a protected request go: UDP from port_pc to port_us, whatever Via says; TCP on the connection it
    /// came by (TS 24.229 clause 5.2.2; field lessons 25 and 26).
    pub(super) fn answer_route(&self, packet: &Packet<'_>, set: &Set) -> Route {
        let here = self.books.address(set);
        let (from, to, pair) = match packet.transport {
            Transport::Udp => {
                (SocketAddr::new(here, set.port_c), SocketAddr::new(set.ue_address, set.ue.port_s), PortPair::UsPc)
            }
            Transport::Tcp | Transport::Tls | Transport::Sctp => (packet.to, packet.from, PortPair::UcPs),
        };
        Route { from, to, transport: packet.transport, protocol: Protocol::Sip, sa: Some(set.sa(pair)) }
    }

    /// The Security-Server of a set.
    pub(super) fn security_server(&self, chosen: Algorithms, mode: Mod, endpoint: Endpoint) -> String {
        if self.config.full_list_in_401 {
            return self.static_list(mode, endpoint);
        }
        let mut list = String::new();
        negotiate::write_element(&mut list, chosen, mode, &endpoint, None);
        list
    }

    /// Our ipsec-3gpp elements: they do not depend on what anybody offered (RFC 3329 clause 2.3.1).
    pub(super) fn static_list(&self, mode: Mod, endpoint: Endpoint) -> String {
        self.static_texts[mode as usize].with(&endpoint)
    }

    pub(super) fn hash_of_nonce(&self, nonce: &str) -> Short {
        Short::new(self.hash_of(nonce))
    }

    fn hash_of(&self, text: &str) -> u64 {
        use std::hash::BuildHasher;
        self.hasher.hash_one(text)
    }
}

/// The only element of a list.
const fn alone(algorithms: Algorithms, mode: Mod, endpoint: Endpoint) -> negotiate::Offer {
    negotiate::Offer { algorithms, mode, endpoint, q: 1_000 }
}

/// True for credentials that answer a challenge. An empty response reports a wrong MAC, `auts` an SQN out of range: with
/// these the UE asks for another challenge, and it has no SAs (TS 24.229 clause 5.1.1.5.3).
pub(super) fn is_answer(credentials: &Digest<'_>) -> bool {
    credentials.response.is_some_and(|r| !r.is_empty()) && credentials.auts.is_none()
}

fn is_aka(credentials: &Digest<'_>) -> bool {
    credentials.algorithm.and_then(|a| a.get(..3)).is_some_and(|a| a.eq_ignore_ascii_case("AKA"))
}

pub(super) fn is_same_client(message: &Message<'_>, challenged: &str) -> bool {
    let (mut passed_over, mut now_too) = (Vec::new(), Vec::new());
    let (then, now) = (std::iter::once(challenged), message.values(HeaderName::SecurityClient));
    let then = Mechanisms::sound(HeaderName::SecurityClient, then, |element, _| passed_over.push(element));
    let now = Mechanisms::sound(HeaderName::SecurityClient, now, |element, _| now_too.push(element));
    negotiate::same(&then, &now) && passed_over == now_too
}

/// The values of all lines of one header as one list.
pub(super) fn joined(message: &Message<'_>, name: HeaderName) -> Rc<str> {
    if let Some(value) = message.only(name) {
        return value.into();
    }
    let mut values = message.values(name);
    let first = values.next().unwrap_or_default();
    let mut all = first.to_owned();
    for value in values {
        all.push(',');
        all.push_str(value);
    }
    all.into()
}

/// True when [`joined`] would return `text`.
fn is_joined(message: &Message<'_>, name: HeaderName, text: &str) -> bool {
    if let Some(value) = message.only(name) {
        return value == text;
    }
    let mut rest = Some(text);
    for (i, value) in message.values(name).enumerate() {
        rest = rest
            .and_then(|rest| if i > 0 { rest.strip_prefix(',') } else { Some(rest) })
            .and_then(|rest| rest.strip_prefix(value));
    }
    rest.is_some_and(str::is_empty)
}

/// TS 24.229 clause 5.4.1.2.1A: To without scheme, port and parameters.
fn impi_of(to: &Uri<'_>) -> String {
    let bare = Uri { port: None, ..*to };
    let mut text = String::new();
    bare.canonical(&mut text);
    text.split_once(':').map_or_else(|| text.clone(), |(_, impi)| impi.to_owned())
}
