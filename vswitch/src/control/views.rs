//! The state as the API shows it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use fastpath::PortIndex;
use ipnet::IpNet;
use vswitch_api::fdb::FdbEntry;
use vswitch_api::limits::Limit;
use vswitch_api::network::{Member, Network, NetworkDetail};
use vswitch_api::port::{Port, PortDetail, PortState};
use vswitch_api::port_settings::PortSettings;
use vswitch_api::stats::{PortStats, Stats};
use vswitch_api::status::Status;

use super::Control;
use super::error::ControlError;
use super::model::{self, Binding, Model};
use super::name::Name;
use super::port::blocking;
use super::uplink;
use crate::datapath::{DropReason, PortCounters};
use crate::host::netns;
use crate::limits;

impl Control {
    /// The daemon itself.
    pub(crate) async fn status(&self) -> Status {
        let inner = &self.0;
        let connections = inner
            .dataplane
            .stats()
            .await
            .map_or(0, |report| report.workers.iter().map(|worker| worker.connections).sum());
        let model = inner.model();
        let backend = inner.dataplane.backend();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            backend: backend.name.into(),
            backend_reason: backend.reason.clone(),
            workers: inner.dataplane.workers(),
            cpus: inner.config.cpus.as_slice().to_vec(),
            scheduling: inner.dataplane.scheduling().name.into(),
            scheduling_reason: inner.dataplane.scheduling().reason.clone(),
            idle: inner.config.idle.to_string().as_str().into(),
            bridge: model.network.name.to_string(),
            networks: 1,
            ports: model.active().count(),
            uptime_s: inner.started.elapsed().as_secs(),
            state_dir: inner.config.state_dir.path().display().to_string(),
            uplinks: uplink::status(&model, connections).into_iter().collect(),
        }
    }

    /// The first network, which is the bridge's.
    pub(crate) fn first_network(&self) -> Network {
        network_row(&self.0.model())
    }

    /// All networks.
    pub(crate) fn networks(&self) -> Vec<Network> {
        vec![self.first_network()]
    }

    /// One network.
    pub(crate) async fn network(&self, name: &str) -> Result<NetworkDetail, ControlError> {
        self.0.model().network(Some(name))?;
        let fdb = self.0.dataplane.fdb().await?;
        let model = self.0.model();
        let network = model.network(Some(name))?;
        let members = model.active().map(|(port, _)| Member {
            name: port.lease.name.to_string(),
            mac: port.lease.mac,
            ipv4: vec![port.lease.ipv4],
            ipv6: vec![port.lease.ipv6],
        });
        Ok(NetworkDetail {
            network: network_row(&model),
            gateway_mac: network.gateway_mac,
            ageing_s: network.ageing.as_secs(),
            fdb_entries_max: network.fdb_entries_max,
            multicast: network.multicast.to_string().as_str().into(),
            fdb_entries: fdb.iter().filter(|row| row.network == model::FIRST_NETWORK).count(),
            members: members.collect(),
        })
    }

    /// All attachments.
    pub(crate) async fn ports(&self) -> Result<Vec<Port>, ControlError> {
        let counters = self.counters().await?;
        let model = self.0.model();
        let network = model.network.name.as_str();
        let row = |(port, binding): (&model::Port, &Binding)| {
            let slot = port.lease.slot;
            let blocked = self.0.dataplane.blocked_for(slot);
            port_row(network, port, binding, &counter(&counters, slot), blocked)
        };
        Ok(model.active().map(row).collect())
    }

    /// One attachment.
    pub(crate) async fn port(&self, name: &str) -> Result<PortDetail, ControlError> {
        let name: Name = name.parse()?;
        let counters = self.counters().await?;
        let (mut detail, record) = {
            let model = self.0.model();
            let unknown = || ControlError::UnknownPort(name.to_string());
            let mut active = model.active();
            let (port, binding) =
                active.find(|(port, _)| port.lease.name == name).ok_or_else(unknown)?;
            let counters = counter(&counters, port.lease.slot);
            let blocked = self.0.dataplane.blocked_for(port.lease.slot);
            let network = &model.network;
            let detail = PortDetail {
                port: port_row(network.name.as_str(), port, binding, &counters, blocked),
                subnets: subnets(network),
                gateways: gateways(network),
                mtu: network.mtu,
                netns_path: PathBuf::new(),
                offloads: binding.offloads.iter().map(|name| (*name).into()).collect(),
                queues: binding.queues,
                blocked_s: blocked.map_or(0, |left| left.as_secs_f64().ceil() as u64),
                settings: port.settings.clone(),
                publications: port.publications.clone(),
                drops_by_reason: counters.drops_by_name(),
            };
            (detail, binding.netns.clone())
        };
        let path = record.path.clone();
        let found = blocking(move || netns::find(record.id, &record.path)).await?;
        detail.netns_path = found.unwrap_or(path);
        Ok(detail)
    }

    /// What a port may do.
    pub(crate) fn settings(&self, name: &str) -> Result<PortSettings, ControlError> {
        self.0.model().settings(name).cloned()
    }

    /// The forwarding database.
    pub(crate) async fn fdb(&self) -> Result<Vec<FdbEntry>, ControlError> {
        let rows = self.0.dataplane.fdb().await?;
        let model = self.0.model();
        let entry = |row: crate::datapath::FdbRow| {
            Some(FdbEntry {
                network: model.network.name.to_string(),
                vlan: row.vlan,
                mac: row.mac,
                port: model.label(row.destination.port()?)?.into_owned(),
                age_s: row.age.as_secs(),
                is_static: row.is_static,
            })
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    /// All counters.
    pub(crate) async fn stats(&self) -> Result<Stats, ControlError> {
        let report = self.0.dataplane.stats().await?;
        let model = self.0.model();
        // With the ports of before, so that totals never go back.
        let mut total = report.retired;
        let mut ports = Vec::new();
        for (slot, counters) in &report.ports {
            total += *counters;
            if let Some(name) = model.label(*slot) {
                ports.push(port_stats(&name, counters));
            }
        }
        // By name, the host's first.
        let bridge = model.network.name.as_str();
        ports.sort_by_cached_key(|port| (port.name != bridge, port.name.clone()));
        Ok(Stats { ports, workers: report.workers, drops: total.drops_by_name() })
    }

    /// Every limit, and how often it was hit.
    pub(crate) async fn limits(&self) -> Result<Vec<Limit>, ControlError> {
        let report = self.0.dataplane.stats().await?;
        let mut total = report.retired;
        report.ports.iter().for_each(|(_, counters)| total += *counters);
        let drops = |reason: DropReason| total.drops[reason as usize];
        Ok(limits::list(&report.hits, drops, &self.0.refusals))
    }

    /// A limit was hit: counted, and shown by [`Control::limits`].
    pub(crate) fn count_refusal(&self, limit: &'static str) {
        self.0.refusals.count(limit);
    }

    async fn counters(&self) -> Result<BTreeMap<PortIndex, PortCounters>, ControlError> {
        Ok(self.0.dataplane.stats().await?.ports.into_iter().collect())
    }
}

fn counter(counters: &BTreeMap<PortIndex, PortCounters>, slot: PortIndex) -> PortCounters {
    counters.get(&slot).copied().unwrap_or_default()
}

fn network_row(model: &Model) -> Network {
    let network = &model.network;
    Network {
        name: network.name.to_string(),
        subnets: subnets(network),
        gateways: gateways(network),
        mtu: network.mtu,
        uplinks: uplink::name(model).into_iter().collect(),
        ports: model.active().count(),
    }
}

fn subnets(network: &model::Network) -> Vec<IpNet> {
    vec![network.subnet.net().into(), network.subnet6.net().into()]
}

fn gateways(network: &model::Network) -> Vec<IpAddr> {
    vec![network.subnet.gateway().into(), network.subnet6.gateway().into()]
}

fn port_row(
    network: &str,
    port: &model::Port,
    binding: &Binding,
    counters: &PortCounters,
    blocked: Option<Duration>,
) -> Port {
    Port {
        name: port.lease.name.to_string(),
        network: network.to_owned(),
        ifname: binding.ifname.clone(),
        mac: port.lease.mac,
        ipv4: vec![port.lease.ipv4],
        ipv6: vec![port.lease.ipv6],
        netns: netns::describe(&binding.netns.reference),
        state: if blocked.is_some() { PortState::LoopBlocked } else { PortState::Up },
        publish: port.publications.iter().map(|one| one.ports).collect(),
        publish_pending: port.pending_publications().cloned().collect(),
        aliases: Vec::new(),
        labels: BTreeMap::new(),
        rx_frames: counters.rx_frames,
        tx_frames: counters.tx_frames,
        rx_bytes: counters.rx_bytes,
        tx_bytes: counters.tx_bytes,
        drops: counters.drops_total(),
    }
}

fn port_stats(name: &str, counters: &PortCounters) -> PortStats {
    PortStats {
        name: name.to_owned(),
        rx_frames: counters.rx_frames,
        rx_bytes: counters.rx_bytes,
        tx_frames: counters.tx_frames,
        tx_bytes: counters.tx_bytes,
        drops: counters.drops_total(),
        drops_by_reason: counters.drops_by_name(),
    }
}
