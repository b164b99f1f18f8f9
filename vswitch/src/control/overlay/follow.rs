//! Follows the underlay: the device with its address, that device's MTU, and the MTU of the paths to peers.
//!
//! The device is looked at after a change that the kernel tells, or lost messages of it, and each [`PATH_MTU_INTERVAL`]
//! while no device has the address. The path to a peer is looked at when the peer comes, and each [`PATH_MTU_INTERVAL`] in which frames passed, or
//! were too long for it.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::time::MissedTickBehavior;
use vswitch_api::event::EventKind;
use vswitch_api::overlay::VtepTraffic;

use crate::config::Mtu;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::limits::PATH_MTU_INTERVAL;
use crate::control::model::NetworkName;
use crate::control::store::NetnsRecord;
use crate::control::task::blocking;
use crate::datapath::VtepIndex;
use crate::host::link_changes::{LinkChange, link_changes};
use crate::host::netlink::Link;
use crate::host::{HostError, container, netns, underlay};

/// The name of the underlay's fault; no device has a space in its name.
const UNDERLAY: &str = "the underlay";

/// Follows the underlay until the switch ends.
pub(super) async fn run(inner: Arc<Inner>, device: u32) {
    let mut changes: Box<dyn Stream<Item = LinkChange> + Send + Unpin> = match link_changes() {
        Ok(changes) => Box::new(changes),
        Err(error) => {
            tracing::warn!(%error, "changes of the underlay's device are not followed");
            Box::new(futures_util::stream::pending())
        }
    };
    let mut follower = Follower { inner, device: Some(device), traffic: Vec::new() };
    let mut tick = tokio::time::interval(PATH_MTU_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while follower.inner.check_not_ending().is_ok() {
        let is_tick = tokio::select! {
            _ = tick.tick() => true,
            Some(change) = changes.next() => match (follower.device, change) {
                (Some(device), LinkChange::Of { index, .. }) if device != index => continue,
                _ => false,
            },
        };
        if !is_tick || follower.device.is_none() {
            follower.look_at_device().await;
        }
        if is_tick {
            follower.look_at_paths().await;
        }
    }
}

struct Follower {
    inner: Arc<Inner>,
    /// Index of the device with the underlay's address.
    device: Option<u32>,
    /// Counters of peers at the last look.
    traffic: Vec<VtepTraffic>,
}

impl Follower {
    async fn look_at_device(&mut self) {
        let inner = Arc::clone(&self.inner);
        let Some(local) = inner.model().tunnel().map(|tunnel| tunnel.local) else { return };
        let found = match underlay::device_of(&inner.netlink, local.ip()).await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "cannot look at the underlay's device"),
        };
        self.device = found.as_ref().map(|link| link.index);
        let before = inner.model().tunnel().map(|it| (it.device.clone(), it.device_mtu));
        let (device, mtu) = match found {
            Some(link) => (Some(link.name), link.mtu),
            // Its networks keep their MTU until it is back.
            None => (None, before.as_ref().map_or(0, |(_, mtu)| *mtu)),
        };
        inner.note_underlay_fault(device.as_deref(), mtu);
        if before == Some((device.clone(), mtu)) {
            return;
        }
        tracing::info!(?device, mtu, "the underlay's device has changed");
        let changed = inner.model().set_underlay(device, mtu);
        let peers: Vec<_> = inner.model().vteps().map(|(_, vtep)| vtep.address).collect();
        for peer in peers {
            inner.read_path_mtu(peer);
        }
        inner.commit_snapshot();
        for network in &changed {
            inner.apply_mtu(network).await;
        }
        if !changed.is_empty()
            && let Err(error) = inner.save().await
        {
            tracing::warn!(%error, "the MTU of overlay networks is not in the document yet");
        }
    }

    /// Reads the MTU of those paths that frames have used since the last look.
    async fn look_at_paths(&mut self) {
        let Ok(report) = self.inner.dataplane.stats().await else { return };
        let count = |all: &[VtepTraffic], index: VtepIndex| {
            all.get(usize::from(index.0)).copied().unwrap_or_default()
        };
        let used = |index| count(&report.vteps, index) != count(&self.traffic, index);
        let peers: Vec<SocketAddr> = {
            let model = self.inner.model();
            let used = model.vteps().filter(|(index, _)| used(*index));
            used.map(|(_, vtep)| vtep.address).collect()
        };
        let mut is_changed = false;
        for peer in peers {
            is_changed |= self.inner.read_path_mtu(peer);
        }
        self.traffic = report.vteps;
        if is_changed {
            self.inner.commit_snapshot();
        }
    }
}

impl Inner {
    /// Takes over the MTU of the path to a peer; says whether it is another one.
    pub(super) fn read_path_mtu(&self, peer: SocketAddr) -> bool {
        let Some(local) = self.model().tunnel().map(|tunnel| tunnel.local) else { return false };
        match underlay::path_mtu(local.ip(), peer) {
            Ok(mtu) => {
                let is_changed = self.model().set_path_mtu(peer, mtu);
                if is_changed {
                    tracing::debug!(%peer, mtu, "the path to a peer");
                }
                is_changed
            }
            Err(error) => {
                tracing::debug!(%peer, %error, "no path to a peer");
                false
            }
        }
    }

    /// Shows what is wrong with the underlay, or that all is well.
    pub(super) fn note_underlay_fault(&self, device: Option<&str>, mtu: u32) {
        let mut model = self.model();
        let fault = {
            let Some(tunnel) = model.tunnel() else { return };
            let left = mtu.saturating_sub(tunnel.overhead());
            let unreachable = model.unreachable_peers();
            match device {
                None => Some(format!("no device has the underlay's address {}", tunnel.local.ip())),
                Some(device) if left < Mtu::MIN.get() => Some(format!(
                    "{device} has MTU {mtu}, which leaves {left} for overlay networks: longer packets are dropped"
                )),
                _ if !unreachable.is_empty() => {
                    let peers = unreachable.iter().map(ToString::to_string).collect::<Vec<_>>();
                    let (peers, address) = (peers.join(", "), tunnel.local.ip());
                    Some(format!(
                        "the underlay {address} does not reach the peers {peers}: remove them"
                    ))
                }
                _ => None,
            }
        };
        let text = fault.clone().unwrap_or_else(|| "none any more".to_owned());
        if model.set_host_fault(UNDERLAY, fault) {
            tracing::warn!(fault = text, "the underlay");
            self.feed.report(EventKind::Fault, UNDERLAY.to_owned(), None, text);
        }
    }

    /// Shows that overlay networks of the document are local ones now.
    pub(super) fn note_no_underlay(&self) {
        let mut model = self.model();
        let overlays = model.networks().filter(|it| it.spec.overlay.is_some());
        let names: Vec<_> = overlays.map(|it| it.spec.name.to_string()).collect();
        if !names.is_empty() {
            let fault = format!(
                "the switch has no --underlay, so that nothing leaves this host on the overlay networks {}",
                names.join(", ")
            );
            tracing::warn!(fault, "the underlay");
            model.set_host_fault(UNDERLAY, Some(fault));
        }
    }

    /// Sets the MTU of a network's interfaces: the host's, and those of containers.
    pub(super) async fn apply_mtu(&self, name: &NetworkName) {
        let (sizes, device, interfaces) = {
            let model = self.model();
            let Some(network) = model.network_named(name) else { return };
            let spec = &network.spec;
            let device = spec.device.as_ref().map(ToString::to_string);
            ((spec.mtu, spec.gso_max_size()), device, model.interfaces_on(name))
        };
        tracing::info!(network = %name, mtu = sizes.0, "its MTU follows the underlay");
        if let (Some(index), Some(device)) = (self.host_port_index(name), device) {
            let set = self.netlink.set_mtu(&Link::new(index, device), sizes.0, sizes.1).await;
            if let Err(error) = set {
                tracing::warn!(network = %name, %error, "the MTU of the host's device stays");
            }
        }
        for (key, mac, record) in interfaces {
            if let Err(error) = set_in_container(record, mac, sizes).await {
                tracing::warn!(name = %key, network = %name, %error, "the MTU of its interface stays");
            }
        }
    }
}

async fn set_in_container(
    record: NetnsRecord,
    mac: wire::MacAddr,
    sizes: (u32, Option<u32>),
) -> Result<(), ControlError> {
    let NetnsRecord { path, id, .. } = record;
    let netns = blocking(move || netns::open_path(&path)).await?.map_err(HostError::from)?;
    if netns.id == id {
        container::set_mtu(netns, mac, sizes).await?;
    }
    Ok(())
}
