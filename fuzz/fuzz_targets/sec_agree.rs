#![no_main]
#[path = "../properties/sec_agree.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::sec_agree(bytes));
