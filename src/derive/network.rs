//! The network: what the answers to REGISTERs show of P-CSCF, S-CSCF and HSS, and what Mw and Cx add where they are seen.

use super::device::{pair_of, pairs_text, write_timers};
use super::forms;
use super::page::{Page, list, scalar, time};
use super::{Nothing, Seen, is_domain, is_identity};
use crate::event::Role;
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Method, Uri};
use crate::time::Duration;
use crate::trace::story::{Attempt, Interface, Kind, Message, Outcome, Timer};

pub(super) fn write(seen: &Seen<'_>, page: &mut Page) -> Result<(), Nothing> {
    let (first, _) = seen.answers().next().ok_or(Nothing::NoAnswer)?;
    let challenge = seen.answered(|status| matches!(status, 401 | 407));
    let digest = challenge.and_then(|(message, sip)| Some((message, sip.challenges().ok()?.into_iter().next()?)));
    let is_aka = digest.as_ref().is_some_and(|(_, digest)| is_aka(digest));
    let base = if is_aka || has_offer(seen) { "volte" } else { "plain-digest" };
    page.top("extends", base, "what is not said here");
    realm(seen, digest.as_ref().map(|(_, digest)| digest), page);

    listener(seen, first, page);
    agreement(seen, base, page);
    challenges(seen, digest.as_ref().map(|(message, digest)| (*message, digest)), page);
    expiry(seen, page);
    names(seen, page);
    digest_section(seen, digest.as_ref().map(|(message, digest)| (*message, digest)), page);
    life(seen, page);
    timers(seen, page);
    write_forms(seen, page);
    Ok(())
}

fn is_aka(digest: &Digest<'_>) -> bool {
    digest.algorithm.and_then(|a| a.get(..3)).is_some_and(|a| a.eq_ignore_ascii_case("AKA"))
}

fn has_offer(seen: &Seen<'_>) -> bool {
    seen.requests().any(|(_, sip)| sip.header(HeaderName::SecurityClient).is_some())
}

fn realm(seen: &Seen<'_>, digest: Option<&Digest<'_>>, page: &mut Page) {
    let asked = seen.requests().find_map(|(m, sip)| Some((m.number, Uri::parse(sip.request_uri()?).ok()?.host)));
    let identity = seen.answers().find_map(|(m, sip)| Some((m.number, sip.to().ok()?.uri.host)));
    let Some((number, host)) = asked.or(identity) else { return };
    if is_domain(host) {
        page.top("realm", &scalar(host), &format!("message {number}"));
    } else {
        page.unknown(&format!("realm: {host} of message {number} is no domain"));
    }
    if let Some(realm) = digest.filter(|digest| is_aka(digest)).and_then(|digest| digest.realm).filter(|r| *r != host) {
        page.unknown(&format!("the realm of challenges ({realm}) is not the home domain; that of ours is"));
    }
}

fn listener(seen: &Seen<'_>, first: Message<'_>, page: &mut Page) {
    let of_via = seen.requests().find_map(|(message, sip)| Some((message.number, sip.via().ok()?.ip()?)));
    let is_ipv6 = first.ends.map_or_else(|| of_via.is_some_and(|(_, ip)| ip.is_ipv6()), |ends| ends.from.is_ipv6());
    if is_ipv6 {
        let value = "[\"127.0.0.1:5060\", \"[::1]:5060\"]";
        page.key("pcscf", "listen", value, "the recorded UE has IPv6");
    }
    match first.ends {
        Some(ends) => {
            page.unknown(&format!("pcscf.listen: {} in the trace; ours is on loopback, see --sip", ends.from))
        }
        None => page.unknown("pcscf.listen: the trace shows no addresses; ours is on loopback, see --sip"),
    }
}

fn agreement(seen: &Seen<'_>, base: &str, page: &mut Page) {
    if let Some((message, _)) = seen.answered(|status| matches!(status, 421 | 494)) {
        let comment = format!("message {}: {}", message.number, message.status().unwrap_or_default());
        page.key("pcscf", "sec_agree", "required", &comment);
    } else if base == "plain-digest" {
        // Nobody speaks of it.
    } else if !has_offer(seen) {
        let plain = seen.answered(|status| status < 300);
        match plain {
            Some((message, _)) => {
                page.key("pcscf", "sec_agree", "offered", &format!("message {}: served without", message.number));
            }
            None => page.unknown("pcscf.sec_agree: the UE offers nothing, and is not registered"),
        }
    } else if !answers_an_offer(seen) {
        page.key("pcscf", "sec_agree", "off", "Security-Client is not answered");
    } else {
        page.key("pcscf", "sec_agree", "required", "not told: what becomes of a UE that offers nothing");
    }
    let listed = seen.answers().find_map(|(message, sip)| {
        let list = sip.security(HeaderName::SecurityServer).ok().filter(|list| !list.0.is_empty())?;
        Some((message, list))
    });
    let Some((message, list)) = listed else { return };
    let here = format!("message {}", message.number);
    let mut known = Vec::new();
    for element in &list.0 {
        match pair_of(element) {
            Some((pair, _)) => known.push((pair, element)),
            None => page.unknown(&format!("{here}: Security-Server names what is not known here: {}", element.text)),
        }
    }
    let in_header: Vec<u16> = known.iter().map(|(_, element)| element.q).collect();
    known.sort_by_key(|(_, element)| std::cmp::Reverse(element.q));
    if !known.iter().map(|(_, element)| element.q).eq(in_header) {
        page.unknown(&format!("{here}: Security-Server is not in the order of q; ours is"));
    }
    let Some((_, best)) = known.first().copied() else { return };
    let has_q = list.0.iter().any(|element| element.params.has("q"));
    let is_full = known.len() > 1 || has_q;
    let pairs: Vec<_> = known.iter().map(|(pair, _)| *pair).collect();
    let comment = if is_full { "Security-Server, by q" } else { "the one it chose; of others nothing is told" };
    page.key("pcscf", "algorithms", &pairs_text(&pairs), &format!("{here}: {comment}"));
    if is_full {
        let q: Vec<String> = known.iter().map(|(_, element)| thousandths(element.q)).collect();
        page.key("pcscf", "q", &format!("[{}]", q.join(", ")), &here);
    }
    page.key("pcscf", "full_list_in_401", if is_full { "true" } else { "false" }, &here);
    if let Some(port) = best.port_s {
        page.key("pcscf", "port_s", &port.to_string(), &here);
    }
    if let Some(port) = best.port_c {
        page.key("pcscf", "port_c", &format!("{port}-{}", port.saturating_add(POOL)), &format!("{here}: the first"));
    }
    if seen.answers().any(|(_, sip)| sip.challenges().is_ok_and(|list| list.iter().any(is_aka))) {
        page.key(
            "pcscf",
            "accept_challenge_without_keys",
            "true",
            "for recorded vectors, whose CK and IK nobody knows; with K and OPc leave it out",
        );
    }
}

fn answers_an_offer(seen: &Seen<'_>) -> bool {
    seen.answers().any(|(_, sip)| sip.header(HeaderName::SecurityServer).is_some())
}

fn thousandths(q: u16) -> String {
    let text = format!("{}.{:03}", q / 1_000, q % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn challenges(seen: &Seen<'_>, digest: Option<(Message<'_>, &Digest<'_>)>, page: &mut Page) {
    let Some((message, digest)) = digest else {
        if let Some((message, sip)) = seen.answered(|status| status < 300)
            && let Some(impu) = sip.to().ok().map(|to| to.uri.text).filter(|impu| is_identity(impu))
        {
            let comment = format!("message {}: nobody was asked for a proof", message.number);
            page.key("scscf", "unauthenticated", &list([impu]), &comment);
        }
        return;
    };
    let here = format!("message {}", message.number);
    if is_aka(digest) {
        page.key("scscf", "qop", &digest.qop.map_or_else(|| "none".to_owned(), scalar), &here);
        if digest.algorithm.is_some_and(|algorithm| !algorithm.eq_ignore_ascii_case("AKAv1-MD5")) {
            page.key("scscf", "akav2", "true", &here);
        }
        let in_clear = seen.registration.attempts().find(|attempt| {
            let answer = attempt.answer().and_then(|journey| journey.request());
            let verify = answer.and_then(|a| a.sip()).and_then(|sip| sip.header(HeaderName::SecurityVerify));
            attempt.outcome() == Outcome::Registered && answer.is_some() && verify.is_none()
        });
        if let Some(end) = in_clear.and_then(Attempt::end) {
            let comment = format!("message {}: AKA without an agreement is taken", end.number);
            page.key("scscf", "aka_without_sa", "accept", &comment);
        }
    } else {
        page.key("scscf", "unauthenticated", "nobody", &here);
    }
    let refreshes: Vec<_> = seen.registration.attempts_of(Kind::Refresh).filter(|a| a.end().is_some()).collect();
    let challenged = refreshes.iter().filter(|attempt| attempt.challenge().is_some()).count();
    let numbers: Vec<String> = refreshes.iter().filter_map(|a| a.request()).map(|m| m.number.to_string()).collect();
    let comment = format!("re-registrations: messages {}", numbers.join(", "));
    match (refreshes.len(), challenged) {
        (0, _) => page.unknown("scscf.challenge: the trace ends before a re-registration"),
        (all, challenged) if all == challenged => page.key("scscf", "challenge", "always", &comment),
        (_, 0) => page.key("scscf", "challenge", "never", &comment),
        (all, challenged) => page.key("scscf", "challenge", &format!("every {}", all.div_ceil(challenged)), &comment),
    }
}

fn expiry(seen: &Seen<'_>, page: &mut Page) {
    let attempts = seen.registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered);
    let grants = attempts.filter_map(|attempt| Some((attempt.end()?.number, attempt.asked(), attempt.granted()?)));
    let granted = grants.into_iter().find(|(_, _, granted)| !granted.is_zero());
    let least = seen.answered(|status| status == 423).and_then(|(message, sip)| {
        let seconds = sip.header(HeaderName::MinExpires)?.trim().parse::<u32>().ok()?;
        Some((message.number, Duration::from_secs(seconds.into())))
    });
    let mut parts = Vec::new();
    let mut comments = Vec::new();
    if let Some((number, least)) = least {
        parts.push(format!("min: {}", time(least)));
        comments.push(format!("message {number}: Min-Expires"));
    }
    match granted {
        Some((number, Some(asked), granted)) if granted < asked => {
            if least.is_none() && granted < Duration::from_secs(60) {
                parts.push(format!("min: {}", time(granted)));
            }
            parts.push(format!("max: {}", time(granted)));
            comments.push(format!("message {number}: {} s asked for, {} s given", asked.as_secs(), granted.as_secs()));
        }
        Some((number, None, granted)) => {
            if least.is_none() && granted < Duration::from_secs(60) {
                parts.push(format!("min: {}", time(granted)));
            }
            parts.push(format!("default: {}", time(granted)));
            comments.push(format!("message {number}: nothing asked for"));
        }
        Some((number, Some(asked), granted)) if granted > asked => {
            page.unknown(&format!(
                "message {number} gives more ({} s) than is asked for; ours never does",
                granted.as_secs()
            ));
        }
        Some((_, Some(asked), _)) => {
            let bounds = (asked < Duration::from_secs(60), asked > Duration::from_secs(7_200));
            if least.is_none() && bounds.0 {
                parts.push(format!("min: {}", time(asked)));
            }
            if bounds.1 {
                parts.push(format!("max: {}", time(asked)));
            }
            comments.push("given as asked for; the longest and the shortest are not told".to_owned());
        }
        None => page.unknown("scscf.expires: no registration succeeds in the trace"),
    }
    if !parts.is_empty() {
        page.key("scscf", "expires", &format!("{{{}}}", parts.join(", ")), &comments.join("; "));
    }
    subscriptions(seen, page);
}

/// What is granted to watchers.
fn subscriptions(seen: &Seen<'_>, page: &mut Page) {
    for subscription in seen.registration.subscriptions() {
        for journey in subscription.subscribes() {
            let (Some(asked), Some(answer)) = (journey.request(), journey.last()) else { continue };
            let expires = |message: Message<'_>| message.sip()?.expires().filter(|seconds| *seconds > 0);
            let (Some(asked), Some(granted)) = (expires(asked), expires(answer)) else { continue };
            if granted <= asked && answer.status().is_some_and(|status| status < 300) {
                let comment = format!("message {}: {asked} s asked for by SUBSCRIBE", answer.number);
                return page.key("scscf", "max_subscription", &format!("{granted}s"), &comment);
            }
        }
    }
}

/// Host names of elements.
fn names(seen: &Seen<'_>, page: &mut Page) {
    let host_of = |name: HeaderName| {
        seen.answers().find_map(|(message, sip)| {
            let element = sip.elements(name).last()?;
            let uri = Uri::parse(element.split_once('<')?.1.split('>').next()?).ok()?;
            let is_name = is_domain(uri.host) && uri.ip().is_none();
            is_name.then_some((message.number, uri.host))
        })
    };
    if let Some((number, host)) = host_of(HeaderName::Path) {
        page.key("pcscf", "host", &scalar(host), &format!("message {number}: Path"));
    }
    if let Some((number, host)) = host_of(HeaderName::ServiceRoute) {
        let comment = format!("message {number}: Service-Route; its user and port are ours");
        page.key("scscf", "name", &scalar(&format!("sip:{host}:6060")), &comment);
    }
    let on_mw = seen.registration.on(Interface::Mw).filter_map(|exchange| exchange.request());
    let visited = on_mw.filter_map(|message| Some((message, message.sip()?))).find_map(|(message, sip)| {
        let value = sip.header(HeaderName::PVisitedNetworkId)?;
        Some((message.number, value.split(';').next()?.trim().trim_matches('"')))
    });
    match visited {
        Some((number, value)) => {
            page.key("pcscf", "visited_network", &scalar(value), &format!("message {number}"));
        }
        None => page.unknown("what the P-CSCF tells the core (P-Visited-Network-ID, charging): no Mw in the trace"),
    }
}

/// What the section `digest` says, whoever is authenticated.
fn digest_section(seen: &Seen<'_>, digest: Option<(Message<'_>, &Digest<'_>)>, page: &mut Page) {
    let (mut keys, mut comments) = (Vec::new(), Vec::new());
    let opaque = digest.filter(|(_, digest)| !is_aka(digest)).and_then(|(m, digest)| Some((m, digest.opaque?)));
    if let Some((message, opaque)) = opaque.filter(|(_, opaque)| !opaque.is_empty()) {
        keys.push(format!("opaque: {}", scalar(opaque)));
        comments.push(format!("message {}: opaque", message.number));
    }
    let date =
        seen.answered(|status| status < 300).and_then(|(m, sip)| Some((m.number, sip.header(HeaderName::Date)?)));
    if let Some((number, value)) = date {
        keys.push(format!("date: {}", if value.contains(',') { "sip" } else { "iso" }));
        comments.push(format!("message {number}: Date"));
    }
    if !keys.is_empty() {
        page.key("scscf", "digest", &format!("{{{}}}", keys.join(", ")), &comments.join("; "));
    }
}

/// Keep-alives, flows, OPTIONS.
fn life(seen: &Seen<'_>, page: &mut Page) {
    let success = || seen.answers().filter(|(message, _)| message.status().is_some_and(|status| status < 300));
    let keep = success().find_map(|(message, sip)| {
        let flow_timer = sip.header(HeaderName::FlowTimer).and_then(|value| value.trim().parse::<u64>().ok());
        let keep = sip.via().ok().and_then(|via| via.params.value("keep")?.parse::<u64>().ok());
        Some((message.number, flow_timer.or(keep).filter(|seconds| *seconds > 0)?))
    });
    if let Some((number, seconds)) = keep {
        page.key("pcscf", "keep_alive", &format!("{seconds}s"), &format!("message {number}"));
    }
    if let Some((message, _)) = success().find(|(_, sip)| sip.has_option(HeaderName::Require, "outbound")) {
        page.key("pcscf", "outbound", "true", &format!("message {}", message.number));
    }
    let of_pcscf = |message: &Message<'_>| message.from() == Some(Role::Pcscf) && message.to() == Some(Role::Ue);
    let options: Vec<Message<'_>> = seen
        .registration
        .messages()
        .filter(|message| message.is(Method::Options) && message.repeats().is_none() && of_pcscf(message))
        .collect();
    let gaps = options.windows(2).filter_map(|pair| pair[1].since(pair[0])).filter(|gap| gap.as_secs() > 0);
    if let (Some(gap), Some(first)) = (gaps.min(), options.first()) {
        let value = format!("{}s", gap.as_secs());
        page.key("pcscf", "options_interval", &value, &format!("message {} and those after it", first.number));
    }
    let watches = seen.registration.subscriptions().find(|s| s.watcher() == Some(Role::Pcscf));
    let registered = seen.registration.attempts().any(|attempt| attempt.outcome() == Outcome::Registered);
    match watches.and_then(|s| s.subscribes().next()?.request()) {
        Some(message) => page.key("pcscf", "subscribe", "true", &format!("message {}", message.number)),
        None if registered => {
            page.key(
                "pcscf",
                "subscribe",
                "false",
                "no SUBSCRIBE of the P-CSCF in the trace, which may not show its core",
            );
        }
        None => page.unknown("pcscf.subscribe: the registration does not succeed in the trace"),
    }
}

fn timers(seen: &Seen<'_>, page: &mut Page) {
    let waits = seen.registration.waits().filter(|(m, _)| m.from() == Some(Role::Pcscf) && m.to() == Some(Role::Ue));
    let t1 = waits.into_iter().find_map(|(message, wait)| match wait.timer {
        Timer::Retransmission { t1, .. } => Some((message.number, t1)),
        _ => None,
    });
    match t1 {
        Some((number, t1)) => write_timers(page, t1, &format!("message {number} is a retransmission of the P-CSCF")),
        None => page.unknown("timers.gm: the P-CSCF retransmits nothing"),
    }
}

fn write_forms(seen: &Seen<'_>, page: &mut Page) {
    let mut forms = Vec::new();
    let statuses: std::collections::BTreeSet<u16> =
        seen.answers().filter_map(|(message, _)| message.status()).collect();
    // The 200 that ends a registration says less than others.
    let granted = seen.registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered);
    let granted = granted.into_iter().find_map(Attempt::end).map(|message| message.number);
    for status in statuses {
        let all = || seen.answers().filter(|(message, _)| message.status() == Some(status) && !message.cut);
        let found = all().find(|(message, _)| Some(message.number) == granted).or_else(|| all().next());
        if let Some((message, sip)) = found {
            let request = message.exchange().and_then(|exchange| exchange.request()?.sip());
            forms.push((status.to_string(), message.number, forms::of_answer(sip, request)));
        }
    }
    if !forms.is_empty() {
        page.forms("pcscf", &forms);
    }
    let silent = seen.exchanges.iter().filter(|exchange| exchange.last().is_none() && exchange.request().is_some());
    if let Some(message) = silent.into_iter().find_map(|exchange| exchange.request()) {
        page.unknown(&format!("message {} has no final answer", message.number));
    }
}

/// Protected client ports beyond the first.
const POOL: u16 = 63;
