//! What may differ between a recording and its replay, and why.

use super::Sender;
use super::facts::Fact;
use crate::sip::{Message, Method};
use data_encoding::BASE64;
use std::net::IpAddr;

/// The message that is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    sender: Sender,
    is_request: bool,
    is_register: bool,
}

/// In which messages a rule holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum In {
    Any,
    Request,
    /// Requests and responses of the network, but those of a registration.
    Dialog,
    FromUe,
    FromNetwork,
}

/// A difference that must be, or may be.
struct Rule {
    within: In,
    header: &'static str,
    /// `*`: anything.
    part: &'static str,
    /// What must hold of the two values all the same.
    holds: fn(Option<&str>, Option<&str>) -> bool,
    reason: &'static str,
}

impl Scene {
    pub(super) fn of(sender: Sender, came: &[u8]) -> Self {
        let message = Message::parse(came).ok().or_else(|| Message::beginning(came));
        let method = message.as_ref().and_then(|m| m.cseq().ok().map(|cseq| cseq.method));
        let is_request = message.as_ref().is_some_and(|message| message.status().is_none());
        Self { sender, is_request, is_register: method == Some(Method::Register) }
    }

    /// Why a difference does not matter, where it does not.
    pub(super) fn excuse(&self, at: &Fact, recorded: Option<&str>, came: Option<&str>) -> Option<&'static str> {
        let hop = &*at.header == "Via" && at.index > 0;
        if hop {
            return Some("the hops behind are those of another network");
        }
        let rules = RULES.iter().filter(|rule| self.is_within(rule.within) && rule.is_for(at));
        rules.filter(|rule| (rule.holds)(recorded, came)).map(|rule| rule.reason).next()
    }

    fn is_within(&self, within: In) -> bool {
        match within {
            In::Any => true,
            In::Request => self.is_request,
            In::Dialog => !self.is_register,
            In::FromUe => self.sender == Sender::Ue,
            In::FromNetwork => self.sender == Sender::Network,
        }
    }
}

impl Rule {
    fn is_for(&self, at: &Fact) -> bool {
        let part = match self.part.split_once('*') {
            Some((front, back)) => at.part.starts_with(front) && at.part.ends_with(back),
            None => self.part == &*at.part,
        };
        self.header == &*at.header && part
    }
}

const fn rule(
    within: In,
    header: &'static str,
    part: &'static str,
    holds: fn(Option<&str>, Option<&str>) -> bool,
    reason: &'static str,
) -> Rule {
    Rule { within, header, part, holds, reason }
}

const RULES: &[Rule] = &[
    rule(In::Any, "reason", "", any, "the phrase is for people (RFC 3261 clause 7.2)"),
    rule(In::Request, "Via", ";branch", both_branches, "a branch is chosen anew for each request"),
    rule(In::Any, "Via", ";branch", new_branch, "the recorded request had none, which no transaction can do without"),
    rule(In::Request, "Via", "transport", both, "who sends chooses the transport (RFC 3261 clause 18.1.1)"),
    rule(In::Request, "Via", "host", both, "who sends has another address"),
    rule(In::Request, "Via", "port", any, "who sends has another port"),
    rule(In::Any, "Via", ";received", addresses, "the address that the request came from (RFC 3581 clause 4)"),
    rule(In::Any, "Via", ";rport", both, "the port that the request came from (RFC 3581 clause 4)"),
    rule(In::Any, "To", ";tag", both, "a tag is chosen anew"),
    rule(In::Request, "From", ";tag", both, "a tag is chosen anew"),
    rule(In::Request, "Call-ID", "", both, "a Call-ID is chosen anew"),
    rule(
        In::Request,
        "CSeq",
        "number",
        both_numbers,
        "the sender counts from where it likes (RFC 3261 clause 8.1.1.5)",
    ),
    rule(In::FromNetwork, "Max-Forwards", "", both_numbers, "another number of hops"),
    rule(In::Any, "WWW-Authenticate", ";nonce", both_nonces, "a challenge is made anew"),
    rule(In::Any, "Proxy-Authenticate", ";nonce", both_nonces, "a challenge is made anew"),
    rule(In::Any, "WWW-Authenticate", ";opaque", both, "a challenge is made anew"),
    rule(In::Any, "Proxy-Authenticate", ";opaque", both, "a challenge is made anew"),
    rule(In::Any, "Authentication-Info", ";nextnonce", both_nonces, "a challenge is made anew"),
    rule(In::Any, "Authentication-Info", ";rspauth", both, "the proof of another answer"),
    rule(In::Any, "Authentication-Info", ";cnonce", both, "a cnonce is chosen anew"),
    rule(In::FromUe, "Authorization", ";response", both, "the answer to another challenge"),
    rule(In::FromUe, "Authorization", ";auts", both, "the answer to another challenge"),
    rule(In::FromUe, "Authorization", ";cnonce", both, "a cnonce is chosen anew"),
    rule(In::FromUe, "Proxy-Authorization", ";response", both, "the answer to another challenge"),
    rule(In::FromUe, "Proxy-Authorization", ";cnonce", both, "a cnonce is chosen anew"),
    rule(
        In::FromUe,
        "Security-Client",
        ";spi-c",
        both_spis,
        "SPIs are chosen anew for each set (TS 33.203 clause 7.1)",
    ),
    rule(
        In::FromUe,
        "Security-Client",
        ";spi-s",
        both_spis,
        "SPIs are chosen anew for each set (TS 33.203 clause 7.1)",
    ),
    rule(In::FromUe, "Security-Client", ";port-c", both_ports, "the ports of another UE"),
    rule(In::FromUe, "Security-Client", ";port-s", both_ports, "the ports of another UE"),
    rule(
        In::FromNetwork,
        "Security-Server",
        ";spi-c",
        both_spis,
        "SPIs are chosen anew for each set (TS 33.203 clause 7.1)",
    ),
    rule(
        In::FromNetwork,
        "Security-Server",
        ";spi-s",
        both_spis,
        "SPIs are chosen anew for each set (TS 33.203 clause 7.1)",
    ),
    rule(In::FromNetwork, "Security-Server", ";port-c", both_ports, "the ports of another P-CSCF"),
    rule(In::FromNetwork, "Security-Server", ";port-s", both_ports, "the ports of another P-CSCF"),
    rule(In::FromUe, "Contact", "user", both, "the device chooses it"),
    rule(In::FromUe, "Contact", "host", both, "another UE has another address"),
    rule(In::FromUe, "Contact", "port", any, "another UE has another port"),
    rule(In::FromUe, "Contact", ";+sip.instance", both, "another device"),
    rule(In::FromNetwork, "Contact", ";temp-gruu", both, "a temporary GRUU is made anew (RFC 5627 clause 5.4)"),
    rule(In::Dialog, "Contact", "user", any, "another network has other addresses"),
    rule(In::Dialog, "Contact", "host", both, "another network has other addresses"),
    rule(In::Dialog, "Contact", "port", any, "another network has other addresses"),
    rule(In::Request, "Request-URI", "port", any, "another UE has another port"),
    rule(In::FromUe, "Route", "user", any, "another network has other names"),
    rule(In::FromUe, "Route", "host", both, "another network has other names"),
    rule(In::FromUe, "Route", "port", any, "another network has other names"),
    rule(In::FromNetwork, "Record-Route", "", any, "another network has other hops"),
    rule(In::FromNetwork, "Record-Route", "user", any, "another network has other names"),
    rule(In::FromNetwork, "Record-Route", "host", both, "another network has other names"),
    rule(In::FromNetwork, "Record-Route", "port", any, "another network has other names"),
    rule(In::FromNetwork, "Path", "user", any, "another network has other names"),
    rule(In::FromNetwork, "Path", "host", both, "another network has other names"),
    rule(In::FromNetwork, "Path", "port", any, "another network has other names"),
    rule(In::FromNetwork, "Service-Route", "user", any, "another network has other names"),
    rule(In::FromNetwork, "Service-Route", "host", both, "another network has other names"),
    rule(In::FromNetwork, "Service-Route", "port", any, "another network has other names"),
    rule(In::Any, "P-Charging-Vector", ";icid-value", both, "an ICID is made anew (RFC 7315 clause 4.6)"),
    rule(In::Any, "P-Charging-Vector", ";icid-generated-at", both, "another network has other names"),
    rule(In::Any, "P-Charging-Vector", ";orig-ioi", both, "another network has other names"),
    rule(In::Any, "P-Charging-Vector", ";term-ioi", both, "another network has other names"),
    rule(In::Any, "P-Charging-Function-Addresses", "*", both, "another network has other addresses"),
    rule(In::FromUe, "P-Access-Network-Info", ";*", both, "where the device is"),
    rule(In::Any, "Date", "", both, "the time"),
    rule(In::Any, "Retry-After", "", both_numbers, "it is spread at random (TS 24.229 clause 5.1.1.2.1)"),
    rule(In::Any, "Server", "", both, "the name of the product"),
    rule(In::Any, "User-Agent", "", both, "the name of the product"),
    rule(In::Any, "Content-Length", "", any, "it follows from the body"),
    rule(In::Any, "Subscription-State", ";expires", both_numbers, "it counts down"),
    rule(In::Any, "body", "registration id", both, "an id is chosen anew (RFC 3680 clause 5.2)"),
    rule(In::Any, "body", "contact * id", both, "an id is chosen anew (RFC 3680 clause 5.2)"),
    rule(In::Any, "body", "contact * callid", both, "that of the REGISTER"),
    rule(In::Any, "body", "contact * cseq", both, "that of the REGISTER"),
    rule(In::Any, "body", "contact * expires", both_numbers, "it counts down"),
    rule(In::Any, "body", "contact * duration-registered", both_numbers, "it counts up"),
];

fn any(_: Option<&str>, _: Option<&str>) -> bool {
    true
}

/// Both have one that says something.
fn both(recorded: Option<&str>, came: Option<&str>) -> bool {
    [recorded, came].iter().all(|text| text.is_some_and(|text| !text.is_empty()))
}

fn both_are(recorded: Option<&str>, came: Option<&str>, is: impl Fn(&str) -> bool) -> bool {
    [recorded, came].iter().all(|text| text.is_some_and(&is))
}

fn both_numbers(recorded: Option<&str>, came: Option<&str>) -> bool {
    both_are(recorded, came, |text| text.parse::<u32>().is_ok())
}

/// TS 33.203 clause 7.1: 32 bits, 256 at least; what was recorded need not keep to that.
fn both_spis(recorded: Option<&str>, came: Option<&str>) -> bool {
    both_numbers(recorded, came) && came.and_then(|spi| spi.parse::<u32>().ok()).is_some_and(|spi| spi > 255)
}

fn both_ports(recorded: Option<&str>, came: Option<&str>) -> bool {
    both_are(recorded, came, |text| text.parse::<u16>().is_ok_and(|port| port > 0))
}

/// RFC 3261 clause 8.1.1.7. A recorded one may be older than that.
fn both_branches(recorded: Option<&str>, came: Option<&str>) -> bool {
    recorded.is_some() && came.is_some_and(|branch| branch.to_ascii_lowercase().starts_with("z9hg4bk"))
}

/// RFC 2543 had none.
fn new_branch(recorded: Option<&str>, came: Option<&str>) -> bool {
    recorded.is_none() && came.is_some_and(|branch| branch.to_ascii_lowercase().starts_with("z9hg4bk"))
}

/// Of the same kind: RAND and AUTN in base64 (RFC 3310 clause 3.2), or another text.
fn both_nonces(recorded: Option<&str>, came: Option<&str>) -> bool {
    let is_aka = |text: Option<&str>| text.map(|text| BASE64.decode(text.as_bytes()).is_ok_and(|o| o.len() >= 32));
    both(recorded, came) && is_aka(recorded) == is_aka(came)
}

/// Each that there is.
fn addresses(recorded: Option<&str>, came: Option<&str>) -> bool {
    [recorded, came].iter().flatten().all(|text| text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok())
}
