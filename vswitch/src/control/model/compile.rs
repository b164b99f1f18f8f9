//! The datapath's snapshot of the model. Parts that did not change are shared with the snapshot before.

use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use vswitch_api::port_settings::PortSettings;
use vswitch_api::port_settings::guard::Guard;
use vswitch_api::port_settings::vlan::{Domain, VlanMode};
use wire::MacAddr;

use super::{Endpoint, EndpointKey, Lease, Model, Network, Owner};
use crate::config::Multicast;
use crate::datapath::{
    self, Neighbour, NetworkConf, PortAddresses, PortConf, PortKind, PortVlans, Snapshot, StaticMac,
};

impl Model {
    /// The configuration of the datapath.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let uplinks = self.uplink_confs();
        let stale = self.networks().filter(|network| network.compiled.fresh().is_none());
        let compiled = stale
            .map(|network| (network.spec.name.clone(), Arc::new(self.compile_network(network))));
        for (name, conf) in compiled.collect::<Vec<_>>() {
            if let Some(network) = self.networks.get_mut(&name) {
                network.compiled.store(conf);
            }
        }
        // A network's position is its number; those without a network are vacant.
        let last = self.network_names.keys().next_back();
        let mut networks = vec![NetworkConf::VACANT; last.map_or(0, |last| last.0.into()) + 1];
        let mut ports: Vec<_> = {
            let shared = self.service_port().into_iter().chain(self.tunnel_port());
            self.uplink_ports().chain(shared).collect()
        };
        let mut limits = Vec::new();
        let mut reachable = self.reachable_networks();
        for network in self.networks().filter(|network| network.in_snapshot) {
            let reachable = reachable.remove(&network.index).unwrap_or_default();
            let router = self.router(network, uplinks.as_deref(), reachable);
            let service = self.service(network);
            if let Some(compiled) = network.compiled.last() {
                let conf = NetworkConf::clone(compiled);
                networks[usize::from(network.index.0)] = NetworkConf { router, service, ..conf };
            }
            let spec = &network.spec;
            if let Some(slot) = network.host_port {
                let host = conf(network, PortKind::Host, spec.host_mac(), &spec.host_settings);
                // Those that packets of other nodes may have.
                let own = spec.gateways().into_iter().chain(spec.host_addresses().iter().copied());
                let own = own.filter(|_| spec.overlay.is_some());
                ports.push((slot, PortConf { addresses: PortAddresses::new(own), ..host }));
                limits.push((slot, network.host_limits.clone()));
            }
        }
        for endpoint in self.endpoints().filter(|endpoint| endpoint.in_snapshot) {
            let (lease, settings) = (&endpoint.lease, &endpoint.settings);
            let Some(network) = self.networks.get(&lease.network) else { continue };
            let conf = conf(network, PortKind::Container, lease.mac, settings);
            let (guard, addresses) = (guard(lease, &settings.guard), addresses(lease));
            let (is_shared, cut_through) = (guard.is_none(), self.cut_through_of(endpoint));
            ports.push((lease.slot, PortConf { guard, is_shared, addresses, cut_through, ..conf }));
            limits.push((lease.slot, endpoint.limits.clone()));
        }
        let tunnel = self.tunnel_conf();
        let allowed = self.cut_through.allowed.clone();
        let snapshot = self.snapshots.next(networks, ports, limits);
        snapshot.with_tunnel(tunnel).with_cut_through(allowed)
    }

    /// A network without router and service, which change with other ports.
    fn compile_network(&self, network: &Network) -> NetworkConf {
        let spec = &network.spec;
        let statics = network.statics().filter_map(|(&(mac, vlan), owner)| {
            let port = match owner {
                Owner::Host => network.host_port?,
                Owner::Endpoint(name) => {
                    let key = EndpointKey { name: name.clone(), network: spec.name.clone() };
                    self.endpoints.get(&key).filter(|it| it.in_snapshot)?.lease.slot
                }
            };
            Some(StaticMac { mac, vlan, port })
        });
        let host = network.host_port.map(|port| Neighbour {
            mac: spec.gateway_mac,
            ipv4: Some(spec.gateway),
            ipv6: Some(spec.gateway6),
            port,
        });
        // The interface has another MAC address than the gateway, so that it cannot be learnt where the gateway is.
        let gateway = network.host_port.filter(|_| spec.overlay.is_some()).map(|port| StaticMac {
            mac: spec.gateway_mac,
            vlan: vlans(&spec.host_settings.vlan).untagged().unwrap_or(0),
            port,
        });
        let of_host = spec
            .host_addresses()
            .iter()
            .filter_map(|address| Some(neighbour(*address, spec.host_mac(), network.host_port?)));
        let guarded = self.shown(&spec.name).flat_map(neighbours);
        NetworkConf {
            mtu: spec.mtu,
            ageing: spec.ageing,
            fdb_entries_max: spec.fdb_entries_max,
            statics: gateway.into_iter().chain(statics).collect(),
            router: None,
            service: None,
            overlay: self.network_overlay(network),
            mac: spec.gateway_mac,
            snooping: spec.multicast == Multicast::Snoop,
            host_config: spec.host_config,
            neighbours: host.into_iter().chain(of_host).chain(guarded).collect(),
        }
    }

    /// Addresses of an endpoint that the host need not ask for: the switch answers for them, on the host's VLAN.
    pub(crate) fn host_neighbours(&self, key: &EndpointKey) -> Vec<IpAddr> {
        let network = self.networks.get(&key.network);
        let network = network.filter(|it| it.host_port.is_some());
        let host = network.and_then(|it| vlans(&it.spec.host_settings.vlan).untagged());
        let endpoint = self.endpoints.get(key).filter(|it| it.in_snapshot && host.is_some());
        let endpoint = endpoint.filter(|it| vlans(&it.settings.vlan).untagged() == host);
        endpoint.into_iter().flat_map(guarded_addresses).collect()
    }
}

fn conf(network: &Network, kind: PortKind, mac: MacAddr, settings: &PortSettings) -> PortConf {
    PortConf {
        vlans: vlans(&settings.vlan),
        isolation: settings.isolation,
        ..PortConf::new(network.index, kind, mac)
    }
}

pub(super) fn vlans(mode: &VlanMode) -> PortVlans {
    match mode {
        VlanMode::Access(domain) => PortVlans::access(domain.id()),
        VlanMode::Trunk(trunk) => PortVlans::trunk(
            trunk.allowed().iter().map(|vid| vid.get()),
            trunk.native().map(Domain::id),
        ),
    }
}

/// Addresses that only this endpoint can have. Without a guard a container may use others, under another MAC
/// address.
fn guarded_addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> {
    let guard = &endpoint.settings.guard;
    let own = endpoint.lease.all_addresses();
    own.filter(move |own| *guard != Guard::Off && guard.allows(*own))
}

/// A neighbour entry for each of them.
fn neighbours(endpoint: &Endpoint) -> impl Iterator<Item = Neighbour> {
    let (mac, port) = (endpoint.lease.mac, endpoint.lease.slot);
    guarded_addresses(endpoint).map(move |address| neighbour(address, mac, port))
}

fn neighbour(address: IpAddr, mac: MacAddr, port: PortIndex) -> Neighbour {
    match address {
        IpAddr::V4(own) => Neighbour { mac, ipv4: Some(own), ipv6: None, port },
        IpAddr::V6(own) => Neighbour { mac, ipv4: None, ipv6: Some(own), port },
    }
}

/// The addresses from which an endpoint may ask the service.
fn addresses(lease: &Lease) -> PortAddresses {
    PortAddresses::new(lease.all_addresses())
}

fn guard(lease: &Lease, guard: &Guard) -> Option<datapath::Guard> {
    (*guard != Guard::Off).then(|| datapath::Guard {
        mac: lease.mac,
        ipv4: lease.ipv4.filter(|&own| guard.allows(own.into())),
        ipv6: lease.ipv6.filter(|&own| guard.allows(own.into())),
        further: PortAddresses::new(lease.further.iter().copied().filter(|own| guard.allows(*own))),
    })
}
