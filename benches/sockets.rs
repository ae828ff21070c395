//! A load generator: what one registration costs a server behind sockets, ours or another's (`docs/performance.md`).
//!
//!     cargo bench --bench sockets -- digest|aka|agreed ADDRESS REALM COUNT SETTLE PID ...
//!
//! Plays COUNT registrations over UDP (REGISTER, 401, REGISTER, 200) against ADDRESS, at most [`WINDOW`] of them under
//! way, after a tenth of it to warm up; waits SETTLE seconds for transactions to end; and prints the CPU that the
//! processes PID and their children have used for one. Every registration must end with its 200.
//! `digest`: user name and password; `aka`: AKAv1-MD5 in clear; `agreed`: the same with a security agreement whose SAs
//! protect nothing, so that the second REGISTER goes to the protected port.
//!
//! Every UE has an address of its own. Nobody sleeps in a receive call, so that no answer pays for a wake-up of ours.

#![expect(clippy::disallowed_methods, reason = "a load generator has a clock and sleeps")]

use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use imsreg::aka::milenage::Milenage;
use imsreg::aka::{K, Op};
use socket2::{Domain, MsgHdr, Socket, Type};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Registrations under way at a time.
const WINDOW: usize = 64;
/// Kamailio's S-CSCF stores a challenge after it has sent it: an answer within some milliseconds is challenged again.
const REACTION: Duration = Duration::from_millis(10);
/// T1, never doubled.
const RETRANSMIT: Duration = Duration::from_millis(500);
/// The ports of every UE: in clear, protected client, protected server.
const PORTS: [u16; 3] = [5070, 5072, 5074];
/// While nothing arrives.
const PAUSE: Duration = Duration::from_micros(200);
const FIRST_IMSI: u64 = 1_010_000_001_000;
const OP: Op = Op(*b"0123456789abcdef");

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [kind, server, realm, count, settle, pids @ ..] = &args[..] else {
        println!(
            "not run: what a registration costs over sockets needs a server; tests/strangers/bench-sockets.sh starts them"
        );
        return Ok(());
    };
    let kind = match kind.as_str() {
        "digest" => Kind::Digest,
        "aka" => Kind::Aka,
        "agreed" => Kind::Agreed,
        other => panic!("digest, aka or agreed expected, {other} found"),
    };
    let count: u32 = count.parse().expect("COUNT");
    let settle = Duration::from_secs(settle.parse().expect("SETTLE"));
    let pids: Vec<u32> = pids.iter().map(|p| p.parse().expect("PID")).collect();
    let mut load = Load::new(kind, server.parse().expect("ADDRESS"), realm)?;
    let warm = count / 10;
    load.play(0..warm)?;
    load.troubles = Troubles::default();
    let before = cpu_nanos(&pids)?;
    load.play(warm..warm + count)?;
    std::thread::sleep(settle);
    let spent = cpu_nanos(&pids)? - before;
    let Troubles { retransmitted, again } = load.troubles;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let micros = spent as f64 / f64::from(count) / 1_000.0;
    println!("{micros:.2} us of CPU for a registration ({count}, {retransmitted} retransmitted, {again} began again)");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digest,
    Aka,
    Agreed,
}

struct Load {
    kind: Kind,
    server: SocketAddr,
    realm: String,
    sockets: [Socket; 3],
    under_way: Vec<Registering>,
    /// Answers to challenges, each at its time.
    waiting: VecDeque<(Instant, u32)>,
    troubles: Troubles,
}

#[derive(Default)]
struct Troubles {
    retransmitted: u32,
    again: u32,
}

/// One UE.
struct Registering {
    ue: u32,
    cseq: u32,
    /// Parameters of the 401 that is answered; `None`: not challenged yet.
    challenge: Option<String>,
    sent: Instant,
    tries: u32,
}

impl Load {
    fn new(kind: Kind, server: SocketAddr, realm: &str) -> io::Result<Self> {
        let sockets = PORTS.map(|port| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            let _ = socket.set_recv_buffer_size(4 << 20);
            socket.set_nonblocking(true)?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            Ok::<_, io::Error>(socket)
        });
        let [clear, client, protected] = sockets;
        Ok(Self {
            kind,
            server,
            realm: realm.to_owned(),
            sockets: [clear?, client?, protected?],
            under_way: Vec::new(),
            waiting: VecDeque::new(),
            troubles: Troubles::default(),
        })
    }

    /// Registers these UEs; returns when all are.
    fn play(&mut self, mut ues: std::ops::Range<u32>) -> io::Result<()> {
        let mut buffer = vec![0; 65_536];
        let mut checked = Instant::now();
        loop {
            while self.under_way.len() < WINDOW
                && let Some(ue) = ues.next()
            {
                self.under_way.push(Registering { ue, cseq: 1, challenge: None, sent: Instant::now(), tries: 0 });
                self.send(self.under_way.len() - 1)?;
            }
            if self.under_way.is_empty() {
                return Ok(());
            }
            let mut idle = true;
            for port in 0..PORTS.len() {
                while let Some(length) = receive(&self.sockets[port], &mut buffer)? {
                    idle = false;
                    self.on_answer(std::str::from_utf8(&buffer[..length]).expect("SIP is UTF-8"))?;
                }
            }
            let now = Instant::now();
            while self.waiting.front().is_some_and(|(at, _)| *at <= now) {
                let (_, ue) = self.waiting.pop_front().expect("looked at");
                if let Some(index) = self.index(ue) {
                    self.send(index)?;
                }
            }
            if now - checked > RETRANSMIT / 4 {
                checked = now;
                self.retransmit(now)?;
            }
            if idle {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn index(&self, ue: u32) -> Option<usize> {
        self.under_way.iter().position(|r| r.ue == ue)
    }

    fn on_answer(&mut self, answer: &str) -> io::Result<()> {
        let ue = header(answer, "Call-ID").and_then(|id| id.split('@').next()?.parse().ok());
        let cseq = header(answer, "CSeq").and_then(|c| c.split(' ').next()?.parse().ok());
        // Late copies are nobody's.
        let Some(index) = ue.and_then(|ue| self.index(ue)).filter(|i| cseq == Some(self.under_way[*i].cseq)) else {
            return Ok(());
        };
        let status = answer.get(8..11).unwrap_or_default();
        let one = &mut self.under_way[index];
        match status {
            "100" => {}
            "200" if one.challenge.is_some() => {
                self.under_way.swap_remove(index);
            }
            "401" => {
                self.troubles.again += u32::from(one.challenge.is_some());
                let agreed = header(answer, "Security-Server").unwrap_or_default();
                let asked = header(answer, "WWW-Authenticate").expect("a challenge");
                one.challenge = Some(format!("{asked}\n{agreed}"));
                one.cseq += 1;
                // Sent later, and not retransmitted before.
                one.sent = Instant::now() + REACTION;
                self.waiting.push_back((one.sent, one.ue));
            }
            _ => {
                assert!(one.cseq < 20, "UE {} is not registered: {answer}", one.ue);
                self.troubles.again += 1;
                one.challenge = None;
                one.cseq += 1;
                self.send(index)?;
            }
        }
        Ok(())
    }

    fn retransmit(&mut self, now: Instant) -> io::Result<()> {
        for index in 0..self.under_way.len() {
            let one = &mut self.under_way[index];
            if now.saturating_duration_since(one.sent) > RETRANSMIT {
                one.tries += 1;
                assert!(one.tries < 60, "UE {} gets no answer", one.ue);
                self.troubles.retransmitted += 1;
                self.send(index)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> io::Result<()> {
        self.under_way[index].sent = Instant::now();
        let one = &self.under_way[index];
        let agreed = one.challenge.as_ref().and_then(|c| c.split_once('\n')).map(|(_, s)| s).filter(|s| !s.is_empty());
        let mut server = self.server;
        if let Some(agreed) = agreed {
            server.set_port(parameter(agreed, "port-s").expect("port-s").parse().expect("a port"));
        }
        let socket = &self.sockets[usize::from(agreed.is_some())];
        let text = self.request(one, agreed);
        let control = packet_info(address(one.ue));
        let parts = [io::IoSlice::new(text.as_bytes())];
        match socket.sendmsg(&MsgHdr::new().with_addr(&server.into()).with_buffers(&parts).with_control(&control), 0) {
            // A full buffer loses it, as any network may.
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }

    fn request(&self, one: &Registering, agreed: Option<&str>) -> String {
        let Registering { ue, cseq, challenge, .. } = one;
        let (realm, ip) = (&self.realm, address(*ue));
        let imsi = format!("{:015}", FIRST_IMSI + u64::from(*ue));
        let port = if agreed.is_some() { PORTS[2] } else { PORTS[0] };
        let mut text = String::with_capacity(1_500);
        let mut line = |l: std::fmt::Arguments<'_>| {
            let _ = text.write_fmt(l);
            text.push_str("\r\n");
        };
        line(format_args!("REGISTER sip:{realm} SIP/2.0"));
        line(format_args!("Via: SIP/2.0/UDP {ip}:{port};branch=z9hG4bK{ue}n{cseq}"));
        line(format_args!("Max-Forwards: 70"));
        line(format_args!("From: <sip:{imsi}@{realm}>;tag={ue}"));
        line(format_args!("To: <sip:{imsi}@{realm}>"));
        line(format_args!("Call-ID: {ue}@bench"));
        line(format_args!("CSeq: {cseq} REGISTER"));
        line(format_args!("Contact: <sip:{imsi}@{ip}:{port}>"));
        match challenge.as_ref().and_then(|c| c.split_once('\n')) {
            Some((asked, _)) => line(format_args!("{}", self.authorization(&imsi, asked))),
            // SIP digest begins without credentials, AKA with the private identity (TS 24.229 clause 5.1.1.2.2).
            None if self.kind == Kind::Digest => {}
            None => line(format_args!(
                "Authorization: Digest username=\"{imsi}@{realm}\",realm=\"{realm}\",nonce=\"\",uri=\"sip:{realm}\",response=\"\""
            )),
        }
        if self.kind == Kind::Agreed {
            let spi = 10_000 + 2 * ue;
            let [_, client, server] = PORTS;
            line(format_args!(
                "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;prot=esp;mod=trans;spi-c={spi};spi-s={};port-c={client};port-s={server}",
                spi + 1
            ));
            line(format_args!("Require: sec-agree"));
            line(format_args!("Proxy-Require: sec-agree"));
        }
        if let Some(agreed) = agreed {
            line(format_args!("Security-Verify: {agreed}"));
        }
        line(format_args!("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001"));
        line(format_args!("Supported: path"));
        line(format_args!("Expires: 600000"));
        line(format_args!("Content-Length: 0\r\n"));
        text
    }

    fn authorization(&self, imsi: &str, asked: &str) -> String {
        let realm = parameter(asked, "realm").expect("realm");
        let nonce = parameter(asked, "nonce").expect("nonce");
        let qop = parameter(asked, "qop").map(|_| Qop { auth_int: false, nc: "00000001", cnonce: "0a4f113b" });
        let uri = format!("sip:{}", self.realm);
        let (username, algorithm) = match self.kind {
            Kind::Digest => (imsi.to_owned(), Algorithm::Md5),
            _ => (format!("{imsi}@{}", self.realm), Algorithm::AkaV1Md5),
        };
        let inputs =
            Inputs { algorithm, username: &username, realm, nonce, uri: &uri, method: "REGISTER", qop, body: b"" };
        let answer = if self.kind == Kind::Digest {
            response(&inputs, Secret::Password(b"pw"))
        } else {
            let mut k = [b'K'; 16];
            k[1..].copy_from_slice(imsi.as_bytes());
            let k = K(k);
            let challenge = data_encoding::BASE64.decode(nonce.as_bytes()).expect("RAND and AUTN");
            let rand = challenge[..16].try_into().expect("16 octets");
            let f = Milenage::new(&k, &Milenage::opc(&k, &OP)).f2345(&rand);
            response(&inputs, Secret::Aka { res: &f.res, ik: &f.ik.0, ck: &f.ck.0 })
        };
        let mut text = format!(
            "Authorization: Digest username=\"{username}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",response=\"{}\",algorithm={}",
            answer.as_str(),
            algorithm.as_str()
        );
        if let Some(Qop { nc, cnonce, .. }) = qop {
            let _ = write!(text, ",qop=auth,nc={nc},cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = parameter(asked, "opaque") {
            let _ = write!(text, ",opaque=\"{opaque}\"");
        }
        text
    }
}

/// One datagram, if one is there.
fn receive(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.read(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // The server is not there yet, or no more.
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(e) => Err(e),
    }
}

/// In 127.128.0.0/9.
fn address(ue: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x7f80_0001 + ue)
}

/// Control data that makes `source` the source of a datagram: a `cmsghdr` of IP_PKTINFO with its `in_pktinfo`.
fn packet_info(source: Ipv4Addr) -> [u8; 32] {
    const IPPROTO_IP: i32 = 0;
    const IP_PKTINFO: i32 = 8;
    let mut control = [0; 32];
    control[..8].copy_from_slice(&28_usize.to_ne_bytes());
    control[8..12].copy_from_slice(&IPPROTO_IP.to_ne_bytes());
    control[12..16].copy_from_slice(&IP_PKTINFO.to_ne_bytes());
    control[20..24].copy_from_slice(&source.octets());
    control
}

/// The value of the first header of that name.
fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split("\r\n").skip(1).take_while(|l| !l.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim_end().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A parameter of a challenge or a security mechanism, without quotes.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split([',', ';', ' ']).find_map(|p| {
        let (found, value) = p.split_once('=')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim_matches('"'))
    })
}

/// CPU of these processes and their children, all threads, in nanoseconds.
fn cpu_nanos(pids: &[u32]) -> io::Result<u64> {
    let mut sum = 0;
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let parent = fs::read_to_string(process.path().join("stat")).ok().and_then(|stat| {
            // The name in parentheses may hold anything.
            stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
        });
        if !pids.contains(&id) && !parent.is_some_and(|p| pids.contains(&p)) {
            continue;
        }
        for thread in fs::read_dir(process.path().join("task"))?.flatten() {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            sum += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(sum)
}
