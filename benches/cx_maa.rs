//! Cx on one core: a Multimedia-Auth-Answer both ways, a request through a node, user data: `cargo bench --bench cx_maa`.

use imsreg::cx::user_data::ImsSubscription;
use imsreg::cx::{Mar, RequestEnvelope};
use imsreg::diameter::peer::{Node, NodeConfig, PeerConfig, Received};
use imsreg::diameter::{Header, Writer};
use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::time::{Duration, Epoch, Instant};
use std::hint::black_box;
use std::net::SocketAddr;

#[path = "peers/maa_ours.rs"]
mod maa_ours;

fn main() {
    let mut out = Vec::with_capacity(1024);
    maa_ours::encode(&mut out);
    let wire = out.clone();
    maa_ours::check(&wire);
    measure("MAA, build and encode", || maa_ours::encode(black_box(&mut out)));
    measure("MAA, decode with typed access", || {
        black_box(maa_ours::decode(black_box(&wire)));
    });
    request_and_answer();
    for (name, xml) in [("minimal", MINIMAL), ("three identities, extensions", THREE)] {
        measure(&format!("user data, {name}, {} octets, read", xml.len()), || {
            black_box(ImsSubscription::parse(black_box(xml.as_bytes())).expect("valid"));
        });
        let subscription = ImsSubscription::parse(xml.as_bytes()).expect("valid");
        measure(&format!("user data, {name}, write"), || {
            out.clear();
            subscription.write(black_box(&mut out));
        });
    }
}

/// Both nodes, from the owner that asks to the owner that has its answer.
fn request_and_answer() {
    let (a, b): (SocketAddr, SocketAddr) =
        ("127.0.0.1:40000".parse().expect("an address"), "127.0.0.2:3868".parse().expect("an address"));
    let mut client = node("scscf.example", a, &[b]);
    let mut server = node("hss.example", b, &[]);
    let (mut left, mut right) = (Outbox::without_events(), Outbox::without_events());
    let now = Instant::ZERO;
    client.start(now, &mut left);
    let news = |local, remote, inbound| Connection {
        local,
        remote,
        transport: Transport::Tcp,
        protocol: Protocol::Diameter,
        inbound,
        state: ConnectionState::Opened,
    };
    server.connection(now, &news(b, a, true), &mut right);
    left.clear();
    client.connection(now, &news(a, b, false), &mut left);
    let mut session = String::new();
    let mut exchange = |request: bool| {
        if request {
            session.clear();
            client.write_session_id(&mut session);
            client.request(now, Mar::COMMAND, imsreg::cx::APPLICATION, 1, &mut left, |w| {
                Mar {
                    envelope: RequestEnvelope {
                        session_id: &session,
                        origin_host: "scscf.example",
                        origin_realm: "example",
                        destination_host: None,
                        destination_realm: "example",
                    },
                    impi: "001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
                    impu: "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org",
                    items: 1,
                    scheme: "Digest-AKAv1-MD5",
                    resync: None,
                    server_name: "sip:scscf.example:6060",
                }
                .encode(w);
            });
        }
        if let Received::Request { peer, header, message } = deliver(&left, &mut server, now, a, b, &mut right) {
            let mar = Mar::decode(message).expect("sound");
            black_box(mar.impi);
            server.answer(peer, &header, false, &mut right, write_answer);
        }
        left.clear();
        let answered = matches!(deliver(&right, &mut client, now, b, a, &mut left), Received::Answer { .. });
        right.clear();
        assert_eq!(answered, request);
    };
    exchange(false);
    measure("MAR and answer through two nodes", || exchange(true));
}

fn write_answer(w: &mut Writer<'_>) {
    w.octets(263, 0, true, b"s").u32(268, 0, true, 2001).octets(264, 0, true, b"hss.example");
    w.octets(296, 0, true, b"example");
}

/// Hands the one message of `outbox` to `node`.
fn deliver<'a, C>(
    outbox: &'a Outbox,
    node: &mut Node<C>,
    now: Instant,
    from: SocketAddr,
    to: SocketAddr,
    out: &mut Outbox,
) -> Received<'a, C> {
    let message = outbox.effects().iter().find_map(|effect| match effect {
        Effect::Transmit { range, .. } => Some(&outbox.bytes()[range.clone()]),
        _ => None,
    });
    let bytes = message.expect("one message");
    debug_assert!(Header::read(bytes).is_some());
    let (protocol, transport) = (Protocol::Diameter, Transport::Tcp);
    node.receive(now, &Packet { bytes, protocol, transport, from, to, sa: None }, out)
}

fn node(host: &str, address: SocketAddr, peers: &[SocketAddr]) -> Node<u32> {
    let config = NodeConfig {
        origin_host: host.into(),
        origin_realm: "example".into(),
        address: address.ip(),
        listen: Some(address),
        transports: vec![Transport::Tcp],
        peers: peers.iter().copied().map(PeerConfig::tcp).collect(),
        watchdog: Duration::from_secs(30),
        reconnect: Duration::from_secs(30),
        request_timeout: Duration::from_secs(5),
        accept_unknown_peers: false,
        epoch: Epoch::SIMULATION,
    };
    Node::new(config, Random::seeded(1))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn measure(name: &str, mut run: impl FnMut()) {
    const ROUNDS: u32 = 100_000;
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS));
    }
    println!("{name:<56} {:>8.0} ns", best * 1e9);
}

const MINIMAL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><IMSSubscription>\
    <PrivateID>001010000000001@ims.mnc001.mcc001.3gppnetwork.org</PrivateID><ServiceProfile><PublicIdentity>\
    <Identity>sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org</Identity></PublicIdentity></ServiceProfile>\
    </IMSSubscription>";
const THREE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><IMSSubscription>\
    <PrivateID>001010000000001@ims.mnc001.mcc001.3gppnetwork.org</PrivateID><ServiceProfile>\
    <PublicIdentity><BarringIndication>1</BarringIndication>\
    <Identity>sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org</Identity>\
    <Extension><IdentityType>0</IdentityType></Extension></PublicIdentity>\
    <PublicIdentity><Identity>sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org</Identity>\
    <Extension><IdentityType>0</IdentityType></Extension></PublicIdentity>\
    <PublicIdentity><Identity>tel:+99912345</Identity><Extension><IdentityType>0</IdentityType></Extension>\
    </PublicIdentity></ServiceProfile></IMSSubscription>";
