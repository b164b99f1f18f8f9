//! Follows the kernel: a change of links, addresses, routes, rules or neighbours leads to a new [`UplinkState`].
//!
//! A notification triggers a read of all lists, after [`DEBOUNCE`], in which further changes gather. So a lost
//! notification costs [`RESYNC_INTERVAL`] at most, and no state is half of a change. The nftables rules are
//! loaded before the state is published.
//!
//! Neighbours: the kernel does not refresh those that only `fwd` uses. So each gateway, and each address of
//! `resolve`, is used (`NTF_USE`) every [`NEIGH_REFRESH_INTERVAL`], until [`NEIGH_REFRESH_ROUNDS_MAX`] rounds after
//! its last request ([`neigh_refresh`](super::neigh_refresh) has the quota of each port). `NTF_MANAGED` would do the
//! same in the kernel, but survives a crash, and not every kernel has it.

use std::collections::BTreeSet;

use fastpath::PortIndex;
use futures_util::{Stream, StreamExt, TryStreamExt};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use netlink_packet_route::rule::RuleMessage;
use rtnetlink::{Handle, IpVersion, MulticastGroup, RouteMessageBuilder};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::devices::{Selection, UplinkSelector, select};
use super::neigh_refresh::{Hop, NeighRefresh};
use super::state::{Kernel, UplinkState};
use super::tables::Shared;
use super::taps::{Taps, UplinkTaps};
use crate::datapath::RouteAction;
use crate::datapath::limits::UPLINKS_MAX;
use crate::host::error::NetlinkError;
#[cfg(doc)]
use crate::host::limits::NEIGH_REFRESH_ROUNDS_MAX;
use crate::host::limits::{DEBOUNCE, NEIGH_REFRESH_INTERVAL, NEIGH_REFRESH_MAX, RESYNC_INTERVAL};
use crate::host::{HostError, netlink};

/// A netlink connection with notifications.
pub(super) struct UplinkMonitor {
    handle: Handle,
    notifications: Box<dyn Stream<Item = ()> + Send + Sync + Unpin>,
    selector: UplinkSelector,
    /// Devices of the switch itself.
    own: Vec<String>,
    /// None with `--uplink kernel`.
    taps: Option<Taps>,
    neigh_refresh: NeighRefresh,
}

impl UplinkMonitor {
    /// Connects in the network namespace of the calling thread.
    pub(super) fn connect(
        selector: UplinkSelector,
        own: Vec<String>,
        taps: Option<Taps>,
    ) -> Result<Self, HostError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ];
        let (connection, handle, notifications) =
            rtnetlink::new_multicast_connection(&groups).map_err(HostError::Connect)?;
        tokio::spawn(connection);
        Ok(Self {
            handle,
            notifications: Box::new(notifications.map(|_| ())),
            selector,
            own,
            taps,
            neigh_refresh: NeighRefresh::default(),
        })
    }

    /// Reads links, addresses, routes, neighbours and rules.
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
        let rules = self.rules().await;
        Ok(Kernel { links, addresses, routes, neighbours, rules })
    }

    /// All rules; none where the kernel has no policy routing.
    async fn rules(&self) -> Option<Vec<RuleMessage>> {
        let mut rules = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let listed: Result<Vec<_>, _> =
                self.handle.rule().get(version.clone()).execute().try_collect().await;
            match listed {
                Ok(listed) => rules.extend(listed),
                Err(error) => {
                    tracing::debug!(%error, "cannot list routing rules");
                    if version == IpVersion::V4 {
                        return None;
                    }
                }
            }
        }
        Some(rules)
    }

    /// The queues of TAPs that control has not taken; none with `--uplink kernel`.
    pub(super) fn untaken(&self) -> Option<UplinkTaps> {
        self.taps.as_ref().map(|taps| taps.untaken().clone())
    }

    /// Compiles the state, and makes the TAPs of devices that are uplinks now.
    ///
    /// # Errors
    /// A TAP cannot be made.
    pub(super) async fn compile(
        &mut self,
        kernel: &Kernel,
        former: Option<&UplinkState>,
    ) -> Result<UplinkState, HostError> {
        let used = kernel.device_use(former);
        let Selection { mut devices, hints } =
            select(&kernel.links, &used, &self.selector, &self.own);
        // Named ones come back.
        let absent = self.selector.named.iter().filter(|name| kernel.link(name).is_none());
        devices.extend(absent.cloned());
        devices.truncate(UPLINKS_MAX);
        if let Some(taps) = &mut self.taps {
            taps.adapt(&devices, kernel).await?;
        }
        let tap = |device: &str| self.taps.as_ref()?.of(device).cloned();
        let devices: Vec<_> = devices.into_iter().map(|name| (name.clone(), tap(&name))).collect();
        Ok(UplinkState { hints, ..kernel.compile(&devices, former) })
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
                request = requests.recv() => match request {
                    Some((hop, port)) => self.request_neighbour(hop, port, &states).await,
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
        let state = match self.compile(&kernel, Some(&former)).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(%error, "cannot follow the uplinks; trying again later");
                return;
            }
        };
        if state == former {
            return;
        }
        if let Err(error) = shared.adapt(&state).await {
            // Rules and datapath stay of one mind, and it is tried again.
            tracing::warn!(%error, "the uplink's nftables rules cannot follow it; trying again later");
            return;
        }
        let gateways = gateways(&state);
        states.send_replace(state);
        for gateway in gateways.difference(&self::gateways(&former)) {
            self.use_neighbour(gateway, states).await;
        }
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
        let index = states.borrow().link(device).map_or(0, |link| link.ifindex);
        if index == 0 {
            return;
        }
        let mut request = self
            .handle
            .neighbours()
            .add(index, *address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        request.message_mut().header.kind = netlink_packet_route::route::RouteType::Unspec;
        if let Err(error) = request.execute().await {
            tracing::debug!(%address, %error, "cannot ask for a neighbour");
        }
    }
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
