//! FDB sync: workers share learnt MAC addresses and multicast listeners.
//!
//! A worker learns from its own frames only, and would flood addresses that another worker knows. So it
//! sends each new or refreshed entry with its time to all others through bounded rings. A full ring
//! drops and counts the entry; the receiver floods until the next refresh. Newer entries win.

#[cfg(test)]
mod tests;

use fastpath::ring::spsc::{Consumer, Producer, ring};

use crate::datapath::limits::FDB_SYNC_ROWS;
use crate::datapath::{Learnt, Snapshot, State};

/// FDB entry with the second of its last frame, or group listener with its second of expiry.
type Row = (Learnt, u32);

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct FdbSync {
    tx: Vec<Producer<Row>>,
    rx: Vec<Consumer<Row>>,
    drops: u64,
}

impl FdbSync {
    /// Connects each worker with each other one.
    pub(crate) fn mesh(workers: usize) -> Vec<Self> {
        let mut all: Vec<Self> = (0..workers).map(|_| Self::default()).collect();
        for from in 0..workers {
            for to in (0..workers).filter(|&to| to != from) {
                let (producer, consumer) = ring(FDB_SYNC_ROWS);
                all[from].tx.push(producer);
                all[to].rx.push(consumer);
            }
        }
        all
    }

    pub(crate) fn has_peers(&self) -> bool {
        !self.tx.is_empty()
    }

    /// Rows dropped by full rings.
    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    /// Sends rows to all peers.
    pub(crate) fn broadcast(&mut self, rows: &mut Vec<Row>) {
        for row in rows.drain(..) {
            for peer in &mut self.tx {
                self.drops += u64::from(peer.push(row).is_err());
            }
        }
    }

    /// Learns the rows of all peers.
    pub(crate) fn drain(&mut self, snapshot: &Snapshot, state: &mut State) {
        for peer in &mut self.rx {
            while let Some((learnt, second)) = peer.pop() {
                // A multicast row names a listener.
                match learnt.key.is_multicast() {
                    true => state.groups.join_in(snapshot, learnt, second),
                    false => state.fdb.learn_in(snapshot, learnt, second),
                }
            }
        }
    }
}
