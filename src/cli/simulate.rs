//! `imsreg simulate`: a scenario in virtual time.

use super::args::SimulateArgs;
use super::record::Record;
use super::{Failure, mutation, report};
use crate::config::load_scenario;
use crate::ladder::{Columns, Options};
use crate::sim::Simulation;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &SimulateArgs) -> Result<(), Failure> {
    if args.capture.is_some() && args.scenarios.len() > 1 {
        return Err(Failure::Usage("--capture: one scenario goes into one file".to_owned()));
    }
    for name in &args.scenarios {
        if args.scenarios.len() > 1 && !args.common.json {
            println!("{name}");
        }
        simulate(name, args)?;
    }
    if args.common.json {
        report::report_json(None);
    }
    Ok(())
}

fn simulate(name: &str, args: &SimulateArgs) -> Result<(), Failure> {
    let mut scenario = load_scenario(&file(name))?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let mutation = args.mutate.as_deref().map(mutation::load).transpose()?;
    let record = Record::new(None);
    if let Some(path) = &args.capture {
        record.write_to(path)?;
    }
    let mut simulation = match &mutation {
        Some(case) => {
            scenario.settings.extend_from_slice(&case.settings);
            Simulation::mutated(&scenario, case, record.clone())?
        }
        None => Simulation::new(&scenario, record.clone())?,
    };
    let listeners = simulation.world().ims().listeners();
    let columns = Columns::from_listeners(listeners.iter().map(|l| (l.address, l.role)));
    let options = Options { columns, show_keys: args.show_keys, colour: super::colour() };
    if args.common.json {
        record.print_lines(options);
        simulation.run();
        return record.finish();
    }
    record.keep();
    simulation.run();
    record.with_capture(|capture| print!("{}", crate::ladder::text(capture, &options)));
    let (registered, all) = (simulation.registered(), simulation.ues().count());
    println!("seed {}: {registered} of {all} UEs are registered at the end", scenario.seed);
    record.finish()
}

/// A path, or the name of a scenario of this project.
fn file(scenario: &str) -> PathBuf {
    let path = Path::new(scenario);
    if path.exists() || scenario.contains('/') || path.extension().is_some() {
        path.to_owned()
    } else {
        Path::new("tests/scenarios").join(scenario).with_extension("yaml")
    }
}
