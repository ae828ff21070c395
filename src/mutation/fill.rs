//! Placeholders in the texts of edits.

use super::avp;
use super::sip::{SipText, parameter, split};
use crate::aka::vector::SubscriberKeys;
use crate::diameter::Header;

/// What was seen of the UE so far, for placeholders.
#[derive(Clone, Default, Debug)]
pub(super) struct Memory {
    /// Security-Client, as the UE sent it: the first, and the last.
    client: Option<(String, String)>,
    /// Security-Server, as the P-CSCF sent it: the first, and the last.
    server: Option<(String, String)>,
    /// The last Security-Client of another UE.
    other: Option<String>,
    /// Other headers, the first and the last of each.
    others: Vec<(String, String, String)>,
    /// The first message of each Diameter command, requests apart from answers.
    firsts: Vec<Vec<u8>>,
    /// Those of the UE, for what they must fit.
    pub(super) keys: Option<SubscriberKeys>,
    /// What else placeholders may stand for.
    names: Vec<(Box<str>, Box<str>)>,
}

impl Memory {
    /// Notes what placeholders may ask for later.
    pub(super) fn see(&mut self, sip: &SipText) {
        for (name, kept) in [("Security-Client", &mut self.client), ("Security-Server", &mut self.server)] {
            if let Some(list) = sip.list(name) {
                let first = kept.take().map_or_else(|| list.clone(), |(first, _)| first);
                *kept = Some((first, list));
            }
        }
        for name in KEPT {
            if let Some(list) = sip.list(name) {
                match self.others.iter_mut().find(|(of, ..)| of == name) {
                    Some((.., last)) => *last = list,
                    None => self.others.push((name.to_owned(), list.clone(), list)),
                }
            }
        }
    }

    /// Notes what another UE offers.
    pub(super) fn see_other(&mut self, sip: &SipText) {
        if let Some(list) = sip.list("Security-Client") {
            self.other = Some(list);
        }
    }

    /// From now on a placeholder stands for this.
    pub(super) fn name(&mut self, name: &str, value: &str) {
        self.names.push((name.into(), value.into()));
    }

    /// The same of Diameter.
    pub(super) fn see_diameter(&mut self, message: &[u8]) {
        if self.first(message).is_none() {
            self.firsts.push(message.to_vec());
        }
    }

    /// What stood at `path` in the first message of the kind of `message`.
    pub(super) fn first_avp(&self, message: &[u8], path: &[u32]) -> Option<&[u8]> {
        avp::find(self.first(message)?, path)
    }

    fn first(&self, message: &[u8]) -> Option<&[u8]> {
        let kind = |message: &[u8]| Header::read(message).map(|header| (header.command, header.request));
        let wanted = kind(message)?;
        self.firsts.iter().map(Vec::as_slice).find(|first| kind(first) == Some(wanted))
    }

    /// `text` with its placeholders filled; one that stands for nothing is left out.
    pub(super) fn fill(&self, text: &str, sip: Option<&SipText>, hash: u64) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else { break };
            out.push_str(before);
            out.push_str(&self.value(name, sip, hash).unwrap_or_default());
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn value(&self, name: &str, sip: Option<&SipText>, hash: u64) -> Option<String> {
        if let Some(plus) = name.strip_prefix("cseq+") {
            let cseq = sip?.value("CSeq")?.split(' ').next()?.parse::<u32>().ok()?;
            return Some((cseq + plus.parse::<u32>().ok()?).to_string());
        }
        if let Some(len) = name.strip_prefix("octets+") {
            return Some("x".repeat(len.parse().ok()?));
        }
        if let Some((_, value)) = self.names.iter().find(|(of, _)| **of == *name) {
            return Some(value.to_string());
        }
        match name {
            "branch" => return Some(format!("z9hG4bK{hash:016x}")),
            "random" => return Some(hash.to_string()),
            _ => {}
        }
        if let Some(header) = name.strip_prefix("header.") {
            return sip?.list(header);
        }
        let other = |header: &str| self.others.iter().find(|(of, ..)| of.eq_ignore_ascii_case(header));
        if let Some(header) = name.strip_prefix("last.") {
            return other(header).map(|(.., last)| last.clone());
        }
        if let Some(header) = name.strip_prefix("first.") {
            return other(header).map(|(_, first, _)| first.clone());
        }
        let (whose, wanted) = name.split_once('.')?;
        let list = match whose {
            "client" => self.client.as_ref().map(|(_, last)| last),
            "client1" => self.client.as_ref().map(|(first, _)| first),
            "server" => self.server.as_ref().map(|(_, last)| last),
            "other" => self.other.as_ref(),
            "server1" => self.server.as_ref().map(|(first, _)| first),
            _ => None,
        }?;
        if wanted == "raw" {
            return Some(list.clone());
        }
        parameter(split(list, ',').first()?, wanted).map(str::to_owned)
    }
}

/// Headers that `{last.NAME}` stands for.
const KEPT: [&str; 10] = [
    "Call-ID",
    "Path",
    "Contact",
    "From",
    "To",
    "Authorization",
    "WWW-Authenticate",
    "Service-Route",
    "P-Associated-URI",
    "Security-Verify",
];
