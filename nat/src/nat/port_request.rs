//! An SNAT port that a connection wants, and where from.

use crate::address::Address;
use crate::owner::OwnerId;
use crate::table::external_addrs::{ExternalEndpoint, Origin};
use crate::table::hash::{Key, PortPair};
use crate::table::owners::PoolList;
use crate::tuple::Transport;
use crate::zone::InternalEndpoint;

/// The port pool of a transport at an external address, and the owner that allocates from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolKey {
    pub(super) owner: OwnerId,
    pub(super) transport: Transport,
    pub(super) addr_idx: u16,
}

impl PoolKey {
    pub(super) const fn list(self) -> PoolList {
        PoolList::of(self.transport, self.addr_idx)
    }
}

/// A port that a connection wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortRequest {
    pub(super) pool: PoolKey,
    /// Where the answers come from.
    pub(super) server: InternalEndpoint,
    /// The client's port: one of its parity is preferred (RFC 4787 REQ-4).
    pub(super) preferred: u16,
}

impl PortRequest {
    pub(super) const fn shared(&self, port: u16) -> ExternalEndpoint {
        ExternalEndpoint { addr_idx: self.pool.addr_idx, port, origin: Origin::Shared }
    }

    /// The key of answers to a port.
    pub(super) fn answers(&self, external: Address, port: u16) -> Key {
        let InternalEndpoint { zone, address, port: server } = self.server;
        let transport = self.pool.transport;
        // Both ports of an echo are its identifier.
        let server = if transport == Transport::Echo { port } else { server };
        Key { transport, zone, src: address, dst: external, ports: PortPair::new(server, port) }
    }
}
