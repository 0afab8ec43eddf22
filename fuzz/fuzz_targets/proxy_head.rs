//! The first bytes of a connection from a proxy.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::proxy_head(bytes));
