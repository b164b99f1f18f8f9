//! From a stored document and a configuration to a switch that stands.

use std::path::Path;
use std::sync::Arc;

use fastpath::tap::Tap;
use ipnet::{Ipv4Net, Ipv6Net};
use tokio::sync::mpsc;
use vswitch_api::port_settings::PortSettings;

use super::error::ControlError;
use super::inner::Inner;
use super::model::{HOST_PORT, Model, Network, local_mac};
use super::port::blocking;
use super::store::{Document, Store, StoreError};
use super::{Control, replay, republish};
use crate::config::{Config, Subnet6};
use crate::dataplane::{Dataplane, DataplaneConfig, DataplaneEvent};
use crate::host::bridge::{self, BridgeSetup};
use crate::host::{HostError, Neighbours, Netlink, netns, nft};

/// What has come back at start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReplayReport {
    /// Attachments that work again.
    pub(crate) attached: usize,
    /// Attachments that were dropped.
    pub(crate) dropped: usize,
}

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
    /// Brings the switch up: workers, bridge, attachments. When this fails nothing is left.
    pub(crate) async fn start(
        config: &Config,
        stored: StoredState,
    ) -> Result<(Self, mpsc::Receiver<DataplaneEvent>, ReplayReport), ControlError> {
        let StoredState { store, document } = stored;
        let network = network(config, document.as_ref())?;
        let netlink = Netlink::connect().map_err(HostError::Connect)?;
        let boot_id = netns::boot_id().map_err(HostError::Connect)?;
        let (dataplane, events) = Dataplane::start(&DataplaneConfig {
            workers: config.workers.get(),
            backend: config.backend,
            cpus: config.cpus.clone(),
            scheduling: config.scheduling,
            idle: config.idle,
        })?;
        let tap = match create_bridge(&netlink, &network, dataplane.workers()).await {
            Ok(tap) => tap,
            Err(error) => {
                dataplane.shutdown().await;
                return Err(error);
            }
        };
        let mut model = Model::new(network, dataplane.slots());
        if let Some(record) = document.as_ref().and_then(|document| document.networks.first()) {
            model.resume_addresses(record.next_ipv4, record.next_ipv6);
        }
        let neighbours = Neighbours::new(netlink.clone(), tap.ifindex, tap.name.clone());
        let parts = Inner::new(config.clone(), dataplane, neighbours, boot_id, model, store);
        let control = Self(Arc::new(parts));
        match control.finish_start(&netlink, tap, document).await {
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
        tap: Tap,
        document: Option<Document>,
    ) -> Result<ReplayReport, ControlError> {
        self.0.commit_snapshot();
        self.0.dataplane.add_port(HOST_PORT, tap.queues).await?;
        self.remove_stale_tables(document.as_ref()).await;
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
        self.0.save().await?;
        Ok(replayed)
    }
}

impl Control {
    /// Takes away the tables of a former bridge, which stay in front of the device after a crash; names those that
    /// may be another switch's.
    async fn remove_stale_tables(&self, document: Option<&Document>) {
        let networks = document.into_iter().flat_map(|document| &document.networks);
        let former: Vec<String> = networks.map(|network| network.name.clone()).collect();
        let cleared = blocking(move || nft::remove_orphans(&former)).await;
        let (ours, others) = match cleared {
            Ok(Ok(orphans)) => orphans,
            // Without nftables there are none.
            Ok(Err(error)) => return tracing::debug!(%error, "no look at nftables tables"),
            Err(error) => return tracing::warn!(%error, "no look at nftables tables"),
        };
        for table in ours {
            tracing::info!(%table, "an nftables table that a crash had left is gone");
        }
        for table in others {
            tracing::warn!(%table, "an nftables table of a switch that is gone; if it is yours: \
                `nft delete table {table}`");
        }
    }
}

async fn create_bridge(
    netlink: &Netlink,
    network: &Network,
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

/// The first network: what the configuration says, else what was stored, else the defaults.
fn network(config: &Config, document: Option<&Document>) -> Result<Network, ControlError> {
    let random = || getrandom::u64().map_err(|error| ControlError::Random(error.to_string()));
    let stored = document.and_then(|document| document.networks.first());
    let subnet6 = match (config.subnet6, stored) {
        (Some(configured), _) => configured,
        (None, Some(stored)) => stored.subnet6,
        (None, None) => Subnet6::unique_local(random()?),
    };
    let gateway_mac = match stored {
        Some(stored) => stored.gateway_mac,
        None => local_mac(random()?),
    };
    Ok(Network {
        name: config.bridge.clone(),
        subnet: config.subnet.or(stored.map(|stored| stored.subnet)).unwrap_or_default(),
        subnet6,
        gateway_mac,
        mtu: config.mtu.get(),
        ageing: config.ageing(),
        fdb_entries_max: config.fdb_entries_max.get(),
        uplink: config.uplink.clone(),
        snat_ports: config.snat_ports.clone(),
        multicast: config.multicast,
        host_settings: stored
            .map_or_else(PortSettings::of_host, |stored| stored.host_settings.clone()),
    })
}
