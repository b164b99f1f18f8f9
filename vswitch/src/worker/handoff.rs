//! Frames that go to another worker, since that one translates them (see [`nat::shard_spec`] for which one).
//!
//! # Theory of operation
//!
//! A frame lies in a buffer of the pool of the worker that has read it, which never crosses threads. So
//! it is copied: into a buffer of the *pair* of the two workers, and by the other into its own pool. Each
//! pair, each direction for itself, has two rings of one writer and one reader: one brings full buffers there, the
//! other empty ones back.
//!
//! ```text
//!              copy                  ring                  copy
//! pool of A ----------> buffer ===================> buffer ----------> pool of B
//!                         ^            ring           |
//!                         +===========================+
//! ```
//!
//! Buffers are of two lengths, since most frames are short or longer than a page. One is made when there is none
//! to be had, and used ever after: so nothing is allocated for a frame, and a pair has as much memory as it
//! had frames under way at its busiest, at most 256 x 2 KiB + 64 x 64 KiB = 4.5 MiB a direction. Nor is much of it
//! used for long: the kernel steers the frames of a flow to the queue by which its answers were written, so that from
//! the second packet on they mostly come to the worker that translates them by themselves.
//!
//! Order is kept. Beyond the limits a frame is dropped as `handoff-full`, by the worker that has read it. The other one
//! is woken once a batch, and routes what has come together with what it reads itself, and before it: as many frames of
//! others as a round may read, the rest in the next one. It takes them before it obeys control, so that a frame is
//! not told to be of whoever gets its port's slot next.

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use fastpath::ring::spsc::{Consumer, Producer, ring};
use fastpath::{Pool, PortIndex, Waker};

use crate::datapath::{DropReason, FrameIo, HandoffIn, Observer, State};
use crate::limits::{HANDOFF_LARGE_MAX, HANDOFF_SMALL_BYTES, HANDOFF_SMALL_MAX};

#[cfg(test)]
mod tests;

/// A frame under way.
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

    /// One that was made before.
    fn take(&mut self) -> Option<Vec<u8>> {
        self.idle.pop()
    }

    fn make(&mut self) -> Option<Vec<u8>> {
        let may = self.made < self.made_max;
        self.made += usize::from(may);
        may.then(|| Vec::with_capacity(self.bytes))
    }
}

/// What leads to another worker.
struct PeerTx {
    frames: Producer<HandoffFrame>,
    free: Consumer<Vec<u8>>,
    small: Buffers,
    large: Buffers,
    waker: Waker,
    /// Something was sent that the other was not woken for.
    needs_wake: bool,
}

/// What leads here from another worker.
struct PeerRx {
    frames: Consumer<HandoffFrame>,
    free: Producer<Vec<u8>>,
}

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct HandoffQueues {
    /// By the other's number; none to itself.
    tx: Vec<Option<PeerTx>>,
    rx: Vec<PeerRx>,
    /// Whose frames are taken first in the next round.
    first: usize,
    /// The worker's own, for what it leaves to the next round.
    waker: Option<Waker>,
}

impl HandoffQueues {
    /// Ends for as many workers as there are wakers, each connected with each.
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

    /// Takes what others have handed off, for the next batch, at most as much as a round may read; says whether
    /// there was any.
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
            // Somebody else begins the next round, which comes at once.
            self.first = (self.first + 1) % peers;
            if let Some(waker) = &self.waker {
                waker.wake();
            }
        }
        left < ROUND_FRAMES_MAX
    }

    /// Hands off what others translate of the last batch.
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

/// The two ends of one direction.
fn connect(waker: &Waker) -> (PeerTx, PeerRx) {
    let capacity = HANDOFF_SMALL_MAX + HANDOFF_LARGE_MAX;
    let (frames, frames_there) = ring(capacity);
    // As many as there are buffers: none is without a place on its way back.
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
    /// Sends a copy of a frame; false where there is no room.
    fn send(&mut self, port: PortIndex, is_assigned: bool, frame: &[u8]) -> bool {
        let Some(mut bytes) = self.buffer(frame.len()) else { return false };
        bytes.clear();
        bytes.extend_from_slice(frame);
        match self.frames.push(HandoffFrame { port, is_assigned, bytes }) {
            Ok(()) => {
                self.needs_wake = true;
                true
            }
            // There are no more buffers than places: this is for whoever changes that.
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
    /// Copies a frame into the pool, and sends its buffer back.
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
        // There is a place for each; one that had none would only be missed.
        let _ = self.free.push(bytes);
    }
}

fn copy(pool: &mut Pool, bytes: &[u8]) -> Option<fastpath::Frame> {
    let mut frame = pool.alloc()?;
    frame.set_len(bytes.len());
    match pool.bytes_mut(&frame) {
        Some(to) => to.copy_from_slice(bytes),
        // A buffer that was free has one holder.
        None => frame.set_len(0),
    }
    Some(frame)
}
