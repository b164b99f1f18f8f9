//! FDB sync: workers share learnt MAC addresses and multicast listeners, and what neighbours behind unguarded ports
//! answer.
//!
//! A worker learns from its own frames only, and would flood addresses that another worker knows. So it
//! sends each new or refreshed entry with its time to all others through bounded rings. A full ring
//! drops and counts the entry; the receiver floods until the next refresh. Newer entries win.

#[cfg(test)]
mod tests;

use fastpath::ring::spsc::{Consumer, Producer, ring};

use crate::datapath::limits::FDB_SYNC_ROWS;
use crate::datapath::{HeardInside, Learnt, Snapshot, State};

enum Row {
    /// FDB entry with the second of its last frame, or group listener with its second of expiry.
    Learnt(Learnt, u32),
    /// Neighbour behind an unguarded port; lost, it is asked for again.
    Inside(HeardInside),
}

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

    /// Sends what a worker has learnt to all peers.
    pub(crate) fn broadcast(&mut self, state: &mut State) {
        for (learnt, second) in state.fdb_sync.drain(..) {
            for peer in &mut self.tx {
                self.drops += u64::from(peer.push(Row::Learnt(learnt, second)).is_err());
            }
        }
        for told in state.router.iter_mut().flat_map(|router| router.take_told()) {
            for peer in &mut self.tx {
                self.drops += u64::from(peer.push(Row::Inside(told)).is_err());
            }
        }
    }

    /// Learns the rows of all peers.
    pub(crate) fn drain(&mut self, snapshot: &Snapshot, state: &mut State) {
        for peer in &mut self.rx {
            while let Some(row) = peer.pop() {
                match row {
                    // A multicast row names a listener.
                    Row::Learnt(learnt, second) if learnt.key.is_multicast() => {
                        state.groups.join_in(snapshot, learnt, second);
                    }
                    Row::Learnt(learnt, second) => state.fdb.learn_in(snapshot, learnt, second),
                    Row::Inside(told) => {
                        let is_shared = |port| snapshot.port(port).is_some_and(|it| it.is_shared);
                        // The port may have gone meanwhile.
                        if let Some(router) =
                            state.router.as_mut().filter(|_| is_shared(told.port()))
                        {
                            router.hear_inside(told);
                        }
                    }
                }
            }
        }
    }
}
