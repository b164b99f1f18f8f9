//! An observer that every simulated worker has: it must see exactly the drops that are counted.

use std::collections::HashMap;

use fastpath::PortIndex;

use crate::datapath::{DropReason, Observer, Stats};

/// Counts what it sees, and keeps the last drop.
#[derive(Default)]
pub(in crate::datapath::tests) struct Recorder {
    drops: HashMap<(PortIndex, DropReason), u64>,
    pub(in crate::datapath::tests) received: u64,
    pub(in crate::datapath::tests) sent: u64,
    pub(in crate::datapath::tests) last_drop: Option<(PortIndex, DropReason, Vec<u8>)>,
}

impl Observer for Recorder {
    fn on_rx(&mut self, _port: PortIndex, _frame: &[u8]) {
        self.received += 1;
    }

    fn on_drop(&mut self, port: PortIndex, reason: DropReason, frame: &[u8]) {
        *self.drops.entry((port, reason)).or_default() += 1;
        self.last_drop = Some((port, reason, frame.to_vec()));
    }

    fn on_tx(&mut self, _port: PortIndex, _frame: &[u8]) {
        self.sent += 1;
    }
}

impl Recorder {
    pub(super) fn check(&self, stats: &Stats, ports: u16) {
        for port in (0..ports).map(PortIndex) {
            let counted = stats.port_drops(port);
            for &reason in DropReason::ALL {
                let seen = self.drops.get(&(port, reason)).copied().unwrap_or(0);
                assert_eq!(seen, counted[reason as usize], "{} of port {port}", reason.name());
            }
        }
    }
}
