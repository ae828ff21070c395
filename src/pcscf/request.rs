//! Requests: from which side, which are let in, and what becomes of those that are no REGISTER.

use super::Pcscf;
use super::config::SecAgreePolicy;
use super::flow::{Phase, SetRef, Short};
use super::passing::Sender;
use super::refusal::Refusal;
use super::to_ue::Answer;
use crate::event::{Event, Role, What};
use crate::ipsec::association::PortPair;
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::sip::transaction::{Incoming, ServerId};
use crate::sip::{HeaderName, Message, Method, NameSet, Uri};
use crate::time::Instant;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

/// What may become of a packet before any transaction is made for it.
enum Admission {
    /// It came in clear, or over TLS.
    Clear,
    /// It came over this set.
    Protected(SetRef),
    /// It came over a set that takes nothing new: a transaction may repeat its answer.
    OnlyRepetitions,
    /// It is dropped.
    Dropped(&'static str),
}

/// What was read of a request while it was checked.
pub(super) struct Read<'a> {
    pub(super) max_forwards: Option<u8>,
    /// A Contact is for emergency calls.
    pub(super) sos: bool,
    /// A Contact has a reg-id.
    pub(super) has_reg_id: bool,
    /// reg-id and instance of the first Contact that has both (RFC 5626).
    pub(super) flow: Option<(u32, &'a str)>,
    /// Of a REGISTER over a set of SAs, see [`Pcscf::likeness`]; `None` where it must be read each time.
    pub(super) likeness: Option<Short>,
    /// It has that of the REGISTER before it.
    pub(super) is_refresh: bool,
}

impl Pcscf {
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        method: Method<'_>,
        out: &mut Outbox,
    ) {
        let is_protected = packet.sa.is_some() || packet.transport == Transport::Tls;
        if method != Method::Register
            && !is_protected
            && let Some(token) = self.names.user_in_route(message)
            && self.is_core(packet.from.ip())
        {
            return self.on_request_of_core(now, packet, message, token, out);
        }
        if method == Method::Notify
            && !is_protected
            && self.is_core(packet.from.ip())
            && let Some(flow) = self.notified_flow(message)
        {
            return self.on_notify(now, packet, message, flow, out);
        }
        let admission = self.admit(packet, message, method);
        if let Admission::Dropped(cause) = admission {
            self.dropped += 1;
            let (from, to) = (packet.from, packet.to);
            out.event(|| Event { role: Role::Pcscf, what: What::PacketDropped { from, to, cause } });
            return;
        }
        let incoming = self.to_ue.receive(now, packet, message, out);
        if let (Incoming::Ack, Admission::Protected(_) | Admission::Clear) = (&incoming, &admission) {
            let over = if let Admission::Protected(set) = admission { Some(set) } else { None };
            return self.on_other(now, packet, message, None, over, out);
        }
        let (Incoming::Request(server) | Incoming::Merged(server) | Incoming::Cancel { server, .. }) = incoming else {
            return;
        };
        let over = match admission {
            Admission::OnlyRepetitions => return self.to_ue.abandon(now, server),
            Admission::Protected(set) => Some(set),
            Admission::Clear | Admission::Dropped(_) => None,
        };
        if let Some(set) = over.and_then(|o| self.books.get(o)) {
            let route = self.answer_route(packet, set);
            self.to_ue.set_route(server, route);
        } else if !self.can_answer_in_clear(packet, server) {
            return self.to_ue.abandon(now, server);
        }
        match incoming {
            Incoming::Merged(_) if method == Method::Register => {
                return self.refuse(now, packet.from, message, server, &Refusal::Merged, out);
            }
            Incoming::Cancel { cancelled, .. } => {
                return self.on_cancel(now, packet.from, message, server, cancelled, out);
            }
            _ => {}
        }
        if self.sheds(now, message, server, over, out) {
            return;
        }
        if let Some(set) = over {
            self.books.used(now, set);
            if self.liveness.is_some()
                && let Some(flow) = self.books.get(set).map(|set| set.flow)
            {
                self.heard(now, flow);
            }
        }
        let read = match self.check(message, over.filter(|_| method == Method::Register)) {
            Ok(read) => read,
            Err(refusal) => return self.refuse_unchecked(now, packet, message, server, &refusal, out),
        };
        match method {
            Method::Register => self.on_register(now, packet, message, &read, server, over, out),
            _ => self.on_other(now, packet, message, Some(server), over, out),
        }
    }

    /// Answers a request that is not as every request must be.
    fn refuse_unchecked(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        server: ServerId,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        if message.via().is_err() {
            // An answer without Via could not be read by anybody.
            let (from, cause) = (packet.from, refusal.cause());
            out.event(|| Event { role: Role::Pcscf, what: What::Discarded { from, cause } });
            return self.to_ue.abandon(now, server);
        }
        self.refuse(now, packet.from, message, server, refusal, out);
    }

    /// What the plane cannot know: whose SAs these are, and who must not speak in clear (TS 33.203 clause 7.1).
    fn admit(&self, packet: &Packet<'_>, message: &Message<'_>, method: Method<'_>) -> Admission {
        if packet.sa.is_none() {
            return if packet.transport == Transport::Tls {
                Admission::Clear
            } else if self.is_protected(packet.to) {
                Admission::Dropped("clear text at a protected port")
            } else if !self.books.has_established(packet.from)
                || method == Method::Register && self.begins_again(packet, message)
            {
                Admission::Clear
            } else {
                Admission::Dropped("clear text beside live SAs")
            };
        }
        let Some(over) = self.books.carrier(packet) else { return Admission::Dropped("no SA fits this packet") };
        let set = self.books.get(over).expect("just found");
        if packet.sa != Some(set.sa(PortPair::UcPs)) {
            return Admission::Dropped("request over the SA of answers");
        }
        match set.phase {
            Phase::Challenged if method != Method::Register => {
                Admission::Dropped("only REGISTER passes a temporary SA")
            }
            Phase::Failed => Admission::OnlyRepetitions,
            _ => Admission::Protected(over),
        }
    }

    /// Nothing goes in clear to a protected port (field lesson 23): not even where the Via of a request in clear names
    /// one, which is then answered where it came from.
    fn can_answer_in_clear(&mut self, packet: &Packet<'_>, server: ServerId) -> bool {
        let is_protected = |target| self.books.is_protected_port(packet.from, target, self.config.port_c.clone());
        let named = self.to_ue.route(server).map_or(packet.from, |r| r.to);
        if !is_protected(named) {
            return true;
        }
        let answerable = named != packet.from && !is_protected(packet.from);
        if answerable {
            self.to_ue.set_route(server, Route::sip(packet.transport, packet.to, packet.from));
        }
        answerable
    }

    /// RFC 3261 clause 16.3. `over`: the set that carried a REGISTER.
    fn check<'a>(&self, message: &Message<'a>, over: Option<SetRef>) -> Result<Read<'a>, Refusal> {
        let likeness = over.map(|set| self.likeness(message, set));
        let is_known = |likeness| over.is_some_and(|set| self.books.is_refresh(set, likeness));
        if likeness.is_some_and(is_known) {
            let (_, max_forwards) = message.check_anew()?;
            if max_forwards == Some(0) {
                return Err(Refusal::TooManyHops);
            }
            return Ok(Read { max_forwards, sos: false, has_reg_id: false, flow: None, likeness, is_refresh: true });
        }
        let (mut sos, mut has_reg_id, mut flow) = (false, false, None);
        let checked = message.checked_with(|contact| {
            sos |= contact.address.uri.params.has("sos");
            has_reg_id |= contact.reg_id().is_some();
            flow = flow.or_else(|| contact.reg_id().zip(contact.instance()));
        })?;
        let max_forwards = checked.max_forwards;
        let likeness = likeness.filter(|_| !sos && !has_reg_id);
        let read = Read { max_forwards, sos, has_reg_id, flow, likeness, is_refresh: false };
        if max_forwards == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        if !message.has_any(NameSet::of(&[HeaderName::ProxyRequire])) || is_sec_agree(message, HeaderName::ProxyRequire)
        {
            return Ok(read);
        }
        let unknown: Vec<&str> = message
            .elements(HeaderName::ProxyRequire)
            .filter(|tag| !KNOWN_TAGS.iter().any(|known| tag.eq_ignore_ascii_case(known)))
            .collect();
        if unknown.is_empty() { Ok(read) } else { Err(Refusal::UnknownExtension { tags: unknown.join(", ") }) }
    }

    /// A keyed hash of all that [`Pcscf::check`] judges of a REGISTER but for what differs each time, and of the set that
    /// it came over. A refresh that has that of the REGISTER before it need not be read again: it is the same.
    fn likeness(&self, message: &Message<'_>, over: SetRef) -> Short {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(over.id.0);
        message.write_lines(JUDGED, &mut hasher);
        Short::new(hasher.finish())
    }

    /// A request other than REGISTER: that of a registered UE is passed on. `server`: `None` for ACK.
    fn on_other(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        server: Option<ServerId>,
        over: Option<SetRef>,
        out: &mut Outbox,
    ) {
        let wants_agreement = |name| wants_agreement(message, name);
        let is_protected = over.is_some() || packet.transport == Transport::Tls;
        let flow = match over {
            Some(over) => self.books.get(over).map(|set| set.flow).filter(|flow| self.books.is_registered(*flow)),
            None => self.books.registered_in_clear(packet.from, packet.transport),
        };
        let refusal = if let Some(server) = server
            && message.method() == Some(Method::Options)
            && self.is_us(message)
        {
            let headers = [(HeaderName::Allow, ALLOW), (HeaderName::Supported, "path, sec-agree")];
            let answer =
                Answer::Own { request: message, source: packet.from, status: 200, headers: &headers, body: "" };
            return self.to_ue.answer(now, server, &answer, out);
        } else if !is_protected
            && self.config.sec_agree != SecAgreePolicy::Off
            && (wants_agreement(HeaderName::Require) || wants_agreement(HeaderName::ProxyRequire))
        {
            Refusal::NoCommonMechanism
        } else if let Some(flow) = flow {
            let sender = Sender { flow, over, source: packet.from, here: packet.to, transport: packet.transport };
            return self.on_request_of_ue(now, message, server, sender, out);
        } else {
            Refusal::NotRegistered
        };
        if let Some(server) = server {
            self.refuse(now, packet.from, message, server, &refusal, out);
        }
    }

    /// True for port_ps, the pool of port_pc, and the port of TLS: nothing is taken there in clear.
    pub(super) fn is_protected(&self, here: SocketAddr) -> bool {
        if self.config.tls.is_some_and(|tls| tls.listen == here) {
            return true;
        }
        (here.port() == self.config.port_s || self.config.port_c.contains(&here.port()))
            && self.config.listen.iter().any(|l| l.ip() == here.ip())
            && !self.config.listen.contains(&here)
    }

    /// True for a Request-URI without user part that names this host.
    fn is_us(&self, message: &Message<'_>) -> bool {
        let Some(Ok(uri)) = message.request_uri().map(Uri::parse) else { return false };
        let ours = |ip: IpAddr| ip == self.config.core.ip() || self.config.listen.iter().any(|l| l.ip() == ip);
        uri.is_sip()
            && uri.user.is_none()
            && (uri.ip().is_some_and(ours) || uri.host.eq_ignore_ascii_case(&self.config.host))
    }
}

/// True when `name`, a list of option tags, has `sec-agree`.
pub(super) fn wants_agreement(message: &Message<'_>, name: HeaderName) -> bool {
    is_sec_agree(message, name) || message.has_option(name, "sec-agree")
}

/// True when it has nothing else, as most handsets write it.
pub(super) fn is_sec_agree(message: &Message<'_>, name: HeaderName) -> bool {
    message.only(name) == Some("sec-agree")
}

/// What [`Pcscf::check`] judges besides what [`Message::check_anew`] does.
const JUDGED: NameSet = NameSet::of(&[
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::Contact,
    HeaderName::Expires,
    HeaderName::ProxyRequire,
]);

/// Methods that are served or passed on.
const ALLOW: &str =
    "REGISTER, INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, PRACK, UPDATE, INFO, REFER";

/// Option tags that a proxy on the way of a REGISTER understands.
const KNOWN_TAGS: [&str; 2] = ["sec-agree", "path"];
