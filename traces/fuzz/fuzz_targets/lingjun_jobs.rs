#![no_main]
#[path = "../src/check.rs"]
mod check;
libfuzzer_sys::fuzz_target!(|data: &[u8]| check::traces_with(Some("lingjun-jobs"), data));
