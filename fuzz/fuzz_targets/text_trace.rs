#![no_main]
#[path = "../properties/text_trace.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::text_trace(bytes));
