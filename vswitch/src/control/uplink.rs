//! The uplink: states of the host go into snapshots, questions of the datapath go to the host.
//!
//! ```text
//! host::uplink  -- UplinkState -->  follow_uplink() --> model (Uplink) --> snapshot: routes, neighbours, policy
//! datapath      -- Resolve     -->  resolve()       --> host::uplink: asks the kernel for a neighbour
//! a plan's step -- Forward     -->  HostPublisher   --> host::uplink: reserved ports, nftables, proxy of ::1
//! ```
//!
//! States, as `status` names them: *waiting* (no device: `--uplink auto` without a default route) <-> *down*
//! <-> *up*. They are the host's; nothing here has a timeout.

use std::net::IpAddr;
use std::sync::Arc;

use fastpath::PortIndex;
use tokio::sync::watch;
use tokio::time::Duration;
use vswitch_api::event::EventKind;
use vswitch_api::status::{self, UplinkMode, UplinkStatus};

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{self, Model};
use super::task::blocking;
use crate::config::Uplink as UplinkSetting;
use crate::host::Netlink;
use crate::host::uplink::{
    self, Config as UplinkConfig, Mode, Uplink, UplinkSelector, UplinkState,
};

/// Pause after a change of the host, since changes come in bursts.
const UPLINK_DEBOUNCE: Duration = Duration::from_millis(5);

impl Control {
    /// Starts the uplink of the configuration. When this fails nothing is left of it.
    pub(super) async fn start_uplink(&self, netlink: &Netlink) -> Result<(), ControlError> {
        let inner = &self.0;
        let Some(config) = uplink_config(inner) else {
            // A daemon before may have crashed with another uplink.
            let (bridge, state_dir) = (inner.config.bridge.clone(), inner.config.state_dir.clone());
            let restore = move || uplink::restore_after_crash(bridge.as_str(), state_dir.path());
            if let Err(error) = blocking(restore).await? {
                tracing::warn!(%error, "parts of a former uplink may be left on the host");
            }
            return Ok(());
        };
        let networks = inner.model().host_networks();
        let (mut uplink, states) = Uplink::start(config, networks, netlink)
            .await
            .map_err(|error| ControlError::UplinkUnavailable(error.to_string()))?;
        let tap = uplink.take_tap();
        let tap_mac = tap.as_ref().map(|_| uplink.tap_mac());
        let state = states.borrow().clone();
        let position = inner.model().add_uplink(&inner.config.bridge, tap_mac, state)?;
        inner.commit_snapshot();
        let port = inner.model().uplinks().get(position).and_then(|uplink| uplink.tap);
        if let (Some(tap), Some((port, _))) = (tap, port) {
            inner.dataplane.add_port(port, tap.queues).await?;
        }
        inner.publisher.lock().await.uplink = Some(uplink);
        log_state(&states.borrow());
        tokio::spawn(follow_uplink(Arc::clone(inner), position, states));
        Ok(())
    }

    /// Undoes the uplink on the host.
    pub(super) async fn stop_uplink(&self) {
        let uplink = std::mem::take(&mut *self.0.publisher.lock().await).uplink;
        if let Some(uplink) = uplink {
            uplink.stop().await;
        }
    }

    /// Asks the kernel for the MAC address of a next hop that frames wait for.
    pub(super) fn resolve(&self, next_hop: IpAddr, port: PortIndex) {
        let inner = Arc::clone(&self.0);
        // The question waits while publications are opened; the datapath repeats it each second.
        tokio::spawn(async move {
            if let Some(uplink) = &inner.publisher.lock().await.uplink {
                uplink.resolve(next_hop, port);
            }
        });
    }
}

/// The configuration of the host's uplink; none if the switch is internal to the host.
fn uplink_config(inner: &Inner) -> Option<UplinkConfig> {
    let config = &inner.config;
    let mode = match &config.uplink {
        UplinkSetting::None => return None,
        UplinkSetting::Kernel => Mode::Kernel,
        UplinkSetting::Auto => Mode::Own(UplinkSelector::Auto),
        UplinkSetting::Devices(names) => Mode::Own(UplinkSelector::Device(names[0].to_string())),
    };
    Some(UplinkConfig {
        bridge: config.bridge.to_string(),
        mode,
        queues: inner.dataplane.workers(),
        snat_ports: config.snat_ports.range(),
        state_dir: config.state_dir.path().to_owned(),
    })
}

/// Takes states of the host over into the model, until the uplink is stopped.
async fn follow_uplink(
    inner: Arc<Inner>,
    position: usize,
    mut states: watch::Receiver<UplinkState>,
) {
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().clone();
        {
            let mut model = inner.model();
            let Some(uplink) = model.uplinks().get(position) else { return };
            if (uplink.state.up, &uplink.state.device) != (state.up, &state.device) {
                log_state(&state);
                report_state(&inner, name(&model, uplink), &state);
            }
            model.set_uplink_state(position, state);
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

/// Reports a state to clients that listen. The name is that before the change.
fn report_state(inner: &Inner, name: String, state: &UplinkState) {
    let detail = match uplink_state(state) {
        (state, None) => state.to_string(),
        (state, Some(reason)) => format!("{state}: {reason}"),
    };
    inner.feed.report(EventKind::Uplink, name, None, detail);
}

/// The state for the API, and the reason.
fn uplink_state(state: &UplinkState) -> (status::UplinkState, Option<String>) {
    use status::UplinkState::{Down, Up, Waiting};
    let device = &state.device;
    if device.is_empty() {
        return (Waiting, Some("the host has no default route yet".to_owned()));
    }
    if state.ifindex == 0 {
        return (Down, Some(format!("there is no device {device}")));
    }
    if !state.up {
        return (Down, Some(format!("{device} is down, or has no carrier")));
    }
    (Up, None)
}

/// The uplinks for `status`.
pub(super) fn statuses(model: &Model, connections: usize) -> Vec<UplinkStatus> {
    let (publications, publications_pending) = model.count_publications();
    let mut users = model.networks().filter(|it| it.spec.uplink != UplinkSetting::None);
    let snat_ports = users.next().map(|network| network.spec.snat_ports.to_string());
    let status = |uplink: &model::Uplink| {
        let is_own = uplink.tap.is_some();
        let (state, reason) = match is_own {
            true => uplink_state(&uplink.state),
            false => (status::UplinkState::Up, None),
        };
        let UplinkState { device, mtu, ipv4, ipv6, .. } = &uplink.state;
        let has_device = !device.is_empty();
        UplinkStatus {
            name: name(model, uplink),
            mode: if is_own { UplinkMode::UserSpace } else { UplinkMode::Kernel },
            state,
            reason,
            device: has_device.then(|| device.clone()),
            mtu: has_device.then_some(*mtu),
            ipv4: ipv4.iter().copied().collect(),
            ipv6: ipv6.iter().copied().collect(),
            snat_ports: snat_ports.clone().unwrap_or_default(),
            publications,
            publications_pending,
            connections,
        }
    };
    model.uplinks().iter().map(status).collect()
}

/// The uplink's name: `kernel`, the device, or `auto` before there is one.
pub(super) fn name(model: &Model, uplink: &model::Uplink) -> String {
    if uplink.tap.is_some() && !uplink.state.device.is_empty() {
        return uplink.state.device.clone();
    }
    let mut settings = model.networks().map(|network| &network.spec.uplink);
    settings.find(|it| **it != UplinkSetting::None).map(ToString::to_string).unwrap_or_default()
}
