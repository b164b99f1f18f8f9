//! Frame pool of a worker.
//!
//! # Theory of operation
//!
//! A pool is one anonymous mapping cut into equal buffers; it stays on the thread of its worker.
//!
//! - A [`Frame`] holds a buffer: it has start and length, and cannot be cloned. [`Pool::share`] makes
//!   a further holder (flood), [`Pool::release`] removes one. The last release frees the buffer.
//! - Free buffers form a stack: the next one is the last one used, still in cache.
//! - Writes go through [`Pool::bytes_mut`], which refuses a shared buffer.
//! - The ring (`sys::uring`) owns the [`Frame`] while the kernel uses its buffer, so no other code
//!   writes those bytes. Other holders of a flood may still read them.
//!
//! Every frame begins with a virtio-net header of [`VNET_LEN`] bytes, so that any port takes it as it is.

mod memory;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use vswitch_counters::PoolCounters;

pub(crate) use memory::Region;

use crate::limits::{BUFFER_STRIDE, FRAME_MAX, HEADROOM, HOLDERS_MAX, VNET_LEN};

/// Holder of a buffer. [`Pool::release`] returns it; a dropped one leaks its buffer.
#[must_use = "a frame that is dropped leaks its buffer: release it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    index: u32,
    len: u32,
    start: u16,
    pool: u16,
}

impl Frame {
    /// Number of its buffer in the pool.
    #[inline]
    #[must_use]
    pub fn buffer(&self) -> u32 {
        self.index
    }

    /// Length in bytes with the virtio-net header.
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

    /// Length of the Ethernet frame.
    #[inline]
    #[must_use]
    pub fn wire_len(&self) -> usize {
        (self.len as usize).saturating_sub(VNET_LEN)
    }

    /// Sets the length, bounded by the buffer.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        let capacity = BUFFER_STRIDE - self.start as usize;
        self.len = len.min(capacity) as u32;
    }

    /// Moves the start `by` bytes into the headroom, whose bytes are undefined. False if the headroom
    /// is too short; nothing changes then.
    #[inline]
    #[must_use]
    pub fn grow_front(&mut self, by: usize) -> bool {
        let Some(start) = usize::from(self.start).checked_sub(by) else { return false };
        self.start = start as u16;
        self.len += by as u32;
        true
    }

    /// Cuts `by` bytes off the front. False if the frame is shorter; nothing changes then.
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
    /// A pool of `frames` buffers, whose memory is mapped on first use.
    ///
    /// # Errors
    /// From `mmap(2)`.
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

    /// Takes a free buffer. An empty pool gives `None` and counts it.
    #[inline]
    pub fn alloc(&mut self) -> Option<Frame> {
        let Some(index) = self.free.pop() else {
            self.counters.pool_exhausted += 1;
            return None;
        };
        self.holders[index as usize] = 1;
        Some(Frame { index, len: 0, start: HEADROOM as u16, pool: self.id })
    }

    /// Adds a holder of the same bytes; `None` at [`HOLDERS_MAX`].
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

    /// Removes a holder.
    #[inline]
    pub fn release(&mut self, frame: Frame) {
        let index = self.index(&frame);
        self.holders[index] -= 1;
        if self.holders[index] == 0 {
            self.free.push(frame.index);
        }
    }

    /// Bytes of the frame with the virtio-net header.
    #[inline]
    #[must_use]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        let offset = self.offset(frame);
        // SAFETY: `offset` and `len` lie inside the region (see `offset`). The kernel writes to a
        // buffer only while the ring holds its sole `Frame`, so `frame` here proves it does not.
        // Other writers need `&mut self`.
        unsafe { self.region.slice(offset, frame.len()) }
    }

    /// Ethernet frame behind the virtio-net header; empty if the frame is shorter.
    #[inline]
    #[must_use]
    pub fn ethernet(&self, frame: &Frame) -> &[u8] {
        self.bytes(frame).get(VNET_LEN..).unwrap_or_default()
    }

    /// Mutable bytes of the frame; `None` if the buffer has another holder.
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

    /// Allocates a frame: a zeroed virtio-net header (no offload) and `ethernet`. `None` if the pool is
    /// empty or the frame too long.
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

    /// Allocates a frame of these bytes, which begin with the header that their port has. `None` if the pool is
    /// empty or the frame too long.
    pub fn alloc_copy(&mut self, frame: &[u8]) -> Option<Frame> {
        if frame.len() > FRAME_MAX {
            return None;
        }
        let mut copy = self.alloc()?;
        copy.set_len(frame.len());
        self.bytes_mut(&copy)?.copy_from_slice(frame);
        Some(copy)
    }

    /// Copies the frame to another buffer at the same offset. `None` if the pool is empty.
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

    /// Bytes of one frame to read, and of another to write. `None` if they share a buffer, or the second has another
    /// holder.
    #[inline]
    #[must_use]
    pub fn bytes_of_both(&mut self, from: &Frame, to: &Frame) -> Option<(&[u8], &mut [u8])> {
        let (source, target) = (self.offset(from), self.offset(to));
        if from.index == to.index || self.holders[to.index as usize] != 1 {
            return None;
        }
        // SAFETY: both lie inside the region (see `offset`), in different buffers. Nobody writes to the first (see
        // `bytes`). `to` is the sole holder of the second, and `&mut self` keeps every other borrow away (see
        // `bytes_mut`).
        Some(unsafe {
            (self.region.slice(source, from.len()), self.region.slice_mut(target, to.len()))
        })
    }

    /// Prefetches the headers of the frame.
    #[inline]
    pub fn prefetch(&self, frame: &Frame) {
        self.region.prefetch(self.offset(frame));
    }

    /// Free buffers.
    #[inline]
    #[must_use]
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// Number of buffers.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.holders.len()
    }

    /// Counters of [`Pool::alloc`].
    #[must_use]
    pub fn counters(&self) -> PoolCounters {
        self.counters
    }

    /// Pointer to the frame, for a ring that owns the frame too.
    pub(crate) fn pointer(&self, frame: &Frame) -> *mut u8 {
        self.region.pointer(self.offset(frame))
    }

    /// Whether the pool uses this region.
    #[inline]
    pub(crate) fn is_in(&self, region: &Arc<Region>) -> bool {
        Arc::ptr_eq(&self.region, region)
    }

    /// Region, which a ring keeps alive while the kernel uses it.
    pub(crate) fn region(&self) -> Arc<Region> {
        Arc::clone(&self.region)
    }

    /// Index of the buffer.
    ///
    /// # Panics
    /// For a frame of another pool.
    #[inline]
    fn index(&self, frame: &Frame) -> usize {
        assert_eq!(frame.pool, self.id, "frame of another pool");
        frame.index as usize
    }

    /// Byte offset of the frame in the region. `start + len <= BUFFER_STRIDE` holds by `set_len`.
    #[inline]
    fn offset(&self, frame: &Frame) -> usize {
        self.index(frame) * BUFFER_STRIDE + frame.start as usize
    }
}
