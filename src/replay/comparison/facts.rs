//! A message taken apart into single values.

use crate::reginfo::{self, Reginfo};
use crate::sip::header::contact::Contacts;
use crate::sip::header::digest::Digest;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::params::Params;
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Line, Message, StartLine, Uri};
use std::fmt;
use std::net::IpAddr;

/// One value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// The long form of the name.
    pub(super) header: Box<str>,
    /// Which element of it, from 0.
    pub(super) index: usize,
    /// Which part of that: `host`, `;tag`; empty: all of it.
    pub(super) part: Box<str>,
    pub(super) value: String,
}

impl Fact {
    pub(super) fn is_at(&self, other: &Self) -> bool {
        self.header == other.header && self.index == other.index && self.part == other.part
    }

    /// Equal by the meaning of this part.
    pub(super) fn is_same(&self, a: Option<&str>, b: Option<&str>) -> bool {
        let (Some(a), Some(b)) = (a, b) else { return a == b };
        let ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        match &*self.part {
            "host" | ";received" | "domain" => {
                a.eq_ignore_ascii_case(b) || ip(a).is_some_and(|address| ip(b) == Some(address))
            }
            part if part.ends_with(";lr") => true,
            ";q" => a == b || a.parse::<f32>().is_ok_and(|q| b.parse() == Ok(q)),
            ";alg" | ";ealg" | ";prot" | ";mod" | ";algorithm" | ";qop" | ";stale" | "transport" | "mechanism"
            | "scheme" | ";response" => a.eq_ignore_ascii_case(b),
            _ if &*self.header == "Content-Type" => a.eq_ignore_ascii_case(b),
            _ => a == b,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.header, &*self.part) {
            (header @ ("status" | "reason" | "method"), _) => f.write_str(header),
            (header @ "Request-URI", part) => write!(f, "{header} {part}"),
            (header, "") => write!(f, "{header}[{}]", self.index),
            (header, part) => write!(f, "{header}[{}] {part}", self.index),
        }
    }
}

/// Takes a message apart; of one that is cut, what there is.
pub(super) fn of(bytes: &[u8]) -> Facts {
    let mut facts = Facts::default();
    let Some(message) = Message::parse(bytes).ok().or_else(|| Message::beginning(bytes)) else {
        facts.add("body", 0, "", String::from_utf8_lossy(bytes).into_owned());
        return facts;
    };
    match message.start() {
        StartLine::Response { status, reason } => {
            facts.add("status", 0, "", status.to_string());
            facts.add("reason", 0, "", reason.to_owned());
        }
        StartLine::Request { method, uri } => {
            facts.add("method", 0, "", method.to_string());
            facts.uri("Request-URI", 0, uri);
        }
    }
    let mut seen: Vec<Box<str>> = Vec::new();
    for line in message.lines() {
        let header = name_of(&line);
        if !seen.contains(&header) {
            let lines: Vec<&str> = message.lines().filter(|l| name_of(l) == header).map(|l| l.value).collect();
            facts.header(line.name, &header, &lines);
            seen.push(header);
        }
    }
    facts.body(&message);
    facts
}

fn name_of(line: &Line<'_>) -> Box<str> {
    match line.name {
        HeaderName::Other => line.name_text.to_ascii_lowercase().into(),
        known => known.as_str().into(),
    }
}

/// All values of a message.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) all: Vec<Fact>,
    /// The text of elements that have several values.
    elements: Vec<(Box<str>, usize, String)>,
}

impl Facts {
    /// The value at the place of another.
    pub(super) fn at(&self, other: &Fact) -> Option<&String> {
        self.all.iter().find(|fact| fact.is_at(other)).map(|fact| &fact.value)
    }

    /// The element that a value is part of, as one value.
    pub(super) fn element(&self, of: &Fact) -> Option<Fact> {
        let known = self.elements.iter().find(|(header, index, _)| *header == of.header && *index == of.index)?;
        Some(Fact { header: of.header.clone(), index: of.index, part: "".into(), value: known.2.clone() })
    }

    /// True where there is an element of this header with this number.
    pub(super) fn has_element(&self, of: &Fact) -> bool {
        self.all.iter().any(|fact| fact.header == of.header && fact.index == of.index)
    }

    /// Numbers the elements of a header, whose order means nothing, as those of `other` with the same address are.
    pub(super) fn align(&mut self, header: &str, other: &Self) {
        let theirs = other.addresses_of(header);
        let mut free: Vec<usize> = Vec::new();
        let mut numbers: Vec<(usize, Option<usize>)> = Vec::new();
        for (index, address) in self.addresses_of(header) {
            let taken = |number: &usize| numbers.iter().any(|(_, given)| given.as_ref() == Some(number));
            let found = theirs.iter().find(|(number, known)| *known == address && !taken(number));
            numbers.push((index, found.map(|(number, _)| *number)));
        }
        let is_given = |number: &usize| numbers.iter().any(|(_, given)| given.as_ref() == Some(number));
        free.extend((0..numbers.len() + theirs.len()).filter(|number| !is_given(number)));
        let mut free = free.into_iter();
        let numbers: Vec<(usize, usize)> =
            numbers.into_iter().filter_map(|(index, given)| Some((index, given.or_else(|| free.next())?))).collect();
        let renumber = |index: &mut usize| {
            if let Some((_, number)) = numbers.iter().find(|(known, _)| known == index) {
                *index = *number;
            }
        };
        self.all.iter_mut().filter(|fact| &*fact.header == header).for_each(|fact| renumber(&mut fact.index));
        self.elements.iter_mut().filter(|(known, ..)| &**known == header).for_each(|(_, index, _)| renumber(index));
    }

    /// User, host and port of each element.
    fn addresses_of(&self, header: &str) -> Vec<(usize, [Option<&str>; 3])> {
        let mut all: Vec<(usize, [Option<&str>; 3])> = Vec::new();
        for fact in self.all.iter().filter(|fact| &*fact.header == header) {
            let at = match all.iter().position(|(index, _)| *index == fact.index) {
                Some(at) => at,
                None => {
                    all.push((fact.index, [None; 3]));
                    all.len() - 1
                }
            };
            if let Some(part) = ["user", "host", "port"].iter().position(|part| **part == *fact.part) {
                all[at].1[part] = Some(&fact.value);
            }
        }
        all
    }

    fn note_element(&mut self, header: &str, index: usize, text: &str) {
        self.elements.push((header.into(), index, unfolded(text)));
    }

    fn add(&mut self, header: &str, index: usize, part: &str, value: String) {
        // A parameter that is there twice has two places.
        let twice = |facts: &Self, part: &str| {
            facts.all.iter().any(|fact| &*fact.header == header && fact.index == index && &*fact.part == part)
        };
        let mut part = part.to_owned();
        while twice(self, &part) {
            part.push_str(" again");
        }
        self.all.push(Fact { header: header.into(), index, part: part.into(), value });
    }

    fn header(&mut self, name: HeaderName, header: &str, lines: &[&str]) {
        let parsed = match name {
            HeaderName::Via => self.vias(header, lines),
            HeaderName::From
            | HeaderName::To
            | HeaderName::Route
            | HeaderName::RecordRoute
            | HeaderName::Path
            | HeaderName::ServiceRoute
            | HeaderName::PAssociatedUri
            | HeaderName::PAssertedIdentity
            | HeaderName::PPreferredIdentity
            | HeaderName::PCalledPartyId
            | HeaderName::ReferTo
            | HeaderName::ReferredBy => self.addresses(name, header, lines),
            HeaderName::Contact => self.contacts(header, lines),
            HeaderName::WwwAuthenticate
            | HeaderName::ProxyAuthenticate
            | HeaderName::Authorization
            | HeaderName::ProxyAuthorization => self.digests(name, header, lines, ""),
            HeaderName::AuthenticationInfo => self.digests(name, header, lines, "Digest "),
            HeaderName::SecurityClient | HeaderName::SecurityServer | HeaderName::SecurityVerify => {
                self.mechanisms(name, header, lines)
            }
            HeaderName::Supported
            | HeaderName::Require
            | HeaderName::ProxyRequire
            | HeaderName::Unsupported
            | HeaderName::Allow
            | HeaderName::AllowEvents
            | HeaderName::Accept => {
                let options = lines.iter().flat_map(|line| crate::sip::message::elements(line));
                options.for_each(|option| self.add(header, 0, &option.to_ascii_lowercase(), option.to_owned()));
                Some(())
            }
            HeaderName::CSeq => lines.first().and_then(|line| {
                let (number, method) = line.trim().split_once([' ', '\t'])?;
                self.add(header, 0, "number", number.to_owned());
                self.add(header, 0, "method", method.trim().to_owned());
                Some(())
            }),
            HeaderName::Event
            | HeaderName::SubscriptionState
            | HeaderName::ContentType
            | HeaderName::ContentDisposition
            | HeaderName::SessionExpires
            | HeaderName::RetryAfter
            | HeaderName::PAccessNetworkInfo
            | HeaderName::PVisitedNetworkId => {
                lines.iter().enumerate().for_each(|(index, line)| self.with_params(header, index, line));
                Some(())
            }
            HeaderName::PChargingVector | HeaderName::PChargingFunctionAddresses => {
                for (index, line) in lines.iter().enumerate() {
                    let list = format!(";{}", unfolded(line));
                    self.params(header, index, "", Params { text: &list });
                }
                Some(())
            }
            _ => None,
        };
        if parsed.is_none() {
            self.all.retain(|fact| &*fact.header != header);
            self.elements.retain(|(known, ..)| &**known != header);
            lines.iter().enumerate().for_each(|(index, line)| self.add(header, index, "", unfolded(line)));
        }
    }

    fn vias(&mut self, header: &str, lines: &[&str]) -> Option<()> {
        let mut vias = Vec::new();
        for line in lines {
            let mut rest = Some(*line);
            while let Some(list) = rest {
                let (via, next) = Via::parse(list).ok()?;
                vias.push(via);
                rest = next;
            }
        }
        for (index, via) in vias.iter().enumerate() {
            self.note_element(header, index, via.text);
            self.add(header, index, "transport", via.transport.to_ascii_uppercase());
            self.add(header, index, "host", via.host.to_owned());
            self.add(header, index, "port", via.port.unwrap_or(5060).to_string());
            self.params(header, index, "", via.params);
        }
        Some(())
    }

    fn addresses(&mut self, name: HeaderName, header: &str, lines: &[&str]) -> Option<()> {
        let mut all = Vec::new();
        for line in lines {
            NameAddr::take_all(name, line, &mut all).ok()?;
        }
        all.iter().enumerate().for_each(|(index, address)| self.address(header, index, address));
        Some(())
    }

    fn contacts(&mut self, header: &str, lines: &[&str]) -> Option<()> {
        match Contacts::parse(lines.iter().copied()).ok()? {
            Contacts::Star => self.add(header, 0, "", "*".to_owned()),
            Contacts::List(list) => {
                let addresses = list.iter().enumerate();
                addresses.for_each(|(index, contact)| self.address(header, index, &contact.address));
            }
        }
        Some(())
    }

    fn address(&mut self, header: &str, index: usize, address: &NameAddr<'_>) {
        self.note_element(header, index, address.text);
        if let Some(display) = address.display.map(|name| name.trim_matches('"')).filter(|name| !name.is_empty()) {
            self.add(header, index, "name", display.to_owned());
        }
        self.parts_of_uri(header, index, &address.uri);
        self.params(header, index, "", address.params);
    }

    fn uri(&mut self, header: &str, index: usize, text: &str) {
        match Uri::parse(text) {
            Ok(uri) => self.parts_of_uri(header, index, &uri),
            Err(_) => self.add(header, index, "", text.to_owned()),
        }
    }

    fn parts_of_uri(&mut self, header: &str, index: usize, uri: &Uri<'_>) {
        self.add(header, index, "scheme", uri.scheme.to_owned());
        if let Some(user) = uri.user {
            self.add(header, index, "user", user.to_owned());
        }
        if !uri.host.is_empty() {
            self.add(header, index, "host", uri.host.to_owned());
        }
        if let Some(port) = uri.port {
            self.add(header, index, "port", port.to_string());
        }
        self.params(header, index, "URI", uri.params);
    }

    fn digests(&mut self, name: HeaderName, header: &str, lines: &[&str], scheme: &str) -> Option<()> {
        for (index, line) in lines.iter().enumerate() {
            let text = format!("{scheme}{}", unfolded(line));
            let digest = Digest::parse(name, &text).ok()??;
            let names: Vec<&str> = digest.params().map(|(name, ..)| name).collect();
            // The values stay out of it: a key may be among them.
            self.note_element(header, index, &format!("Digest with {}", names.join(", ")));
            for (name, value, _) in digest.params() {
                let name = name.to_ascii_lowercase();
                let value = if matches!(&*name, "ck" | "ik") { "(a key)" } else { value };
                self.add(header, index, &format!(";{name}"), value.to_owned());
            }
        }
        Some(())
    }

    fn mechanisms(&mut self, name: HeaderName, header: &str, lines: &[&str]) -> Option<()> {
        let all = crate::sip::header::sec_agree::Mechanisms::parse(name, lines.iter().copied()).ok()?;
        for (index, mechanism) in all.0.iter().enumerate() {
            self.note_element(header, index, mechanism.text);
            self.add(header, index, "mechanism", mechanism.name.to_owned());
            self.params(header, index, "", mechanism.params);
        }
        Some(())
    }

    /// `value;name=value`
    fn with_params(&mut self, header: &str, index: usize, line: &str) {
        self.note_element(header, index, line);
        let line = unfolded(line);
        let (value, params) = line.split_at(line.find(';').unwrap_or(line.len()));
        self.add(header, index, "", value.trim().to_owned());
        self.params(header, index, "", Params { text: params });
    }

    fn params(&mut self, header: &str, index: usize, of: &str, params: Params<'_>) {
        for (name, value) in params.iter() {
            let name = name.to_ascii_lowercase();
            self.add(header, index, &format!("{of};{name}"), value.unwrap_or("(flag)").to_owned());
        }
    }

    fn body(&mut self, message: &Message<'_>) {
        let body = message.body();
        if body.is_empty() {
            return;
        }
        let is_reginfo = message
            .header(HeaderName::ContentType)
            .and_then(|value| value.get(..reginfo::CONTENT_TYPE.len()))
            .is_some_and(|value| value.eq_ignore_ascii_case(reginfo::CONTENT_TYPE));
        match is_reginfo.then(|| Reginfo::read(body, &mut Vec::new())).flatten() {
            Some(document) => self.reginfo(&document),
            None => {
                let text = String::from_utf8_lossy(body);
                text.lines().enumerate().for_each(|(at, line)| self.add("body", at, "line", line.to_owned()));
            }
        }
    }

    fn reginfo(&mut self, document: &Reginfo<'_>) {
        self.add("body", 0, "version", document.version.to_string());
        self.add("body", 0, "state", document.state.as_str().to_owned());
        for (n, registration) in document.registrations.iter().enumerate() {
            let mut add = |part: &str, value: &str| self.add("body", n, part, value.to_owned());
            add("aor", &registration.aor);
            add("registration id", &registration.id);
            add("registration state", registration.state.as_str());
            for (m, contact) in registration.contacts.iter().enumerate() {
                let mut add = |part: &str, value: &str| add(&format!("contact {m} {part}"), value);
                add("id", &contact.id);
                add("uri", &contact.uri);
                add("state", contact.state.as_str());
                add("event", contact.event.as_str());
                let numbers = [
                    ("expires", contact.expires),
                    ("retry-after", contact.retry_after),
                    ("duration-registered", contact.duration_registered),
                    ("cseq", contact.cseq),
                ];
                for (part, number) in numbers {
                    number.iter().for_each(|number| add(part, &number.to_string()));
                }
                contact.call_id.iter().for_each(|call_id| add("callid", call_id));
                contact.params.iter().for_each(|(name, value)| add(&format!(";{name}"), value));
            }
        }
    }
}

/// A value on one line.
fn unfolded(value: &str) -> String {
    if value.contains(['\r', '\n']) {
        value.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        value.trim().to_owned()
    }
}
