//! Fragments in any order: the store gives each frame back exactly once, and keeps its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../nat/tests/properties/fragments/check.rs"]
mod check;

use check::Coming;

fuzz_target!(|bytes: &[u8]| {
    let coming = bytes.chunks_exact(3).map(|chunk| Coming {
        owner: chunk[0] & 7,
        ident: chunk[0] >> 3,
        start: chunk[1] & 31,
        units: (chunk[1] >> 5) + 1,
        more: chunk[2] & 1 != 0,
        is_v6: chunk[2] & 2 != 0,
        pause_s: chunk[2] >> 5,
    });
    check::check(&coming.collect::<Vec<_>>());
});
