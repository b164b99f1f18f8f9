//! Follows the kernel: a change of links, addresses, routes or neighbours leads to a new [`UplinkState`].
//!
//! A notification triggers a read of all lists, after [`DEBOUNCE`], in which further changes gather. So a lost
//! notification costs [`RESYNC_INTERVAL`] at most, and no state is half of a change. The nftables rules are
//! loaded before the state is published.
//!
//! Neighbours: the kernel does not refresh those that only `fwd` uses. So each gateway, and each address of
//! `resolve`, is used (`NTF_USE`) every [`NEIGH_REFRESH_INTERVAL`], until [`NEIGH_REFRESH_ROUNDS_MAX`] rounds after
//! its last request ([`neigh_refresh`](super::neigh_refresh) has the quota of each port), and as soon as the kernel
//! doubts or loses it. `NTF_MANAGED` would do the same in the kernel, but survives a crash, and not every kernel has
//! it. Where frames leave, gateways are probed, and where nobody answers all of them
//! ([`unanswered`](super::unanswered)).

use std::collections::BTreeSet;
use std::net::IpAddr;

use fastpath::PortIndex;
use futures_util::{Stream, StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::neigh_refresh::NeighRefresh;
use super::state::{Kernel, UplinkSelector, UplinkState, is_ethernet, name_of};
use super::tables::Shared;
use super::unanswered::{Due, Packets, Unanswered};
use crate::datapath::RouteAction;
use crate::host::error::NetlinkError;
#[cfg(doc)]
use crate::host::limits::NEIGH_REFRESH_ROUNDS_MAX;
use crate::host::limits::{
    DEBOUNCE, NEIGH_CHECK_INTERVAL, NEIGH_PROBES_MAX, NEIGH_REFRESH_INTERVAL, NEIGH_REFRESH_MAX,
    RESYNC_INTERVAL,
};
use crate::host::{HostError, netlink};

/// A netlink connection with notifications.
pub(super) struct UplinkMonitor {
    handle: Handle,
    notifications: Box<dyn Stream<Item = ()> + Send + Sync + Unpin>,
    selector: UplinkSelector,
    /// Devices of the switch itself.
    own: Vec<String>,
    neigh_refresh: NeighRefresh,
    unanswered: Unanswered,
    /// Neighbours of the device that can be probed.
    probed: BTreeSet<IpAddr>,
}

impl UplinkMonitor {
    /// Connects in the network namespace of the calling thread.
    pub(super) fn connect(selector: UplinkSelector, own: Vec<String>) -> Result<Self, HostError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, handle, notifications) =
            rtnetlink::new_multicast_connection(&groups).map_err(HostError::Connect)?;
        tokio::spawn(connection);
        Ok(Self {
            handle,
            notifications: Box::new(notifications.map(|_| ())),
            selector,
            own,
            neigh_refresh: NeighRefresh::default(),
            unanswered: Unanswered::default(),
            probed: BTreeSet::new(),
        })
    }

    /// Reads links, addresses, routes and neighbours.
    pub(super) async fn kernel(&self) -> Result<Kernel, NetlinkError> {
        let failed = |what: &'static str| netlink::failed(move || what.to_owned());
        let handle = &self.handle;
        let links = handle.link().get().execute().try_collect();
        let links = links.await.map_err(failed("list interfaces"))?;
        let addresses = handle.address().get().execute().try_collect();
        let addresses = addresses.await.map_err(failed("list addresses"))?;
        let mut routes = Vec::new();
        let mut neighbours = Vec::new();
        let v4 = RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
        for (message, family) in [(v4, AddressFamily::Inet), (v6, AddressFamily::Inet6)] {
            let some: Vec<_> = handle
                .route()
                .get(message)
                .execute()
                .try_collect()
                .await
                .map_err(failed("list routes"))?;
            routes.extend(some);
            let some: Vec<_> = handle
                .neighbours()
                .get()
                .set_address_family(family)
                .execute()
                .try_collect()
                .await
                .map_err(failed("list neighbours"))?;
            neighbours.extend(some);
        }
        Ok(Kernel { links, addresses, routes, neighbours })
    }

    /// Its connection, for requests.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Compiles the state. `auto` follows the default route, and skips devices that cannot be the uplink.
    pub(super) fn compile(&self, kernel: &Kernel, former: &UplinkState) -> UplinkState {
        let chosen = kernel.choose(&self.selector).filter(|link| is_ethernet(link)).map(name_of);
        let chosen = chosen.filter(|name| !self.own.iter().any(|own| own == name));
        kernel.compile(chosen.unwrap_or(&former.device), Some(former))
    }

    /// Runs until the sender of requests is dropped.
    pub(super) async fn run(
        mut self,
        shared: Shared,
        states: watch::Sender<UplinkState>,
        mut requests: mpsc::Receiver<(IpAddr, PortIndex)>,
    ) {
        let mut resync = tokio::time::interval(RESYNC_INTERVAL);
        let mut refresh = tokio::time::interval(NEIGH_REFRESH_INTERVAL);
        let mut check = tokio::time::interval(NEIGH_CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = self.notifications.next() => {
                    tokio::time::sleep(DEBOUNCE).await;
                    while let Some(Some(())) = futures_util::FutureExt::now_or_never(self.notifications.next()) {}
                    self.sync(&shared, &states).await;
                }
                _ = resync.tick() => self.sync(&shared, &states).await,
                _ = refresh.tick() => self.refresh(&states).await,
                _ = check.tick() => self.probe(&states).await,
                request = requests.recv() => match request {
                    Some((address, port)) => self.request_neighbour(address, port, &states).await,
                    None => return,
                },
            }
        }
    }

    async fn sync(&mut self, shared: &Shared, states: &watch::Sender<UplinkState>) {
        let kernel = match self.kernel().await {
            Ok(kernel) => kernel,
            Err(error) => {
                tracing::warn!(%error, "cannot follow the uplink; trying again later");
                return;
            }
        };
        let former = states.borrow().clone();
        let state = self.compile(&kernel, &former);
        self.use_doubtful(&kernel, &former, &state).await;
        if state == former {
            return;
        }
        if let Err(error) = shared.adapt(&state).await {
            // Rules and datapath stay of one mind, and it is tried again.
            tracing::warn!(%error, "the uplink's nftables rules cannot follow it; trying again later");
            return;
        }
        let gateways = gateways(&state);
        let index = state.ifindex;
        states.send_replace(state);
        for gateway in gateways.difference(&self::gateways(&former)) {
            self.use_neighbour(*gateway, index).await;
        }
    }

    /// Uses neighbours that the kernel doubts or has lost, so that it asks for them now.
    async fn use_doubtful(&mut self, kernel: &Kernel, former: &UplinkState, state: &UplinkState) {
        use NeighbourState::{Delay, Reachable, Stale};
        self.probed = kernel.neighbours_in(state.ifindex, &[Reachable, Stale, Delay]);
        let mut doubtful = kernel.neighbours_in(state.ifindex, &[Stale]);
        let is_known = |address: &IpAddr| state.neighbours.iter().any(|(it, _)| it == address);
        let former = former.neighbours.iter().map(|(address, _)| *address);
        doubtful.extend(former.filter(|address| !is_known(address)));
        let mut wanted = gateways(state);
        wanted.extend(self.neigh_refresh.addresses());
        for address in doubtful.intersection(&wanted) {
            self.use_neighbour(*address, state.ifindex).await;
        }
    }

    /// Probes gateways where frames leave, and all neighbours where none comes in.
    async fn probe(&mut self, states: &watch::Sender<UplinkState>) {
        let Some(packets) = self.packets().await else { return };
        let due = self.unanswered.check(packets);
        if due == Due::Nobody {
            return;
        }
        let (index, mut wanted) = {
            let state = states.borrow();
            (state.ifindex, gateways(&state))
        };
        if due == Due::All {
            wanted.extend(self.neigh_refresh.latest(NEIGH_PROBES_MAX));
        }
        for address in self.probed.intersection(&wanted) {
            tracing::debug!(%address, ?due, "probing a neighbour of the uplink");
            self.ask_kernel(*address, index, (NeighbourState::Probe, NeighbourFlags::empty()))
                .await;
        }
    }

    /// Packets of the uplink TAP, seen from the switch.
    async fn packets(&self) -> Option<Packets> {
        let tap = self.own.last()?;
        let mut links = self.handle.link().get().match_name(tap.clone()).execute();
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
        address: IpAddr,
        port: PortIndex,
        states: &watch::Sender<UplinkState>,
    ) {
        if !self.neigh_refresh.request(address, port) {
            tracing::debug!(%address, ?port, "too many neighbours asked for");
            return;
        }
        let index = states.borrow().ifindex;
        self.use_neighbour(address, index).await;
    }

    async fn refresh(&mut self, states: &watch::Sender<UplinkState>) {
        self.neigh_refresh.age();
        let (index, mut all) = {
            let state = states.borrow();
            (state.ifindex, gateways(&state))
        };
        all.extend(self.neigh_refresh.addresses());
        for address in all {
            self.use_neighbour(address, index).await;
        }
    }

    /// As if a packet were sent to it: the kernel asks for its address, or whether it is still there.
    async fn use_neighbour(&self, address: IpAddr, index: u32) {
        self.ask_kernel(address, index, (NeighbourState::None, NeighbourFlags::Use)).await;
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
    }
}

fn gateways(state: &UplinkState) -> BTreeSet<IpAddr> {
    let gateways = state.routes.iter().filter_map(|route| match route.action {
        RouteAction::Via(gateway) => gateway,
        _ => None,
    });
    gateways.take(NEIGH_REFRESH_MAX).collect()
}
