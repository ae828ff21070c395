//! Transactions as ladders: a line has a time in milliseconds and a message. RFC 3261 clauses 17 and 18, RFC 4320,
//! RFC 3581, and the timers of TS 24.229 table 7.7.1.

use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Route, Transport};
use imsreg::random::Random;
use imsreg::sip::Message;
use imsreg::sip::transaction::{ClientId, EndCause, Ended, Incoming, ServerId, Timers, Transactions};
use imsreg::time::Instant;
use std::net::SocketAddr;
use std::rc::Rc;

const UE: &str = "192.0.2.1:5060";
const PROXY: &str = "192.0.2.9:5060";
const CORE: &str = "192.0.2.20:5060";

/// One set of transactions, the clock, and what came out since the last look.
struct Ladder {
    transactions: Transactions<&'static str>,
    timers: Timers,
    now: u64,
    out: Outbox,
    sent: Vec<(u64, String)>,
    /// Whole messages sent, the latest last.
    messages: Vec<String>,
    ended: Vec<Ended<&'static str>>,
}

impl Ladder {
    fn new(timers: Timers) -> Self {
        Self {
            transactions: Transactions::new(Random::seeded(1)),
            timers,
            now: 0,
            out: Outbox::new(),
            sent: Vec::new(),
            messages: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Runs every timer up to `at`.
    fn drive(&mut self, at: u64) {
        assert!(at >= self.now, "a ladder is read downwards");
        for _ in 0..1_000 {
            match self.transactions.next_timeout() {
                Some(due) if due <= Instant::from_millis(at) => {
                    self.transactions.handle_timeout(due, &mut self.out, &mut self.ended);
                    self.collect(due.as_micros() / 1_000);
                }
                _ => {
                    self.now = at;
                    return;
                }
            }
        }
        panic!("timers do not come to rest before {at} ms");
    }

    fn collect(&mut self, at: u64) {
        let (effects, bytes) = self.out.drain();
        for effect in effects {
            let Effect::Transmit { from, to, transport, range, .. } = effect else { panic!("{effect:?}") };
            let text = std::str::from_utf8(&bytes[range]).expect("text").to_owned();
            let line = text.lines().next().unwrap_or_default();
            let from = if from == address(PROXY) { String::new() } else { format!("{from} > ") };
            self.sent.push((at, format!("{from}{transport} {to} {line}")));
            self.messages.push(text);
        }
        self.out.clear();
    }

    /// A message comes in.
    fn receive(&mut self, at: u64, transport: Transport, from: &str, text: &str) -> Incoming<&'static str> {
        self.receive_at(at, PROXY, transport, from, text)
    }

    fn receive_at(
        &mut self,
        at: u64,
        to: &str,
        transport: Transport,
        from: &str,
        text: &str,
    ) -> Incoming<&'static str> {
        self.drive(at);
        let message = Message::parse(text.as_bytes()).expect("a message");
        let (from, to) = (address(from), address(to));
        let packet = Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport, from, to, sa: None };
        let now = Instant::from_millis(at);
        let incoming = self.transactions.receive(now, self.timers, &packet, &message, &mut self.out);
        self.collect(at);
        incoming
    }

    fn send(&mut self, at: u64, text: &str) -> Incoming<&'static str> {
        self.receive(at, Transport::Udp, UE, text)
    }

    fn request(&mut self, at: u64, text: &str) -> ServerId {
        match self.send(at, text) {
            Incoming::Request(server) => server,
            other => panic!("not a new request: {other:?}"),
        }
    }

    fn absorbed(&mut self, at: u64, text: &str) {
        let incoming = self.send(at, text);
        assert!(matches!(incoming, Incoming::Absorbed), "{incoming:?}");
    }

    fn respond(&mut self, at: u64, server: ServerId, status: u16) {
        self.drive(at);
        self.transactions.respond(Instant::from_millis(at), server, status, &mut self.out, |bytes| {
            bytes.extend_from_slice(
                format!("SIP/2.0 {status} x\r\nTo: <sip:a@example.org>;tag=ours\r\n\r\n").as_bytes(),
            );
        });
        self.collect(at);
    }

    /// A REGISTER goes out towards [`CORE`], padded by `padding` octets.
    fn forward(&mut self, at: u64, transport: Transport, padding: usize) -> ClientId {
        self.send_out(at, "REGISTER", transport, padding)
    }

    /// An INVITE goes out towards [`CORE`].
    fn invite(&mut self, at: u64, transport: Transport) -> ClientId {
        self.send_out(at, "INVITE", transport, 0)
    }

    fn cancel(&mut self, at: u64, client: ClientId, reason: Option<&str>) {
        self.drive(at);
        self.transactions.cancel(Instant::from_millis(at), client, reason, &mut self.out);
        self.collect(at);
    }

    fn send_out(&mut self, at: u64, method: &str, transport: Transport, padding: usize) -> ClientId {
        self.drive(at);
        let route = Route::sip(transport, address(PROXY), address(CORE));
        let now = Instant::from_millis(at);
        let write = |bytes: &mut Vec<u8>, transport: Transport, branch: &str| {
            let pad = "x".repeat(padding);
            bytes.extend_from_slice(
                format!(
                    "{method} sip:example.org SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.9;branch={branch}\r\n\
                     Route: <sip:192.0.2.20;lr>\r\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKone\r\n\
                     From: <sip:a@example.org>;tag=a\r\nTo: <sip:a@example.org>\r\nCall-ID: one@example.org\r\n\
                     CSeq: 1 {method}\r\nP: {pad}\r\n\r\n"
                )
                .as_bytes(),
            );
        };
        let client = self.transactions.request(now, self.timers, route, true, "mine", &mut self.out, write);
        self.collect(at);
        client
    }

    fn connection(&mut self, at: u64, local: &str, remote: &str, state: ConnectionState) {
        self.drive(at);
        let (local, remote) = (address(local), address(remote));
        let news =
            Connection { local, remote, transport: Transport::Tcp, protocol: Protocol::Sip, inbound: false, state };
        self.transactions.connection_lost(Instant::from_millis(at), &news, &mut self.out, &mut self.ended);
        self.collect(at);
    }

    /// At `at`, and not before, exactly these have been sent since the last look.
    #[track_caller]
    fn expect<const N: usize>(&mut self, at: u64, lines: [&str; N]) {
        self.drive(at);
        let expected: Vec<(u64, String)> = lines.iter().map(|line| (at, (*line).to_owned())).collect();
        assert_eq!(std::mem::take(&mut self.sent), expected);
    }

    #[track_caller]
    fn expect_timeout(&mut self, at: u64) -> ClientId {
        self.drive(at - 1);
        assert!(self.ended.is_empty(), "too early: {:?}", self.ended);
        self.drive(at);
        let [Ended { client, context: "mine", cause: EndCause::Timeout }] = self.ended[..] else {
            panic!("{:?}", self.ended)
        };
        self.ended.clear();
        client
    }

    /// The branch of the latest request sent.
    fn branch(&self) -> String {
        let text = self.messages.last().expect("something was sent");
        let rest = text.split("branch=").nth(1).expect("a branch");
        rest.split("\r\n").next().expect("a line end").to_owned()
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The parts that the cases vary.
#[derive(Clone, Copy)]
struct Request {
    method: &'static str,
    cseq: &'static str,
    via: &'static str,
    from_tag: &'static str,
    to: &'static str,
}

const REGISTER: Request = Request {
    method: "REGISTER",
    cseq: "1 REGISTER",
    via: "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone",
    from_tag: "a",
    to: "<sip:a@example.org>",
};
const INVITE: Request = Request { method: "INVITE", cseq: "1 INVITE", ..REGISTER };

impl Request {
    fn text(&self) -> String {
        let Self { method, cseq, via, from_tag, to } = self;
        format!(
            "{method} sip:example.org SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@example.org>;tag={from_tag}\r\nTo: {to}\r\n\
             Call-ID: one@example.org\r\nCSeq: {cseq}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

fn response(status: u16, branch: &str, method: &str) -> String {
    format!(
        "SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP 192.0.2.9;branch={branch}\r\nFrom: <sip:a@example.org>;tag=a\r\n\
         To: <sip:a@example.org>;tag=b\r\nCall-ID: one@example.org\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_repeated_register_is_seen_once_and_answered_alike() {
    let mut l = Ladder::new(Timers::CORE);
    let register = REGISTER.text();
    let server = l.request(0, &register);
    l.absorbed(500, &register);
    l.expect(500, []);
    l.respond(600, server, 200);
    l.expect(600, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    for at in [1_500, 3_500, 7_500, 32_000] {
        l.absorbed(at, &register);
        l.expect(at, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    }
    l.respond(32_000, server, 403);
    l.expect(32_599, []);
    assert_eq!(l.transactions.len(), 1);
    l.expect(32_600, []);
    assert!(l.transactions.is_empty(), "timer J has ended it");
    assert_eq!(l.transactions.route(server), None);
}

#[test]
fn a_100_is_sent_when_timer_e_has_grown_to_t2() {
    for (timers, at) in [(Timers::CORE, 3_500), (Timers::GM, 14_000)] {
        let mut l = Ladder::new(timers);
        let register = Request { via: "SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKone, SIP/2.0/UDP b", ..REGISTER };
        let server = l.request(0, &register.text());
        l.respond(at / 2, server, 100);
        l.expect(at, ["UDP 192.0.2.1:5060 SIP/2.0 100 Trying"]);
        let trying = Message::parse(l.messages[0].as_bytes()).expect("a message");
        trying.check().expect("whole");
        assert_eq!(trying.to().expect("To").tag(), None);
        let via = trying.via().expect("Via");
        assert_eq!((via.params.value("received"), via.params.value("rport")), (Some("192.0.2.1"), Some("5060")));
        assert_eq!(trying.elements(imsreg::sip::HeaderName::Via).count(), 2);
        l.absorbed(at + 100, &register.text());
        l.expect(at + 100, ["UDP 192.0.2.1:5060 SIP/2.0 100 Trying"]);
        l.respond(at + 200, server, 200);
        l.expect(at + 200, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    }
}

#[test]
fn nothing_late_is_sent_to_a_client_that_has_given_up() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    l.expect(3_500, ["UDP 192.0.2.1:5060 SIP/2.0 100 Trying"]);
    l.drive(32_000);
    assert!(l.transactions.is_empty());
    l.respond(32_001, server, 200);
    l.expect(40_000, []);
}

#[test]
fn rfc_4320_408_and_other_provisionals_are_never_sent() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    l.respond(10, server, 180);
    l.respond(20, server, 408);
    l.absorbed(500, &REGISTER.text());
    l.expect(32_019, []);
    assert_eq!(l.transactions.len(), 1);
    l.drive(32_020);
    assert!(l.transactions.is_empty());
    let Incoming::Request(server) = l.receive(40_000, Transport::Tcp, UE, &REGISTER.text()) else { panic!() };
    l.respond(40_000, server, 183);
    l.respond(40_001, server, 100);
    l.expect(40_001, ["TCP 192.0.2.1:5060 SIP/2.0 100 x"]);
}

#[test]
fn an_abandoned_request_and_its_copies_get_no_answer() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    l.transactions.abandon(Instant::ZERO, server);
    l.absorbed(500, &REGISTER.text());
    l.respond(600, server, 200);
    l.expect(40_000, []);
    assert!(l.transactions.is_empty());
}

#[test]
fn over_tcp_nothing_is_kept_after_the_final_answer() {
    let mut l = Ladder::new(Timers::CORE);
    let register = Request { via: "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKone", ..REGISTER }.text();
    let Incoming::Request(server) = l.receive(0, Transport::Tcp, "192.0.2.1:33000", &register) else { panic!() };
    l.expect(10_000, []);
    l.respond(10_000, server, 200);
    l.expect(10_000, ["TCP 192.0.2.1:33000 SIP/2.0 200 x"]);
    assert!(l.transactions.is_empty());
    // Nor is its timer, once the next request comes.
    let Incoming::Request(_) = l.receive(10_001, Transport::Tcp, "192.0.2.1:33000", &register) else { panic!() };
    assert_eq!(l.transactions.next_timeout(), Some(Instant::from_millis(10_001 + 32_000)));
}

#[test]
fn what_was_answered_wakes_nobody_before_it_ends() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    l.respond(10, server, 200);
    l.absorbed(20, &REGISTER.text());
    assert_eq!(l.transactions.next_timeout(), Some(Instant::from_millis(10 + 32_000)), "J, and no 100");
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Udp, 10);
    let ok = response(200, &l.branch(), "REGISTER");
    let Incoming::Final(..) = l.send(100, &ok) else { panic!() };
    assert!(matches!(l.send(200, &ok), Incoming::Absorbed));
    assert_eq!(l.transactions.next_timeout(), Some(Instant::from_millis(100 + 5_000)), "K, and no E");
    l.drive(5_100);
    assert_eq!(l.transactions.next_timeout(), None, "nor F");
}

#[test]
fn an_answer_whose_connection_is_gone_goes_to_the_sent_by_port() {
    let mut l = Ladder::new(Timers::CORE);
    let register = Request { via: "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKone", ..REGISTER };
    let elsewhere = Request { via: "SIP/2.0/TCP 192.0.2.2:5070;branch=z9hG4bKtwo", from_tag: "b", ..REGISTER };
    let Incoming::Request(one) = l.receive(0, Transport::Tcp, "192.0.2.1:33000", &register.text()) else { panic!() };
    let Incoming::Request(two) = l.receive(0, Transport::Tcp, "192.0.2.2:33000", &elsewhere.text()) else { panic!() };
    l.connection(5, PROXY, "192.0.2.1:33000", ConnectionState::Closed);
    l.respond(10, one, 200);
    l.respond(10, two, 200);
    l.expect(10, ["192.0.2.9:0 > TCP 192.0.2.1:5070 SIP/2.0 200 x", "TCP 192.0.2.2:33000 SIP/2.0 200 x"]);
}

#[test]
fn a_route_that_is_set_is_kept() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    let route = Route::sip(Transport::Udp, address("192.0.2.9:5100"), address("192.0.2.1:31001"));
    l.transactions.set_route(server, route);
    assert_eq!(l.transactions.route(server), Some(route));
    l.respond(5, server, 200);
    l.expect(5, ["192.0.2.9:5100 > UDP 192.0.2.1:31001 SIP/2.0 200 x"]);
    l.absorbed(500, &REGISTER.text());
    l.expect(500, ["192.0.2.9:5100 > UDP 192.0.2.1:31001 SIP/2.0 200 x"]);
}

#[test]
fn a_merged_request_is_told_apart() {
    let mut l = Ladder::new(Timers::CORE);
    l.request(0, &REGISTER.text());
    let merged = Request { via: "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKtwo", ..REGISTER };
    assert!(matches!(l.send(1, &merged.text()), Incoming::Merged(_)));
    l.absorbed(2, &merged.text());
    let third = "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKthree";
    l.request(3, &Request { via: third, from_tag: "other", ..REGISTER }.text());
    let fourth = "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKfour";
    l.request(4, &Request { via: fourth, to: "<sip:a@example.org>;tag=t", ..REGISTER }.text());
    let fifth = "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKfive";
    l.request(5, &Request { via: fifth, cseq: "2 REGISTER", ..REGISTER }.text());
}

#[test]
fn what_was_answered_is_still_what_a_copy_and_a_cancel_mean() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &REGISTER.text());
    l.respond(1, server, 200);
    let merged = Request { via: "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKtwo", ..REGISTER };
    let Incoming::Merged(copy) = l.send(10, &merged.text()) else { panic!() };
    l.respond(11, copy, 482);
    let cancel = Request { method: "CANCEL", cseq: "1 CANCEL", ..REGISTER };
    let Incoming::Cancel { server: cancelling, cancelled: Some(id) } = l.send(20, &cancel.text()) else { panic!() };
    // RFC 3261 clause 9.2: it has no effect, and it is answered 200.
    l.respond(21, id, 487);
    l.respond(22, cancelling, 200);
    l.drive(32_001);
    l.sent.clear();
    l.absorbed(32_002, &merged.text());
    l.expect(32_002, ["UDP 192.0.2.1:5060 SIP/2.0 482 x"]);
    l.absorbed(32_003, &cancel.text());
    l.expect(32_003, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    // A third copy by another way means what the first one means until that ends.
    let third = Request { via: "SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKthree", ..REGISTER };
    l.request(32_004, &third.text());
}

#[test]
fn each_of_many_is_answered_alike_until_timer_j_of_its_side() {
    let mut l = Ladder::new(Timers::CORE);
    let requests: Vec<(Timers, String)> = (0..400)
        .map(|n| {
            let timers = if n % 3 == 0 { Timers::GM } else { Timers::CORE };
            let branch = format!("z9hG4bK{n}");
            (timers, REGISTER.text().replace("z9hG4bKone", &branch).replace("1 REGISTER", &format!("{n} REGISTER")))
        })
        .collect();
    let status = |n: u64| 200 + u16::try_from(n % 200).expect("below 200");
    // One every 100 ms, answered otherwise than its neighbours; the timers of both sides run at once.
    for ((timers, request), n) in requests.iter().zip(0..) {
        l.timers = *timers;
        let server = l.request(n * 100, request);
        l.respond(n * 100 + 50, server, status(n));
    }
    l.sent.clear();
    for ((timers, request), n) in requests.iter().zip(0..) {
        let at = 40_000 + n;
        l.timers = *timers;
        let end = n * 100 + 50 + if *timers == Timers::GM { 128_000 } else { 32_000 };
        if end <= at {
            l.request(at, request);
            l.expect(at, []);
        } else {
            l.absorbed(at, request);
            l.expect(at, [&*format!("UDP 192.0.2.1:5060 SIP/2.0 {} x", status(n))]);
        }
    }
}

#[test]
fn branch_sent_by_and_method_make_a_transaction() {
    let mut l = Ladder::new(Timers::CORE);
    l.request(0, &REGISTER.text());
    let others = [
        Request { via: "SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bKone", cseq: "2 REGISTER", ..REGISTER },
        Request { via: "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKone", cseq: "3 REGISTER", ..REGISTER },
        Request { via: "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtwo", cseq: "4 REGISTER", ..REGISTER },
        Request { method: "OPTIONS", cseq: "5 OPTIONS", ..REGISTER },
    ];
    for (request, at) in others.iter().zip(1..) {
        l.request(at, &request.text());
    }
    assert_eq!(l.transactions.len(), 5);
}

#[test]
fn without_a_cookie_the_rules_of_rfc_2543_hold() {
    let old = Request { via: "SIP/2.0/UDP 192.0.2.1;branch=1", ..REGISTER };
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &old.text());
    l.respond(1, server, 200);
    l.expect(1, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    l.absorbed(500, &old.text());
    l.expect(500, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    l.request(600, &Request { cseq: "2 REGISTER", ..old }.text());
    l.request(601, &Request { from_tag: "z", ..old }.text());
    l.request(602, &Request { to: "<sip:a@example.org>;tag=t", ..old }.text());
    assert!(matches!(l.send(603, &Request { via: "SIP/2.0/UDP 192.0.2.1", ..old }.text()), Incoming::Merged(_)));
}

#[test]
fn a_refused_invite_is_repeated_until_its_ack() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &INVITE.text());
    l.expect(200, ["UDP 192.0.2.1:5060 SIP/2.0 100 Trying"]);
    l.respond(1_000, server, 488);
    for at in [1_000, 1_500, 2_500, 4_500, 8_500, 12_500] {
        l.expect(at, ["UDP 192.0.2.1:5060 SIP/2.0 488 x"]);
    }
    let ack = Request { method: "ACK", cseq: "1 ACK", ..INVITE };
    l.absorbed(13_000, &ack.text());
    l.absorbed(13_100, &ack.text());
    l.absorbed(13_200, &INVITE.text());
    l.expect(17_999, []);
    assert_eq!(l.transactions.len(), 1);
    l.expect(18_000, []);
    assert!(l.transactions.is_empty(), "timer I has ended it");
    assert!(matches!(l.send(18_001, &ack.text()), Incoming::Ack));
}

#[test]
fn an_invite_without_ack_ends_by_timer_h() {
    let mut l = Ladder::new(Timers::CORE);
    let invite = Request { via: "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKone", ..INVITE }.text();
    let Incoming::Request(server) = l.receive(0, Transport::Tcp, UE, &invite) else { panic!() };
    l.respond(100, server, 488);
    l.expect(100, ["TCP 192.0.2.1:5060 SIP/2.0 488 x"]);
    l.expect(32_099, []);
    assert_eq!(l.transactions.len(), 1);
    l.expect(32_100, []);
    assert!(l.transactions.is_empty());
}

#[test]
fn an_ack_of_rfc_2543_matches_by_the_tag_of_the_answer() {
    let invite = Request { via: "SIP/2.0/UDP 192.0.2.1", ..INVITE };
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &invite.text());
    l.respond(100, server, 488);
    l.expect(100, ["UDP 192.0.2.1:5060 SIP/2.0 488 x"]);
    let ack = Request { method: "ACK", cseq: "1 ACK", ..invite };
    l.absorbed(200, &Request { to: "<sip:a@example.org>;tag=theirs", ..ack }.text());
    l.expect(600, ["UDP 192.0.2.1:5060 SIP/2.0 488 x"]);
    l.absorbed(700, &Request { to: "<sip:a@example.org>;tag=ours", ..ack }.text());
    l.expect(10_000, []);
    assert!(l.transactions.is_empty());
}

#[test]
fn a_cancel_names_what_it_cancels() {
    let mut l = Ladder::new(Timers::CORE);
    let invite = l.request(0, &INVITE.text());
    let cancel = Request { method: "CANCEL", cseq: "1 CANCEL", ..INVITE };
    let Incoming::Cancel { server, cancelled } = l.send(100, &cancel.text()) else { panic!() };
    assert_eq!(cancelled, Some(invite));
    l.respond(100, server, 200);
    l.expect(100, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    l.absorbed(110, &cancel.text());
    l.expect(110, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    let other = Request { via: "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtwo", ..cancel };
    let Incoming::Merged(copy) = l.send(115, &Request { via: other.via, ..INVITE }.text()) else { panic!() };
    let Incoming::Cancel { cancelled, .. } = l.send(116, &other.text()) else { panic!() };
    assert_eq!(cancelled, Some(copy), "each of two copies of an INVITE is cancelled by its own CANCEL");
    let other = Request { via: "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKthree", ..cancel };
    assert!(matches!(l.send(120, &other.text()), Incoming::Cancel { cancelled: None, .. }));
}

#[test]
fn a_request_is_repeated_by_timer_e_and_ends_by_timer_f() {
    let register = "UDP 192.0.2.20:5060 REGISTER sip:example.org SIP/2.0";
    for (timers, repeats, end) in [
        (Timers::CORE, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500], 32_000),
        (Timers::GM, [2_000, 6_000, 14_000, 30_000, 46_000, 62_000, 78_000, 94_000, 110_000, 126_000], 128_000),
    ] {
        let mut l = Ladder::new(timers);
        let client = l.forward(0, Transport::Udp, 10);
        l.expect(0, [register]);
        for at in repeats {
            l.expect(at, [register]);
        }
        assert_eq!(l.expect_timeout(end), client);
        assert!(l.transactions.sent(client).is_some_and(|sent| sent == l.messages[0].as_bytes()));
        assert!(l.transactions.is_empty());
        let late = response(200, &l.branch(), "REGISTER");
        assert!(matches!(l.send(end + 1, &late), Incoming::Stray));
        assert_eq!(l.transactions.sent(client), None);
    }
}

#[test]
fn lesson_84_after_a_provisional_response_the_interval_is_t2() {
    let register = "UDP 192.0.2.20:5060 REGISTER sip:example.org SIP/2.0";
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Udp, 10);
    let trying = response(100, &l.branch(), "REGISTER");
    l.expect(0, [register]);
    assert!(matches!(l.send(100, &trying), Incoming::Provisional(_)));
    for at in [500, 4_500, 8_500] {
        l.expect(at, [register]);
    }
    l.sent.clear();
    l.expect_timeout(32_000);
}

#[test]
fn a_final_response_is_given_once_and_absorbed_until_timer_k() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.forward(0, Transport::Udp, 10);
    let ok = response(200, &l.branch(), "REGISTER");
    assert_eq!(l.transactions.context(client), Some(&mut "mine"));
    let Incoming::Final(id, "mine") = l.send(100, &ok) else { panic!() };
    assert_eq!((id, l.transactions.context(client)), (client, None));
    assert!(matches!(l.send(200, &ok), Incoming::Absorbed));
    l.sent.clear();
    l.expect(5_099, []);
    assert_eq!(l.transactions.len(), 1);
    l.expect(5_100, []);
    assert!(l.transactions.is_empty());
    assert!(matches!(l.send(5_101, &ok), Incoming::Stray));
    l.drive(60_000);
    assert!(l.ended.is_empty());
}

#[test]
fn a_response_that_does_not_fit_is_stray() {
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Udp, 10);
    let branch = l.branch();
    let guessed = format!("{}aaaaaaaa", &branch[..branch.len() - 8]);
    for (branch, method) in
        [(&branch[..], "OPTIONS"), (&guessed, "REGISTER"), ("z9hG4bKx", "REGISTER"), ("", "REGISTER")]
    {
        assert!(matches!(l.send(10, &response(200, branch, method)), Incoming::Stray), "{branch} {method}");
    }
    assert!(matches!(l.send(10, &response(200, &branch, "REGISTER")), Incoming::Final(_, "mine")));
}

#[test]
fn over_tcp_nothing_is_repeated_and_timer_f_runs() {
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Tcp, 3_000);
    l.expect(0, ["TCP 192.0.2.20:5060 REGISTER sip:example.org SIP/2.0"]);
    l.expect_timeout(32_000);
    l.expect(32_000, []);
    l.forward(40_000, Transport::Tcp, 10);
    let ok = response(200, &l.branch(), "REGISTER");
    assert!(matches!(l.send(40_100, &ok), Incoming::Final(_, "mine")));
    assert!(l.transactions.is_empty(), "K is 0");
}

#[test]
fn a_lost_connection_ends_what_waits_on_it() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.forward(0, Transport::Tcp, 10);
    l.connection(10, PROXY, UE, ConnectionState::Closed);
    l.connection(10, PROXY, CORE, ConnectionState::Opened);
    assert!(l.ended.is_empty());
    l.connection(20, PROXY, CORE, ConnectionState::Closed);
    let ended = std::mem::take(&mut l.ended);
    assert!(
        matches!(ended[..], [Ended { client: id, context: "mine", cause: EndCause::TransportError }] if id == client)
    );
    l.drive(60_000);
    assert!(l.ended.is_empty());
}

/// What fails locally after the answer, or on a connection that has nothing to do with it, ends nothing.
#[test]
fn lesson_90_a_local_failure_never_beats_a_real_answer() {
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Tcp, 10);
    let ok = response(200, &l.branch(), "REGISTER");
    assert!(matches!(l.send(100, &ok), Incoming::Final(_, "mine")));
    l.connection(101, PROXY, CORE, ConnectionState::Closed);
    l.forward(200, Transport::Tcp, 10);
    l.connection(201, PROXY, CORE, ConnectionState::Failed);
    let late = response(200, &l.branch(), "REGISTER");
    assert!(matches!(l.send(202, &late), Incoming::Stray));
    l.drive(60_000);
    assert_eq!(l.ended.len(), 1);
}

#[test]
fn lesson_27_answers_leave_from_where_the_request_came_to() {
    let mut l = Ladder::new(Timers::CORE);
    let second = "192.0.2.9:5090";
    let register = Request { via: "SIP/2.0/UDP 192.0.2.1:5080;rport;branch=z9hG4bKone", ..REGISTER }.text();
    let Incoming::Request(server) = l.receive_at(0, second, Transport::Udp, "192.0.2.1:7000", &register) else {
        panic!()
    };
    l.respond(10, server, 200);
    l.expect(10, ["192.0.2.9:5090 > UDP 192.0.2.1:7000 SIP/2.0 200 x"]);
    let again = l.receive_at(500, second, Transport::Udp, "192.0.2.1:7000", &register);
    assert!(matches!(again, Incoming::Absorbed));
    l.expect(500, ["192.0.2.9:5090 > UDP 192.0.2.1:7000 SIP/2.0 200 x"]);
}

#[test]
fn a_large_request_takes_tcp_and_falls_back_to_udp() {
    let register = "UDP 192.0.2.20:5060 REGISTER sip:example.org SIP/2.0";
    let mut l = Ladder::new(Timers::CORE);
    let client = l.forward(0, Transport::Udp, 1_300);
    l.expect(0, ["192.0.2.9:0 > TCP 192.0.2.20:5060 REGISTER sip:example.org SIP/2.0"]);
    assert!(l.messages[0].contains("SIP/2.0/TCP"));
    l.expect(9_999, []);
    l.connection(10_000, "192.0.2.9:0", CORE, ConnectionState::Failed);
    l.expect(10_000, [register]);
    assert!(l.messages[1].contains("SIP/2.0/UDP"));
    assert_eq!(l.messages[1].replace("/UDP", "/TCP"), l.messages[0], "the branch is the same");
    l.expect(10_500, [register]);
    let ok = response(200, &l.branch(), "REGISTER");
    assert!(matches!(l.send(10_600, &ok), Incoming::Final(id, "mine") if id == client));
    l.expect(60_000, []);
}

#[test]
fn the_limit_is_1300_octets() {
    let mut l = Ladder::new(Timers::CORE);
    l.forward(0, Transport::Udp, 0);
    let padding = 1_300 - l.messages[0].len();
    l.forward(0, Transport::Udp, padding);
    l.forward(0, Transport::Udp, padding + 1);
    let transports: Vec<&str> =
        l.sent.iter().map(|(_, line)| if line.contains("TCP") { "TCP" } else { "UDP" }).collect();
    assert_eq!(transports, ["UDP", "UDP", "TCP"]);
    assert_eq!(l.messages[1].len(), 1_300);
}

#[test]
fn a_message_without_the_headers_it_needs_is_borne() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, "REGISTER sip:example.org SIP/2.0\r\n\r\n");
    l.absorbed(1, "REGISTER sip:example.org SIP/2.0\r\n\r\n");
    l.respond(2, server, 400);
    l.expect(2, ["UDP 192.0.2.1:5060 SIP/2.0 400 x"]);
    assert!(matches!(l.send(3, "SIP/2.0 200 OK\r\n\r\n"), Incoming::Stray));
    l.request(4, "OPTIONS sip:example.org SIP/2.0\r\nVia: ;;\r\nFrom: <\r\nTo: \"\r\nCSeq: x\r\n\r\n");
    l.drive(60_000);
    assert!(l.transactions.is_empty());
}

const OUT: &str = "UDP 192.0.2.20:5060 INVITE sip:example.org SIP/2.0";
const OUT_ACK: &str = "UDP 192.0.2.20:5060 ACK sip:example.org SIP/2.0";
const OUT_CANCEL: &str = "UDP 192.0.2.20:5060 CANCEL sip:example.org SIP/2.0";

#[test]
fn an_invite_is_repeated_by_timer_a_and_ends_by_timer_b() {
    for (timers, repeats, end) in [
        (Timers::CORE, [500, 1_500, 3_500, 7_500, 15_500, 31_500], 32_000),
        (Timers::GM, [2_000, 6_000, 14_000, 30_000, 62_000, 126_000], 128_000),
    ] {
        let mut l = Ladder::new(timers);
        let client = l.invite(0, Transport::Udp);
        l.expect(0, [OUT]);
        for at in repeats {
            l.expect(at, [OUT]);
        }
        assert_eq!(l.expect_timeout(end), client);
        assert!(l.transactions.is_empty());
    }
}

#[test]
fn an_invite_that_rings_is_not_repeated_and_may_ring_for_long() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Udp);
    let branch = l.branch();
    l.expect(0, [OUT]);
    for at in [100, 90_000] {
        assert!(matches!(l.send(at, &response(180, &branch, "INVITE")), Incoming::Provisional(id) if id == client));
    }
    l.expect(170_000, []);
    assert_eq!(l.transactions.context(client), Some(&mut "mine"));
    assert!(matches!(l.send(170_000, &response(200, &branch, "BYE")), Incoming::Stray), "another method");
    assert!(matches!(l.send(170_000, &response(486, &branch, "INVITE")), Incoming::Final(_, "mine")));
}

#[test]
fn a_refused_invite_is_acknowledged_until_timer_d() {
    let mut l = Ladder::new(Timers::CORE);
    l.invite(0, Transport::Udp);
    let busy = response(486, &l.branch(), "INVITE");
    l.expect(0, [OUT]);
    assert!(matches!(l.send(100, &busy), Incoming::Final(_, "mine")));
    l.expect(100, [OUT_ACK]);
    let branch = l.branch();
    let expected = format!(
        "ACK sip:example.org SIP/2.0\r\nMax-Forwards: 70\r\nVia: SIP/2.0/UDP 192.0.2.9;branch={branch}\r\n\
         Route: <sip:192.0.2.20;lr>\r\nFrom: <sip:a@example.org>;tag=a\r\nTo: <sip:a@example.org>;tag=b\r\n\
         Call-ID: one@example.org\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(l.messages.last(), Some(&expected), "one Via, the To of the response");
    for at in [600, 20_000, 32_099] {
        l.absorbed(at, &busy);
        l.expect(at, [OUT_ACK]);
    }
    l.drive(32_100);
    assert!(l.transactions.is_empty());
    assert!(matches!(l.send(32_101, &busy), Incoming::Stray));
}

#[test]
fn over_tcp_a_refused_invite_is_acknowledged_once() {
    let mut l = Ladder::new(Timers::CORE);
    l.invite(0, Transport::Tcp);
    let busy = response(486, &l.branch(), "INVITE");
    l.sent.clear();
    l.expect(20_000, []);
    assert!(matches!(l.send(20_100, &busy), Incoming::Final(_, "mine")));
    l.expect(20_100, ["TCP 192.0.2.20:5060 ACK sip:example.org SIP/2.0"]);
    assert!(l.transactions.is_empty());
    assert!(matches!(l.send(20_200, &busy), Incoming::Stray));
}

#[test]
fn every_2xx_to_an_invite_is_for_its_owner_until_timer_m() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Udp);
    let branch = l.branch();
    l.expect(0, [OUT]);
    let (ok, fork) = (response(200, &branch, "INVITE"), response(200, &branch, "INVITE").replace(";tag=b", ";tag=c"));
    for (at, text) in [(100, &ok), (600, &ok), (700, &fork), (32_099, &ok)] {
        assert!(matches!(l.send(at, text), Incoming::Accepted(id) if id == client));
        assert_eq!(l.transactions.context(client), Some(&mut "mine"));
    }
    l.absorbed(32_099, &response(486, &branch, "INVITE"));
    l.expect(32_100, []);
    assert!(l.transactions.is_empty());
    assert!(matches!(l.send(32_101, &ok), Incoming::Stray), "RFC 6026 clause 7.2");
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Udp);
    let branch = l.branch();
    l.cancel(100, client, Some("SIP;cause=200"));
    l.sent.clear();
    assert!(matches!(l.send(200, &response(100, &branch, "INVITE")), Incoming::Provisional(_)));
    l.expect(200, [OUT_CANCEL]);
    let cancel = l.messages.last().expect("a CANCEL").clone();
    assert!(cancel.contains(&format!("branch={branch}\r\n")) && cancel.contains("Reason: SIP;cause=200\r\n"));
    assert!(cancel.contains("CSeq: 1 CANCEL\r\n") && cancel.contains("To: <sip:a@example.org>\r\n"));
    assert!(!cancel.contains("z9hG4bKone"), "only the topmost Via");
    l.expect(700, [OUT_CANCEL]);
    l.absorbed(800, &response(200, &branch, "CANCEL"));
    l.expect(1_700, []);
    assert!(matches!(l.send(1_800, &response(487, &branch, "INVITE")), Incoming::Final(_, "mine")));
    l.expect(1_800, [OUT_ACK]);
}

#[test]
fn a_cancel_that_changes_nothing_ends_the_invite_after_64_t1() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Tcp);
    let branch = l.branch();
    l.send(100, &response(180, &branch, "INVITE"));
    l.cancel(60_000, client, None);
    l.absorbed(60_100, &response(200, &branch, "CANCEL"));
    assert_eq!(l.expect_timeout(92_000), client);
    assert!(l.transactions.is_empty());
}

#[test]
fn a_2xx_that_crosses_the_cancel_counts() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Udp);
    let branch = l.branch();
    l.send(100, &response(180, &branch, "INVITE"));
    l.cancel(200, client, None);
    l.sent.clear();
    assert!(matches!(l.send(300, &response(200, &branch, "INVITE")), Incoming::Accepted(_)));
    l.expect(60_000, []);
    assert!(l.transactions.is_empty() && l.ended.is_empty());
}

#[test]
fn a_forgotten_invite_leaves_nothing() {
    let mut l = Ladder::new(Timers::CORE);
    let client = l.invite(0, Transport::Udp);
    let branch = l.branch();
    assert_eq!(l.transactions.forget(client), Some("mine"));
    assert_eq!(l.transactions.forget(client), None);
    assert!(matches!(l.send(100, &response(180, &branch, "INVITE")), Incoming::Stray));
    assert!(l.transactions.is_empty());
}

#[test]
fn a_lost_connection_ends_an_invite_that_rings_but_not_an_accepted_one() {
    let mut l = Ladder::new(Timers::CORE);
    let (first, second) = (l.invite(0, Transport::Tcp), l.invite(0, Transport::Tcp));
    let branch = l.branch();
    assert!(matches!(l.send(100, &response(200, &branch, "INVITE")), Incoming::Accepted(id) if id == second));
    l.connection(200, PROXY, CORE, ConnectionState::Closed);
    let [Ended { client, cause: EndCause::TransportError, .. }] = l.ended[..] else { panic!("{:?}", l.ended) };
    assert_eq!(client, first);
}

#[test]
fn a_ringing_invite_waits_for_its_owner_and_a_2xx_passes_as_often_as_it_is_repeated() {
    let mut l = Ladder::new(Timers::CORE);
    let server = l.request(0, &INVITE.text());
    l.respond(100, server, 180);
    l.expect(100, ["UDP 192.0.2.1:5060 SIP/2.0 180 x"]);
    l.absorbed(100_000, &INVITE.text());
    l.expect(100_000, ["UDP 192.0.2.1:5060 SIP/2.0 180 x"]);
    for at in [100_100, 100_600] {
        l.respond(at, server, 200);
        l.expect(at, ["UDP 192.0.2.1:5060 SIP/2.0 200 x"]);
    }
    l.respond(100_700, server, 486);
    l.absorbed(100_700, &INVITE.text());
    let ack = Request { method: "ACK", cseq: "1 ACK", ..INVITE };
    assert!(matches!(l.send(100_800, &ack.text()), Incoming::Ack), "of a client that keeps the branch");
    l.expect(132_100, []);
    assert!(l.transactions.is_empty(), "timer L has ended it");
    l.respond(132_200, server, 200);
    l.expect(132_200, []);
}

#[test]
fn contexts_are_dropped_with_their_transactions() {
    let context = Rc::new(());
    let mut transactions = Transactions::new(Random::seeded(5));
    let (mut out, mut ended) = (Outbox::new(), Vec::new());
    let route = Route::sip(Transport::Udp, address(PROXY), address(CORE));
    for n in 0..3_000 {
        let now = Instant::from_millis(n);
        transactions.request(now, Timers::CORE, route, false, Rc::clone(&context), &mut out, |bytes, _, _| {
            bytes.extend_from_slice(b"OPTIONS sip:x SIP/2.0\r\n\r\n");
        });
        out.clear();
    }
    assert_eq!((transactions.len(), Rc::strong_count(&context)), (3_000, 3_001));
    transactions.handle_timeout(Instant::from_secs(40), &mut out, &mut ended);
    assert_eq!((transactions.len(), ended.len()), (0, 3_000));
    ended.clear();
    assert_eq!(Rc::strong_count(&context), 1);
}

/// Thousands of steps in any order, at any time: nothing panics, and when all timers have run nothing is left.
#[test]
fn whatever_happens_everything_ends() {
    for seed in 0..20 {
        let mut random = Random::seeded(seed);
        let mut l = Ladder::new(if seed % 2 == 0 { Timers::CORE } else { Timers::GM });
        let (mut servers, mut invites, mut branches) = (Vec::new(), Vec::new(), vec!["z9hG4bKx".to_owned()]);
        let mut at = 0;
        for _ in 0..2_000 {
            at += u64::from(random.below(3_000));
            let transport = if random.below(2) == 0 { Transport::Udp } else { Transport::Tcp };
            match random.below(10) {
                0..3 => {
                    let text = any_request(&mut random);
                    match l.receive(at, transport, UE, &text) {
                        Incoming::Request(server) | Incoming::Merged(server) | Incoming::Cancel { server, .. } => {
                            servers.push(server);
                        }
                        Incoming::Ack | Incoming::Absorbed => {}
                        other => panic!("{other:?} for a request"),
                    }
                }
                3 if !servers.is_empty() => {
                    let server = servers[pick(&mut random, servers.len())];
                    let status = [100, 180, 200, 404, 408, 500][pick(&mut random, 6)];
                    l.respond(at, server, status);
                }
                4 if !servers.is_empty() => {
                    l.drive(at);
                    let server = servers.swap_remove(pick(&mut random, servers.len()));
                    l.transactions.abandon(Instant::from_millis(at), server);
                }
                5 => {
                    l.forward(at, transport, pick(&mut random, 2_000));
                    branches.push(l.branch());
                }
                6 => {
                    let branch = branches[pick(&mut random, branches.len())].clone();
                    let status = [100, 200, 401][pick(&mut random, 3)];
                    l.send(at, &response(status, &branch, "REGISTER"));
                }
                7 => {
                    invites.push(l.invite(at, transport));
                    branches.push(l.branch());
                }
                8 if !invites.is_empty() => {
                    let branch = branches[pick(&mut random, branches.len())].clone();
                    let status = [100, 180, 200, 487][pick(&mut random, 4)];
                    l.send(at, &response(status, &branch, ["INVITE", "CANCEL"][pick(&mut random, 2)]));
                    l.cancel(at, invites[pick(&mut random, invites.len())], None);
                }
                _ => {
                    let remote = if random.below(2) == 0 { UE } else { CORE };
                    l.connection(at, PROXY, remote, ConnectionState::Closed);
                }
            }
        }
        l.drive(at);
        // An INVITE that nobody answers or cancels waits for its owner.
        for server in servers {
            l.transactions.abandon(Instant::from_millis(at), server);
        }
        for client in invites {
            l.transactions.forget(client);
        }
        l.drive(at + 400_000);
        assert!(l.transactions.is_empty(), "{} are left", l.transactions.len());
        assert_eq!(l.transactions.next_timeout(), None);
    }
}

fn any_request(random: &mut Random) -> String {
    let (method, cseq) = [
        ("REGISTER", "1 REGISTER"),
        ("INVITE", "1 INVITE"),
        ("ACK", "1 ACK"),
        ("CANCEL", "1 CANCEL"),
        ("OPTIONS", "2 OPTIONS"),
    ][pick(random, 5)];
    let via = [
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone",
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtwo;rport",
        "SIP/2.0/UDP 192.0.2.1",
        "SIP/2.0/UDP [2001:db8::1]:5070;branch=1;maddr=192.0.2.77",
    ][pick(random, 4)];
    let to = ["<sip:a@example.org>", "<sip:a@example.org>;tag=ours"][pick(random, 2)];
    Request { method, cseq, via, from_tag: ["a", "b"][pick(random, 2)], to }.text()
}

fn pick(random: &mut Random, count: usize) -> usize {
    random.below(u32::try_from(count).expect("few")) as usize
}
