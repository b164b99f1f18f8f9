//! The desired state and what is being changed in it. Pure: no kernel, no clock, no random numbers of
//! its own.
//!
//! A port goes through *attaching* (its name, addresses and slot are reserved), *active* and
//! *detaching*. Two marks follow the steps of a plan: `in_snapshot`, the datapath knows it; `persisted`, it
//! is part of the document that survives a restart.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::port::PendingPublication;
use vswitch_api::port_settings::PortSettings;
use vswitch_api::publish::Publication;
use wire::MacAddr;

use super::error::ControlError;
use super::ipam::{Address, Pool, PoolError};
use super::limits::STATICS_MAX;
use super::name::Name;
use super::store::NetnsRecord;
use crate::config::{IfName, Multicast, SnatPorts, Subnet4, Subnet6, Uplink};
use crate::datapath::{NetworkIndex, PortKind, PortLimits};

mod allocate;
mod compile;
mod limits;
mod publication_state;
mod publish;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod uplink;

pub(crate) use allocate::local_mac;
pub(crate) use uplink::{UPLINK_PORT, UplinkRuntime};

/// Where random numbers come from.
pub(crate) type Random<'a> = &'a mut dyn FnMut() -> Result<u64, ControlError>;

/// The slot of the host's own port.
pub(crate) const HOST_PORT: PortIndex = PortIndex(0);

/// The first network's slot.
pub(crate) const FIRST_NETWORK: NetworkIndex = NetworkIndex(0);

/// A layer-2 domain with its subnets.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) name: IfName,
    pub(crate) subnet: Subnet4,
    pub(crate) subnet6: Subnet6,
    pub(crate) gateway_mac: MacAddr,
    pub(crate) mtu: u32,
    pub(crate) ageing: Duration,
    pub(crate) fdb_entries_max: usize,
    pub(crate) uplink: Uplink,
    pub(crate) snat_ports: SnatPorts,
    pub(crate) multicast: Multicast,
    /// Of the host's own port.
    pub(crate) host_settings: PortSettings,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct AttachSpec {
    pub(crate) name: Name,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) settings: PortSettings,
    pub(crate) publish: Vec<Publication>,
}

impl AttachSpec {
    /// A name, and nothing else in particular.
    pub(crate) fn named(name: Name) -> Self {
        Self {
            name,
            mac: None,
            ipv4: None,
            ipv6: None,
            settings: PortSettings::default(),
            publish: Vec::new(),
        }
    }
}

/// What was reserved for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) name: Name,
    pub(crate) mac: MacAddr,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
    pub(crate) slot: PortIndex,
}

/// What is known once it is clear where the interface goes.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) ifname: String,
    pub(crate) netns: NetnsRecord,
    pub(crate) offloads: Vec<&'static str>,
    pub(crate) queues: usize,
}

/// Where a port is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortState {
    Attaching,
    Active,
    Detaching,
}

/// A container's port.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) lease: Lease,
    pub(crate) state: PortState,
    pub(crate) binding: Option<Binding>,
    pub(crate) settings: PortSettings,
    pub(crate) publications: Vec<Publication>,
    /// Those that the host does not hand over.
    pending: Vec<PendingPublication>,
    /// The limits, as the datapath counts them.
    limits: PortLimits,
    in_snapshot: bool,
    persisted: bool,
    /// Frames may have carried its addresses.
    was_in_snapshot: bool,
    /// The interface is gone already.
    interface_gone: bool,
}

/// The one who has a MAC address set by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Host,
    Port(Name),
}

/// The desired state.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) network: Network,
    pool4: Pool<Ipv4Addr>,
    pool6: Pool<Ipv6Addr>,
    ports: BTreeMap<Name, Port>,
    slots: BTreeMap<PortIndex, Name>,
    next_slot: usize,
    /// Slots from this one on are for containers.
    first_slot: usize,
    /// Slots below this one can be used.
    slots_end: usize,
    statics: BTreeMap<(MacAddr, u16), Owner>,
    host_limits: PortLimits,
    /// The way out, unless the network is internal.
    uplink: Option<UplinkRuntime>,
    compiled_policy: RefCell<Option<Arc<nat::CompiledPolicy>>>,
}

impl Model {
    /// A network without ports, and the number of slots that the workers have; the host's is one.
    pub(crate) fn new(network: Network, slots: usize) -> Self {
        let first_slot = if network.uplink.is_user_space() { 2 } else { 1 };
        Self {
            pool4: Pool::v4(network.subnet),
            pool6: Pool::v6(network.subnet6),
            host_limits: limits::compile(
                &network.host_settings.limits,
                PortKind::Host,
                &PortLimits::NONE,
            ),
            network,
            compiled_policy: RefCell::default(),
            ports: BTreeMap::new(),
            slots: BTreeMap::new(),
            next_slot: first_slot,
            first_slot,
            slots_end: slots,
            statics: BTreeMap::new(),
            uplink: None,
        }
    }

    /// Where the pools hand out next: to be kept over a restart.
    pub(crate) fn next_addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        (self.pool4.next(), self.pool6.next())
    }

    /// Goes on handing out where the daemon before stopped.
    pub(crate) fn resume_addresses(&mut self, next4: Ipv4Addr, next6: Ipv6Addr) {
        self.pool4.resume_at(next4);
        self.pool6.resume_at(next6);
    }

    /// Reserves all that a port needs, or nothing. `random` gives MAC addresses.
    pub(crate) fn reserve(
        &mut self,
        spec: &AttachSpec,
        now: Duration,
        random: Random<'_>,
    ) -> Result<Lease, ControlError> {
        let name = &spec.name;
        if name.as_str() == self.network.name.as_str() {
            return Err(ControlError::NameOfBridge(name.to_string()));
        }
        match self.ports.get(name).map(|port| port.state) {
            None => {}
            Some(PortState::Detaching) => {
                return Err(ControlError::Busy(name.to_string(), "detached"));
            }
            Some(_) => return Err(ControlError::NameTaken(name.to_string())),
        }
        let slot = self.free_slot()?;
        let publications = self.allocate_publications(name, 0, &spec.publish, &mut *random)?;
        let mac = self.allocate_mac(spec.mac, random)?;
        let ipv4 = allocate_address(&mut self.pool4, spec.ipv4, now)
            .map_err(|error| self.with_owner(error, spec.ipv4))?;
        let ipv6 = match allocate_address(&mut self.pool6, spec.ipv6, now) {
            Ok(address) => address,
            Err(error) => {
                self.pool4.release_unused(ipv4);
                return Err(self.with_owner(error, spec.ipv6));
            }
        };
        let lease = Lease { name: name.clone(), mac, ipv4, ipv6, slot };
        if let Err(error) = settings::check(&spec.settings, &lease) {
            self.pool4.release_unused(ipv4);
            self.pool6.release_unused(ipv6);
            return Err(error);
        }
        let port = Port {
            lease: lease.clone(),
            state: PortState::Attaching,
            binding: None,
            limits: limits::compile(&spec.settings.limits, PortKind::Container, &PortLimits::NONE),
            settings: spec.settings.clone(),
            publications,
            pending: Vec::new(),
            in_snapshot: false,
            persisted: false,
            was_in_snapshot: false,
            interface_gone: false,
        };
        self.ports.insert(name.clone(), port);
        self.slots.insert(slot, name.clone());
        self.next_slot = slot.get() + 1;
        Ok(lease)
    }

    /// Forgets a port, its static entries and its addresses, which then rest if they were in use.
    pub(crate) fn remove(&mut self, name: &Name, now: Duration) {
        let Some(port) = self.ports.remove(name) else { return };
        self.slots.remove(&port.lease.slot);
        self.statics.retain(|_, owner| *owner != Owner::Port(name.clone()));
        if port.was_in_snapshot {
            self.pool4.release(port.lease.ipv4, now);
            self.pool6.release(port.lease.ipv6, now);
        } else {
            self.pool4.release_unused(port.lease.ipv4);
            self.pool6.release_unused(port.lease.ipv6);
        }
    }

    /// Notes what the kernel granted.
    pub(crate) fn set_tap_features(
        &mut self,
        name: &Name,
        offloads: Vec<&'static str>,
        queues: usize,
    ) {
        self.change(name, |port| {
            if let Some(binding) = &mut port.binding {
                binding.offloads = offloads;
                binding.queues = queues;
            }
        });
    }

    /// Shows a port to the datapath, or hides it; takes effect with the next [`Model::snapshot`].
    pub(crate) fn set_in_snapshot(&mut self, name: &Name, in_snapshot: bool) {
        self.change(name, |port| {
            port.in_snapshot = in_snapshot;
            port.was_in_snapshot |= in_snapshot;
        });
    }

    /// Takes a port into the document, or out of it.
    pub(crate) fn set_persisted(&mut self, name: &Name, persisted: bool) {
        self.change(name, |port| port.persisted = persisted);
    }

    /// The attachment is complete. Says whether its interface is still there.
    pub(crate) fn activate(&mut self, name: &Name) -> bool {
        self.change(name, |port| port.state = PortState::Active);
        self.ports.get(name).is_some_and(|port| !port.interface_gone)
    }

    /// Notes that the interface of a port is gone; if the port worked, starts to take it away.
    pub(crate) fn begin_detach_lost(&mut self, slot: PortIndex) -> Option<Lease> {
        let name = self.slots.get(&slot)?.clone();
        self.change(&name, |port| port.interface_gone = true);
        self.begin_detach(&name).ok()
    }

    /// Starts to take a port away; nobody else may touch it then.
    pub(crate) fn begin_detach(&mut self, name: &Name) -> Result<Lease, ControlError> {
        let unknown = || ControlError::UnknownPort(name.to_string());
        let port = self.ports.get_mut(name).ok_or_else(unknown)?;
        match port.state {
            PortState::Attaching => Err(ControlError::Busy(name.to_string(), "attached")),
            PortState::Detaching => Err(ControlError::Busy(name.to_string(), "detached")),
            PortState::Active => {
                port.state = PortState::Detaching;
                Ok(port.lease.clone())
            }
        }
    }

    /// Ports that work, in the order of their names.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Port, &Binding)> {
        self.ports
            .values()
            .filter(|port| port.state == PortState::Active)
            .filter_map(|port| port.binding.as_ref().map(|binding| (port, binding)))
    }

    /// The port in a slot.
    pub(crate) fn name_in_slot(&self, slot: PortIndex) -> Option<&Name> {
        self.slots.get(&slot)
    }

    /// What users call the port in a slot.
    pub(crate) fn label(&self, slot: PortIndex) -> Option<Cow<'_, str>> {
        let bridge = self.network.name.as_str();
        match slot {
            HOST_PORT => Some(bridge.into()),
            // No attachment has a dot in its name.
            UPLINK_PORT if self.network.uplink.is_user_space() => {
                Some(format!("{bridge}.uplink").into())
            }
            _ => self.name_in_slot(slot).map(|name| name.as_str().into()),
        }
    }

    /// The network of that name; the first one if none is given.
    pub(crate) fn network(&self, name: Option<&str>) -> Result<&Network, ControlError> {
        match name {
            Some(name) if name != self.network.name.as_str() => {
                Err(ControlError::UnknownNetwork(name.to_owned()))
            }
            _ => Ok(&self.network),
        }
    }

    /// Sets an entry of the forwarding database by hand; replaces the one that was.
    pub(crate) fn set_static(
        &mut self,
        key: (MacAddr, u16),
        owner: Owner,
    ) -> Result<(), ControlError> {
        if let Owner::Port(name) = &owner
            && self.ports.get(name).is_none_or(|port| port.state != PortState::Active)
        {
            return Err(ControlError::UnknownPort(name.to_string()));
        }
        if !self.statics.contains_key(&key) && self.statics.len() >= STATICS_MAX {
            return Err(ControlError::StaticsMax(STATICS_MAX));
        }
        self.statics.insert(key, owner);
        Ok(())
    }

    /// Takes such an entry away; gives whose it was.
    pub(crate) fn remove_static(&mut self, key: (MacAddr, u16)) -> Option<Owner> {
        self.statics.remove(&key)
    }

    /// All entries set by hand.
    pub(crate) fn statics(&self) -> impl Iterator<Item = (&(MacAddr, u16), &Owner)> {
        self.statics.iter()
    }

    fn change(&mut self, name: &Name, change: impl FnOnce(&mut Port)) {
        if let Some(port) = self.ports.get_mut(name) {
            change(port);
        }
    }
}

fn allocate_address<A: Address>(
    pool: &mut Pool<A>,
    requested: Option<A>,
    now: Duration,
) -> Result<A, PoolError> {
    match requested {
        Some(address) => pool.allocate_exact(address).map(|()| address),
        None => pool.allocate(now),
    }
}
