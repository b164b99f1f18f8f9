//! Handoff of frames to the worker that owns their NAT shard (see [`nat::shard_spec`]).
//!
//! # Theory of operation
//!
//! A frame lies in a pool buffer that never crosses threads. So the sender copies it into a buffer of the
//! worker pair, and the receiver into its own pool. Each pair has two SPSC rings per direction: one
//! brings full buffers, the other returns empty ones.
//!
//! ```text
//!              copy                  ring                  copy
//! pool of A ----------> buffer ===================> buffer ----------> pool of B
//!                         ^            ring           |
//!                         +===========================+
//! ```
//!
//! Buffers have two lengths, since most frames are short or longer than a page. They are allocated on
//! demand and then reused: at most 256 x 2 KiB + 64 x 64 KiB = 4.5 MiB per direction. Handoffs stay rare:
//! the kernel steers a flow to the queue that last wrote its replies.
//!
//! The receiver wakes once per batch. It routes handoffs in order before its own reads, up to the frames
//! of one round. It drains them before commands, so that no frame is attributed to a port that reuses the
//! slot. The sender drops surplus frames as `handoff-full`.

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use fastpath::ring::spsc::{Consumer, Producer, ring};
use fastpath::{Pool, PortIndex, Waker};

use crate::datapath::{DropReason, FrameIo, HandoffIn, Observer, State};
use crate::limits::{HANDOFF_LARGE_MAX, HANDOFF_SMALL_BYTES, HANDOFF_SMALL_MAX};

#[cfg(test)]
mod tests;

/// Frame in a ring.
struct HandoffFrame {
    port: PortIndex,
    is_assigned: bool,
    bytes: Vec<u8>,
}

/// Buffers of one length.
struct Buffers {
    idle: Vec<Vec<u8>>,
    bytes: usize,
    made: usize,
    made_max: usize,
}

impl Buffers {
    const fn new(bytes: usize, made_max: usize) -> Self {
        Self { idle: Vec::new(), bytes, made: 0, made_max }
    }

    /// Takes an idle buffer.
    fn take(&mut self) -> Option<Vec<u8>> {
        self.idle.pop()
    }

    fn make(&mut self) -> Option<Vec<u8>> {
        let may = self.made < self.made_max;
        self.made += usize::from(may);
        may.then(|| Vec::with_capacity(self.bytes))
    }
}

/// Rings to another worker.
struct PeerTx {
    frames: Producer<HandoffFrame>,
    free: Consumer<Vec<u8>>,
    small: Buffers,
    large: Buffers,
    waker: Waker,
    /// The peer has frames and is not woken yet.
    needs_wake: bool,
}

/// Rings from another worker.
struct PeerRx {
    frames: Consumer<HandoffFrame>,
    free: Producer<Vec<u8>>,
}

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct HandoffQueues {
    /// Rings by number of the peer; `None` for itself.
    tx: Vec<Option<PeerTx>>,
    rx: Vec<PeerRx>,
    /// First peer of the next round.
    first: usize,
    /// The worker's own waker, for frames left to the next round.
    waker: Option<Waker>,
}

impl HandoffQueues {
    /// Connects each worker with each other one.
    pub(crate) fn mesh(wakers: &[Waker]) -> Vec<Self> {
        let mut all: Vec<Self> = wakers.iter().map(|_| Self::default()).collect();
        for from in 0..wakers.len() {
            for (to, waker) in wakers.iter().enumerate() {
                let ends = (to != from).then(|| connect(waker));
                let (tx, rx) = ends.unzip();
                all[from].tx.push(tx);
                all[to].rx.extend(rx);
                all[to].waker = Some(waker.clone());
            }
        }
        all
    }

    /// Receives handoffs for the next batch, up to [`ROUND_FRAMES_MAX`]. True if any came.
    #[inline]
    pub(crate) fn recv(&mut self, state: &mut State, io: &mut FrameIo<'_, impl Observer>) -> bool {
        let (peers, mut left) = (self.rx.len(), ROUND_FRAMES_MAX);
        for turn in 0..peers {
            let peer = &mut self.rx[(self.first + turn) % peers];
            while left > 0
                && let Some(handoff) = peer.frames.pop()
            {
                left -= 1;
                peer.recv(handoff, state, io);
            }
        }
        if left == 0 {
            // Another peer comes first in the next round, which starts at once.
            self.first = (self.first + 1) % peers;
            if let Some(waker) = &self.waker {
                waker.wake();
            }
        }
        left < ROUND_FRAMES_MAX
    }

    /// Sends the handoffs of the last batch.
    #[inline]
    pub(crate) fn send(&mut self, state: &mut State, io: &mut FrameIo<'_, impl Observer>) {
        if self.rx.is_empty() {
            return;
        }
        for handoff in state.handoffs() {
            let peer = self.tx.get_mut(handoff.to).and_then(Option::as_mut);
            let bytes = io.pool.bytes(&handoff.frame);
            if peer.is_some_and(|peer| peer.send(handoff.port, handoff.is_assigned, bytes)) {
                io.stats.counters.handed_off += 1;
                io.pool.release(handoff.frame);
            } else {
                io.drop_frame(handoff.port, handoff.frame, DropReason::HandoffFull);
            }
        }
        for peer in self.tx.iter_mut().flatten() {
            if std::mem::take(&mut peer.needs_wake) {
                peer.waker.wake();
            }
        }
    }
}

/// Both ends of one direction.
fn connect(waker: &Waker) -> (PeerTx, PeerRx) {
    let capacity = HANDOFF_SMALL_MAX + HANDOFF_LARGE_MAX;
    let (frames, frames_there) = ring(capacity);
    // One slot per buffer, so that every return fits.
    let (free_there, free) = ring(capacity);
    let tx = PeerTx {
        frames,
        free,
        small: Buffers::new(HANDOFF_SMALL_BYTES, HANDOFF_SMALL_MAX),
        large: Buffers::new(FRAME_MAX, HANDOFF_LARGE_MAX),
        waker: waker.clone(),
        needs_wake: false,
    };
    (tx, PeerRx { frames: frames_there, free: free_there })
}

impl PeerTx {
    /// Sends a copy of a frame; false if buffers are exhausted.
    fn send(&mut self, port: PortIndex, is_assigned: bool, frame: &[u8]) -> bool {
        let Some(mut bytes) = self.buffer(frame.len()) else { return false };
        bytes.clear();
        bytes.extend_from_slice(frame);
        match self.frames.push(HandoffFrame { port, is_assigned, bytes }) {
            Ok(()) => {
                self.needs_wake = true;
                true
            }
            // Unreachable while the ring has a slot per buffer.
            Err(handoff) => {
                self.buffers(handoff.bytes.capacity()).idle.push(handoff.bytes);
                false
            }
        }
    }

    fn buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        if let Some(buffer) = self.buffers(len).take() {
            return Some(buffer);
        }
        while let Some(empty) = self.free.pop() {
            self.buffers(empty.capacity()).idle.push(empty);
        }
        let buffers = self.buffers(len);
        buffers.take().or_else(|| buffers.make())
    }

    fn buffers(&mut self, len: usize) -> &mut Buffers {
        if len <= self.small.bytes { &mut self.small } else { &mut self.large }
    }
}

impl PeerRx {
    /// Copies a frame into the pool and returns its buffer.
    fn recv(&mut self, it: HandoffFrame, state: &mut State, io: &mut FrameIo<'_, impl Observer>) {
        let HandoffFrame { port, is_assigned, bytes } = it;
        io.stats.counters.handoff_received += 1;
        match copy(io.pool, &bytes) {
            Some(frame) => {
                if let Err(refused) = state.recv_handoff(HandoffIn { is_assigned, port, frame }) {
                    io.drop_frame(port, refused.frame, DropReason::PortUnknown);
                }
            }
            None => io.drop_bytes(port, &bytes, DropReason::NoBuffer),
        }
        // The ring has a slot for each buffer.
        let _ = self.free.push(bytes);
    }
}

fn copy(pool: &mut Pool, bytes: &[u8]) -> Option<fastpath::Frame> {
    let mut frame = pool.alloc()?;
    frame.set_len(bytes.len());
    match pool.bytes_mut(&frame) {
        Some(to) => to.copy_from_slice(bytes),
        // Unreachable: a fresh buffer has one holder.
        None => frame.set_len(0),
    }
    Some(frame)
}
