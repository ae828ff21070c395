//! What a command keeps of a run: hops and events for the ladder, JSON lines, the capture file.

use super::Failure;
use crate::capture::pcapng::Writer;
use crate::capture::{Capture, Entry, esp_sa};
use crate::event::{Event, What};
use crate::ims::{Tap, Wire};
use crate::ipsec::association::SaSet;
use crate::ladder::{Options, json};
use crate::live::Clock;
use crate::packet::Packet;
use crate::time::Instant;
use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Where a run is recorded; every copy is the same record.
#[derive(Clone)]
pub(super) struct Record(Rc<RefCell<Inner>>);

struct Inner {
    /// Elements wired locally do all their work within one instant of theirs, and people want to see how long it took:
    /// a live run stamps its entries itself.
    clock: Option<Clock>,
    capture: Option<Capture>,
    file: Option<Writer<BufWriter<File>>>,
    /// Beside the capture file: the ESP keys of the sets in it, once there is one.
    keys: Keys,
    lines: Option<Options>,
    /// A file that could not be written is said once.
    file_failed: Option<String>,
    /// Somebody reads events: ladder or JSON.
    events: bool,
    /// Final status of the newest request outside of dialogs, 0: none came.
    answered: Option<u16>,
}

impl Record {
    /// Keeps nothing. Without `clock` the elements' own time is recorded.
    pub(super) fn new(clock: Option<Clock>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            clock,
            capture: None,
            file: None,
            keys: Keys::default(),
            lines: None,
            file_failed: None,
            events: false,
            answered: None,
        })))
    }

    /// Keeps everything in memory, for a ladder.
    pub(super) fn keep(&self) {
        let mut inner = self.0.borrow_mut();
        inner.capture = Some(Capture::new());
        inner.events = true;
    }

    /// Prints a JSON object for each message and event as they come.
    pub(super) fn print_lines(&self, options: Options) {
        let mut inner = self.0.borrow_mut();
        inner.lines = Some(options);
        inner.events = true;
    }

    /// Writes every message to a pcapng file, what a plane seals also as it is on the wire, and its keys beside it.
    pub(super) fn write_to(&self, path: &Path) -> Result<(), Failure> {
        let fail = |e: &dyn std::fmt::Display| Failure::Usage(format!("--capture {}: {e}", path.display()));
        let file = File::create(path).map_err(|e| fail(&e))?;
        let writer = Writer::new(BufWriter::new(file), self.0.borrow().clock.map(|c| c.epoch()).unwrap_or_default())
            .map_err(|e| fail(&e))?;
        let mut inner = self.0.borrow_mut();
        inner.file = Some(writer);
        let mut keys = path.as_os_str().to_owned();
        keys.push(".esp_sa");
        inner.keys.path = keys.into();
        Ok(())
    }

    /// Looks at what was kept.
    pub(super) fn with_capture<T>(&self, look: impl FnOnce(&Capture) -> T) -> Option<T> {
        self.0.borrow().capture.as_ref().map(look)
    }

    /// Stops keeping messages in memory: a server that stays up must not grow.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().capture = None;
    }

    /// The final status of the newest request outside of dialogs, once it is there; 0: none came in time.
    pub(super) fn answered(&self) -> Option<u16> {
        self.0.borrow().answered
    }

    /// Writes the end of the capture file.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let mut inner = self.0.borrow_mut();
        let finished = match inner.file.take() {
            Some(writer) => writer.finish().map_err(|e| e.to_string()),
            None => Ok(()),
        };
        match (finished, inner.file_failed.take()) {
            (Err(e), _) | (_, Some(e)) => Err(Failure::Usage(format!("the capture is incomplete: {e}"))),
            _ => Ok(()),
        }
    }

    fn stamp(&self, now: Instant) -> Instant {
        self.0.borrow().clock.map_or(now, |c| c.now())
    }

    fn add(&self, entry: &Entry) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if let (Some(file), Entry::Hop(hop)) = (&mut inner.file, entry) {
            let written = file.hop(hop);
            inner.written(written);
        }
        if let Some(options) = &inner.lines {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{}", json::entry(entry, options));
        }
        if let Some(capture) = &mut inner.capture {
            capture.entries.push(entry.clone());
        }
    }
}

impl Wire for Record {
    fn sealed(&self, set: &SaSet) {
        let mut inner = self.0.borrow_mut();
        let Inner { file: Some(file), keys, .. } = &mut *inner else { return };
        let written = file.sealed(set.id).and_then(|()| keys.add(set));
        inner.written(written);
    }

    fn packet(&self, packet: &[u8]) {
        let at = self.stamp(Instant::ZERO);
        let mut inner = self.0.borrow_mut();
        if let Some(file) = &mut inner.file {
            let written = file.wire(at, packet);
            inner.written(written);
        }
    }
}

impl Inner {
    /// The capture ends where it cannot be written.
    fn written(&mut self, result: io::Result<()>) {
        if let Err(e) = result {
            self.file_failed = Some(e.to_string());
            self.file = None;
        }
    }
}

/// A file that its owner alone may read.
#[derive(Default)]
struct Keys {
    path: PathBuf,
    file: Option<File>,
}

impl Keys {
    fn add(&mut self, set: &SaSet) -> io::Result<()> {
        let Some(lines) = esp_sa(set) else { return Ok(()) };
        if self.file.is_none() {
            // What an earlier run left may be open to others.
            match fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            self.file = Some(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(lines.as_bytes()))
    }
}

impl Tap for Record {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let wanted = {
            let inner = self.0.borrow();
            inner.capture.is_some() || inner.file.is_some() || inner.lines.is_some()
        };
        if wanted {
            self.add(&Entry::hop(self.stamp(now), packet));
        }
    }

    fn event(&mut self, now: Instant, event: &Event) {
        let now = self.stamp(now);
        tracing::debug!(at = %now, role = %event.role, "{:?}", event.what);
        if let What::RequestAnswered { status, .. } = event.what {
            self.0.borrow_mut().answered = Some(status);
        }
        self.add(&Entry::Event { at: now, event: event.clone() });
    }

    fn wire(&self) -> Option<Rc<dyn Wire>> {
        self.0.borrow().file.is_some().then(|| Rc::new(self.clone()) as Rc<dyn Wire>)
    }

    fn sealed(&mut self, _now: Instant, set: &SaSet) {
        Wire::sealed(self, set);
    }

    fn esp(&mut self, now: Instant, packet: &[u8]) {
        let mut inner = self.0.borrow_mut();
        if let Some(file) = &mut inner.file {
            let written = file.wire(now, packet);
            inner.written(written);
        }
    }

    fn wants_events(&self) -> bool {
        self.0.borrow().events || tracing::enabled!(tracing::Level::DEBUG)
    }
}
