//! Checksums by difference against checksums made anew, complete and partial.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../wire/tests/properties/translate.rs"]
mod translate;

use translate::Case;

type Input = ((bool, bool), [u128; 3], (u16, u16, u16), Vec<u8>);

fuzz_target!(|input: Input| {
    let (kind, addresses, ports, payload) = input;
    // What one IPv4 packet can carry.
    if payload.len() <= 65_535 - 60 {
        translate::check(&Case::new(kind, addresses, ports, payload));
    }
});
