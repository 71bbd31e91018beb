//! Whatever a worker writes into its ring, the proxy reads calls, or finds an error.
#![no_main]

#[path = "../ring_check.rs"]
#[allow(dead_code)]
mod ring_check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ring_check::check(bytes);
});
