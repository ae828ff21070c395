//! What it costs to read a trace: SIP messages for each second of CPU for import, for import and story, and for all rules on
//! top; that it grows as the trace does, also within one registration; how much memory a capture of any size takes
//! (`docs/performance.md`).
//!
//!     cargo bench --bench traces                          CPU over 1,000 and 5,000 registrations, and one long life
//!     cargo bench --bench traces -- cpu 2000              CPU over so many
//!     cargo bench --bench traces -- life 500 [challenged] CPU over one UE that refreshes so often
//!     cargo bench --bench traces -- draw 1000 IMSREG      CPU of `IMSREG show` beside `IMSREG validate`, over so many
//!     cargo bench --bench traces -- pipe 400 IMSREG       peak memory of `IMSREG validate -` behind so many megabytes
//!     ... -- once 200 import|story|rules                  one run, for callgrind
//!     ... -- write 1000 FILE                              the capture
//!     ... -- write-life 1000 FILE [challenged]            that of one UE that refreshes so often
//!     ... -- read FILE import|story|rules                 one run over such a file, for callgrind
//!
//! Captures are made by the elements themselves (`generator.rs`): REGISTER, challenge, REGISTER over SAs, SUBSCRIBE, NOTIFY,
//! every fourth UE leaves; Gm, Mw and Cx; every second UE in ESP, whose keys are in the MAA and in the 401 on Mw; 2 % of
//! the SIP messages twice.

mod generator;

use generator::{Counts, Generator, Lives};
use imsreg::trace::story::{Limits, Registration, Story};
use imsreg::trace::{self, Options};
use imsreg::validate::{self, Context, Finding, Severity, Verdict};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::process::{Command, Stdio};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize, or: u32| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    let text = |at: usize| args.get(at).map_or("", String::as_str);
    match text(0) {
        "" => {
            let [few, many] = [cpu(1_000)?, cpu(5_000)?];
            let growth = [0, 1, 2].map(|at| many[at] / few[at]);
            println!(
                "CPU for each message over 5,000 registrations, of that over 1,000: {:.2}, {:.2}, {:.2}",
                growth[0], growth[1], growth[2]
            );
            life(1_000, false)?;
            life(1_000, true)
        }
        "cpu" => cpu(number(1, 5_000)).map(drop),
        "life" => life(number(1, 1_000), text(2) == "challenged"),
        "draw" => draw(number(1, 1_000), text(2)),
        "pipe" => pipe(u64::from(number(1, 400)) * 1_000_000, text(2)),
        "once" => {
            let (capture, counts) = capture(many(number(1, 200)))?;
            let depth = Depth::of(text(2));
            check(&read(&capture, depth), depth, &counts);
            println!("{} SIP messages read", counts.sip);
            Ok(())
        }
        "write" => {
            let counts = write(BufWriter::new(File::create(text(2))?), many(number(1, 1_000)))?;
            println!("{counts:?}");
            Ok(())
        }
        "write-life" => {
            let life = Lives { ues: 1, refreshes: number(1, 1_000), is_challenged: text(3) == "challenged" };
            let counts = write(BufWriter::new(File::create(text(2))?), life)?;
            println!("{counts:?}");
            Ok(())
        }
        "read" => {
            let found = read(&fs::read(text(1))?, Depth::of(text(2)));
            assert_eq!(found.error, None, "the trace is sound");
            println!("{} SIP and Diameter messages read", found.messages);
            Ok(())
        }
        other => panic!("cpu, life, draw, pipe, once, write, write-life or read expected, {other} found"),
    }
}

/// How far a trace is read.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Depth {
    /// Messages out of packets, with their ESP.
    Import,
    /// Registrations out of messages.
    Story,
    /// Every rule.
    Rules,
}

impl Depth {
    fn of(word: &str) -> Self {
        match word {
            "import" => Self::Import,
            "story" => Self::Story,
            _ => Self::Rules,
        }
    }
}

/// What a reading found.
#[derive(Default)]
struct Found {
    messages: u64,
    registrations: u64,
    findings: u64,
    /// The first rule of severity error that failed, with what was expected and found.
    error: Option<String>,
}

fn read(capture: &[u8], depth: Depth) -> Found {
    let mut found = Found::default();
    let mut trace = trace::open(capture, Options::default()).expect("a capture");
    if depth == Depth::Import {
        for sighting in trace.by_ref() {
            drop(sighting.expect("it is whole"));
        }
        found.messages = trace.summary().sip + trace.summary().diameter;
        return found;
    }
    let mut story = Story::new(Limits::default());
    loop {
        let next = trace.next();
        let has_ended = next.is_none();
        match next {
            Some(sighting) => story.see(sighting.expect("it is whole")),
            None => story.finish(),
        }
        while let Some(group) = story.next() {
            let registration = Registration::of(&group);
            found.messages += registration.messages().count() as u64;
            found.registrations += u64::from(registration.id().is_some());
            if depth == Depth::Rules && registration.id().is_some() {
                let findings = validate::judge(&registration, &Context::default(), |_| true);
                found.findings += findings.len() as u64;
                let failed = |f: &&Finding| f.verdict == Verdict::Fail && f.rule.severity == Severity::Error;
                if let (None, Some(f)) = (&found.error, findings.iter().find(failed)) {
                    let Finding { rule, registration, messages, expected, found: seen, .. } = f;
                    found.error = Some(format!(
                        "{} of registration {registration:?}, messages {messages:?}: {expected} expected, {seen} found",
                        rule.id
                    ));
                }
            }
        }
        if has_ended {
            return found;
        }
    }
}

/// Everything that was written must have been read, and nothing is wrong with it.
fn check(found: &Found, depth: Depth, counts: &Counts) {
    assert_eq!(found.messages, counts.sip + counts.diameter, "{depth:?}: every message, those in ESP too");
    assert!(depth == Depth::Import || found.registrations >= counts.registrations, "{depth:?}: every registration");
    assert!(depth != Depth::Rules || found.findings >= counts.registrations * 100, "{depth:?}: every rule");
    assert_eq!(found.error, None, "{depth:?}: the trace is sound");
}

/// Nanoseconds of CPU for each SIP message, the least of three runs: import, story on top, rules on top.
fn cpu(registrations: u32) -> io::Result<[f64; 3]> {
    let (capture, counts) = capture(many(registrations))?;
    println!(
        "{registrations} registrations: {} SIP messages, {} of them in ESP, {} sent again; {} Diameter messages; {} MB",
        counts.sip,
        counts.sealed,
        counts.again,
        counts.diameter,
        counts.octets / 1_000_000
    );
    let costs = costs(&capture, &counts);
    for (depth, cost) in ["import", "import and story", "import, story and all rules"].iter().zip(costs) {
        println!("{depth}: {cost:.0} ns a SIP message, SIP messages for each second of CPU: {:.0}", 1e9 / cost);
    }
    Ok(costs)
}

fn costs(capture: &[u8], counts: &Counts) -> [f64; 3] {
    [Depth::Import, Depth::Story, Depth::Rules].map(|depth| {
        let mut least = u64::MAX;
        for _ in 0..3 {
            let before = cpu_nanos();
            let found = read(capture, depth);
            least = least.min(cpu_nanos() - before);
            check(&found, depth, counts);
        }
        ratio(least, counts.sip)
    })
}

/// One UE that stays: a message of a long life costs what one of a short life costs.
fn life(refreshes: u32, is_challenged: bool) -> io::Result<()> {
    let cost = |refreshes| -> io::Result<f64> {
        let (capture, counts) = capture(Lives { ues: 1, refreshes, is_challenged })?;
        let [_, story, cost] = costs(&capture, &counts);
        let how = if is_challenged { ", challenged each time" } else { "" };
        println!(
            "one UE that refreshes {refreshes} times{how}, {} SIP messages: {story:.0} ns each for the story, {cost:.0} ns with \
             all rules",
            counts.sip
        );
        Ok(cost)
    };
    let (short, long) = (cost(refreshes / 10)?, cost(refreshes)?);
    println!("CPU for each message of the long life, of that of the short one: {:.2}", long / short);
    Ok(())
}

/// What drawing costs, by the CPU of the command.
fn draw(registrations: u32, imsreg: &str) -> io::Result<()> {
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("traces-draw.pcap");
    let counts = write(BufWriter::new(File::create(&file)?), many(registrations))?;
    let mut spent = [0; 2];
    for (spent, command) in spent.iter_mut().zip(["validate", "show"]) {
        let before = cpu_of(&children());
        let status = Command::new(imsreg).arg(command).arg(&file).stdout(Stdio::null()).status()?;
        assert!(status.code().is_some_and(|code| code < 2), "{command}: {status}");
        *spent = cpu_of(&children()) - before;
    }
    fs::remove_file(&file)?;
    let [validated, drawn] = spent.map(|spent| ratio(spent, counts.sip));
    println!("imsreg validate: {validated:.0} ns a SIP message; imsreg show: {drawn:.0} ns");
    Ok(())
}

/// Peak memory of `imsreg validate -` behind a pipe of so many octets.
fn pipe(octets: u64, imsreg: &str) -> io::Result<()> {
    let before = cpu_of(&children());
    let mut child =
        Command::new(imsreg).args(["validate", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("piped");
    // What it prints is read beside, as people would: the pipe must not fill up.
    let lines = Command::new("wc").arg("-l").stdin(stdout).stdout(Stdio::piped()).spawn()?;
    let mut generator =
        Generator::new(BufWriter::with_capacity(1 << 20, child.stdin.take().expect("piped")), 2_000_000)?;
    while generator.counts().octets < octets {
        generator.generation(many(GENERATION))?;
    }
    let counts = generator.finish()?;
    let status = child.wait()?;
    assert!(status.code().is_some_and(|code| code < 2), "{status}");
    let after = children();
    let lines = String::from_utf8_lossy(&lines.wait_with_output()?.stdout).trim().to_owned();
    // Linux counts what this process held when it started the child; that must not be what is read here.
    let own = kilobytes(&getrusage(UsageWho::RUSAGE_SELF).expect("of ourselves"));
    println!(
        "{} octets, {} registrations, {} SIP messages through a pipe: {} lines, {:.1} s of CPU, peak resident memory in MB: {} \
         (the generator: {})",
        counts.octets,
        counts.registrations,
        counts.sip,
        lines,
        ratio(cpu_of(&after) - before, 1_000_000_000),
        kilobytes(&after) / 1_000,
        own / 1_000
    );
    assert!(kilobytes(&after) < 300_000, "{} kB held", kilobytes(&after));
    Ok(())
}

fn children() -> Usage {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("of our children")
}

fn kilobytes(usage: &Usage) -> u64 {
    u64::try_from(usage.max_rss()).expect("not negative")
}

/// Nanoseconds.
fn cpu_of(usage: &Usage) -> u64 {
    let nanos = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000).expect("not negative")
    };
    nanos(usage.user_time()) + nanos(usage.system_time())
}

fn many(ues: u32) -> Lives {
    Lives { ues, ..Lives::default() }
}

fn capture(lives: Lives) -> io::Result<(Vec<u8>, Counts)> {
    let mut capture = Vec::new();
    let counts = write(&mut capture, lives)?;
    Ok((capture, counts))
}

fn write(out: impl Write, lives: Lives) -> io::Result<Counts> {
    let mut generator = Generator::new(out, lives.ues)?;
    let mut left = lives.ues;
    while left > 0 {
        let ues = left.min(GENERATION);
        generator.generation(Lives { ues, ..lives })?;
        left -= ues;
    }
    generator.finish()
}

/// CPU that this thread has used (the bench has one).
fn cpu_nanos() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").expect("Linux");
    text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("nanoseconds first")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// UEs of one core, all alive at once.
const GENERATION: u32 = 1_000;
