//! Recorded messages and ours, compared by parsed value: header by header, element by element, parameter by parameter.

use imsreg::sip::header::contact::Contacts;
use imsreg::sip::header::digest::Digest;
use imsreg::sip::header::name_addr::NameAddr;
use imsreg::sip::header::params::Params;
use imsreg::sip::header::via::Via;
use imsreg::sip::{HeaderName, Message, StartLine};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What may differ between a recorded message and ours.
#[derive(Clone, Copy)]
pub(crate) struct Allowed {
    /// As [`facts`] names it; `*` at the end stands for anything.
    pub(crate) at: &'static str,
    /// What must hold of the recorded value and ours all the same; `None` where one has none.
    pub(crate) holds: fn(Option<&str>, Option<&str>) -> bool,
    pub(crate) reason: &'static str,
}

impl Allowed {
    fn is_for(&self, at: &str) -> bool {
        match self.at.strip_suffix('*') {
            Some(front) => at.starts_with(front),
            None => self.at == at,
        }
    }
}

/// Panics where a permission was not needed.
#[track_caller]
pub(crate) fn assert_all_used(allowed: &[Allowed], used: &BTreeSet<&'static str>) {
    let unused: Vec<&str> = allowed.iter().map(|a| a.at).filter(|at| !used.contains(at)).collect();
    assert!(unused.is_empty(), "these never differ and need no permission: {unused:?}");
}

/// A file of the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A recorded message.
pub(crate) fn recorded(path: &str) -> String {
    let path = in_repository("tests/data").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Any value, as long as both have one.
pub(crate) fn both_given(recorded: Option<&str>, ours: Option<&str>) -> bool {
    [recorded, ours].iter().all(|text| text.is_some_and(|text| !text.is_empty()))
}

/// Whatever there is.
pub(crate) fn anything(_: Option<&str>, _: Option<&str>) -> bool {
    true
}

/// Theirs has it, ours has not.
pub(crate) fn only_theirs(recorded: Option<&str>, ours: Option<&str>) -> bool {
    recorded.is_some() && ours.is_none()
}

/// Ours has it, theirs has not.
pub(crate) fn only_ours(recorded: Option<&str>, ours: Option<&str>) -> bool {
    recorded.is_none() && ours.is_some()
}

/// Hops that are left: fewer than in the recording, but some.
pub(crate) fn fewer(recorded: Option<&str>, ours: Option<&str>) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u8>().ok());
    number(recorded).zip(number(ours)).is_some_and(|(recorded, ours)| 0 < ours && ours < recorded)
}

/// Panics where something differs that nobody has allowed; `used` gets those that were allowed.
#[track_caller]
pub(crate) fn assert_same(recorded: &str, ours: &str, allowed: &[Allowed], used: &mut BTreeSet<&'static str>) {
    let found = differences(recorded, ours, allowed, used);
    assert!(found.is_empty(), "{}\n\nrecorded:\n{recorded}\nours:\n{ours}", found.join("\n"));
}

/// Differences that nobody has allowed; `used` gets those that were.
pub(crate) fn differences(
    recorded: &str,
    ours: &str,
    allowed: &[Allowed],
    used: &mut BTreeSet<&'static str>,
) -> Vec<String> {
    let (recorded, ours) = (facts(recorded), facts(ours));
    let mut found = Vec::new();
    for at in recorded.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let (recorded, ours) = (recorded.get(at).map(String::as_str), ours.get(at).map(String::as_str));
        if recorded == ours {
            continue;
        }
        let limit = match allowed.iter().find(|allowed| allowed.is_for(at)) {
            Some(allowed) if (allowed.holds)(recorded, ours) => {
                used.insert(allowed.at);
                continue;
            }
            Some(Allowed { reason, .. }) => format!(", which is more than: {reason}"),
            None => String::new(),
        };
        let shown = |value: Option<&str>| value.map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""));
        found.push(format!("{at}: {} recorded, {} ours{limit}", shown(recorded), shown(ours)));
    }
    found
}

/// A message taken apart: header, number of the element and parameter to value. The order of headers and of parameters
/// means nothing. Via is that of who sent the request; those of proxies are counted from there.
fn facts(text: &str) -> BTreeMap<String, String> {
    let message = Message::parse(text.as_bytes()).expect("a message");
    let mut facts = Facts::default();
    match message.start() {
        StartLine::Response { status, .. } => facts.add("status", status.to_string()),
        StartLine::Request { method, uri } => {
            facts.add("method", method.to_string());
            facts.add("Request-URI", (*uri).to_owned());
        }
    }
    let mut hops = message.elements(HeaderName::Via).count();
    let mut elements: BTreeMap<String, usize> = BTreeMap::new();
    for line in message.lines() {
        let header = match line.name {
            HeaderName::Other => line.name_text.to_ascii_lowercase(),
            known => known.as_str().to_owned(),
        };
        let count = elements.entry(header.clone()).or_default();
        let mut element = || {
            *count += 1;
            format!("{header}[{}]", *count - 1)
        };
        match line.name {
            HeaderName::Via => {
                let mut rest = Some(line.value);
                while let Some(value) = rest {
                    let (via, next) = Via::parse(value).expect("a Via");
                    hops -= 1;
                    let at = if hops == 0 { "Via[0]".to_owned() } else { format!("Via of proxy {hops}") };
                    facts.via(&at, &via);
                    rest = next;
                }
            }
            HeaderName::Contact => {
                let Ok(Contacts::List(list)) = Contacts::parse(std::iter::once(line.value)) else {
                    panic!("{} is no Contact", line.value)
                };
                for contact in list {
                    facts.address(&element(), &contact.address);
                }
            }
            HeaderName::WwwAuthenticate
            | HeaderName::ProxyAuthenticate
            | HeaderName::Authorization
            | HeaderName::ProxyAuthorization => facts.digest(&element(), line.name, &line.value.replace("\r\n", " ")),
            HeaderName::SecurityServer => {
                let one = Message::security(&message, line.name).expect("a list");
                for mechanism in one.0 {
                    let at = element();
                    facts.add(&at, mechanism.name.to_owned());
                    facts.params(&at, mechanism.params);
                }
            }
            HeaderName::From | HeaderName::To | HeaderName::PAssociatedUri => {
                for value in line.value.split(',') {
                    facts.address(&element(), &NameAddr::parse(line.name, value).expect("an address"));
                }
            }
            HeaderName::Route | HeaderName::RecordRoute | HeaderName::Path | HeaderName::ServiceRoute => {
                for value in elements_of(line.value) {
                    facts.add(&element(), value.to_owned());
                }
            }
            _ => facts.add(&element(), line.value.to_owned()),
        }
    }
    facts.add("body", String::from_utf8_lossy(message.body()).into_owned());
    facts.0
}

#[derive(Default)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn add(&mut self, at: &str, value: String) {
        assert!(self.0.insert(at.to_owned(), value).is_none(), "{at} is there twice");
    }

    fn via(&mut self, at: &str, via: &Via<'_>) {
        self.add(&format!("{at} transport"), via.transport.to_ascii_uppercase());
        self.add(&format!("{at} host"), via.host.to_owned());
        self.add(&format!("{at} port"), via.port.unwrap_or(5060).to_string());
        self.params(at, via.params);
    }

    fn address(&mut self, at: &str, address: &NameAddr<'_>) {
        self.add(&format!("{at} name"), address.display.unwrap_or_default().to_owned());
        let text = address.text;
        let uri = match text.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
            Some((uri, _)) => uri,
            // RFC 3261 clause 20: parameters behind a URI without brackets are those of the header.
            None => text.split(';').next().unwrap_or(text).trim(),
        };
        self.add(&format!("{at} URI"), uri.to_owned());
        self.params(at, address.params);
    }

    fn digest(&mut self, at: &str, name: HeaderName, value: &str) {
        let digest = Digest::parse(name, value).expect("a challenge or credentials").expect("of scheme Digest");
        for (name, value, _) in digest.params() {
            self.add(&format!("{at} ;{}", name.to_ascii_lowercase()), value.to_owned());
        }
    }

    fn params(&mut self, at: &str, params: Params<'_>) {
        for (name, value) in params.iter() {
            let name = name.to_ascii_lowercase();
            let first = format!("{at} ;{name}");
            let at = if self.0.contains_key(&first) { format!("{at} again ;{name}") } else { first };
            self.add(&at, value.unwrap_or("(flag)").to_owned());
        }
    }
}

fn elements_of(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}
