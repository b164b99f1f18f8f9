//! A program that computes without end, as a build or an encoder does: what a busy host is busy with.

use anyhow::Result;

use super::serve_in_threads;

/// Takes all of a CPU that it gets, at the priority that it was started with, until standard input ends.
pub(super) fn run() -> Result<()> {
    std::thread::spawn(|| {
        let mut number: u64 = 1;
        loop {
            number =
                std::hint::black_box(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number >> 29);
        }
    });
    serve_in_threads()
}
