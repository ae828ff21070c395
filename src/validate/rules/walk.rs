//! Ways through a registration that many rules take.

use super::element::{Element, Tuple};
use crate::event::Role;
use crate::reginfo::Reginfo;
use crate::sip::header::contact::Contacts;
use crate::sip::header::digest::Digest;
use crate::sip::{self, HeaderName, Method, Uri};
use crate::time::Duration;
use crate::trace::story::{Attempt, Carried, Interface, Kind, Message, Registration, Set};
use crate::validate::{Context, Judgement, Verdict};
use std::collections::HashSet;

/// A message and what it says.
pub(crate) type Read<'r> = (Message<'r>, &'r sip::Message<'r>);

/// REGISTERs that begin an initial registration, as the UE sends them.
pub(crate) fn first_registers<'r>(registration: &'r Registration<'r>, j: &mut Judgement) -> Vec<Read<'r>> {
    let initial = registration.attempts_of(Kind::Initial);
    let all: Vec<Read<'r>> = initial.filter_map(|attempt| from_ue(attempt.request()?)).collect();
    if all.is_empty() && registration.messages().next().is_some() {
        j.unseen("no first REGISTER of the UE is in the trace");
    }
    all
}

/// REGISTERs of the UE with Security-Client, retransmissions left out.
pub(crate) fn offers<'r>(registration: &'r Registration<'r>, j: &mut Judgement) -> Vec<Read<'r>> {
    let mut all = registers_or_unseen(registration, j);
    all.retain(|(_, sip)| sip.header(HeaderName::SecurityClient).is_some());
    all
}

/// REGISTERs of the UE over Gm, retransmissions left out; where there is none, that is noted.
pub(crate) fn registers_or_unseen<'r>(registration: &'r Registration<'r>, j: &mut Judgement) -> Vec<Read<'r>> {
    let all = registers(registration);
    if all.is_empty() && registration.messages().next().is_some() {
        j.unseen("no REGISTER of the UE is in the trace");
    }
    all
}

/// REGISTERs of the UE over Gm, retransmissions left out.
pub(crate) fn registers<'r>(registration: &'r Registration<'r>) -> Vec<Read<'r>> {
    let journeys = registration.attempts().flat_map(|attempt| attempt.journeys().collect::<Vec<_>>());
    journeys.filter_map(|journey| from_ue(journey.request()?)).collect()
}

/// Messages over Gm with Security-Client or Security-Server, retransmissions left out.
pub(crate) fn security_headers<'r>(registration: &'r Registration<'r>) -> Vec<Read<'r>> {
    let gm =
        registration.messages().filter(|message| message.interface() == Interface::Gm && message.repeats().is_none());
    let read = gm.filter_map(|message| Some((message, message.sip()?)));
    read.filter(|(_, sip)| {
        [HeaderName::SecurityClient, HeaderName::SecurityServer].iter().any(|name| sip.header(*name).is_some())
    })
    .collect()
}

/// The refusal of an offer, with the list of the P-CSCF that it shows: 4xx with Security-Server, no challenge.
pub(crate) fn refusal_of_offer(offer: Message<'_>) -> Option<(Message<'_>, Vec<Element<'_>>)> {
    let answer = offer.exchange()?.last()?;
    let sip = answer.sip()?;
    let status = sip.status()?;
    if !(400..700).contains(&status) || matches!(status, 401 | 407) {
        return None;
    }
    let server = Element::ipsec(sip, HeaderName::SecurityServer);
    (!server.is_empty()).then_some((answer, server))
}

/// True where the trace shows how a request ended.
pub(crate) fn has_final_answer(request: Message<'_>) -> bool {
    request.exchange().is_some_and(|exchange| exchange.last().is_some())
}

/// A request of the UE itself: on another hop others have changed it.
fn from_ue(message: Message<'_>) -> Option<Read<'_>> {
    let is_own = message.from() == Some(Role::Ue) && message.is(Method::Register);
    message.sip().filter(|_| is_own).map(|sip| (message, sip))
}

/// The challenge to a REGISTER, as the UE gets it.
pub(crate) fn challenge_of(register: Message<'_>) -> Option<Read<'_>> {
    let answer = register.exchange()?.answered(401)?;
    Some((answer, answer.sip()?))
}

/// Every challenge that the UE gets to a REGISTER, in order.
pub(crate) fn challenges<'r>(registration: &'r Registration<'r>) -> Vec<Read<'r>> {
    let to_ue = registration.messages().filter(|message| message.to() == Some(Role::Ue) && message.repeats().is_none());
    to_ue
        .filter(|message| message.status() == Some(401))
        .filter_map(|message| Some((message, message.sip()?)))
        .collect()
}

/// True for an element of ipsec-3gpp that has everything (SA-03).
pub(crate) fn has_sound_offer(sip: &sip::Message<'_>) -> bool {
    Element::ipsec(sip, HeaderName::SecurityClient).iter().any(|element| element.missing().is_empty())
        || Element::all(sip, HeaderName::SecurityClient).iter().any(|element| element.name.eq_ignore_ascii_case("tls"))
}

/// The values of the challenges of an answer, as written.
pub(crate) fn digest_values<'a>(sip: &sip::Message<'a>) -> Vec<&'a str> {
    let names = [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate];
    names.into_iter().flat_map(|name| sip.values(name).collect::<Vec<_>>()).collect()
}

/// True for a challenge or credentials of AKA (RFC 3310, RFC 4169).
pub(crate) fn is_aka(digest: &Digest<'_>) -> bool {
    digest.algorithm.and_then(|algorithm| algorithm.get(..4)).is_some_and(|start| start.eq_ignore_ascii_case("AKAv"))
}

/// True where another rule fails, for rules that are about something else then.
pub(crate) fn fails(id: &str, registration: &Registration<'_>, context: &Context<'_>) -> bool {
    let mut judgement = Judgement::default();
    if let Some(rule) = crate::validate::rule(id) {
        (rule.judge)(registration, context, &mut judgement);
    }
    judgement.verdict() == Verdict::Fail
}

/// A REGISTER of the UE that follows a challenge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answering<'r> {
    /// What it answers.
    pub(crate) challenge: Message<'r>,
    /// The REGISTER that was challenged.
    pub(crate) challenged: Option<Message<'r>>,
    /// It.
    pub(crate) register: Message<'r>,
}

impl<'r> Answering<'r> {
    /// True for an answer proper: neither auts nor an empty response, which say that the challenge was bad.
    pub(crate) fn has_response(&self) -> bool {
        let digest = self.register.credentials();
        digest.is_some_and(|digest| digest.auts.is_none() && digest.response.is_some_and(|text| !text.is_empty()))
    }

    /// The challenge that it answers, of all that the 401 holds.
    pub(crate) fn asked(&self) -> Option<Digest<'r>> {
        match self.register.credentials() {
            Some(given) => self.challenge.challenge_for(given),
            None => self.challenge.first_challenge().copied(),
        }
    }

    /// Security-Server that Security-Verify must repeat, and the 401 that has it.
    pub(crate) fn security_server(&self) -> Option<(Message<'r>, Vec<Element<'r>>)> {
        let of = |challenge: Message<'r>| {
            let list = Element::all(challenge.sip()?, HeaderName::SecurityServer);
            (!list.is_empty()).then_some((challenge, list))
        };
        if self.has_response() {
            return of(self.challenge);
        }
        // Outside any SA there is nothing to verify (TS 24.229 clause 5.1.1.5.3).
        let sa = self.register.carried().sa()?;
        of(self.register.registration().set(sa.set).challenge())
    }
}

/// The REGISTERs of the UE that answer challenges, in order.
pub(crate) fn answers_to_challenges<'r>(registration: &'r Registration<'r>) -> Vec<Answering<'r>> {
    let mut all = Vec::new();
    for attempt in registration.attempts() {
        let journeys: Vec<_> = attempt.journeys().collect();
        for pair in journeys.windows(2) {
            let answered = pair[0].hops().find_map(|hop| hop.answered(401)).filter(|c| c.to() == Some(Role::Ue));
            let (Some(challenge), Some((register, _))) = (answered, pair[1].request().and_then(from_ue)) else {
                continue;
            };
            // On Mw the REGISTER has no offer any more: where the trace begins there, the offer was not seen.
            let challenged = pair[0].request().and_then(from_ue).map(|(request, _)| request);
            all.push(Answering { challenge, challenged, register });
        }
    }
    all
}

/// The element that both lists make a UE take (RFC 3329 clause 2.3.1), by the judge's own reading.
pub(crate) fn best_of(set: Set<'_>) -> Option<Tuple> {
    let offer = set.offer()?.sip()?;
    let offered: Vec<Tuple> =
        Element::ipsec(offer, HeaderName::SecurityClient).iter().filter_map(Element::tuple).collect();
    let mut served = Element::ipsec(set.challenge().sip()?, HeaderName::SecurityServer);
    // Stable: of equal q the first. Without q an element has the highest (RFC 3329 clause 2.2).
    served.sort_by_key(|element| std::cmp::Reverse(element.q().flatten().unwrap_or(1_000)));
    served.iter().filter_map(Element::tuple).find(|tuple| offered.contains(tuple))
}

/// The places of the challenges that were answered.
pub(crate) fn answered(answers: &[Answering<'_>]) -> HashSet<usize> {
    answers.iter().map(|answer| answer.challenge.index()).collect()
}

/// True for two spellings of one public identity.
pub(crate) fn same_identity(a: &str, b: &str) -> bool {
    let canonical = |text: &str| {
        let mut out = String::new();
        Uri::parse(text).ok().map(|uri| uri.canonical(&mut out)).map(|()| out)
    };
    a == b || canonical(a).is_some_and(|a| Some(a) == canonical(b))
}

/// True for two spellings of one address.
pub(crate) fn same_address(a: &str, b: &str) -> bool {
    a == b || Uri::parse(a).is_ok_and(|a| Uri::parse(b).is_ok_and(|b| a.equivalent(&b)))
}

/// Whether an SA carried a message; `None` where the trace does not tell.
pub(crate) fn is_protected(message: Message<'_>, context: &Context<'_>) -> Option<bool> {
    match message.carried() {
        Carried::Sa(_) | Carried::Foreign => Some(true),
        Carried::Ports(_) => Some(context.esp_is_off),
        Carried::Clear => Some(false),
        Carried::Unknown => None,
    }
}

/// True where ESP of the registration stays shut: more was said than can be read.
pub(crate) fn is_shut(registration: &Registration<'_>) -> bool {
    registration.shut().iter().any(|shut| shut.count > 0)
}

/// Notes that the UE may have said more than can be read.
pub(crate) fn unseen_where_shut(registration: &Registration<'_>, j: &mut Judgement) {
    if is_shut(registration) {
        j.unseen("ESP of the UE stays shut");
    }
}

/// The time that the trace goes on after a message.
pub(crate) fn shown_after(message: Message<'_>) -> Option<Duration> {
    Some(message.registration().observable().until? - message.at()?)
}

/// As people read a time.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}

/// Contacts of a message that bind: URI and expiry. `*` and what cannot be read give none.
pub(crate) fn contacts<'a>(sip: &sip::Message<'a>) -> Vec<(&'a str, Option<u32>)> {
    match sip.contacts() {
        Ok(Contacts::List(list)) => {
            list.iter().map(|contact| (contact.address.uri.text, contact.expires.or_else(|| sip.expires()))).collect()
        }
        _ => Vec::new(),
    }
}

/// What the document of a NOTIFY says.
pub(crate) fn reginfo(notify: Message<'_>) -> Option<&Reginfo<'_>> {
    notify.document()?.reginfo.as_ref()
}

/// The attempts that succeeded before a message, each with its 2xx.
pub(crate) fn succeeded_before<'r>(message: Message<'r>) -> impl DoubleEndedIterator<Item = (Attempt<'r>, Read<'r>)> {
    let succeeded = message.registration().attempts_before(message).filter_map(|attempt| {
        let end = attempt.end().filter(|end| end.status().is_some_and(|status| status < 300))?;
        Some((attempt, (end, end.sip()?)))
    });
    succeeded.filter(move |(_, (end, _))| end.index() < message.index())
}
