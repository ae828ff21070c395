//! Choosing and comparing security mechanisms (RFC 3329 clause 2, TS 33.203 clause 7.2).

use super::association::{Algorithms, Encryption, Endpoint, Integrity, Mod};
use crate::decimal::Decimal;
use crate::identity::Spi;
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};
use std::cmp::Reverse;
use std::fmt::Write;

/// An element of a security header that can become a set of SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The pair it names.
    pub algorithms: Algorithms,
    /// How ESP would go over IP.
    pub mode: Mod,
    /// SPIs and ports of whoever wrote it.
    pub endpoint: Endpoint,
    /// q in thousandths.
    pub q: u16,
}

/// The elements of `list` that are usable ipsec-3gpp mechanisms: known and valid algorithm pair, `prot=esp` and
/// `mod` trans or UDP-enc-tun by value or default, all SPIs and ports present, SPIs above 255 and distinct, ports distinct
/// and not 5060 or 5061. `skipped` gets the unknown values, for one event.
pub fn usable(list: &Mechanisms<'_>, skipped: &mut String) -> Vec<Offer> {
    offers(list, skipped).collect()
}

/// The same one by one.
pub fn offers<'l>(list: &'l Mechanisms<'_>, skipped: &'l mut String) -> impl Iterator<Item = Offer> + 'l {
    list.0.iter().filter_map(|mechanism| offer(mechanism, skipped))
}

/// The P-CSCF's choice: the first mode that the UE offered with any pair of the P-CSCF's own priority list, and with it
/// the first of these pairs (TS 33.203 clauses 7.2 and M.7.1).
pub fn choose_at_pcscf(
    priority: &[Algorithms],
    modes: &[Mod],
    offers: impl IntoIterator<Item = Offer>,
) -> Option<Offer> {
    let mut choice = Choice::new(priority, modes);
    offers.into_iter().for_each(|offer| choice.take(offer));
    choice.best.map(|(_, offer)| offer)
}

/// The same, while a list is read.
#[derive(Debug)]
pub struct Choice<'p> {
    priority: &'p [Algorithms],
    modes: &'p [Mod],
    best: Option<((usize, usize), Offer)>,
    /// The unknown values, for one event.
    skipped: String,
}

impl<'p> Choice<'p> {
    /// Nothing is offered yet.
    pub const fn new(priority: &'p [Algorithms], modes: &'p [Mod]) -> Self {
        Self { priority, modes, best: None, skipped: String::new() }
    }

    /// The next element of the list.
    pub fn see(&mut self, mechanism: &Mechanism<'_>) {
        if let Some(offer) = offer(mechanism, &mut self.skipped) {
            self.take(offer);
        }
    }

    /// An element of the list that cannot be read.
    pub fn see_malformed(&mut self, fault: &str) {
        note(&mut self.skipped, "fault", fault);
    }

    /// The choice, and the unknown values.
    pub fn made(self) -> (Option<Offer>, String) {
        (self.best.map(|(_, offer)| offer), self.skipped)
    }

    fn take(&mut self, offer: Offer) {
        let mode = self.modes.iter().position(|mode| *mode == offer.mode);
        let pair = self.priority.iter().position(|pair| *pair == offer.algorithms);
        // Of equal ones the first.
        if let Some(rank) = mode.zip(pair).filter(|rank| self.best.is_none_or(|(best, _)| *rank < best)) {
            self.best = Some((rank, offer));
        }
    }
}

/// The UE's choice: the first element of Security-Server, by q and then by order, whose pair and mode it offered.
pub fn choose_at_ue(server: &Mechanisms<'_>, offered: &[Algorithms], modes: &[Mod]) -> Option<Offer> {
    let mut offers = usable(server, &mut String::new());
    // A stable sort: equal q keeps the order of the header.
    offers.sort_by_key(|o| Reverse(o.q));
    offers.into_iter().find(|o| offered.contains(&o.algorithms) && modes.contains(&o.mode))
}

/// The static list of a P-CSCF for UEs that it has seen behind a NAT, or for all others: its pairs, the best first, each
/// with the same SPIs and ports. The values of q differ (RFC 3329 clause 2.2).
pub fn static_list(priority: &[Algorithms], mode: Mod, endpoint: Endpoint) -> impl Iterator<Item = Offer> + Clone {
    ranked_list(priority, &[], mode, endpoint)
}

/// The same with the values of q that a profile gives, in thousandths; it need not give all.
pub fn ranked_list(
    priority: &[Algorithms],
    ranks: &[u16],
    mode: Mod,
    endpoint: Endpoint,
) -> impl Iterator<Item = Offer> + Clone {
    let step = if priority.len() <= 10 { 100 } else { 1_000 / priority.len() };
    priority.iter().enumerate().map(move |(i, &algorithms)| {
        let own = || u16::try_from((priority.len() - i) * step).unwrap_or(1_000);
        let q = ranks.get(i).copied().unwrap_or_else(own);
        Offer { algorithms, mode, endpoint, q }
    })
}

/// True when both lists hold the same elements in the same order: mechanism and every parameter as a set, defaults
/// filled in, numbers compared as numbers, tokens in any case.
pub fn same(a: &Mechanisms<'_>, b: &Mechanisms<'_>) -> bool {
    a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(|(a, b)| same_element(a, b))
}

/// True when `list` is what [`write_element`] makes of `written`: [`same`] without the text.
pub fn is_copy_of(list: &Mechanisms<'_>, written: impl IntoIterator<Item = Offer>) -> bool {
    let mut theirs = list.0.iter();
    written.into_iter().all(|o| theirs.next().is_some_and(|m| is_element(m, &o))) && theirs.next().is_none()
}

/// Appends one ipsec-3gpp element. `q`: in thousandths.
pub fn write_element(out: &mut String, algorithms: Algorithms, mode: Mod, endpoint: &Endpoint, q: Option<u16>) {
    out.push_str("ipsec-3gpp");
    if let Some(q) = q {
        out.push_str(";q=");
        write_q(out, q);
    }
    out.push_str(";alg=");
    out.push_str(algorithms.integrity.as_str());
    out.push_str(";prot=esp;mod=");
    out.push_str(mode.as_str());
    out.push_str(";ealg=");
    out.push_str(algorithms.encryption.as_str());
    out.push_str(&numbers(endpoint));
}

/// The static list of a P-CSCF as text, all but the numbers of a set.
#[derive(Clone, Debug)]
pub struct StaticText(Box<[Box<str>]>);

impl StaticText {
    /// Of the list that [`static_list`] makes.
    pub fn new(priority: &[Algorithms], mode: Mod) -> Self {
        Self::ranked(priority, &[], mode)
    }

    /// Of the list that [`ranked_list`] makes.
    pub fn ranked(priority: &[Algorithms], ranks: &[u16], mode: Mod) -> Self {
        let none = Endpoint { spi_c: Spi(0), spi_s: Spi(0), port_c: 0, port_s: 0 };
        let head = |offer: Offer| {
            let mut text = String::new();
            write_element(&mut text, offer.algorithms, mode, &none, Some(offer.q));
            text.truncate(text.len() - numbers(&none).len());
            text.into()
        };
        Self(ranked_list(priority, ranks, mode, none).map(head).collect())
    }

    /// The list of one set: what [`write_element`] writes, with commas between.
    pub fn with(&self, endpoint: &Endpoint) -> String {
        let numbers = numbers(endpoint);
        let mut out = String::with_capacity(self.0.iter().map(|head| ", ".len() + head.len() + numbers.len()).sum());
        for head in &self.0 {
            out.push_str(if out.is_empty() { "" } else { ", " });
            out.push_str(head);
            out.push_str(&numbers);
        }
        out
    }

    /// True when `text` is what [`StaticText::with`] writes.
    pub fn is(&self, text: &str, endpoint: &Endpoint) -> bool {
        let Some((first, others)) = self.0.split_first() else { return text.is_empty() };
        let Some(mut rest) = text.strip_prefix(&**first) else { return false };
        // The same numbers stand in every element.
        let Some(numbers) = leading_numbers(rest, endpoint) else { return false };
        rest = &rest[numbers.len()..];
        for head in others {
            let element = rest.strip_prefix(", ").and_then(|rest| rest.strip_prefix(&**head));
            let Some(behind) = element.and_then(|rest| rest.strip_prefix(numbers)) else { return false };
            rest = behind;
        }
        rest.is_empty()
    }
}

/// True for an element that can be compared at all: kept so that callers need not know the grammar.
pub fn is_ipsec_3gpp(mechanism: &Mechanism<'_>) -> bool {
    mechanism.name == "ipsec-3gpp" || mechanism.name.eq_ignore_ascii_case("ipsec-3gpp")
}

fn offer(m: &Mechanism<'_>, skipped: &mut String) -> Option<Offer> {
    if !is_ipsec_3gpp(m) {
        // Elements of media plane security live in the same headers and are not ours (TS 24.229 clause 5.1.1.2.2).
        if !m.params.has("mediasec") {
            note(skipped, "mechanism", m.name);
        }
        return None;
    }
    let integrity = m.alg.and_then(|text| known(text, "alg", Integrity::from_token(text), skipped));
    let encryption = match m.ealg {
        None => Some(Encryption::Null),
        Some(text) => known(text, "ealg", Encryption::from_token(text), skipped),
    };
    let is_esp = |p: &str| p == "esp" || p.eq_ignore_ascii_case("esp");
    let protocol = m.prot.is_none_or(|p| is_esp(p) || note(skipped, "prot", p));
    let mode = match m.mode {
        None => Some(Mod::Trans),
        Some(text) => known(text, "mod", Mod::from_token(text), skipped),
    };
    let algorithms = Algorithms { integrity: integrity?, encryption: encryption? };
    let endpoint = Endpoint { spi_c: Spi(m.spi_c?), spi_s: Spi(m.spi_s?), port_c: m.port_c?, port_s: m.port_s? };
    let mode = mode?;
    let offer = Offer { algorithms, mode, endpoint, q: m.q };
    (protocol && algorithms.is_valid() && is_sound(&endpoint)).then_some(offer)
}

fn known<T>(text: &str, name: &str, value: Option<T>, skipped: &mut String) -> Option<T> {
    if value.is_none() {
        note(skipped, name, text);
    }
    value
}

/// Lists `name=value` once. Returns false, for use in conditions.
fn note(skipped: &mut String, name: &str, value: &str) -> bool {
    let seen = skipped.split(", ").any(|s| s.split_once('=').is_some_and(|(n, v)| n == name && v == value));
    // What a UE writes must not fill the log.
    if !seen && skipped.len() < 256 {
        let comma = if skipped.is_empty() { "" } else { ", " };
        write!(skipped, "{comma}{name}={}", value.get(..40).unwrap_or(value)).expect("a String takes everything");
    }
    false
}

/// TS 33.203 clause 7.1 and RFC 4303 clause 2.1.
fn is_sound(e: &Endpoint) -> bool {
    let port = |p: u16| p != 0 && p != 5060 && p != 5061;
    e.spi_c >= Spi::FIRST
        && e.spi_s >= Spi::FIRST
        && e.spi_c != e.spi_s
        && e.port_c != e.port_s
        && port(e.port_c)
        && port(e.port_s)
}

fn same_element(a: &Mechanism<'_>, b: &Mechanism<'_>) -> bool {
    let token = |x: Option<&str>, y: Option<&str>, default: &str| {
        x.unwrap_or(default).eq_ignore_ascii_case(y.unwrap_or(default))
    };
    a.name.eq_ignore_ascii_case(b.name)
        && a.q == b.q
        && token(a.alg, b.alg, "")
        && token(a.ealg, b.ealg, "null")
        && token(a.prot, b.prot, "esp")
        && token(a.mode, b.mode, "trans")
        && (a.spi_c, a.spi_s, a.port_c, a.port_s) == (b.spi_c, b.spi_s, b.port_c, b.port_s)
        && extras(a).count() == extras(b).count()
        && extras(a).all(|x| extras(b).any(|y| same_parameter(x, y)))
}

fn is_element(m: &Mechanism<'_>, o: &Offer) -> bool {
    is_ipsec_3gpp(m)
        && m.q == o.q
        && m.alg.and_then(Integrity::from_token) == Some(o.algorithms.integrity)
        && m.ealg.map_or(Some(Encryption::Null), Encryption::from_token) == Some(o.algorithms.encryption)
        && m.prot.is_none_or(|p| p.eq_ignore_ascii_case("esp"))
        && m.mode.map_or(Some(Mod::Trans), Mod::from_token) == Some(o.mode)
        && (m.spi_c, m.spi_s) == (Some(o.endpoint.spi_c.0), Some(o.endpoint.spi_s.0))
        && (m.port_c, m.port_s) == (Some(o.endpoint.port_c), Some(o.endpoint.port_s))
        && extras(m).next().is_none()
}

/// Parameters that [`Mechanism`] has no field for.
fn extras<'a>(m: &Mechanism<'a>) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
    m.params.iter().filter(|(name, _)| !FIELDS.iter().any(|f| f.eq_ignore_ascii_case(name)))
}

fn same_parameter(a: (&str, Option<&str>), b: (&str, Option<&str>)) -> bool {
    a.0.eq_ignore_ascii_case(b.0)
        && match (a.1, b.1) {
            (Some(x), Some(y)) => x.eq_ignore_ascii_case(y),
            (x, y) => x == y,
        }
}

/// SPIs and ports as parameters.
fn numbers(endpoint: &Endpoint) -> String {
    let mut out = Vec::with_capacity(LONGEST_NUMBERS);
    for (name, number) in named_numbers(endpoint) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(Decimal::new(number).as_bytes());
    }
    String::from_utf8(out).expect("names and digits")
}

/// What [`numbers`] writes, where `text` begins with it.
fn leading_numbers<'a>(text: &'a str, endpoint: &Endpoint) -> Option<&'a str> {
    let mut rest = text.as_bytes();
    for (name, number) in named_numbers(endpoint) {
        rest = rest.strip_prefix(name.as_bytes())?.strip_prefix(Decimal::new(number).as_bytes())?;
    }
    text.get(..text.len() - rest.len())
}

fn named_numbers(endpoint: &Endpoint) -> [(&'static str, u32); 4] {
    let Endpoint { spi_c, spi_s, port_c, port_s } = *endpoint;
    [(";spi-c=", spi_c.0), (";spi-s=", spi_s.0), (";port-c=", port_c.into()), (";port-s=", port_s.into())]
}

fn write_q(out: &mut String, q: u16) {
    if q >= 1_000 {
        out.push('1');
    } else {
        let digits = format!("{q:03}");
        out.push_str("0.");
        out.push_str(match digits.trim_end_matches('0') {
            "" => "0",
            short => short,
        });
    }
}

/// Four parameters of an element with the largest numbers there are.
const LONGEST_NUMBERS: usize = ";spi-c=4294967295;spi-s=4294967295;port-c=65535;port-s=65535".len();

const FIELDS: [&str; 9] = ["q", "alg", "ealg", "prot", "mod", "spi-c", "spi-s", "port-c", "port-s"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::HeaderName;

    const SHA_AES: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
    const SHA_NULL: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null };
    const MD5_NULL: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };
    const HERE: Endpoint = Endpoint { spi_c: Spi(1_000), spi_s: Spi(1_001), port_c: 5_100, port_s: 6_100 };
    const TRANS: &[Mod] = &[Mod::Trans];
    const TAIL: &str = ";spi-c=1000;spi-s=1001;port-c=5100;port-s=6100";

    fn list(elements: &[String]) -> Mechanisms<'_> {
        Mechanisms(elements.iter().map(|e| Mechanism::parse(HeaderName::SecurityServer, e).unwrap()).collect())
    }

    fn with_tail(heads: &[&str]) -> Vec<String> {
        heads.iter().map(|h| format!("ipsec-3gpp;{h}{TAIL}")).collect()
    }

    #[test]
    fn the_first_pair_of_the_priority_list_wins_whatever_the_order_of_the_offer() {
        let text = with_tail(&["q=0.9;alg=hmac-md5-96", "q=0.1;alg=hmac-sha-1-96;ealg=aes-cbc"]);
        let offers = usable(&list(&text), &mut String::new());
        assert_eq!(choose_at_pcscf(&[SHA_AES, MD5_NULL], TRANS, offers.clone()).unwrap().algorithms, SHA_AES);
        assert_eq!(choose_at_pcscf(&[SHA_NULL, MD5_NULL], TRANS, offers.clone()).unwrap().algorithms, MD5_NULL);
        assert_eq!(choose_at_pcscf(&[SHA_NULL], TRANS, offers), None);
    }

    #[test]
    fn the_ue_goes_by_q_then_by_order() {
        let text =
            with_tail(&["q=0.1;alg=hmac-md5-96", "q=0.5;alg=hmac-sha-1-96", "q=0.5;alg=hmac-sha-1-96;ealg=aes-cbc"]);
        let server = list(&text);
        assert_eq!(choose_at_ue(&server, &[MD5_NULL, SHA_AES, SHA_NULL], TRANS).unwrap().algorithms, SHA_NULL);
        assert_eq!(choose_at_ue(&server, &[MD5_NULL, SHA_AES], TRANS).unwrap().algorithms, SHA_AES);
        assert_eq!(choose_at_ue(&server, &[], TRANS), None);
    }

    /// TS 33.203 clause M.7.1: behind a NAT the tunnel and nothing else, elsewhere transport mode.
    #[test]
    fn the_mode_comes_first() {
        let text = with_tail(&[
            "alg=hmac-sha-1-96;ealg=aes-cbc",
            "alg=hmac-sha-1-96;mod=UDP-enc-tun",
            "alg=hmac-md5-96;mod=udp-ENC-tun",
            "alg=hmac-sha-1-96;mod=tun",
        ]);
        let mut skipped = String::new();
        let offers = usable(&list(&text), &mut skipped);
        assert_eq!(skipped, "mod=tun");
        let priority = [SHA_AES, MD5_NULL, SHA_NULL];
        let tunnel = [Mod::UdpEncTun];
        let both = [Mod::UdpEncTun, Mod::Trans];
        for (modes, chosen) in
            [(TRANS, (SHA_AES, Mod::Trans)), (&tunnel, (MD5_NULL, Mod::UdpEncTun)), (&both, (MD5_NULL, Mod::UdpEncTun))]
        {
            let choice = choose_at_pcscf(&priority, modes, offers.clone()).unwrap();
            assert_eq!((choice.algorithms, choice.mode), chosen);
            assert_eq!(choose_at_pcscf(&priority, modes, offers[..1].iter().copied()).is_some(), modes != tunnel);
        }
        let server = list(&text);
        assert_eq!(choose_at_ue(&server, &priority, TRANS).unwrap().algorithms, SHA_AES);
        assert_eq!(choose_at_ue(&server, &priority, &tunnel).unwrap().mode, Mod::UdpEncTun);
        let sent: Vec<_> = static_list(&priority, Mod::UdpEncTun, HERE).collect();
        let written = StaticText::new(&priority, Mod::UdpEncTun).with(&HERE);
        assert!(written.starts_with("ipsec-3gpp;q=0.3;alg=hmac-sha-1-96;prot=esp;mod=UDP-enc-tun;ealg=aes-cbc;spi-c="));
        let as_trans = written.replace("UDP-enc-tun", "trans");
        for (text, same) in [(written, true), (as_trans, false)] {
            let read = Mechanisms::parse(HeaderName::SecurityVerify, std::iter::once(&*text)).unwrap();
            assert_eq!(is_copy_of(&read, sent.iter().copied()), same);
        }
    }

    #[test]
    fn unknown_values_are_skipped_and_named_once() {
        let mut text = with_tail(&[
            "alg=hmac-sha-2-256-128",
            "alg=hmac-sha-2-256-128;ealg=aes-gcm-16",
            "alg=hmac-sha-1-96;prot=ah",
            "alg=HMAC-SHA-1-96;ealg=NULL;prot=ESP;mod=Trans",
        ]);
        text.push("tls;q=0.3".into());
        text.push("sdes-srtp;mediasec".into());
        let mut skipped = String::new();
        let offers = usable(&list(&text), &mut skipped);
        assert_eq!(offers.iter().map(|o| o.algorithms).collect::<Vec<_>>(), [SHA_NULL]);
        assert_eq!(skipped, "alg=hmac-sha-2-256-128, ealg=aes-gcm-16, prot=ah, mechanism=tls");
    }

    #[test]
    fn reserved_and_equal_numbers_are_not_usable() {
        for tail in [
            ";spi-c=255;spi-s=1001;port-c=5100;port-s=6100",
            ";spi-c=1001;spi-s=1001;port-c=5100;port-s=6100",
            ";spi-c=1000;spi-s=1001;port-c=6100;port-s=6100",
            ";spi-c=1000;spi-s=1001;port-c=5060;port-s=6100",
            ";spi-c=1000;spi-s=1001;port-c=5100;port-s=5061",
            ";spi-c=1000;port-c=5100;port-s=6100",
        ] {
            let text = [format!("ipsec-3gpp;alg=hmac-sha-1-96{tail}")];
            assert_eq!(usable(&list(&text), &mut String::new()), [], "{tail}");
        }
        let null =
            with_tail(&["alg=null;ealg=null", "alg=null;ealg=aes-gcm", "alg=aes-gmac", "alg=aes-gmac;ealg=aes-cbc"]);
        assert_eq!(usable(&list(&null), &mut String::new()).len(), 2, "only the pairs of annex H");
    }

    #[test]
    fn lists_compare_by_parameter() {
        let sent = with_tail(&["q=0.1;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=null", "q=0.2;alg=hmac-md5-96"]);
        let sent = list(&sent);
        let tail = " ; port-s = 6100;port-c=05100;SPI-S=1001;spi-c=1000";
        let reordered = [
            format!("IPSEC-3GPP;alg=HMAC-SHA-1-96{tail};q=0.100"),
            format!("ipsec-3gpp{tail};q=0.2;alg=hmac-md5-96;ealg=null;mod=trans"),
        ];
        assert!(same(&sent, &list(&reordered)));
        let swapped = [reordered[1].clone(), reordered[0].clone()];
        assert!(!same(&sent, &list(&swapped)), "order is part of the agreement");
        assert!(!same(&sent, &list(&reordered[..1])));
        let first = "alg=hmac-sha-1-96;q=0.1";
        for (from, to) in
            [("0.1", "0.101"), ("sha-1", "md5"), ("q=", "ealg=aes-cbc;q="), ("q=", "prot=ah;q="), ("q=", "x=1;q=")]
        {
            let changed = [format!("ipsec-3gpp;{}{TAIL}", first.replace(from, to)), reordered[1].clone()];
            assert!(!same(&sent, &list(&changed)), "{to}");
        }
    }

    #[test]
    fn what_is_written_is_recognised() {
        let pairs = [SHA_AES, SHA_NULL, MD5_NULL];
        let text: Vec<String> = static_list(&pairs, Mod::Trans, HERE)
            .map(|o| {
                let mut out = String::new();
                write_element(&mut out, o.algorithms, o.mode, &o.endpoint, Some(o.q));
                out
            })
            .collect();
        assert_eq!(
            text[0],
            "ipsec-3gpp;q=0.3;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc\
             ;spi-c=1000;spi-s=1001;port-c=5100;port-s=6100"
        );
        let (whole, joined) = (StaticText::new(&pairs, Mod::Trans), text.join(", "));
        assert_eq!(whole.with(&HERE), joined);
        assert!(whole.is(&joined, &HERE) && !whole.is(&joined, &Endpoint { port_s: 6_101, ..HERE }));
        assert!(!whole.is(&joined[1..], &HERE) && !whole.is(&format!("{joined},"), &HERE) && !whole.is("", &HERE));
        assert_eq!(StaticText::new(&[], Mod::Trans).with(&HERE), "");
        assert!(is_copy_of(&list(&text), static_list(&pairs, Mod::Trans, HERE)));
        assert!(!is_copy_of(&list(&text[..2]), static_list(&pairs, Mod::Trans, HERE)));
        assert!(!is_copy_of(&list(&text), static_list(&pairs[..2], Mod::Trans, HERE)));
        let other = Endpoint { port_s: 6_101, ..HERE };
        assert!(!is_copy_of(&list(&text), static_list(&pairs, Mod::Trans, other)));
    }

    #[test]
    fn q_is_written_in_its_shortest_form() {
        for (q, text) in [(1_000, "1"), (0, "0.0"), (100, "0.1"), (55, "0.055"), (990, "0.99")] {
            let mut out = String::new();
            write_q(&mut out, q);
            assert_eq!(out, text);
        }
    }
}
