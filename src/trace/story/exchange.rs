//! A request on one hop, its retransmissions and its answers (RFC 3261 clause 17, RFC 6733 clause 3).

use super::journey::Journey;
use super::message::{Facts, Message, Parsed};
use super::names;
use super::record::Record;
use super::registration::Registration;
use super::role::Interface;
use crate::diameter::{Header, dictionary};
use crate::event::Role;
use crate::packet::Protocol;
use crate::sip::{self, HeaderName, Method};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// A request on one hop and what answers it. An ACK to anything but a 2xx belongs to its INVITE; a CANCEL, and an ACK to a
/// 2xx, is an exchange of its own.
#[derive(Clone, Copy)]
pub struct Exchange<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

impl<'r> Exchange<'r> {
    /// The request, `None` where the trace shows only answers.
    pub fn request(self) -> Option<Message<'r>> {
        self.data().request.map(|index| self.of.at(index))
    }

    /// The request and its retransmissions.
    pub fn requests(self) -> impl Iterator<Item = Message<'r>> {
        self.messages().filter(|message| message.is_request() && !message.is(Method::Ack))
    }

    /// Every message, in order.
    pub fn messages(self) -> impl Iterator<Item = Message<'r>> {
        self.data().messages.iter().map(move |index| self.of.at(*index))
    }

    /// The answers and their retransmissions, provisional ones first where the network keeps to the rules.
    pub fn answers(self) -> impl Iterator<Item = Message<'r>> {
        self.messages().filter(|message| !message.is_request())
    }

    /// The provisional answers.
    pub fn provisional(self) -> impl Iterator<Item = Message<'r>> {
        self.answers().filter(|message| message.status().is_some_and(|status| status < 200))
    }

    /// The final answer: the first, where there are several.
    pub fn last(self) -> Option<Message<'r>> {
        self.data().last.map(|index| self.of.at(index))
    }

    /// The final answer, where it is a SIP response of this status.
    pub fn answered(self, status: u16) -> Option<Message<'r>> {
        self.last().filter(|message| message.status() == Some(status))
    }

    /// The status of the final answer.
    pub fn status(self) -> Option<u16> {
        self.last()?.status()
    }

    /// The ACK to a final answer that is no 2xx.
    pub fn ack(self) -> Option<Message<'r>> {
        self.messages().find(|message| message.is(Method::Ack) && self.method() != Some(Method::Ack))
    }

    /// The CANCEL of this request.
    pub fn cancel(self) -> Option<Self> {
        self.data().cancel.map(|index| Self { index, ..self })
    }

    /// The method of a SIP request.
    pub fn method(self) -> Option<Method<'r>> {
        self.messages().next()?.method()
    }

    /// The Diameter command.
    pub fn command(self) -> Option<u32> {
        Some(self.messages().next()?.diameter()?.command)
    }

    /// Who asked.
    pub fn client(self) -> Option<Role> {
        self.data().client
    }

    /// Who was asked.
    pub fn server(self) -> Option<Role> {
        self.data().server
    }

    /// The reference point.
    pub fn interface(self) -> Interface {
        self.data().interface()
    }

    /// The way of this request over all hops.
    pub fn journey(self) -> Journey<'r> {
        Journey { of: self.of, index: self.data().journey }
    }

    /// Its place among the exchanges of the registration, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    fn data(self) -> &'r ExchangeData {
        &self.of.exchanges[self.index]
    }
}

impl PartialEq for Exchange<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.group, other.of.group) && self.index == other.index
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.messages()).finish()
    }
}

#[derive(Debug)]
pub(super) struct ExchangeData {
    pub(super) protocol: Protocol,
    /// The application of a Diameter exchange.
    pub(super) application: u32,
    pub(super) messages: Vec<usize>,
    pub(super) request: Option<usize>,
    pub(super) last: Option<usize>,
    pub(super) cancel: Option<usize>,
    pub(super) client: Option<Role>,
    pub(super) server: Option<Role>,
    pub(super) journey: usize,
}

/// What the messages of one SIP exchange share. Sent-by is not compared: answers spell it anew.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct SipKey<'a> {
    /// Without the magic cookie (RFC 2543) a Via is told from others by how many stand below it.
    branch: Result<&'a str, usize>,
    call_id: &'a str,
    number: u32,
    method: &'a str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key<'a> {
    Sip(SipKey<'a>),
    Diameter {
        hop_by_hop: u32,
        end_to_end: u32,
        command: u32,
    },
    /// A message that was cut, or broken, before it tells what it belongs to.
    Alone(usize),
}

/// The exchanges of `records`, in the order of their first messages.
pub(super) fn all<'a>(records: &[Record], parsed: &[Parsed<'a>]) -> (Vec<ExchangeData>, Vec<Facts<'a>>) {
    let mut exchanges: Vec<ExchangeData> = Vec::new();
    let mut facts = vec![Facts::default(); records.len()];
    let mut open: HashMap<Key<'a>, usize, RandomState> = HashMap::default();
    open.reserve(records.len());
    for (index, (record, message)) in records.iter().zip(parsed).enumerate() {
        let (key, downwards) = match message {
            Parsed::Sip(sip, _) => (key_of(sip).map_or(Key::Alone(index), Key::Sip), sip.status().is_none()),
            Parsed::Diameter(header) => (diameter_key(header), header.request),
            Parsed::Unreadable => continue,
        };
        let sip = message.sip();
        let (method, status) = (sip.and_then(names::method), sip.and_then(sip::Message::status));
        let cancelled = match &key {
            Key::Sip(key) if key.method == "CANCEL" => {
                open.get(&Key::Sip(SipKey { method: "INVITE", ..key.clone() })).copied()
            }
            _ => None,
        };
        let next = exchanges.len();
        let number = match open.entry(key) {
            Entry::Occupied(known) if !is_another(message, parsed, &exchanges[*known.get()]) => *known.get(),
            entry => *entry.insert_entry(next).get(),
        };
        if number == next {
            exchanges.push(ExchangeData::new(record.protocol, message));
        }
        if let Some(cancelled) = cancelled {
            exchanges[cancelled].cancel = Some(number);
        }
        let exchange = &mut exchanges[number];
        let same = |other: &&usize| says_the_same(&parsed[**other], message);
        facts[index] = Facts {
            exchange: Some(number),
            method,
            status,
            downwards,
            repeats: exchange.messages.iter().find(same).copied(),
            ..Facts::default()
        };
        exchange.take(index, downwards, sip);
    }
    (exchanges, facts)
}

impl ExchangeData {
    const fn new(protocol: Protocol, first: &Parsed<'_>) -> Self {
        let application = match first {
            Parsed::Diameter(header) => header.application,
            _ => 0,
        };
        Self {
            protocol,
            application,
            messages: Vec::new(),
            request: None,
            last: None,
            cancel: None,
            client: None,
            server: None,
            journey: 0,
        }
    }

    pub(super) fn interface(&self) -> Interface {
        self.interface_of_kind().unwrap_or_else(|| Interface::between(self.client, self.server))
    }

    /// The interface of a Diameter exchange, which its application tells.
    pub(super) const fn interface_of_kind(&self) -> Option<Interface> {
        match (self.protocol, self.application) {
            (Protocol::Sip, _) => None,
            (Protocol::Diameter, dictionary::CX) => Some(Interface::Cx),
            (Protocol::Diameter, _) => Some(Interface::OtherDiameter),
        }
    }

    fn take(&mut self, index: usize, downwards: bool, sip: Option<&sip::Message<'_>>) {
        let is_final = sip.is_none_or(|sip| sip.status().is_some_and(|status| status >= 200));
        if downwards {
            self.request = self.request.or(Some(index));
        } else if is_final {
            self.last = self.last.or(Some(index));
        }
        self.messages.push(index);
    }
}

pub(super) fn key_of<'a>(message: &sip::Message<'a>) -> Option<SipKey<'a>> {
    let branch = match message.via().ok()?.branch() {
        Some(branch) if has_cookie(branch) => Ok(branch),
        _ => Err(names::vias(message)),
    };
    key_with(message, branch)
}

/// The keys of the exchanges by which a request came to its sender, the nearest first.
pub(super) fn keys_below<'a>(message: &sip::Message<'a>) -> impl Iterator<Item = SipKey<'a>> {
    let vias: Vec<&str> = message.elements(HeaderName::Via).collect();
    let count = vias.len();
    let branches = vias.into_iter().enumerate().skip(1).filter_map(move |(above, via)| {
        let branch = sip::header::via::Via::parse(via).ok()?.0.branch();
        Some(branch.filter(|branch| has_cookie(branch)).ok_or(count - above))
    });
    let keys: Vec<SipKey<'a>> = branches.filter_map(|branch| key_with(message, branch)).collect();
    keys.into_iter()
}

fn key_with<'a>(message: &sip::Message<'a>, branch: Result<&'a str, usize>) -> Option<SipKey<'a>> {
    let cseq = message.cseq().ok()?;
    let method = match cseq.method {
        // RFC 3261 clause 17.1.1.3.
        Method::Ack => "INVITE",
        method => method.as_str(),
    };
    Some(SipKey { branch, call_id: message.call_id().ok()?, number: cseq.number, method })
}

const fn diameter_key(header: &Header) -> Key<'static> {
    Key::Diameter { hop_by_hop: header.hop_by_hop, end_to_end: header.end_to_end, command: header.command }
}

fn has_cookie(branch: &str) -> bool {
    branch.get(..7).is_some_and(|cookie| cookie.eq_ignore_ascii_case("z9hG4bK"))
}

/// RFC 3261 clause 17.1.2.2: a request is repeated as it was. One that asks for something else after the answer is another,
/// whose sender took branch and CSeq a second time.
fn is_another(message: &Parsed<'_>, parsed: &[Parsed<'_>], exchange: &ExchangeData) -> bool {
    let (Parsed::Sip(again, _), Some(_), Some(first)) = (message, exchange.last, exchange.request) else {
        return false;
    };
    again.status().is_none()
        && again.method() != Some(Method::Ack)
        && parsed[first].sip().is_some_and(|first| asks(first) != asks(again))
}

fn asks<'a>(request: &sip::Message<'a>) -> [Option<&'a str>; 3] {
    [HeaderName::Expires, HeaderName::Contact, HeaderName::Authorization].map(|name| request.header(name))
}

fn says_the_same(a: &Parsed<'_>, b: &Parsed<'_>) -> bool {
    match (a, b) {
        (Parsed::Sip(a, _), Parsed::Sip(b, _)) => match (a.start(), b.start()) {
            (sip::StartLine::Request { method, .. }, sip::StartLine::Request { method: other, .. }) => method == other,
            (sip::StartLine::Response { status, .. }, sip::StartLine::Response { status: other, .. }) => {
                // 18x may each tell something new.
                status == other && (status >= 200 || a.bytes() == b.bytes())
            }
            _ => false,
        },
        (Parsed::Diameter(a), Parsed::Diameter(b)) => a.request == b.request,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Role;
    use crate::sip::Method;
    use crate::trace::story::Registration;
    use crate::trace::story::testing::{answer, down, groups, request, up};

    #[test]
    fn a_request_its_repetitions_and_its_answers() {
        let register = || request("REGISTER", 1, "z9hG4bKa", "");
        let groups = groups(vec![
            up(0, register()),
            up(500, register()),
            down(600, answer(100, "REGISTER", 1, "z9hG4bKa", "")),
            down(700, answer(200, "REGISTER", 1, "z9hG4bKa", "")),
            down(900, answer(200, "REGISTER", 1, "z9hG4bKa", "")),
        ]);
        let registration = Registration::of(&groups[0]);
        let exchanges: Vec<_> = registration.exchanges().collect();
        assert_eq!(exchanges.len(), 1);
        let exchange = exchanges[0];
        assert_eq!((exchange.requests().count(), exchange.provisional().count()), (2, 1));
        assert_eq!((exchange.last().unwrap().number, exchange.status()), (4, Some(200)));
        let repeats = |number| registration.message(number).unwrap().repeats().map(|first| first.number);
        assert_eq!([1, 2, 3, 4, 5].map(repeats), [None, Some(1), None, None, Some(4)]);
    }

    /// RFC 3261 clauses 9.1 and 17.1.1.3: CANCEL has the branch of its INVITE, and so has an ACK to a 487.
    #[test]
    fn invite_cancel_and_ack() {
        let groups = groups(vec![
            up(0, request("INVITE", 1, "z9hG4bKa", "")),
            up(100, request("CANCEL", 1, "z9hG4bKa", "")),
            down(200, answer(200, "CANCEL", 1, "z9hG4bKa", "")),
            down(300, answer(487, "INVITE", 1, "z9hG4bKa", "")),
            up(400, request("ACK", 1, "z9hG4bKa", "")),
        ]);
        let registration = Registration::of(&groups[0]);
        let invite = registration.exchanges().next().unwrap();
        assert_eq!((invite.method(), invite.status()), (Some(Method::Invite), Some(487)));
        assert_eq!((invite.ack().unwrap().number, invite.requests().count()), (5, 1));
        assert_eq!(invite.cancel().unwrap().last().unwrap().number, 3);
    }

    /// Nothing tells which request it belongs to: it stands alone, and its ends are known by their addresses.
    #[test]
    fn a_message_that_was_cut_in_its_first_lines() {
        let groups = groups(vec![
            up(0, request("REGISTER", 1, "z9hG4bKa", "")),
            down(1, answer(200, "REGISTER", 1, "z9hG4bKa", "")),
            up(2, "MESSAGE sip:v@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0".to_owned()),
            up(3, "REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0".to_owned()),
        ]);
        let registration = Registration::of(&groups[0]);
        let cut = registration.message(3).unwrap();
        assert_eq!((cut.method(), cut.from(), cut.to()), (Some(Method::Message), Some(Role::Ue), Some(Role::Pcscf)));
        assert_eq!(cut.exchange().unwrap().messages().count(), 1);
        assert_eq!(registration.message(4).unwrap().from(), Some(Role::Ue));
        assert_eq!(registration.attempts().count(), 1, "of what was cut nobody knows what it was for");
    }

    /// RFC 2543: no magic cookie. A phone that uses a branch twice does not join two requests.
    #[test]
    fn branches_that_tell_nothing() {
        for branch in ["", "1", "z9hG4bKsame"] {
            let groups = groups(vec![
                up(0, request("REGISTER", 1, branch, "")),
                down(1, answer(401, "REGISTER", 1, branch, "")),
                up(2, request("REGISTER", 2, branch, "")),
                down(3, answer(200, "REGISTER", 2, branch, "")),
            ]);
            let registration = Registration::of(&groups[0]);
            let found: Vec<_> = registration.exchanges().map(super::Exchange::status).collect();
            assert_eq!(found, [Some(401), Some(200)], "{branch}");
        }
    }

    #[test]
    fn another_request_with_the_branch_of_the_first() {
        let (branch, leaves) = ("z9hG4bKa", "Expires: 0\r\n");
        let groups = groups(vec![
            up(0, request("REGISTER", 1, branch, "Expires: 200\r\n")),
            down(1, answer(200, "REGISTER", 1, branch, "")),
            up(9_000, request("REGISTER", 1, branch, leaves)),
            up(9_500, request("REGISTER", 1, branch, leaves)),
            down(9_501, answer(200, "REGISTER", 1, branch, "")),
        ]);
        let registration = Registration::of(&groups[0]);
        let requests: Vec<_> = registration.exchanges().map(|exchange| exchange.requests().count()).collect();
        assert_eq!(requests, [1, 2], "the third asks for something else");
        assert_eq!(registration.message(5).unwrap().repeats(), None);
    }

    #[test]
    fn an_answer_without_its_request() {
        let groups = groups(vec![down(0, answer(403, "REGISTER", 1, "z9hG4bKa", ""))]);
        let registration = Registration::of(&groups[0]);
        let exchange = registration.exchanges().next().unwrap();
        assert!(exchange.request().is_none());
        assert_eq!(exchange.answered(403).unwrap().number, 1);
        assert_eq!(registration.id(), Some(1));
    }
}
