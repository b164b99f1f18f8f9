//! Endpoints: the attachments of containers to networks.
//!
//! ```text
//! reserve() -> Reserved -- bind_*() -> Bound -- activate() -> Active -- begin_detach() -> Detaching
//!                 |                      |                                                    |
//!                 +------ remove() ------+--------------------- remove() ---------------------+-> gone
//!                 |                                                                           |
//!                 +---------- resume() -------- Waiting <------- wait_for_container() --------+
//! ```
//!
//! *Reserved*: name, addresses, MAC address and slot are set aside. *Bound*: it has an interface, in its
//! namespace or, where the runtime configures the namespace, under the TAP's own name. *Active*: frames
//! pass, and users see it. *Detaching*: one plan removes it, and refuses all others. *Waiting*: the container
//! of an engine has ended; all that was set aside stays so until it starts again (`model/waiting.rs`). One whose
//! attach at the start of the switch failed waits, too, with its fault (`model/fault.rs`).
//!
//! Two marks follow the steps of a plan: `in_snapshot`, the datapath knows it; `persisted`, the document
//! has it. There are no timeouts: a plan that fails undoes its steps, down to [`Model::remove`]. The
//! plans of `control::port` alone call these methods.

use std::collections::BTreeMap;
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::port::{Configure, PendingPublication};
use vswitch_api::port_settings::PortSettings;
use vswitch_api::publish::Publication;

use super::slots::SlotOwner;
use super::{AttachSpec, EndpointKey, Lease, Model, NetworkName, Owner, Random, limits};
use crate::control::error::ControlError;
use crate::control::name::Name;
use crate::control::runtime_state::RuntimeState;
use crate::control::store::{ContainerRecord, NetnsRecord};
use crate::datapath::{PortKind, PortLimits};

/// The interface of a bound endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) ifname: String,
    /// The namespace; none where the runtime configures it, and while the endpoint waits.
    pub(crate) netns: Option<NetnsRecord>,
    pub(crate) offloads: Vec<&'static str>,
    pub(crate) queues: usize,
}

/// The state of an endpoint; the module's comment has the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointState {
    Reserved,
    Bound,
    Active,
    Detaching,
    Waiting,
}

/// An endpoint of the model.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) lease: Lease,
    pub(crate) state: EndpointState,
    pub(crate) binding: Option<Binding>,
    pub(crate) settings: PortSettings,
    pub(crate) publications: Vec<Publication>,
    /// Withdrawn publications whose ports the host still has open.
    pub(super) closing: Vec<Publication>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) aliases: Vec<Name>,
    pub(crate) configure: Configure,
    /// Where a runtime configures its namespace.
    pub(crate) runtime: Option<RuntimeState>,
    /// Of a container's networks, the one with the highest number gives the default route.
    pub(crate) gw_priority: i32,
    /// The container of an engine, whose ends it outlives.
    pub(crate) container: Option<ContainerRecord>,
    /// Publications that the host refuses for now.
    pub(super) pending: Vec<PendingPublication>,
    /// The limits, as the datapath counts them.
    pub(super) limits: PortLimits,
    pub(super) in_snapshot: bool,
    pub(super) persisted: bool,
    /// Frames may have carried its addresses.
    was_in_snapshot: bool,
    pub(super) interface_gone: bool,
    /// Why it is out of order, where it is.
    pub(super) fault: Option<String>,
}

impl Model {
    /// Reserves all that an endpoint needs, or nothing. `random` gives MAC addresses.
    pub(crate) fn reserve(
        &mut self,
        spec: &AttachSpec,
        now: Duration,
        random: Random<'_>,
    ) -> Result<Lease, ControlError> {
        let key = spec.key();
        let AttachSpec { name, network, .. } = spec;
        // It may be in removal since the request named it.
        self.network(Some(network.as_str()))?;
        if self.networks().any(|it| it.spec.is_label(name.as_str())) {
            return Err(ControlError::NameOfBridge(name.to_string()));
        }
        match self.endpoints.get(&key).map(|endpoint| endpoint.state) {
            None => {}
            Some(EndpointState::Detaching) => {
                return Err(ControlError::Busy(name.to_string(), "detached"));
            }
            Some(_) => return Err(ControlError::NameTaken(name.to_string())),
        }
        self.check_one_container(spec)?;
        spec.check_sizes()?;
        spec.check_family()?;
        let slot = self.slots.find_free()?;
        let publications = self.allocate_publications(&key, 0, &spec.publish, &mut *random)?;
        let mac = self.allocate_mac(network, spec.mac, random)?;
        let (ipv4, ipv6) = self.allocate_addresses(spec, now)?;
        let (name, network) = (name.clone(), network.clone());
        let further = spec.further_addresses.clone();
        let lease = Lease { name, network, mac, ipv4, ipv6, further, slot };
        if let Err(error) = lease.check_guard(&spec.settings) {
            self.release_addresses(&lease, None);
            return Err(error);
        }
        let endpoint = Endpoint {
            lease: lease.clone(),
            state: EndpointState::Reserved,
            binding: None,
            limits: limits::compile(&spec.settings.limits, PortKind::Container, &PortLimits::NONE),
            settings: spec.settings.clone(),
            publications,
            closing: Vec::new(),
            labels: spec.labels.clone(),
            aliases: spec.aliases.clone(),
            configure: spec.configure,
            runtime: spec.runtime.clone(),
            gw_priority: spec.gw_priority,
            container: spec.container.clone(),
            pending: Vec::new(),
            in_snapshot: false,
            persisted: false,
            was_in_snapshot: false,
            interface_gone: false,
            fault: None,
        };
        self.endpoints.insert(key.clone(), endpoint);
        self.slots.insert(slot, SlotOwner::Endpoint(key));
        Ok(lease)
    }

    /// Removes an endpoint with its static entries. Its addresses are quarantined if frames carried them.
    pub(crate) fn remove(&mut self, key: &EndpointKey, now: Duration) {
        let Some(endpoint) = self.endpoints.remove(key) else { return };
        self.slots.release(endpoint.lease.slot);
        if let Some(network) = self.networks.get_mut(&key.network) {
            network.statics.retain(|_, owner| *owner != Owner::Endpoint(key.name.clone()));
        }
        self.release_addresses(&endpoint.lease, endpoint.was_in_snapshot.then_some(now));
        self.invalidate_network(&key.network);
        if !endpoint.publications.is_empty() {
            self.invalidate_publications();
        }
    }

    fn release_addresses(&mut self, lease: &Lease, used: Option<Duration>) {
        if let Some(network) = self.networks.get_mut(&lease.network) {
            lease.all_addresses().for_each(|address| network.release(address, used));
        }
    }

    /// Notes the offloads and queues that the kernel granted to the TAP.
    pub(crate) fn set_tap_features(
        &mut self,
        key: &EndpointKey,
        offloads: Vec<&'static str>,
        queues: usize,
    ) {
        self.change(key, |endpoint| {
            if let Some(binding) = &mut endpoint.binding {
                binding.offloads = offloads;
                binding.queues = queues;
            }
        });
    }

    /// Shows an endpoint to the datapath, or hides it, in the next [`Model::snapshot`].
    pub(crate) fn set_in_snapshot(&mut self, key: &EndpointKey, in_snapshot: bool) {
        let mut publishes = false;
        self.change(key, |endpoint| {
            endpoint.in_snapshot = in_snapshot;
            endpoint.was_in_snapshot |= in_snapshot;
            publishes = !endpoint.publications.is_empty();
        });
        self.invalidate_network(&key.network);
        if publishes {
            self.invalidate_publications();
        }
    }

    /// Takes an endpoint into the document, or out of it.
    pub(crate) fn set_persisted(&mut self, key: &EndpointKey, persisted: bool) {
        self.change(key, |endpoint| endpoint.persisted = persisted);
    }

    /// Ends an attach. Says whether its interface and its network are still there.
    pub(crate) fn activate(&mut self, key: &EndpointKey) -> bool {
        self.change(key, |endpoint| {
            endpoint.state = EndpointState::Active;
            endpoint.fault = None;
        });
        self.network(Some(key.network.as_str())).is_ok()
            && self.endpoints.get(key).is_some_and(|endpoint| !endpoint.interface_gone)
    }

    /// Notes that the interface in a slot is gone; begins the detach of an active endpoint.
    pub(crate) fn begin_detach_lost(&mut self, slot: PortIndex) -> Option<Lease> {
        let Some(SlotOwner::Endpoint(key)) = self.slots.owner(slot).cloned() else { return None };
        // Each worker reports the interface; the first one let the endpoint wait.
        if self.endpoints.get(&key)?.state == EndpointState::Waiting {
            return None;
        }
        self.change(&key, |endpoint| {
            endpoint.interface_gone = true;
            endpoint.fault = None;
        });
        self.begin_detach(&key).ok()
    }

    /// Refuses an endpoint that a request attaches or detaches now.
    pub(crate) fn check_settled(&self, key: &EndpointKey) -> Result<(), ControlError> {
        let busy = |what| Err(ControlError::Busy(key.to_string(), what));
        match self.endpoints.get(key).map(|endpoint| endpoint.state) {
            Some(EndpointState::Reserved | EndpointState::Bound) => busy("attached"),
            Some(EndpointState::Detaching) => busy("detached"),
            Some(EndpointState::Active | EndpointState::Waiting) | None => Ok(()),
        }
    }

    /// Begins a detach, which no other change of the endpoint may join.
    pub(crate) fn begin_detach(&mut self, key: &EndpointKey) -> Result<Lease, ControlError> {
        let lease = self.check_detach(key)?.lease.clone();
        self.change(key, |endpoint| endpoint.state = EndpointState::Detaching);
        Ok(lease)
    }

    /// An endpoint that can be detached now.
    fn check_detach(&self, key: &EndpointKey) -> Result<&Endpoint, ControlError> {
        let unknown = || ControlError::UnknownPort(key.to_string());
        let endpoint = self.endpoints.get(key).ok_or_else(unknown)?;
        match endpoint.state {
            EndpointState::Reserved | EndpointState::Bound => {
                Err(ControlError::Busy(key.to_string(), "attached"))
            }
            EndpointState::Detaching => Err(ControlError::Busy(key.to_string(), "detached")),
            EndpointState::Active | EndpointState::Waiting => Ok(endpoint),
        }
    }

    /// Takes back a detach that has begun, and left the port as it was. Says whether it has no port, or that its
    /// interface is still there.
    pub(crate) fn cancel_detach(&mut self, key: &EndpointKey) -> bool {
        self.change(key, |endpoint| {
            endpoint.persisted = true;
            endpoint.state = match endpoint.in_snapshot {
                true => EndpointState::Active,
                false => EndpointState::Waiting,
            };
            if endpoint.state == EndpointState::Waiting {
                endpoint.pending.clear();
            }
        });
        self.endpoints.get(key).is_none_or(|it| !it.in_snapshot || !it.interface_gone)
    }

    /// Begins the detach of all of these endpoints, or of none. With `may_be_gone` some may be there no more.
    pub(crate) fn begin_detach_all(
        &mut self,
        keys: &[EndpointKey],
        may_be_gone: bool,
    ) -> Result<Vec<Lease>, ControlError> {
        let is_there = |key: &&EndpointKey| !may_be_gone || self.endpoints.contains_key(*key);
        let keys: Vec<_> = keys.iter().filter(is_there).collect();
        keys.iter().try_for_each(|key| self.check_detach(key).map(drop))?;
        keys.into_iter().map(|key| self.begin_detach(key)).collect()
    }

    /// Endpoints of a network that no other change keeps from a detach.
    pub(crate) fn detachable_on(&self, network: &NetworkName) -> Vec<EndpointKey> {
        let is_free = |it: &&Endpoint| {
            matches!(it.state, EndpointState::Active | EndpointState::Waiting)
                && it.lease.network == *network
        };
        self.endpoints().filter(is_free).map(|endpoint| endpoint.lease.key()).collect()
    }

    /// An endpoint with a label that a request attaches or detaches, and which of both.
    pub(crate) fn changing_with_label(
        &self,
        key: &str,
        value: &str,
    ) -> Option<(&Name, &'static str)> {
        self.endpoints.values().find_map(|endpoint| {
            let change = match endpoint.state {
                EndpointState::Reserved | EndpointState::Bound => "attached",
                EndpointState::Detaching => "detached",
                EndpointState::Active | EndpointState::Waiting => return None,
            };
            let is_it = endpoint.labels.get(key).is_some_and(|it| it == value);
            is_it.then_some((&endpoint.lease.name, change))
        })
    }

    /// The endpoint that a user calls so: `NAME`, or `NAME@NETWORK` where it is on several.
    pub(crate) fn find(&self, text: &str) -> Result<EndpointKey, ControlError> {
        let found = self.find_all(text)?;
        match &found[..] {
            [key] => Ok(key.clone()),
            keys => Err(ControlError::AmbiguousName {
                name: text.to_owned(),
                full_names: keys.iter().map(|key| format!("{text}@{}", key.network)).collect(),
            }),
        }
    }

    /// All endpoints that a user calls so; at least one.
    pub(crate) fn find_all(&self, text: &str) -> Result<Vec<EndpointKey>, ControlError> {
        let (name, network) = match text.split_once('@') {
            Some((name, network)) => (name, Some(network)),
            None => (text, None),
        };
        let network =
            network.map(|it| self.network(Some(it)).map_or(it, |found| found.spec.name.as_str()));
        let name: Name = name.parse()?;
        let is_on = |key: &EndpointKey| network.is_none_or(|it| key.network.as_str() == it);
        let keys = self.endpoints.keys().filter(|key| key.name == name && is_on(key));
        let found: Vec<_> = keys.cloned().collect();
        if found.is_empty() { Err(ControlError::UnknownPort(text.to_owned())) } else { Ok(found) }
    }

    /// The endpoint that gets publications of this name: on several networks, the first one in the order of
    /// its gateways whose network reaches the world.
    pub(crate) fn find_publisher(&self, text: &str) -> Result<EndpointKey, ControlError> {
        let found = self.find_all(text)?;
        let ordered = found.first().map(|key| self.endpoints_of(&key.name)).unwrap_or_default();
        let mut named = ordered
            .into_iter()
            .filter(|(endpoint, _)| found.contains(&endpoint.lease.key()))
            .map(|(endpoint, network)| (endpoint.lease.key(), network.spec.is_internal()));
        let first = named.clone().next();
        let chosen = named.find(|(_, is_internal)| !is_internal).or(first).map(|(key, _)| key);
        chosen
            .or_else(|| found.into_iter().next())
            .ok_or_else(|| ControlError::UnknownPort(text.to_owned()))
    }

    /// Active endpoints, in the order of their names.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Endpoint, &Binding)> {
        self.endpoints()
            .filter(|endpoint| endpoint.state == EndpointState::Active)
            .filter_map(|endpoint| endpoint.binding.as_ref().map(|binding| (endpoint, binding)))
    }

    /// An endpoint in any state.
    pub(crate) fn endpoint(&self, key: &EndpointKey) -> Option<&Endpoint> {
        self.endpoints.get(key)
    }

    /// An active endpoint.
    pub(crate) fn active_endpoint(&self, key: &EndpointKey) -> Result<&Endpoint, ControlError> {
        match self.endpoints.get(key) {
            Some(endpoint) if endpoint.state == EndpointState::Active => Ok(endpoint),
            Some(endpoint) if endpoint.waits() => Err(endpoint.waiting_error()),
            _ => Err(ControlError::UnknownPort(key.to_string())),
        }
    }

    /// An endpoint that users see: active, or waiting for its container.
    pub(crate) fn shown_endpoint(&self, key: &EndpointKey) -> Result<&Endpoint, ControlError> {
        match self.endpoints.get(key) {
            Some(endpoint) if endpoint.waits() => Ok(endpoint),
            _ => self.active_endpoint(key),
        }
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// Endpoints of a network that the datapath knows.
    pub(super) fn shown(&self, network: &NetworkName) -> impl Iterator<Item = &Endpoint> {
        let shown = self.endpoints().filter(|endpoint| endpoint.in_snapshot);
        shown.filter(move |endpoint| endpoint.lease.network == *network)
    }

    pub(super) fn change(&mut self, key: &EndpointKey, change: impl FnOnce(&mut Endpoint)) {
        if let Some(endpoint) = self.endpoints.get_mut(key) {
            change(endpoint);
        }
    }
}
