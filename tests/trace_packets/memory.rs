//! A long capture through a pipe: memory stays bounded.

use crate::build::{UE, data, gtp_u, head, identified, record, request, udp};
use imsreg::trace::{self, Options, Seen};
use std::io::Read;

/// Makes packets as long as somebody reads: many UEs, SIP over UDP, TCP with losses, fragments that never end, ESP that
/// nobody can open, media.
struct Endless {
    left: u64,
    number: u32,
    ready: Vec<u8>,
    at: usize,
}

impl Endless {
    fn make(&mut self) {
        self.ready.clear();
        self.at = 0;
        for _ in 0..64 {
            self.number += 1;
            let n = self.number;
            let host = format!("10.{}.{}.{}", 1 + (n >> 16) % 200, n >> 8 & 0xff, n & 0xff);
            let ue = format!("{host}:5060");
            let packet = match n % 8 {
                0..=2 => gtp_u("172.16.0.1:2152", "172.16.0.2:2152", n, &udp(&ue, "10.0.0.1:5060", &request(n, 900))),
                3 => {
                    // A beginning whose end never comes, or comes behind a gap.
                    let sequence = if n & 8 == 0 { 1 } else { 3_000 };
                    crate::build::tcp(&ue, "10.0.0.1:5060", sequence, 16, &request(n, 2_000)[..1_300])
                }
                4 => {
                    let mut first = udp(&ue, "10.0.0.1:5060", &request(n, 1_200));
                    first = identified(first, n as u16);
                    first[6] = 0x20;
                    first.truncate(20 + 1_200);
                    first[2..4].copy_from_slice(&1_220_u16.to_be_bytes());
                    first
                }
                5 => {
                    let mut esp = Vec::new();
                    let sealed: Vec<u8> = (0..1_200_u32).map(|at| (at.wrapping_mul(n) >> 3) as u8).collect();
                    imsreg::ip::write(&mut esp, host.parse().unwrap(), "10.0.0.1".parse().unwrap(), 50, &sealed);
                    esp
                }
                6 => udp(&format!("{host}:49170"), "10.0.0.3:49172", &[0x80; 172]),
                _ => identified(data(n.wrapping_mul(7_919), &request(n, 600)), n as u16),
            };
            record(&mut self.ready, u64::from(n) * 20, &packet, packet.len());
        }
    }
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.ready.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.make();
            self.left = self.left.saturating_sub(self.ready.len() as u64);
        }
        let len = out.len().min(self.ready.len() - self.at);
        out[..len].copy_from_slice(&self.ready[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// The most octets that this process ever held.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

/// `IMSREG_TRACE_OCTETS` makes it longer: 4000000000 is what the limit is stated for.
#[test]
fn a_long_capture_through_a_pipe_stays_below_300_mb() {
    let octets = std::env::var("IMSREG_TRACE_OCTETS").ok().and_then(|text| text.parse().ok()).unwrap_or(150_000_000);
    let ready = head(101);
    let source = Endless { left: octets, number: 0, ready, at: 0 };
    let mut trace = trace::open(source, Options::default()).unwrap();
    let mut kinds = [0_u64; 4];
    for sighting in trace.by_ref() {
        let kind = match sighting.unwrap().seen {
            Seen::Message(_) => 0,
            Seen::Sealed(_) => 1,
            Seen::Verified(_) | Seen::Lost(_) | Seen::Connection(_) => 2,
            Seen::Unread(_) => 3,
        };
        kinds[kind] += 1;
    }
    let summary = trace.summary();
    println!("{UE} {summary}");
    assert!(kinds.iter().all(|count| *count > 1_000), "{kinds:?}");
    assert_eq!(kinds[1], summary.sealed.values().map(|count| count.total()).sum::<u64>());
    if let Some(peak) = peak() {
        println!("{octets} octets read, at most {} MB held", peak / 1_000_000);
        assert!(peak < 300_000_000, "{peak} octets held");
    }
}
