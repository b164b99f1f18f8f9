//! The desired state: networks, uplinks and endpoints. Pure: no kernel, no clock, no random numbers.
//!
//! | part | file |
//! |---|---|
//! | networks with pools, host port and static entries | `model/network.rs`, `model/network_spec.rs`, `model/address.rs` |
//! | endpoints and their states | `model/endpoint.rs`, `model/allocate.rs`, `model/rename.rs`, `model/describe.rs` |
//! | containers on several networks | `model/container.rs` |
//! | endpoints that are out of order | `model/fault.rs` |
//! | address pools of IPAM clients | `model/pools.rs` |
//! | endpoints whose container has ended | `model/waiting.rs` |
//! | endpoints that a runtime configures | `model/runtime.rs` |
//! | publications of host ports | `model/publication.rs` |
//! | uplinks, shared by the networks that have one | `model/uplink.rs` |
//! | the service port | `model/service.rs` |
//! | overlay networks, the tunnel port, VTEPs | `model/overlay.rs`, `model/overlay_spec.rs`, `model/vteps.rs` |
//! | own endpoints on networks of the registry | `model/registered.rs` |
//! | other nodes and their endpoints | `model/remotes.rs` |
//! | ports whose connections may be cut through | `model/cut_through.rs` |
//! | slots of all ports | `model/slots.rs` |
//! | names and addresses for DNS | `model/records.rs` |
//! | the datapath's snapshot | `model/compile.rs` |
//! | the stored document | `model/document.rs` |

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;
use wire::MacAddr;

use super::error::ControlError;
use super::name::Name;
use crate::datapath::{NetworkIndex, SnapshotBuilder, TunnelConf, UplinkConf, VtepIndex};

mod address;
mod allocate;
mod attach_spec;
mod cached;
mod compile;
mod container;
mod cut_through;
mod deferred;
mod describe;
mod document;
mod endpoint;
mod fault;
mod host_routes;
mod key;
mod lease;
mod limits;
mod network;
mod network_spec;
mod overlay;
mod overlay_spec;
mod pools;
mod publication;
mod reachable;
mod records;
mod registered;
mod remotes;
mod rename;
mod runtime;
mod service;
mod settings;
mod slots;
#[cfg(test)]
pub(crate) mod tests;
mod uplink;
mod vteps;
mod waiting;

pub(crate) use allocate::local_mac;
pub(crate) use attach_spec::{AttachSpec, ConfiguredBy};
use cached::Cached;
pub(crate) use cut_through::netns_cookie;
pub(crate) use deferred::Deferred;
pub(crate) use endpoint::{Binding, Endpoint, EndpointState};
pub(crate) use key::{EndpointKey, NetworkName};
pub(crate) use lease::Lease;
pub(crate) use network::{Network, Owner, StaticKey};
pub(crate) use network_spec::NetworkSpec;
pub(crate) use overlay::overhead;
pub(crate) use overlay_spec::{OverlaySpec, RegisteredSpec};
pub(crate) use pools::{AddressPool, PoolSubnet};
pub(crate) use slots::SlotOwner;
use slots::Slots;
pub(crate) use uplink::Uplink;
pub(crate) use vteps::Vtep;
use vteps::Vteps;
pub(crate) use waiting::ContainerEndpoint;

/// A source of random numbers.
pub(crate) type Random<'a> = &'a mut dyn FnMut() -> Result<u64, ControlError>;

/// The uplinks of each network that has some.
type UplinkConfs = BTreeMap<NetworkIndex, Arc<UplinkConf>>;

/// The desired state.
#[derive(Debug)]
pub(crate) struct Model {
    networks: BTreeMap<NetworkName, Network>,
    /// Their numbers.
    network_names: BTreeMap<NetworkIndex, NetworkName>,
    next_index: u16,
    /// Shared by all networks that are not internal.
    uplink: Option<Uplink>,
    endpoints: BTreeMap<EndpointKey, Endpoint>,
    /// Faults of the switch's parts on the host, by their names (`control/upkeep.rs`).
    host_faults: BTreeMap<String, String>,
    /// Records that have no room now.
    deferred: Vec<Deferred>,
    /// Pools of IPAM clients, by their subnets.
    pools: BTreeMap<IpNet, AddressPool>,
    /// The slot of the service port, and the MAC address of its TAP.
    service: Option<(PortIndex, MacAddr)>,
    /// This switch on the underlay; none without one.
    tunnel: Option<overlay::Tunnel>,
    /// VTEPs of all overlay networks.
    vteps: Vteps,
    /// What the registry tells of other nodes.
    remotes: remotes::Remotes,
    /// Those that no network has any more, and that workers may know.
    unused_vteps: Vec<VtepIndex>,
    slots: Slots,
    zone_sources: Cached<uplink::ZoneSources>,
    policy: Cached<nat::CompiledPolicy>,
    /// The last configurations of the uplinks, whose routes may hold though their policy is an older one.
    uplink_routes: Cached<UplinkConfs>,
    uplink_confs: Cached<UplinkConfs>,
    /// Addresses of the host, gateways included.
    local: Cached<Vec<IpAddr>>,
    tunnel_conf: Cached<TunnelConf>,
    cut_through: cut_through::CutThrough,
    snapshots: SnapshotBuilder,
}

impl Model {
    /// A model without networks, for workers that have so many slots.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            networks: BTreeMap::new(),
            network_names: BTreeMap::new(),
            next_index: 0,
            uplink: None,
            endpoints: BTreeMap::new(),
            host_faults: BTreeMap::new(),
            deferred: Vec::new(),
            pools: BTreeMap::new(),
            service: None,
            tunnel: None,
            vteps: Vteps::default(),
            remotes: remotes::Remotes::default(),
            unused_vteps: Vec::new(),
            slots: Slots::new(slots),
            zone_sources: Cached::default(),
            policy: Cached::default(),
            uplink_routes: Cached::default(),
            uplink_confs: Cached::default(),
            local: Cached::default(),
            tunnel_conf: Cached::default(),
            cut_through: cut_through::CutThrough::default(),
            snapshots: SnapshotBuilder::default(),
        }
    }

    /// The owner of a slot.
    pub(crate) fn slot_owner(&self, slot: PortIndex) -> Option<&SlotOwner> {
        self.slots.owner(slot)
    }

    /// The lease of the endpoint in a slot, if the datapath knows it.
    pub(crate) fn lease_in_slot(&self, slot: PortIndex) -> Option<&Lease> {
        let SlotOwner::Endpoint(key) = self.slots.owner(slot)? else { return None };
        self.endpoints.get(key).filter(|it| it.in_snapshot).map(|it| &it.lease)
    }

    /// The network of the port in a slot; none for uplinks, the service port and the tunnel port, which networks share.
    pub(crate) fn network_in_slot(&self, slot: PortIndex) -> Option<&str> {
        match self.slots.owner(slot)? {
            SlotOwner::Host(network) => Some(network.as_str()),
            SlotOwner::Uplink(_) | SlotOwner::Service | SlotOwner::Tunnel => None,
            SlotOwner::Endpoint(key) => Some(self.endpoints.get(key)?.lease.network.as_str()),
        }
    }

    /// The name that users see for the port in a slot.
    pub(crate) fn label(&self, slot: PortIndex) -> Option<Cow<'_, str>> {
        Some(match self.slots.owner(slot)? {
            SlotOwner::Host(network) => {
                self.networks.get(network)?.spec.device.as_ref()?.as_str().into()
            }
            SlotOwner::Uplink(device) => self.uplink.as_ref()?.label_of(device).into(),
            SlotOwner::Service => service::SERVICE_LABEL.into(),
            SlotOwner::Tunnel => overlay::TUNNEL_LABEL.into(),
            SlotOwner::Endpoint(key) => key.name.as_str().into(),
        })
    }
}
