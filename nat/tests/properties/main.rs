//! Properties of the crate: translating a packet gives the packet that the other sender would have
//! made, no bytes break anything, and the table is as a simple model of it.
//!
//! `etherparse` makes the packets (`packet`), so that what is held against it has no code in common with
//! it. The checks themselves are plain functions, which the fuzz targets in `fuzz/` run as well.

#![expect(clippy::unwrap_used, reason = "a check that fails is to panic")]

mod fragments;
mod hostile;
mod packet;
mod rewriting;
mod shared_ports;
mod table;
mod transfer;

use proptest::prelude::ProptestConfig;

/// More cases than proptest's 256, since each is cheap; `PROPTEST_CASES` asks for more or less.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: 2_000, ..config },
    }
}
