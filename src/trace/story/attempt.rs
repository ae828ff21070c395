//! Attempts: a REGISTER and what follows from it, up to its final answer.

use super::exchange::{self, Exchange, ExchangeData};
use super::journey::{Journey, JourneyData};
use super::message::{Facts, Message, Parsed};
use super::names;
use super::registration::Registration;
use super::sets::Carried;
use crate::event::Role;
use crate::sip::header::contact::Contacts;
use crate::sip::header::digest::Digest;
use crate::sip::{self, HeaderName, Method};
use crate::time::Duration;
use std::collections::HashSet;
use std::fmt;

/// A REGISTER, the challenges it met, the REGISTERs that answered them, and the final answer. A REGISTER that answers no
/// challenge begins another attempt: also one with `nonce=""` after a 401, as a UE sends that gave the 401 up.
#[derive(Clone, Copy)]
pub struct Attempt<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

/// What an attempt is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// The first registration of an identity, or a new one beside or after the old one (TS 24.229 clause 5.1.1.2).
    Initial,
    /// A re-registration (TS 24.229 clause 5.1.1.4).
    Refresh,
    /// The end of a registration (TS 24.229 clause 5.1.1.6).
    Deregistration,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// 2xx.
    Registered,
    /// 2xx to the end of a registration.
    Deregistered,
    /// A final answer of another kind.
    Refused(u16),
    /// The last thing seen is a challenge.
    Challenged,
    /// No final answer is seen.
    Unanswered,
}

impl<'r> Attempt<'r> {
    /// The REGISTERs, each with all its hops.
    pub fn journeys(self) -> impl DoubleEndedIterator<Item = Journey<'r>> {
        self.data().journeys.iter().map(move |index| Journey { of: self.of, index: *index })
    }

    /// The REGISTER that began it, on all its hops.
    pub fn first(self) -> Journey<'r> {
        Journey { of: self.of, index: self.data().journeys[0] }
    }

    /// The last REGISTER.
    pub fn latest(self) -> Journey<'r> {
        self.journeys().next_back().expect("an attempt has a REGISTER")
    }

    /// The REGISTER that began it, nearest to the UE.
    pub fn request(self) -> Option<Message<'r>> {
        self.first().request()
    }

    /// The first challenge, as near to the UE as the trace shows it.
    pub fn challenge(self) -> Option<Message<'r>> {
        self.challenges().next()
    }

    /// Every challenge, a REGISTER each.
    pub fn challenges(self) -> impl Iterator<Item = Message<'r>> {
        self.journeys().filter_map(|journey| journey.last()).filter(|last| matches!(last.status(), Some(401 | 407)))
    }

    /// The REGISTER that answered the last challenge.
    pub fn answer(self) -> Option<Journey<'r>> {
        (self.data().journeys.len() > 1).then(|| self.latest())
    }

    /// The exchange of the challenge over the nearest hop, and that of the REGISTER that answered it.
    pub fn steps(self) -> impl Iterator<Item = Exchange<'r>> {
        self.journeys().map(Journey::first)
    }

    /// The final answer that is no challenge, nearest to the UE.
    pub fn end(self) -> Option<Message<'r>> {
        self.latest().last().filter(|last| !matches!(last.status(), Some(401 | 407)))
    }

    /// How it ended.
    pub fn outcome(self) -> Outcome {
        match (self.latest().status(), self.kind()) {
            (Some(200..=299), Kind::Deregistration) => Outcome::Deregistered,
            (Some(200..=299), _) => Outcome::Registered,
            (Some(401 | 407), _) => Outcome::Challenged,
            (Some(status), _) => Outcome::Refused(status),
            (None, _) => Outcome::Unanswered,
        }
    }

    /// What it is for.
    pub fn kind(self) -> Kind {
        self.data().kind
    }

    /// True for the end of a registration.
    pub fn is_deregistration(self) -> bool {
        self.kind() == Kind::Deregistration
    }

    /// The public identity that it is about, as To of its REGISTER spells it.
    pub fn impu(self) -> Option<&'r str> {
        self.first_sip().and_then(names::impu)
    }

    /// The private identity that it tells.
    pub fn impi(self) -> Option<&'r str> {
        self.journeys().find_map(|journey| journey.request()?.credentials()?.username.filter(|name| !name.is_empty()))
    }

    /// Its Call-ID, that of the first REGISTER.
    pub fn call_id(self) -> Option<&'r str> {
        self.first_sip()?.call_id().ok()
    }

    /// The expiry that the UE asked for.
    pub fn asked(self) -> Option<Duration> {
        self.latest().request().and_then(Message::sip).and_then(|sip| expiry(sip, None)).map(seconds)
    }

    /// The expiry that the 2xx grants: that of the contact asked for, else the longest.
    pub fn granted(self) -> Option<Duration> {
        let end = self.end().filter(|end| end.status().is_some_and(|status| status < 300))?;
        let asked = self.latest().request().and_then(Message::sip).and_then(contact);
        expiry(end.sip()?, asked).map(seconds)
    }

    /// The attempt after it.
    pub fn next(self) -> Option<Self> {
        let index = self.index + 1;
        (index < self.of.attempts.len()).then_some(Self { index, ..self })
    }

    /// The attempt before it.
    pub fn previous(self) -> Option<Self> {
        let index = self.index.checked_sub(1)?;
        Some(Self { index, ..self })
    }

    /// Its place among the attempts of the registration, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    fn first_sip(self) -> Option<&'r sip::Message<'r>> {
        self.first().first().messages().next()?.sip()
    }

    fn data(self) -> &'r AttemptData {
        &self.of.attempts[self.index]
    }
}

impl PartialEq for Attempt<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.group, other.of.group) && self.index == other.index
    }
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}: ", self.kind(), self.outcome())?;
        f.debug_list().entries(self.journeys()).finish()
    }
}

#[derive(Debug)]
pub(super) struct AttemptData {
    pub(super) journeys: Vec<usize>,
    kind: Kind,
}

/// The attempts of `journeys`, in the order of their first messages.
pub(super) fn all(
    parsed: &[Parsed<'_>],
    facts: &[Facts<'_>],
    exchanges: &[ExchangeData],
    journeys: &[JourneyData],
) -> Vec<AttemptData> {
    let mut reader = Reader { parsed, facts, exchanges, attempts: Vec::new(), registered: HashSet::new() };
    for (index, journey) in journeys.iter().enumerate() {
        reader.take(index, journey, journeys);
    }
    reader.attempts
}

/// The attempts that were granted, in order, each with the least place of its 200 and of those of all later ones.
pub(super) fn granted(of: &Registration<'_>) -> Vec<(usize, usize)> {
    let registered = of.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered);
    let mut all: Vec<(usize, usize)> =
        registered.filter_map(|attempt| Some((attempt.index(), attempt.end()?.index()))).collect();
    let mut least = usize::MAX;
    for (_, end) in all.iter_mut().rev() {
        least = least.min(*end);
        *end = least;
    }
    all
}

struct Reader<'p, 'a> {
    parsed: &'p [Parsed<'a>],
    facts: &'p [Facts<'a>],
    exchanges: &'p [ExchangeData],
    attempts: Vec<AttemptData>,
    /// Public identities.
    registered: HashSet<String>,
}

impl<'p> Reader<'p, '_> {
    fn take(&mut self, index: usize, journey: &JourneyData, journeys: &[JourneyData]) {
        let Some(first) = self.message(journey, |_| true) else { return };
        let to_ue = || journey.hops.first().is_some_and(|hop| self.exchanges[*hop].server == Some(Role::Ue));
        if names::method(first) != Some(Method::Register) || names::is_third_party(first) || to_ue() {
            return;
        }
        // Of one that was cut in its first lines nothing is told that an attempt has.
        if exchange::key_of(first).is_none() {
            return;
        }
        match self.continues(journey, journeys) {
            Some(attempt) => self.attempts[attempt].journeys.push(index),
            None => {
                let kind = self.kind(journey);
                self.attempts.push(AttemptData { journeys: vec![index], kind });
            }
        }
        if self.is_success(journey)
            && let Some(impu) = names::impu(first).map(names::canonical)
        {
            if self.request(journey).is_some_and(names::is_deregistration) {
                self.registered.remove(&impu);
            } else {
                self.registered.insert(impu);
            }
        }
    }

    /// The attempt whose challenge this REGISTER answers.
    fn continues(&self, journey: &JourneyData, journeys: &[JourneyData]) -> Option<usize> {
        let latest = |attempt: &AttemptData| &journeys[*attempt.journeys.last().expect("an attempt has a REGISTER")];
        let first = self.message(journey, |_| true)?;
        let request = self.request(journey);
        let nonce = self.nonce(journey);
        let mut attempts = self.attempts.iter().enumerate().rev().take(LOOKED_BACK);
        let by_nonce =
            nonce.and_then(|nonce| attempts.find(|(_, attempt)| self.has_challenge(latest(attempt), Some(nonce))));
        // The nonce may be wrong, and the request may not be seen.
        let follows = |attempt: &AttemptData| {
            let before = self.message(latest(attempt), |_| true);
            let numbers = before.and_then(|before| Some((before.cseq().ok()?.number, first.cseq().ok()?.number)));
            (self.has_challenge(latest(attempt), None) || self.is_challenged_unseen(latest(attempt), nonce))
                && before.is_some_and(|before| before.call_id() == first.call_id())
                && numbers.is_some_and(|(before, now)| before < now)
        };
        // Credentials that cannot be read are some all the same.
        let has_credentials = |request: &sip::Message<'_>| {
            let is_unreadable = || self.credentials(journey).is_none();
            nonce.is_some() || request.header(HeaderName::Authorization).is_some() && is_unreadable()
        };
        let may_follow = request.is_none_or(has_credentials);
        let by_number = || self.attempts.iter().enumerate().next_back().filter(|(_, last)| may_follow && follows(last));
        by_nonce.or_else(by_number).map(|(index, _)| index)
    }

    fn kind(&self, journey: &JourneyData) -> Kind {
        let Some(request) = self.request(journey) else { return Kind::Initial };
        if names::is_deregistration(request) {
            return Kind::Deregistration;
        }
        let impu = names::impu(request).map(names::canonical).unwrap_or_default();
        let is_protected = self.messages(journey).any(|index| self.facts[index].carried.sa().is_some())
            || self.credentials(journey).and_then(|digest| digest.integrity_protected) == Some("yes");
        // A nonce of before does not make a refresh of what goes in clear and offers SAs anew.
        let is_offer = request.header(HeaderName::SecurityClient).is_some()
            && request.header(HeaderName::SecurityVerify).is_none()
            && self.messages(journey).next().is_some_and(|first| self.facts[first].carried == Carried::Clear);
        match () {
            () if !is_protected && (is_offer || self.nonce(journey).is_none()) => Kind::Initial,
            () if self.registered.contains(&impu) => Kind::Refresh,
            // The trace begins later than the registration.
            () if self.attempts.is_empty() => Kind::Refresh,
            // Another identity over the same SAs, or SAs that nobody should use any more.
            () => Kind::Initial,
        }
    }

    fn has_challenge(&self, journey: &JourneyData, nonce: Option<&str>) -> bool {
        let is_challenge = |sip: &sip::Message<'_>| {
            matches!(sip.status(), Some(401 | 407))
                && nonce.is_none_or(|nonce| {
                    sip.challenges().is_ok_and(|all| all.iter().any(|challenge| challenge.nonce == Some(nonce)))
                        || sip.header(HeaderName::ProxyAuthenticate).is_some_and(|value| value.contains(nonce))
                })
        };
        self.message(journey, is_challenge).is_some()
    }

    /// True where the trace shows no answer, and the next REGISTER has a nonce that this one did not have.
    fn is_challenged_unseen(&self, journey: &JourneyData, next: Option<&str>) -> bool {
        let is_answered = self.message(journey, |sip| sip.status().is_some()).is_some();
        !is_answered && next.is_some() && self.nonce(journey) != next
    }

    fn is_success(&self, journey: &JourneyData) -> bool {
        self.message(journey, |sip| sip.status().is_some_and(|status| (200..300).contains(&status))).is_some()
    }

    /// Credentials of its request.
    fn credentials(&self, journey: &JourneyData) -> Option<&'p Digest<'p>> {
        let parsed: &'p [Parsed<'_>] = self.parsed;
        let is_request = |index: &usize| parsed[*index].sip().is_some_and(|sip| sip.status().is_none());
        self.messages(journey).find(is_request).and_then(|index| parsed[index].credentials())
    }

    fn nonce(&self, journey: &JourneyData) -> Option<&'p str> {
        self.credentials(journey)?.nonce.filter(|nonce| !nonce.is_empty())
    }

    fn request(&self, journey: &JourneyData) -> Option<&'p sip::Message<'p>> {
        self.message(journey, |sip| sip.status().is_none())
    }

    fn message(&self, journey: &JourneyData, is: impl Fn(&sip::Message<'p>) -> bool) -> Option<&'p sip::Message<'p>> {
        self.messages(journey).filter_map(|index| self.parsed[index].sip()).find(|sip| is(sip))
    }

    fn messages<'j>(&self, journey: &'j JourneyData) -> impl Iterator<Item = usize> + use<'p, 'j> {
        let exchanges = self.exchanges;
        journey.hops.iter().flat_map(move |hop| exchanges[*hop].messages.iter().copied())
    }
}

/// Attempts of one UE that may be open at once, and more.
const LOOKED_BACK: usize = 16;

fn contact<'a>(request: &sip::Message<'a>) -> Option<sip::Uri<'a>> {
    match request.contacts() {
        Ok(Contacts::List(contacts)) => contacts.first().map(|contact| contact.address.uri),
        _ => None,
    }
}

/// The expiry of the contact `of`, else the longest of any, else of the header.
fn expiry(message: &sip::Message<'_>, of: Option<sip::Uri<'_>>) -> Option<u32> {
    let Ok(Contacts::List(contacts)) = message.contacts() else { return message.expires() };
    let own = contacts.iter().find(|contact| of.is_some_and(|of| contact.address.uri.equivalent(&of)));
    let own = own.and_then(|contact| contact.expires);
    own.or_else(|| contacts.iter().filter_map(|contact| contact.expires).max()).or_else(|| message.expires())
}

const fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Outcome};
    use crate::trace::story::Registration;
    use crate::trace::story::testing::{Line, answer, down, groups, request, up};

    const NONE: &str = "Authorization: Digest username=\"u@h\",nonce=\"\",response=\"\"\r\n";

    fn with(nonce: &str, more: &str) -> String {
        format!("Authorization: Digest username=\"u@h\",nonce=\"{nonce}\",response=\"00\"{more}\r\n")
    }

    fn challenge(nonce: &str) -> String {
        format!("WWW-Authenticate: Digest realm=\"h\",nonce=\"{nonce}\"\r\n")
    }

    /// REGISTERs with their headers, each with what answers it.
    fn found(exchanges: &[(&str, Option<(u16, &str)>)]) -> Vec<(Kind, Outcome, usize)> {
        let mut lines: Vec<Line> = Vec::new();
        for (cseq, (headers, answered)) in (1..).zip(exchanges) {
            let (at, branch) = (u64::from(cseq) * 1_000, format!("z9hG4bK{cseq}"));
            lines.push(up(at, request("REGISTER", cseq, &branch, headers)));
            let answered = answered.map(|(status, headers)| answer(status, "REGISTER", cseq, &branch, headers));
            lines.extend(answered.map(|answer| down(at + 50, answer)));
        }
        let groups = groups(lines);
        assert_eq!(groups.len(), 1);
        let registration = Registration::of(&groups[0]);
        registration.attempts().map(|a| (a.kind(), a.outcome(), a.journeys().count())).collect()
    }

    #[test]
    fn a_life() {
        let (one, two) = (challenge("n1"), challenge("n2"));
        let contact = "Contact: <sip:u@10.0.0.7>;expires=3600\r\n";
        let attempts = found(&[
            (NONE, Some((401, &one))),
            (&with("n1", ""), Some((200, contact))),
            (&with("n1", ""), Some((200, contact))),
            (&with("n1", ""), Some((401, &two))),
            (&with("n2", ""), Some((200, contact))),
            (&format!("{}Expires: 0\r\n", with("n2", "")), Some((200, ""))),
            (NONE, Some((403, ""))),
        ]);
        let expected = [
            (Kind::Initial, Outcome::Registered, 2),
            (Kind::Refresh, Outcome::Registered, 1),
            (Kind::Refresh, Outcome::Registered, 2),
            (Kind::Deregistration, Outcome::Deregistered, 1),
            (Kind::Initial, Outcome::Refused(403), 1),
        ];
        assert_eq!(attempts, expected);
    }

    /// A UE that starts anew has given the 401 up; one that answers with AUTS, or with a nonce of its own, has not.
    #[test]
    fn what_answers_a_challenge() {
        let (one, two) = (challenge("n1"), challenge("n2"));
        assert_eq!(
            found(&[(NONE, Some((401, &one))), (NONE, Some((401, &two)))]),
            [(Kind::Initial, Outcome::Challenged, 1), (Kind::Initial, Outcome::Challenged, 1)]
        );
        let auts = with("n1", ",auts=\"AAAA\"");
        assert_eq!(
            found(&[(NONE, Some((401, &one))), (&auts, Some((401, &two))), (&with("n2", ""), None)]),
            [(Kind::Initial, Outcome::Unanswered, 3)]
        );
        assert_eq!(
            found(&[(NONE, Some((401, &one))), (&with("altered", ""), Some((403, "")))]),
            [(Kind::Initial, Outcome::Refused(403), 2)]
        );
        // The challenge itself was not captured.
        assert_eq!(found(&[(NONE, None), (&with("n1", ""), None)]), [(Kind::Initial, Outcome::Unanswered, 2)]);
    }

    /// Whatever is wrong with them, credentials answer the challenge before them.
    #[test]
    fn credentials_that_cannot_be_read_answer_as_well() {
        let one = challenge("n1");
        for unreadable in ["Authorization: Basic dTpo\r\n", "Authorization: Digest nonce=\"n1\r\n"] {
            assert_eq!(
                found(&[(NONE, Some((401, &one))), (unreadable, Some((400, "")))]),
                [(Kind::Initial, Outcome::Refused(400), 2)],
                "{unreadable}"
            );
        }
    }

    #[test]
    fn a_trace_that_begins_late() {
        let contact = "Contact: <sip:u@10.0.0.7>;expires=60\r\n";
        assert_eq!(found(&[(&with("n0", ""), Some((200, contact)))]), [(Kind::Refresh, Outcome::Registered, 1)]);
    }
}
