//! The `imsreg` command.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    imsreg::cli::run(imsreg::cli::args::Cli::parse())
}
