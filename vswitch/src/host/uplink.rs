//! The uplink: the host's NIC, a TAP beside it, and the rules between the two.
//!
//! For control, all of it is [`Uplink`]:
//!
//! ```text
//! let (mut uplink, states) = Uplink::start(config, networks, &netlink).await?;   // host ports exist already
//! let tap = uplink.take_tap();                    // its queues are a port of the switch
//! states.changed().await;                         // UplinkState: routes and neighbours, on every change
//! uplink.resolve(address, port);                  // a frame waits for this neighbour: see states
//! uplink.set_published(forwards).await?;          // all published ports
//! uplink.set_networks(networks).await?;           // all networks with a host port
//! uplink.stop().await;                            // the host is as before
//! ```
//!
//! A frame without a connection goes back to the host: the switch writes it into the TAP with destination
//! [`Uplink::tap_mac`]. Every other frame written into the TAP leaves by the NIC unchanged.
//!
//! # Changes to the host
//!
//! `stop` undoes them, and so does dropping; [`parts`] hands them over instead.
//!
//! | change | after a crash |
//! |---|---|
//! | the TAP `up-BRIDGE`, its settings and its dummy address | gone with the process |
//! | `net.ipv4.conf.DEVICE.route_localnet` of host ports, for published ports on 127.0.0.1 | gone with the device |
//! | nftables tables `vswitch-BRIDGE` ([`nft`](super::nft)) | stay, adopted by the next `up` |
//! | `net.ipv4.ip_local_reserved_ports` ([`reserve`](super::reserve)) | kept in the state directory |
//! | `net.ipv4.ip_forward`, with `--uplink kernel` only ([`forwarding`]) | kept in the state directory |
//!
//! `start` undoes the last three of a former crash. [`restore_after_crash`] does so for a start without an
//! uplink, and `down` without a daemon step by step.
//!
//! # States
//!
//! *up* <-> *down* (no carrier, or administratively) <-> *gone* (no such device: index 0; the TAP drops frames
//! of the switch). A device of the same name that comes back is the uplink again; `auto` follows the default
//! route, if its device is Ethernet. Rules change first, then the state is published.

mod device;
mod devices;
mod error;
pub(super) mod forwarding;
mod monitor;
mod neigh_refresh;
mod parts;
mod publish;
mod rules;
mod source;
mod state;
mod tables;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use fastpath::PortIndex;
use fastpath::tap::Tap;
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};
use wire::MacAddr;

pub(crate) use error::UplinkError;
#[cfg(test)]
pub(crate) use state::Route;
pub(crate) use state::{UplinkSelector, UplinkState};

use super::limits::NEIGH_REFRESH_MAX;
use super::nft;
use super::reserve::reserved_ports::{self, PortSet, ReservedPorts};
use super::reserve::snat_lock::{self, SnatRangeLock};
use super::task::Task;
use super::{HostError, Netlink, sysctl};
use forwarding::Forwarding;
use monitor::UplinkMonitor;
use publish::Entry;
use state::Kernel;
use tables::{Fixed, Shared, TapId};

/// How frames leave the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By the uplink TAP; the switch translates.
    Own(UplinkSelector),
    /// By the host port; the kernel translates.
    Kernel,
}

/// Settings of the uplink.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The switch's bridge, after which its parts are named.
    pub(crate) bridge: String,
    pub(crate) mode: Mode,
    /// Queues of the TAP, one a worker.
    pub(crate) queues: usize,
    pub(crate) snat_ports: RangeInclusive<u16>,
    pub(crate) state_dir: PathBuf,
}

/// A network on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostNetwork {
    /// Its host port, which exists.
    pub(crate) device: String,
    pub(crate) subnets: [IpNet; 2],
    /// The gateway's addresses, which the host port has.
    pub(crate) gateways: Vec<IpAddr>,
    /// No container of it reaches the world.
    pub(crate) is_internal: bool,
    /// Host ports of networks whose containers may open connections to its own.
    pub(crate) reachable_from: Vec<String>,
}

/// The uplink of a switch.
#[derive(Debug)]
pub(crate) struct Uplink {
    shared: Shared,
    monitor: Task,
    neigh_requests: mpsc::Sender<(IpAddr, PortIndex)>,
    tap: Option<Tap>,
    tap_id: Option<TapId>,
    entries: Vec<Entry>,
    reserved: ReservedPorts,
    snat: PortSet,
    snat_lock: Option<SnatRangeLock>,
    forwarding: Option<Forwarding>,
}

impl Uplink {
    /// Creates the uplink, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// See [`UplinkError`]; nothing is left behind.
    pub(crate) async fn start(
        config: Config,
        networks: Vec<HostNetwork>,
        netlink: &Netlink,
    ) -> Result<(Self, watch::Receiver<UplinkState>), UplinkError> {
        let (monitor, kernel) = connect(&config).await?;
        let is_own = config.mode != Mode::Kernel;
        let name = match device::choose(&kernel, &config.selector()) {
            // Without a device it waits for a default route.
            Err(UplinkError::NoDefaultRoute) => String::new(),
            Err(error) if is_own => return Err(error),
            chosen => chosen.unwrap_or_default(),
        };
        let state = kernel.compile(&name, None);
        reserved_ports::restore_after_crash(&config.state_dir)?;
        let mut snat_lock = None;
        if is_own {
            snat_lock = Some(snat_lock::lock_range(&config.bridge, &config.snat_ports)?);
            reserved_ports::check_snat(&config.snat_ports)?;
        }
        let snat = config.reserved_snat();
        let reserved = ReservedPorts::reserve(&config.state_dir, &snat)?;
        admit_loopback(&networks)?;
        forwarding::restore_after_crash(&config.state_dir)?;
        let (mut tap, mut tap_id, mut forwarding) = (None, None, None);
        if is_own {
            let tap_name = device::tap_name(&config.bridge);
            let (made, mac) = device::make_tap(netlink, tap_name, config.queues, state.mtu).await?;
            tap_id = Some(TapId { name: made.name.clone(), ifindex: made.ifindex, mac });
            tap = Some(made);
        } else {
            forwarding = Some(Forwarding::switch_on(&config.state_dir)?);
        }
        let shared =
            Shared::start(Fixed { config, tap: tap_id.clone() }, networks, state.clone()).await?;
        let (monitor, neigh_requests, states) = follow(monitor, &shared, state);
        let entries = Vec::new();
        let uplink = Self {
            shared,
            monitor,
            neigh_requests,
            tap,
            tap_id,
            entries,
            reserved,
            snat,
            snat_lock,
            forwarding,
        };
        Ok((uplink, states))
    }

    /// Takes the TAP, once: the owner of its queues is the switch's port. With `--uplink kernel` there is
    /// none.
    pub(crate) fn take_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// Destination MAC address of frames that return to the host.
    pub(crate) fn tap_mac(&self) -> MacAddr {
        self.tap_id.as_ref().map_or(MacAddr([0; 6]), |tap| tap.mac)
    }

    /// Replaces the networks on the host.
    ///
    /// # Errors
    /// The former rules stand.
    pub(crate) async fn set_networks(&self, networks: Vec<HostNetwork>) -> Result<(), UplinkError> {
        admit_loopback(&networks)?;
        Ok(self.shared.set_networks(networks).await?)
    }

    /// Requests a neighbour of the uplink, on behalf of a port; once known, it is in the next state, and stays
    /// fresh for a while. A full queue drops the request: repeat it.
    pub(crate) fn resolve(&self, address: IpAddr, port: PortIndex) {
        if self.neigh_requests.try_send((address, port)).is_err() {
            tracing::debug!(%address, "too many requests for neighbours");
        }
    }

    /// Undoes everything on the host; the TAP ends with its queues.
    pub(crate) async fn stop(self) {
        if self.monitor.end().await.is_err() {
            tracing::error!("the task that follows the uplink had panicked");
        }
    }
}

impl Config {
    fn selector(&self) -> UplinkSelector {
        match &self.mode {
            Mode::Own(selector) => selector.clone(),
            Mode::Kernel => UplinkSelector::Auto,
        }
    }

    /// Ports of the host that the switch uses for SNAT.
    fn reserved_snat(&self) -> PortSet {
        match self.mode {
            Mode::Own(_) => PortSet::from_ranges([self.snat_ports.clone()]),
            Mode::Kernel => PortSet::default(),
        }
    }
}

/// Lets ports that are published at 127.0.0.1 be translated to containers.
fn admit_loopback(networks: &[HostNetwork]) -> Result<(), HostError> {
    let devices = networks.iter().filter(|it| !it.is_internal).map(|it| &it.device);
    devices
        .into_iter()
        .try_for_each(|device| sysctl::set_link_sysctl("ipv4", device, "route_localnet", "1"))
}

/// Connects to the kernel and reads its state.
async fn connect(config: &Config) -> Result<(UplinkMonitor, Kernel), HostError> {
    let monitor = UplinkMonitor::connect(config.selector(), devices(&config.bridge).to_vec())?;
    let kernel = monitor.kernel().await?;
    Ok((monitor, kernel))
}

/// Starts the task that follows the kernel.
fn follow(
    monitor: UplinkMonitor,
    shared: &Shared,
    state: UplinkState,
) -> (Task, mpsc::Sender<(IpAddr, PortIndex)>, watch::Receiver<UplinkState>) {
    let (sender, states) = watch::channel(state);
    let (neigh_requests, requested) = mpsc::channel(NEIGH_REFRESH_MAX);
    let monitor = Task::spawn(monitor.run(shared.clone(), sender, requested));
    (monitor, neigh_requests, states)
}

/// Devices of a switch in the host's namespace: the bridge and the uplink TAP.
pub(crate) fn devices(bridge: &str) -> [String; 2] {
    [bridge.to_owned(), device::tap_name(bridge)]
}

/// Undoes what a crashed switch with this bridge and state directory left on the host.
pub(crate) fn restore_after_crash(bridge: &str, state_dir: &Path) -> Result<(), UplinkError> {
    // Both, even if one fails.
    let tables = nft::remove_stale_tables(bridge);
    restore_settings(state_dir)?;
    tables?;
    Ok(())
}

/// Undoes only kernel settings. Returns the ports that are no longer reserved, and whether forwarding is off
/// again.
pub(crate) fn restore_settings(state_dir: &Path) -> Result<(PortSet, bool), UplinkError> {
    let ports = reserved_ports::restore_after_crash(state_dir);
    let forwarding = forwarding::restore_after_crash(state_dir);
    Ok((ports?, forwarding?))
}
