//! The uplink: states of the host go into snapshots, questions of the datapath go to the host.
//!
//! ```text
//! host::uplink  -- UplinkState -->  follow_uplink() --> model (Uplink) --> snapshot: routes, neighbours, policy
//! datapath      -- Resolve     -->  resolve()       --> host::uplink: asks the kernel for a neighbour
//! datapath      -- BlocksWanted -> snat_blocks   --> host::uplink: claims ports for SNAT
//! a plan's step -- Forward     -->  HostPublisher   --> host::uplink: reserved ports, nftables, proxy of ::1
//! ```
//!
//! States of an uplink, as `status` names them: *down* <-> *up*; *waiting* while `--uplink auto` finds no device. They
//! are the host's; nothing here has a timeout. The TAP of each uplink is a port of the switch as long as the host says
//! so ([`ports`]).

mod ports;

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
use super::limits::PORT_RETRY;
use super::model::{self, Model};
use super::task::blocking;
use crate::config::{IfName, Uplink as UplinkSetting};
use crate::host::Netlink;
use crate::host::limits::{HOST_SOURCES_MAX, RULE_SOURCES_MAX};
use crate::host::uplink::{
    self, Config as UplinkConfig, LinkState, Mode, PortlessNote, PortlessNotes, Uplink,
    UplinkSelector, UplinkState,
};
use ports::UplinkPorts;

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
        let devices = uplink::devices(inner.config.bridge.as_str());
        let tap_name = devices.get(1).cloned().unwrap_or_default();
        let waits = || inner.progress.waits_for(&tap_name);
        let (mut uplink, states) = Uplink::start(config, networks, netlink, &waits)
            .await
            .map_err(|error| ControlError::UplinkUnavailable(error.to_string()))?;
        let (taps, state) = (uplink.taps(), states.borrow().clone());
        let is_own = inner.config.uplink.is_user_space();
        inner.model().add_uplink(&inner.config.bridge, is_own, state.clone());
        let mut ports = UplinkPorts::new(taps);
        ports.adapt(inner).await?;
        inner.commit_snapshot();
        if let Some(notes) = uplink.take_portless_notes() {
            tokio::spawn(tell_portless(Arc::clone(inner), notes));
        }
        let claimed = self.start_snat_blocks(&uplink).await;
        // Also after an error, so that it is stopped.
        inner.publisher.lock().await.uplink = Some(uplink);
        claimed?;
        log_changes(None, &state);
        tokio::spawn(follow_uplink(Arc::clone(inner), ports, states));
        Ok(())
    }

    /// Undoes the uplink on the host.
    pub(super) async fn stop_uplink(&self) {
        self.0.snat_blocks.end().await;
        let uplink = std::mem::take(&mut *self.0.publisher.lock().await).uplink;
        if let Some(uplink) = uplink {
            uplink.stop().await;
        }
    }

    /// Asks the kernel for the MAC address of a next hop that frames wait for.
    pub(super) fn resolve(&self, next_hop: IpAddr, uplink: PortIndex, port: PortIndex) {
        let inner = Arc::clone(&self.0);
        let device = inner.model().uplink().and_then(|it| it.device_at(uplink)).map(str::to_owned);
        let Some(device) = device else { return };
        // The question waits while publications are opened; the datapath repeats it each second.
        tokio::spawn(async move {
            if let Some(uplink) = &inner.publisher.lock().await.uplink {
                uplink.resolve(device, next_hop, port);
            }
        });
    }

    /// Has the NIC hand over what comes from a remote by a protocol without ports, while a container uses it and the
    /// host does not.
    pub(super) fn hand_over(&self, remote: IpAddr, protocol: u8) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Some(uplink) = &inner.publisher.lock().await.uplink {
                uplink.hand_over(remote, protocol);
            }
        });
    }
}

/// The configuration of the host's uplink; none if the switch is internal to the host.
fn uplink_config(inner: &Inner) -> Option<UplinkConfig> {
    let config = &inner.config;
    let selector = |names: &[IfName]| UplinkSelector {
        named: names.iter().map(ToString::to_string).collect(),
        exclude: config.uplink_exclude.globs().to_vec(),
    };
    let mode = match &config.uplink {
        UplinkSetting::None => return None,
        UplinkSetting::Kernel => Mode::Kernel,
        UplinkSetting::Auto => Mode::Own(selector(&[])),
        UplinkSetting::Devices(names) => Mode::Own(selector(names)),
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
    mut ports: UplinkPorts,
    mut states: watch::Receiver<UplinkState>,
) {
    let mut has_failed = false;
    loop {
        let retry = tokio::time::sleep(PORT_RETRY);
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = retry, if has_failed => {}
        }
        let state = states.borrow_and_update().clone();
        {
            let mut model = inner.model();
            let Some(uplink) = model.uplink() else { return };
            log_changes(Some(&uplink.state), &state);
            report_changes(&inner, &uplink.state, &state);
            if uplink.state != state {
                model.set_uplink_state(state);
            }
        }
        let adapted = ports.adapt(&inner).await;
        // Only the first of a row.
        if let Err(error) = &adapted
            && !has_failed
        {
            tracing::error!(%error, "an uplink's TAP is no port of the switch; it is tried again");
        }
        has_failed = adapted.is_err();
        inner.commit_snapshot();
        tokio::time::sleep(UPLINK_DEBOUNCE).await;
    }
}

/// Tells the workers which flows without ports are theirs, and which the host's, until the uplink is stopped.
async fn tell_portless(inner: Arc<Inner>, mut notes: PortlessNotes) {
    while let Some(note) = notes.recv().await {
        match note {
            PortlessNote::OfHost(flows) => inner.dataplane.refuse_portless(flows),
            PortlessNote::HandedOver(flows) => inner.dataplane.admit_portless(flows),
        }
    }
}

/// Uplinks that came, went, or changed, with their state before.
fn changes<'a>(
    before: &'a UplinkState,
    now: &'a UplinkState,
) -> impl Iterator<Item = (&'a str, Option<&'a LinkState>)> {
    let gone = before.links.iter().filter(|link| now.link(&link.device).is_none());
    let changed = now.links.iter().filter(|link| {
        before.link(&link.device).is_none_or(|it| (it.up, it.ifindex) != (link.up, link.ifindex))
    });
    let changed = changed.map(|link| (link.device.as_str(), Some(link)));
    changed.chain(gone.map(|link| (link.device.as_str(), None)))
}

/// Logs what is other than before, or all at the start.
fn log_changes(before: Option<&UplinkState>, now: &UplinkState) {
    let waited = before.is_some_and(|it| it.links.is_empty());
    let before = &before.cloned().unwrap_or_default();
    for (device, link) in changes(before, now) {
        let Some(link) = link else {
            tracing::warn!(device, "the device is no uplink any more");
            continue;
        };
        let LinkState { mtu, ipv4, ipv6, .. } = link;
        match link_state(link) {
            (_, None) => tracing::info!(device, mtu, ?ipv4, ?ipv6, "the uplink is up"),
            (name, Some(reason)) => tracing::warn!(device, reason, "the uplink is {name}"),
        }
    }
    for hint in now.hints.iter().filter(|hint| !before.hints.contains(hint)) {
        tracing::warn!(hint, "a part of the host's configuration is not used");
    }
    let unread = now.rules.unread().iter();
    for rule in unread.filter(|rule| !before.rules.unread().contains(rule)) {
        tracing::warn!(rule, "a routing rule is not followed");
    }
    if now.links.is_empty() && !waited {
        tracing::warn!("{WAITING}");
    }
}

/// Reports changes to clients that listen.
fn report_changes(inner: &Inner, before: &UplinkState, now: &UplinkState) {
    for (device, link) in changes(before, now) {
        let detail = match link.map(link_state) {
            None => "no uplink any more".to_owned(),
            Some((state, None)) => state.to_string(),
            Some((state, Some(reason))) => format!("{state}: {reason}"),
        };
        inner.feed.report(EventKind::Uplink, device.to_owned(), None, detail);
    }
}

const WAITING: &str = "the host has no device that leads out yet";

/// The state for the API, and the reason.
fn link_state(link: &LinkState) -> (status::UplinkState, Option<String>) {
    use status::UplinkState::{Down, Up};
    let device = &link.device;
    if link.ifindex == 0 {
        return (Down, Some(format!("there is no device {device}")));
    }
    if !link.up {
        return (Down, Some(format!("{device} is down, or has no carrier")));
    }
    (Up, None)
}

/// The same of an uplink of the switch, which needs a port, too.
fn link_state_with_port(
    uplink: &model::Uplink,
    link: &LinkState,
) -> (status::UplinkState, Option<String>) {
    match (link_state(link), uplink.tap_fault(&link.device)) {
        ((status::UplinkState::Up, _), Some(fault)) => {
            (status::UplinkState::Down, Some(format!("{} has no port: {fault}", link.device)))
        }
        (state, _) => state,
    }
}

/// The uplinks for `status`.
pub(super) fn statuses(model: &Model, connections: [u64; 2]) -> Vec<UplinkStatus> {
    let Some(uplink) = model.uplink() else { return Vec::new() };
    let (publications, publications_pending) = model.count_publications();
    let mut users = model.networks().filter(|it| it.spec.uplink != UplinkSetting::None);
    let snat_ports = users.next().map(|network| network.spec.snat_ports.to_string());
    let status = |link: Option<&LinkState>| {
        let (state, reason) = match link {
            _ if !uplink.is_own => (status::UplinkState::Up, None),
            Some(link) => link_state_with_port(uplink, link),
            None => (status::UplinkState::Waiting, Some(WAITING.to_owned())),
        };
        let device = link.map(|link| link.device.clone());
        let is_named = uplink.is_own && device.is_some();
        UplinkStatus {
            name: device.clone().filter(|_| is_named).unwrap_or_else(|| setting(model)),
            mode: if uplink.is_own { UplinkMode::UserSpace } else { UplinkMode::Kernel },
            state,
            reason,
            device,
            mtu: link.map(|link| link.mtu),
            ipv4: link.and_then(|link| link.ipv4).into_iter().collect(),
            ipv6: link.and_then(|link| link.ipv6).into_iter().collect(),
            snat_ports: snat_ports.clone().unwrap_or_default(),
            publications,
            publications_pending,
            connections: connections[0] as usize,
            connections_sharing: connections[1] as usize,
        }
    };
    let links = &uplink.state.links;
    match uplink.is_own && !links.is_empty() {
        true => links.iter().map(|link| status(Some(link))).collect(),
        false => vec![status(links.first())],
    }
}

/// The same with the labels of metrics.
pub(super) fn labelled_statuses(model: &Model) -> Vec<(String, UplinkStatus)> {
    let label = |status: &UplinkStatus| {
        let device = status.device.as_deref().unwrap_or_default();
        model.uplink().map(|uplink| uplink.label_of(device)).unwrap_or_default()
    };
    statuses(model, [0; 2]).into_iter().map(|status| (label(&status), status)).collect()
}

/// What the user should know about devices and rules that the switch does not use.
pub(super) fn hints(model: &Model) -> Vec<String> {
    let Some(uplink) = model.uplink().filter(|uplink| uplink.is_own) else { return Vec::new() };
    let rules = &uplink.state.rules;
    let unread = rules.unread().iter().map(|rule| format!("the rule `{rule}` is not followed"));
    let crowded = model.networks().filter(|network| {
        let sources = network.spec.subnets().map(|subnet| rules.sources_within(subnet).len());
        sources.iter().sum::<usize>() > RULE_SOURCES_MAX
    });
    let crowded = crowded.map(|network| {
        let name = &network.spec.name;
        format!("more than {RULE_SOURCES_MAX} rules `from` parts of the network {name}: the rest are not followed")
    });
    let sources = model.host_sources();
    let unfollowed = sources.get(HOST_SOURCES_MAX).map(|first| {
        format!(
            "rules `from` name {} addresses of the host, and {HOST_SOURCES_MAX} are followed: not {first} and those after it",
            sources.len()
        )
    });
    uplink.state.hints.iter().cloned().chain(unread).chain(crowded).chain(unfollowed).collect()
}

/// The names of uplinks: the devices, or the setting while there is none.
pub(super) fn names(model: &Model, uplink: &model::Uplink) -> Vec<String> {
    if !uplink.is_own || uplink.state.links.is_empty() {
        return vec![setting(model)];
    }
    uplink.state.links.iter().map(|link| link.device.clone()).collect()
}

/// The setting: `kernel`, `auto` or devices.
fn setting(model: &Model) -> String {
    let mut settings = model.networks().map(|network| &network.spec.uplink);
    settings.find(|it| **it != UplinkSetting::None).map(ToString::to_string).unwrap_or_default()
}
