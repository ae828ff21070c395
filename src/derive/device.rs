//! The device: what the REGISTERs and the SUBSCRIBE of a UE show of its habits.

use super::forms::{self, Request};
use super::page::{Page, list, scalar, time};
use super::{Nothing, Seen, nonce, with_sip};
use crate::event::Role;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, Mod};
use crate::packet::Transport;
use crate::sip::header::contact::{Contact, Contacts};
use crate::sip::header::sec_agree::Mechanism;
use crate::sip::{HeaderName, Uri};
use crate::time::Duration;
use crate::trace::story::{Kind, Message, Outcome, Timer};

type Sip<'r> = crate::sip::Message<'r>;

pub(super) fn write(seen: &Seen<'_>, page: &mut Page) -> Result<(), Nothing> {
    let mut requests = seen.requests();
    let (message, first) = requests.next().ok_or(Nothing::NoRequest)?;
    let at = |number: u64| format!("message {number}");
    let here = at(message.number);
    transport(seen, message, page);
    agreement(seen, message, first, page);
    expiry(message, first, page);
    contact(seen, message, first, page);

    let access = seen.requests().find_map(|(m, sip)| Some((m.number, sip.header(HeaderName::PAccessNetworkInfo)?)));
    match access {
        Some((number, value)) => page.key("ue", "access_network", &scalar(value), &at(number)),
        None => page.key("ue", "access_network", "''", "no REGISTER has P-Access-Network-Info"),
    }
    page.key("ue", "user_agent", &scalar(first.header(HeaderName::UserAgent).unwrap_or_default()), &here);
    let supports = |tag: &str| seen.requests().any(|(_, sip)| sip.has_option(HeaderName::Supported, tag));
    if supports("gruu") {
        page.key("ue", "gruu", "true", &here);
    }
    if first.via().is_ok_and(|via| via.params.has("keep")) {
        page.key("ue", "keep_alive", "negotiated", &format!("{here}: keep in Via"));
    }
    habits(seen, page);
    timers(seen, page);
    write_forms(seen, page);
    Ok(())
}

fn transport(seen: &Seen<'_>, message: Message<'_>, page: &mut Page) {
    let here = format!("message {}", message.number);
    let known = transport_of(message);
    if known != Some(Transport::Tcp) {
        let name = if known == Some(Transport::Tls) { "tls" } else { "udp" };
        return page.key("ue", "transport", name, &here);
    }
    let own = || seen.registration.messages().filter(|m| m.from() == Some(Role::Ue) && m.is_request());
    if let Some(message) = own().find(|message| transport_of(*message) == Some(Transport::Udp)) {
        return page.key("ue", "transport", "udp", &format!("message {}; {here} is large", message.number));
    }
    match own().find(|message| transport_of(*message) == Some(Transport::Tcp) && message.bytes.len() <= LARGE) {
        Some(message) => page.key("ue", "transport", "tcp", &format!("message {}, which is small", message.number)),
        None => {
            page.key("ue", "transport", "udp", &format!("not told: {here} is large, as are all; ours then go by TCP"))
        }
    }
}

/// What carried a request: by the trace, else by its Via.
fn transport_of(message: Message<'_>) -> Option<Transport> {
    let of_via = || match message.sip()?.via().ok()?.transport.to_ascii_uppercase().as_str() {
        "UDP" => Some(Transport::Udp),
        "TCP" => Some(Transport::Tcp),
        "TLS" => Some(Transport::Tls),
        _ => None,
    };
    message.ends.map(|ends| ends.transport).or_else(of_via)
}

fn agreement(seen: &Seen<'_>, message: Message<'_>, first: &Sip<'_>, page: &mut Page) {
    let here = format!("message {}", message.number);
    let offer = first.security(HeaderName::SecurityClient).unwrap_or_default();
    if offer.0.is_empty() {
        return page.key("ue", "sec_agree", "off", &format!("{here}: no Security-Client"));
    }
    let required = first.has_option(HeaderName::Require, "sec-agree");
    let policy = if required { "required" } else { "offered" };
    page.key(
        "ue",
        "sec_agree",
        policy,
        &format!("{here}: sec-agree {} in Require", if required { "is" } else { "is not" }),
    );
    let (mut pairs, mut modes, mut in_order): (Vec<Algorithms>, Vec<Mod>, Vec<_>) = Default::default();
    for element in &offer.0 {
        match pair_of(element) {
            Some((pair, mode)) => {
                in_order.push((mode, pair));
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
                if !modes.contains(&mode) {
                    modes.push(mode);
                }
            }
            None => page.unknown(&format!("{here}: Security-Client offers what is not known here: {}", element.text)),
        }
    }
    if pairs.is_empty() {
        return;
    }
    page.key("ue", "algorithms", &pairs_text(&pairs), &format!("{here}: Security-Client, in its order"));
    if modes != [Mod::Trans] {
        page.key("ue", "modes", &list(modes.iter().map(|mode| mode.as_str())), &here);
    }
    let product: Vec<_> = modes.iter().flat_map(|mode| pairs.iter().map(|pair| (*mode, *pair))).collect();
    if product != in_order {
        page.unknown(&format!(
            "{here}: the pairs of Security-Client come again, or not in each mode: ours offers each once"
        ));
    }
    if let Some((port_c, port_s)) = offer.0.iter().find_map(|element| Some((element.port_c?, element.port_s?))) {
        page.key("ue", "port_c", &port_c.to_string(), &here);
        page.key("ue", "port_s", &port_s.to_string(), &here);
    }
    let ports: Vec<u16> = seen
        .requests()
        .filter_map(|(_, sip)| sip.security(HeaderName::SecurityClient).ok()?.0.first()?.port_s)
        .collect();
    if ports.windows(2).any(|pair| pair[0] != pair[1]) {
        page.unknown("the device changes its protected server port from set to set; ours keeps it");
    }
}

/// Algorithms and mode of an element that we know.
pub(super) fn pair_of(element: &Mechanism<'_>) -> Option<(Algorithms, Mod)> {
    let integrity = Integrity::from_token(element.alg?)?;
    let encryption = element.ealg.map_or(Some(Encryption::Null), Encryption::from_token)?;
    let mode = element.mode.map_or(Some(Mod::Trans), Mod::from_token)?;
    let pair = Algorithms { integrity, encryption };
    (element.name.eq_ignore_ascii_case("ipsec-3gpp") && pair.is_valid()).then_some((pair, mode))
}

pub(super) fn pairs_text(pairs: &[Algorithms]) -> String {
    let text = |pair: &Algorithms| format!("[{}, {}]", pair.integrity.as_str(), quoted_null(pair.encryption.as_str()));
    format!("[{}]", pairs.iter().map(text).collect::<Vec<_>>().join(", "))
}

/// The word, not the value of YAML.
fn quoted_null(word: &str) -> &str {
    if word == "null" { "\"null\"" } else { word }
}

fn expiry(message: Message<'_>, first: &Sip<'_>, page: &mut Page) {
    let here = format!("message {}", message.number);
    let of_contact = only_contact(first).and_then(|contact| contact.expires);
    match first.expires().or(of_contact).filter(|seconds| *seconds > 0) {
        Some(seconds) => page.key("ue", "expires", &time(Duration::from_secs(seconds.into())), &here),
        None => page.unknown("ue.expires: the REGISTER asks for no expiry; ours always asks for one"),
    }
}

fn only_contact<'a>(sip: &Sip<'a>) -> Option<Contact<'a>> {
    match sip.contacts().ok()? {
        Contacts::List(list) => list.into_iter().next(),
        Contacts::Star => None,
    }
}

fn contact(seen: &Seen<'_>, message: Message<'_>, first: &Sip<'_>, page: &mut Page) {
    let here = format!("message {}", message.number);
    let Some(contact) = only_contact(first) else {
        return page.unknown(&format!("{here} has no Contact"));
    };
    let uri = &contact.address.uri;
    let user = first.to().ok().and_then(|to| to.uri.user);
    let fits = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b));
    if uri.user != user && fits(uri.user.unwrap_or_default(), b"-_.!~*'()&=+$,;?/%#") {
        page.key("ue", "contact_user", &scalar(uri.user.unwrap_or_default()), &here);
    }
    let mut parameters = String::new();
    for (name, value) in uri.params.iter() {
        if name.eq_ignore_ascii_case("sos") {
            page.key("ue", "emergency", "true", &format!("{here}: sos in Contact"));
            continue;
        }
        parameters.push_str(&[";", name, if value.is_some() { "=" } else { "" }, value.unwrap_or_default()].concat());
    }
    let is_tls = parameters == ";transport=tls";
    let is_sound = parameters.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"@?".contains(&b));
    if !parameters.is_empty() && !is_tls && is_sound {
        page.key("ue", "contact_parameters", &scalar(&parameters), &here);
    }
    if let Some(instance) = contact.instance() {
        page.key("ue", "instance", &scalar(instance.trim_matches(['<', '>'])), &here);
    } else {
        page.key("ue", "instance", "''", &format!("{here}: no +sip.instance"));
    }
    if let Some(reg_id) = contact.reg_id() {
        page.key("ue", "reg_id", &reg_id.to_string(), &here);
    }
    let (_, params) =
        crate::sip::form::split(HeaderName::Contact, first.header(HeaderName::Contact).unwrap_or_default());
    let is_named = |text: &str| {
        let name = text.split('=').next().unwrap_or(text).trim();
        ["+sip.instance", "reg-id", "expires"].iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let features: String = params.iter().filter(|p| !is_named(p.1)).map(|p| format!(";{}", p.1)).collect();
    page.key("ue", "features", &scalar(&features), &here);
    let (via, port) = (first.via().ok().and_then(|via| via.port), uri.port);
    if port.is_some() && via.is_some() && port != via && nonce(first).is_none() {
        page.unknown(&format!("{here}: port of Contact ({}) is not that of Via", port.unwrap_or_default()));
    }
    if first.request_uri().and_then(|uri| Uri::parse(uri).ok()).map(|uri| uri.host)
        != first.to().ok().map(|to| to.uri.host)
    {
        page.unknown(&format!("{here}: the Request-URI is not of the domain of the identity; ours is sip:REALM"));
    }
    let tags: Vec<&str> = seen.requests().filter_map(|(_, sip)| sip.from().ok()?.tag()).collect();
    if tags.windows(2).any(|pair| pair[0] != pair[1]) {
        page.unknown("the device has a new From tag in each REGISTER; ours keeps it for the registration");
    }
}

/// What a UE does once it is registered.
fn habits(seen: &Seen<'_>, page: &mut Page) {
    let registration = seen.registration;
    let subscribed = registration.subscriptions().filter(|subscription| subscription.watcher() == Some(Role::Ue));
    let subscribe = subscribed.into_iter().find_map(|subscription| subscription.subscribes().next()?.request());
    let registered = registration.attempts().any(|attempt| attempt.outcome() == Outcome::Registered);
    match subscribe {
        Some(message) => page.key("ue", "subscribe", "true", &format!("message {}", message.number)),
        None if registered => {
            page.key("ue", "subscribe", "false", "no SUBSCRIBE of the UE in the trace, which may end too early");
        }
        None => page.unknown("ue.subscribe: the registration does not succeed in the trace"),
    }
    let refreshed = registration.attempts_of(Kind::Refresh).next();
    match refreshed.and_then(|attempt| attempt.request()) {
        Some(message) => match message.wait().map(|wait| wait.timer) {
            Some(Timer::HalfLife { .. } | Timer::BeforeExpiry { .. }) => {
                page.key("ue", "refresh", "true", &format!("message {}, when TS 24.229 says", message.number));
            }
            _ => {
                page.key("ue", "refresh", "true", &format!("message {}", message.number));
                page.unknown(&format!("message {} refreshes at another time than ours does", message.number));
            }
        },
        None => page.unknown("ue.refresh: the trace ends before a re-registration"),
    }
}

/// T1 from retransmissions of the UE.
fn timers(seen: &Seen<'_>, page: &mut Page) {
    let of_ue = |message: &Message<'_>| message.from() == Some(Role::Ue);
    let waits = seen.registration.waits().filter(|(message, _)| of_ue(message));
    let t1 = waits.into_iter().find_map(|(message, wait)| match wait.timer {
        Timer::Retransmission { t1, .. } | Timer::Transaction { t1 } => Some((message.number, t1)),
        _ => None,
    });
    match t1 {
        Some((number, t1)) => write_timers(page, t1, &format!("message {number} is a retransmission")),
        None => page.unknown("timers.gm: the UE retransmits nothing"),
    }
}

/// The two sets of timers that there are (RFC 3261 table 4, TS 24.229 table 7.7.1).
pub(super) fn write_timers(page: &mut Page, t1: Duration, comment: &str) {
    let value = if t1 < Duration::from_secs(1) { "{t1: 500ms, t2: 4s, t4: 5s}" } else { "{t1: 2s, t2: 16s, t4: 17s}" };
    page.key("timers", "gm", value, comment);
}

fn write_forms(seen: &Seen<'_>, page: &mut Page) {
    let mut forms = Vec::new();
    let identity = seen.requests().find_map(|(_, sip)| Some(sip.to().ok()?.uri.text)).unwrap_or_default();
    let mut add = |key: &str, found: Option<(Message<'_>, &Sip<'_>)>, request: Request| {
        if let Some((message, sip)) = found {
            forms.push((key.to_owned(), message.number, forms::of_request(sip, request, identity)));
        }
    };
    // What the trace shows only in part would be a form of its own.
    let is_whole = |message: &Message<'_>| !message.cut;
    let mut attempts = seen.registration.attempts();
    let first = attempts.find_map(|attempt| with_sip(attempt.steps().next()?.request()?));
    let first = first.filter(|(message, sip)| is_whole(message) && nonce(sip).is_none());
    let attempts = || seen.registration.attempts();
    let answers = attempts().flat_map(|attempt| attempt.steps().skip(1));
    let answer = answers.filter_map(|exchange| with_sip(exchange.request()?)).find(|(message, _)| is_whole(message));
    let refreshes = attempts().filter(|attempt| attempt.kind() == Kind::Refresh);
    let refresh = refreshes.filter_map(|attempt| with_sip(attempt.steps().next()?.request()?));
    let refresh = refresh.into_iter().find(|(message, _)| is_whole(message));
    let subscriptions = seen.registration.subscriptions().filter(|s| s.watcher() == Some(Role::Ue));
    let subscribe = subscriptions.into_iter().find_map(|s| with_sip(s.subscribes().next()?.request()?));
    let subscribe = subscribe.filter(|(message, _)| is_whole(message));
    add("register", first, Request::Register);
    add("answer", answer, Request::Answer);
    add("refresh", refresh, Request::Answer);
    add("subscribe", subscribe, Request::Subscribe);
    if !forms.is_empty() {
        page.forms("ue", &forms);
    }
}

/// What is larger goes by TCP (RFC 3261 clause 18.1.1).
const LARGE: usize = 1_300;
