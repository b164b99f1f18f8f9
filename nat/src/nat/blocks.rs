//! Blocks of SNAT ports: what control claims and returns for this worker ([`crate::port_blocks`]).

use std::ops::RangeInclusive;

use super::Nat;
use crate::port_blocks::PortBlocks;
use crate::tuple::Transport;

/// Transports whose ports the host has, too. Identifiers of echoes are not claimed.
const CLAIMED: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

/// A worker needs further blocks of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// The transport.
    pub transport: Transport,
    /// So many blocks.
    pub blocks: u16,
}

/// The blocks of a slice by transport: none where control claims them.
pub(super) fn of(slice: &RangeInclusive<u16>, is_claiming: bool) -> [PortBlocks; 4] {
    [Transport::Tcp, Transport::Udp, Transport::Echo, Transport::Sctp].map(|transport| {
        if is_claiming && CLAIMED.contains(&transport) {
            PortBlocks::none(slice.clone())
        } else {
            PortBlocks::whole(slice.clone())
        }
    })
}

impl Nat {
    /// Adds blocks that control has claimed, by their first ports, and answers a request with them. `obtainable`: how
    /// many blocks this worker may have in all, those that it has included.
    pub fn claim_blocks(&mut self, transport: Transport, first_ports: &[u16], obtainable: usize) {
        self.blocks[transport as usize].claim(first_ports, obtainable);
    }

    /// Notes how many blocks of a transport this worker may have in all. No answer to a request.
    pub fn set_obtainable_blocks(&mut self, transport: Transport, obtainable: usize) {
        self.blocks[transport as usize].set_obtainable(obtainable);
    }

    /// Gives up blocks without a port in use, by their first ports. Few calls, seconds apart: a block that two of them find
    /// empty goes.
    pub fn collect_empty_blocks(&mut self, transport: Transport) -> Vec<u16> {
        if !self.is_claiming || !CLAIMED.contains(&transport) {
            return Vec::new();
        }
        // Ports at rest would keep their blocks until the pool allocates again.
        let now = self.now;
        self.externals.port_pools_mut(transport).for_each(|pool| pool.release_all_due(now));
        let externals = &self.externals;
        let used = externals.port_pools(transport).map(|pool| pool.used()).max().unwrap_or(0);
        let used_of = |block, len| {
            externals.port_pools(transport).map(|pool| pool.used_of_block(block, len)).sum()
        };
        self.blocks[transport as usize].collect_empty(used, used_of)
    }

    /// The next request for further blocks, once.
    pub fn poll_block_request(&mut self) -> Option<BlockRequest> {
        CLAIMED.into_iter().find_map(|transport| {
            let blocks = self.blocks[transport as usize].poll_request()?;
            Some(BlockRequest { transport, blocks })
        })
    }

    /// Takes back a polled request that could not be sent.
    pub fn put_back_block_request(&mut self, request: BlockRequest) {
        self.blocks[request.transport as usize].put_back_request(request.blocks);
    }

    /// [`Self::poll_block_request`] has one.
    #[inline]
    #[must_use]
    pub fn has_block_request(&self) -> bool {
        self.is_claiming && self.blocks.iter().any(PortBlocks::has_request)
    }

    /// The port is of a claimed block.
    pub(super) fn has_claimed(&self, transport: Transport, port: u16) -> bool {
        self.blocks[transport as usize].has(port)
    }
}
