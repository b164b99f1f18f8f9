//! What workers tell each other: where MAC addresses live, and who listens to multicast groups.
//!
//! Each worker learns from the frames that it reads. With several, a queue's frames come to one
//! worker only, and the others would flood what it knows; so each tells what is new, or was seen
//! again, and when, to every other one, through a bounded ring. What does not fit is lost and counted:
//! the other floods until it hears of it again. Old news never replaces what is known to be newer.

#[cfg(test)]
mod tests;

use fastpath::ring::spsc::{Consumer, Producer, ring};

use crate::datapath::limits::FDB_SYNC_ROWS;
use crate::datapath::{Learnt, Snapshot, State};

/// Where an address lives, and the second in which it was seen there; or where somebody listens to a
/// group, and the second until which that holds.
type Row = (Learnt, u32);

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct FdbSync {
    tx: Vec<Producer<Row>>,
    rx: Vec<Consumer<Row>>,
    drops: u64,
}

impl FdbSync {
    /// Ends for `workers` workers, each connected with each.
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

    /// Rows that did not fit.
    pub(crate) fn drops(&self) -> u64 {
        self.drops
    }

    /// Passes on what was learnt.
    pub(crate) fn broadcast(&mut self, rows: &mut Vec<Row>) {
        for row in rows.drain(..) {
            for peer in &mut self.tx {
                self.drops += u64::from(peer.push(row).is_err());
            }
        }
    }

    /// Learns what others have learnt.
    pub(crate) fn drain(&mut self, snapshot: &Snapshot, state: &mut State) {
        for peer in &mut self.rx {
            while let Some((learnt, second)) = peer.pop() {
                // A group does not live anywhere: somebody listens to it there.
                match learnt.key.is_multicast() {
                    true => state.groups.join_in(snapshot, learnt, second),
                    false => state.fdb.learn_in(snapshot, learnt, second),
                }
            }
        }
    }
}
