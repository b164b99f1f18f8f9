//! External addresses by index, and the SNAT ports of each.

use crate::address::Address;
use crate::limits::EXTERNAL_ADDRS_MAX;
use crate::port_pool::PortPool;
use crate::tuple::Transport;

/// No address of ours.
pub(crate) const NONE: u16 = 0;

/// The addresses.
#[derive(Debug)]
pub(crate) struct ExternalAddrs {
    /// The first stands for none.
    addresses: Vec<Address>,
    entries: Vec<ExternalAddr>,
}

/// What is known of one.
#[derive(Debug, Default)]
struct ExternalAddr {
    /// Connections that name it.
    users: u32,
    /// Connections that name it and began before this epoch are revoked.
    since: u32,
    /// Of each transport, since one was asked for.
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

    /// The number of an address, if it has one.
    pub(crate) fn find(&self, address: Address) -> Option<u16> {
        let found = self.addresses.iter().skip(1).position(|known| *known == address)?;
        u16::try_from(found + 1).ok()
    }

    /// The number of an address, which gets one if it has none; none if there are too many.
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

    /// One more connection names it.
    pub(crate) fn hold(&mut self, addr_idx: u16) {
        self.entries[usize::from(addr_idx)].users += 1;
    }

    /// One less.
    pub(crate) fn release(&mut self, addr_idx: u16) {
        self.entries[usize::from(addr_idx)].users -= 1;
    }

    /// Whether a connection names it.
    pub(crate) fn is_used(&self, addr_idx: u16) -> bool {
        self.entries[usize::from(addr_idx)].users > 0
    }

    /// Revokes the connections that name it and began before an epoch.
    pub(crate) fn revoke(&mut self, addr_idx: u16, epoch: u32) {
        self.entries[usize::from(addr_idx)].since = epoch;
    }

    /// Whether what names it and began in an epoch is revoked.
    pub(crate) fn is_revoked(&self, addr_idx: u16, created_epoch: u32) -> bool {
        created_epoch < self.entries[usize::from(addr_idx)].since
    }

    /// All addresses that have a number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u16, Address)> + '_ {
        (1..).zip(self.addresses.iter().skip(1).copied())
    }

    /// The ports of a transport at an address, if one was ever asked for.
    pub(crate) fn port_pool_mut(
        &mut self,
        addr_idx: u16,
        transport: Transport,
    ) -> Option<&mut PortPool> {
        self.entries[usize::from(addr_idx)].port_pools[transport as usize].as_deref_mut()
    }

    /// Likewise, to look at.
    pub(crate) fn port_pool(&self, addr_idx: u16, transport: Transport) -> Option<&PortPool> {
        self.entries[usize::from(addr_idx)].port_pools[transport as usize].as_deref()
    }

    /// Forgets all ports: none is taken.
    pub(crate) fn clear_port_pools(&mut self) {
        for entry in &mut self.entries {
            entry.port_pools = Default::default();
        }
    }

    /// Where the ports of a transport at an address are kept.
    pub(crate) fn port_pool_slot(
        &mut self,
        addr_idx: u16,
        transport: Transport,
    ) -> &mut Option<Box<PortPool>> {
        &mut self.entries[usize::from(addr_idx)].port_pools[transport as usize]
    }
}
