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
use fastpath::{Bell, Pool, PortIndex};

use crate::datapath::{Arrival, DropReason, State, Stats};
use crate::limits::{HANDOVER_LARGE_MAX, HANDOVER_SMALL_BYTES, HANDOVER_SMALL_MAX};

#[cfg(test)]
mod tests;

/// A frame under way.
struct Parcel {
    port: PortIndex,
    is_placed: bool,
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
struct Outward {
    parcels: Producer<Parcel>,
    empties: Consumer<Vec<u8>>,
    small: Buffers,
    large: Buffers,
    bell: Bell,
    /// Something was sent that the other was not woken for.
    is_news: bool,
}

/// What leads here from another worker.
struct Inward {
    parcels: Consumer<Parcel>,
    empties: Producer<Vec<u8>>,
}

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct Handover {
    /// By the other's number; none to itself.
    outward: Vec<Option<Outward>>,
    inward: Vec<Inward>,
    /// Whose frames are taken first in the next round.
    first: usize,
    /// The worker's own, for what it leaves to the next round.
    bell: Option<Bell>,
}

impl Handover {
    /// Ends for as many workers as there are bells, each connected with each.
    pub(crate) fn mesh(bells: &[Bell]) -> Vec<Self> {
        let mut all: Vec<Self> = bells.iter().map(|_| Self::default()).collect();
        for from in 0..bells.len() {
            for (to, bell) in bells.iter().enumerate() {
                let ends = (to != from).then(|| connect(bell));
                let (outward, inward) = ends.unzip();
                all[from].outward.push(outward);
                all[to].inward.extend(inward);
                all[to].bell = Some(bell.clone());
            }
        }
        all
    }

    /// Takes what others have handed over, for the next batch, at most as much as a round may read; says whether
    /// there was any.
    #[inline]
    pub(crate) fn take(&mut self, pool: &mut Pool, state: &mut State, stats: &mut Stats) -> bool {
        let (peers, mut left) = (self.inward.len(), ROUND_FRAMES_MAX);
        for turn in 0..peers {
            let peer = &mut self.inward[(self.first + turn) % peers];
            while left > 0
                && let Some(parcel) = peer.parcels.pop()
            {
                left -= 1;
                peer.receive(parcel, pool, state, stats);
            }
        }
        if left == 0 {
            // Somebody else begins the next round, which comes at once.
            self.first = (self.first + 1) % peers;
            if let Some(bell) = &self.bell {
                bell.ring();
            }
        }
        left < ROUND_FRAMES_MAX
    }

    /// Hands over what others translate of the last batch.
    #[inline]
    pub(crate) fn give(&mut self, pool: &mut Pool, state: &mut State, stats: &mut Stats) {
        if self.inward.is_empty() {
            return;
        }
        for leaving in state.leaving() {
            let peer = self.outward.get_mut(leaving.to).and_then(Option::as_mut);
            let bytes = pool.bytes(&leaving.frame);
            if peer.is_some_and(|peer| peer.send(leaving.port, leaving.is_placed, bytes)) {
                stats.handed_over += 1;
            } else {
                stats.drop(leaving.port, DropReason::HandoffFull);
            }
            pool.release(leaving.frame);
        }
        for peer in self.outward.iter_mut().flatten() {
            if std::mem::take(&mut peer.is_news) {
                peer.bell.ring();
            }
        }
    }
}

/// The two ends of one direction.
fn connect(bell: &Bell) -> (Outward, Inward) {
    let frames = HANDOVER_SMALL_MAX + HANDOVER_LARGE_MAX;
    let (parcels, parcels_there) = ring(frames);
    // As many as there are buffers: none is without a place on its way back.
    let (empties_there, empties) = ring(frames);
    let outward = Outward {
        parcels,
        empties,
        small: Buffers::new(HANDOVER_SMALL_BYTES, HANDOVER_SMALL_MAX),
        large: Buffers::new(FRAME_MAX, HANDOVER_LARGE_MAX),
        bell: bell.clone(),
        is_news: false,
    };
    (outward, Inward { parcels: parcels_there, empties: empties_there })
}

impl Outward {
    /// Sends a copy of a frame; false where there is no room.
    fn send(&mut self, port: PortIndex, is_placed: bool, frame: &[u8]) -> bool {
        let Some(mut bytes) = self.buffer(frame.len()) else { return false };
        bytes.clear();
        bytes.extend_from_slice(frame);
        match self.parcels.push(Parcel { port, is_placed, bytes }) {
            Ok(()) => {
                self.is_news = true;
                true
            }
            // There are no more buffers than places: this is for whoever changes that.
            Err(parcel) => {
                self.buffers(parcel.bytes.capacity()).idle.push(parcel.bytes);
                false
            }
        }
    }

    fn buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        if let Some(buffer) = self.buffers(len).take() {
            return Some(buffer);
        }
        while let Some(empty) = self.empties.pop() {
            self.buffers(empty.capacity()).idle.push(empty);
        }
        let buffers = self.buffers(len);
        buffers.take().or_else(|| buffers.make())
    }

    fn buffers(&mut self, len: usize) -> &mut Buffers {
        if len <= self.small.bytes { &mut self.small } else { &mut self.large }
    }
}

impl Inward {
    /// Copies a frame into the pool, and sends its buffer back.
    fn receive(&mut self, parcel: Parcel, pool: &mut Pool, state: &mut State, stats: &mut Stats) {
        let Parcel { port, is_placed, bytes } = parcel;
        stats.taken_over += 1;
        match copy(pool, &bytes) {
            Some(frame) => {
                if let Err(refused) = state.take_over(Arrival { is_placed, port, frame }) {
                    stats.drop(port, DropReason::PortUnknown);
                    pool.release(refused.frame);
                }
            }
            None => stats.drop(port, DropReason::NoBuffer),
        }
        // There is a place for each; one that had none would only be missed.
        let _ = self.empties.push(bytes);
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
