//! `imsreg simulate`: a scenario in virtual time.

use super::Failure;
use super::args::SimulateArgs;

pub(super) fn run(args: &SimulateArgs) -> Result<(), Failure> {
    Err(Failure::Usage(format!("{}: no such scenario", args.scenario)))
}
