//! The way out: the host's NIC, a TAP beside it, and what ties the two together.
//!
//! For control, all of it is [`Uplink`]:
//!
//! ```text
//! let (mut uplink, states) = Uplink::start(config, &netlink).await?;   // the bridge exists already
//! let tap = uplink.take_tap();                    // its queues are a port of the switch
//! states.changed().await;                         // UplinkState: what to route by; on every change
//! uplink.resolve(address, port);                  // a frame waits for this neighbour: see states
//! let real = uplink.set_published(forwards).await?;   // all published ports; port 0 is chosen
//! uplink.stop().await;                            // the host is as before
//! ```
//!
//! A frame that is no connection of ours goes back to the host: written into the TAP with [`Uplink::tap_mac`] as
//! its destination. Every other frame that is written into it leaves by the NIC as it is.
//!
//! # What is done to the host, and undone by `stop`, by dropping, or after a crash
//!
//! | what | after a crash |
//! |---|---|
//! | the TAP `up-BRIDGE`, its settings and its dummy address | gone with the process |
//! | `net.ipv4.conf.BRIDGE.route_localnet`, for published ports on 127.0.0.1 | gone with the bridge |
//! | nftables tables `vswitch-BRIDGE` ([`nft`](super::nft)) | stay, adopted by the next `up` |
//! | `net.ipv4.ip_local_reserved_ports` ([`reserve`](super::reserve)) | kept in the state directory |
//! | `net.ipv4.ip_forward`, with `--uplink kernel` only ([`forwarding`]) | kept in the state directory |
//!
//! [`restore_after_crash`] undoes the last three; it is for a start without an uplink. `start` does so by itself, and
//! `down` when no daemon runs does it step by step.
//!
//! # States
//!
//! *up* <-> *down* (no carrier, or administratively) <-> *gone* (no such device: index 0; frames of the switch are
//! dropped at the TAP). A device of the same name that comes back is the uplink again; with `auto` it is
//! always that of the default route, if that is Ethernet. Rules are adapted first, then the state is
//! published.

mod device;
pub(super) mod forwarding;
mod monitor;
mod neigh_refresh;
mod state;
mod tables;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use fastpath::PortIndex;
use fastpath::tap::Tap;
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wire::MacAddr;

#[cfg(test)]
pub(crate) use state::Route;
pub(crate) use state::{HostRouteAction, UplinkSelector, UplinkState};

use super::limits::{NEIGH_REFRESH_MAX, SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};
use super::nft::{self, Forward, NftError, Published};
use super::proxy::{Proxy, ProxySocket};
use super::reserve::ReserveError;
use super::reserve::reserved_ports::{self, PortSet, ReservedPorts};
use super::reserve::snat_lock::{self, SnatRangeLock};
use super::reserve::sockets::{self, PortReservation};
use super::{HostError, Netlink, sysctl};
use forwarding::Forwarding;
use monitor::UplinkMonitor;
use tables::{Fixed, Shared};

/// How frames reach the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By a TAP of ours, translated by the switch.
    Own(UplinkSelector),
    /// By the host port, translated by the kernel.
    Kernel,
}

/// What the uplink is to be.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The bridge, which exists.
    pub(crate) bridge: String,
    pub(crate) mode: Mode,
    /// Queues of the TAP, one a worker.
    pub(crate) queues: usize,
    /// All subnets of containers.
    pub(crate) subnets: Vec<IpNet>,
    pub(crate) snat_ports: RangeInclusive<u16>,
    pub(crate) state_dir: PathBuf,
}

/// Why there is no uplink, or a port is not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UplinkError {
    /// `auto` finds nothing.
    #[error(
        "the host has no default route, so no uplink; name one with --uplink IFACE, or use --uplink none"
    )]
    NoDefaultRoute,
    /// No such device.
    #[error("there is no interface {0}; `ip link` lists them")]
    NoDevice(String),
    /// A device that carries no Ethernet frames.
    #[error("{device} is no Ethernet device ({kind}): use --uplink kernel, or --uplink none")]
    NotEthernet {
        /// Its name.
        device: String,
        /// What it is.
        kind: String,
    },
    /// Two publications want the same port.
    #[error("ports {}-{}/{} are published twice", .0.ports.start(), .0.ports.end(), .0.protocol)]
    Twice(Published),
    /// More ports with other numbers than the kernel's way may have.
    #[error(
        "{}-{}/{} lead to other numbers in the container; with --uplink kernel {SHIFTED_PORTS_MAX} ports of a \
         publication can, and {SHIFTED_PORTS_SUM_MAX} of all together",
        .0.ports.start(), .0.ports.end(), .0.protocol
    )]
    Shifted(Published),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The socket for ::1.
    #[error("cannot serve [::1]: {0}")]
    Proxy(#[source] std::io::Error),
}

/// One publication that stands.
#[derive(Debug)]
struct Entry {
    /// As it was asked for, perhaps with port 0.
    requested: Published,
    real: Forward,
    reservation: PortReservation,
    proxies: Vec<Proxy>,
}

/// The uplink of a switch.
#[derive(Debug)]
pub(crate) struct Uplink {
    shared: Shared,
    monitor: JoinHandle<()>,
    neigh_requests: mpsc::Sender<(IpAddr, PortIndex)>,
    tap: Option<Tap>,
    tap_mac: MacAddr,
    entries: Vec<Entry>,
    reserved: ReservedPorts,
    snat: PortSet,
    _snat_lock: Option<SnatRangeLock>,
    forwarding: Option<Forwarding>,
}

impl Uplink {
    /// Makes the uplink, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// See [`UplinkError`]; nothing is left behind.
    pub(crate) async fn start(
        config: Config,
        netlink: &Netlink,
    ) -> Result<(Self, watch::Receiver<UplinkState>), UplinkError> {
        let tap_name = device::tap_name(&config.bridge);
        let (selector, is_own) = match &config.mode {
            Mode::Own(selector) => (selector.clone(), true),
            Mode::Kernel => (UplinkSelector::Auto, false),
        };
        let own = vec![tap_name.clone(), config.bridge.clone()];
        let monitor = UplinkMonitor::connect(selector.clone(), own)?;
        let kernel = monitor.kernel().await.map_err(HostError::from)?;
        let name = match device::choose(&kernel, &selector) {
            // Without a device it waits for a default route.
            Err(UplinkError::NoDefaultRoute) => String::new(),
            Err(error) if is_own => return Err(error),
            chosen => chosen.unwrap_or_default(),
        };
        let state = kernel.compile(&name, None);
        reserved_ports::restore_after_crash(&config.state_dir)?;
        let snat_lock = if is_own {
            Some(snat_lock::lock_range(&config.bridge, &config.snat_ports)?)
        } else {
            None
        };
        let snat = if is_own {
            reserved_ports::check_snat(&config.snat_ports)?;
            PortSet::from_ranges([config.snat_ports.clone()])
        } else {
            PortSet::default()
        };
        let reserved = ReservedPorts::reserve(&config.state_dir, &snat)?;
        sysctl::set_link_sysctl("ipv4", &config.bridge, "route_localnet", "1")?;
        forwarding::restore_after_crash(&config.state_dir)?;
        let (mut tap, mut forwarding) = (None, None);
        if is_own {
            tap = Some(device::make_tap(netlink, tap_name, config.queues, state.mtu).await?);
        } else {
            forwarding = Some(Forwarding::switch_on(&config.state_dir)?);
        }
        let fixed = Fixed {
            bridge: config.bridge,
            subnets: config.subnets,
            snat_ports: config.snat_ports,
            tap: tap.as_ref().map(|(tap, mac)| (tap.name.clone(), tap.ifindex, *mac)),
        };
        let shared = Shared::start(fixed, state.clone()).await?;
        let (sender, states) = watch::channel(state);
        let (neigh_requests, requested) = mpsc::channel(NEIGH_REFRESH_MAX);
        let monitor = tokio::spawn(monitor.run(shared.clone(), sender, requested));
        let tap_mac = tap.as_ref().map_or(MacAddr([0; 6]), |(_, mac)| *mac);
        let tap = tap.map(|(tap, _)| tap);
        let entries = Vec::new();
        let uplink = Self {
            shared,
            monitor,
            neigh_requests,
            tap,
            tap_mac,
            entries,
            reserved,
            snat,
            _snat_lock: snat_lock,
            forwarding,
        };
        Ok((uplink, states))
    }

    /// The TAP, once: whoever has its queues is the switch's port. With `--uplink kernel` there is none.
    pub(crate) fn take_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// The destination of frames that are given back to the host.
    pub(crate) fn tap_mac(&self) -> MacAddr {
        self.tap_mac
    }

    /// Asks the kernel for a neighbour of the uplink, and keeps it fresh for a while; when it is known, it is
    /// in the next state. With too many questions waiting this one is lost: ask again. `port`: who asks.
    pub(crate) fn resolve(&self, address: IpAddr, port: PortIndex) {
        if self.neigh_requests.try_send((address, port)).is_err() {
            tracing::debug!(%address, "too many questions for neighbours");
        }
    }

    /// Publishes these ports, and no others; gives them with the ports that were chosen for port 0, in order.
    /// What was published before and still is stays untouched.
    ///
    /// # Errors
    /// See [`UplinkError`]; then what was published before stands.
    pub(crate) async fn set_published(
        &mut self,
        forwards: Vec<Forward>,
    ) -> Result<Vec<Forward>, UplinkError> {
        check_twice(&forwards)?;
        if self.forwarding.is_some() {
            check_shifted(&forwards)?;
        }
        let mut reused = vec![false; self.entries.len()];
        // For each its place among the former, or what was newly taken.
        let mut plan = Vec::with_capacity(forwards.len());
        for requested in forwards {
            let same = |(n, entry): &(usize, &Entry)| {
                !reused[*n] && entry.requested == requested.published
            };
            let place = self.entries.iter().enumerate().find(same).map(|(n, _)| n);
            let (published, reservation) = match place {
                Some(n) => {
                    reused[n] = true;
                    (self.entries[n].real.published.clone(), Err(n))
                }
                None => {
                    let (published, reservation) = sockets::reserve_ports(&requested.published)?;
                    (published, Ok(reservation))
                }
            };
            let real = Forward { published, ..requested.clone() };
            // Before anything changes, since no descriptor may be left for it. `None`: as before.
            let proxied = match &reservation {
                Ok(reservation) => Some(served(reservation, &real)?),
                Err(n) if self.entries[*n].real == real => None,
                Err(n) => Some(served(&self.entries[*n].reservation, &real)?),
            };
            plan.push((requested.published, real, reservation, proxied));
        }
        let real: Vec<Forward> = plan.iter().map(|(_, real, ..)| real.clone()).collect();
        let by_sysctl = plan.iter().filter(|(_, _, reservation, _)| match reservation {
            Ok(reservation) => reservation.by_sysctl,
            Err(n) => self.entries[*n].reservation.by_sysctl,
        });
        let ranges = by_sysctl.map(|(_, real, ..)| real.published.ports.clone());
        let ports = self.snat.union(&PortSet::from_ranges(ranges));
        self.reserved.change(&ports)?;
        if let Err(error) = self.shared.publish(real.clone()).await {
            self.reserved.change(&self.reserved_by_entries())?;
            return Err(error.into());
        }
        let mut former: Vec<Option<Entry>> = self.entries.drain(..).map(Some).collect();
        let published = real;
        let mut over = Vec::new();
        for (requested, real, reservation, proxied) in plan {
            let entry = match reservation {
                Err(n) => former[n].take().map(|entry| (entry.reservation, entry.proxies)),
                Ok(reservation) => Some((reservation, Vec::new())),
            };
            // Each place was given once.
            let Some((reservation, was)) = entry else { continue };
            let proxies = match proxied {
                Some(served) => {
                    over.extend(was);
                    served.into_iter().map(|(one, to)| Proxy::start(one, to)).collect()
                }
                None => was,
            };
            self.entries.push(Entry { requested, real, reservation, proxies });
        }
        over.extend(former.into_iter().flatten().flat_map(|entry| entry.proxies));
        // Only then are their ports free for whoever wants them next.
        for proxy in over {
            proxy.end().await;
        }
        Ok(published)
    }

    fn reserved_by_entries(&self) -> PortSet {
        let long = self.entries.iter().filter(|entry| entry.reservation.by_sysctl);
        let ranges = long.map(|entry| entry.real.published.ports.clone());
        self.snat.union(&PortSet::from_ranges(ranges))
    }

    /// Gives everything back; the TAP goes when whoever took it closes it.
    pub(crate) async fn stop(self) {
        self.monitor.abort();
        let mut this = self;
        let ended = (&mut this.monitor).await;
        if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("the task that follows the uplink had panicked");
        }
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

/// The devices of a switch in the host's namespace: the bridge, and the uplink's TAP where it has one.
pub(crate) fn devices(bridge: &str) -> [String; 2] {
    [bridge.to_owned(), device::tap_name(bridge)]
}

/// Undoes what a crashed switch with this bridge and state directory left on the host.
pub(crate) fn restore_after_crash(bridge: &str, state_dir: &Path) -> Result<(), UplinkError> {
    // All of it, whatever of it fails.
    let tables = nft::remove_stale_tables(bridge);
    restore_settings(state_dir)?;
    tables?;
    Ok(())
}

/// The same for the kernel's settings alone. Gives the ports that are no longer reserved, and whether forwarding
/// is off again.
pub(crate) fn restore_settings(state_dir: &Path) -> Result<(PortSet, bool), UplinkError> {
    let ports = reserved_ports::restore_after_crash(state_dir);
    let forwarding = forwarding::restore_after_crash(state_dir);
    Ok((ports?, forwarding?))
}

/// What serves [::1] of a publication, where it holds sockets for that, and where to.
fn served(
    reservation: &PortReservation,
    forward: &Forward,
) -> Result<Vec<(ProxySocket, SocketAddr)>, UplinkError> {
    let to = forward.to6.map(IpAddr::V6).or(forward.to4.map(IpAddr::V4));
    let Some(to) = to else { return Ok(Vec::new()) };
    let first = *forward.published.ports.start();
    let serve = |(port, socket): &(u16, std::os::fd::OwnedFd)| {
        let to = SocketAddr::new(to, forward.to_port.saturating_add(port - first));
        let one =
            ProxySocket::new(forward.published.protocol, socket).map_err(UplinkError::Proxy)?;
        Ok(one.map(|one| (one, to)))
    };
    reservation.served.iter().filter_map(|one| serve(one).transpose()).collect()
}

/// Refuses ports that are wanted twice.
fn check_twice(forwards: &[Forward]) -> Result<(), UplinkError> {
    for (n, forward) in forwards.iter().enumerate() {
        let this = &forward.published;
        let meets = |other: &&Forward| {
            let other = &other.published;
            let addresses = match (this.address, other.address) {
                (Some(this), Some(other)) => this == other,
                _ => true,
            };
            let ports =
                this.ports.start() <= other.ports.end() && other.ports.start() <= this.ports.end();
            this.protocol == other.protocol && addresses && ports && *this.ports.end() != 0
        };
        if forwards[..n].iter().any(|other| meets(&other)) {
            return Err(UplinkError::Twice(this.clone()));
        }
    }
    Ok(())
}

/// Refuses what only the kernel could carry, and cannot.
fn check_shifted(forwards: &[Forward]) -> Result<(), UplinkError> {
    let mut left = SHIFTED_PORTS_SUM_MAX;
    for forward in forwards.iter().filter(|it| *it.published.ports.start() != it.to_port) {
        let ports = forward.published.ports.len();
        if ports > usize::from(SHIFTED_PORTS_MAX) || ports > left {
            return Err(UplinkError::Shifted(forward.published.clone()));
        }
        left -= ports;
    }
    Ok(())
}
