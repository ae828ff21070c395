//! `imsreg convert`: a trace in another form.

use super::args::{ConvertArgs, ConvertFormat};
use super::{Failure, trace};
use crate::convert::copy::Form;
use crate::convert::ends::MadeUp;
use crate::convert::file::{self, Order, Written};
use crate::convert::redact::Redactor;
use crate::convert::{Copier, Packets};
use crate::ip;
use crate::live::hep::{Collector, Place};
use crate::time::{Duration, Epoch, Instant};
use crate::trace::{Fault, Place as At, Protection, Seen, Sighting, hep, text};
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;

pub(super) fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let place = Place::of(&args.out).transpose().map_err(Failure::Usage)?;
    let format = format(args, place.is_some())?;
    if args.decrypt && format != ConvertFormat::Pcapng {
        let text = "--decrypt adds an interface to pcapng; text and hep hold what ESP could be opened anyway";
        return Err(Failure::Usage(text.to_owned()));
    }
    let is_same = fs::canonicalize(&args.trace.trace)
        .is_ok_and(|trace| fs::canonicalize(&args.out).is_ok_and(|out| out == trace));
    if is_same {
        return Err(Failure::Usage(format!("{}: it would be written over itself", args.out)));
    }
    let fail = |error: io::Error| Failure::Usage(format!("{}: {error}", args.out));
    let source = trace::source(&args.trace)?;
    let form = match format {
        ConvertFormat::Pcapng => Some(Form::Pcapng),
        ConvertFormat::Pcap => Some(Form::Pcap),
        ConvertFormat::Text | ConvertFormat::Hep => None,
    };
    let out = match place {
        Some(_) => Shared::new(Box::new(io::sink())),
        None => Shared::create(&args.out).map_err(fail)?,
    };
    let copier = form.filter(|_| !args.redact).map(|form| Copier::new(out.clone(), form, args.decrypt));
    let copier = Rc::new(RefCell::new(copier));
    let tee = Tee { source, copier: Rc::clone(&copier) };
    let mut trace = trace::open_source(&args.trace, Box::new(tee))?;
    let mut done = Done::default();
    let fault = if trace.packets().is_some() && copier.borrow().is_some() {
        copy(&mut trace, &copier, args.decrypt, &mut done).map_err(fail)?
    } else {
        copier.borrow_mut().take();
        let mut redactor = redactor(args)?;
        let sink = match place {
            Some(place) => Sink::Collector(Collector::connect(place, args.rate).map_err(fail)?),
            None => Sink::File(out, format),
        };
        let mut writer = Writer::new(sink);
        let fault = messages(&mut trace, &mut writer, redactor.as_mut(), &mut done).map_err(fail)?;
        done.made_up = writer.ends.count;
        if let Some(redactor) = &redactor {
            done.lines.extend(redactor.lines());
        }
        fault
    };
    done.lines.extend(trace.summary().to_string().lines().map(str::to_owned));
    done.print(args);
    match fault {
        Some(fault) => {
            Err(Failure::Usage(format!("{}: {fault}; what came before is written", args.trace.trace.display())))
        }
        None => Ok(()),
    }
}

/// A capture as it is; with `mirrors`, what ESP held beside it.
fn copy(
    trace: &mut trace::Opened,
    copier: &RefCell<Option<Copier<Shared>>>,
    mirrors: bool,
    done: &mut Done,
) -> io::Result<Option<Fault>> {
    let mut packets = Packets::new();
    let mut fault = None;
    while let Some(next) = trace.next() {
        let sighting = match next {
            Ok(sighting) => sighting,
            Err(error) => {
                fault = Some(error);
                break;
            }
        };
        let mut copier = copier.borrow_mut();
        let Some(copier) = copier.as_mut() else { break };
        let Sighting { place: At::Packet(number), at, seen } = sighting else { continue };
        let micros = trace.epoch().unwrap_or_default().unix_micros(at.unwrap_or(Instant::ZERO));
        if mirrors && !copier.has_clear {
            let made = match &seen {
                Seen::Message(message) if matches!(message.protection, Protection::Esp(_)) => {
                    message.ends.map(|ends| packets.message(message, ends, None)).unwrap_or_default()
                }
                Seen::Connection(step) if matches!(step.protection, Protection::Esp(_)) => {
                    packets.step(step, None).into_iter().collect()
                }
                _ => Vec::new(),
            };
            for packet in made {
                copier.mirror(number, micros, &packet);
                done.mirrored += 1;
            }
        }
        done.messages += u64::from(matches!(seen, Seen::Message(_)));
        copier.settled(trace.summary().packets)?;
    }
    let Some(copier) = copier.borrow_mut().take() else { return Ok(fault) };
    done.left_out = copier.left_out;
    done.has_clear = mirrors && copier.has_clear;
    copier.finish()?;
    Ok(fault)
}

/// What a trace shows, message by message.
fn messages(
    trace: &mut trace::Opened,
    writer: &mut Writer,
    mut redactor: Option<&mut Redactor>,
    done: &mut Done,
) -> io::Result<Option<Fault>> {
    let mut fault = None;
    while let Some(next) = trace.next() {
        let mut sighting = match next {
            Ok(sighting) => sighting,
            Err(error) => {
                fault = Some(error);
                break;
            }
        };
        let comment = redactor.as_mut().and_then(|redactor| redactor.redact(&mut sighting));
        done.messages += u64::from(matches!(sighting.seen, Seen::Message(_)));
        let epoch = trace.epoch();
        writer.write(&sighting, epoch, comment.as_deref(), redactor.as_deref_mut(), done)?;
    }
    // How long a trace goes on without a message tells something, too.
    if let Some(reader) = trace.packets() {
        writer.until(reader.until(), trace.epoch())?;
    }
    writer.finish()?;
    Ok(fault)
}

fn redactor(args: &ConvertArgs) -> Result<Option<Redactor>, Failure> {
    if !args.redact {
        return Ok(None);
    }
    let mut redactor = match &args.redact_seed {
        Some(seed) => Redactor::with_seed(seed.text()),
        None => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| Failure::Usage(format!("the system gives no seed: {error}")))?;
            Redactor::new(key)
        }
    };
    for (impi, keys) in trace::subscribers(&args.trace)? {
        redactor.add_subscriber(impi, keys);
    }
    Ok(Some(redactor))
}

struct Writer {
    sink: Sink,
    packets: Packets,
    ends: MadeUp,
    has_head: bool,
    buffer: Vec<u8>,
    /// Of a pcap, whose packets all have a time.
    last_micros: u64,
}

enum Sink {
    File(Shared, ConvertFormat),
    Collector(Collector),
}

impl Writer {
    fn new(sink: Sink) -> Self {
        let (packets, ends) = (Packets::new(), MadeUp::default());
        Self { sink, packets, ends, has_head: false, buffer: Vec::new(), last_micros: 0 }
    }

    fn write(
        &mut self,
        sighting: &Sighting,
        epoch: Option<Epoch>,
        comment: Option<&str>,
        redactor: Option<&mut Redactor>,
        done: &mut Done,
    ) -> io::Result<()> {
        let unix = |at: Instant| epoch.unwrap_or_default().unix_micros(at);
        self.buffer.clear();
        match (&mut self.sink, &sighting.seen) {
            (Sink::File(_, ConvertFormat::Text), _) => {
                if let Some(comment) = comment {
                    self.buffer.extend_from_slice(format!("# {}: {comment}\n", sighting.place).as_bytes());
                }
                text::write(sighting, &mut self.buffer);
            }
            (Sink::File(_, ConvertFormat::Hep) | Sink::Collector(_), Seen::Message(message)) => {
                let time = sighting.at.map(|at| Duration::from_micros(unix(at)));
                let packet = hep::Packet { since_epoch: time, agent: None, message: message.clone() };
                if hep::write(&packet, &mut self.buffer).is_err() {
                    done.unwritable += 1;
                    return Ok(());
                }
            }
            (Sink::File(_, ConvertFormat::Hep) | Sink::Collector(_), _) => return Ok(()),
            (Sink::File(_, format), seen) => {
                let format = *format;
                self.head(format);
                let mut redactor = redactor;
                let mut seal = |esp: &_, from, to, protocol, segment: &[u8], out: &mut Vec<u8>| {
                    redactor.as_mut().is_some_and(|redactor| redactor.seal(esp, from, to, protocol, segment, out))
                };
                let mut is_clear = false;
                let packets = match seen {
                    Seen::Message(message) => {
                        is_clear = message.protection == Protection::Unknown;
                        let ends = self.ends.of(message);
                        self.packets.message(message, ends, Some(&mut seal))
                    }
                    Seen::Connection(step) => {
                        is_clear = step.protection == Protection::Unknown;
                        self.packets.step(step, Some(&mut seal)).into_iter().collect()
                    }
                    Seen::Sealed(sealed) => vec![self.packets.sealed(sealed)],
                    Seen::Verified(_) | Seen::Lost(_) | Seen::Unread(_) => Vec::new(),
                };
                for packet in packets {
                    let interface = if is_clear { CLEAR } else { WIRE };
                    match (format, sighting.at) {
                        (ConvertFormat::Pcapng, None) if is_clear => {
                            file::timeless(&mut self.buffer, Order::Little, &packet.octets, packet.original);
                        }
                        (ConvertFormat::Pcapng, at) => {
                            let ticks = at.map_or(0, unix);
                            let (octets, original) = (Cow::Borrowed(&packet.octets[..]), packet.original);
                            let written = Written { interface, ticks, octets, original, comment };
                            file::packet(&mut self.buffer, Order::Little, &written);
                        }
                        (_, at) => {
                            done.timeless += u64::from(at.is_none());
                            let micros = at.map_or(self.last_micros + A_WHILE, unix);
                            self.last_micros = micros;
                            let (seconds, fraction) = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
                            file::pcap_packet(&mut self.buffer, seconds, fraction, &packet.octets, packet.original);
                        }
                    }
                }
            }
        }
        self.flush()
    }

    /// An empty packet of nobody at the end of the trace.
    fn until(&mut self, at: Instant, epoch: Option<Epoch>) -> io::Result<()> {
        let Sink::File(_, format @ (ConvertFormat::Pcap | ConvertFormat::Pcapng)) = self.sink else { return Ok(()) };
        self.buffer.clear();
        self.head(format);
        let micros = epoch.unwrap_or_default().unix_micros(at);
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        let mut octets = Vec::new();
        ip::write(&mut octets, nobody, nobody, NO_NEXT_HEADER, &[]);
        let original = octets.len();
        if format == ConvertFormat::Pcapng {
            let written = Written { interface: WIRE, ticks: micros, octets: octets.into(), original, comment: None };
            file::packet(&mut self.buffer, Order::Little, &written);
        } else {
            let (seconds, fraction) = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
            file::pcap_packet(&mut self.buffer, seconds, fraction, &octets, original);
        }
        self.flush()
    }

    /// What stands before all packets. A packet without a time can only be of the first interface.
    fn head(&mut self, format: ConvertFormat) {
        if self.has_head {
            return;
        }
        self.has_head = true;
        if format == ConvertFormat::Pcap {
            return file::pcap_head(&mut self.buffer, file::RAW_IP, false);
        }
        file::section(&mut self.buffer, Order::Little, Some(ABOUT));
        file::interface(&mut self.buffer, Order::Little, Some(crate::capture::CLEAR_INTERFACE), file::RAW_IP, 6);
        file::interface(&mut self.buffer, Order::Little, Some("wire"), file::RAW_IP, 6);
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Sink::File(_, format @ (ConvertFormat::Pcap | ConvertFormat::Pcapng)) = self.sink {
            self.buffer.clear();
            self.head(format);
            self.flush()?;
        }
        match &mut self.sink {
            Sink::File(out, _) => out.flush(),
            Sink::Collector(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(out, _) => out.write_all(&self.buffer),
            Sink::Collector(collector) if !self.buffer.is_empty() => collector.send(&self.buffer),
            Sink::Collector(_) => Ok(()),
        }
    }
}

/// What happened, for whoever ran it.
#[derive(Default)]
struct Done {
    messages: u64,
    mirrored: u64,
    made_up: u64,
    timeless: u64,
    unwritable: u64,
    left_out: u64,
    has_clear: bool,
    lines: Vec<String>,
}

impl Done {
    fn print(&self, args: &ConvertArgs) {
        let counts = [
            (self.mirrored, "packets on the interface clear"),
            (self.made_up, "messages whose ends are made up, from 198.18.0.0/15 and 2001:db8:bad::/48"),
            (self.timeless, "packets without a time, which stand 10 ms apart"),
            (self.unwritable, "messages of Diameter, or too long for HEP, which are left out"),
            (self.left_out, "comments, secrets and other blocks that pcap has no place for"),
        ];
        let mut lines: Vec<String> = vec![format!("{} messages", self.messages)];
        lines.extend(counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
        if self.has_clear {
            lines.push("the capture has an interface clear already: nothing was added".to_owned());
        }
        lines.extend(self.lines.iter().cloned());
        let is_taken = args.out == "-";
        if args.common.json {
            let report = json!({
                "event": "report", "ok": true, "out": args.out, "messages": self.messages, "mirrored": self.mirrored,
                "made_up_ends": self.made_up, "without_time": self.timeless, "left_out": self.unwritable + self.left_out,
                "lines": lines,
            });
            if is_taken {
                eprintln!("{report}")
            } else {
                println!("{report}")
            }
            return;
        }
        for line in lines {
            if is_taken { eprintln!("{line}") } else { println!("{line}") }
        }
    }
}

fn format(args: &ConvertArgs, is_collector: bool) -> Result<ConvertFormat, Failure> {
    let extension = Path::new(&args.out).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match (is_collector, args.format) {
        (true, None | Some(ConvertFormat::Hep)) => Ok(ConvertFormat::Hep),
        (true, Some(_)) => Err(Failure::Usage("--format: a collector takes hep".to_owned())),
        (false, Some(format)) => Ok(format),
        (false, None) => match extension.to_ascii_lowercase().as_str() {
            "pcapng" => Ok(ConvertFormat::Pcapng),
            "pcap" | "cap" => Ok(ConvertFormat::Pcap),
            "txt" | "text" | "log" => Ok(ConvertFormat::Text),
            "hep" => Ok(ConvertFormat::Hep),
            _ if args.out == "-" => Ok(ConvertFormat::Text),
            _ => Err(Failure::Usage(format!("{}: its name does not tell the form; --format does", args.out))),
        },
    }
}

/// One output for several hands.
#[derive(Clone)]
struct Shared(Rc<RefCell<BufWriter<Box<dyn Write>>>>);

impl Shared {
    fn new(out: Box<dyn Write>) -> Self {
        Self(Rc::new(RefCell::new(BufWriter::new(out))))
    }

    fn create(path: &str) -> io::Result<Self> {
        Ok(Self::new(if path == "-" { Box::new(io::stdout()) } else { Box::new(File::create(path)?) }))
    }
}

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

/// What is read of the trace goes to the copier as well.
struct Tee {
    source: trace::Source,
    copier: Rc<RefCell<Option<Copier<Shared>>>>,
}

impl Read for Tee {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.source.read(out)?;
        if let Some(copier) = self.copier.borrow_mut().as_mut() {
            copier.feed(&out[..len])?;
        }
        Ok(len)
    }
}

/// Microseconds between packets whose time nobody knows: two that are equal are not taken for one that was seen twice.
const A_WHILE: u64 = 10_000;
/// RFC 8200 clause 4.7.
const NO_NEXT_HEADER: u8 = 59;
const CLEAR: u32 = 0;
const WIRE: u32 = 1;
const ABOUT: &str = "Made of messages by imsreg convert. Addresses of 198.18.0.0/15 and 2001:db8:bad::/48 are made up where a \
                     text tells none. On the interface clear stands what something protected, or may have.";
