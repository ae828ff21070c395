#![no_main]
#[path = "../properties/reginfo.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::reginfo(bytes));
