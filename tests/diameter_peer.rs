//! Peer connections in virtual time: nodes that see nothing but packets, connections and the clock.

use imsreg::cx::envelope::encode_fault;
use imsreg::cx::{Uar, VENDOR};
use imsreg::diameter::peer::{self, Node, NodeConfig, PeerConfig, PeerId, Received, RequestFailure};
use imsreg::diameter::{Avps, Header, Writer, dictionary as d};
use imsreg::event::{Role, What};
use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::time::{Duration, Epoch, Instant};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

const CSCF: usize = 0;

#[test]
fn handshake_request_watchdog_disconnect() {
    let mut w = World::new(&["icscf", "hss"]);
    w.start(CSCF);
    w.expect(&["0.000 icscf>hss CER", "0.000 hss>icscf CEA 2001"]);
    w.request(CSCF, 7);
    w.expect(&["0.000 icscf>hss UAR", "0.000 hss>icscf UAA 2001"]);
    assert_eq!(w.answered, [7]);

    // Idle for Tw: either side asks, and the answer keeps both quiet for another Tw.
    w.run(Duration::from_secs(33));
    let log = w.take_log();
    assert!(log.len() == 2 && log[0].ends_with(" DWR") && log[1].ends_with(" DWA 2001"), "{log:?}");
    let at: f64 = log[0].split(' ').next().unwrap().parse().unwrap();
    assert!((28.0..=32.0).contains(&at), "Tw is 30 s and two to either side: {at}");

    w.stop(1);
    let t = w.now;
    w.expect(&[&format!("{} hss>icscf DPR", secs(t)), &format!("{} icscf>hss DPA 2001", secs(t))]);
    assert_eq!(w.open_connections(), 0);
    // Not at once again (RFC 6733 clause 5.4), but after Tc; and no three DWAs, for nothing went wrong.
    w.nodes[1].node = node(1, &[]);
    w.run(Duration::from_secs(31));
    let again = t + Duration::from_secs(30);
    w.expect(&[&format!("{} icscf>hss CER", secs(again)), &format!("{} hss>icscf CEA 2001", secs(again))]);
    assert!(w.nodes[CSCF].node.is_open());
}

#[test]
fn busy_connections_need_no_watchdog() {
    let mut w = World::new(&["icscf", "hss"]);
    w.start(CSCF);
    for i in 0..20 {
        w.run(Duration::from_secs(10));
        w.request(CSCF, i);
    }
    assert!(!w.take_log().iter().any(|line| line.contains("DWR")));
}

#[test]
fn a_silent_peer_becomes_suspect_its_requests_go_elsewhere_and_it_is_closed() {
    let mut w = World::new(&["icscf", "hss1", "hss2"]);
    w.config(CSCF, |c| c.request_timeout = Duration::from_secs(100));
    w.start(CSCF);
    w.take_log();
    w.nodes[1].hung = true;
    w.request(CSCF, 1);
    let first = w.last_request();
    w.run(Duration::from_secs(100));
    let log: Vec<String> =
        w.take_log().into_iter().filter(|line| !line.contains("hss2 DW") && !line.contains("icscf DW")).collect();
    assert_eq!(
        without_time(&log[..4]),
        ["icscf>hss1 UAR", "icscf>hss1 DWR", "icscf>hss2 UAR T", "hss2>icscf UAA 2001"]
    );
    assert_eq!(w.answered, [1]);
    let second = w.last_request();
    assert_eq!(second.end_to_end, first.end_to_end);
    assert!(second.retransmitted && !first.retransmitted);
    // Tw, DWR; Tw, failover; Tw, close.
    assert!((56.0..=64.0).contains(&time(&log[2])), "{log:?}");
    assert!(
        w.nodes[CSCF].events.iter().any(|e| matches!(e, What::PeerDown { cause, .. } if cause == "no answer to DWR"))
    );
    w.request(CSCF, 2);
    assert_eq!(without_time(&w.take_log()), ["icscf>hss2 UAR", "hss2>icscf UAA 2001"]);

    // It comes back: three DWAs, a Tw apart, before it is preferred again.
    w.nodes[1].hung = false;
    w.run(Duration::from_secs(40));
    w.request(CSCF, 3);
    assert_eq!(w.last_to, "hss2");
    let log = w.take_log();
    assert!(log.iter().any(|line| line.ends_with("hss1>icscf CEA 2001")), "{log:?}");
    w.run(Duration::from_secs(100));
    let dwas = log.iter().chain(&w.take_log()).filter(|line| line.ends_with("hss1>icscf DWA 2001")).count();
    assert!(dwas >= 3, "{dwas}");
    w.request(CSCF, 4);
    assert_eq!(w.last_to, "hss1");
}

#[test]
fn the_only_peer_is_used_again_after_three_dwas_without_waiting() {
    let mut w = World::new(&["icscf", "hss"]);
    w.start(CSCF);
    w.take_log();
    w.cut(1);
    w.request(CSCF, 1);
    w.run(Duration::from_secs(2));
    assert_eq!(
        w.take_log(),
        [
            "1.000 icscf>hss CER",
            "1.000 hss>icscf CEA 2001",
            "1.000 icscf>hss DWR",
            "1.000 hss>icscf DWA 2001",
            "1.000 icscf>hss DWR",
            "1.000 hss>icscf DWA 2001",
            "1.000 icscf>hss DWR",
            "1.000 hss>icscf DWA 2001",
            "1.000 icscf>hss UAR",
            "1.000 hss>icscf UAA 2001",
        ]
    );
    assert_eq!(w.answered, [1]);
}

#[test]
fn a_request_that_was_under_way_when_the_connection_broke_is_repeated_with_t() {
    let mut w = World::new(&["icscf", "hss"]);
    w.start(CSCF);
    w.nodes[1].hung = true;
    w.request(CSCF, 1);
    w.nodes[1].hung = false;
    w.take_log();
    w.cut(1);
    w.run(Duration::from_secs(2));
    let log = w.take_log();
    assert_eq!(without_time(&log[log.len() - 2..]), ["icscf>hss UAR T", "hss>icscf UAA 2001"]);
    assert_eq!(w.answered, [1]);
}

#[test]
fn attempts_back_off_to_tc() {
    let mut w = World::new(&["icscf", "hss"]);
    w.nodes[1].down = true;
    w.start(CSCF);
    w.run(Duration::from_secs(130));
    assert_eq!(
        w.attempts.iter().map(|t| secs(*t)).collect::<Vec<_>>(),
        ["0.000", "1.000", "3.000", "7.000", "15.000", "31.000", "61.000", "91.000", "121.000"]
    );
    w.nodes[1].down = false;
    w.run(Duration::from_secs(30));
    assert!(w.nodes[CSCF].node.is_open());
}

#[test]
fn requests_wait_for_a_peer_and_fail_when_none_opens_or_answers() {
    let mut w = World::new(&["icscf", "hss"]);
    w.nodes[1].down = true;
    w.start(CSCF);
    w.request(CSCF, 1);
    w.run(Duration::from_secs(2));
    w.request(CSCF, 2);
    w.nodes[1].down = false;
    w.run(Duration::from_secs(2));
    assert_eq!(w.answered, [1, 2]);

    w.nodes[1].hung = true;
    w.request(CSCF, 3);
    w.run(Duration::from_secs(6));
    assert_eq!(w.failed, [(3, RequestFailure::Timeout)]);
    w.nodes[1].down = true;
    w.cut(1);
    w.request(CSCF, 4);
    w.run(Duration::from_secs(6));
    assert_eq!(w.failed[1..], [(4, RequestFailure::NoPeer)]);
}

#[test]
fn a_late_answer_finds_nobody() {
    let mut w = World::new(&["icscf", "hss"]);
    w.start(CSCF);
    w.nodes[1].hung = true;
    w.request(CSCF, 1);
    let uar = w.last_request();
    w.run(Duration::from_secs(6));
    assert_eq!(w.failed.len(), 1);
    w.nodes[1].hung = false;
    w.request(CSCF, 2);
    let late = Header { request: false, ..uar };
    w.inject(
        1,
        CSCF,
        &message(&late, |w| {
            w.u32(d::RESULT_CODE, 0, true, 2001);
        }),
    );
    assert_eq!(w.answered, [2]);
}

#[test]
fn the_hss_reaches_a_host_by_name_on_the_connection_it_accepted() {
    let mut w = World::new(&["scscf", "hss"]);
    w.start(CSCF);
    let now = w.now;
    let mut out = Outbox::without_events();
    let hss = &mut w.nodes[1].node;
    assert_eq!(hss.request_to(now, "nobody.example", 304, d::CX, 5, &mut out, |_| {}), Err(RequestFailure::NoPeer));
    hss.request_to(now, "SCSCF.example", 304, d::CX, 5, &mut out, |_| {}).unwrap();
    w.effects(1, out);
    w.settle();
    assert_eq!(w.answered, [5]);
}

/// The HSS opens the connections; the I-CSCF waits for both and prefers the first.
#[test]
fn a_peer_that_is_waited_for_is_never_called_and_its_place_in_the_list_counts() {
    let mut w = World::new(&["icscf", "hss1", "hss2"]);
    w.config(CSCF, |c| {
        c.peers = [1, 2]
            .map(|i| PeerConfig { side: peer::Side::Waiting, ..PeerConfig::tcp(SocketAddr::new(address(i), 3868)) })
            .to_vec();
    });
    for hss in [1, 2] {
        w.config(hss, |c| c.peers = vec![PeerConfig::tcp(SocketAddr::new(address(CSCF), 3868))]);
    }
    w.start(CSCF);
    w.run(Duration::from_secs(40));
    assert_eq!(w.take_log(), [""; 0], "it waits");
    for hss in [2, 1] {
        w.start(hss);
    }
    let t = secs(w.now);
    w.expect(&[
        &format!("{t} hss2>icscf CER"),
        &format!("{t} icscf>hss2 CEA 2001"),
        &format!("{t} hss1>icscf CER"),
        &format!("{t} icscf>hss1 CEA 2001"),
    ]);
    w.request(CSCF, 7);
    w.expect(&[&format!("{t} icscf>hss1 UAR"), &format!("{t} hss1>icscf UAA 2001")]);
    w.stop(1);
    w.take_log();
    w.request(CSCF, 8);
    w.expect(&[&format!("{t} icscf>hss2 UAR"), &format!("{t} hss2>icscf UAA 2001")]);
}

#[test]
fn anything_before_the_exchange_closes() {
    for command in [280, 282, 300] {
        let mut w = World::new(&["icscf", "hss"]);
        let remote = w.connect_raw(1);
        let header = Header { command, ..request_header(if command == 300 { d::CX } else { 0 }) };
        assert_eq!(w.send_raw(1, remote, &message(&header, |_| {})), [Reply::Closed], "command {command}");
    }
}

#[test]
fn a_silent_connection_is_closed() {
    let mut w = World::new(&["icscf", "hss"]);
    let remote = w.connect_raw(1);
    w.run(Duration::from_secs(11));
    assert_eq!(w.raw_replies(remote), [Reply::Closed]);
}

#[test]
fn cer_faults_are_answered_and_the_connection_closed() {
    let cer = |apps: &[u32], drop: u32| {
        message(&Header { command: 257, ..request_header(0) }, |w| {
            for (code, data) in [(264, &b"stranger.example"[..]), (296, b"example")] {
                if code != drop {
                    w.octets(code, 0, true, data);
                }
            }
            w.address(257, 0, true, "10.0.0.1".parse().unwrap()).u32(266, 0, true, 0).octets(269, 0, false, b"x");
            for app in apps {
                w.u32(258, 0, true, *app);
            }
        })
    };
    let ask = |cer: &[u8], ip: &str, open: bool| {
        let mut w = World::new(&["icscf", "hss"]);
        w.config(1, |c| c.accept_unknown_peers = open);
        let remote = w.connect_raw_from(1, ip);
        w.send_raw(1, remote, cer)
    };
    let refused = |code, error, failed| vec![Reply::Answer { code, error, failed }, Reply::Closed];
    let accepted = vec![Reply::Answer { code: 2001, error: false, failed: None }];
    assert_eq!(ask(&cer(&[d::CX], 0), "127.0.0.77", false), accepted);
    assert_eq!(ask(&cer(&[4, d::RELAY], 0), "127.0.0.77", false), accepted);
    assert_eq!(ask(&cer(&[4], 0), "127.0.0.77", false), refused(5010, false, None));
    assert_eq!(ask(&cer(&[d::CX], 264), "127.0.0.77", false), refused(5005, false, Some(264)));
    assert_eq!(ask(&cer(&[d::CX], 0), "192.0.2.1", false), refused(3010, true, None));
    assert_eq!(ask(&cer(&[d::CX], 0), "192.0.2.1", true), accepted);
}

#[test]
fn a_cer_of_the_vectors_and_of_the_corpus_is_accepted() {
    let mut w = World::new(&["icscf", "hss"]);
    let remote = w.connect_raw(1);
    assert_eq!(w.send_raw(1, remote, &vector("cer")), [Reply::Answer { code: 2001, error: false, failed: None }]);
    assert_eq!(w.send_raw(1, remote, &vector("dwr")), [Reply::Answer { code: 2001, error: false, failed: None }]);
    assert_eq!(w.send_raw(1, remote, &vector("dpr")), [Reply::Answer { code: 2001, error: false, failed: None }]);
}

/// All of `diameter_negative.json`, through the node and the typed command behind it.
#[test]
fn faulty_requests_on_an_open_connection() {
    let file: Value = serde_json::from_str(include_str!("data/vectors/diameter_negative.json")).unwrap();
    for m in file["messages"].as_array().unwrap() {
        let id = m["id"].as_str().unwrap();
        let mut w = World::new(&["icscf", "hss"]);
        let remote = w.connect_raw(1);
        w.send_raw(1, remote, &vector("cer"));
        let replies = w.send_raw(1, remote, &hex(&m["hex"]));
        let [Reply::Answer { code, error, failed }] = replies[..] else { panic!("{id}: {replies:?}") };
        let expected = m["expect_result_code"].as_u64().map_or(2001, |c| u32::try_from(c).unwrap());
        let also = m["also_acceptable"].as_array().is_some_and(|c| c.iter().any(|c| c.as_u64() == Some(code.into())));
        assert!(code == expected || also || m["optional"] == true, "{id}: {code}");
        assert!(error || code / 1000 != 3, "{id}: 3xxx has E");
        if let Some(expected) = m["failed_avp_code"].as_u64() {
            assert_eq!(failed.map(u64::from), Some(expected), "{id}");
        }
        // The connection lives on.
        assert_eq!(w.send_raw(1, remote, &vector("dwr")).len(), 1, "{id}");
    }
}

#[test]
fn requests_for_others_are_refused() {
    let uar = vector("uar-register");
    let header = Header::parse(&uar).unwrap();
    let with = |code, value: &str| {
        message(&header, |w| {
            for avp in Avps::of(&uar).map(Result::unwrap).filter(|avp| avp.code != code) {
                w.raw(avp.raw);
            }
            w.octets(code, 0, true, value.as_bytes());
        })
    };
    let mut w = World::new(&["icscf", "hss"]);
    let remote = w.connect_raw(1);
    w.send_raw(1, remote, &vector("cer"));
    let answer = |code, error| [Reply::Answer { code, error, failed: None }];
    assert_eq!(w.send_raw(1, remote, &with(d::DESTINATION_HOST, "nobody.invalid")), answer(3002, true));
    assert_eq!(w.send_raw(1, remote, &with(d::DESTINATION_REALM, "elsewhere.invalid")), answer(3003, true));
    assert_eq!(w.send_raw(1, remote, &with(d::DESTINATION_HOST, "hss.Example")), answer(2001, false));
}

#[test]
fn proxy_info_comes_back_in_the_answer() {
    let uar = vector("uar-register");
    let request = message(&Header::parse(&uar).unwrap(), |w| {
        w.raw(&uar[20..]);
        for host in ["one.example", "two.example"] {
            w.group(d::PROXY_INFO, 0, true, |w| {
                w.octets(d::PROXY_HOST, 0, true, host.as_bytes()).octets(d::PROXY_STATE, 0, true, b"state");
            });
        }
    });
    let mut w = World::new(&["icscf", "hss"]);
    let remote = w.connect_raw(1);
    w.send_raw(1, remote, &vector("cer"));
    w.send_raw(1, remote, &request);
    let answer = w.last_raw.clone();
    let hosts: Vec<_> = Avps::of(&answer)
        .map(Result::unwrap)
        .filter(|avp| avp.code == d::PROXY_INFO)
        .map(|avp| avp.group().find(d::PROXY_HOST, 0).unwrap().data.to_vec())
        .collect();
    assert_eq!(hosts, [b"one.example", b"two.example"]);
}

#[test]
fn both_sides_connect_and_one_connection_stays() {
    // The names are unknown the first time, and known (Wait-Returns) after both were cut.
    for known in [false, true] {
        let mut w = World::new(&["alpha", "beta"]);
        let hosts = [w.nodes[0].listen, w.nodes[1].listen];
        w.nodes[0].node = node(0, &[hosts[1]]);
        w.nodes[1].node = node(1, &[hosts[0]]);
        w.start(0);
        if known {
            w.settle();
            w.cut(0);
            w.run(Duration::from_millis(900));
        }
        w.start(1);
        w.run(Duration::from_secs(5));
        assert_eq!(w.open_connections(), 1, "{:?}", w.take_log());
        assert!(w.nodes.iter().all(|n| n.node.is_open()));
        // The second has the larger name: it keeps the connection that the first opened.
        let initiator = w.connections.iter().find(|c| c.open).unwrap().from;
        if !known {
            assert_eq!(initiator.ip(), w.nodes[0].listen.ip());
        }
        w.take_log();
        w.run(Duration::from_secs(200));
        assert!(!w.take_log().iter().any(|line| line.contains("CER")), "it stays so");
    }
}

#[test]
fn session_and_end_to_end_ids_are_fresh() {
    let mut node = node(0, &[]);
    let (a, b) = (node.session_id(), node.session_id());
    assert_ne!(a, b);
    assert!(a.starts_with("n0.example;1767225600;"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_node_panic(
        open: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        message in 0_usize..60,
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let mut w = World::new(&["icscf", "hss"]);
        let remote = w.connect_raw(1);
        if open {
            w.send_raw(1, remote, &vector("cer"));
        }
        w.send_raw(1, remote, &bytes);
        let mut mutated = VECTORS[message].1.clone();
        let at = at.index(mutated.len());
        mutated[at] = value;
        w.send_raw(1, remote, &mutated);
        w.run(Duration::from_secs(100));
    }
}

// ---------------------------------------------------------------------------------------------------------------- world

/// Nodes by name, and the wires between them.
struct World {
    now: Instant,
    nodes: Vec<Side>,
    connections: Vec<Wire>,
    queue: VecDeque<News>,
    log: Vec<String>,
    answered: Vec<u32>,
    failed: Vec<(u32, RequestFailure)>,
    attempts: Vec<Instant>,
    last_request: Option<Header>,
    last_to: String,
    raw: Vec<(SocketAddr, Reply)>,
    last_raw: Vec<u8>,
    port: u16,
}

struct Side {
    name: String,
    listen: SocketAddr,
    node: Node<u32>,
    /// Takes connections and does nothing else.
    hung: bool,
    /// Takes no connections.
    down: bool,
    events: Vec<What>,
}

struct Wire {
    from: SocketAddr,
    to: SocketAddr,
    open: bool,
}

enum News {
    Connection(usize, Connection),
    Bytes(usize, SocketAddr, SocketAddr, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Answer { code: u32, error: bool, failed: Option<u32> },
    Closed,
}

impl World {
    /// The first node connects to all others, in their order.
    fn new(names: &[&str]) -> Self {
        let listen = |i: usize| SocketAddr::new(address(i), 3868);
        let others: Vec<SocketAddr> = (1..names.len()).map(listen).collect();
        let side = |(i, name): (usize, &&str)| Side {
            name: (*name).to_owned(),
            listen: listen(i),
            node: named(name, i, if i == 0 { &others } else { &[] }),
            hung: false,
            down: false,
            events: Vec::new(),
        };
        Self {
            now: Instant::ZERO,
            nodes: names.iter().enumerate().map(side).collect(),
            connections: Vec::new(),
            queue: VecDeque::new(),
            log: Vec::new(),
            answered: Vec::new(),
            failed: Vec::new(),
            attempts: Vec::new(),
            last_request: None,
            last_to: String::new(),
            raw: Vec::new(),
            last_raw: Vec::new(),
            port: 40_000,
        }
    }

    /// Changes the configuration of a node that has not started.
    fn config(&mut self, i: usize, change: impl FnOnce(&mut NodeConfig)) {
        let peers: Vec<SocketAddr> =
            if i == 0 { self.nodes[1..].iter().map(|n| n.listen).collect() } else { Vec::new() };
        let mut config = configuration(&self.nodes[i].name, i, &peers);
        change(&mut config);
        self.nodes[i].node = Node::new(config, Random::seeded(i as u64)).with_role(Role::Icscf);
    }

    fn start(&mut self, i: usize) {
        let mut out = Outbox::new();
        self.nodes[i].node.start(self.now, &mut out);
        self.effects(i, out);
        self.settle();
    }

    fn stop(&mut self, i: usize) {
        let mut out = Outbox::new();
        self.nodes[i].node.stop(self.now, &mut out);
        self.effects(i, out);
        self.settle();
    }

    fn request(&mut self, i: usize, context: u32) {
        let mut out = Outbox::new();
        let node = &mut self.nodes[i].node;
        let session = node.session_id();
        node.request(self.now, Uar::COMMAND, d::CX, context, &mut out, |w| {
            w.octets(d::SESSION_ID, 0, true, session.as_bytes());
            w.raw(&vector("uar-register")[20 + 52..]);
        });
        self.effects(i, out);
        self.settle();
    }

    /// Both ends of every connection of a node learn that it is gone.
    fn cut(&mut self, i: usize) {
        let ip = self.nodes[i].listen.ip();
        let gone: Vec<usize> = (0..self.connections.len())
            .filter(|c| self.connections[*c].open)
            .filter(|c| self.connections[*c].from.ip() == ip || self.connections[*c].to.ip() == ip)
            .collect();
        for c in gone {
            self.close(c, None);
        }
        self.settle();
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let next = (0..self.nodes.len())
                .filter(|i| !self.nodes[*i].hung)
                .filter_map(|i| Some((self.nodes[i].node.next_timeout()?, i)))
                .min();
            let Some((at, i)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            let mut out = Outbox::new();
            self.nodes[i].node.handle_timeout(self.now, &mut out, &mut self.failed);
            self.effects(i, out);
            self.settle();
        }
        self.now = end;
    }

    fn effects(&mut self, i: usize, mut out: Outbox) {
        let (bytes, effects) = out.take();
        for effect in effects {
            match effect {
                Effect::Connect { from, to, .. } => self.connect(i, from, to),
                Effect::Close { local, remote, .. } => {
                    let found =
                        |c: &Wire| c.open && ((c.from, c.to) == (local, remote) || (c.to, c.from) == (local, remote));
                    if let Some(c) = self.connections.iter().position(found) {
                        self.close(c, Some(local));
                    }
                }
                Effect::Transmit { from, to, range, .. } => self.carry(i, from, to, bytes[range].to_vec()),
                Effect::Event(event) => self.nodes[i].events.push(event.what),
                _ => {}
            }
        }
    }

    fn connect(&mut self, i: usize, from: SocketAddr, to: SocketAddr) {
        self.attempts.push(self.now);
        let Some(j) = self.nodes.iter().position(|n| n.listen == to && !n.down) else {
            self.queue.push_back(News::Connection(i, news(from, to, false, ConnectionState::Failed)));
            return;
        };
        self.port += 1;
        let local = SocketAddr::new(from.ip(), self.port);
        self.connections.push(Wire { from: local, to, open: true });
        self.queue.push_back(News::Connection(i, news(local, to, false, ConnectionState::Opened)));
        self.queue.push_back(News::Connection(j, news(to, local, true, ConnectionState::Opened)));
    }

    fn carry(&mut self, i: usize, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let header = Header::read(&bytes).unwrap();
        let open =
            self.connections.iter().any(|c| c.open && ((c.from, c.to) == (from, to) || (c.to, c.from) == (from, to)));
        if !open {
            return;
        }
        let Some(j) = self.nodes.iter().position(|n| n.listen.ip() == to.ip()) else {
            let code = Avps::of(&bytes).find(d::RESULT_CODE, 0).map(|avp| avp.u32().unwrap());
            if let (false, Some(code)) = (header.request, code) {
                let failed =
                    Avps::of(&bytes).find(d::FAILED_AVP, 0).map(|avp| avp.group().next().unwrap().unwrap().code);
                self.raw.push((to, Reply::Answer { code, error: header.error, failed }));
                self.last_raw = bytes;
            }
            return;
        };
        let (request, answer) = d::command_names(header.command).unwrap();
        let mut line = format!("{} {}>{} ", secs(self.now), self.nodes[i].name, self.nodes[j].name);
        line.push_str(if header.request { request } else { answer });
        if let Some(avp) = Avps::of(&bytes).find(d::RESULT_CODE, 0) {
            line.push_str(&format!(" {}", avp.u32().unwrap()));
        }
        if header.retransmitted {
            line.push_str(" T");
        }
        self.log.push(line);
        if header.request && header.application == d::CX {
            self.last_request = Some(header);
            self.last_to = self.nodes[j].name.clone();
        }
        self.queue.push_back(News::Bytes(j, to, from, bytes));
    }

    fn close(&mut self, c: usize, by: Option<SocketAddr>) {
        let Wire { from, to, .. } = self.connections[c];
        self.connections[c].open = false;
        for (local, remote, inbound) in [(from, to, false), (to, from, true)] {
            if by == Some(local) {
                continue;
            }
            let state = ConnectionState::Closed;
            let news = news(local, remote, inbound, state);
            match self.nodes.iter().position(|n| n.listen.ip() == local.ip()) {
                Some(i) => self.queue.push_back(News::Connection(i, news)),
                None => self.raw.push((local, Reply::Closed)),
            }
        }
    }

    fn settle(&mut self) {
        while let Some(news) = self.queue.pop_front() {
            let mut out = Outbox::new();
            let i = match news {
                News::Connection(i, connection) => {
                    self.nodes[i].node.connection(self.now, &connection, &mut out);
                    i
                }
                News::Bytes(i, _, _, _) if self.nodes[i].hung => i,
                News::Bytes(i, local, remote, bytes) => {
                    self.receive(i, local, remote, &bytes, &mut out);
                    i
                }
            };
            self.effects(i, out);
        }
    }

    /// The owner of each node: answers what can be decoded with 2001, the rest with its fault.
    fn receive(&mut self, i: usize, local: SocketAddr, remote: SocketAddr, bytes: &[u8], out: &mut Outbox) {
        let (protocol, transport) = (Protocol::Diameter, Transport::Tcp);
        let packet = Packet { bytes, protocol, transport, from: remote, to: local, sa: None };
        let node = &mut self.nodes[i].node;
        match node.receive(self.now, &packet, out) {
            Received::Handled => {}
            Received::Answer { context, .. } => self.answered.push(context),
            Received::Request { peer, header, message } => answer(node, peer, &header, message, out),
        }
    }

    fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let (a, b) = (self.nodes[from].listen.ip(), self.nodes[to].listen.ip());
        let wire = self.connections.iter().find(|c| c.open && c.from.ip() == b && c.to.ip() == a).unwrap();
        let news = News::Bytes(to, wire.from, wire.to, bytes.to_vec());
        self.queue.push_back(news);
        self.settle();
    }

    /// A connection from somebody who is no node.
    fn connect_raw(&mut self, to: usize) -> SocketAddr {
        self.connect_raw_from(to, "127.0.0.99")
    }

    fn connect_raw_from(&mut self, to: usize, ip: &str) -> SocketAddr {
        self.port += 1;
        let (from, local) = (SocketAddr::new(ip.parse().unwrap(), self.port), self.nodes[to].listen);
        self.connections.push(Wire { from, to: local, open: true });
        let state = ConnectionState::Opened;
        let news = news(local, from, true, state);
        self.queue.push_back(News::Connection(to, news));
        self.settle();
        from
    }

    fn send_raw(&mut self, to: usize, from: SocketAddr, bytes: &[u8]) -> Vec<Reply> {
        self.queue.push_back(News::Bytes(to, self.nodes[to].listen, from, bytes.to_vec()));
        self.settle();
        self.raw_replies(from)
    }

    fn raw_replies(&mut self, to: SocketAddr) -> Vec<Reply> {
        let (mine, rest) = std::mem::take(&mut self.raw).into_iter().partition(|(address, _)| *address == to);
        self.raw = rest;
        let mine: Vec<(SocketAddr, Reply)> = mine;
        mine.into_iter().map(|(_, reply)| reply).collect()
    }

    fn open_connections(&self) -> usize {
        self.connections.iter().filter(|c| c.open).count()
    }

    fn last_request(&self) -> Header {
        self.last_request.unwrap()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn expect(&mut self, lines: &[&str]) {
        assert_eq!(self.take_log(), lines);
    }
}

fn answer(node: &mut Node<u32>, peer: PeerId, header: &Header, message: &[u8], out: &mut Outbox) {
    let fault = if header.command == Uar::COMMAND { Uar::decode(message).err() } else { None };
    let error = fault.as_ref().is_some_and(|f| f.is_protocol_error());
    node.answer(peer, header, error, out, |w| match &fault {
        Some(fault) => encode_fault(fault, message, header, "hss.example", "example", w),
        None => {
            w.u32(d::RESULT_CODE, 0, true, 2001).u32(d::SIP_NUMBER_AUTH_ITEMS, VENDOR, true, 0);
        }
    });
}

fn news(local: SocketAddr, remote: SocketAddr, inbound: bool, state: ConnectionState) -> Connection {
    let (transport, protocol) = (Transport::Tcp, Protocol::Diameter);
    Connection { local, remote, transport, protocol, inbound, state }
}

fn configuration(name: &str, i: usize, peers: &[SocketAddr]) -> NodeConfig {
    NodeConfig {
        origin_host: format!("{name}.example").into(),
        // That of the vectors.
        origin_realm: "ims.mnc001.mcc001.3gppnetwork.org".into(),
        address: address(i),
        listen: Some(SocketAddr::new(address(i), 3868)),
        transports: vec![Transport::Tcp],
        peers: peers.iter().copied().map(PeerConfig::tcp).collect(),
        watchdog: Duration::from_secs(30),
        reconnect: Duration::from_secs(30),
        request_timeout: Duration::from_secs(5),
        accept_unknown_peers: false,
        epoch: Epoch::SIMULATION,
    }
}

fn named(name: &str, i: usize, peers: &[SocketAddr]) -> Node<u32> {
    Node::new(configuration(name, i, peers), Random::seeded(i as u64)).with_role(Role::Icscf)
}

fn node(i: usize, peers: &[SocketAddr]) -> Node<u32> {
    named(&format!("n{i}"), i, peers)
}

fn address(i: usize) -> IpAddr {
    IpAddr::from([127, 0, 0, u8::try_from(i).unwrap() + 1])
}

fn request_header(application: u32) -> Header {
    Header {
        request: true,
        proxiable: application != 0,
        error: false,
        retransmitted: false,
        command: 257,
        application,
        hop_by_hop: 1,
        end_to_end: 2,
    }
}

fn message(header: &Header, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out, header);
    write(&mut w);
    w.finish();
    out
}

static VECTORS: std::sync::LazyLock<Vec<(String, Vec<u8>)>> = std::sync::LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("data/vectors/diameter.json")).unwrap();
    let messages = file["messages"].as_array().unwrap();
    messages.iter().map(|m| (m["id"].as_str().unwrap().to_owned(), hex(&m["hex"]))).collect()
});

fn vector(id: &str) -> Vec<u8> {
    VECTORS.iter().find(|(i, _)| i == id).unwrap().1.clone()
}

fn hex(v: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(v.as_str().unwrap().as_bytes()).unwrap()
}

fn secs(t: Instant) -> String {
    format!("{}.{:03}", t.as_micros() / 1_000_000, t.as_micros() / 1_000 % 1_000)
}

fn time(line: &str) -> f64 {
    line.split(' ').next().unwrap().parse().unwrap()
}

fn without_time(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once(' ').unwrap().1).collect()
}
