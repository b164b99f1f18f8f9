//! External addresses by index, and the SNAT ports of each.

use crate::address::Address;
use crate::limits::EXTERNAL_ADDRS_MAX;
use crate::port_pool::PortPool;
use crate::tuple::Transport;

/// An external endpoint and its origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExternalEndpoint {
    pub(crate) addr_idx: u16,
    pub(crate) port: u16,
    pub(crate) origin: Origin,
}

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Published,
    /// Of the mapping with this number.
    Mapped(u32),
    /// Of several connections, to different destinations ([`crate::port_pool`]).
    Shared,
}

impl ExternalEndpoint {
    /// The number of its mapping.
    pub(crate) const fn mapping(self) -> Option<u32> {
        match self.origin {
            Origin::Mapped(number) => Some(number),
            Origin::Published | Origin::Shared => None,
        }
    }
}

/// The index of no address.
pub(crate) const NONE: u16 = 0;

/// All external addresses.
#[derive(Debug)]
pub(crate) struct ExternalAddrs {
    /// Index 0 stands for none.
    addresses: Vec<Address>,
    entries: Vec<ExternalAddr>,
}

/// One external address.
#[derive(Debug, Default)]
struct ExternalAddr {
    /// Connections with this address.
    users: u32,
    /// Connections of an earlier epoch are revoked.
    since: u32,
    /// Pools by transport, made on first use.
    port_pools: [Option<Box<PortPool>>; 4],
}

impl ExternalAddrs {
    pub(crate) fn new() -> Self {
        Self { addresses: vec![Address::default()], entries: vec![ExternalAddr::default()] }
    }

    #[inline]
    pub(crate) fn address(&self, addr_idx: u16) -> Option<Address> {
        (addr_idx != NONE).then(|| self.addresses[usize::from(addr_idx)])
    }

    /// The index of an address.
    pub(crate) fn find(&self, address: Address) -> Option<u16> {
        let found = self.addresses.iter().skip(1).position(|known| *known == address)?;
        u16::try_from(found + 1).ok()
    }

    /// The index of an address, added if missing; none if the table is full.
    pub(crate) fn number(&mut self, address: Address) -> Option<u16> {
        if let Some(known) = self.find(address) {
            return Some(known);
        }
        let unused = self.entries.iter().skip(1).position(|entry| entry.users == 0);
        let idx = unused.map_or(self.entries.len(), |found| found + 1);
        if idx == self.entries.len() {
            if idx > EXTERNAL_ADDRS_MAX {
                return None;
            }
            self.addresses.push(address);
            self.entries.push(ExternalAddr::default());
        } else {
            self.addresses[idx] = address;
            self.entries[idx] = ExternalAddr::default();
        }
        u16::try_from(idx).ok()
    }

    /// Counts one more connection.
    pub(crate) fn hold(&mut self, addr_idx: u16) {
        self.entries[usize::from(addr_idx)].users += 1;
    }

    /// Counts one connection less.
    pub(crate) fn release(&mut self, addr_idx: u16) {
        self.entries[usize::from(addr_idx)].users -= 1;
    }

    /// A connection uses the address.
    pub(crate) fn is_used(&self, addr_idx: u16) -> bool {
        self.entries[usize::from(addr_idx)].users > 0
    }

    /// Revokes the connections of the address from before an epoch.
    pub(crate) fn revoke(&mut self, addr_idx: u16, epoch: u32) {
        self.entries[usize::from(addr_idx)].since = epoch;
    }

    /// Connections of the address that this epoch created are revoked.
    pub(crate) fn is_revoked(&self, addr_idx: u16, created_epoch: u32) -> bool {
        created_epoch < self.entries[usize::from(addr_idx)].since
    }

    /// All addresses with their index.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u16, Address)> + '_ {
        (1..).zip(self.addresses.iter().skip(1).copied())
    }

    /// The port pool of a transport at an address, if one was made.
    pub(crate) fn port_pool_mut(
        &mut self,
        addr_idx: u16,
        transport: Transport,
    ) -> Option<&mut PortPool> {
        self.entries[usize::from(addr_idx)].port_pools[transport as usize].as_deref_mut()
    }

    /// The same, for reading.
    pub(crate) fn port_pool(&self, addr_idx: u16, transport: Transport) -> Option<&PortPool> {
        self.entries[usize::from(addr_idx)].port_pools[transport as usize].as_deref()
    }

    /// The pools of a transport at all addresses.
    pub(crate) fn port_pools(&self, transport: Transport) -> impl Iterator<Item = &PortPool> {
        self.entries.iter().filter_map(move |entry| entry.port_pools[transport as usize].as_deref())
    }

    /// The same, for changes.
    pub(crate) fn port_pools_mut(
        &mut self,
        transport: Transport,
    ) -> impl Iterator<Item = &mut PortPool> {
        let pools = self.entries.iter_mut().map(move |it| &mut it.port_pools[transport as usize]);
        pools.filter_map(|pool| pool.as_deref_mut())
    }

    /// Drops all pools, so that all ports are free.
    pub(crate) fn clear_port_pools(&mut self) {
        for entry in &mut self.entries {
            entry.port_pools = Default::default();
        }
    }

    /// The slot of the port pool of a transport at an address.
    pub(crate) fn port_pool_slot(
        &mut self,
        addr_idx: u16,
        transport: Transport,
    ) -> &mut Option<Box<PortPool>> {
        &mut self.entries[usize::from(addr_idx)].port_pools[transport as usize]
    }
}
