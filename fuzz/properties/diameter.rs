//! What holds for every sequence of octets taken as Diameter. The fuzz target and `tests/cx_messages.rs` call it.

use imsreg::cx::{Lia, Lir, Maa, Mar, Ppa, Ppr, Rta, Rtr, Saa, Sar, Uaa, Uar};
use imsreg::diameter::peer::{Node, NodeConfig};
use imsreg::diameter::{Avps, Fault, Header, Writer, header};
use imsreg::packet::{Connection, ConnectionState, Outbox, Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::time::{Duration, Epoch, Instant};
use std::net::SocketAddr;

/// Framing, AVPs, types and a peer's state end without a panic; a command that is read is written so that it reads the
/// same; a refusal has a code and a Failed-AVP that is an AVP.
pub(crate) fn diameter(bytes: &[u8]) {
    let _ = header::frame(bytes, 65_536);
    walk(Avps::of(bytes), 0);
    if let Some(header) = Header::read(bytes) {
        let mut again = Vec::new();
        match recode(&header, bytes, &mut again) {
            Ok(()) => {
                let mut third = Vec::new();
                recode(&header, &again, &mut third).expect("what was written is understood");
                assert_eq!(third, again);
            }
            Err(fault) => assert_sound(&fault),
        }
    }
    receive(bytes);
}

/// Reads a message by its type and writes it again.
pub(crate) fn recode(header: &Header, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut w = Writer::new(out, header);
    match (header.command, header.request) {
        (Uar::COMMAND, true) => Uar::decode(bytes)?.encode(&mut w),
        (Uar::COMMAND, false) => Uaa::decode(bytes)?.encode(&mut w),
        (Mar::COMMAND, true) => Mar::decode(bytes)?.encode(&mut w),
        (Mar::COMMAND, false) => Maa::decode(bytes)?.encode(&mut w),
        (Sar::COMMAND, true) => Sar::decode(bytes)?.encode(&mut w),
        (Sar::COMMAND, false) => Saa::decode(bytes)?.encode(&mut w),
        (Lir::COMMAND, true) => Lir::decode(bytes)?.encode(&mut w),
        (Lir::COMMAND, false) => Lia::decode(bytes)?.encode(&mut w),
        (Rtr::COMMAND, true) => Rtr::decode(bytes)?.encode(&mut w),
        (Rtr::COMMAND, false) => Rta::decode(bytes)?.encode(&mut w),
        (Ppr::COMMAND, true) => Ppr::decode(bytes)?.encode(&mut w),
        (Ppr::COMMAND, false) => Ppa::decode(bytes)?.encode(&mut w),
        _ => {}
    }
    w.finish();
    Ok(())
}

fn walk(avps: Avps<'_>, depth: u8) {
    for avp in avps {
        match avp {
            Ok(avp) => {
                let _ = (avp.u32(), avp.utf8(), avp.address());
                if depth < 4 {
                    walk(avp.group(), depth + 1);
                }
            }
            Err(fault) => assert_sound(&fault),
        }
    }
}

fn assert_sound(fault: &Fault) {
    assert!((3000..6000).contains(&fault.code));
    if let Some(avp) = &fault.failed_avp {
        assert!(avp.len() % 4 == 0);
        assert!(Avps::new(avp).all(|avp| avp.is_ok()), "{fault:?}");
    }
}

/// The same octets to a node, before and after a capabilities exchange.
fn receive(bytes: &[u8]) {
    let (to, from): (SocketAddr, SocketAddr) = (([127, 0, 0, 1], 3868).into(), ([127, 0, 0, 2], 40_000).into());
    let config = NodeConfig {
        origin_host: "hss.example".into(),
        origin_realm: "example".into(),
        address: to.ip(),
        listen: Some(to),
        transports: vec![Transport::Tcp],
        peers: Vec::new(),
        watchdog: Duration::from_secs(30),
        reconnect: Duration::from_secs(30),
        request_timeout: Duration::from_secs(5),
        accept_unknown_peers: false,
        epoch: Epoch::SIMULATION,
    };
    for cer in [None, Some(capabilities_exchange_request())] {
        let mut node: Node<()> = Node::new(config.clone(), Random::seeded(1));
        let (mut out, now) = (Outbox::new(), Instant::ZERO);
        let (protocol, transport) = (Protocol::Diameter, Transport::Tcp);
        let state = ConnectionState::Opened;
        let news = Connection { local: to, remote: from, transport, protocol, inbound: true, state };
        node.connection(now, &news, &mut out);
        for bytes in cer.iter().map(Vec::as_slice).chain([bytes, bytes]) {
            let _ = node.receive(now, &Packet { bytes, protocol, transport, from, to, sa: None }, &mut out);
        }
        while let Some(at) = node.next_timeout() {
            node.handle_timeout(at, &mut out, &mut Vec::new());
        }
    }
}

fn capabilities_exchange_request() -> Vec<u8> {
    let header = Header {
        request: true,
        proxiable: false,
        error: false,
        retransmitted: false,
        command: 257,
        application: 0,
        hop_by_hop: 1,
        end_to_end: 1,
    };
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out, &header);
    w.octets(264, 0, true, b"scscf.example").octets(296, 0, true, b"example");
    w.address(257, 0, true, [127, 0, 0, 2].into()).u32(266, 0, true, 0).octets(269, 0, false, b"x");
    w.u32(258, 0, true, 16_777_216);
    w.finish();
    out
}
