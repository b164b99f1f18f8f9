//! What others make of the model: the datapath its snapshot, the store its document.

use vswitch_api::policy::PortPolicy;
use vswitch_api::policy::guard::Guard;
use vswitch_api::policy::vlan::{Domain, VlanMode};

use super::{FIRST_NETWORK, HOST_PORT, Lease, Model, Owner};
use crate::config::Multicast;
use crate::control::store::Attachment;
use crate::datapath::{
    self, Neighbour, NetworkConf, PortConf, PortKind, PortVlans, Snapshot, StaticMac,
};

impl Model {
    /// The attachments that survive a restart.
    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        let saved = self.ports.values().filter(|port| port.saved);
        saved
            .filter_map(|port| {
                let settled = port.settled.as_ref()?;
                Some(Attachment {
                    name: port.lease.name.clone(),
                    network: self.network.name.to_string(),
                    ifname: settled.ifname.clone(),
                    mac: port.lease.mac,
                    ipv4: port.lease.ipv4,
                    ipv6: port.lease.ipv6,
                    netns: settled.netns.clone(),
                    policy: port.policy.clone(),
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
            mac: self.network.gateway_mac,
            snooping: self.network.multicast == Multicast::Snoop,
            neighbours: self.neighbours(),
        };
        let conf = |kind, mac, policy: &PortPolicy| PortConf {
            vlans: vlans(&policy.vlan),
            isolation: policy.isolation,
            ..PortConf::new(FIRST_NETWORK, kind, mac)
        };
        let host = conf(PortKind::Host, self.network.gateway_mac, &self.network.host_policy);
        let host = (HOST_PORT, host);
        let published = self.ports.values().filter(|port| port.published);
        let containers = published.map(|port| {
            let conf = conf(PortKind::Container, port.lease.mac, &port.policy);
            (port.lease.slot, PortConf { guard: guard(&port.lease, &port.policy.guard), ..conf })
        });
        let published = self.ports.values().filter(|port| port.published);
        let limits = published.map(|port| (port.lease.slot, port.limits.clone()));
        let limits = std::iter::once((HOST_PORT, self.host_limits.clone())).chain(limits);
        Snapshot::compile(vec![network], std::iter::once(host).chain(containers))
            .with_limits(limits)
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
        let guarded = self.ports.values().filter(|port| port.published).filter_map(|port| {
            let datapath::Guard { mac, ipv4, ipv6 } = guard(&port.lease, &port.policy.guard)?;
            Some(Neighbour { mac, ipv4, ipv6, port: port.lease.slot })
        });
        std::iter::once(host).chain(guarded).collect()
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

fn guard(lease: &Lease, guard: &Guard) -> Option<datapath::Guard> {
    (*guard != Guard::Off).then(|| datapath::Guard {
        mac: lease.mac,
        ipv4: Some(lease.ipv4).filter(|&own| guard.allows(own.into())),
        ipv6: Some(lease.ipv6).filter(|&own| guard.allows(own.into())),
    })
}
