//! A real HSS under load with a state directory, killed again and again: no SQN comes twice, and no SAR that was
//! answered is forgotten.
#![cfg(feature = "live")]
#![expect(clippy::disallowed_types, reason = "the client of this test has a socket")]

#[path = "common/scratch.rs"]
mod scratch;

use imsreg::aka::milenage::Milenage;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Op};
use imsreg::cx::{self, CxResult, Lia, Lir, Maa, Mar, RequestEnvelope, Saa, Sar, ServerAssignmentType as Type, VENDOR};
use imsreg::diameter::{Header, Writer, dictionary as d, header};
use imsreg::random::Random;
use scratch::Scratch;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";
const SCSCF: &str = "sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060";
const USERS: usize = 200;
const KILLS: usize = 20;
/// Requests on their way at one time.
const WINDOW: usize = 64;

#[test]
fn killed_under_load_it_gives_no_sqn_twice_and_forgets_no_registration() {
    let scratch = Scratch::new("hss-kill");
    let file = scratch.file("subscribers.yaml", SUBSCRIBERS);
    let state = scratch.0.join("state");
    let mut random = Random::seeded(1);
    let mut book = Book::new();
    let (mut answered, mut lost) = (0, 0);
    for life in 0..=KILLS {
        let (mut hss, address) = start(&file, &state);
        let mut client = Client::connect(address);
        book.check(&mut client, life);
        let quota = 20 + random.below(500) as usize;
        let mut seen = 0;
        while seen < quota {
            while client.waiting.len() < WINDOW {
                client.send(book.next(&mut random, &client.waiting));
            }
            client.read(&mut book).expect("it runs until it is killed");
            seen = client.answered;
        }
        hss.0.kill().expect("SIGKILL");
        hss.0.wait().expect("a child");
        // What had left before counts as answered.
        while client.read(&mut book).is_some() {}
        answered += client.answered;
        lost += client.waiting.len();
        for asked in client.waiting.values() {
            if let Asked::Sar(user, _) = asked {
                book.promised[*user] = None;
            }
        }
    }
    assert!(answered > KILLS * 100 && lost > KILLS, "{answered} answers, {lost} lost: that was no load");
}

/// One request of the client.
#[derive(Clone, Copy)]
enum Asked {
    Mar(usize),
    Sar(usize, bool),
    Lir(usize),
}

impl Asked {
    const fn user(self) -> usize {
        let (Self::Mar(user) | Self::Sar(user, _) | Self::Lir(user)) = self;
        user
    }
}

/// What the HSS has said to us.
struct Book {
    keys: SubscriberKeys,
    /// The highest SQN of each user.
    sqn: Vec<u64>,
    /// Whether the last SAR registered the user; `None` where nobody answered it.
    promised: Vec<Option<bool>>,
    /// What LIRs say.
    found: Vec<Option<bool>>,
}

impl Book {
    fn new() -> Self {
        let k = K([0x4b; 16]);
        let opc = Milenage::opc(&k, &Op([0x4f; 16]));
        Self {
            keys: SubscriberKeys::Milenage { k, opc },
            sqn: vec![0; USERS],
            promised: vec![Some(false); USERS],
            found: vec![None; USERS],
        }
    }

    /// Another request for a user who waits for none.
    fn next(&self, random: &mut Random, waiting: &HashMap<u32, Asked>) -> Asked {
        loop {
            let user = random.below(USERS as u32) as usize;
            if waiting.values().all(|asked| asked.user() != user) {
                return if random.below(2) == 0 { Asked::Mar(user) } else { Asked::Sar(user, random.below(2) == 0) };
            }
        }
    }

    fn note(&mut self, asked: Asked, message: &[u8]) {
        match asked {
            Asked::Mar(user) => {
                let maa = Maa::decode(message).expect("an MAA");
                assert_eq!(maa.result, CxResult::SUCCESS);
                let challenge = maa.items[0].authenticate.expect("RAND and AUTN");
                let ak = self.keys.outputs(challenge[..16].try_into().expect("RAND")).ak;
                let sqn = (0..6).fold(0, |sqn, i| sqn << 8 | u64::from(challenge[16 + i] ^ ak[i]));
                assert!(sqn > self.sqn[user], "user {user}: {sqn:x} after {:x}", self.sqn[user]);
                self.sqn[user] = sqn;
            }
            Asked::Sar(user, registers) => {
                assert_eq!(Saa::decode(message).expect("an SAA").result, CxResult::SUCCESS);
                self.promised[user] = Some(registers);
            }
            Asked::Lir(user) => {
                self.found[user] = Some(Lia::decode(message).expect("an LIA").result == CxResult::SUCCESS);
            }
        }
    }

    /// Asks for every user.
    fn check(&mut self, client: &mut Client, life: usize) {
        self.found.fill(None);
        for user in 0..USERS {
            client.send(Asked::Lir(user));
        }
        while self.found.contains(&None) {
            client.read(self).expect("answers");
        }
        for (user, (promised, found)) in self.promised.iter().zip(&self.found).enumerate() {
            assert!(promised.is_none() || promised == found, "life {life}, user {user}: {promised:?} became {found:?}");
        }
        client.answered = 0;
    }
}

/// A Diameter peer that sends ahead.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    waiting: HashMap<u32, Asked>,
    answered: usize,
    last: u32,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens once it is ready");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let mut client = Self { stream, buffer: Vec::new(), waiting: HashMap::new(), answered: 0, last: 0 };
        client.write(d::CAPABILITIES_EXCHANGE, d::BASE, |w| {
            w.octets(d::ORIGIN_HOST, 0, true, b"cscf.example").octets(d::ORIGIN_REALM, 0, true, REALM.as_bytes());
            w.address(d::HOST_IP_ADDRESS, 0, true, [127, 0, 0, 1].into());
            w.u32(d::VENDOR_ID, 0, true, VENDOR).octets(d::PRODUCT_NAME, 0, false, b"test");
            w.group(d::VENDOR_SPECIFIC_APPLICATION_ID, 0, true, |w| {
                w.u32(d::VENDOR_ID, 0, true, VENDOR).u32(d::AUTH_APPLICATION_ID, 0, true, cx::APPLICATION);
            });
        });
        client.message().expect("a CEA");
        client
    }

    fn send(&mut self, asked: Asked) {
        let user = asked.user();
        let impi = format!("{:015}@{REALM}", FIRST + user);
        let impu = format!("sip:{impi}");
        let envelope = RequestEnvelope {
            session_id: "cscf.example;1;2",
            origin_host: "cscf.example",
            origin_realm: REALM,
            destination_host: None,
            destination_realm: REALM,
        };
        let (impi, impu) = (&*impi, &*impu);
        match asked {
            Asked::Mar(_) => {
                let scheme = "Digest-AKAv1-MD5";
                let mar = Mar { envelope, impi, impu, items: 1, scheme, resync: None, server_name: SCSCF };
                self.write(Mar::COMMAND, cx::APPLICATION, |w| mar.encode(w));
            }
            Asked::Sar(_, registers) => {
                let assignment = if registers { Type::Registration } else { Type::UserDeregistration };
                let sar = Sar {
                    envelope,
                    impi: Some(impi),
                    impus: vec![impu],
                    server_name: SCSCF,
                    assignment,
                    user_data_already_available: true,
                    supports_shared_ifc: false,
                    multiple_registration: false,
                    supports_restoration: false,
                    restoration: None,
                };
                self.write(Sar::COMMAND, cx::APPLICATION, |w| sar.encode(w));
            }
            Asked::Lir(_) => {
                let lir = Lir { envelope, impu, originating: false, authorization_type: None };
                self.write(Lir::COMMAND, cx::APPLICATION, |w| lir.encode(w));
            }
        }
        self.waiting.insert(self.last, asked);
    }

    fn write(&mut self, command: u32, application: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.last += 1;
        let header = Header {
            request: true,
            proxiable: application != d::BASE,
            error: false,
            retransmitted: false,
            command,
            application,
            hop_by_hop: self.last,
            end_to_end: self.last,
        };
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes, &header);
        write(&mut w);
        w.finish();
        self.stream.write_all(&bytes).expect("it runs until it is killed");
    }

    /// One answer; `None`: the connection has ended.
    fn read(&mut self, book: &mut Book) -> Option<()> {
        let message = self.message()?;
        let header = Header::parse(&message).expect("a Diameter header");
        let asked = self.waiting.remove(&header.hop_by_hop).expect("the answer to a request");
        book.note(asked, &message);
        self.answered += 1;
        Some(())
    }

    fn message(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(len) = header::frame(&self.buffer, 1 << 20)
                && let len = len.expect("Diameter")
                && self.buffer.len() >= len
            {
                return Some(self.buffer.drain(..len).collect());
            }
            let mut more = [0; 16_384];
            match self.stream.read(&mut more) {
                Ok(0) => return None,
                // It died with our requests unread.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
                Ok(n) => self.buffer.extend_from_slice(&more[..n]),
            }
        }
    }
}

/// A process that a failing test must not leave behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(subscribers: &Path, state: &Path) -> (Running, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imsreg"))
        .args(["serve", "--only", "hss", "--diameter", "127.0.0.1:0", "--hss-data"])
        .arg(subscribers)
        .arg("--state")
        .arg(state)
        .env_remove("IMSREG_PROFILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary that cargo built");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let child = Running(child);
    let ready = lines.map_while(Result::ok).find(|line| line.starts_with("ready ")).expect("a line that says ready");
    let address = ready.split_whitespace().find_map(|word| word.strip_prefix("hss=")).expect("its address");
    (child, address.parse().expect("an address"))
}

const FIRST: usize = 1_010_000_000_001;
/// K and OP are octets of one value, so that the test has them too.
const SUBSCRIBERS: &str = r#"
subscribers:
  - {imsi: "001010000000001", range: 200, k: 4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b, op: 4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f}
"#;
