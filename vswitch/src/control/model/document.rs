//! The document of the model: everything that survives a restart.

use super::{Model, Owner};
use crate::control::store::{Attachment, Document, NetworkRecord, StaticRecord, VERSION};

impl Model {
    /// The document with all networks.
    pub(crate) fn document(&self) -> Document {
        let statics = self.networks().flat_map(|network| {
            network.statics().map(|(&(mac, vlan), owner)| StaticRecord {
                network: network.spec.name.to_string(),
                mac,
                vlan,
                port: match owner {
                    Owner::Host => None,
                    Owner::Endpoint(name) => Some(name.clone()),
                },
            })
        });
        let networks = self.networks().map(|network| {
            let (spec, (next_ipv4, next_ipv6)) = (&network.spec, network.next_addresses());
            NetworkRecord {
                name: spec.name.to_string(),
                subnet: spec.subnet,
                subnet6: spec.subnet6,
                gateway_mac: spec.gateway_mac,
                next_ipv4,
                next_ipv6,
                reserved: network.reserved.iter().copied().collect(),
                dhcp: spec.host_config.dhcp,
                ra: spec.host_config.ra,
                host_settings: spec.host_settings.clone(),
            }
        });
        Document {
            version: VERSION,
            networks: networks.collect(),
            attachments: self.attachments(),
            statics: statics.collect(),
        }
    }

    /// The endpoints that survive a restart: those whose namespace the switch can open again.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        let persisted = self.endpoints().filter(|endpoint| endpoint.persisted);
        persisted
            .filter_map(|endpoint| {
                let (lease, binding) = (&endpoint.lease, endpoint.binding.as_ref()?);
                Some(Attachment {
                    name: lease.name.clone(),
                    network: lease.network.to_string(),
                    ifname: binding.ifname.clone(),
                    mac: lease.mac,
                    ipv4: lease.ipv4,
                    ipv6: lease.ipv6,
                    netns: binding.netns.clone()?,
                    settings: endpoint.settings.clone(),
                    publish: endpoint.publications.clone(),
                    labels: endpoint.labels.clone(),
                    aliases: endpoint.aliases.clone(),
                    configure: endpoint.configure,
                })
            })
            .collect()
    }
}
