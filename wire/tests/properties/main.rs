//! Properties of the crate, held against `etherparse` as oracle and against simple models.
//!
//! The checks themselves (`agree`, `exercise`, `forward`, `gso`, `runs`, `translate`) are plain functions over bytes, which the
//! fuzz targets in `fuzz/` run as well.

#![expect(clippy::unwrap_used, reason = "a check that fails is to panic")]

mod agree;
mod checksums;
mod exercise;
mod forward;
mod frames;
mod gso;
mod hostile;
mod packets;
mod runs;
mod segments;
mod translate;

use std::collections::BTreeMap;

use proptest::prelude::ProptestConfig;

/// The frames of `testdata/linux.txt`, by name.
fn captured() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = include_str!("../../testdata/linux.txt").lines();
    let frames =
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    frames.map(|(name, digits)| (name, hex(digits))).collect()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// More cases than proptest's 256, since each is cheap; `PROPTEST_CASES` asks for more or less.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: 4_000, ..config },
    }
}
