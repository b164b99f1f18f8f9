//! A forwarded frame: TTL, MSS clamp, IPv4 fragments, ICMP errors.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wire/tests/properties/forward.rs"]
mod forward;

fuzz_target!(|frame: &[u8]| forward::check(frame));
