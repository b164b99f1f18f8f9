//! Counters of the datapath. Each worker owns its own; control asks for a copy.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use fastpath::datagram::Unsent;
use fastpath::{PortIndex, PortIoCounters, TxDrop};
use vswitch_counters::{DatapathCounters, PortTraffic, VtepTraffic};

use super::{DropReason, Snapshot, VtepIndex};

/// Counters of one worker's datapath.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Frames and addresses.
    pub counters: DatapathCounters,
    drops: Drops,
    /// Drops of frames that were decided and then not let out, at the ports they were meant for.
    pub(super) egress_drops: Drops,
    vteps: Vec<VtepTraffic>,
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

    /// Traffic of VTEPs by [`VtepIndex`]; those beyond have none.
    #[must_use]
    pub fn vteps(&self) -> &[VtepTraffic] {
        &self.vteps
    }

    /// Traffic of a VTEP.
    #[inline]
    pub(super) fn vtep_mut(&mut self, vtep: VtepIndex) -> &mut VtepTraffic {
        let index = usize::from(vtep.0);
        if self.vteps.len() <= index {
            self.vteps.resize(index + 1, VtepTraffic::default());
        }
        &mut self.vteps[index]
    }

    /// Counts datagrams that the engine could not send as drops of their VTEP.
    pub(crate) fn count_unsent(&mut self, snapshot: &Snapshot, unsent: Unsent) {
        let Unsent { peer, datagrams, bytes } = unsent;
        let vtep = snapshot.tunnel().and_then(|tunnel| {
            let at = |vtep: &VtepIndex| tunnel.vtep(*vtep).is_some_and(|it| it.address == peer);
            tunnel.at(peer.ip()).find(at)
        });
        if let Some(vtep) = vtep {
            let headers = datagrams * wire::vxlan::HEADER_LEN as u64;
            self.vtep_mut(vtep).count_unsent(datagrams, bytes.saturating_sub(headers));
        }
    }

    /// Forgets what a VTEP counted, whose slot is another's now.
    pub(super) fn forget_vtep(&mut self, vtep: VtepIndex) {
        if let Some(traffic) = self.vteps.get_mut(usize::from(vtep.0)) {
            *traffic = VtepTraffic::default();
        }
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

/// Counters of a port: its traffic, and drops of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames and bytes from and to the port.
    pub traffic: PortTraffic,
    /// Drops by reason: of frames that came from it, and of frames that could not be written to it.
    pub drops: [u64; DropReason::COUNT],
}

impl Default for PortCounters {
    fn default() -> Self {
        Self { traffic: PortTraffic::default(), drops: [0; DropReason::COUNT] }
    }
}

impl PortCounters {
    /// From the counters of engine and datapath. A failed read, and a datagram that the kernel
    /// dropped, count as received and dropped.
    #[must_use]
    pub fn new(io: PortIoCounters, mut drops: [u64; DropReason::COUNT]) -> Self {
        for kind in TxDrop::ALL {
            drops[DropReason::from(kind) as usize] += io.tx_drops[kind as usize];
        }
        drops[DropReason::RxError as usize] += io.rx_errors;
        drops[DropReason::RxOverflow as usize] += io.rx_overflow;
        let rx_frames = io.traffic.rx_frames + io.rx_errors + io.rx_overflow;
        Self { traffic: PortTraffic { rx_frames, ..io.traffic }, drops }
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
        self.traffic += other.traffic;
        for (sum, count) in self.drops.iter_mut().zip(other.drops) {
            *sum += count;
        }
    }
}
