#![no_main]
#[path = "../properties/sip_message.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::sip_message(bytes));
