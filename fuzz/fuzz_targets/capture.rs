#![no_main]
#[path = "../properties/capture.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::capture(bytes));
