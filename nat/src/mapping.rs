//! Mappings: by which port of ours the world sees an internal endpoint.
//!
//! # Theory of operation
//!
//! A mapping is of a transport, an internal endpoint and an address of ours; the remote peer plays no part
//! (endpoint-independent mapping: RFC 4787 REQ-1, RFC 5382 REQ-1). It begins with the first
//! connection that needs it and lives as long as one does, and so does its port. It is found by
//! its internal endpoint through an index, by its port through [`crate::port_pool`].
//!
//! An owner may have as many ports as are left for others. An owner without a share left gives up what
//! it would miss least (the caller sees to that).

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
    /// The port of ours.
    pub(crate) port: u16,
    /// The address of ours.
    pub(crate) addr_idx: u16,
    pub(crate) transport: Transport,
    /// A peer may remember a connection that ended by it.
    pub(crate) is_remembered: bool,
    pub(crate) owner: OwnerId,
    /// The epoch in which it began.
    pub(crate) created_epoch: u32,
    /// Connections that live by it; of one that is not in use, the number of the next.
    pub(crate) users: u32,
}

impl Mapping {
    /// The internal endpoint's having spoken to a remote address; see [`crate::table::pinholes`].
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

/// No next one.
const END: u32 = u32::MAX;

impl Mappings {
    pub(crate) fn new(flows: usize) -> Self {
        // Both peers of a hairpin have one.
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

    pub(crate) fn is_full(&self) -> bool {
        self.len == self.capacity
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

    /// Adds one; the caller has seen to it that there is room.
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

    /// Takes one out.
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
