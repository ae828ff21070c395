#![no_main]
#[path = "../properties/diameter.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::diameter(bytes));
