//! `imsreg show`: a trace as ladders, one for each registration.

mod lines;
mod words;

use super::args::ShowArgs;
use super::out::Out;
use super::{Failure, trace};
use crate::ladder::{Row, draw, svg};
use crate::trace::drawn;
use crate::trace::story::{Group, Message, Registration};
use std::fs;
use std::ops::ControlFlow;

pub(super) fn run(args: &ShowArgs) -> Result<(), Failure> {
    let mut source = trace::open(&args.trace)?;
    let mut show = Show { args, out: Out::new(), shown: 0, pictures: Vec::new() };
    let (totals, fault) = trace::each_group(&mut source, |group| {
        show.group(group);
        // Whoever reads has gone.
        if show.out.is_closed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if show.out.is_closed {
        return Ok(());
    }
    let (totals, summary) = (&totals, source.summary());
    if args.common.json {
        show.out.line(&lines::report(totals, summary).to_string());
    } else if let Some(path) = &args.svg {
        fs::write(path, svg::picture(&show.pictures))
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    } else {
        words::totals(totals, summary).iter().for_each(|line| show.out.line(line));
    }
    let name = args.trace.trace.display();
    if let Some(fault) = fault {
        return Err(Failure::Usage(format!("{name}: {fault}; what came before is shown")));
    }
    match args.registration {
        Some(number) if show.shown == 0 => {
            let found = totals.registrations;
            Err(Failure::Usage(format!("{name} has no registration {number}: registrations found: {found}")))
        }
        _ => Ok(()),
    }
}

struct Show<'a> {
    args: &'a ShowArgs,
    out: Out,
    shown: usize,
    pictures: Vec<(String, Vec<Row>, draw::Style)>,
}

impl Show<'_> {
    fn group(&mut self, group: &Group) {
        if self.args.registration.is_some_and(|number| group.id != Some(number)) {
            return;
        }
        self.shown += 1;
        let registration = Registration::of(group);
        let messages: Vec<Message<'_>> = registration.messages().filter(|message| self.fits(*message)).collect();
        if self.args.common.json {
            let show_keys = self.args.show_keys;
            for message in messages {
                self.out.line(&lines::message(&registration, message, show_keys).to_string());
            }
            if registration.id().is_some() {
                self.out.line(&lines::registration(&registration).to_string());
            }
            return;
        }
        let (rows, counts) = drawn::rows(&messages, self.draws_all(), self.args.show_keys);
        let anything = !rows.is_empty() || registration.id().is_some() || !group.shut.is_empty();
        if !anything {
            return;
        }
        let style = drawn::style(&registration, super::colour());
        let title = drawn::title(&registration);
        if self.args.svg.is_some() {
            self.pictures.push((title, rows.into_iter().map(|(_, row)| row).collect(), style));
            return;
        }
        self.out.line(&title);
        if rows.iter().any(|(_, row)| matches!(row, Row::Arrow(_))) {
            self.out.text(&draw::head(&style));
        }
        for (message, row) in &rows {
            self.out.text(&draw::row(row, &style));
            if self.args.full {
                let lines = crate::ladder::full::lines(message.protocol, &message.bytes, self.args.show_keys);
                lines.iter().for_each(|line| self.out.line(&format!("    {line}")));
            }
        }
        self.out.line(&words::foot(counts));
        words::of(&registration).iter().for_each(|line| self.out.line(line));
        self.out.line("");
    }

    fn fits(&self, message: Message<'_>) -> bool {
        self.args.filter.iter().all(|filter| filter.fits(message))
    }

    /// Who asks for something sees all of it.
    fn draws_all(&self) -> bool {
        self.args.full || self.args.filter.iter().any(|filter| !filter.is_empty())
    }
}
