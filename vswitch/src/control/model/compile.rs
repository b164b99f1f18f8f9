//! What others make of the model: the datapath its snapshot, the store its document.

use super::{FIRST_NETWORK, HOST_PORT, Model, Owner};
use crate::control::store::Attachment;
use crate::datapath::{NetworkConf, PortConf, PortKind, Snapshot, StaticMac};

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
        };
        let conf = |kind, mac| PortConf { network: FIRST_NETWORK, kind, mac, enabled: true };
        let host = (HOST_PORT, conf(PortKind::Host, self.network.gateway_mac));
        let published = self.ports.values().filter(|port| port.published);
        let containers =
            published.map(|port| (port.lease.slot, conf(PortKind::Container, port.lease.mac)));
        Snapshot::compile(vec![network], std::iter::once(host).chain(containers))
    }
}
