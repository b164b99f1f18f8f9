//! A frame as it comes in, seen by translation and rewritten: what it then says is what it was told to.

#![no_main]

// As the crate calls it.
extern crate vswitch_wire as wire;

use libfuzzer_sys::fuzz_target;

#[path = "../../nat/tests/properties/hostile/check.rs"]
mod check;

fuzz_target!(|frame: &[u8]| check::check(frame));
