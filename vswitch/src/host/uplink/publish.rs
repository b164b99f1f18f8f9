//! Published ports: reserved on the host, redirected by nftables, and relayed from [::1].

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::{Uplink, UplinkError};
use crate::host::limits::{SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};
use crate::host::nft::{Forward, Protocol, Published};
use crate::host::proxy::syn_watch::SynWatch;
use crate::host::proxy::{Proxy, ProxySocket};
use crate::host::reserve::reserved_ports::PortSet;
use crate::host::reserve::sockets::{self, PortReservation};
use crate::host::stale_flows::StaleFlows;

/// A published port or range.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) forward: Forward,
    pub(super) reservation: PortReservation,
    pub(super) proxies: Vec<Proxy>,
}

impl Entry {
    /// Starts the proxies of ports that are reserved.
    pub(super) fn serve(
        forward: Forward,
        reservation: PortReservation,
        watch: &SynWatch,
    ) -> Result<Self, UplinkError> {
        let proxied = served(&reservation, &forward)?;
        let proxies = proxied.into_iter().map(|(one, to)| Proxy::start(one, to, watch)).collect();
        Ok(Self { forward, reservation, proxies })
    }
}

impl Uplink {
    /// Publishes these ports, and no others. Ports that stay published are not interrupted.
    ///
    /// # Errors
    /// See [`UplinkError`]; then nothing changes.
    pub(crate) async fn set_published(
        &mut self,
        forwards: Vec<Forward>,
    ) -> Result<(), UplinkError> {
        let result = self.change_published(forwards).await;
        // Ports that were lent, and that no publication has any more.
        let has = |protocol, port| {
            let mut published = self.entries.iter().map(|entry| &entry.forward.published);
            published.any(|one| one.protocol == protocol && one.ports.contains(&port))
        };
        self.held.lock().regain(has);
        result
    }

    async fn change_published(&mut self, forwards: Vec<Forward>) -> Result<(), UplinkError> {
        check_twice(&forwards)?;
        if self.forwarding.is_some() {
            check_shifted(&forwards)?;
        }
        let mut known: HashMap<&Published, Vec<usize>> = HashMap::new();
        for (n, entry) in self.entries.iter().enumerate().rev() {
            known.entry(&entry.forward.published).or_default().push(n);
        }
        // For each forward its former entry, or a new reservation.
        let mut plan = Vec::with_capacity(forwards.len());
        for forward in &forwards {
            let former = known.get_mut(&forward.published).and_then(Vec::pop);
            let reservation = match former {
                Some(n) => Err(n),
                None => {
                    let Published { protocol, ports, .. } = &forward.published;
                    self.held.lock().lend(*protocol, ports);
                    Ok(sockets::reserve_ports(&forward.published)?)
                }
            };
            // Before any change, since descriptors may run out. `None`: as before.
            let proxied = match &reservation {
                Ok(reservation) => Some(served(reservation, forward)?),
                Err(n) if self.entries[*n].forward == *forward => None,
                Err(n) => Some(served(&self.entries[*n].reservation, forward)?),
            };
            plan.push((forward.clone(), reservation, proxied));
        }
        let by_sysctl = plan.iter().filter(|(_, reservation, _)| match reservation {
            Ok(reservation) => reservation.by_sysctl,
            Err(n) => self.entries[*n].reservation.by_sysctl,
        });
        let ranges = by_sysctl.map(|(forward, ..)| forward.published.ports.clone());
        let ports = self.snat.union(&PortSet::from_ranges(ranges));
        self.reserved.change(&ports)?;
        if let Err(error) = self.shared.publish(forwards).await {
            self.reserved.change(&self.reserved_by_entries())?;
            return Err(error.into());
        }
        let before = self.forwards();
        let mut former: Vec<Option<Entry>> = self.entries.drain(..).map(Some).collect();
        let mut over = Vec::new();
        for (forward, reservation, proxied) in plan {
            let entry = match reservation {
                Err(n) => former[n].take().map(|entry| (entry.reservation, entry.proxies)),
                Ok(reservation) => Some((reservation, Vec::new())),
            };
            // Each former entry is used once.
            let Some((reservation, was)) = entry else { continue };
            let proxies = match proxied {
                Some(served) => {
                    over.extend(was);
                    let start = |(one, to)| Proxy::start(one, to, &self.syns);
                    served.into_iter().map(start).collect()
                }
                None => was,
            };
            self.entries.push(Entry { forward, reservation, proxies });
        }
        over.extend(former.into_iter().flatten().flat_map(|entry| entry.proxies));
        self.syns.set_ports(proxied_ports(&self.entries)).await;
        // Their ports are free only after their end.
        for proxy in over {
            proxy.end().await;
        }
        self.end_stale_flows(before).await;
        Ok(())
    }

    /// All that is published.
    pub(super) fn forwards(&self) -> Vec<Forward> {
        self.entries.iter().map(|entry| entry.forward.clone()).collect()
    }

    /// Has flows of the kernel ended to publications that were there `before`, and have changed.
    async fn end_stale_flows(&self, before: Vec<Forward>) {
        let local = self.shared.local().await;
        self.stale_flows.note(&before, &self.forwards(), local);
    }

    /// Flows of the kernel to ports that closed or opened, for waiting until they have ended.
    pub(crate) fn stale_flows(&self) -> StaleFlows {
        self.stale_flows.clone()
    }

    fn reserved_by_entries(&self) -> PortSet {
        let long = self.entries.iter().filter(|entry| entry.reservation.by_sysctl);
        let ranges = long.map(|entry| entry.forward.published.ports.clone());
        self.snat.union(&PortSet::from_ranges(ranges))
    }
}

/// Ports of TCP that the proxy serves.
pub(super) fn proxied_ports(entries: &[Entry]) -> BTreeSet<u16> {
    let tcp = entries
        .iter()
        .filter(|it| it.forward.published.protocol == Protocol::Tcp && !it.proxies.is_empty());
    tcp.flat_map(|it| &it.reservation.served).map(|(port, _)| *port).collect()
}

/// Sockets of a publication for the proxy of `[::1]`, and the container's addresses to relay to, in their order.
fn served(
    reservation: &PortReservation,
    forward: &Forward,
) -> Result<Vec<(ProxySocket, Vec<SocketAddr>)>, UplinkError> {
    let all = [forward.to6.map(IpAddr::V6), forward.to4.map(IpAddr::V4)];
    if all == [None; 2] {
        return Ok(Vec::new());
    }
    let first = *forward.published.ports.start();
    let serve = |(port, socket): &(u16, std::os::fd::OwnedFd)| {
        let to_port = forward.to_port.saturating_add(port - first);
        let to = all.iter().flatten().map(|to| SocketAddr::new(*to, to_port)).collect();
        let one =
            ProxySocket::new(forward.published.protocol, socket).map_err(UplinkError::Proxy)?;
        Ok(one.map(|one| (one, to)))
    };
    reservation.served.iter().filter_map(|one| serve(one).transpose()).collect()
}

/// Refuses ports that are published twice.
fn check_twice(forwards: &[Forward]) -> Result<(), UplinkError> {
    let mut sorted: Vec<_> = forwards.iter().map(|forward| &forward.published).collect();
    sorted.sort_by_key(|it| (it.protocol, *it.ports.start()));
    // Ranges that may reach the next one.
    let mut open: Vec<&Published> = Vec::new();
    for this in sorted.into_iter().filter(|it| *it.ports.end() != 0) {
        open.retain(|it| it.protocol == this.protocol && it.ports.end() >= this.ports.start());
        let meets = |other: &&Published| match (this.address, other.address) {
            (Some(this), Some(other)) => this == other,
            _ => true,
        };
        if open.iter().any(meets) {
            return Err(UplinkError::Twice(this.clone()));
        }
        open.push(this);
    }
    Ok(())
}

/// Refuses more shifted ports than nftables rules can translate.
fn check_shifted(forwards: &[Forward]) -> Result<(), UplinkError> {
    let mut left = SHIFTED_PORTS_SUM_MAX;
    let is_shifted =
        |it: &&Forward| *it.published.ports.start() != it.to_port && it.published.ports.len() > 1;
    for forward in forwards.iter().filter(is_shifted) {
        let ports = forward.published.ports.len();
        if ports > usize::from(SHIFTED_PORTS_MAX) || ports > left {
            return Err(UplinkError::Shifted(forward.published.clone()));
        }
        left -= ports;
    }
    Ok(())
}
