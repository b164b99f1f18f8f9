//! The iterators over the options of TCP and of neighbour discovery, and the MSS clamp.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wire/tests/properties/exercise.rs"]
#[allow(dead_code, reason = "each target runs a part of it")]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::options(bytes));
