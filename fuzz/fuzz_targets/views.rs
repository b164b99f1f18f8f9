//! Every view over the bytes, wherever in a frame they begin: accessors, setters, `Repr` there and
//! back.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wire/tests/properties/exercise.rs"]
#[allow(dead_code, reason = "each target runs a part of it")]
mod exercise;

fuzz_target!(|bytes: &[u8]| exercise::views(bytes));
