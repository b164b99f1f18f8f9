//! Memory that the programs of the kernel and the switch share.

#[cfg(feature = "bpf")]
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicU64;

use memmap2::MmapRaw;

#[cfg(feature = "bpf")]
use crate::Error;

/// Words that two sides use at once, so only by atomic operations.
#[derive(Debug)]
pub(crate) enum Words {
    /// A map of the kernel.
    #[cfg_attr(not(feature = "bpf"), allow(dead_code, reason = "only the programs have maps"))]
    Mapped(MmapRaw),
    /// Memory of the switch alone, as in tests.
    Own(Box<[AtomicU64]>),
}

impl Words {
    /// So many words of a map whose values lie one after the other.
    #[cfg(feature = "bpf")]
    pub(crate) fn of_map(map: BorrowedFd<'_>, words: usize) -> Result<Self, Error> {
        let mapped = memmap2::MmapOptions::new().len(words * 8).map_raw(map.as_raw_fd());
        mapped.map(Self::Mapped).map_err(|error| Error::Kernel {
            step: "the memory of a map cannot be shared",
            reason: error.to_string(),
        })
    }

    /// All words.
    pub(crate) fn all(&self) -> &[AtomicU64] {
        match self {
            Self::Own(words) => words,
            // SAFETY: the mapping is readable and writable for `len` bytes, stays mapped as long as `self`, and begins
            // at a page, so it is aligned for `AtomicU64`, which may have any bits. The kernel and other threads change
            // it meanwhile; nobody has a reference other than to atomics. Programs read and write whole aligned words, but
            // for `reports`, which they write only while the one thread that reads it waits for them.
            Self::Mapped(map) => unsafe {
                std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicU64>(), map.len() / 8)
            },
        }
    }
}
