//! Snapshots one after the other.

use fastpath::PortIndex;

use super::{NetworkConf, PortConf, PortLimits, Snapshot};

/// Compiles one snapshot after another, each as the successor of the last.
#[derive(Debug, Default)]
pub struct SnapshotBuilder(Snapshot);

impl SnapshotBuilder {
    /// Compiles what changed since the last call.
    pub fn next(
        &mut self,
        networks: Vec<NetworkConf>,
        ports: impl IntoIterator<Item = (PortIndex, PortConf)>,
        limits: impl IntoIterator<Item = (PortIndex, PortLimits)>,
    ) -> Snapshot {
        self.0 = self.0.successor(networks, ports).with_limits(limits);
        self.0.clone()
    }
}
