//! An exported connection table of any bytes: refused, or as sound as one that grew by itself.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../nat/tests/properties/transfer/check.rs"]
#[allow(dead_code, reason = "each target runs a part of it")]
mod check;

fuzz_target!(|bytes: &[u8]| check::check(bytes));
