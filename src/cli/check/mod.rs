//! `imsreg check`: cases of conformance, against our own elements in virtual time or against somebody else's over sockets.

mod command;
mod pace;
mod pcscf;
mod tape;
mod ue;

use super::args::{CheckArgs, CheckCommand, CheckPcscfArgs, CheckRunArgs, CheckUeArgs, Target};
use super::out::Out;
use super::{Failure, Interrupt, diagnose};
use crate::config::{CheckCase, embedded_cases, load_cases};
use crate::conformance::report::{AtEnd, Run, html, json, junit, table};
use crate::conformance::{Accused, Outcome, Recording, Setting, Verdict};
use crate::live::Clock;
use crate::sim::CheckRig;
use crate::time::{Duration, Instant};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::task::JoinSet;

pub(super) async fn run(args: CheckArgs) -> Result<(), Failure> {
    match args.accused {
        CheckCommand::Pcscf(args) => pcscf(&args).await,
        CheckCommand::Ue(args) => ue(args.into()).await,
    }
}

async fn pcscf(args: &CheckPcscfArgs) -> Result<(), Failure> {
    let Some(cases) = cases(Accused::Pcscf, &args.run)? else { return Ok(()) };
    let Some(Target::At(target)) = args.target else {
        let full = Setting::full(args.ue.ipsec.as_deref() != Some("none"));
        let setting = if args.sec_agree == "off" { full.in_clear() } else { full };
        return ourselves(Accused::Pcscf, &args.run, &cases, setting);
    };
    let mut interrupt = Interrupt::install()?;
    let mut rig = pcscf::Rig::new(args, target)?;
    let (failure, recording) = tokio::select! {
        control = rig.control() => control?,
        () = interrupt.wait() => return Err(interrupted()),
    };
    let all = cases.len() * args.run.repeat as usize;
    let mut telling = Telling::new(&args.run, Accused::Pcscf, target.to_string(), rig.setting(), all)?;
    telling.control(failure, &recording)?;
    play(&cases, args.run.repeat, &mut telling, &mut interrupt, async |case| rig.check(case).await).await?;
    if telling.wants_another() {
        tokio::select! {
            again = rig.control_again() => telling.control_again(again?)?,
            () = interrupt.wait() => telling.is_interrupted = true,
        }
    }
    rig.finish()?;
    telling.end()
}

async fn ue(args: Rc<CheckUeArgs>) -> Result<(), Failure> {
    let Some(cases) = cases(Accused::Ue, &args.run)? else { return Ok(()) };
    if args.target.is_some() {
        let setting = Setting::full(args.ipsec.as_deref() != Some("none"));
        return ourselves(Accused::Ue, &args.run, &cases, setting);
    }
    let mut interrupt = Interrupt::install()?;
    let mut rig = ue::Rig::new(Rc::clone(&args))?;
    let target = rig.target()?;
    if !args.run.common.json {
        println!("waiting for {target}");
    }
    let (failure, recording) = tokio::select! {
        control = rig.control() => control?,
        () = interrupt.wait() => return Err(interrupted()),
    };
    let all = cases.len() * args.run.repeat as usize;
    let mut telling = Telling::new(&args.run, Accused::Ue, target, rig.setting(), all)?;
    telling.control(failure, &recording)?;
    let rig = Rc::new(rig);
    side_by_side(&cases, args.run.repeat, &mut telling, &mut interrupt, &rig).await?;
    // One that nobody starts has been sent away: it is waited for once more only where something is wrong.
    if telling.wants_another() && (args.ue_command.is_some() || telling.ends_badly()) {
        tokio::select! {
            again = rig.control_again() => telling.control_again(again?)?,
            () = interrupt.wait() => telling.is_interrupted = true,
        }
    }
    telling.end()
}

/// Plays all cases so many times against UEs that are started, as many at once as there are places, until somebody
/// interrupts it.
async fn side_by_side(
    cases: &[CheckCase],
    repeat: u32,
    telling: &mut Telling<'_>,
    interrupt: &mut Interrupt,
    rig: &Rc<ue::Rig>,
) -> Result<(), Failure> {
    let mut free: Vec<u32> = (0..rig.places()).collect();
    let mut waiting: Vec<Rc<CheckCase>> = (0..repeat).flat_map(|_| cases.iter().cloned().map(Rc::new)).collect();
    waiting.reverse();
    if free.len() > 1 {
        // The longest first, so that none of them is alone at the end.
        waiting.sort_by_key(|case| rig.span(case));
    }
    let mut playing = JoinSet::new();
    loop {
        while let (true, Some(place)) = (!waiting.is_empty(), free.pop()) {
            let (rig, case) = (Rc::clone(rig), waiting.pop().expect("one is waiting"));
            playing.spawn_local(async move { (place, rig.check(&case, place).await) });
        }
        let ended = tokio::select! {
            ended = playing.join_next() => ended,
            () = interrupt.wait() => {
                telling.is_interrupted = true;
                return Ok(());
            }
        };
        let Some(ended) = ended else { break };
        let (place, outcome) = ended.expect("nobody ends a case from outside");
        free.push(place);
        telling.take(outcome?)?;
    }
    telling.run.outcomes.sort_by_key(|outcome| cases.iter().position(|case| case.case.id == outcome.id));
    Ok(())
}

/// Plays all cases so many times, until somebody interrupts it.
async fn play(
    cases: &[CheckCase],
    repeat: u32,
    telling: &mut Telling<'_>,
    interrupt: &mut Interrupt,
    mut check: impl AsyncFnMut(&CheckCase) -> Result<Outcome, Failure>,
) -> Result<(), Failure> {
    for _ in 0..repeat {
        for case in cases {
            let outcome = tokio::select! {
                outcome = check(case) => outcome?,
                () = interrupt.wait() => {
                    telling.is_interrupted = true;
                    return Ok(());
                }
            };
            telling.take(outcome)?;
        }
    }
    Ok(())
}

/// Our own elements, in virtual time.
fn ourselves(accused: Accused, args: &CheckRunArgs, cases: &[CheckCase], setting: Setting) -> Result<(), Failure> {
    let setting = Setting { fast: args.fast, ..setting };
    let all = cases.len() * args.repeat as usize;
    let mut telling = Telling::new(args, accused, "self".to_owned(), setting, all)?;
    for seed in 1..=u64::from(args.repeat) {
        let rig = CheckRig::new(setting, seed)?;
        if !rig.control() {
            telling.run.control = Some("our own elements do not register".to_owned());
        }
        for case in cases {
            telling.take(rig.check(case, None)?)?;
        }
    }
    telling.end()
}

/// The cases that are wanted; `None`: they were listed, and nothing else is.
fn cases(accused: Accused, args: &CheckRunArgs) -> Result<Option<Vec<CheckCase>>, Failure> {
    let mut cases = embedded_cases(accused);
    for path in &args.cases {
        for case in load_cases(path)?.into_iter().filter(|case| case.case.accused == accused) {
            // The user's own comes in the place of one of the same name.
            cases.retain(|other| other.case.id != case.case.id);
            cases.push(case);
        }
    }
    let is = |case: &CheckCase, wanted: &str| {
        let case = &case.case;
        *case.id == *wanted || *case.group == *wanted || case.rules.iter().any(|rule| rule.eq_ignore_ascii_case(wanted))
    };
    if let Some(unknown) = args.only.iter().find(|wanted| !cases.iter().any(|case| is(case, wanted))) {
        let why =
            format!("--only {unknown}: no case, group or rule of that name; imsreg check {} --list", accused.as_str());
        return Err(Failure::Usage(why));
    }
    if !args.only.is_empty() {
        cases.retain(|case| args.only.iter().any(|wanted| is(case, wanted)));
    }
    if !args.list {
        return Ok(Some(cases));
    }
    let mut out = Out::new();
    let cases = cases.iter().map(|case| &case.case);
    if args.common.json {
        cases.for_each(|case| out.line(&json::listed(case).to_string()));
    } else {
        out.text(&table::list(cases));
    }
    Ok(None)
}

/// How many cases are near the end of a run.
const NEAR_THE_END: usize = 5;
/// Why a case says nothing whose fault has not come about.
const UNALTERED: &str = "no message came that the case alters";

fn interrupted() -> Failure {
    Failure::Failed("interrupted before the control registration ended".to_owned())
}

/// What a run says while it lasts and at its end.
struct Telling<'a> {
    args: &'a CheckRunArgs,
    run: Run,
    out: Out,
    clock: Clock,
    /// How many cases there are.
    all: usize,
    is_interrupted: bool,
    captures: Option<Captures>,
}

/// Where captures go.
enum Captures {
    /// A file for each case.
    Directory(PathBuf),
    /// One file: its sections are the cases.
    File(fs::File, PathBuf),
}

impl<'a> Telling<'a> {
    fn new(
        args: &'a CheckRunArgs,
        accused: Accused,
        target: String,
        setting: Setting,
        all: usize,
    ) -> Result<Self, Failure> {
        let run = Run { accused, target, setting, control: None, at_end: AtEnd::NotPlayed, outcomes: Vec::new() };
        let captures = args.capture.as_deref().map(Captures::open).transpose()?;
        Ok(Self { args, run, out: Out::new(), clock: Clock::start(), all, is_interrupted: false, captures })
    }

    /// The control registration is over. Where it failed, its diagnosis is what there is to say.
    fn control(&mut self, failure: Option<String>, recording: &Recording) -> Result<(), Failure> {
        if let Some(captures) = &mut self.captures {
            captures.add("control", recording)?;
        }
        if failure.is_some() && !self.args.common.json {
            self.out.line("The control registration did not succeed:");
            self.out.text(&diagnose::of_capture(&recording.capture, &recording.keys));
        }
        self.run.control = failure;
        Ok(())
    }

    /// Whether another control registration tells something: cases were played, and the first one succeeded.
    fn wants_another(&self) -> bool {
        !self.is_interrupted
            && self.run.control.is_none()
            && self.run.outcomes.iter().any(|outcome| outcome.recording.is_some())
    }

    /// Whether something went wrong near the end.
    fn ends_badly(&self) -> bool {
        let last = self.run.outcomes.iter().rev().take(NEAR_THE_END);
        { last }.any(|outcome| matches!(outcome.verdict, Verdict::Failed(_) | Verdict::NotObservable(_)))
    }

    /// The control registration behind the last case is over.
    fn control_again(&mut self, (failure, recording): (Option<String>, Option<Recording>)) -> Result<(), Failure> {
        if let (Some(captures), Some(recording)) = (&mut self.captures, &recording) {
            captures.add("control-at-end", recording)?;
        }
        self.run.at_end = failure.map_or(AtEnd::Succeeded, AtEnd::Failed);
        Ok(())
    }

    /// A case is over.
    fn take(&mut self, outcome: Outcome) -> Result<(), Failure> {
        if let (Some(captures), Some(recording)) = (&mut self.captures, &outcome.recording) {
            captures.add(&outcome.id, recording)?;
        }
        let number = self.run.outcomes.len() + 1;
        let line = if self.args.common.json {
            json::case(self.passed(), &outcome).to_string()
        } else {
            table::progress(number, self.all, &outcome)
        };
        self.out.line(&line);
        self.run.outcomes.push(outcome);
        Ok(())
    }

    fn end(mut self) -> Result<(), Failure> {
        if self.args.common.json {
            let report = json::report(self.passed(), &self.run);
            self.out.line(&report.to_string());
        } else {
            self.out.line("");
            self.out.text(&table::end(&self.run));
        }
        drop(self.out);
        for (flag, path, text) in
            [("--junit", &self.args.junit, junit::junit as fn(&Run) -> String), ("--html", &self.args.html, html::html)]
        {
            if let Some(path) = path {
                let written = fs::write(path, text(&self.run));
                written.map_err(|e| Failure::Usage(format!("{flag} {}: {e}", path.display())))?;
            }
        }
        let interrupted = self.is_interrupted.then(|| "interrupted before the last case".to_owned());
        match self.run.failure().or(interrupted) {
            Some(why) => Err(Failure::Failed(why)),
            None => Ok(()),
        }
    }

    fn passed(&self) -> Duration {
        self.clock.now().saturating_since(Instant::ZERO)
    }
}

impl Captures {
    fn open(path: &Path) -> Result<Self, Failure> {
        let fail = |e: std::io::Error| Failure::Usage(format!("--capture {}: {e}", path.display()));
        if path.extension().is_none() || path.is_dir() {
            fs::create_dir_all(path).map_err(fail)?;
            return Ok(Self::Directory(path.to_owned()));
        }
        Ok(Self::File(fs::File::create(path).map_err(fail)?, path.to_owned()))
    }

    fn add(&mut self, id: &str, recording: &Recording) -> Result<(), Failure> {
        let (written, path) = match self {
            Self::Directory(directory) => {
                let path = directory.join(id).with_extension("pcapng");
                (fs::write(&path, &recording.capture), path)
            }
            Self::File(file, path) => (std::io::Write::write_all(file, &recording.capture), path.clone()),
        };
        written.map_err(|e| Failure::Usage(format!("--capture {}: {e}", path.display())))
    }
}
