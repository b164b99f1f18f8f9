//! Start: makes the switch of a stored document and a configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use super::error::ControlError;
use super::inner::Inner;
use super::limits::REPLAY_ATTACH_MAX;
use super::model::{Model, NetworkSpec, local_mac};
use super::overlay::UnderlayDevice;
use super::progress::Reporter;
use super::random::random;
use super::replay::{self, ReplayReport};
use super::store::{Document, NetworkRecord, OverlayRecord, Store, StoreError, lost};
use super::task::blocking;
use super::{Control, NetworkError, cut_through, dhcp, published_ports, republish, save, upkeep};
use crate::config::{Config, Subnet6, Uplink};
use crate::datapath::HostConfig;
use crate::dataplane::{Dataplane, DataplaneConfig, DataplaneEvent};
use crate::host::dying::outlive;
use crate::host::{HostError, Netlink, netns, nft};

/// The state directory, locked, and the document in it.
#[derive(Debug)]
pub(crate) struct StoredState {
    store: Store,
    document: Option<Document>,
}

impl StoredState {
    /// Locks the directory and reads the document. The lock of a daemon that is dying is waited for.
    pub(crate) async fn open(directory: &Path) -> Result<Self, ControlError> {
        let open = async || {
            let directory = directory.to_owned();
            let open = move || {
                let store = Store::open(&directory)?;
                let document = store.load()?;
                Ok::<_, StoreError>(Self { store, document })
            };
            Ok(blocking(open).await??)
        };
        outlive(open, ControlError::owner_of_lock).await
    }

    /// The longest time to attach what is stored.
    pub(crate) fn replay_time_max(&self) -> Duration {
        let stored = self.document.as_ref().map_or(0, |document| document.attachments.len());
        let stored = u32::try_from(stored).unwrap_or(u32::MAX);
        REPLAY_ATTACH_MAX.saturating_mul(stored)
    }
}

impl Control {
    /// Starts workers, bridge, uplink and attachments. When this fails nothing is left.
    pub(crate) async fn start(
        config: &Config,
        stored: StoredState,
        progress: Reporter,
    ) -> Result<(Self, mpsc::Receiver<DataplaneEvent>, ReplayReport), ControlError> {
        let StoredState { store, mut document } = stored;
        let former = document.iter().flat_map(Document::devices).collect();
        if let Some(document) = &mut document {
            document.rename_first_network(config.bridge.as_str());
        }
        let stored = document.clone();
        if let Some(document) = &mut document {
            document.forget_unknown_sources();
        }
        let netlink = Netlink::connect().map_err(HostError::Connect)?;
        let underlay = UnderlayDevice::find(config, &netlink).await?;
        let left = underlay.as_ref().map(UnderlayDevice::mtu_left);
        let networks = networks(config, document.as_ref(), left)?;
        let boot_id = netns::boot_id().map_err(HostError::Connect)?;
        let (dataplane, events) = Dataplane::start(&DataplaneConfig {
            workers: config.workers.get(),
            backend: config.backend,
            cpus: config.cpus.clone(),
            scheduling: config.scheduling,
            idle: config.idle,
        })?;
        let mut model = Model::new(dataplane.slots());
        model.set_cut_through_default(config.cut_through);
        let parts =
            Inner::new(config.clone(), dataplane, netlink, boot_id, model, (store, progress));
        let control = Self(Arc::new(parts));
        match control.finish_start(networks, underlay, former, document).await {
            Ok(mut replayed) => {
                let saved = control.save_first(stored, &replayed).await;
                match saved {
                    Ok(backup) => replayed.backup = backup,
                    Err(error) => {
                        control.end().await;
                        return Err(error);
                    }
                }
                Ok((control, events, replayed))
            }
            Err(error) => {
                control.end().await;
                Err(error)
            }
        }
    }

    async fn finish_start(
        &self,
        networks: Vec<(NetworkSpec, Option<NetworkRecord>)>,
        underlay: Option<UnderlayDevice>,
        former: Vec<String>,
        document: Option<Document>,
    ) -> Result<ReplayReport, ControlError> {
        for (at, (spec, record)) in networks.into_iter().enumerate() {
            let name = spec.name.clone();
            // A stored network was free of overlaps once; a route that came later does not end it.
            self.restore_network(spec, at > 0).await?;
            if let Some(record) = record {
                let next = (record.next_ipv4, record.next_ipv6);
                self.0.model().resume_addresses(&name, next, &record.reserved);
            }
        }
        self.restore_pools(document.as_ref().map_or(&[], |document| &document.pools));
        self.start_service().await?;
        self.start_tunnel(underlay).await?;
        self.start_registry().await?;
        remove_stale_tables(former).await;
        self.start_uplink(&self.0.netlink).await?;
        let replayed = match document {
            Some(document) => {
                let published = published_ports::stored(&document);
                let replayed = replay::run(self, document).await;
                self.0.publisher.lock().await.end_flows_of(published).await;
                republish::retry_pending(&self.0);
                self.follow_containers().await;
                replayed
            }
            None => ReplayReport::default(),
        };
        let control = self.clone();
        tokio::spawn(async move { control.resume_registered().await });
        tokio::spawn(dhcp::advertise(Arc::clone(&self.0)));
        upkeep::start(self);
        tokio::spawn(cut_through::upkeep(Arc::clone(&self.0)));
        tokio::spawn(save::retry_failed_writes(Arc::clone(&self.0)));
        Ok(replayed)
    }

    /// Writes the document for the first time. If that has less than the stored one, a copy of that is made before;
    /// gives its path.
    async fn save_first(
        &self,
        stored: Option<Document>,
        replayed: &ReplayReport,
    ) -> Result<Option<PathBuf>, ControlError> {
        let now = self.0.model().document();
        let lost = stored.map(|stored| lost(&stored, &now, &replayed.gone)).unwrap_or_default();
        let mut backup = None;
        if !lost.is_empty() {
            let path = self.0.back_up().await?;
            tracing::error!(copy = %path.display(), records = lost.join(", "),
                "records of the state were dropped, since they make no sense now; the copy has them");
            backup = Some(path);
        }
        self.0.save().await?;
        Ok(backup)
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

/// All networks: that of the configuration, and further ones of the document.
fn networks(
    config: &Config,
    document: Option<&Document>,
    left: Option<u32>,
) -> Result<Vec<(NetworkSpec, Option<NetworkRecord>)>, ControlError> {
    let mut records = document.into_iter().flat_map(|document| &document.networks);
    let stored = records.next();
    let first = configured(config, stored)?;
    let mut networks = vec![(first, stored.cloned())];
    for record in records {
        let spec = further(&networks[0].0, record, left)?;
        check_apart(&networks[0].0, &spec)?;
        networks.push((spec, Some(record.clone())));
    }
    Ok(networks)
}

/// Refuses a first network whose subnets share addresses with those of another one on the host: the
/// configuration may name others than before.
fn check_apart(first: &NetworkSpec, other: &NetworkSpec) -> Result<(), ControlError> {
    let shares = |subnet: &IpNet| {
        other.subnets().iter().any(|it| it.contains(subnet) || subnet.contains(it))
    };
    match first.subnets().into_iter().find(shares).filter(|_| other.device.is_some()) {
        Some(subnet) => {
            Err(NetworkError::SubnetInUse { subnet, network: other.name.to_string() }.into())
        }
        None => Ok(()),
    }
}

/// The network of the configuration; what that leaves open is as before.
fn configured(
    config: &Config,
    stored: Option<&NetworkRecord>,
) -> Result<NetworkSpec, ControlError> {
    let subnet = config.subnet.or(stored.map(|stored| stored.subnet)).unwrap_or_default();
    let subnet6 = match (config.subnet6, stored) {
        (Some(configured), _) => configured,
        (None, Some(stored)) => stored.subnet6,
        (None, None) => Subnet6::unique_local(random()?),
    };
    let gateway_mac = match stored {
        Some(stored) => stored.gateway_mac,
        None => local_mac(random()?),
    };
    Ok(NetworkSpec {
        name: config.bridge.as_str().parse()?,
        device: Some(config.bridge.clone()),
        subnet,
        subnet6,
        gateway: subnet.gateway(),
        gateway6: subnet6.gateway(),
        range: None,
        range6: None,
        gateway_mac,
        mtu: config.mtu.get(),
        ageing: config.ageing.duration(),
        fdb_entries_max: config.fdb_entries_max.get(),
        internal: config.uplink == Uplink::None,
        uplink: config.uplink.clone(),
        snat_ports: config.snat_ports.clone(),
        multicast: config.multicast,
        host_config: HostConfig { dhcp: config.dhcp, ra: config.ra },
        isolated_ports: false,
        cut_through: None,
        overlay: None,
        reachable_from: BTreeSet::new(),
        labels: BTreeMap::new(),
        port_settings: SettingsChange::default(),
        host_settings: stored
            .map_or_else(PortSettings::of_host, |stored| stored.host_settings.clone()),
    })
}

/// A further network of the document. The underlay leaves so many bytes to an overlay network.
fn further(
    first: &NetworkSpec,
    record: &NetworkRecord,
    left: Option<u32>,
) -> Result<NetworkSpec, ControlError> {
    let device = record.device().map(|device| device.parse()).transpose();
    let options = record.options.as_ref();
    let overlay = record.overlay.as_ref().map(OverlayRecord::spec).transpose()?;
    let mtu = options.map_or(first.mtu, |options| options.mtu);
    let is_internal = options.is_some_and(|options| options.internal);
    Ok(NetworkSpec {
        name: record.name.parse()?,
        device: device.map_err(ControlError::Ifname)?,
        subnet: record.subnet,
        subnet6: record.subnet6,
        gateway: record.gateway.unwrap_or(record.subnet.gateway()),
        gateway6: record.gateway6.unwrap_or(record.subnet6.gateway()),
        range: record.range,
        range6: record.range6,
        gateway_mac: record.gateway_mac,
        mtu: overlay.as_ref().zip(left).map_or(mtu, |(overlay, left)| overlay.mtu_within(left)),
        overlay,
        internal: is_internal,
        uplink: if is_internal { Uplink::None } else { first.uplink.clone() },
        isolated_ports: options.is_some_and(|options| options.isolated_ports),
        cut_through: options.and_then(|options| options.cut_through),
        reachable_from: options
            .into_iter()
            .flat_map(|options| &options.reachable_from)
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?,
        labels: record.labels.clone(),
        port_settings: record.port_settings.clone(),
        host_config: HostConfig { dhcp: record.dhcp, ra: record.ra },
        host_settings: record.host_settings.clone(),
        ..first.clone()
    })
}
