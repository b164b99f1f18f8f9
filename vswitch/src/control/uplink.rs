//! The way out: what the host says of it goes into snapshots, what is published goes to the host.
//!
//! ```text
//! host::uplink  -- UplinkState -->  follow_uplink() --> model (UplinkRuntime) --> snapshot: routes, neighbours, policy
//! datapath      -- Resolve     -->  resolve()       --> host::uplink: asks the kernel for a neighbour
//! a plan's step -- Forward     -->  HostPublisher::open, close --> host::uplink: reserved ports, nftables, proxy of ::1
//! ```
//!
//! A publication is shown to the datapath before it is opened on the host, and closed there before it is
//! hidden: a frame that is handed over always finds its rule. All that is open is loaded as one, so the
//! publisher is locked meanwhile, and each change adds to what stood before it.
//!
//! States, as `status` names them: *waiting* (no device: `--uplink auto` without a default route) <-> *down*
//! <-> *up*. They are the host's; nothing here has a timeout.

use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::Duration;
use vswitch_api::publish::{PortSpec, Protocol, Publication};
use vswitch_api::status::{UplinkMode, UplinkState as StateName, UplinkStatus};

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{Lease, Model, UPLINK_PORT, UplinkRuntime};
use super::name::Name;
use super::port::blocking;
use crate::config::{Config, Uplink as UplinkSetting};
use crate::host::Netlink;
use crate::host::nft::{Forward, Protocol as HostProtocol, Published};
use crate::host::reserve::ReserveError;
use crate::host::uplink::{
    self, Config as UplinkConfig, Mode, Uplink, UplinkError, UplinkSelector, UplinkState,
};

/// Pause after a change of the host was followed: many come at once.
const UPLINK_DEBOUNCE: Duration = Duration::from_millis(5);

/// The host's side of the way out, and what is open on it.
#[derive(Debug, Default)]
pub(super) struct HostPublisher {
    uplink: Option<Uplink>,
    active: Vec<HostPublication>,
}

/// A publication that the host hands over.
#[derive(Debug, Clone)]
struct HostPublication {
    name: Name,
    ports: PortSpec,
    forward: Forward,
}

impl HostPublisher {
    /// Opens publications of an attachment: all, or none.
    pub(super) async fn open(
        &mut self,
        lease: &Lease,
        publications: &[Publication],
    ) -> Result<(), UplinkError> {
        let new = publications.iter().filter_map(|one| {
            let (name, ports) = (lease.name.clone(), one.ports);
            Some(HostPublication { name, ports, forward: forward(&ports, lease)? })
        });
        let all = self.active.iter().cloned().chain(new).collect();
        self.load(all).await
    }

    /// Closes those publications of an attachment that `goes` says.
    pub(super) async fn close(
        &mut self,
        name: &Name,
        goes: impl Fn(&PortSpec) -> bool,
    ) -> Result<(), UplinkError> {
        let mut left = self.active.clone();
        left.retain(|one| one.name != *name || !goes(&one.ports));
        self.load(left).await
    }

    async fn load(&mut self, all: Vec<HostPublication>) -> Result<(), UplinkError> {
        let Some(uplink) = self.uplink.as_mut().filter(|_| all.len() != self.active.len()) else {
            return Ok(());
        };
        uplink.set_published(all.iter().map(|one| one.forward.clone()).collect()).await?;
        self.active = all;
        Ok(())
    }
}

fn forward(ports: &PortSpec, lease: &Lease) -> Option<Forward> {
    let host = ports.host()?;
    let protocol = match ports.protocol() {
        Protocol::Tcp => HostProtocol::Tcp,
        Protocol::Udp => HostProtocol::Udp,
        Protocol::Sctp => HostProtocol::Sctp,
    };
    let address = ports.address();
    Some(Forward {
        published: Published { address, protocol, ports: host.first()..=host.last() },
        to4: Some(lease.ipv4).filter(|_| address.is_none_or(|address| address.is_ipv4())),
        to6: Some(lease.ipv6).filter(|_| address.is_none_or(|address| address.is_ipv6())),
        to_port: ports.container().first(),
    })
}

impl Control {
    /// Makes the way out that the configuration asks for. When this fails nothing is left of it.
    pub(super) async fn start_uplink(&self, netlink: &Netlink) -> Result<(), ControlError> {
        let inner = &self.0;
        let Some(config) = uplink_config(inner) else {
            // That of before may have crashed with another way out.
            let (bridge, state_dir) = (inner.config.bridge.clone(), inner.config.state_dir.clone());
            let restore = move || uplink::restore_after_crash(bridge.as_str(), state_dir.path());
            if let Err(error) = blocking(restore).await? {
                tracing::warn!(%error, "what a way out of before left may still be there");
            }
            return Ok(());
        };
        let (mut uplink, states) =
            Uplink::start(config, netlink).await.map_err(ControlError::uplink_unavailable)?;
        let tap = uplink.take_tap();
        let tap_mac = tap.as_ref().map(|_| uplink.tap_mac());
        inner.model().set_uplink(UplinkRuntime { tap_mac, state: states.borrow().clone() });
        inner.commit_snapshot();
        if let Some(tap) = tap {
            inner.dataplane.add_port(UPLINK_PORT, tap.queues).await?;
        }
        inner.publisher.lock().await.uplink = Some(uplink);
        log_state(&states.borrow());
        tokio::spawn(follow_uplink(Arc::clone(inner), states));
        Ok(())
    }

    /// Gives the host its side of the way out back.
    pub(super) async fn stop_uplink(&self) {
        let uplink = std::mem::take(&mut *self.0.publisher.lock().await).uplink;
        if let Some(uplink) = uplink {
            uplink.stop().await;
        }
    }

    /// Asks the kernel for the MAC address of a next hop that frames wait for.
    pub(super) fn resolve(&self, next_hop: IpAddr, port: PortIndex) {
        let inner = Arc::clone(&self.0);
        // While publications are being opened the question waits; the datapath asks each one once a second.
        tokio::spawn(async move {
            if let Some(uplink) = &inner.publisher.lock().await.uplink {
                uplink.resolve(next_hop, port);
            }
        });
    }
}

/// What is asked of the host; nothing for an internal network.
fn uplink_config(inner: &Inner) -> Option<UplinkConfig> {
    let Config { uplink, snat_ports, state_dir, .. } = &inner.config;
    let mode = match uplink {
        UplinkSetting::None => return None,
        UplinkSetting::Kernel => Mode::Kernel,
        UplinkSetting::Auto => Mode::Own(UplinkSelector::Auto),
        UplinkSetting::Device(name) => Mode::Own(UplinkSelector::Device(name.to_string())),
    };
    let model = inner.model();
    let network = &model.network;
    Some(UplinkConfig {
        bridge: network.name.to_string(),
        mode,
        queues: inner.dataplane.workers(),
        subnets: vec![IpNet::V4(network.subnet.net()), IpNet::V6(network.subnet6.net())],
        snat_ports: snat_ports.range(),
        state_dir: state_dir.path().to_owned(),
    })
}

/// Takes over what changes on the host, until its side is stopped.
async fn follow_uplink(inner: Arc<Inner>, mut states: watch::Receiver<UplinkState>) {
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().clone();
        {
            let mut model = inner.model();
            let Some(uplink) = model.uplink().cloned() else { return };
            if (uplink.state.up, &uplink.state.device) != (state.up, &state.device) {
                log_state(&state);
            }
            model.set_uplink(UplinkRuntime { state, ..uplink });
        }
        inner.commit_snapshot();
        tokio::time::sleep(UPLINK_DEBOUNCE).await;
    }
}

fn log_state(state: &UplinkState) {
    let UplinkState { device, mtu, ipv4, ipv6, .. } = state;
    match uplink_state(state) {
        (_, None) => tracing::info!(device, mtu, ?ipv4, ?ipv6, "the uplink is up"),
        (name, Some(reason)) => tracing::warn!(device, reason, "the uplink is {name}"),
    }
}

/// Its state, and the reason.
fn uplink_state(state: &UplinkState) -> (StateName, Option<String>) {
    let device = &state.device;
    if device.is_empty() {
        return (StateName::Waiting, Some("the host has no default route yet".to_owned()));
    }
    if state.ifindex == 0 {
        return (StateName::Down, Some(format!("there is no device {device}")));
    }
    if !state.up {
        return (StateName::Down, Some(format!("{device} is down, or has no carrier")));
    }
    (StateName::Up, None)
}

/// The uplink for `status`; nothing for an internal network.
pub(super) fn status(model: &Model, connections: usize) -> Option<UplinkStatus> {
    let uplink = model.uplink()?;
    let is_own = uplink.tap_mac.is_some();
    let (publications, publications_pending) = model.count_publications();
    let (state, reason) = match is_own {
        true => uplink_state(&uplink.state),
        false => (StateName::Up, None),
    };
    let UplinkState { device, mtu, ipv4, ipv6, .. } = &uplink.state;
    let has_device = !device.is_empty();
    Some(UplinkStatus {
        name: name(model)?,
        mode: if is_own { UplinkMode::UserSpace } else { UplinkMode::Kernel },
        state,
        reason,
        device: has_device.then(|| device.clone()),
        mtu: has_device.then_some(*mtu),
        ipv4: ipv4.iter().copied().collect(),
        ipv6: ipv6.iter().copied().collect(),
        snat_ports: model.network.snat_ports.to_string(),
        publications,
        publications_pending,
        connections,
    })
}

/// The uplink's name: `kernel`, the device, or `auto` while it waits for one.
pub(super) fn name(model: &Model) -> Option<String> {
    let uplink = model.uplink()?;
    let has_device = uplink.tap_mac.is_some() && !uplink.state.device.is_empty();
    Some(if has_device { uplink.state.device.clone() } else { model.network.uplink.to_string() })
}

/// Whether a port of the host was taken.
pub(super) fn is_port_taken(error: &UplinkError) -> bool {
    matches!(error, UplinkError::Reserve(ReserveError::Taken { .. }))
}

impl ControlError {
    /// Why the uplink is unavailable.
    fn uplink_unavailable(error: UplinkError) -> Self {
        Self::UplinkUnavailable(error.to_string())
    }

    /// Why the host does not hand ports over.
    pub(super) fn publish_failed(error: UplinkError) -> Self {
        match error {
            UplinkError::Reserve(ReserveError::NotLocalAddress(address)) => {
                Self::NotOurAddress(address)
            }
            UplinkError::Reserve(error @ ReserveError::Taken { .. }) => {
                Self::HostPortTaken(error.to_string())
            }
            error @ UplinkError::Shifted(_) => Self::Shifted(error.to_string()),
            error => Self::PublishFailed(error.to_string()),
        }
    }
}
