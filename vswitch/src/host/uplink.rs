//! The uplinks: NICs of the host, a TAP beside each, and the rules between them.
//!
//! For control, all of it is [`Uplink`]:
//!
//! ```text
//! let (mut uplink, states) = Uplink::start(config, networks, &netlink, &waits).await?;   // host ports exist already
//! states.changed().await;                         // UplinkState: devices, routes and neighbours, on every change
//! let tap = uplink.taps().take(ifindex);          // for each uplink of a state: its queues are a port of the switch
//! uplink.resolve(device, address, port);          // a frame waits for this neighbour: see states
//! uplink.set_published(forwards).await?;          // all published ports
//! uplink.set_networks(networks).await?;           // all networks with a host port
//! uplink.stop().await;                            // the host is as before
//! ```
//!
//! Every frame that the switch writes into the TAP leaves by the NIC unchanged.
//!
//! SNAT ports are claimed in blocks ([`snat_blocks`]): the host keeps all others, and what comes for them reaches it
//! by its own NIC.
//!
//! # Changes to the host
//!
//! `stop` undoes them, and so does dropping; [`parts`] hands them over instead.
//!
//! | change | after a crash |
//! |---|---|
//! | the TAPs `up-BRIDGE`, `up2-BRIDGE` and so on, and their settings | gone with the process |
//! | `net.ipv4.conf.DEVICE.route_localnet` of host ports, for published ports on 127.0.0.1 | gone with the device |
//! | sockets that hold claimed SNAT ports and published ports ([`reserve`](super::reserve)) | gone with the process |
//! | nftables tables `vswitch-BRIDGE` ([`nft`](super::nft)) | stay, adopted by the next `up` |
//! | nftables table `vswitch-BRIDGE/syn`, for the proxy of ::1 | gone with the process |
//! | `net.ipv4.ip_local_reserved_ports` ([`reserve`](super::reserve)) | kept in the state directory |
//! | `net.ipv4.ip_forward`, with `--uplink kernel` only ([`forwarding`]) | kept in the state directory |
//!
//! Entries of the kernel's connection tracking end with the publication that made them, after a crash by control
//! ([`conntrack`]).
//!
//! `start` undoes the last three of a former crash. [`restore_after_crash`] does so for a start without an
//! uplink, and `down` without a daemon step by step.
//!
//! # States
//!
//! An uplink is *up* <-> *down* (no carrier, or administratively) <-> *gone* (no such device: index 0; the TAP drops
//! frames of the switch), if it is one by name. With `auto` a device that goes is no uplink any more, and a new one
//! becomes one ([`devices`]). Rules change first, then the state is published.

mod device;
mod devices;
mod error;
pub(super) mod forwarding;
mod monitor;
mod neigh_refresh;
mod notifications;
mod parts;
mod portless;
mod publish;
mod route;
mod rules;
mod snat_blocks;
mod solicit;
mod source;
mod state;
mod tables;
mod taps;
#[cfg(test)]
mod tests;
mod unanswered;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use fastpath::PortIndex;
use fastpath::tap::Tap;
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};

pub(crate) use devices::{TapId, UplinkSelector};
pub(crate) use error::UplinkError;
pub(crate) use portless::{PortlessNote, PortlessNotes};
#[cfg(test)]
pub(crate) use rules::Rules;
pub(crate) use rules::{Lookup, RuleLayer, Scope};
pub(crate) use snat_blocks::{Claimed, SnatBlocks};
pub(crate) use state::{HostTable, LinkState, Route, UplinkState};

use super::limits::NEIGH_REFRESH_MAX;
#[cfg(doc)]
use super::limits::PORTLESS_KEPT;
use super::nft::{self, Forwards};
use super::own_device::{self, Found, Presence, Repairs};
use super::proxy::relayed::RelayProxy;
use super::proxy::syn_watch::SynWatch;
use super::reserve::reserved_ports::{self, PortSet, ReservedPorts};
use super::reserve::snat_lock::{self, SnatRangeLock};
use super::task::Task;
use super::{HostError, Netlink, conntrack, sysctl};
use crate::datapath::limits::UPLINKS_MAX;
use forwarding::Forwarding;
use monitor::UplinkMonitor;
use neigh_refresh::Hop;
use portless::Portless;
use publish::Entry;
use snat_blocks::SharedHeldBlocks;
use state::Kernel;
use tables::{Fixed, Shared};
use taps::Taps;
pub(crate) use taps::UplinkTaps;

/// How frames leave the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By TAPs of uplinks; the switch translates.
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
    /// Queues of each TAP, one a worker.
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

/// The uplinks of a switch.
#[derive(Debug)]
pub(crate) struct Uplink {
    shared: Shared,
    monitor: Task,
    neigh_requests: mpsc::Sender<(Hop, PortIndex)>,
    portless: Portless,
    untaken: UplinkTaps,
    /// What is published, and an entry for each of them.
    published: Forwards,
    entries: Vec<Entry>,
    syns: SynWatch,
    /// Serves devices that are no uplinks; none where the kernel translates.
    relay: Option<RelayProxy>,
    reserved: ReservedPorts,
    snat: PortSet,
    held: SharedHeldBlocks,
    snat_lock: Option<SnatRangeLock>,
    forwarding: Option<Forwarding>,
}

impl Uplink {
    /// Creates the uplink, in the network namespace of the calling thread. `waits` is called while the TAP of a killed
    /// switch has the name.
    ///
    /// # Errors
    /// See [`UplinkError`]; nothing is left behind.
    pub(crate) async fn start(
        config: Config,
        networks: Vec<HostNetwork>,
        netlink: &Netlink,
        waits: &(dyn Fn() + Sync),
    ) -> Result<(Self, watch::Receiver<UplinkState>), UplinkError> {
        let is_own = config.mode != Mode::Kernel;
        let taps = || Taps::new(netlink.clone(), config.bridge.clone(), config.queues);
        let (mut monitor, kernel) = connect(&config, is_own.then(taps)).await?;
        device::check_named(&kernel, &config.selector())?;
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
        let forwarding = match is_own {
            true => None,
            false => Some(Forwarding::switch_on(&config.state_dir)?),
        };
        let state = monitor.compile(&kernel, None, host_ports(&networks), waits).await?;
        let untaken = monitor.untaken().unwrap_or_default();
        let syns = SynWatch::new(&config.bridge);
        let relay = is_own.then(RelayProxy::start).flatten();
        let relayed = relay.as_ref().map_or([None; 2], RelayProxy::ports);
        let fixed = Fixed { config, relayed };
        let shared = Shared::start(fixed, networks, state.clone()).await?;
        let (Followed { monitor, neigh_requests, portless }, states) =
            follow(monitor, &shared, state);
        let uplink = Self {
            shared,
            monitor,
            neigh_requests,
            portless,
            untaken,
            published: Forwards::default(),
            entries: Vec::new(),
            syns,
            relay,
            reserved,
            snat,
            held: SharedHeldBlocks::new(),
            snat_lock,
            forwarding,
        };
        Ok((uplink, states))
    }

    /// The TAPs of the uplinks, each to be taken once: the owner of its queues is the switch's port.
    pub(crate) fn taps(&self) -> UplinkTaps {
        self.untaken.clone()
    }

    /// Claims SNAT ports; none where the kernel translates. It is to be dropped before the uplink stops.
    pub(crate) fn snat_blocks(&self) -> Option<SnatBlocks> {
        let blocks = || SnatBlocks { shared: self.shared.clone(), held: self.held.clone() };
        self.forwarding.is_none().then(blocks)
    }

    /// Restores what other programs removed on the host. TAPs that were deleted are made again: their queues are the
    /// ports' new ones.
    pub(crate) async fn restore(
        &mut self,
        netlink: &Netlink,
        found: &Found,
    ) -> (Repairs, Vec<Tap>) {
        self.syns.try_again().await;
        let (mut repairs, mut made) = (Repairs::default(), Vec::new());
        let queues = self.shared.queues();
        for (tap, mtu) in self.shared.taps().await {
            match found.presence(tap.ifindex, &tap.name) {
                Presence::Here(link) => {
                    repairs.extend(own_device::restore_uplink_tap(netlink, link).await);
                }
                Presence::Gone => match device::make_again(netlink, &tap, queues, mtu).await {
                    Ok(again) => {
                        repairs.restored.push(format!("the TAP {}", again.name));
                        made.push(again);
                    }
                    Err(error) => {
                        repairs.faults.push(format!("{} was deleted: {error}", tap.name));
                    }
                },
                Presence::Other(fault) => repairs.faults.push(fault),
            }
        }
        if !made.is_empty()
            && let Err(error) = self.shared.reload().await
        {
            repairs.faults.push(format!("the rules for TAPs that were deleted: {error}"));
        }
        (repairs, made)
    }

    /// Restores the kernel's settings of which no event tells.
    pub(crate) fn restore_settings(&mut self, repairs: &mut Repairs) {
        if let Some(forwarding) = &mut self.forwarding {
            let done = forwarding.switch_on_again(self.shared.state_dir());
            repairs.add_checked("net.ipv4.ip_forward", done);
        }
        repairs.add_checked("net.ipv4.ip_local_reserved_ports", self.reserved.restore());
    }

    /// Replaces the networks on the host.
    ///
    /// # Errors
    /// The former rules stand.
    pub(crate) async fn set_networks(&self, networks: Vec<HostNetwork>) -> Result<(), UplinkError> {
        admit_loopback(&networks)?;
        Ok(self.shared.set_networks(networks).await?)
    }

    /// Requests a neighbour of an uplink, on behalf of a port; once known, it is in the next state, and stays
    /// fresh for a while. A full queue drops the request: repeat it.
    pub(crate) fn resolve(&self, device: String, address: IpAddr, port: PortIndex) {
        if self.neigh_requests.try_send(((device, address), port)).is_err() {
            tracing::debug!(%address, "too many requests for neighbours");
        }
    }

    /// Hands over what comes from a remote by a protocol without ports, unless the host uses it itself, for
    /// [`PORTLESS_KEPT`] at least. A full queue drops the request: repeat it.
    pub(crate) fn hand_over(&self, remote: IpAddr, protocol: u8) {
        if self.portless.told.try_send((remote, protocol)).is_err() {
            tracing::debug!(%remote, protocol, "too many flows without ports");
        }
    }

    /// Takes, once, the notes of remotes and protocols without ports that containers asked for: whose they are.
    pub(crate) fn take_portless_notes(&mut self) -> Option<PortlessNotes> {
        self.portless.notes.take()
    }

    /// Undoes everything on the host; the TAP ends with its queues.
    pub(crate) async fn stop(self) {
        let published = self.forwards();
        self.relay(&self.published, &[]).await;
        let Self { shared, monitor, .. } = self;
        if monitor.end().await.is_err() {
            tracing::error!("the task that follows the uplink had panicked");
        }
        // First the rules, which would make the entries again.
        drop(shared);
        conntrack::end_stale(published, Vec::new()).await;
    }
}

impl Config {
    fn selector(&self) -> UplinkSelector {
        match &self.mode {
            Mode::Own(selector) => selector.clone(),
            Mode::Kernel => UplinkSelector::default(),
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

/// The devices of networks.
fn host_ports(networks: &[HostNetwork]) -> Vec<String> {
    networks.iter().map(|network| network.device.clone()).collect()
}

/// Connects to the kernel and reads its state.
async fn connect(
    config: &Config,
    taps: Option<Taps>,
) -> Result<(UplinkMonitor, Kernel), HostError> {
    let own = devices(&config.bridge);
    let monitor = UplinkMonitor::connect(config.selector(), own, taps)?;
    let kernel = monitor.kernel().await?;
    Ok((monitor, kernel))
}

/// The task that follows the kernel, and what it is asked.
struct Followed {
    monitor: Task,
    neigh_requests: mpsc::Sender<(Hop, PortIndex)>,
    portless: Portless,
}

/// Starts the task that follows the kernel.
fn follow(
    monitor: UplinkMonitor,
    shared: &Shared,
    state: UplinkState,
) -> (Followed, watch::Receiver<UplinkState>) {
    let (sender, states) = watch::channel(state);
    let (neigh_requests, requested) = mpsc::channel(NEIGH_REFRESH_MAX);
    let (portless, keeper) = portless::open(monitor.handle(), shared.clone());
    let followed = monitor.run(shared.clone(), sender, requested);
    let monitor = Task::spawn(async {
        tokio::select! {
            () = followed => {}
            () = keeper.run() => {}
        }
    });
    (Followed { monitor, neigh_requests, portless }, states)
}

/// Devices of a switch in the host's namespace: the bridge and the TAPs of its uplinks.
pub(crate) fn devices(bridge: &str) -> Vec<String> {
    let taps = (0..UPLINKS_MAX).map(|n| device::tap_name(bridge, n));
    std::iter::once(bridge.to_owned()).chain(taps).collect()
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
