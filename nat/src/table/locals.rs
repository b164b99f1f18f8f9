//! Addresses of ours that connections appear from or are published at, by a small number, and the
//! ports of each.

use crate::address::Address;
use crate::limits::LOCALS_MAX;
use crate::ports::Ports;
use crate::tuple::Transport;

/// No address of ours.
pub(crate) const NONE: u16 = 0;

/// The addresses.
#[derive(Debug)]
pub(crate) struct Locals {
    /// The first stands for none.
    addresses: Vec<Address>,
    rest: Vec<Local>,
}

/// What is known of one.
#[derive(Debug, Default)]
struct Local {
    /// Connections that name it.
    users: u32,
    /// Connections that name it and began before this epoch are withdrawn.
    since: u32,
    /// Of each transport, since one was asked for.
    ports: [Option<Box<Ports>>; 4],
}

impl Locals {
    pub(crate) fn new() -> Self {
        Self { addresses: vec![Address::default()], rest: vec![Local::default()] }
    }

    #[inline]
    pub(crate) fn address(&self, local: u16) -> Option<Address> {
        (local != NONE).then(|| self.addresses[usize::from(local)])
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
        let unused = self.rest.iter().skip(1).position(|local| local.users == 0);
        let place = unused.map_or(self.rest.len(), |found| found + 1);
        if place == self.rest.len() {
            if place > LOCALS_MAX {
                return None;
            }
            self.addresses.push(address);
            self.rest.push(Local::default());
        } else {
            self.addresses[place] = address;
            self.rest[place] = Local::default();
        }
        u16::try_from(place).ok()
    }

    /// One more connection names it.
    pub(crate) fn hold(&mut self, local: u16) {
        self.rest[usize::from(local)].users += 1;
    }

    /// One less.
    pub(crate) fn release(&mut self, local: u16) {
        self.rest[usize::from(local)].users -= 1;
    }

    /// Whether a connection names it.
    pub(crate) fn is_used(&self, local: u16) -> bool {
        self.rest[usize::from(local)].users > 0
    }

    /// Withdraws the connections that name it and began before an epoch.
    pub(crate) fn withdraw(&mut self, local: u16, epoch: u32) {
        self.rest[usize::from(local)].since = epoch;
    }

    /// Whether what names it and began in an epoch is withdrawn.
    pub(crate) fn is_withdrawn(&self, local: u16, born: u32) -> bool {
        born < self.rest[usize::from(local)].since
    }

    /// All addresses that have a number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (u16, Address)> + '_ {
        (1..).zip(self.addresses.iter().skip(1).copied())
    }

    /// The ports of a transport at an address, if one was ever asked for.
    pub(crate) fn ports(&mut self, local: u16, transport: Transport) -> Option<&mut Ports> {
        self.rest[usize::from(local)].ports[transport as usize].as_deref_mut()
    }

    /// Likewise, to look at.
    pub(crate) fn ports_of(&self, local: u16, transport: Transport) -> Option<&Ports> {
        self.rest[usize::from(local)].ports[transport as usize].as_deref()
    }

    /// Forgets all ports: none is taken.
    pub(crate) fn forget_ports(&mut self) {
        for local in &mut self.rest {
            local.ports = Default::default();
        }
    }

    /// Where the ports of a transport at an address are kept.
    pub(crate) fn ports_slot(
        &mut self,
        local: u16,
        transport: Transport,
    ) -> &mut Option<Box<Ports>> {
        &mut self.rest[usize::from(local)].ports[transport as usize]
    }
}
