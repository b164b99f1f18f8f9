//! The blocks of SNAT ports of one worker and transport: each is free, busy or claimed, and none is lost
//! ([`super::snat_blocks`]).

use std::collections::VecDeque;

use nat::Transport;
use tokio::time::Instant;

use super::limits::{BLOCK_RETRY_PAUSE, BUSY_BLOCK_PAUSE};
use crate::host::nft::PortBlock;
use crate::host::uplink::Claimed;

/// The blocks of one worker and transport.
#[derive(Debug)]
pub(super) struct BlockShare {
    pub(super) worker: usize,
    pub(super) transport: Transport,
    /// Blocks to be claimed, in random order.
    free: VecDeque<PortBlock>,
    /// Blocks of which the host has a port, until they are tried again.
    busy: Vec<(PortBlock, Instant)>,
    claimed: Vec<PortBlock>,
    /// After a claim that failed, until further blocks are tried.
    paused: Option<Instant>,
}

impl BlockShare {
    /// All of the blocks are free.
    pub(super) fn new(
        worker: usize,
        transport: Transport,
        free: impl Iterator<Item = PortBlock>,
    ) -> Self {
        let (busy, claimed) = (Vec::new(), Vec::new());
        Self { worker, transport, free: free.collect(), busy, claimed, paused: None }
    }

    /// Claimed blocks, and blocks in all.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.claimed.len(), self.claimed.len() + self.free.len() + self.busy.len())
    }

    /// Blocks that the worker may have in all, where `affordable` ones may be claimed.
    pub(super) fn obtainable(&self, affordable: usize) -> usize {
        self.claimed.len() + self.free.len().min(affordable)
    }

    /// No further blocks are tried now.
    pub(super) fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| until > now)
    }

    /// Blocks to try, in their order.
    pub(super) fn candidates(&mut self, now: Instant) -> Vec<PortBlock> {
        self.free_due(now);
        self.free.iter().cloned().collect()
    }

    /// Frees busy blocks that are to be tried again.
    pub(super) fn free_due(&mut self, now: Instant) {
        let due = self.busy.extract_if(.., |(_, until)| *until <= now).map(|(block, _)| block);
        self.free.extend(due);
    }

    /// Notes what became of a claim.
    pub(super) fn note(&mut self, claimed: Claimed, now: Instant) {
        if claimed.is_limited || claimed.is_refused {
            self.pause(now);
        }
        let is_taken = |block: &PortBlock| {
            claimed.blocks.contains(block) || claimed.busy.iter().any(|(busy, _)| busy == block)
        };
        self.free.retain(|block| !is_taken(block));
        for (block, port) in claimed.busy {
            tracing::debug!(port, protocol = %block.protocol, "the host uses a port of the SNAT range");
            self.busy.push((block, now + BUSY_BLOCK_PAUSE));
        }
        self.claimed.extend(claimed.blocks);
    }

    /// A claim failed as a whole.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused = Some(now + BLOCK_RETRY_PAUSE);
    }

    /// Frees claimed blocks, by their first ports, and returns them.
    pub(super) fn free(&mut self, first_ports: &[u16]) -> Vec<PortBlock> {
        let freed = self.claimed.extract_if(.., |block| first_ports.contains(&block.first));
        let freed: Vec<PortBlock> = freed.collect();
        self.free.extend(freed.iter().cloned());
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::nft::Protocol;

    fn block(n: u16) -> PortBlock {
        let first = 20_000 + 64 * n;
        PortBlock { protocol: Protocol::Udp, first, last: first + 63 }
    }

    fn share() -> BlockShare {
        BlockShare::new(0, Transport::Udp, (0..10).map(block))
    }

    #[test]
    fn a_block_is_free_or_busy_or_claimed_and_never_lost() {
        let (mut share, now) = (share(), Instant::now());
        assert_eq!(share.candidates(now), (0..10).map(block).collect::<Vec<_>>());
        let blocks = vec![block(0), block(2), block(3)];
        let busy = vec![(block(1), 20_070)];
        share.note(Claimed { blocks, busy, ..Claimed::default() }, now);
        assert_eq!((share.counts(), share.is_paused(now)), ((3, 10), false));
        assert_eq!((share.obtainable(4), share.obtainable(99)), (7, 9));
        // Returned by the worker, or not taken by it.
        assert_eq!(share.free(&[block(2).first, block(7).first]), [block(2)]);
        assert_eq!(share.counts(), (2, 10));
        let left: Vec<_> = (4..10).chain([2]).map(block).collect();
        assert_eq!(share.candidates(now), left, "the busy one is left alone");
        let later = now + BUSY_BLOCK_PAUSE;
        assert_eq!(share.candidates(later).last(), Some(&block(1)), "it is tried again");
        assert_eq!((share.counts(), share.obtainable(99)), ((2, 10), 10));
    }

    #[test]
    fn after_a_claim_that_failed_none_is_tried_for_a_while() {
        let now = Instant::now();
        for (is_limited, is_refused) in [(true, false), (false, true)] {
            let mut share = share();
            let claimed =
                Claimed { blocks: vec![block(0)], is_limited, is_refused, ..Claimed::default() };
            share.note(claimed, now);
            assert_eq!(share.counts(), (1, 10), "what it has stays");
            assert!(share.is_paused(now) && !share.is_paused(now + BLOCK_RETRY_PAUSE));
        }
        let mut share = share();
        share.pause(now);
        assert!(share.is_paused(now));
        assert_eq!(share.candidates(now).len(), 10);
    }
}
