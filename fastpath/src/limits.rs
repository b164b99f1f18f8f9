//! Every limit of this crate, by name. Each has a counter or an error for when it is hit.

/// Most ports of a switch. A port's slot is an index below this on every worker.
pub const PORTS_MAX: usize = 8192;

/// Most workers: a TAP has one queue a worker, and the kernel allows 256.
pub const WORKERS_MAX: usize = 16;

/// Bytes in front of a frame where headers may grow (outer Ethernet, IPv6, UDP, VXLAN, two tags).
pub const HEADROOM: usize = 128;

/// Length of the virtio-net header that every frame in the pool begins with (`virtio_net_hdr_v1`).
pub const VNET_LEN: usize = 12;

/// Longest frame: a virtio-net header, Ethernet with two tags, and 65,535 bytes of IP.
pub const FRAME_MAX: usize = VNET_LEN + 14 + 8 + 65_535;

/// Distance between two buffers: headroom and the longest frame, in whole cache lines, and an odd
/// number of them: were it whole pages, the headers of all frames would fall into the same few sets
/// of the first-level cache.
pub const BUFFER_STRIDE: usize = ((HEADROOM + FRAME_MAX).div_ceil(64) | 1) * 64;

/// Most frames that one port may have read in one round.
pub const READ_DEPTH_MAX: usize = 32;

/// Frames that a round may take from all ports together.
pub const ROUND_FRAMES_MAX: usize = 256;

/// Bytes that one port may bring into a round, after which its depth is cut: what is in flight
/// should fit into the second-level cache.
pub const ROUND_BYTES_PER_PORT: usize = 256 * 1024;

/// Bytes that a round may take from all ports together, as far as their lengths can be foreseen: it
/// is what a small frame of a quiet port waits for, about a millisecond.
pub const ROUND_BYTES_MAX: usize = 4 * ROUND_BYTES_PER_PORT;

/// Writes to one port that may be in flight: a round that goes to one port as a whole. A port that
/// takes nothing keeps a sixth of the buffers at most.
pub const WRITES_PER_PORT_MAX: usize = ROUND_FRAMES_MAX;

/// Entries of the submission queue. A full queue is flushed, never waited for.
pub const SQ_ENTRIES: u32 = 1024;

/// Entries of the completion queue. The kernel keeps what does not fit and hands it over later.
pub const CQ_ENTRIES: u32 = 8192;

/// Operations with a buffer that one ring may have in flight: a full submission queue of writes on
/// top of a round's reads, twice, so that a round never waits for the one before.
pub const OPS_MAX: usize = 2 * (SQ_ENTRIES as usize + ROUND_FRAMES_MAX);

/// Buffers of a worker's pool, the sum of every place where a frame can rest:
/// reads in flight, the batch in the stages, what the stages hold back, and writes in flight. Frames of a flood
/// share a buffer.
pub const POOL_FRAMES: usize =
    ROUND_FRAMES_MAX + ROUND_FRAMES_MAX + QUEUED_FRAMES_MAX + SQ_ENTRIES as usize;

/// Frames that the stages may hold back from one round to the next, for whatever reason: 128 for their next
/// hop, and 256 fragments; with several workers 256 more of which it is to be found out who translates them.
pub const QUEUED_FRAMES_MAX: usize = 640;

/// Holders of one buffer: a flood to every port, and the one who floods.
pub const HOLDERS_MAX: u16 = PORTS_MAX as u16 + 1;

/// Empty rounds after which a port is no longer read but polled, when the worker spins: about 80
/// microseconds, longer than it takes the other end to wake up and answer. With 20 the worker often
/// slept a moment too early (docs/performance/experiments/spin-rounds.md).
pub const SPIN_ROUNDS: u16 = 64;
