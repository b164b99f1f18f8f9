//! Start: makes the switch of a stored document and a configuration.

use std::path::Path;
use std::sync::Arc;

use fastpath::tap::Tap;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::sync::mpsc;
use vswitch_api::port_settings::PortSettings;

use super::error::ControlError;
use super::inner::Inner;
use super::model::{Model, NetworkName, NetworkSpec, local_mac};
use super::random::random;
use super::replay::{self, ReplayReport};
use super::store::{Document, NetworkRecord, Store, StoreError};
use super::task::blocking;
use super::{Control, dhcp, republish};
use crate::config::{Config, Subnet6};
use crate::datapath::HostConfig;
use crate::dataplane::{Dataplane, DataplaneConfig, DataplaneEvent};
use crate::host::bridge::{self, BridgeSetup};
use crate::host::{HostError, Neighbours, Netlink, netns, nft};

/// The state directory, locked, and the document in it.
#[derive(Debug)]
pub(crate) struct StoredState {
    store: Store,
    document: Option<Document>,
}

impl StoredState {
    /// Locks the directory and reads the document.
    pub(crate) async fn open(directory: &Path) -> Result<Self, ControlError> {
        let directory = directory.to_owned();
        let open = move || {
            let store = Store::open(&directory)?;
            let document = store.load()?;
            Ok::<_, StoreError>(Self { store, document })
        };
        Ok(blocking(open).await??)
    }
}

impl Control {
    /// Starts workers, bridge, uplink and attachments. When this fails nothing is left.
    pub(crate) async fn start(
        config: &Config,
        stored: StoredState,
    ) -> Result<(Self, mpsc::Receiver<DataplaneEvent>, ReplayReport), ControlError> {
        let StoredState { store, mut document } = stored;
        let former = document.iter().flat_map(Document::network_names).collect();
        if let Some(document) = &mut document {
            document.rename_first_network(config.bridge.as_str());
        }
        let networks = networks(config, document.as_ref())?;
        let netlink = Netlink::connect().map_err(HostError::Connect)?;
        let boot_id = netns::boot_id().map_err(HostError::Connect)?;
        let (dataplane, events) = Dataplane::start(&DataplaneConfig {
            workers: config.workers.get(),
            backend: config.backend,
            cpus: config.cpus.clone(),
            scheduling: config.scheduling,
            idle: config.idle,
        })?;
        let mut model = Model::new(dataplane.slots());
        let taps = match create_networks(&netlink, &mut model, networks, dataplane.workers()).await
        {
            Ok(taps) => taps,
            Err(error) => {
                dataplane.shutdown().await;
                return Err(error);
            }
        };
        let neighbours = taps.iter().map(|(name, tap)| {
            let device = Neighbours::new(netlink.clone(), tap.ifindex, tap.name.clone());
            (name.clone(), device)
        });
        let neighbours = neighbours.collect();
        let parts = Inner::new(config.clone(), dataplane, neighbours, boot_id, model, store);
        let control = Self(Arc::new(parts));
        match control.finish_start(&netlink, taps, former, document).await {
            Ok(replayed) => Ok((control, events, replayed)),
            Err(error) => {
                control.end().await;
                Err(error)
            }
        }
    }

    async fn finish_start(
        &self,
        netlink: &Netlink,
        taps: Vec<(NetworkName, Tap)>,
        former: Vec<String>,
        document: Option<Document>,
    ) -> Result<ReplayReport, ControlError> {
        self.0.commit_snapshot();
        for (name, tap) in taps {
            self.0.add_network_names(&name);
            let host_port = self.0.model().network(Some(name.as_str()))?.host_port;
            self.0.dataplane.add_port(host_port, tap.queues).await?;
        }
        self.start_service().await?;
        remove_stale_tables(former).await;
        self.start_uplink(netlink).await?;
        let replayed = match document {
            Some(document) => {
                let replayed = replay::run(self, document).await;
                let (_, pending_publications) = self.0.model().count_publications();
                if pending_publications > 0 {
                    tokio::spawn(republish::retry_pending(Arc::clone(&self.0)));
                }
                replayed
            }
            None => ReplayReport::default(),
        };
        tokio::spawn(dhcp::advertise(Arc::clone(&self.0)));
        self.0.save().await?;
        Ok(replayed)
    }
}

/// Removes the nftables tables that a crash left on a device, and warns of those that may be another switch's.
async fn remove_stale_tables(former: Vec<String>) {
    let (ours, others) = match blocking(move || nft::remove_orphans(&former)).await {
        Ok(Ok(orphans)) => orphans,
        // Without nftables there are none.
        Ok(Err(error)) => return tracing::debug!(%error, "cannot list nftables tables"),
        Err(error) => return tracing::warn!(%error, "cannot list nftables tables"),
    };
    for table in ours {
        tracing::info!(%table, "removed an nftables table that a crash had left");
    }
    for table in others {
        tracing::warn!(%table, "an nftables table of a switch that is gone; if it is yours: \
            `nft delete table {table}`");
    }
}

/// Adds networks to the model, and creates the devices of their host ports.
async fn create_networks(
    netlink: &Netlink,
    model: &mut Model,
    networks: Vec<(NetworkSpec, Option<&NetworkRecord>)>,
    queues: usize,
) -> Result<Vec<(NetworkName, Tap)>, ControlError> {
    let mut taps = Vec::new();
    for (spec, record) in networks {
        model.add_network(spec.clone())?;
        if let Some(record) = record {
            let next = (record.next_ipv4, record.next_ipv6);
            model.resume_addresses(&spec.name, next, &record.reserved);
        }
        let tap = create_bridge(netlink, &spec, queues).await?;
        taps.push((spec.name, tap));
    }
    Ok(taps)
}

async fn create_bridge(
    netlink: &Netlink,
    network: &NetworkSpec,
    queues: usize,
) -> Result<Tap, ControlError> {
    let setup = BridgeSetup {
        name: network.name.to_string(),
        mac: network.gateway_mac,
        mtu: network.mtu,
        gateway: Ipv4Net::new_assert(network.subnet.gateway(), network.subnet.net().prefix_len()),
        gateway6: Ipv6Net::new_assert(
            network.subnet6.gateway(),
            network.subnet6.net().prefix_len(),
        ),
        queues,
    };
    Ok(bridge::create(netlink, &setup).await?)
}

/// All networks: that of the configuration, and further ones of the document.
fn networks<'a>(
    config: &Config,
    document: Option<&'a Document>,
) -> Result<Vec<(NetworkSpec, Option<&'a NetworkRecord>)>, ControlError> {
    let mut records = document.into_iter().flat_map(|document| &document.networks);
    let stored = records.next();
    let subnet6 = match (config.subnet6, stored) {
        (Some(configured), _) => configured,
        (None, Some(stored)) => stored.subnet6,
        (None, None) => Subnet6::unique_local(random()?),
    };
    let gateway_mac = match stored {
        Some(stored) => stored.gateway_mac,
        None => local_mac(random()?),
    };
    let first = NetworkSpec {
        name: config.bridge.clone(),
        subnet: config.subnet.or(stored.map(|stored| stored.subnet)).unwrap_or_default(),
        subnet6,
        gateway_mac,
        mtu: config.mtu.get(),
        ageing: config.ageing.duration(),
        fdb_entries_max: config.fdb_entries_max.get(),
        uplink: config.uplink.clone(),
        snat_ports: config.snat_ports.clone(),
        multicast: config.multicast,
        host_config: HostConfig { dhcp: config.dhcp, ra: config.ra },
        host_settings: stored
            .map_or_else(PortSettings::of_host, |stored| stored.host_settings.clone()),
    };
    let further = records.map(|record| {
        let spec = NetworkSpec {
            name: record.name.parse().map_err(ControlError::Ifname)?,
            subnet: record.subnet,
            subnet6: record.subnet6,
            gateway_mac: record.gateway_mac,
            host_config: HostConfig { dhcp: record.dhcp, ra: record.ra },
            host_settings: record.host_settings.clone(),
            ..first.clone()
        };
        Ok((spec, Some(record)))
    });
    std::iter::once(Ok((first.clone(), stored))).chain(further).collect()
}
