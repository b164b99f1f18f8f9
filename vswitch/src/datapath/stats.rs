//! What the datapath counts. A worker's counters are its own; control asks for a copy.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use fastpath::{PortIndex, PortIo, TxDrop};

use super::DropReason;

/// Counters of one worker's datapath.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Frames that the switch made itself.
    pub generated: u64,
    /// Frames that were meant for the switch itself.
    pub consumed: u64,
    /// Further holders of frames that went to several ports.
    pub flood_copies: u64,
    /// Frames that were handed off to another worker.
    pub handed_off: u64,
    /// Frames that were received from another worker.
    pub handoff_received: u64,
    /// MAC addresses seen on another port than before.
    pub mac_moves: u64,
    /// MAC addresses that were not learnt, since there was no room.
    pub fdb_full: u64,
    /// MAC addresses that were not learnt, since their port has as many as it may.
    pub mac_limit: u64,
    drops: Drops,
    /// Drops of frames that were decided and then not let out, at the ports they were meant for.
    pub(super) egress_drops: Drops,
}

/// Drops of each port by reason.
#[derive(Debug, Clone, Default)]
pub(super) struct Drops(Vec<[u64; DropReason::COUNT]>);

impl Drops {
    #[inline]
    pub(super) fn count(&mut self, port: PortIndex, reason: DropReason) {
        if self.0.len() <= port.get() {
            self.0.resize(port.get() + 1, [0; DropReason::COUNT]);
        }
        self.0[port.get()][reason as usize] += 1;
    }

    fn of(&self, port: PortIndex) -> [u64; DropReason::COUNT] {
        self.0.get(port.get()).copied().unwrap_or([0; DropReason::COUNT])
    }

    fn forget(&mut self, port: PortIndex) {
        if let Some(drops) = self.0.get_mut(port.get()) {
            *drops = [0; DropReason::COUNT];
        }
    }
}

impl Stats {
    /// Counts a drop of a frame that came in on a port.
    #[inline]
    pub fn drop(&mut self, port: PortIndex, reason: DropReason) {
        self.drops.count(port, reason);
    }

    /// Drops of a port by reason.
    #[must_use]
    pub fn port_drops(&self, port: PortIndex) -> [u64; DropReason::COUNT] {
        let mut drops = self.drops.of(port);
        for (sum, count) in drops.iter_mut().zip(self.egress_drops.of(port)) {
            *sum += count;
        }
        drops
    }

    /// All drops of frames that came in on a port.
    #[must_use]
    pub fn dropped(&self, port: PortIndex) -> u64 {
        self.drops.0.get(port.get()).map_or(0, |reasons| reasons.iter().sum())
    }

    /// Slots that have counted anything: ports `0..slots()`.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.drops.0.len().max(self.egress_drops.0.len())
    }

    /// Forgets what a port counted, when its slot is about to be used again.
    pub fn forget(&mut self, port: PortIndex) {
        self.drops.forget(port);
        self.egress_drops.forget(port);
    }
}

/// Counters of one port: what its engine counted, and the drops of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames from the port.
    pub rx_frames: u64,
    /// Bytes from the port.
    pub rx_bytes: u64,
    /// Frames to the port.
    pub tx_frames: u64,
    /// Bytes to the port.
    pub tx_bytes: u64,
    /// Drops by reason: of frames that came from it, and of frames that could not be written to it.
    pub drops: [u64; DropReason::COUNT],
}

impl Default for PortCounters {
    fn default() -> Self {
        let drops = [0; DropReason::COUNT];
        Self { rx_frames: 0, rx_bytes: 0, tx_frames: 0, tx_bytes: 0, drops }
    }
}

impl PortCounters {
    /// From what the engine and the datapath counted. A failed read counts as received and dropped.
    #[must_use]
    pub fn new(io: PortIo, mut drops: [u64; DropReason::COUNT]) -> Self {
        for kind in TxDrop::ALL {
            drops[DropReason::from(kind) as usize] += io.tx_drops[kind as usize];
        }
        drops[DropReason::RxError as usize] += io.rx_errors;
        Self {
            rx_frames: io.rx_frames + io.rx_errors,
            rx_bytes: io.rx_bytes,
            tx_frames: io.tx_frames,
            tx_bytes: io.tx_bytes,
            drops,
        }
    }

    /// All drops.
    #[must_use]
    pub fn drops_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Drops by name, without reasons that never happened.
    #[must_use]
    pub fn drops_by_name(&self) -> BTreeMap<String, u64> {
        let counted =
            DropReason::ALL.iter().map(|&r| (r.name().to_owned(), self.drops[r as usize]));
        counted.filter(|&(_, count)| count > 0).collect()
    }
}

impl AddAssign for PortCounters {
    fn add_assign(&mut self, other: Self) {
        self.rx_frames += other.rx_frames;
        self.rx_bytes += other.rx_bytes;
        self.tx_frames += other.tx_frames;
        self.tx_bytes += other.tx_bytes;
        for (sum, count) in self.drops.iter_mut().zip(other.drops) {
            *sum += count;
        }
    }
}
