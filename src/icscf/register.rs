//! REGISTER: UAR, UAA, and on to the S-CSCF (TS 24.229 clause 5.3.1, TS 29.228 clause 6.1.1).

use super::refusal::Refusal;
use super::resolve::{Known, resolve};
use super::select::select;
use super::{Asked, Awaited, Icscf, answer};
use crate::cx::{self, CxResult, RequestEnvelope, Uaa, Uar, UserAuthorizationType};
use crate::packet::Outbox;
use crate::sip::header::contact::Contacts;
use crate::sip::header::grammar::mentions;
use crate::sip::transaction::{ClientId, ServerId, Timers};
use crate::sip::{HeaderName, Message, NameSet, Uri};
use crate::time::{Duration, Instant};
use memchr::memchr3;
use std::fmt;
use std::rc::Rc;

/// A REGISTER for which the HSS is asked.
pub(super) struct AwaitingUaa {
    /// Its transaction.
    pub(super) server: ServerId,
    /// It as it will be forwarded, but for Request-URI and our Via.
    pub(super) request: Vec<u8>,
    /// The S-CSCFs that failed, when this is the second choice.
    pub(super) failed: Option<Failed>,
    /// When the HSS was asked.
    asked_at: Instant,
    /// How long it was waited for before.
    waited: Duration,
}

/// A REGISTER that is with an S-CSCF; the client transaction has its text.
pub(super) struct AwaitingScscf {
    /// Its transaction.
    pub(super) server: ServerId,
    /// The S-CSCFs it was sent to, the present one last.
    pub(super) tried: Vec<Rc<str>>,
    /// How long the HSS was waited for.
    waited: Duration,
}

/// Why another S-CSCF is looked for.
pub(super) struct Failed {
    tried: Vec<Rc<str>>,
    /// What the last one answered; `None`: nothing.
    response: Option<Box<[u8]>>,
}

impl Icscf {
    /// Asks the HSS. Nothing is kept from the first REGISTER of an attempt to the second: both ask.
    pub(super) fn on_register(
        &mut self,
        now: Instant,
        server: ServerId,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let hops = message.max_forwards()?;
        if hops == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        if message.has_any(NameSet::of(&[HeaderName::ProxyRequire])) {
            let unknown: Vec<&str> = message
                .elements(HeaderName::ProxyRequire)
                .filter(|t| !EXTENSIONS.iter().any(|e| e.eq_ignore_ascii_case(t)))
                .collect();
            if !unknown.is_empty() {
                return Err(Refusal::UnknownExtension(unknown.join(", ")));
            }
        }
        self.check_domain(message)?;
        let mut request = self.spare.pop().unwrap_or_default();
        answer::one_hop_less(message, hops, &mut request);
        let waiting = AwaitingUaa { server, request, failed: None, asked_at: now, waited: Duration::ZERO };
        self.send_uar(now, message, waiting, out)
    }

    /// RFC 3261 clause 10.3 step 1: the domain of the Request-URI must be one of ours, or that of the user, whom the HSS
    /// knows or not. There is no way to other networks from here, so another is 404 (clause 21.4.5).
    fn check_domain(&self, message: &Message<'_>) -> Result<(), Refusal> {
        let uri = message.request_uri().unwrap_or_default();
        if uri.strip_prefix("sip:") == Some(&*self.config.realm) {
            return Ok(());
        }
        let uri = Uri::parse(uri)?;
        // A registrar may be a host of its domain (RFC 3261 clause 24.1).
        let is = |domain: &str| {
            let at = uri.host.len().checked_sub(domain.len());
            let ends =
                at.and_then(|at| uri.host.split_at_checked(at)).filter(|(_, end)| end.eq_ignore_ascii_case(domain));
            ends.is_some_and(|(before, _)| before.is_empty() || before.ends_with('.'))
        };
        let is_of_network =
            || is(&self.config.realm) || is(&self.config.host) || self.config.hosts.keys().any(|h| is(h));
        let of_impi = || Ok::<_, Refusal>(username(message)?.and_then(|name| Some(name.rsplit_once('@')?.1)));
        if !uri.is_sip()
            || uri.ip().is_some()
            || is_of_network()
            || is(message.to()?.uri.host)
            || of_impi()?.is_some_and(is)
        {
            return Ok(());
        }
        Err(Refusal::ForeignDomain(uri.host.into()))
    }

    /// Forwards, or refuses by the table of registration.md clause 5.
    pub(super) fn on_uaa(&mut self, now: Instant, waiting: AwaitingUaa, message: &[u8], out: &mut Outbox) {
        let outcome = Uaa::decode(message)
            .map_err(|fault| Refusal::HssFault(CxResult::Base(fault.code)))
            .and_then(|uaa| self.chosen(&uaa, waiting.failed.as_ref()));
        match (outcome, waiting) {
            (Ok(name), AwaitingUaa { server, request, failed, asked_at, waited }) => {
                let waited = waited + now.saturating_since(asked_at);
                let mut tried = failed.map_or_else(|| Vec::with_capacity(1), |f| f.tried);
                tried.push(name);
                self.forward(now, AwaitingScscf { server, tried, waited }, request, out);
            }
            // No other S-CSCF: what the last one said is the answer.
            (Err(Refusal::NoneFits), AwaitingUaa { server, failed: Some(failed), request, .. }) => {
                self.answer_failed(now, server, &request, failed, out);
            }
            (Err(refusal), AwaitingUaa { server, request, .. }) => {
                self.refuse_waiting(now, server, &request, &refusal, out);
            }
        }
    }

    /// The S-CSCF gave no usable answer. `response` is what it said, 3xx or 480; `None`: nothing.
    pub(super) fn on_scscf_failed(
        &mut self,
        now: Instant,
        client: ClientId,
        waiting: AwaitingScscf,
        response: Option<&[u8]>,
        out: &mut Outbox,
    ) {
        let sent = self.transactions.sent(client).expect("readable in the call that ends the transaction");
        let request = answer::without_own_via(sent);
        if response.is_none() && waiting.waited > self.config.limits.longest_wait / 4 {
            // The HSS is slow, and so is whoever asks it: no reason to take the user away from his S-CSCF.
            let failed = Failed { tried: waiting.tried, response: None };
            return self.answer_failed(now, waiting.server, &request, failed, out);
        }
        self.try_another(now, waiting, request, response, out);
    }

    /// Another S-CSCF is tried where that is allowed (TS 24.229 clause 5.3.1.3).
    fn try_another(
        &mut self,
        now: Instant,
        waiting: AwaitingScscf,
        request: Vec<u8>,
        response: Option<&[u8]>,
        out: &mut Outbox,
    ) {
        let AwaitingScscf { server, tried, waited } = waiting;
        let failed = Failed { tried, response: response.map(Into::into) };
        let bytes = request.clone();
        let message = Message::parse(&bytes).expect("it was parsed when it came");
        // A challenge that this S-CSCF sent can be answered nowhere else.
        if is_protected(&message) {
            return self.answer_failed(now, server, &request, failed, out);
        }
        let waiting = AwaitingUaa { server, request, failed: Some(failed), asked_at: now, waited };
        if let Err(refusal) = self.send_uar(now, &message, waiting, out) {
            self.refuse(now, server, &message, &refusal, out);
        }
    }

    fn send_uar(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        waiting: AwaitingUaa,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let to = message.to()?.uri;
        let username = username(message)?;
        self.impu.0.clear();
        to.canonical(&mut self.impu.0);
        let (expires_zero, emergency) = contacts(message)?;
        let visited = visited_network(message);
        self.session_id.clear();
        self.node.write_session_id(&mut self.session_id);
        let uar = Uar {
            envelope: RequestEnvelope::new(&self.session_id, self.config.diameter.origin(), (None, &self.config.realm)),
            impi: username.unwrap_or_else(|| to.implied_impi()),
            impu: &self.impu.0,
            visited_network: visited.unwrap_or(&self.config.realm).as_bytes(),
            authorization_type: match (&waiting.failed, expires_zero) {
                (Some(_), _) => UserAuthorizationType::RegistrationAndCapabilities,
                (None, true) => UserAuthorizationType::DeRegistration,
                (None, false) => UserAuthorizationType::Registration,
            },
            emergency,
        };
        self.node.request(now, Uar::COMMAND, cx::APPLICATION, Awaited::Uaa(waiting), out, |w| uar.encode(w));
        Ok(())
    }

    /// The S-CSCF that the answer names, or that we select.
    fn chosen(&self, uaa: &Uaa<'_>, failed: Option<&Failed>) -> Result<Rc<str>, Refusal> {
        match uaa.result {
            CxResult::SUCCESS | CxResult::FIRST_REGISTRATION | CxResult::SUBSEQUENT_REGISTRATION => {}
            refused @ (CxResult::USER_UNKNOWN
            | CxResult::IDENTITIES_DONT_MATCH
            | CxResult::ROAMING_NOT_ALLOWED
            | CxResult::AUTHORIZATION_REJECTED) => return Err(Refusal::RegistrationRefused(refused)),
            // The second choice was asked for because the first failed; the HSS does not allow one.
            fault if failed.is_some() => return Err(Refusal::RegistrationRefused(fault)),
            fault => return Err(Refusal::HssFault(fault)),
        }
        let tried = failed.map_or(&[][..], |f| &f.tried);
        if let Some(name) = uaa.server_name.filter(|name| !tried.iter().any(|t| t.eq_ignore_ascii_case(name))) {
            return Ok(Known::name(&self.known, name));
        }
        let any = cx::Capabilities::default();
        let wanted = uaa.capabilities.as_ref().unwrap_or(&any);
        let selected = select(&self.config.scscfs, wanted, tried).ok_or(Refusal::NoneFits)?;
        Ok(Known::name(&self.known, selected))
    }

    fn forward(&mut self, now: Instant, waiting: AwaitingScscf, mut request: Vec<u8>, out: &mut Outbox) {
        let name = waiting.tried.last().expect("the S-CSCF chosen was just added");
        let Some((route, listener)) = Known::find(&self.known, name).or_else(|| resolve(&self.config, name)) else {
            // Nobody can be reached under that name: the same as silence.
            return self.try_another(now, waiting, request, None, out);
        };
        let name = Rc::clone(name);
        let sent_by = &self.sent_by[listener];
        let left = self.config.limits.longest_wait.saturating_sub(waiting.waited);
        let timers = patience(self.config.timers, left);
        self.transactions.request(
            now,
            timers,
            route,
            true,
            Asked::Register(waiting),
            out,
            |bytes, transport, branch| {
                let via = ["SIP/2.0/", transport.as_str(), " ", sent_by, ";branch=", branch];
                answer::forward(&request, &name, &via, bytes);
            },
        );
        if self.spare.len() < SPARE_BUFFERS {
            request.clear();
            self.spare.push(request);
        }
    }

    fn answer_failed(&mut self, now: Instant, server: ServerId, request: &[u8], failed: Failed, out: &mut Outbox) {
        match failed.response {
            Some(response) => {
                let response = Message::parse(&response).expect("it was parsed when it came");
                self.relay(now, server, &response, out);
            }
            None => self.refuse_waiting(now, server, request, &Refusal::ScscfSilent, out),
        }
    }
}

impl fmt::Debug for AwaitingUaa {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitingUaa").field("server", &self.server).finish_non_exhaustive()
    }
}

impl fmt::Debug for AwaitingScscf {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitingScscf")
            .field("server", &self.server)
            .field("tried", &self.tried)
            .finish_non_exhaustive()
    }
}

/// True when the REGISTER belongs to an authentication that its S-CSCF has begun or finished.
fn is_protected(message: &Message<'_>) -> bool {
    let credentials = message.authorization().ok().flatten();
    credentials.and_then(|c| c.integrity_protected).is_some_and(|v| !v.eq_ignore_ascii_case("no"))
}

/// `username` of the credentials, unless it is no private identity: phones without USIM have any name there, which only
/// the digest covers (TS 23.003 clause 13.3: user@realm).
fn username<'a>(message: &Message<'a>) -> Result<Option<&'a str>, Refusal> {
    let is_private = |username: &&str| memchr::memchr(b'@', username.as_bytes()).is_some();
    // The registrar judges what follows.
    if let Some(username) = message.first_username() {
        return Ok(Some(username).filter(is_private));
    }
    Ok(message.authorization()?.and_then(|c| c.username).filter(is_private))
}

/// The first element of P-Visited-Network-ID without parameters and quotes.
fn visited_network<'a>(message: &Message<'a>) -> Option<&'a str> {
    let is_plain = |value: &&str| !value.is_empty() && memchr3(b',', b';', b'"', value.as_bytes()).is_none();
    message.only(HeaderName::PVisitedNetworkId).filter(is_plain).or_else(|| {
        let first = message.elements(HeaderName::PVisitedNetworkId).next();
        first.map(|v| v.split(';').next().unwrap_or(v).trim().trim_matches('"'))
    })
}

/// Whether the REGISTER only removes, and whether it is an emergency registration.
fn contacts(message: &Message<'_>) -> Result<(bool, bool), Refusal> {
    let header = message.expires();
    // Their second letters are rare in Contacts.
    let may_tell = |value: &str| mentions(value, "expires", 1) || mentions(value, "sos", 1);
    // Where no parameter can decide, Expires alone does. The registrar judges the rest of Contact.
    if header != Some(0) && !message.any_value(HeaderName::Contact, may_tell) {
        return Ok((false, false));
    }
    Ok(match message.contacts()? {
        Contacts::Star => (header == Some(0), false),
        Contacts::List(list) => {
            let zero = !list.is_empty() && list.iter().all(|c| c.expires.or(header) == Some(0));
            (zero, list.iter().any(|c| c.address.uri.params.has("sos")))
        }
    })
}

/// The I-CSCF gives up on an S-CSCF in a quarter of the time that its own client allows: two more can be tried before
/// the P-CSCF hears nothing for too long (field-lessons 62). What the HSS has taken of `limits.longest_wait` the S-CSCF,
/// which asks it too, does not have any more, but for a last quarter.
fn patience(timers: Timers, left: Duration) -> Timers {
    let t1 = timers.t1 / 4;
    Timers { t1: (left / 64).clamp(t1 / 4, t1), ..timers }
}

/// Buffers kept for requests that wait for the HSS.
const SPARE_BUFFERS: usize = 64;

/// Option tags of Proxy-Require that do not concern us. P-CSCFs in the field leave `sec-agree` where it was.
const EXTENSIONS: [&str; 1] = ["sec-agree"];
