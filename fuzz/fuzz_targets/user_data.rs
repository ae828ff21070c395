#![no_main]
#[path = "../properties/user_data.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::user_data(bytes));
