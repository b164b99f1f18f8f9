//! Blocks of SNAT ports that this worker has claimed, of one transport.
//!
//! # Theory of operation
//!
//! The worker's slice of the range is divided into blocks of [`PORT_BLOCK`] ports. Only ports of claimed blocks are
//! allocated: those the host lets us have. Control claims them, since each is checked and held on the host.
//!
//! ```text
//! unclaimed --claim()--> active <--> closed to new ports --collect_empty(), twice without a port--> unclaimed
//! ```
//!
//! When few ports are free, closed blocks open again, then [`PortBlocks::poll_request`] asks for further ones ahead of need.
//! When many are, the emptiest blocks are closed to new ports, so that they run empty. All pools of a transport, one for each external
//! address, share its blocks: a claimed block has the port at every address.
//!
//! Without control, all blocks are claimed from the beginning ([`PortBlocks::whole`]).

use std::ops::RangeInclusive;

use crate::limits::{
    PORT_BLOCK, PORT_BLOCKS_MIN, PORT_BLOCKS_SPARE, PORTS_FREE_GOAL, PORTS_FREE_MIN,
    PORTS_SHARED_BELOW_PERCENT,
};

/// The claimed blocks of a transport.
#[derive(Debug)]
pub(crate) struct PortBlocks {
    /// The worker's slice.
    range: RangeInclusive<u16>,
    /// Claimed blocks by number; new ports come from the first `active` of them.
    claimed: Vec<u16>,
    active: usize,
    active_ports: u32,
    /// Blocks that the worker may have in all, the claimed ones included.
    obtainable: usize,
    request: Request,
    /// Closed blocks that were empty at the last collection.
    empty: Vec<u16>,
}

/// A request for further blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    None,
    /// So many blocks, not asked for yet.
    Due(u16),
    /// Asked for, and not answered.
    Sent,
    /// The same since before the last collection. At the next one, the request or its answer counts as lost.
    Overdue,
}

impl PortBlocks {
    /// All blocks of a slice, claimed.
    pub(crate) fn whole(range: RangeInclusive<u16>) -> Self {
        let mut blocks = Self::none(range);
        blocks.claimed.extend(0..blocks.obtainable as u16);
        blocks.activate_all();
        blocks
    }

    /// No block of a slice.
    pub(crate) fn none(range: RangeInclusive<u16>) -> Self {
        let obtainable = range.len().div_ceil(PORT_BLOCK);
        Self {
            range,
            claimed: Vec::with_capacity(obtainable),
            active: 0,
            active_ports: 0,
            obtainable,
            request: Request::None,
            empty: Vec::with_capacity(obtainable),
        }
    }

    /// Blocks from which new ports are allocated.
    #[inline]
    pub(crate) fn active(&self) -> &[u16] {
        &self.claimed[..self.active]
    }

    /// Further blocks may be had.
    pub(crate) fn may_grow(&self) -> bool {
        self.claimed.len() < self.obtainable
    }

    /// The port is of a claimed block.
    pub(crate) fn has(&self, port: u16) -> bool {
        let block = port.wrapping_sub(*self.range.start()) / PORT_BLOCK as u16;
        self.range.contains(&port) && self.claimed.contains(&block)
    }

    /// Ports that the worker may have in all.
    pub(crate) fn obtainable_ports(&self) -> u32 {
        ((self.obtainable * PORT_BLOCK) as u32).min(self.range.len() as u32)
    }

    /// Opens all claimed blocks to new ports. Returns whether there are more than before.
    pub(crate) fn activate_all(&mut self) -> bool {
        let is_more = self.active < self.claimed.len();
        if is_more {
            self.set_active(self.claimed.len());
        }
        is_more
    }

    fn set_active(&mut self, active: usize) {
        self.active = active;
        self.active_ports = self.active().iter().map(|block| self.len_of(*block)).sum();
    }

    /// Notes the ports in use of a pool, before it allocates one more: near the end it needs further blocks.
    #[inline]
    pub(crate) fn note_used(&mut self, used: u32) {
        if self.active_ports < used + PORTS_FREE_MIN {
            self.run_low(used);
        }
    }

    /// Less than a quarter of the claimed ports is free, and no further block is to be had.
    #[inline]
    pub(crate) fn are_short(&self, used: u32) -> bool {
        let free = self.active_ports.saturating_sub(used);
        free * 100 < self.active_ports * PORTS_SHARED_BELOW_PERCENT && !self.may_grow()
    }

    #[cold]
    fn run_low(&mut self, used: u32) {
        self.activate_all();
        if self.active_ports < used + PORTS_FREE_MIN
            && self.may_grow()
            && self.request == Request::None
        {
            let lacking = goal(used).saturating_sub(self.active_ports);
            let blocks = (lacking as usize).div_ceil(PORT_BLOCK).max(1);
            self.request = Request::Due(blocks.min(self.obtainable - self.claimed.len()) as u16);
        }
    }

    /// The number of blocks to ask for, once.
    pub(crate) fn poll_request(&mut self) -> Option<u16> {
        let Request::Due(blocks) = self.request else { return None };
        self.request = Request::Sent;
        Some(blocks)
    }

    /// A request waits for [`Self::poll_request`].
    pub(crate) fn has_request(&self) -> bool {
        matches!(self.request, Request::Due(_))
    }

    /// Adds claimed blocks, by their first ports. `obtainable`: how many the worker may have in all.
    pub(crate) fn claim(&mut self, first_ports: &[u16], obtainable: usize) {
        for first in first_ports {
            if self.range.contains(first) {
                let block = (first - self.range.start()) / PORT_BLOCK as u16;
                if !self.claimed.contains(&block) {
                    self.claimed.push(block);
                }
            }
        }
        self.set_obtainable(obtainable);
        self.request = Request::None;
        self.activate_all();
    }

    /// Notes how many blocks the worker may have in all. Closed blocks stay closed, and an open request stays open.
    pub(crate) fn set_obtainable(&mut self, obtainable: usize) {
        self.obtainable = obtainable.max(self.claimed.len());
    }

    /// A request that was polled did not get away: it waits again.
    pub(crate) fn put_back_request(&mut self, blocks: u16) {
        if self.request == Request::Sent {
            self.request = Request::Due(blocks);
        }
    }

    /// Closes blocks that are not needed, and gives up those that have been empty since the call before: their first
    /// ports. `used`: ports in use in the fullest pool; `used_of(block, len)`: those of a block in all pools.
    pub(crate) fn collect_empty(
        &mut self,
        used: u32,
        used_of: impl Fn(u16, u32) -> u32,
    ) -> Vec<u16> {
        self.request = match self.request {
            Request::Sent => Request::Overdue,
            Request::Overdue => Request::None,
            request => request,
        };
        let needed = (goal(used) as usize).div_ceil(PORT_BLOCK).max(PORT_BLOCKS_MIN);
        if self.claimed.len() <= needed + PORT_BLOCKS_SPARE {
            self.empty.clear();
            self.activate_all();
            return Vec::new();
        }
        let mut by_use: Vec<(u32, u16)> = self
            .claimed
            .iter()
            .map(|block| (used_of(*block, self.len_of(*block)), *block))
            .collect();
        // Fullest first; of equals those that are active, so that closed ones stay empty.
        by_use.sort_by_key(|(used, _)| u32::MAX - used);
        let closed = by_use.split_off(needed);
        self.claimed.clear();
        self.claimed.extend(by_use.iter().map(|(_, block)| *block));
        self.set_active(self.claimed.len());
        let empty_before = std::mem::take(&mut self.empty);
        let mut returned = Vec::new();
        for (used, block) in closed {
            if used == 0 && empty_before.contains(&block) {
                returned.push(self.range.start() + block * PORT_BLOCK as u16);
                continue;
            }
            self.claimed.push(block);
            if used == 0 {
                self.empty.push(block);
            }
        }
        returned
    }

    fn len_of(&self, block: u16) -> u32 {
        (self.range.len() - usize::from(block) * PORT_BLOCK).min(PORT_BLOCK) as u32
    }
}

/// Ports that a worker has where so many are in use.
fn goal(used: u32) -> u32 {
    used + used / 2 + PORTS_FREE_GOAL
}

#[cfg(test)]
mod tests;
