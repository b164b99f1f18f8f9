//! What workers tell each other: where MAC addresses live.
//!
//! Each worker learns from the frames that it reads. With several, a queue's frames come to one
//! worker only, and the others would flood what it knows; so each tells what is new, or was seen
//! again, to every other one, through a bounded ring. What does not fit is lost and counted nowhere:
//! the other floods until it learns by itself, as a switch does.

use fastpath::Nanos;
use fastpath::ring::spsc::{Consumer, Producer, ring};

use crate::datapath::limits::NEWS_ROWS;
use crate::datapath::{Fdb, Learnt, Snapshot};

/// One worker's ends of the rings.
#[derive(Default)]
pub(crate) struct News {
    outward: Vec<Producer<Learnt>>,
    inward: Vec<Consumer<Learnt>>,
}

impl News {
    /// Ends for `workers` workers, each connected with each.
    pub(crate) fn mesh(workers: usize) -> Vec<Self> {
        let mut all: Vec<Self> = (0..workers).map(|_| Self::default()).collect();
        for from in 0..workers {
            for to in (0..workers).filter(|&to| to != from) {
                let (producer, consumer) = ring(NEWS_ROWS);
                all[from].outward.push(producer);
                all[to].inward.push(consumer);
            }
        }
        all
    }

    pub(crate) fn has_peers(&self) -> bool {
        !self.outward.is_empty()
    }

    /// Passes on what was learnt.
    pub(crate) fn tell(&mut self, news: &mut Vec<Learnt>) {
        for learnt in news.drain(..) {
            for peer in &mut self.outward {
                let _ = peer.push(learnt);
            }
        }
    }

    /// Learns what others have learnt.
    pub(crate) fn hear(&mut self, now: Nanos, snapshot: &Snapshot, fdb: &mut Fdb) {
        for peer in &mut self.inward {
            while let Some(learnt) = peer.pop() {
                fdb.learn_in(snapshot, learnt, now.seconds());
            }
        }
    }
}
