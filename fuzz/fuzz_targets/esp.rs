#![no_main]
#[path = "../properties/esp.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::esp(bytes));
