//! The `imsreg` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    imsreg::cli::run(imsreg::cli::args::Cli::from_command_line())
}
