//! What others make of the model: the datapath its snapshot, the store its document.

use std::net::IpAddr;

use vswitch_api::port_settings::PortSettings;
use vswitch_api::port_settings::guard::Guard;
use vswitch_api::port_settings::vlan::{Domain, VlanMode};

use super::{FIRST_NETWORK, HOST_PORT, Lease, Model, Name, Owner, Port};
use crate::config::Multicast;
use crate::control::store::Attachment;
use crate::datapath::{
    self, Neighbour, NetworkConf, PortConf, PortKind, PortVlans, Snapshot, StaticMac,
};

impl Model {
    /// The attachments that survive a restart.
    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        let persisted = self.ports.values().filter(|port| port.persisted);
        persisted
            .filter_map(|port| {
                let binding = port.binding.as_ref()?;
                Some(Attachment {
                    name: port.lease.name.clone(),
                    network: self.network.name.to_string(),
                    ifname: binding.ifname.clone(),
                    mac: port.lease.mac,
                    ipv4: port.lease.ipv4,
                    ipv6: port.lease.ipv6,
                    netns: binding.netns.clone(),
                    settings: port.settings.clone(),
                    publish: port.publications.clone(),
                })
            })
            .collect()
    }

    /// What the datapath is to do.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let statics = self.statics.iter().filter_map(|(&(mac, vlan), owner)| {
            let port = match owner {
                Owner::Host => HOST_PORT,
                Owner::Port(name) => self.ports.get(name)?.lease.slot,
            };
            Some(StaticMac { mac, vlan, port })
        });
        let network = NetworkConf {
            mtu: self.network.mtu,
            ageing: self.network.ageing,
            fdb_entries_max: self.network.fdb_entries_max,
            statics: statics.collect(),
            router: self.router(),
            mac: self.network.gateway_mac,
            snooping: self.network.multicast == Multicast::Snoop,
            neighbours: self.neighbours(),
        };
        let conf = |kind, mac, settings: &PortSettings| PortConf {
            vlans: vlans(&settings.vlan),
            isolation: settings.isolation,
            ..PortConf::new(FIRST_NETWORK, kind, mac)
        };
        let host = conf(PortKind::Host, self.network.gateway_mac, &self.network.host_settings);
        let host = (HOST_PORT, host);
        let shown = self.ports.values().filter(|port| port.in_snapshot);
        let containers = shown.map(|port| {
            let conf = conf(PortKind::Container, port.lease.mac, &port.settings);
            (port.lease.slot, PortConf { guard: guard(&port.lease, &port.settings.guard), ..conf })
        });
        let shown = self.ports.values().filter(|port| port.in_snapshot);
        let limits = shown.map(|port| (port.lease.slot, port.limits.clone()));
        let limits = std::iter::once((HOST_PORT, self.host_limits.clone())).chain(limits);
        let ports = std::iter::once(host).chain(self.uplink_port()).chain(containers);
        self.snapshots.borrow_mut().next(vec![network], ports, limits)
    }

    /// Whose addresses the switch answers for: where no guard sees to it, a container may have others.
    fn neighbours(&self) -> Vec<Neighbour> {
        let network = &self.network;
        let host = Neighbour {
            mac: network.gateway_mac,
            ipv4: Some(network.subnet.gateway()),
            ipv6: Some(network.subnet6.gateway()),
            port: HOST_PORT,
        };
        let guarded = self.ports.values().filter_map(neighbour);
        std::iter::once(host).chain(guarded).collect()
    }

    /// Addresses of a port that the host need not ask for: the switch would answer, and the host is on the
    /// same VLAN.
    pub(crate) fn host_neighbours(&self, name: &Name) -> [Option<IpAddr>; 2] {
        let host = vlans(&self.network.host_settings.vlan).untagged();
        let port = self.ports.get(name);
        let port = port.filter(|port| vlans(&port.settings.vlan).untagged() == host);
        let known = port.filter(|_| host.is_some()).and_then(neighbour);
        known.map_or([None; 2], |known| [known.ipv4.map(Into::into), known.ipv6.map(Into::into)])
    }

    /// Whom a change of settings concerns: a port, or by the bridge's name all.
    pub(crate) fn leases_of(&self, name: &str) -> Vec<Lease> {
        let is_bridge = name == self.network.name.as_str();
        let leases = self.ports.values().filter(|port| port.in_snapshot).map(|port| &port.lease);
        leases.filter(|lease| is_bridge || lease.name.as_str() == name).cloned().collect()
    }
}

fn vlans(mode: &VlanMode) -> PortVlans {
    match mode {
        VlanMode::Access(domain) => PortVlans::access(domain.id()),
        VlanMode::Trunk(trunk) => PortVlans::trunk(
            trunk.allowed().iter().map(|vid| vid.get()),
            trunk.native().map(Domain::id),
        ),
    }
}

/// Of a port whose guard sees to it that its addresses are where they were given to.
fn neighbour(port: &Port) -> Option<Neighbour> {
    let datapath::Guard { mac, ipv4, ipv6 } = guard(&port.lease, &port.settings.guard)?;
    port.in_snapshot.then_some(Neighbour { mac, ipv4, ipv6, port: port.lease.slot })
}

fn guard(lease: &Lease, guard: &Guard) -> Option<datapath::Guard> {
    (*guard != Guard::Off).then(|| datapath::Guard {
        mac: lease.mac,
        ipv4: Some(lease.ipv4).filter(|&own| guard.allows(own.into())),
        ipv6: Some(lease.ipv6).filter(|&own| guard.allows(own.into())),
    })
}
