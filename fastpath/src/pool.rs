//! The frame pool.
//!
//! # Theory of operation
//!
//! A pool is one anonymous mapping cut into equal buffers. It belongs to one worker and never
//! crosses threads while frames are in motion.
//!
//! - A [`Frame`] is a *holder* of a buffer: an owned ticket that cannot be cloned, and that says
//!   where in the buffer the frame begins and how long it is. [`Pool::share`] makes a further
//!   holder (a flood), [`Pool::release`] gives one back. The last one returns the buffer.
//! - Free buffers are a stack, so that the one used last, which is still in cache, is used next.
//! - Bytes are written only through [`Pool::bytes_mut`], which refuses a shared buffer.
//! - While the kernel works on a buffer, the [`Frame`] lies inside the ring (`sys::uring`), so
//!   nobody else can reach those bytes for writing; a flood's other holders may still read them.
//!
//! A frame begins with a virtio-net header of [`VNET_LEN`] bytes, whatever port it came from, so
//! that it can be written to any port as it is.

mod memory;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use vswitch_counters::PoolCounters;

pub(crate) use memory::Region;

use crate::limits::{BUFFER_STRIDE, FRAME_MAX, HEADROOM, HOLDERS_MAX, VNET_LEN};

/// A holder of a buffer. Give it back with [`Pool::release`]; one that is dropped leaks its buffer.
#[must_use = "a frame that is dropped leaks its buffer: release it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    index: u32,
    len: u32,
    start: u16,
    pool: u16,
}

impl Frame {
    /// Length in bytes, with the virtio-net header.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has no bytes, as after [`Pool::alloc`].
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Length of the Ethernet frame: without the virtio-net header.
    #[inline]
    #[must_use]
    pub fn wire_len(&self) -> usize {
        (self.len as usize).saturating_sub(VNET_LEN)
    }

    /// Sets the length, at most what the buffer has behind the start.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        let capacity = BUFFER_STRIDE - self.start as usize;
        self.len = len.min(capacity) as u32;
    }

    /// Lets the frame begin `by` bytes earlier, in the headroom: what is there is to be written. False,
    /// and nothing changed, where there is no such headroom.
    #[inline]
    #[must_use]
    pub fn grow_front(&mut self, by: usize) -> bool {
        let Some(start) = usize::from(self.start).checked_sub(by) else { return false };
        self.start = start as u16;
        self.len += by as u32;
        true
    }

    /// Lets the frame begin `by` bytes later. False, and nothing changed, where it is not that long.
    #[inline]
    #[must_use]
    pub fn shrink_front(&mut self, by: usize) -> bool {
        let start = usize::from(self.start) + by;
        let (Some(len), Ok(start)) = (self.len().checked_sub(by), u16::try_from(start)) else {
            return false;
        };
        (self.start, self.len) = (start, len as u32);
        true
    }
}

/// Buffers of one worker.
#[derive(Debug)]
pub struct Pool {
    region: Arc<Region>,
    holders: Vec<u16>,
    free: Vec<u32>,
    id: u16,
    counters: PoolCounters,
}

impl Pool {
    /// A pool of `frames` buffers. Memory is touched only as buffers are used for the first time.
    ///
    /// # Errors
    /// What `mmap(2)` says.
    pub fn new(frames: usize) -> io::Result<Self> {
        static NEXT_ID: AtomicU16 = AtomicU16::new(0);
        let region = Arc::new(Region::new(frames * BUFFER_STRIDE)?);
        Ok(Self {
            region,
            holders: vec![0; frames],
            free: (0..frames as u32).rev().collect(),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            counters: PoolCounters::default(),
        })
    }

    /// Takes the buffer that was free last. `None`, and a count, when all are held.
    #[inline]
    pub fn alloc(&mut self) -> Option<Frame> {
        let Some(index) = self.free.pop() else {
            self.counters.pool_exhausted += 1;
            return None;
        };
        self.holders[index as usize] = 1;
        Some(Frame { index, len: 0, start: HEADROOM as u16, pool: self.id })
    }

    /// A further holder of the same bytes; `None` at [`HOLDERS_MAX`].
    #[inline]
    pub fn share(&mut self, frame: &Frame) -> Option<Frame> {
        let index = self.index(frame);
        let holders = &mut self.holders[index];
        if *holders == HOLDERS_MAX {
            return None;
        }
        *holders += 1;
        Some(Frame { ..*frame })
    }

    /// Gives a holder back.
    #[inline]
    pub fn release(&mut self, frame: Frame) {
        let index = self.index(&frame);
        self.holders[index] -= 1;
        if self.holders[index] == 0 {
            self.free.push(frame.index);
        }
    }

    /// The frame's bytes, beginning with the virtio-net header.
    #[inline]
    #[must_use]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let offset = self.offset(frame);
        // SAFETY: `offset` and `len` lie inside the region (see `offset`). The kernel writes to a
        // buffer only while the ring holds its sole `Frame`, so `frame` here proves it does not.
        // Other writers need `&mut self`.
        unsafe { self.region.slice(offset, frame.len()) }
    }

    /// The Ethernet frame behind the virtio-net header; empty where the frame is shorter than that.
    #[inline]
    #[must_use]
    pub fn ethernet(&self, frame: &Frame) -> &[u8] {
        self.bytes(frame).get(VNET_LEN..).unwrap_or_default()
    }

    /// The bytes of [`Pool::bytes`] for writing; `None` where the buffer has another holder.
    #[inline]
    #[must_use]
    pub fn bytes_mut(&mut self, frame: &Frame) -> Option<&mut [u8]> {
        let offset = self.offset(frame);
        if self.holders[frame.index as usize] != 1 {
            return None;
        }
        // SAFETY: as in `bytes`; the sole holder is `frame`, so the kernel has none, and `&mut self`
        // keeps every other borrow of the region through this pool away.
        Some(unsafe { self.region.slice_mut(offset, frame.len()) })
    }

    /// A new frame with a zeroed virtio-net header (no offload asked for) and these bytes behind it.
    /// `None` when the pool is empty or `ethernet` longer than a frame may be.
    pub fn alloc_with(&mut self, ethernet: &[u8]) -> Option<Frame> {
        if VNET_LEN + ethernet.len() > FRAME_MAX {
            return None;
        }
        let mut frame = self.alloc()?;
        frame.set_len(VNET_LEN + ethernet.len());
        let bytes = self.bytes_mut(&frame)?;
        bytes[..VNET_LEN].fill(0);
        bytes[VNET_LEN..].copy_from_slice(ethernet);
        Some(frame)
    }

    /// The same bytes in another buffer, at the same place in it. `None` when the pool is empty.
    pub fn copy(&mut self, frame: &Frame) -> Option<Frame> {
        let copy = Frame { index: self.alloc()?.index, ..*frame };
        let (from, to) = (self.offset(frame), self.offset(&copy));
        // SAFETY: both lie inside the region (see `offset`), in different buffers: `frame` holds its
        // own, so that `alloc` gave another. Nobody writes to the first (see `bytes`). The second has
        // one holder, `copy`, and `&mut self` keeps every other borrow away (see `bytes_mut`).
        let (from, to) = unsafe {
            (self.region.slice(from, frame.len()), self.region.slice_mut(to, frame.len()))
        };
        to.copy_from_slice(from);
        Some(copy)
    }

    /// Asks the processor to load the first cache lines of the frame.
    #[inline]
    pub fn prefetch(&self, frame: &Frame) {
        self.region.prefetch(self.offset(frame));
    }

    /// Buffers that nobody holds.
    #[inline]
    #[must_use]
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// Buffers in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.holders.len()
    }

    /// Counters of [`Pool::alloc`].
    #[must_use]
    pub fn counters(&self) -> PoolCounters {
        self.counters
    }

    /// Where the frame begins in memory, for a ring that takes the frame with it.
    pub(crate) fn pointer(&self, frame: &Frame) -> *mut u8 {
        self.region.pointer(self.offset(frame))
    }

    /// Whether the buffers lie in this memory.
    #[inline]
    pub(crate) fn is_in(&self, region: &Arc<Region>) -> bool {
        Arc::ptr_eq(&self.region, region)
    }

    /// The memory, for a ring that must outlive what the kernel still does.
    pub(crate) fn region(&self) -> Arc<Region> {
        Arc::clone(&self.region)
    }

    /// The buffer's number.
    ///
    /// # Panics
    /// When the frame is another pool's: its bytes would be somebody else's.
    #[inline]
    fn index(&self, frame: &Frame) -> usize {
        assert_eq!(frame.pool, self.id, "a frame went to a pool that it is not of");
        frame.index as usize
    }

    /// Byte offset of the frame in the region. `start + len <= BUFFER_STRIDE` holds by `set_len`.
    #[inline]
    fn offset(&self, frame: &Frame) -> usize {
        self.index(frame) * BUFFER_STRIDE + frame.start as usize
    }
}
