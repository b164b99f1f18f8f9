//! Choosing what nobody else has: slots, MAC addresses, interface names.

use std::net::IpAddr;

use fastpath::PortIndex;
use wire::MacAddr;

use super::{Binding, Lease, Model, Random};
use crate::control::error::ControlError;
use crate::control::ipam::{Address, PoolError};
use crate::control::name::Name;
use crate::control::store::NetnsRecord;
use crate::host::HostError;

/// How interfaces inside are called unless asked for otherwise; a number follows.
const IFNAME_PREFIX: &str = "eth";

impl Model {
    /// Chooses the interface's name inside, given those that are there, and notes where the port goes.
    pub(crate) fn bind_interface(
        &mut self,
        name: &Name,
        netns: &NetnsRecord,
        requested: Option<&str>,
        present: &[String],
    ) -> Result<String, ControlError> {
        let others = self.ports.values().filter(|port| port.lease.name != *name);
        let placed: Vec<&str> = others
            .filter_map(|port| port.binding.as_ref())
            .filter(|binding| binding.netns.id == netns.id)
            .map(|binding| binding.ifname.as_str())
            .collect();
        let is_taken =
            |ifname: &str| placed.contains(&ifname) || present.iter().any(|other| other == ifname);
        let ifname = match requested {
            Some(ifname) if is_taken(ifname) => {
                return Err(HostError::IfnameTaken(ifname.to_owned()).into());
            }
            Some(ifname) => ifname.to_owned(),
            None => first_free(is_taken),
        };
        let binding = Binding {
            ifname: ifname.clone(),
            netns: netns.clone(),
            offloads: Vec::new(),
            queues: 0,
        };
        self.change(name, |port| port.binding = Some(binding));
        Ok(ifname)
    }

    /// The next free slot after the one that was given last: a late event about a port then does not
    /// meet its successor.
    pub(super) fn free_slot(&self) -> Result<PortIndex, ControlError> {
        let slots = (self.next_slot..self.slots_end)
            .chain(self.first_slot..self.next_slot.min(self.slots_end));
        slots
            .filter_map(PortIndex::new)
            .find(|slot| !self.slots.contains_key(slot))
            .ok_or(ControlError::PortsMax(self.slots_end.saturating_sub(self.first_slot)))
    }

    pub(super) fn allocate_mac(
        &self,
        requested: Option<MacAddr>,
        random: Random<'_>,
    ) -> Result<MacAddr, ControlError> {
        if let Some(mac) = requested {
            return match self.owner_of_mac(mac) {
                Some(owner) => Err(ControlError::MacInUse { mac, owner: owner.to_owned() }),
                None => Ok(mac),
            };
        }
        loop {
            let mac = local_mac(random()?);
            if self.owner_of_mac(mac).is_none() {
                return Ok(mac);
            }
        }
    }

    fn owner_of_mac(&self, mac: MacAddr) -> Option<&str> {
        if mac == self.network.gateway_mac {
            return Some(self.network.name.as_str());
        }
        self.ports.values().find(|port| port.lease.mac == mac).map(|port| port.lease.name.as_str())
    }

    /// Says who has the address that is in use.
    pub(super) fn with_owner<A: Address + Into<IpAddr>>(
        &self,
        error: PoolError,
        requested: Option<A>,
    ) -> ControlError {
        let (PoolError::InUse(_), Some(address)) = (&error, requested) else { return error.into() };
        let address = address.into();
        let has = |lease: &Lease| lease.ipv4 == address || lease.ipv6 == address;
        match self.ports.values().find(|port| has(&port.lease)) {
            Some(port) => {
                ControlError::AddressInUse { address, owner: port.lease.name.to_string() }
            }
            None => error.into(),
        }
    }
}

/// The first of `eth0`, `eth1`, ... that is not taken.
fn first_free(is_taken: impl Fn(&str) -> bool) -> String {
    let names = (0_usize..).map(|number| format!("{IFNAME_PREFIX}{number}"));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

/// A unicast, locally administered MAC address.
pub(crate) fn local_mac(random: u64) -> MacAddr {
    let mut octets = MacAddr::from_u64(random).0;
    octets[0] = (octets[0] & 0xfc) | 0x02;
    MacAddr(octets)
}
