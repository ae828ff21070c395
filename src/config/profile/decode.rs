//! From the tree to the profile.

use super::{
    ApplicationServerSection, DiameterIdentity, HssSection, IcscfSection, PcscfSection, Profile, ScscfSection,
    UeSection, forms,
};
use crate::config::TlsSection;
use crate::config::fault::Collector;
use crate::config::read::{self, Fields, Path, found};
use crate::config::subscribers::filter_criteria;
use crate::config::subscribers::value::{IMPU, USERNAME};
use crate::config::value::{
    ACCEPT, ALGORITHMS, CHALLENGE, COUNT, DATE, DELAY, DIAMETER_TRANSPORT, DURATION, ENCRYPTION, FLAG, HOST, HOST_PORT,
    INTEGRITY, INTERVAL, INVITE, IP, KEEP_ALIVE, LISTENER, MECHANISM, MODE, NAT, NUMBER, PEER, PLANE, PORT, PORTS, Q,
    REACTION, REALM, SAR_AT_REFRESH, SEC_AGREE, SIP_URI, SQN_SCHEME, TEXT, TOKEN, TRANSPORT, UE_TRANSPORT,
    UNAUTHENTICATED, URI_PARAMETERS, USER, WATCHDOG, WIRING,
};
use crate::config::yaml::{Node, Value};
use crate::cx::user_data::InitialFilterCriteria;
use crate::icscf::ScscfEntry;
use crate::ipsec::association::Algorithms;
use crate::scscf::Unauthenticated;
use crate::sip::transaction::Timers;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Reads every key that there is; what is wrong is noted.
pub(super) fn decode(root: &Node, faults: &mut Collector) -> Profile {
    let mut f = Fields::new(root, Path::Root, faults);
    // Read already, by `layers`.
    f.get("extends");
    let mut profile = Profile::default();
    match f.leaf("realm", REALM, faults) {
        Some(realm) => profile.realm = realm,
        None if f.get("realm").is_none() => f.missing("realm", REALM.expected, faults),
        None => {}
    }
    set(&mut profile.wiring, f.leaf("wiring", WIRING, faults));
    set(&mut profile.hosts, f.entries("hosts", HOST, IP, faults).map(|hosts| hosts.into_iter().collect()));
    set(&mut profile.core_transport, f.leaf("core_transport", TRANSPORT, faults));
    if let Some(mut t) = f.fields("timers", faults) {
        timers("gm", &mut profile.gm_timers, &mut t, faults);
        timers("core", &mut profile.core_timers, &mut t, faults);
        t.finish(faults);
    }
    if let Some(mut l) = f.fields("limits", faults) {
        let limits = &mut profile.limits;
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        set(&mut limits.transactions, l.leaf("transactions", COUNT, faults).map(number));
        set(&mut limits.waiting, l.leaf("waiting", COUNT, faults).map(number));
        set(&mut limits.longest_wait, l.leaf("longest_wait", DURATION, faults));
        set(&mut limits.retry_after, l.leaf("retry_after", DURATION, faults));
        l.finish(faults);
    }
    if let Some(mut d) = f.fields("diameter", faults) {
        let section = &mut profile.diameter;
        set(&mut section.watchdog, d.leaf("watchdog", WATCHDOG, faults));
        set(&mut section.reconnect, d.leaf("reconnect", DURATION, faults));
        set(&mut section.request_timeout, d.leaf("request_timeout", DURATION, faults));
        set(&mut section.accept_unknown_peers, d.leaf("accept_unknown_peers", FLAG, faults));
        if let Some(transports) = d.list("transports", DIAMETER_TRANSPORT, faults).filter(|list| !list.is_empty()) {
            section.transports = transports;
        }
        d.finish(faults);
    }
    if let Some(s) = f.fields("pcscf", faults) {
        pcscf(&mut profile.pcscf, s, faults);
    }
    if let Some(s) = f.fields("icscf", faults) {
        icscf(&mut profile.icscf, s, faults);
    }
    if let Some(s) = f.fields("scscf", faults) {
        scscf(&mut profile.scscf, s, faults);
    }
    if let Some(s) = f.fields("hss", faults) {
        hss(&mut profile.hss, s, faults);
    }
    if let Some(s) = f.fields("as", faults) {
        application_server(&mut profile.application_server, s, faults);
    }
    if let Some(s) = f.fields("ue", faults) {
        ue(&mut profile.ue, s, faults);
    }
    f.finish(faults);
    profile
}

fn pcscf(section: &mut PcscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    listeners(&mut section.listen, &mut f, faults);
    set_some(&mut section.host, f.leaf("host", HOST, faults));
    set(&mut section.port_s, f.leaf("port_s", PORT, faults));
    set(&mut section.port_c, f.leaf("port_c", PORTS, faults));
    set(&mut section.ipsec, f.leaf("ipsec", PLANE, faults));
    set(&mut section.esp_port, f.leaf("esp_port", PORT, faults));
    if let Some(tls) = f.fields("tls", faults) {
        section.tls = TlsSection::read(tls, faults);
    }
    let mechanisms = f.list("mechanisms", MECHANISM, faults);
    set(&mut section.mechanisms, mechanisms.filter(|list| !list.is_empty()));
    set(&mut section.sec_agree, f.leaf("sec_agree", SEC_AGREE, faults));
    set_some(&mut section.nat, f.leaf("nat", NAT, faults));
    algorithms(&mut section.algorithms, &mut f, faults);
    set(&mut section.q, f.list("q", Q, faults));
    set(&mut section.full_list_in_401, f.leaf("full_list_in_401", FLAG, faults));
    set(&mut section.next_hop, f.list("next_hop", HOST_PORT, faults));
    set_some(&mut section.core, f.leaf("core", LISTENER, faults));
    set_some(&mut section.visited_network, f.leaf("visited_network", TEXT, faults));
    set_some(&mut section.ioi, f.leaf("ioi", TEXT, faults));
    set_some(&mut section.many_ues_per_address, f.leaf("many_ues_per_address", FLAG, faults));
    set(&mut section.accept_challenge_without_keys, f.leaf("accept_challenge_without_keys", FLAG, faults));
    set(&mut section.trusted, f.list("trusted", IP, faults));
    set(&mut section.keep_alive, f.leaf("keep_alive", INTERVAL, faults));
    set(&mut section.subscribe, f.leaf("subscribe", FLAG, faults));
    set(&mut section.outbound, f.leaf("outbound", FLAG, faults));
    set(&mut section.options_interval, f.leaf("options_interval", INTERVAL, faults));
    set(&mut section.lines, lines(&mut f, faults));
    set(&mut section.strip_from_answers, f.list("strip_from_answers", TOKEN, faults));
    set(&mut section.forms, forms::of_answers(&mut f, faults));
    f.finish(faults);
}

fn icscf(section: &mut IcscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    listeners(&mut section.listen, &mut f, faults);
    set_some(&mut section.host, f.leaf("host", HOST, faults));
    set(&mut section.hss, f.list("hss", PEER, faults));
    set_some(&mut section.diameter_listen, f.leaf("diameter_listen", LISTENER, faults));
    if let Some(items) = f.items("scscfs", faults) {
        let path = Path::Key(&f.path, "scscfs");
        let entry = |(i, item)| {
            let mut f = Fields::new(item, Path::Index(&path, i), faults);
            let name = f.leaf("name", SIP_URI, faults);
            if name.is_none() && f.get("name").is_none() {
                f.missing("name", SIP_URI.expected, faults);
            }
            let capabilities = f.list("capabilities", NUMBER, faults).unwrap_or_default();
            f.finish(faults);
            Some(ScscfEntry { name: name?, capabilities })
        };
        section.scscfs = items.iter().enumerate().filter_map(entry).collect();
    }
    set(&mut section.trusted, f.list("trusted", IP, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

fn scscf(section: &mut ScscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    set_some(&mut section.name, f.leaf("name", SIP_URI, faults));
    listeners(&mut section.listen, &mut f, faults);
    set_some(&mut section.icscf, f.leaf("icscf", HOST_PORT, faults));
    set(&mut section.hss, f.list("hss", PEER, faults));
    set_some(&mut section.diameter_listen, f.leaf("diameter_listen", LISTENER, faults));
    if let Some(mut e) = f.fields("expires", faults) {
        let given = e.get("default").is_some();
        set(&mut section.min_expires, e.leaf("min", DURATION, faults));
        set(&mut section.max_expires, e.leaf("max", DURATION, faults));
        set(&mut section.default_expires, e.leaf("default", DURATION, faults));
        if section.min_expires > section.max_expires {
            let at = e.get("max").or_else(|| e.get("min")).unwrap_or_else(|| e.node());
            let message = format!("{} found, a time not below expires.min expected", found(at, ""));
            faults.at(at, Path::Key(&e.path, "max"), message);
        } else if !given {
            section.default_expires = section.default_expires.clamp(section.min_expires, section.max_expires);
        }
        e.finish(faults);
    }
    set_some(&mut section.max_subscription, f.leaf("max_subscription", DURATION, faults));
    set(&mut section.reg_await_auth, f.leaf("reg_await_auth", DURATION, faults));
    set(&mut section.challenge, f.leaf("challenge", CHALLENGE, faults));
    set(&mut section.sar_at_refresh, f.leaf("sar_at_refresh", SAR_AT_REFRESH, faults));
    set(&mut section.aka_without_sa, f.leaf("aka_without_sa", ACCEPT, faults));
    if let Some(qop) = f.leaf("qop", TEXT, faults) {
        section.qop = (&*qop != "none").then_some(qop);
    }
    set(&mut section.scheme, f.leaf("scheme", TOKEN, faults));
    set(&mut section.akav2, f.leaf("akav2", FLAG, faults));
    set(&mut section.max_resyncs, f.leaf("max_resyncs", NUMBER, faults));
    set(&mut section.max_flows, f.leaf("max_flows", COUNT, faults));
    set_some(&mut section.ioi, f.leaf("ioi", TEXT, faults));
    set(&mut section.store_server_name, f.leaf("store_server_name", FLAG, faults));
    set(&mut section.restoration, f.leaf("restoration", FLAG, faults));
    set(&mut section.shared_ifc_sets, shared_ifc_sets(&mut f, faults));
    if let Some(mut d) = f.fields("digest", faults) {
        let digest = &mut section.digest;
        set(&mut digest.nonce_lifetime, d.leaf("nonce_lifetime", DURATION, faults));
        set_some(&mut digest.opaque, d.leaf("opaque", USERNAME, faults));
        set(&mut digest.date, d.leaf("date", DATE, faults));
        set(&mut digest.parallel_contacts, d.leaf("parallel_contacts", FLAG, faults));
        set_some(&mut digest.platform, d.leaf("platform", IMPU, faults));
        d.finish(faults);
    }
    set(&mut section.digest.proxy_auth, f.leaf("proxy_auth", FLAG, faults));
    if let Some(unauthenticated) = unauthenticated(&mut f, faults) {
        section.digest.unauthenticated = unauthenticated;
    }
    set(&mut section.extra_headers_in_200, f.entries("extra_headers_in_200", TOKEN, TEXT, faults));
    set(&mut section.trusted, f.list("trusted", IP, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

/// `shared_ifc_sets: [{id: NUMBER, ifc: [..]}]`
fn shared_ifc_sets(f: &mut Fields<'_>, faults: &mut Collector) -> Option<BTreeMap<u32, Vec<InitialFilterCriteria>>> {
    let items = f.items("shared_ifc_sets", faults)?;
    let path = Path::Key(&f.path, "shared_ifc_sets");
    let mut sets = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let mut set = Fields::new(item, Path::Index(&path, i), faults);
        let id = set.leaf("id", NUMBER, faults);
        if id.is_none() && set.get("id").is_none() {
            set.missing("id", NUMBER.expected, faults);
        }
        let criteria = filter_criteria::read(&mut set, faults).unwrap_or_default();
        set.finish(faults);
        if id.is_some_and(|id| sets.insert(id, criteria).is_some()) {
            let message = format!("set {} given twice, one expected", id.unwrap_or_default());
            faults.at(item, Path::Index(&path, i), message);
        }
    }
    Some(sets)
}

/// `lines: {ADDRESS: LINE}`
fn lines(f: &mut Fields<'_>, faults: &mut Collector) -> Option<BTreeMap<IpAddr, Box<str>>> {
    let entries = f.entries("lines", TEXT, USERNAME, faults)?;
    let mut lines = BTreeMap::new();
    for (address, line) in entries {
        match (IP.read)(&address) {
            Some(address) => drop(lines.insert(address, line)),
            None => {
                let message = format!("\"{address}\" found, {} expected", IP.expected);
                faults.at(f.node_of("lines"), Path::Key(&f.path, "lines"), message);
            }
        }
    }
    Some(lines)
}

/// `unauthenticated: nobody`, `everybody`, or a list of identities.
fn unauthenticated(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Unauthenticated> {
    match &f.get("unauthenticated")?.value {
        Value::List(_) => f.list("unauthenticated", IMPU, faults).map(Unauthenticated::These),
        _ => f.leaf("unauthenticated", UNAUTHENTICATED, faults),
    }
}

fn hss(section: &mut HssSection, mut f: Fields<'_>, faults: &mut Collector) {
    set(&mut section.listen, f.leaf("listen", LISTENER, faults));
    set(&mut section.peers, f.list("peers", PEER, faults));
    set(&mut section.visited_networks, f.list("visited_networks", TEXT, faults));
    set(&mut section.capabilities, capabilities(&mut f, faults));
    set(&mut section.store_server_name, f.leaf("store_server_name", FLAG, faults));
    set(&mut section.sqn, f.leaf("sqn", SQN_SCHEME, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

fn application_server(section: &mut ApplicationServerSection, mut f: Fields<'_>, faults: &mut Collector) {
    set_some(&mut section.name, f.leaf("name", SIP_URI, faults));
    listeners(&mut section.listen, &mut f, faults);
    set(&mut section.register.reaction, f.leaf("register", REACTION, faults));
    set(&mut section.register.delay, f.leaf("register_delay", DELAY, faults));
    set(&mut section.requests.reaction, f.leaf("requests", REACTION, faults));
    set(&mut section.requests.delay, f.leaf("requests_delay", DELAY, faults));
    set(&mut section.subscribe, f.leaf("subscribe", FLAG, faults));
    f.finish(faults);
}

fn ue(section: &mut UeSection, mut f: Fields<'_>, faults: &mut Collector) {
    set(&mut section.address, f.leaf("address", LISTENER, faults));
    set_some(&mut section.port_c, f.leaf("port_c", PORT, faults));
    set_some(&mut section.port_s, f.leaf("port_s", PORT, faults));
    set(&mut section.port_c_pool, f.leaf("port_c_pool", PORT, faults));
    set(&mut section.transport, f.leaf("transport", UE_TRANSPORT, faults));
    set(&mut section.ipsec, f.leaf("ipsec", PLANE, faults));
    set(&mut section.esp_port, f.leaf("esp_port", PORT, faults));
    set(&mut section.sec_agree, f.leaf("sec_agree", SEC_AGREE, faults));
    algorithms(&mut section.algorithms, &mut f, faults);
    set(&mut section.modes, f.list("modes", MODE, faults).filter(|list| !list.is_empty()));
    set(&mut section.expires, f.leaf("expires", DURATION, faults));
    if let Some(mut r) = f.fields("retry", faults) {
        set(&mut section.retry.base, r.leaf("base", DURATION, faults));
        set(&mut section.retry.max, r.leaf("max", DURATION, faults));
        set_some(&mut section.retry.attempts, r.leaf("attempts", COUNT, faults));
        r.finish(faults);
    }
    set(&mut section.instance, f.leaf("instance", TEXT, faults).map(some_text));
    set_some(&mut section.contact_user, f.leaf("contact_user", USER, faults));
    set(&mut section.contact_parameters, f.leaf("contact_parameters", URI_PARAMETERS, faults));
    set(&mut section.features, f.leaf("features", TEXT, faults));
    set(&mut section.access_network, f.leaf("access_network", TEXT, faults).map(some_text));
    set(&mut section.user_agent, f.leaf("user_agent", TEXT, faults));
    set(&mut section.invite, f.leaf("invite", INVITE, faults));
    set(&mut section.keep_alive, f.leaf("keep_alive", KEEP_ALIVE, faults));
    set(&mut section.refresh, f.leaf("refresh", FLAG, faults));
    set(&mut section.subscribe, f.leaf("subscribe", FLAG, faults));
    set_some(&mut section.reg_id, f.leaf("reg_id", COUNT, faults));
    set_some(&mut section.second_flow, f.leaf("second_flow", LISTENER, faults));
    set(&mut section.gruu, f.leaf("gruu", FLAG, faults));
    set(&mut section.emergency, f.leaf("emergency", FLAG, faults));
    set_some(&mut section.forms, forms::of_requests(&mut f, faults));
    f.finish(faults);
}

fn timers(key: &'static str, timers: &mut Timers, parent: &mut Fields<'_>, faults: &mut Collector) {
    let Some(mut f) = parent.fields(key, faults) else { return };
    set(&mut timers.t1, f.leaf("t1", DURATION, faults));
    set(&mut timers.t2, f.leaf("t2", DURATION, faults));
    set(&mut timers.t4, f.leaf("t4", DURATION, faults));
    f.finish(faults);
}

fn listeners(slot: &mut Vec<SocketAddr>, f: &mut Fields<'_>, faults: &mut Collector) {
    let Some(list) = f.list("listen", LISTENER, faults) else { return };
    match f.get("listen") {
        Some(node) if matches!(&node.value, Value::List(items) if items.is_empty()) => {
            let message = format!("an empty list found, {} expected", LISTENER.expected);
            faults.at(node, Path::Key(&f.path, "listen"), message);
        }
        _ => *slot = list,
    }
}

fn identity(slot: &mut DiameterIdentity, f: &mut Fields<'_>, faults: &mut Collector) {
    set_some(&mut slot.origin_host, f.leaf("origin_host", HOST, faults));
    set_some(&mut slot.origin_realm, f.leaf("origin_realm", HOST, faults));
}

/// `capabilities: {mandatory: [1], optional: [2]}`, of the HSS and of a subscriber.
pub(in crate::config) fn capabilities(f: &mut Fields<'_>, faults: &mut Collector) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut c = f.fields("capabilities", faults)?;
    let mandatory = c.list("mandatory", NUMBER, faults).unwrap_or_default();
    let optional = c.list("optional", NUMBER, faults).unwrap_or_default();
    c.finish(faults);
    Some((mandatory, optional))
}

/// `algorithms: [[alg, ealg], ..]`, or `alg/ealg` where a flag gives it.
fn algorithms(slot: &mut Vec<Algorithms>, f: &mut Fields<'_>, faults: &mut Collector) {
    let Some(node) = f.get("algorithms") else { return };
    let path = Path::Key(&f.path, "algorithms");
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut pairs = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let path = Path::Index(&path, i);
        let pair = match &item.value {
            Value::List(pair) => match pair.as_slice() {
                [integrity, encryption] => {
                    let integrity = read::leaf(integrity, Path::Index(&path, 0), INTEGRITY, faults);
                    let encryption = read::leaf(encryption, Path::Index(&path, 1), ENCRYPTION, faults);
                    let (Some(integrity), Some(encryption)) = (integrity, encryption) else { continue };
                    Some(Algorithms { integrity, encryption }).filter(|pair| pair.is_valid())
                }
                _ => None,
            },
            Value::Text(text) => (ALGORITHMS.read)(text),
            _ => None,
        };
        match pair {
            Some(pair) => pairs.push(pair),
            None => faults.at(item, path, format!("{} found, {} expected", pair_found(item), ALGORITHMS.expected)),
        }
    }
    if items.is_empty() {
        faults.at(node, path, format!("an empty list found, {} expected", ALGORITHMS.expected));
    }
    *slot = pairs;
}

fn pair_found(node: &Node) -> String {
    let Value::List(items) = &node.value else { return found(node, "") };
    let words: Vec<String> = items
        .iter()
        .map(|n| if let Value::Text(t) = &n.value { (**t).to_owned() } else { "null".to_owned() })
        .collect();
    format!("[{}]", words.join(", "))
}

/// `""` takes away what another profile says.
fn some_text(text: Box<str>) -> Option<Box<str>> {
    (!text.is_empty()).then_some(text)
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn set_some<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}
