//! Mappings: the external port of an internal endpoint.
//!
//! # Theory of operation
//!
//! A mapping binds a transport, an internal endpoint and an external address; the peer plays no part
//! (endpoint-independent mapping: RFC 4787 REQ-1, RFC 5382 REQ-1). It lives, with its port, as long as
//! a connection uses it. An index finds it by internal endpoint, [`crate::port_pool`] by port.
//!
//! An owner's limit is a multiple of the free ports. At the limit, the caller evicts one of the owner's connections.

use crate::address::Address;
use crate::limits::MAPPINGS_MAX;
use crate::owner::OwnerId;
use crate::table::hash::{Key, PortPair, Secrets};
use crate::table::index::Index;
use crate::tuple::Transport;
use crate::zone::InternalEndpoint;

/// A mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mapping {
    pub(crate) internal: InternalEndpoint,
    /// The external port.
    pub(crate) port: u16,
    /// The external address.
    pub(crate) addr_idx: u16,
    pub(crate) transport: Transport,
    /// A peer may remember a closed connection of this mapping.
    pub(crate) is_remembered: bool,
    pub(crate) owner: OwnerId,
    /// The epoch of its creation.
    pub(crate) created_epoch: u32,
    /// Connections that use it; in a free slot, the number of the next free slot.
    pub(crate) users: u32,
}

impl Mapping {
    /// The key of a pinhole: internal endpoint and remote address; see [`crate::table::pinholes`].
    pub(crate) fn pinhole_key(&self, secrets: &Secrets, remote: Address) -> u64 {
        let InternalEndpoint { zone, address: dst, port } = self.internal;
        let ports = PortPair::new(port, self.port);
        secrets.hash(&Key { transport: self.transport, zone, src: remote, dst, ports })
    }
}

/// The mappings of a table, by number.
#[derive(Debug)]
pub(crate) struct Mappings {
    slab: Vec<Mapping>,
    capacity: usize,
    free: Option<u32>,
    index: Index,
    len: usize,
}

/// End of the free list.
const END: u32 = u32::MAX;

impl Mappings {
    pub(crate) fn new(flows: usize) -> Self {
        // Both peers of a hairpin have a mapping.
        let capacity = MAPPINGS_MAX.min(flows * 2);
        let slab = Vec::with_capacity(capacity);
        Self { slab, capacity, free: None, index: Index::new(capacity), len: 0 }
    }

    /// The slots of its index, to be prefaulted.
    pub(crate) fn slots(&mut self) -> &mut [u64] {
        self.index.slots()
    }

    /// Memory in bytes when full.
    pub(crate) fn bytes(&self) -> usize {
        self.slab.capacity() * size_of::<Mapping>() + self.index.bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn at(&self, number: u32) -> &Mapping {
        &self.slab[number as usize]
    }

    pub(crate) fn at_mut(&mut self, number: u32) -> &mut Mapping {
        &mut self.slab[number as usize]
    }

    /// The mapping of an internal endpoint for which `is_live` holds.
    pub(crate) fn find(
        &self,
        secrets: &Secrets,
        transport: Transport,
        internal: InternalEndpoint,
        addr_idx: u16,
        is_live: impl Fn(&Mapping) -> bool,
    ) -> Option<u32> {
        self.index.find(secrets.hash_endpoint(transport, internal, addr_idx), |number| {
            let known = self.at(number);
            known.internal == internal
                && known.addr_idx == addr_idx
                && known.transport == transport
                && is_live(known)
        })
    }

    /// Inserts a mapping; the caller checks for a free slot.
    pub(crate) fn insert(&mut self, secrets: &Secrets, mapping: Mapping) -> u32 {
        self.len += 1;
        let number = if let Some(number) = self.free {
            let next = self.at(number).users;
            self.free = (next != END).then_some(next);
            *self.at_mut(number) = mapping;
            number
        } else {
            self.slab.push(mapping);
            self.slab.len() as u32 - 1
        };
        self.index.insert(hash(secrets, &mapping), number);
        number
    }

    /// Removes a mapping.
    pub(crate) fn remove(&mut self, secrets: &Secrets, number: u32) -> Mapping {
        let mapping = *self.at(number);
        self.index.remove(hash(secrets, &mapping), number);
        self.at_mut(number).users = self.free.replace(number).unwrap_or(END);
        self.len -= 1;
        mapping
    }
}

fn hash(secrets: &Secrets, mapping: &Mapping) -> u64 {
    secrets.hash_endpoint(mapping.transport, mapping.internal, mapping.addr_idx)
}
