//! What `replay` prints.

use crate::cli::Failure;
use crate::cli::args::ReplayArgs;
use crate::cli::report;
use crate::replay::comparison::{Item, Sender, Verdict};
use crate::replay::{Entry, Known, Outcome, Report, Script};
use crate::time::Instant;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Text for people, or an object a line.
pub(super) struct Lines {
    json: bool,
    verbose: bool,
    name: String,
    number: u64,
    played: usize,
    left_out: usize,
    known: &'static str,
    side: Sender,
}

impl Lines {
    pub(super) fn new(args: &ReplayArgs, number: u64, script: &Script, known: &Known) -> Self {
        Self {
            json: args.common.json,
            verbose: args.common.verbose > 0,
            name: args.trace.trace.display().to_string(),
            number,
            played: script.len(),
            left_out: script.left_out(),
            known: match known {
                Known::Nothing => "recorded challenges and answers",
                Known::Keys(_) => "computed from K",
                Known::Password(_) => "computed from the password",
            },
            side: Sender::Ue,
        }
    }

    /// A side of the recording is played.
    pub(super) fn begins(&mut self, side: Sender, against: &str) {
        self.side = side;
        let who = if side == Sender::Ue { "UE" } else { "network" };
        let Self { name, number, played, left_out, known, .. } = self;
        if self.json {
            let line = json!({"event": "replay", "at": 0.0, "registration": number, "plays": who.to_ascii_lowercase(),
                "against": against, "authentication": known, "messages": played, "left_out": left_out});
            println!("{line}");
            return;
        }
        println!(
            "registration {number} of {name}: the recorded {who} against {against}; {played} messages, authentication {known}"
        );
        if *left_out > 0 {
            println!("not played: {left_out} messages of sessions, or cut");
        }
    }

    /// Where the other side is waited for.
    pub(super) fn ready(&self, address: SocketAddr) {
        if self.json {
            println!("{}", json!({"event": "ready", "at": 0.0, "pcscf": [address.to_string()]}));
        } else {
            println!("ready pcscf={address}");
        }
    }

    pub(super) fn note(&self, text: &str) {
        if self.json {
            println!("{}", json!({"event": "note", "at": 0.0, "text": text}));
        } else {
            println!("note: {text}");
        }
    }

    pub(super) fn entries(&self, entries: &[Entry]) {
        let skipped = entries.iter().filter(|entry| entry.outcome == Outcome::Skipped).count();
        for entry in entries {
            if self.json {
                println!("{}", self.object(entry));
            } else {
                self.text(entry);
            }
        }
        if skipped > 0 && !self.json {
            println!("{:>10}    for that reason not played: {skipped} messages more", "");
        }
    }

    /// The last line, and the exit status.
    pub(super) fn end(&self, reports: &[Report]) -> Result<(), Failure> {
        let faults: usize = reports.iter().map(Report::faults).sum();
        let compared: usize = reports.iter().map(Report::compared).sum();
        let failure = match (faults, compared) {
            (0, 0) => Some("nothing came that could be compared".to_owned()),
            (0, _) => None,
            (faults, _) => Some(format!("messages that differ in what matters: {faults}")),
        };
        if self.json {
            let mut object = report::json(failure.as_deref());
            if let Some(object) = object.as_object_mut() {
                object.insert("registration".to_owned(), json!(self.number));
                object.insert("compared".to_owned(), json!(compared));
                object.insert("different".to_owned(), json!(faults));
            }
            println!("{object}");
        } else if failure.is_none() {
            println!("compared {compared} messages: no difference that matters");
        }
        failure.map_or(Ok(()), |failure| Err(Failure::Failed(format!("{}: {failure}", self.name))))
    }

    fn text(&self, entry: &Entry) {
        let Entry { at, message, name, outcome } = entry;
        let number = message.map_or_else(String::new, |number| format!("{number} "));
        let (ours, theirs) = if self.side == Sender::Ue { ("->", "<-") } else { ("<-", "->") };
        let line = |arrow: &str, rest: &str| println!("{at:>10} {arrow} {number}{name}{rest}");
        match outcome {
            Outcome::Sent => line(ours, ""),
            Outcome::Came(comparison) => {
                line(theirs, if comparison.is_same() { "" } else { ": differs" });
                let shown = comparison.items().iter().filter(|item| self.verbose || item.verdict != Verdict::Equal);
                shown.for_each(|item| println!("             {:<8} {item}", item.verdict.as_str()));
            }
            Outcome::Absent(why) => line("  ", &format!(" did not come: {why}")),
            Outcome::Added => line(theirs, " was not recorded"),
            Outcome::NotSent(why) => line("  ", &format!(" was not sent: {why}")),
            Outcome::Skipped => {}
            Outcome::Note(text) => line("  ", &format!(": {text}")),
        }
    }

    fn object(&self, entry: &Entry) -> Value {
        let Entry { at, message, name, outcome } = entry;
        let at = at.saturating_since(Instant::ZERO).as_secs_f64();
        let (event, why) = match outcome {
            Outcome::Sent => ("sent", None),
            Outcome::Came(_) => ("came", None),
            Outcome::Absent(why) => ("absent", Some(why)),
            Outcome::Added => ("added", None),
            Outcome::NotSent(why) => ("not-sent", Some(why)),
            Outcome::Skipped => ("skipped", None),
            Outcome::Note(text) => ("note", Some(text)),
        };
        let mut object =
            json!({"event": event, "at": at, "message": message, "name": name, "matters": entry.matters()});
        if let Some(object) = object.as_object_mut() {
            object.extend(why.map(|why| ("text".to_owned(), json!(why))));
            if let Outcome::Came(comparison) = outcome {
                let shown = comparison.items().iter().filter(|item| self.verbose || item.verdict != Verdict::Equal);
                let items: Vec<Value> = shown.map(item_of).collect();
                object.insert("values".to_owned(), items.into());
            }
        }
        object
    }
}

fn item_of(item: &Item) -> Value {
    let Item { header, at, recorded, came, verdict, reason } = item;
    json!({"header": header, "at": at, "recorded": recorded, "came": came, "verdict": verdict.as_str(),
        "matters": verdict.matters(), "reason": reason})
}
