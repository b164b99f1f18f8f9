//! Limits of this crate by name. A counter or an error tells of each hit.

use std::time::Duration;

/// Ports of a switch: slots `0..PORTS_MAX` on every worker.
pub const PORTS_MAX: usize = 8192;

/// Workers. A TAP has one queue per worker; the kernel allows 256.
pub const WORKERS_MAX: usize = 16;

/// Headroom in bytes in front of a frame (outer Ethernet, IPv6, UDP, VXLAN, two tags).
pub const HEADROOM: usize = 128;

/// Length of the virtio-net header in front of every frame in the pool (`virtio_net_hdr_v1`).
pub const VNET_LEN: usize = 12;

/// Longest frame: a virtio-net header, Ethernet with two tags, and 65,535 bytes of IP.
pub const FRAME_MAX: usize = VNET_LEN + 14 + 8 + 65_535;

/// Distance between two buffers: an odd number of cache lines, so that frame headers spread over all
/// sets of the first-level cache.
pub const BUFFER_STRIDE: usize = ((HEADROOM + FRAME_MAX).div_ceil(64) | 1) * 64;

/// Frames read from one port in a round.
pub const READ_DEPTH_MAX: usize = 32;

/// Frames read from all ports in a round.
pub const ROUND_FRAMES_MAX: usize = 256;

/// Bytes read from one port in a round. More cuts the read depth, so that a batch fits into the
/// second-level cache.
pub const ROUND_BYTES_PER_PORT: usize = 256 * 1024;

/// Bytes read from all ports in a round, by estimate. A small frame of a quiet port waits for them:
/// about a millisecond.
pub const ROUND_BYTES_MAX: usize = 4 * ROUND_BYTES_PER_PORT;

/// Writes in flight to one port: a whole round. A port whose queue is full keeps a sixth of the buffers
/// at most.
pub const WRITES_PER_PORT_MAX: usize = ROUND_FRAMES_MAX;

/// Datagrams, or groups of segments, in one `recvmmsg(2)` or `sendmmsg(2)`.
pub const DATAGRAM_BATCH_MAX: usize = 64;

/// Frames that wait for the end of a round among which the last one of a flow is looked for, to append a datagram.
pub const JOIN_FRAMES_MAX: usize = 8;

/// Datagrams that are joined to one send, at most: `UDP_MAX_SEGMENTS` before Linux 6.9.
pub const JOINED_DATAGRAMS_MAX: usize = 64;

/// Bytes of them: UDP's payload over IPv4.
pub const JOINED_BYTES_MAX: usize = 65_507;

/// Peers of a tunnel port for which a worker remembers that the kernel would not segment. A further one evicts the oldest.
pub const UNSEGMENTED_PEERS_MAX: usize = 64;

/// Sends to such a peer until the kernel is asked again: a second or more of a fast flow.
pub const UNSEGMENTED_SENDS: u32 = 16_384;

/// Sending sockets of a tunnel port: source ports, by which the underlay spreads flows.
pub const SENDERS_MAX: usize = 64;

/// Receive buffer of a tunnel port in bytes, for a worker: some milliseconds of the underlay.
pub const UDP_RECEIVE_BUFFER: i32 = 8 * 1024 * 1024;

/// Send buffer of each sending socket in bytes.
pub const UDP_SEND_BUFFER: i32 = 4 * 1024 * 1024;

/// Entries of the submission queue. A full queue is flushed.
pub const SQ_ENTRIES: u32 = 1024;

/// Entries of the completion queue. The kernel keeps surplus completions (`IORING_FEAT_NODROP`).
pub const CQ_ENTRIES: u32 = 8192;

/// Operations in flight on one ring: writes of a full submission queue and the reads of a round, twice,
/// so that no round waits for the last one.
pub const OPS_MAX: usize = 2 * (SQ_ENTRIES as usize + ROUND_FRAMES_MAX);

/// Buffers of a worker's pool: reads in flight, the batch, queued frames and writes in flight. Copies
/// of a flooded frame share a buffer.
pub const POOL_FRAMES: usize =
    ROUND_FRAMES_MAX + ROUND_FRAMES_MAX + QUEUED_FRAMES_MAX + SQ_ENTRIES as usize;

/// Frames queued between rounds: 128 for a neighbour, 256 fragments, and 256 that wait for their NAT
/// shard.
pub const QUEUED_FRAMES_MAX: usize = 640;

/// Holders of one buffer: a flood to every port, and the original.
pub const HOLDERS_MAX: u16 = PORTS_MAX as u16 + 1;

/// Empty rounds after which a spinning worker polls a port instead: about 80 us, longer than a peer
/// takes to wake up and answer (docs/performance/experiments/spin-rounds.md).
pub const SPIN_ROUNDS: u16 = 64;

/// Interval of samples of processor time while there is traffic. The kernel counts idle time in hundredths
/// of a second.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// Samples without traffic after which control is dormant.
pub const QUIET_SAMPLES_MAX: u32 = 10;

/// Rounds with frames within [`SAMPLE_EVERY`] that count as traffic: fewer are not worth a decision.
pub const TRAFFIC_ROUNDS: u32 = 16;

/// Workers spin where others leave one processor for each of them, or less by this at most. By medians,
/// endpoints alone leave 0.95 to 1.5 of two processors to one worker; with one busy neighbour it is 0.4 to
/// 0.8 (docs/performance/experiments/idle-policy.md).
pub const SPARE_TOLERANCE: f64 = 0.1;

/// Samples in a row that must leave enough before workers spin again, after a long time of spinning.
pub const HOLD_SAMPLES_MIN: u32 = 5;

/// See [`HOLD_SAMPLES_MIN`]; after stops that follow each other closely: 32 s.
pub const HOLD_SAMPLES_MAX: u32 = 160;

/// Samples for which workers must spin before their next stop counts as the first: 5 s.
pub const PROBATION_SAMPLES: u32 = 25;

/// Bytes of `/proc/stat` that are read for its lines of processors, at most: 8,192 of them.
pub const PROC_STAT_MAX: usize = 1024 * 1024;
