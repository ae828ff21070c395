//! Faulty traces are named rightly, and sound ones are left alone.
//!
//! `cases/*.yaml` are faults made on purpose in a simulation (`docs/mutations.md`), with what must be said of each. Cases and
//! expectations are written from the clauses, apart from the judge. Each is run in a world that a seed has drawn, with a
//! sound UE beside the faulty one, retransmissions, and losses in every second world. `IMSREG_SEED` repeats the fresh seed
//! of another run, `IMSREG_CASE` takes one case.
#![cfg(feature = "live")]

mod judge;
mod world;

use imsreg::config::{MutationCase, load_mutations};
use judge::{Verdicts, judge};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use world::{Recorded, Shape, run};

/// The kept seeds.
fn seeds() -> Vec<u64> {
    (0..100).map(|number| 7_919 * number + 101).collect()
}

/// A seed that no run had before.
fn fresh_seed() -> u64 {
    let given = std::env::var("IMSREG_SEED").ok().and_then(|text| text.parse().ok());
    // The hasher of every map begins with a random number.
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 16)
}

fn cases() -> Vec<MutationCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("the cases").flatten().map(|e| e.path()).collect();
    files.sort();
    let read = |path: &PathBuf| load_mutations(path).unwrap_or_else(|faults| panic!("{faults}"));
    let mut cases: Vec<MutationCase> = files.iter().flat_map(read).collect();
    if let Ok(wanted) = std::env::var("IMSREG_CASE") {
        cases.retain(|case| case.mutation.id.starts_with(&wanted));
    }
    cases
}

/// Lives in which nothing is wrong.
fn lives() -> Vec<MutationCase> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/sound.yaml");
    load_mutations(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What is said of a case in the world of a seed.
fn tried(case: &MutationCase, seed: u64, lossy: bool) -> (Shape, Recorded, Verdicts) {
    let has = |word: &str| case.needs.iter().any(|need| &**need == word);
    let mut shape = Shape::draw(seed, lossy, &case.needs);
    let mut recorded = run(case, &shape);
    if has("until-refused") {
        // The fault shows with some vectors only.
        for further in 1..200 {
            if !recorded.registered {
                break;
            }
            shape.seed = seed + (further << 32);
            recorded = run(case, &shape);
        }
    }
    let verdicts = judge(&recorded, &shape, has("policy"));
    (shape, recorded, verdicts)
}

/// Runs `each` over the items on all cores, and returns what it says in their order.
fn each<T: Sync, R: Send>(items: &[T], each: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let share = || {
        let mine = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            Some((index, each(index, items.get(index)?)))
        });
        mine.collect::<Vec<_>>()
    };
    let mut done = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(share)).collect();
        let shares = threads.into_iter().map(|thread| thread.join().expect("a case that does not panic"));
        shares.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, said)| said).collect()
}

/// Cases that the judge does not yet name rightly. One that it does fails the test, so that the list shrinks.
const KNOWN: &[(&str, &str)] = &[];

/// Lives of which the judge blames a UE; the same.
const BLAMED: &[(&str, &str)] = &[];

fn is_in(list: &[(&str, &str)], id: &str) -> bool {
    list.iter().any(|(of, _)| *of == id)
}

#[test]
fn every_rule_and_every_cause_has_a_case() {
    let cases = cases();
    let has = |name: &str| {
        cases.iter().any(|case| {
            let names = case.cause.iter().chain(&case.named).chain(&case.remarks).chain(&case.rules);
            names.into_iter().any(|of| &**of == name)
        })
    };
    let names = imsreg::validate::rules().map(|rule| rule.id).chain(imsreg::diagnose::causes().map(|cause| cause.name));
    let missing: Vec<&str> = names.filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
    assert!(cases.len() >= 150, "{}", cases.len());
}

#[test]
fn faulty_traces_are_named_rightly() {
    let cases = cases();
    let (seeds, fresh) = (seeds(), fresh_seed());
    println!("fresh seed {fresh}: IMSREG_SEED={fresh} repeats it");
    let mut runs: Vec<(&MutationCase, u64, bool)> = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        runs.push((case, seeds[index % seeds.len()], index % 2 == 0));
    }
    let some = usize::try_from(fresh % 5).expect("small");
    runs.extend(cases.iter().skip(some).step_by(5).map(|case| (case, fresh, fresh % 2 == 0)));
    let said = each(&runs, |_, (case, seed, lossy)| {
        let (shape, recorded, verdicts) = tried(case, *seed, *lossy);
        let miss = verdicts.first.misses(case);
        if let (Some(_), Ok(folder)) = (&miss, std::env::var("IMSREG_KEEP")) {
            let _ = std::fs::write(Path::new(&folder).join(format!("{}.pcapng", case.mutation.id)), &recorded.capture);
        }
        let alone = case.needs.iter().any(|need| &**need == "alone");
        let second = (verdicts.second.blames() || !(verdicts.second_was_seen || alone))
            .then(|| format!("{}: {}\n    {}", verdicts.second, shape, verdicts.second.errors.join("\n    ")));
        let miss = miss.map(|why| format!("{why}\n    {}\n    {shape}", verdicts.first));
        (miss, second)
    });
    let (mut right, mut known) = (0, 0);
    let (mut wrong, mut blamed, mut cured) = (Vec::new(), Vec::new(), Vec::new());
    for ((case, seed, _), (miss, second)) in runs.iter().zip(&said) {
        let id = &*case.mutation.id;
        let is_known = is_in(KNOWN, id);
        match miss {
            None => right += 1,
            Some(_) if is_known => known += 1,
            Some(why) => {
                println!("{id}: {why}");
                wrong.push(id);
            }
        }
        if miss.is_none() && is_known && *seed != fresh {
            cured.push(id);
        }
        if let Some(why) = second {
            println!("{id}, the sound UE: {why}");
            blamed.push(id);
        }
    }
    println!("{right} of {} named rightly, {known} known misses; {} sound UEs blamed", runs.len(), blamed.len());
    assert!(right * 100 >= (runs.len() - known) * 95, "too few are named rightly: {wrong:?}");
    assert!(blamed.is_empty(), "sound UEs are blamed: {blamed:?}");
    assert!(cured.is_empty(), "named rightly now, to be taken from KNOWN: {cured:?}");
}

#[test]
fn sound_traces_are_left_alone() {
    let (lives, seeds, fresh) = (lives(), seeds(), fresh_seed());
    println!("fresh seed {fresh}: IMSREG_SEED={fresh} repeats it");
    let mut runs: Vec<(&MutationCase, u64, bool)> = Vec::new();
    for number in 0..SOUND {
        runs.push((&lives[number % lives.len()], seeds[number], number % 2 == 1));
    }
    let some = usize::try_from(fresh % 5).expect("small");
    runs.extend(lives.iter().skip(some).step_by(5).map(|life| (life, fresh, fresh % 2 == 0)));
    let said = each(&runs, |_, (life, seed, lossy)| {
        let (shape, recorded, Verdicts { first, second, second_was_seen }) = tried(life, *seed, *lossy);
        if let (true, Ok(folder)) = (first.blames() || second.blames(), std::env::var("IMSREG_KEEP")) {
            let _ = std::fs::write(Path::new(&folder).join(format!("{}.pcapng", life.mutation.id)), &recorded.capture);
        }
        let remarks = [&first.remarks[..], &second.remarks[..]].concat();
        let blames = [first, second].into_iter().filter(judge::Said::blames);
        let blames: Vec<String> = blames.map(|said| format!("{said}\n    {}", said.errors.join("\n    "))).collect();
        (blames, remarks, shape.to_string(), second_was_seen)
    });
    let (mut blamed, mut seen) = (Vec::new(), Vec::new());
    for ((life, ..), (blames, remarks, shape, second_was_seen)) in runs.iter().zip(&said) {
        let id = &*life.mutation.id;
        if !remarks.is_empty() {
            println!("{id}: remarks {remarks:?}; {shape}");
        }
        assert!(*second_was_seen || id == "digest", "{id}: the second UE is not in the trace; {shape}");
        for said in blames {
            if is_in(BLAMED, id) {
                seen.push(id);
                continue;
            }
            println!("{id}: {said}\n    {shape}");
            blamed.push(id);
        }
    }
    println!("{} sound worlds, {} UEs blamed, {} known", runs.len(), blamed.len(), seen.len());
    let cured: Vec<&str> = BLAMED.iter().map(|(id, _)| *id).filter(|id| !seen.contains(id)).collect();
    assert!(cured.is_empty(), "blamed no more, to be taken from BLAMED: {cured:?}");
    assert!(blamed.is_empty(), "sound UEs are blamed: {blamed:?}");
}

/// How many worlds of kept seeds.
const SOUND: usize = 50;
