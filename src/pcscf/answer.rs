//! What the core answers to a REGISTER: 401, 200, anything else, or nothing (TS 24.229 clause 5.2.2.1).

use super::Pcscf;
use super::books::Opening;
use super::flow::{Agreement, Alike, Asked, Challenging, FlowKey, Held, Origin, Short, Stated};
use super::from_core::{FromCore, Keys, Strip};
use super::refusal::Refusal;
use super::tls;
use super::to_core::write_again;
use super::to_ue::Answer;
use crate::event::{Event, Role, What};
use crate::identity::{Impi, Impu};
use crate::ipsec::association::{Mod, SaSetId};
use crate::packet::{Outbox, Transport};
use crate::sip::header::contact::Contacts;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::transaction::{ClientId, Ended};
use crate::sip::{HeaderError, HeaderName, Message, Uri, uri};
use crate::time::{Duration, Instant};
use std::hash::{BuildHasher, Hash};
use std::num::NonZero;

impl Pcscf {
    /// The final response to a REGISTER.
    pub(super) fn on_final(
        &mut self,
        now: Instant,
        client: ClientId,
        context: Challenging,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let (response, keys) = FromCore::new(message);
        match response.status() {
            401 => self.on_401(now, context, &response, keys, out),
            200..=299 => self.on_200(now, client, &context, &response, out),
            // TS 24.229 clause 5.2.2.1: another entry point of the home network.
            300..=399 | 408 | 480 => self.on_next_hop(now, client, context, out),
            // RFC 3263 clause 4.3: one that is overloaded has failed; the others may not.
            503 if context.hop + 1 < self.config.next_hops.len() => self.on_next_hop(now, client, context, out),
            status => {
                let failed = self.failed_session(context.server, status);
                self.relay(now, &context, &response, out);
                if let Some(way) = failed {
                    tls::close(way, "the authentication has failed", out);
                }
                if !ASKED_OTHERWISE.contains(&status) {
                    self.end_attempt(now, &context);
                }
            }
        }
    }

    /// No final response.
    pub(super) fn on_silence(&mut self, now: Instant, ended: Ended<Challenging>, out: &mut Outbox) {
        self.on_next_hop(now, ended.client, ended.context, out);
    }

    /// A challenge: the keys stay here, and a temporary set is made of them before the UE hears of it.
    fn on_401(
        &mut self,
        now: Instant,
        context: Challenging,
        response: &FromCore<'_>,
        keys: Option<Keys>,
        out: &mut Outbox,
    ) {
        let Challenging { server, origin, flow, agreement, .. } = context;
        let over = match origin {
            Origin::Protected(set) => Some(set),
            Origin::Clear { .. } => None,
        };
        let mode = over.and_then(|over| self.books.get(over)).map_or(Mod::Trans, |set| set.mode);
        let (offer, client, inside) = match agreement {
            Some(Agreement::Sas(offered)) => (offered.offer, offered.client, offered.inside),
            Some(Agreement::Tls { client }) => return self.on_401_for_tls(now, server, (flow, client), response, out),
            Some(Agreement::Unread { client }) => match self.offer_for_sas(&client, mode, out) {
                Some(offer) => (offer, client, None),
                // A new set needs new SPIs and ports of the UE (TS 33.203 clause 7.4).
                None => return self.refuse_instead(now, server, response, &Refusal::NothingToInstall, out),
            },
            None => {
                let answer = relayed(&self.strip, response, None);
                return self.to_ue.answer(now, server, &answer, out);
            }
        };
        let keys = match keys {
            Some(keys) => keys,
            None if self.config.accept_challenge_without_keys => Keys::unknown(),
            None => return self.refuse_instead(now, server, response, &Refusal::NoKeys, out),
        };
        let (ue, here) = match origin {
            Origin::Clear { ue, here } => (ue, here.ip()),
            Origin::Protected(set) => match self.books.get(set) {
                Some(set) => (std::net::SocketAddr::new(set.ue_address, set.ue.port_c), self.books.address(set)),
                // It has ended while the core was thinking: nothing could carry the answer.
                None => return self.to_ue.abandon(now, server),
            },
        };
        let nonce = self.hash_of_nonce(response.nonce().unwrap_or_default());
        let opening = Opening { flow, ue, inside, here, over, offer, client, keys, nonce };
        match self.books.open(now, opening, &mut self.random, out) {
            Ok(opened) => {
                let set = self.books.get(opened).expect("just opened");
                let list = self.security_server(set.algorithms, set.mode, set.pcscf(self.config.port_s));
                let response = self.to_ue.write(&relayed(&self.strip, response, Some(&list)));
                self.books.hold(opened, Held { server, response });
            }
            Err(refusal) => {
                self.refuse_instead(now, server, response, &refusal, out);
                if let Some(set) = over {
                    self.books.fail(now, set);
                }
            }
        }
        self.answer_unheard(now, out);
    }

    /// The set of a challenge is there: the UE hears of it.
    pub(super) fn on_set_up(&mut self, now: Instant, set: SaSetId, out: &mut Outbox) {
        if let Some(Held { server, response }) = self.books.set_up(now, set, out) {
            self.to_ue.answer(now, server, &Answer::Held(&response), out);
            self.to_ue.give_back(response);
        }
    }

    /// Challenges whose sets were never made end in failure (TS 33.203 clause 7.2). The core hears of it by the silence
    /// of the UE: reg-await-auth ends the authentication there (TS 24.229 clause 5.4.1.2.1).
    pub(super) fn answer_unheard(&mut self, now: Instant, out: &mut Outbox) {
        for (Held { server, response }, cause) in self.books.unheard() {
            let refusal = Refusal::SetUpFailed { cause };
            match Message::parse(&response) {
                Ok(response) => {
                    let answer = Answer::InsteadOfHeld { response: &response, status: refusal.status() };
                    self.to_ue.answer(now, server, &answer, out);
                }
                Err(_) => self.to_ue.abandon(now, server),
            }
            super::refuse::tell(&refusal, out);
        }
    }

    /// Success: what was temporary serves now.
    fn on_200(
        &mut self,
        now: Instant,
        client: ClientId,
        context: &Challenging,
        response: &FromCore<'_>,
        out: &mut Outbox,
    ) {
        // Over TCP the transaction ends with its answer.
        let way_back = match context.origin {
            Origin::Clear { .. } => self.to_ue.route(context.server),
            Origin::Protected(_) => None,
        };
        if let (Some(way), Some(agreement)) = (way_back, context.agreement.as_ref())
            && !(matches!(agreement, Agreement::Tls { .. }) && way.transport == Transport::Tls)
        {
            // Without a challenge there are no keys and no SAs, nor a TLS session, and the UE asked for them.
            self.refuse_instead(now, context.server, response, &Refusal::NotChallenged, out);
            return;
        }
        self.relay(now, context, response, out);
        let likeness = self.exchange_likeness(context, response);
        if let (Origin::Protected(set), Some((request, answer))) = (context.origin, likeness)
            && let Some(expires) = self.books.prolong(now, context.flow, request, answer)
        {
            self.books.establish(now, set, expires, out);
            self.on_registered(now, client, context.flow, expires, out);
            return self.answer_unheard(now, out);
        }
        let of_refresh = if context.asked.is_none() { self.asked_in(client) } else { None };
        let Some(asked) = context.asked.as_ref().or(of_refresh.as_ref()) else { return };
        let mut aor = String::with_capacity(USUAL_IDENTITIES);
        if push_canonical(HeaderName::To, asked.to(), &mut aor).is_err() {
            return;
        }
        match granted(asked, response) {
            Granted::Nothing => {}
            Granted::End => {
                if let Origin::Protected(set) = context.origin {
                    self.books.answered(set, out);
                }
                self.deregister(now, context.flow, &aor, out);
                let cause = "the UE asked for it";
                out.event(|| Event {
                    role: Role::Pcscf,
                    what: What::Deregistered { impi: self.impi_in(client), impu: Impu::from(aor), cause },
                });
            }
            Granted::For(expires) => {
                let mut service_route = String::new();
                for element in response.elements(HeaderName::ServiceRoute) {
                    service_route.push_str(if service_route.is_empty() { "" } else { "," });
                    service_route.push_str(element);
                }
                let identities = identities(response, &aor);
                let in_clear = match context.origin {
                    Origin::Clear { ue, .. } => way_back.map(|route| (ue, route)),
                    Origin::Protected(set) => {
                        self.books.establish(now, set, expires, out);
                        None
                    }
                };
                self.bind_tls(context.flow, way_back, context.agreement.is_some(), out);
                let stated = Stated { identities: &identities, service_route: &service_route };
                self.books.register(context.flow, now + expires, stated, in_clear);
                let granted = u32::try_from(expires.as_secs()).ok().and_then(NonZero::new);
                let last = likeness.zip(granted);
                let last = last.map(|((request, answer), granted)| Alike { request, answer, granted });
                self.books.remember(context.flow, last);
                self.on_registered(now, client, context.flow, expires, out);
            }
        }
        self.answer_unheard(now, out);
    }

    /// Of a REGISTER over SAs and of its 200.
    fn exchange_likeness(&self, context: &Challenging, response: &FromCore<'_>) -> Option<(Short, Short)> {
        let request = context.likeness?;
        let mut hasher = self.hasher.build_hasher();
        request.hash(&mut hasher);
        Some((request, Short::new(response.likeness(hasher)?)))
    }

    /// What a flow has registered is known.
    fn on_registered(&mut self, now: Instant, client: ClientId, flow: FlowKey, expires: Duration, out: &mut Outbox) {
        out.event(|| {
            let what = What::Registered { impi: self.impi_in(client), impu: self.newest_identity(flow), expires };
            Event { role: Role::Pcscf, what }
        });
        self.watch(now, flow);
        // An emergency registration is nobody's business (TS 24.229 clause 5.2.10).
        if self.watching.is_some() && !flow.is_emergency() {
            let (impi, default) = (self.impi_in(client), self.newest_identity(flow));
            self.watch_registration(now, flow, (impi.as_str(), default.as_str()), expires, out);
        }
    }

    /// What the REGISTER of a transaction that is through has asked for: we have passed that on as it was.
    fn asked_in(&self, client: ClientId) -> Option<Asked> {
        self.core.sent(client).and_then(|sent| Message::parse(sent).ok()).map(|request| Asked::by(&request))
    }

    /// Who sent the REGISTER of a transaction that is through.
    fn impi_in(&self, client: ClientId) -> Impi {
        let request = self.core.sent(client).and_then(|sent| Message::parse(sent).ok());
        let credentials = request.and_then(|r| r.authorization().ok().flatten());
        Impi::from(credentials.and_then(|c| c.username).unwrap_or_default())
    }

    /// The default identity of the set registered last.
    fn newest_identity(&self, flow: FlowKey) -> Impu {
        let newest = self.books.registrations(flow).last().and_then(|newest| newest.identities().next());
        Impu::from(newest.unwrap_or_default())
    }

    /// The next entry point takes the request, or the UE hears 504 (RFC 4320: never 408).
    fn on_next_hop(&mut self, now: Instant, client: ClientId, mut context: Challenging, out: &mut Outbox) {
        let Some(sent) = self.core.sent(client).map(<[u8]>::to_vec) else {
            return self.to_ue.abandon(now, context.server);
        };
        let Ok(request) = Message::parse(&sent) else { return self.to_ue.abandon(now, context.server) };
        context.hop += 1;
        if let Some(&hop) = self.config.next_hops.get(context.hop) {
            let route = self.core_route(hop);
            let sent_by = &self.texts.sent_by;
            self.core.request(now, self.config.core_timers, route, true, context, out, |bytes, transport, branch| {
                write_again(bytes, transport, branch, sent_by, &request);
            });
            return;
        }
        let refusal = Refusal::CoreSilent;
        let answer = Answer::Forwarded { request: &request, status: refusal.status() };
        self.to_ue.answer(now, context.server, &answer, out);
        super::refuse::tell(&refusal, out);
        self.end_attempt(now, &context);
    }

    fn relay(&mut self, now: Instant, context: &Challenging, response: &FromCore<'_>, out: &mut Outbox) {
        let answer = relayed(&self.strip, response, None);
        self.to_ue.answer(now, context.server, &answer, out);
    }

    /// A final answer that ends the attempt of the temporary set that carried the request.
    fn end_attempt(&mut self, now: Instant, context: &Challenging) {
        if let Origin::Protected(set) = context.origin {
            self.books.fail(now, set);
        }
    }
}

/// What a 200 means for the identity in To.
enum Granted {
    /// The bindings were asked for, not changed.
    Nothing,
    /// The binding is gone.
    End,
    /// It lives this long.
    For(Duration),
}

/// The grant is in the answer: `expires` of the own Contact, else Expires (field lesson 64); not what was asked for.
fn granted(asked: &Asked, response: &FromCore<'_>) -> Granted {
    if let Some(alone) = asked.only_address() {
        // The core nearly always writes it as the UE did.
        return longest(response, |bound| {
            bound.text == alone || Uri::parse(alone).is_ok_and(|asked| asked.equivalent(bound))
        });
    }
    match asked.contacts() {
        Ok(Contacts::Star) => Granted::End,
        Ok(Contacts::List(list)) if !list.is_empty() => {
            longest(response, |bound| list.iter().any(|asked| asked.address.uri.equivalent(bound)))
        }
        _ => Granted::Nothing,
    }
}

/// The longest life of a binding that is the UE's own.
fn longest(response: &FromCore<'_>, is_own: impl Fn(&Uri<'_>) -> bool) -> Granted {
    let mut longest = 0;
    let read = response.read_contacts(|bound| {
        if is_own(&bound.address.uri) {
            longest = longest.max(bound.expires.or_else(|| response.expires()).unwrap_or(0));
        }
    });
    match longest {
        seconds @ 1.. if read == Ok(false) => Granted::For(Duration::from_secs(u64::from(seconds))),
        _ => Granted::End,
    }
}

/// P-Associated-URI in canonical form, one a line, and the identity registered where it is not among them.
fn identities(response: &FromCore<'_>, aor: &str) -> String {
    let mut all = String::with_capacity(USUAL_IDENTITIES);
    let mut is_there = false;
    for element in response.elements(HeaderName::PAssociatedUri) {
        let start = all.len();
        if push_canonical(HeaderName::PAssociatedUri, element, &mut all).is_err() {
            continue;
        }
        is_there |= all[start..] == *aor;
        all.push('\n');
    }
    if !is_there {
        all.push_str(aor);
        all.push('\n');
    }
    all
}

/// Appends the URI of an address in canonical form.
fn push_canonical(name: HeaderName, address: &str, out: &mut String) -> Result<(), HeaderError> {
    match uri::canonical_address(address) {
        Some(canonical) => out.push_str(canonical),
        None => NameAddr::parse(name, address)?.uri.canonical(out),
    }
    Ok(())
}

/// What has the UE ask again otherwise (TS 24.229 clause 5.1.1.2.1): it may do so over its temporary set, which ends with
/// reg-await-auth or a failed authentication (clause 5.1.1.5.1).
const ASKED_OTHERWISE: [u16; 2] = [423, 439];

/// Room for the identities of one subscriber: three are usual.
const USUAL_IDENTITIES: usize = 256;

fn relayed<'a>(strip: &'a Strip, response: &'a FromCore<'a>, list: Option<&'a str>) -> Answer<'a> {
    Answer::Relayed { response, strip, security_server: list }
}
