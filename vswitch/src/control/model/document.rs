//! The document of the model: everything that survives a restart.

use wire::vxlan::Vni;

use super::{
    AttachSpec, EndpointKey, Model, Network, NetworkName, OverlaySpec, Owner, RegisteredSpec,
};
use crate::control::OverlayError;
use crate::control::error::ControlError;
use crate::control::store::{
    Attachment, Document, NetworkOptions, NetworkRecord, OverlayRecord, RegisteredRecord,
    StaticRecord, VERSION,
};
use crate::datapath::NetworkIndex;

impl Attachment {
    /// Whether it is the record of an endpoint.
    pub(crate) fn is_of(&self, key: &EndpointKey) -> bool {
        self.name == key.name && self.network == key.network.as_str()
    }

    /// The request that brings it back.
    pub(crate) fn spec(&self) -> Result<AttachSpec, ControlError> {
        let network = self.network.parse()?;
        Ok(AttachSpec {
            mac: Some(self.mac),
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            family: self.family(),
            further_addresses: self.further_addresses.clone(),
            settings: self.settings.clone(),
            publish: self.publish.clone(),
            labels: self.labels.clone(),
            aliases: self.aliases.clone(),
            configure: self.configure,
            gw_priority: self.gw_priority,
            container: self.container.clone(),
            runtime: self.runtime.clone(),
            ..AttachSpec::new(EndpointKey { name: self.name.clone(), network })
        })
    }
}

impl From<&OverlaySpec> for OverlayRecord {
    fn from(spec: &OverlaySpec) -> Self {
        Self {
            vni: spec.vni.get(),
            host_mac: spec.host_mac,
            host_addresses: spec.host_addresses.clone(),
            mtu: spec.mtu,
            peers: spec.peers.clone(),
            registered: spec.registered.as_ref().map(RegisteredRecord::from),
        }
    }
}

impl From<&RegisteredSpec> for RegisteredRecord {
    fn from(spec: &RegisteredSpec) -> Self {
        let RegisteredSpec { subnets, options, blocks } = spec.clone();
        Self { subnets, options, blocks }
    }
}

impl From<&RegisteredRecord> for RegisteredSpec {
    fn from(record: &RegisteredRecord) -> Self {
        let RegisteredRecord { subnets, options, blocks } = record.clone();
        Self { subnets, options, blocks }
    }
}

impl OverlayRecord {
    /// The overlay that it describes.
    pub(crate) fn spec(&self) -> Result<OverlaySpec, OverlayError> {
        Ok(OverlaySpec {
            vni: Vni::new(self.vni).map_err(|_| OverlayError::Vni(self.vni))?,
            host_mac: self.host_mac,
            host_addresses: self.host_addresses.clone(),
            mtu: self.mtu,
            peers: self.peers.clone(),
            registered: self.registered.as_ref().map(RegisteredSpec::from),
        })
    }
}

impl Model {
    /// The document with all networks.
    pub(crate) fn document(&self) -> Document {
        let kept = || self.networks().filter(|network| network.persisted);
        let statics = kept().flat_map(|network| {
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
        // A network that goes is left out: a later one of its name has no rights from it.
        let is_kept =
            |name: &&NetworkName| self.networks.get(*name).is_some_and(|network| network.persisted);
        let sources = |network: &Network| {
            network.spec.reachable_from.iter().filter(is_kept).map(ToString::to_string).collect()
        };
        let networks = kept().map(|network| {
            let name = network.spec.name.as_str();
            let (spec, (next_ipv4, next_ipv6)) = (&network.spec, network.next_addresses());
            NetworkRecord {
                name: spec.name.to_string(),
                device: spec.device.as_ref().map(ToString::to_string).filter(|it| *it != *name),
                has_host_port: spec.device.is_some(),
                subnet: spec.subnet,
                subnet6: spec.subnet6,
                gateway: Some(spec.gateway).filter(|it| *it != spec.subnet.gateway()),
                gateway6: Some(spec.gateway6).filter(|it| *it != spec.subnet6.gateway()),
                range: spec.range,
                range6: spec.range6,
                options: (network.index != NetworkIndex(0)).then_some(NetworkOptions {
                    mtu: spec.mtu,
                    internal: spec.internal,
                    isolated_ports: spec.isolated_ports,
                    cut_through: spec.cut_through,
                    reachable_from: sources(network),
                }),
                overlay: spec.overlay.as_ref().map(OverlayRecord::from),
                labels: spec.labels.clone(),
                port_settings: spec.port_settings.clone(),
                gateway_mac: spec.gateway_mac,
                next_ipv4,
                next_ipv6,
                reserved: network.reserved.iter().copied().collect(),
                dhcp: spec.host_config.dhcp,
                ra: spec.host_config.ra,
                host_settings: spec.host_settings.clone(),
            }
        });
        let mut attachments = self.attachments();
        attachments.extend(self.deferred_beside(&attachments));
        let further = self.deferred().iter().flat_map(|it| it.statics.iter().cloned());
        let statics = statics.chain(further).collect();
        Document {
            version: VERSION,
            networks: networks.collect(),
            attachments,
            statics,
            pools: self.pool_records(),
        }
    }

    /// The endpoints that survive a restart: those whose namespace the switch can open again, those
    /// that a runtime configures, and those of an engine's containers.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        let persisted = self.endpoints().filter(|endpoint| endpoint.persisted);
        let persisted = persisted.filter(|it| {
            it.runtime.is_some()
                || it.container.is_some()
                || it.binding.as_ref().is_some_and(|binding| binding.netns.is_some())
        });
        persisted
            .filter_map(|endpoint| {
                let (lease, binding) = (&endpoint.lease, endpoint.binding.as_ref());
                // One that is handed out is written before its TAP is there.
                let tap = endpoint.runtime.as_ref().map(|runtime| &runtime.tap);
                let ifname = binding.map(|binding| &binding.ifname).or(tap)?;
                Some(Attachment {
                    name: lease.name.clone(),
                    network: lease.network.to_string(),
                    ifname: ifname.clone(),
                    mac: lease.mac,
                    ipv4: lease.ipv4,
                    ipv6: lease.ipv6,
                    further_addresses: lease.further.clone(),
                    netns: binding.and_then(|binding| binding.netns.clone()),
                    container: endpoint.container.clone(),
                    runtime: endpoint.runtime.clone(),
                    settings: endpoint.settings.clone(),
                    publish: endpoint.publications.clone(),
                    labels: endpoint.labels.clone(),
                    aliases: endpoint.aliases.clone(),
                    configure: endpoint.configure,
                    gw_priority: endpoint.gw_priority,
                })
            })
            .collect()
    }
}
