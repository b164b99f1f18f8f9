//! A frame as it comes in: the parse against `etherparse`, the promises of its offsets, and all
//! views over the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wire/tests/properties/agree.rs"]
mod agree;
#[path = "../../wire/tests/properties/exercise.rs"]
#[allow(dead_code, reason = "each target runs a part of it")]
mod exercise;

fuzz_target!(|frame: &[u8]| {
    agree::check(frame);
    exercise::meta(frame);
    exercise::views(frame);
});
