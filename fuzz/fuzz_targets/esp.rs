#![no_main]
#[path = "../properties/esp.rs"]
#[expect(dead_code, reason = "tests/esp uses more of it")]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::esp(bytes));
