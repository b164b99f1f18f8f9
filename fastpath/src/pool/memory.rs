//! The mapping behind a pool.

use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// An anonymous mapping of a fixed length, zeroed, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the region is plain memory; `Region` itself gives out only raw pointers, and slices by
// unsafe functions whose callers answer for aliasing.
unsafe impl Send for Region {}
// SAFETY: as above: nothing of `Region` is changed through `&self`.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `len` bytes, at least one page.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let len = len.max(4096);
        // SAFETY: a new anonymous private mapping at an address of the kernel's choice aliases
        // nothing.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// The address of a byte.
    #[inline]
    pub(crate) fn pointer(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len, "offset {offset} outside a region of {}", self.len);
        // SAFETY: inside the mapping, by the assertion.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Bytes for reading.
    ///
    /// # Safety
    /// `offset + len` lies inside the region, and nobody writes to those bytes for `'_`.
    #[inline]
    pub(crate) unsafe fn slice(&self, offset: usize, len: usize) -> &[u8] {
        debug_assert!(offset + len <= self.len);
        // SAFETY: inside a live mapping, and not written, as the caller promises; anonymous memory
        // is initialised.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(offset), len) }
    }

    /// Bytes for writing.
    ///
    /// # Safety
    /// `offset + len` lies inside the region, and nobody else reads or writes them for `'_`.
    #[inline]
    #[allow(clippy::mut_from_ref, reason = "exclusive access is the caller's promise")]
    pub(crate) unsafe fn slice_mut(&self, offset: usize, len: usize) -> &mut [u8] {
        debug_assert!(offset + len <= self.len);
        // SAFETY: as in `slice`, with exclusive access, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(offset), len) }
    }

    /// A hint to load the cache lines at `offset`.
    #[inline]
    pub(crate) fn prefetch(&self, offset: usize) {
        let pointer = self.pointer(offset);
        // SAFETY: inside the mapping, by `pointer`'s assertion, and initialised.
        crate::sys::prefetch(unsafe { &*pointer });
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and whole; who could still use it holds an `Arc` of it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of a whole mapping cannot fail");
    }
}
