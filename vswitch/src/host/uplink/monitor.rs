//! Follows the kernel: a change of links, addresses, routes, rules or neighbours leads to a new [`UplinkState`].
//!
//! A notification triggers a read of all lists, after [`DEBOUNCE`], in which further changes gather. So it matters only
//! that one comes after a change ([`notifications`](super::notifications)), and no state is half of a change. The nftables
//! rules are loaded before the state is published. What fails is tried again after [`SYNC_RETRY`].
//!
//! Neighbours: the kernel does not refresh those that only `fwd` uses. So each gateway, and each address of
//! `resolve`, is used (`NTF_USE`) every [`NEIGH_REFRESH_INTERVAL`], until [`NEIGH_REFRESH_ROUNDS_MAX`] rounds after
//! its last request ([`neigh_refresh`](super::neigh_refresh) has the quota of each port), and as soon as the kernel
//! doubts or loses it. `NTF_MANAGED` would do the same in the kernel, but survives a crash, and not every kernel has
//! it. On devices without a link-local address the kernel solicits nobody for it
//! ([`solicit`](super::solicit)). Where frames leave, gateways are probed, and where nobody answers all of them
//! ([`unanswered`](super::unanswered)).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use fastpath::PortIndex;
use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use netlink_packet_route::rule::RuleMessage;
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::devices::{Selection, UplinkSelector, select};
use super::neigh_refresh::{Hop, NeighRefresh};
use super::notifications::Notifications;
use super::solicit::Solicitor;
use super::state::{Kernel, LinkState, UplinkState};
use super::tables::Shared;
use super::taps::{Taps, UplinkTaps};
use super::unanswered::{Due, Packets, Unanswered};
use crate::datapath::RouteAction;
use crate::datapath::limits::UPLINKS_MAX;
use crate::host::error::NetlinkError;
#[cfg(doc)]
use crate::host::limits::NEIGH_REFRESH_ROUNDS_MAX;
use crate::host::limits::{
    DEBOUNCE, NEIGH_CHECK_INTERVAL, NEIGH_PROBES_MAX, NEIGH_REFRESH_INTERVAL, NEIGH_REFRESH_MAX,
    RESYNC_INTERVAL, SYNC_RETRY,
};
use crate::host::netlink::Dumps;
use crate::host::{HostError, netlink};

/// A netlink connection, and notifications.
pub(super) struct UplinkMonitor {
    handle: Handle,
    dumps: Dumps,
    notifications: Notifications,
    selector: UplinkSelector,
    /// The switch's bridge, and the names of its TAPs.
    own: Vec<String>,
    /// None with `--uplink kernel`.
    taps: Option<Taps>,
    neigh_refresh: NeighRefresh,
    /// By device.
    unanswered: BTreeMap<String, Unanswered>,
    /// Neighbours of the devices that can be probed.
    probed: BTreeSet<Hop>,
    /// Devices whose IPv6 neighbours the kernel does not solicit.
    solicitors: BTreeMap<u32, Solicitor>,
}

impl UplinkMonitor {
    /// Connects in the network namespace of the calling thread.
    pub(super) fn connect(
        selector: UplinkSelector,
        own: Vec<String>,
        taps: Option<Taps>,
    ) -> Result<Self, HostError> {
        // First the notifications: then the first read of the state misses none.
        let notifications = Notifications::connect()?;
        let (connection, handle, _) = rtnetlink::new_connection().map_err(HostError::Connect)?;
        tokio::spawn(connection);
        Ok(Self {
            handle,
            dumps: Dumps::default(),
            notifications,
            selector,
            own,
            taps,
            neigh_refresh: NeighRefresh::default(),
            unanswered: BTreeMap::new(),
            probed: BTreeSet::new(),
            solicitors: BTreeMap::new(),
        })
    }

    /// Reads links, addresses, routes, neighbours and rules.
    pub(super) async fn kernel(&self) -> Result<Kernel, NetlinkError> {
        let failed = |what: &'static str| netlink::failed(move || what.to_owned());
        let (handle, dumps) = (&self.handle, &self.dumps);
        let links = dumps.run(|| handle.link().get().execute());
        let links = links.await.map_err(failed("list interfaces"))?;
        let addresses = dumps.run(|| handle.address().get().execute());
        let addresses = addresses.await.map_err(failed("list addresses"))?;
        let mut routes = Vec::new();
        let mut neighbours = Vec::new();
        let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
        for (message, family) in [(v4, AddressFamily::Inet), (v6, AddressFamily::Inet6)] {
            let some = dumps.run(|| handle.route().get(message.clone()).execute());
            routes.extend(some.await.map_err(failed("list routes"))?);
            let of_family = || handle.neighbours().get().set_address_family(family).execute();
            let some = dumps.run(of_family);
            neighbours.extend(some.await.map_err(failed("list neighbours"))?);
        }
        let rules = self.rules().await?;
        Ok(Kernel { links, addresses, routes, neighbours, rules })
    }

    /// All rules.
    async fn rules(&self) -> Result<Vec<RuleMessage>, NetlinkError> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let all = || self.handle.rule().get(version.clone()).execute();
            let listed = self.dumps.run(all).await;
            rules.extend(of_family(
                listed.map_err(netlink::failed(|| "list routing rules".into())),
            )?);
        }
        Ok(rules)
    }

    /// The queues of TAPs that control has not taken; none with `--uplink kernel`.
    pub(super) fn untaken(&self) -> Option<UplinkTaps> {
        self.taps.as_ref().map(|taps| taps.untaken().clone())
    }

    /// Compiles the state, and makes the TAPs of devices that are uplinks now.
    ///
    /// `host_ports`: devices of the switch's networks.
    ///
    /// # Errors
    /// A TAP cannot be made at the start; later its device is left out.
    pub(super) async fn compile(
        &mut self,
        kernel: &Kernel,
        former: Option<&UplinkState>,
        host_ports: Vec<String>,
        waits: &(dyn Fn() + Sync),
    ) -> Result<UplinkState, HostError> {
        let used = kernel.device_use(former);
        let own: Vec<_> = self.own.iter().cloned().chain(host_ports).collect();
        let Selection { mut devices, mut hints } =
            select(&kernel.links, &used, &self.selector, &own);
        // Named ones come back.
        let absent = self.selector.named.iter().filter(|name| kernel.link(name).is_none());
        devices.extend(absent.cloned());
        devices.truncate(UPLINKS_MAX);
        if let Some(taps) = &mut self.taps {
            hints.extend(taps.adapt(&devices, kernel, waits).await?);
            devices.retain(|device| taps.of(device).is_some());
        }
        hints.extend(kernel.unread_routes());
        let tap = |device: &str| self.taps.as_ref()?.of(device).cloned();
        let devices: Vec<_> = devices.into_iter().map(|name| (name.clone(), tap(&name))).collect();
        let forwarding = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(is_on);
        let state = UplinkState { hints, forwarding, ..kernel.compile(&devices, former) };
        let solicitor = |link: &LinkState| {
            Some((link.ifindex, Solicitor::of(link.ifindex, link.mac, &kernel.addresses)?))
        };
        self.solicitors = state.links.iter().filter_map(solicitor).collect();
        Ok(state)
    }

    /// Its connection, for requests.
    pub(super) fn handle(&self) -> (Handle, Dumps) {
        (self.handle.clone(), self.dumps.clone())
    }

    /// Runs until the sender of requests is dropped.
    pub(super) async fn run(
        mut self,
        shared: Shared,
        states: watch::Sender<UplinkState>,
        mut requests: mpsc::Receiver<(Hop, PortIndex)>,
    ) {
        let mut resync = tokio::time::interval(RESYNC_INTERVAL);
        let mut refresh = tokio::time::interval(NEIGH_REFRESH_INTERVAL);
        let mut check = tokio::time::interval(NEIGH_CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.notifications.next() => {
                    tokio::time::sleep(DEBOUNCE).await;
                    self.notifications.discard();
                    if !self.sync(&shared, &states).await {
                        resync.reset_after(SYNC_RETRY);
                    }
                }
                _ = resync.tick() => if !self.sync(&shared, &states).await {
                    resync.reset_after(SYNC_RETRY);
                },
                _ = refresh.tick() => self.refresh(&states).await,
                _ = check.tick() => self.probe(&states).await,
                request = requests.recv() => match request {
                    Some((hop, port)) => self.request_neighbour(hop, port, &states).await,
                    None => return,
                },
            }
        }
    }

    /// Publishes the kernel's state; false if it is to be tried again.
    async fn sync(&mut self, shared: &Shared, states: &watch::Sender<UplinkState>) -> bool {
        let kernel = match self.kernel().await {
            Ok(kernel) => kernel,
            Err(error) => {
                tracing::warn!(%error, "cannot follow the uplink; trying again later");
                return false;
            }
        };
        let former = states.borrow().clone();
        let host_ports = shared.host_ports().await;
        let state = match self.compile(&kernel, Some(&former), host_ports, &|| {}).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, "cannot follow the uplinks; trying again later");
                return false;
            }
        };
        let is_complete = self.taps.as_ref().is_none_or(Taps::is_complete);
        self.use_doubtful(&kernel, &former, &state).await;
        if state == former {
            return is_complete;
        }
        if let Err(error) = shared.adapt(&state).await {
            // Rules and datapath stay of one mind, and it is tried again.
            tracing::warn!(%error, "the uplink's nftables rules cannot follow it; trying again later");
            return false;
        }
        let gateways = gateways(&state);
        states.send_replace(state);
        for gateway in gateways.difference(&self::gateways(&former)) {
            self.use_neighbour(gateway, states).await;
        }
        is_complete
    }

    /// Uses neighbours that the kernel doubts or has lost, so that it asks for them now.
    async fn use_doubtful(&mut self, kernel: &Kernel, former: &UplinkState, state: &UplinkState) {
        use NeighbourState::{Delay, Reachable, Stale};
        let (mut probed, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
        for link in &state.links {
            let hop = |address: IpAddr| (link.device.clone(), address);
            let now = |states: &[NeighbourState]| kernel.neighbours_in(link.ifindex, states);
            probed.extend(now(&[Reachable, Stale, Delay]).into_iter().map(hop));
            doubtful.extend(now(&[Stale]).into_iter().map(hop));
            let is_known = |address: &IpAddr| link.neighbours.iter().any(|(it, _)| it == address);
            let former = former.link(&link.device).into_iter().flat_map(|it| &it.neighbours);
            let lost = former.map(|(address, _)| *address).filter(|it| !is_known(it));
            doubtful.extend(lost.map(hop));
        }
        self.probed = probed;
        let mut wanted = gateways(state);
        wanted.extend(self.neigh_refresh.hops());
        for (device, address) in doubtful.intersection(&wanted) {
            let how = (NeighbourState::None, NeighbourFlags::Use);
            self.ask_kernel(*address, index_of(state, device), how).await;
        }
    }

    /// Probes gateways of uplinks where frames leave, and all neighbours where none comes in.
    async fn probe(&mut self, states: &watch::Sender<UplinkState>) {
        let state = states.borrow().clone();
        self.unanswered.retain(|device, _| state.link(device).is_some());
        let gateways = gateways(&state);
        let mut all = gateways.clone();
        all.extend(self.neigh_refresh.latest(NEIGH_PROBES_MAX));
        for link in &state.links {
            let Some(tap) = &link.tap else { continue };
            let Some(packets) = self.packets(&tap.name).await else { continue };
            let due = self.unanswered.entry(link.device.clone()).or_default().check(packets);
            let wanted = match due {
                Due::Nobody => continue,
                Due::Gateways => &gateways,
                Due::All => &all,
            };
            let here = |hop: &&Hop| hop.0 == link.device;
            for (_, address) in self.probed.intersection(wanted).filter(here) {
                tracing::debug!(%address, ?due, "probing a neighbour of the uplink");
                let how = (NeighbourState::Probe, NeighbourFlags::empty());
                self.ask_kernel(*address, link.ifindex, how).await;
            }
        }
    }

    /// Packets of a TAP, seen from the switch.
    async fn packets(&self, tap: &str) -> Option<Packets> {
        let mut links = self.handle.link().get().match_name(tap.to_owned()).execute();
        let link = std::pin::pin!(&mut links).try_next().await.ok()??;
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Stats64(it) => {
                Some(Packets { sent: it.rx_packets, received: it.tx_packets })
            }
            _ => None,
        })
    }

    async fn request_neighbour(
        &mut self,
        hop: Hop,
        port: PortIndex,
        states: &watch::Sender<UplinkState>,
    ) {
        if !self.neigh_refresh.request(hop.clone(), port) {
            tracing::debug!(?hop, ?port, "too many neighbours asked for");
            return;
        }
        self.use_neighbour(&hop, states).await;
    }

    async fn refresh(&mut self, states: &watch::Sender<UplinkState>) {
        self.neigh_refresh.age();
        let mut all = gateways(&states.borrow());
        all.extend(self.neigh_refresh.hops());
        for hop in &all {
            self.use_neighbour(hop, states).await;
        }
    }

    /// As if a packet were sent to it: the kernel asks for its address, or whether it is still there.
    async fn use_neighbour(&self, (device, address): &Hop, states: &watch::Sender<UplinkState>) {
        let index = index_of(&states.borrow(), device);
        self.ask_kernel(*address, index, (NeighbourState::None, NeighbourFlags::Use)).await;
    }

    async fn ask_kernel(
        &self,
        address: IpAddr,
        index: u32,
        (state, flags): (NeighbourState, NeighbourFlags),
    ) {
        if index == 0 {
            return;
        }
        let neighbours = self.handle.neighbours();
        let mut request = neighbours.add(index, address).state(state).flags(flags).replace();
        request.message_mut().header.kind = netlink_packet_route::route::RouteType::Unspec;
        if let Err(error) = request.execute().await {
            tracing::debug!(%address, %error, "cannot ask for a neighbour");
        }
        if let (IpAddr::V6(target), Some(solicitor)) = (address, self.solicitors.get(&index))
            && let Err(error) = solicitor.solicit(target)
        {
            tracing::debug!(%address, %error, "cannot solicit a neighbour");
        }
    }
}

/// The rules of a family; none where the kernel has no policy routing for it.
fn of_family(
    listed: Result<Vec<RuleMessage>, NetlinkError>,
) -> Result<Vec<RuleMessage>, NetlinkError> {
    listed.or_else(|error| match error.errno() {
        Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => Ok(Vec::new()),
        _ => Err(error),
    })
}

/// Whether a setting of `/proc/sys/net` is not zero.
fn is_on(setting: &str) -> bool {
    std::fs::read_to_string(format!("/proc/sys/net/{setting}")).is_ok_and(|it| it.trim() != "0")
}

fn index_of(state: &UplinkState, device: &str) -> u32 {
    state.link(device).map_or(0, |link| link.ifindex)
}

fn gateways(state: &UplinkState) -> BTreeSet<Hop> {
    let routes = state.tables.iter().flat_map(|table| &table.routes);
    let gateways = routes.filter_map(|route| match route.action {
        RouteAction::Via { link, gateway } => {
            Some((state.links.get(usize::from(link))?.device.clone(), gateway?))
        }
        _ => None,
    });
    gateways.take(NEIGH_REFRESH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if there were no rules: all that the host sends would be lost.
    #[test]
    fn rules_that_cannot_be_read_are_an_error_unless_the_kernel_has_none() {
        let failed = |errno| {
            let source = std::io::Error::from_raw_os_error(errno);
            of_family(Err(NetlinkError { what: String::new(), source }))
        };
        for errno in [libc::EAFNOSUPPORT, libc::EOPNOTSUPP] {
            assert!(failed(errno).unwrap().is_empty());
        }
        assert!(failed(libc::ENOBUFS).is_err() && failed(libc::EINTR).is_err());
    }
}
