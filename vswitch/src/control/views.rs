//! The state as the API shows it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::container::Container;
use vswitch_api::fdb::FdbEntry;
use vswitch_api::network::{Member, Network, NetworkDetail};
use vswitch_api::overlay::Scope;
use vswitch_api::port::{Port, PortDetail, PortState};
use vswitch_api::port_settings::PortSettings;
use vswitch_api::status::{IdleState, Status};

use super::Control;
use super::error::ControlError;
use super::model::{self, Binding, EndpointKey, Lease, Model};
use super::task::blocking;
use super::{overlay, uplink};
use crate::datapath::{DestinationKind, PortCounters};
use crate::host::netns;

impl Control {
    /// The daemon itself.
    pub(crate) async fn status(&self) -> Status {
        let inner = &self.0;
        let connections = inner
            .dataplane
            .stats()
            .await
            .map(|report| report.workers_total())
            .map_or([0; 2], |workers| [workers.connections, workers.connections_sharing]);
        let registry = inner.registry_summary().await;
        let cut_through = inner.cut_through_status().await;
        let model = inner.model();
        let backend = inner.dataplane.backend();
        let idle = inner.dataplane.idle();
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
            idle_state: if idle.spins { IdleState::Spinning } else { IdleState::Sleeping },
            idle_reason: idle.reason,
            bridge: inner.config.bridge.to_string(),
            networks: model.active_networks().count(),
            ports: model.active().count(),
            uptime_s: inner.started.elapsed().as_secs(),
            state_dir: inner.config.state_dir.path().display().to_string(),
            restored: inner.restored.load(std::sync::atomic::Ordering::Relaxed),
            faults: model.faults(),
            host_faults: model.host_faults().map(|(_, fault)| fault.to_owned()).collect(),
            uplinks: uplink::statuses(&model, connections),
            uplink_hints: uplink::hints(&model),
            dns: inner.dns_status(),
            underlay: overlay::underlay_status(&model, &self.0.config),
            registry,
            cut_through,
        }
    }

    /// The network of the configuration.
    pub(crate) fn first_network(&self) -> Result<Network, ControlError> {
        let model = self.0.model();
        model.network(None).map(|network| network_row(&model, network))
    }

    /// All networks, in the order of their names.
    pub(crate) fn networks(&self) -> Vec<Network> {
        let model = self.0.model();
        model.active_networks().map(|network| network_row(&model, network)).collect()
    }

    /// One network.
    pub(crate) async fn network(&self, name: &str) -> Result<NetworkDetail, ControlError> {
        self.0.model().network(Some(name))?;
        let fdb = self.0.dataplane.fdb().await?;
        let model = self.0.model();
        let network = model.network(Some(name))?;
        let active = model.active().map(|(port, _)| port);
        let members = active.filter(|port| port.lease.network == network.spec.name);
        let members = members.map(|port| Member {
            name: port.lease.name.to_string(),
            mac: port.lease.mac,
            ipv4: port.lease.by_family().0,
            ipv6: port.lease.by_family().1,
        });
        let (remote_endpoints, remote_endpoints_total) = overlay::remote_endpoints(&model, network);
        Ok(NetworkDetail {
            network: network_row(&model, network),
            gateway_mac: network.spec.gateway_mac,
            ageing_s: network.spec.ageing.as_secs(),
            fdb_entries_max: network.spec.fdb_entries_max,
            isolated_ports: network.spec.isolated_ports,
            cut_through: model.may_cut_through(&network.spec),
            reachable_from: network.spec.reachable_from.iter().map(ToString::to_string).collect(),
            ip_ranges: network.spec.ranges().collect(),
            settings: network.spec.port_settings.clone(),
            multicast: network.spec.multicast.to_string().as_str().into(),
            dhcp: network.spec.host_config.dhcp,
            ra: network.spec.host_config.ra,
            fdb_entries: fdb.iter().filter(|row| row.network == network.index).count(),
            members: members.collect(),
            remote_endpoints,
            remote_endpoints_total,
            names: model.name_records(&network.spec.name),
        })
    }

    /// All attachments.
    pub(crate) async fn ports(&self) -> Result<Vec<Port>, ControlError> {
        let counters = self.counters().await?;
        let model = self.0.model();
        let row = |(port, binding): (&model::Endpoint, &Binding)| {
            let slot = port.lease.slot;
            let blocked = self.0.dataplane.blocked_for(slot);
            port_row(port, binding, &counter(&counters, slot), blocked)
        };
        let mut rows: Vec<_> = model.active().map(row).collect();
        rows.extend(model.waiting().map(waiting_row));
        rows.sort_by(|a, b| (&a.name, &a.network).cmp(&(&b.name, &b.network)));
        Ok(rows)
    }

    /// The attachments with a label, after the end of requests that attach or detach such ones.
    pub(crate) async fn ports_with_label(
        &self,
        key: &str,
        value: &str,
    ) -> Result<Vec<Port>, ControlError> {
        self.0.wait_until_settled(key, value).await?;
        let mut ports = self.ports().await?;
        ports.retain(|port| port.labels.get(key).is_some_and(|it| it == value));
        Ok(ports)
    }

    /// The attachments of a name, one per network.
    pub(crate) async fn attachments(&self, name: &str) -> Result<Vec<PortDetail>, ControlError> {
        let keys = {
            let model = self.0.model();
            let mut keys = model.find_all(name)?;
            keys.retain(|key| model.shown_endpoint(key).is_ok());
            keys
        };
        if keys.is_empty() {
            return Err(ControlError::UnknownPort(name.to_owned()));
        }
        let mut details = Vec::with_capacity(keys.len());
        for key in &keys {
            details.push(self.attachment(key).await?);
        }
        Ok(details)
    }

    /// One attachment.
    pub(crate) async fn attachment(&self, key: &EndpointKey) -> Result<PortDetail, ControlError> {
        let counters = self.counters().await?;
        let (mut detail, record) = {
            let model = self.0.model();
            let port = model.shown_endpoint(key)?;
            let unknown = || ControlError::UnknownPort(key.to_string());
            let binding = port.binding.as_ref().ok_or_else(unknown)?;
            let counters = counter(&counters, port.lease.slot);
            let is_waiting = port.waits();
            let blocked = self.0.dataplane.blocked_for(port.lease.slot).filter(|_| !is_waiting);
            let network = &model.network(Some(port.lease.network.as_str()))?.spec;
            let detail = PortDetail {
                port: match is_waiting {
                    true => waiting_row(port),
                    false => port_row(port, binding, &counters, blocked),
                },
                subnets: network.subnets().to_vec(),
                gateways: network.gateways().to_vec(),
                gw_priority: port.gw_priority,
                is_default_route: match &port.runtime {
                    Some(runtime) => runtime.gives_default_route,
                    None => model.gateway_endpoint(&key.name).as_ref() == Some(key),
                },
                resolvers: match self.0.has_dns() {
                    true => reachable(&network.gateways(), &port.lease),
                    false => Vec::new(),
                },
                mtu: network.mtu,
                container: port.container.as_ref().map(|it| Container {
                    id: it.id.clone(),
                    name: it.name.clone(),
                    engine: it.engine.clone(),
                }),
                netns_path: PathBuf::new(),
                offloads: binding.offloads.iter().map(|name| (*name).into()).collect(),
                queues: binding.queues,
                blocked_s: blocked.map_or(0, |left| left.as_secs_f64().ceil() as u64),
                configure: port.configure,
                cut_through: None,
                settings: port.settings.clone(),
                publications: port.publications.clone(),
                drops_by_reason: counters.drops_by_name(),
            };
            (detail, binding.netns.clone())
        };
        detail.cut_through = self.0.port_cut_through(key).await;
        let Some(record) = record else { return Ok(detail) };
        let path = record.path.clone();
        let found = blocking(move || netns::find(record.id, &record.path)).await?;
        detail.netns_path = found.ok().flatten().unwrap_or(path);
        Ok(detail)
    }

    /// The settings of a port.
    pub(crate) fn settings(&self, name: &str) -> Result<PortSettings, ControlError> {
        self.0.model().settings(name).cloned()
    }

    /// The forwarding database.
    pub(crate) async fn fdb(&self) -> Result<Vec<FdbEntry>, ControlError> {
        let rows = self.0.dataplane.fdb().await?;
        let model = self.0.model();
        let entry = |row: crate::datapath::FdbRow| {
            Some(FdbEntry {
                network: model.network_at(row.network)?.spec.name.to_string(),
                vlan: row.vlan,
                mac: row.mac,
                port: match row.destination.kind() {
                    DestinationKind::Port(port) => model.label(port)?.into_owned(),
                    DestinationKind::Tunnel(vtep) => model.vtep_at(vtep)?.address.to_string(),
                },
                age_s: row.age.as_secs(),
                is_static: row.is_static,
            })
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    async fn counters(&self) -> Result<BTreeMap<PortIndex, PortCounters>, ControlError> {
        Ok(self.0.dataplane.stats().await?.ports.into_iter().collect())
    }
}

fn counter(counters: &BTreeMap<PortIndex, PortCounters>, slot: PortIndex) -> PortCounters {
    counters.get(&slot).copied().unwrap_or_default()
}

fn network_row(model: &Model, network: &model::Network) -> Network {
    let spec = &network.spec;
    let is_member = |port: &model::Endpoint| port.lease.network == spec.name;
    Network {
        name: spec.name.to_string(),
        device: spec.device.as_ref().map(ToString::to_string),
        fault: spec.device.as_ref().and_then(|it| model.host_fault(it.as_str())).map(str::to_owned),
        subnets: spec.subnets().to_vec(),
        gateways: spec.gateways().to_vec(),
        mtu: spec.mtu,
        internal: spec.is_internal(),
        scope: if spec.overlay.is_some() { Scope::Overlay } else { Scope::Local },
        overlay: overlay::shown(network),
        labels: spec.labels.clone(),
        uplinks: model.uplink_of(network).map(|it| uplink::names(model, it)).unwrap_or_default(),
        ports: model.active().filter(|(port, _)| is_member(port)).count(),
    }
}

/// A port whose container does not run: what is kept for it, and no traffic.
fn waiting_row(port: &model::Endpoint) -> Port {
    let ifname = port.binding.as_ref().map(|it| it.ifname.clone()).unwrap_or_default();
    let netns = port.binding.as_ref().and_then(|it| it.netns.clone());
    let binding = Binding { ifname, netns, offloads: Vec::new(), queues: 0 };
    let row = port_row(port, &binding, &PortCounters::default(), None);
    match port.fault() {
        Some(_) => row,
        None => Port { state: PortState::Waiting, ..row },
    }
}

/// Those of a family that the endpoint has an address of.
fn reachable(gateways: &[IpAddr], lease: &Lease) -> Vec<IpAddr> {
    let has =
        |gateway: &IpAddr| lease.all_addresses().any(|own| own.is_ipv4() == gateway.is_ipv4());
    gateways.iter().copied().filter(has).collect()
}

fn port_row(
    port: &model::Endpoint,
    binding: &Binding,
    counters: &PortCounters,
    blocked: Option<Duration>,
) -> Port {
    Port {
        name: port.lease.name.to_string(),
        network: port.lease.network.to_string(),
        ifname: binding.ifname.clone(),
        mac: port.lease.mac,
        ipv4: port.lease.by_family().0,
        ipv6: port.lease.by_family().1,
        netns: match &port.container {
            Some(container) => format!("container:{}", container.name),
            None => {
                binding.netns.as_ref().map(|it| netns::describe(&it.reference)).unwrap_or_default()
            }
        },
        state: match (port.fault(), blocked) {
            (Some(_), _) => PortState::Fault,
            (None, Some(_)) => PortState::LoopBlocked,
            (None, None) => PortState::Up,
        },
        fault: port.fault().map(str::to_owned),
        publish: port.publications.iter().map(|one| one.ports).collect(),
        publish_pending: port.pending_publications().cloned().collect(),
        aliases: port.aliases.iter().map(ToString::to_string).collect(),
        labels: port.labels.clone(),
        traffic: counters.traffic,
        drops: counters.drops_total(),
    }
}
