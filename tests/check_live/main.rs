//! Faults made on purpose on sockets, and `imsreg check` over them: against `imsreg serve`, and with `imsreg register` as
//! the UE under test. On loopback addresses of its own.
#![cfg(feature = "live")]

#[path = "../common/binary.rs"]
mod binary;
#[path = "../common/scratch.rs"]
mod scratch;

mod check;
mod mutate;

use binary::{Core, host, imsreg};

use std::process::Output;

/// What it said on both outputs.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A UE registers.
fn register(test: u8, core: &Core, imsi: &str, more: &[&str]) -> Output {
    let source = host(test + 100);
    let base = ["register", "--pcscf", core.at("pcscf"), "--source", &source, "--imsi", imsi, "--timeout", "2"];
    imsreg(&[&base[..], &["--subscriber", "hss-data/lab.yaml"], more].concat())
}

const FIRST: &str = "001010000000001";
const SECOND: &str = "001010000001000";
