//! Published ports: reserved on the host, redirected by nftables, and relayed from [::1].

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use super::{Uplink, UplinkError};
use crate::host::limits::{SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};
use crate::host::nft::{BoundTo, Differing, Forward, Forwards, Protocol, Published};
use crate::host::proxy::syn_watch::SynWatch;
use crate::host::proxy::{Proxy, ProxySocket};
use crate::host::reserve::reserved_ports::PortSet;
use crate::host::reserve::sockets::{self, PortReservation};
use crate::host::stale_flows::StaleFlows;

/// A published port or range.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) forward: Arc<Forward>,
    pub(super) reservation: PortReservation,
    pub(super) proxies: Vec<Proxy>,
}

impl Entry {
    /// Starts the proxies of ports that are reserved.
    pub(super) fn serve(
        forward: Arc<Forward>,
        reservation: PortReservation,
        watch: &SynWatch,
    ) -> Result<Self, UplinkError> {
        let proxied = served(&reservation, &forward)?;
        let proxies = proxied.into_iter().map(|(one, to)| Proxy::start(one, to, watch)).collect();
        Ok(Self { forward, reservation, proxies })
    }
}

/// What becomes of a publication that is new, or has changed.
struct Planned {
    forward: Arc<Forward>,
    /// The position of its former entry, or a new reservation.
    reservation: Result<PortReservation, usize>,
    /// `None`: as before.
    proxied: Option<Vec<(ProxySocket, Vec<SocketAddr>)>>,
}

impl Uplink {
    /// Publishes these ports, and no others. Ports that stay published are not interrupted, and cost nothing.
    ///
    /// # Errors
    /// See [`UplinkError`]; then nothing changes.
    pub(crate) async fn set_published(&mut self, forwards: Forwards) -> Result<(), UplinkError> {
        let result = self.change_published(forwards).await;
        self.held.lock().regain(self.entries.iter().map(|entry| &entry.forward.published));
        result
    }

    async fn change_published(&mut self, forwards: Forwards) -> Result<(), UplinkError> {
        let former = self.published.clone();
        let Differing { start, former: gone, new } = Differing::between(&former, &forwards);
        check_twice(new, &forwards)?;
        if self.forwarding.is_some() {
            check_shifted(&forwards)?;
        }
        let plan = self.plan(start..start + gone.len(), new)?;
        let by_sysctl = |planned: &Planned| match &planned.reservation {
            Ok(reservation) => reservation.by_sysctl,
            Err(n) => self.entries[*n].reservation.by_sysctl,
        };
        let affected = &self.entries[start..start + gone.len()];
        let is_set_affected =
            plan.iter().any(by_sysctl) || affected.iter().any(|entry| entry.reservation.by_sysctl);
        if is_set_affected {
            let stay = self.entries[..start].iter().chain(&self.entries[start + gone.len()..]);
            let stay = stay.filter(|it| it.reservation.by_sysctl).map(|it| &it.forward);
            let come = plan.iter().filter(|it| by_sysctl(it)).map(|it| &it.forward);
            let ranges = stay.chain(come).map(|it| it.published.ports.clone());
            self.reserved.change(&self.snat.union(&PortSet::from_ranges(ranges)))?;
        }
        // First its clients: without rules, the kernel would not translate their resets.
        self.relay(gone, new).await;
        if let Err(error) = self.shared.publish(forwards.clone()).await {
            self.relay(new, gone).await;
            self.reserved.change(&self.reserved_by_entries())?;
            return Err(error.into());
        }
        self.adopt(start..start + gone.len(), plan).await;
        self.published = forwards.clone();
        let local = self.shared.local().await;
        self.shared.stale_flows().note(gone, new, local);
        Ok(())
    }

    /// Relays to other publications for devices that are no uplinks.
    pub(super) async fn relay(&self, gone: &[Arc<Forward>], new: &[Arc<Forward>]) {
        if let Some(relay) = &self.relay {
            relay.change(gone, new).await;
        }
    }

    /// Reserves what is new. `affected`: positions of entries that change or go.
    fn plan(
        &self,
        affected: Range<usize>,
        new: &[Arc<Forward>],
    ) -> Result<Vec<Planned>, UplinkError> {
        let mut known: HashMap<&Published, Vec<usize>> = HashMap::new();
        for n in affected.rev() {
            known.entry(&self.entries[n].forward.published).or_default().push(n);
        }
        let mut plan = Vec::with_capacity(new.len());
        for forward in new {
            let former = known.get_mut(&forward.published).and_then(Vec::pop);
            let reservation = match former {
                Some(n) => Err(n),
                None => {
                    let mut held = self.held.lock().lend(&forward.published);
                    let own = self.relay.as_ref().and_then(|it| it.port_of(&forward.published));
                    held.extend(own);
                    Ok(sockets::reserve_ports(&forward.published, &held)?)
                }
            };
            // Before any change, since descriptors may run out.
            let proxied = match &reservation {
                Ok(reservation) => Some(served(reservation, forward)?),
                Err(n) if self.entries[*n].forward == *forward => None,
                Err(n) => Some(served(&self.entries[*n].reservation, forward)?),
            };
            plan.push(Planned { forward: Arc::clone(forward), reservation, proxied });
        }
        Ok(plan)
    }

    /// Replaces the entries at these positions, and waits for the end of proxies that are not needed any more.
    async fn adopt(&mut self, affected: Range<usize>, plan: Vec<Planned>) {
        let start = affected.start;
        let proxied_before = proxied_sockets(&self.entries[affected.clone()]);
        let mut former: Vec<Option<Entry>> = self.entries.drain(affected).map(Some).collect();
        let (mut over, mut entries) = (Vec::new(), Vec::with_capacity(plan.len()));
        for Planned { forward, reservation, proxied } in plan {
            let entry = match reservation {
                Err(n) => former[n - start].take().map(|entry| (entry.reservation, entry.proxies)),
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
            entries.push(Entry { forward, reservation, proxies });
        }
        let proxied = proxied_sockets(&entries);
        self.entries.splice(start..start, entries);
        over.extend(former.into_iter().flatten().flat_map(|entry| entry.proxies));
        self.syns.change(&proxied_before, &proxied).await;
        // Their ports are free only after their end.
        for proxy in over {
            proxy.end().await;
        }
    }

    /// All that is published.
    pub(super) fn forwards(&self) -> Vec<Forward> {
        self.entries.iter().map(|entry| Forward::clone(&entry.forward)).collect()
    }

    /// Flows of the kernel to ports that closed or opened, for waiting until they have ended.
    pub(crate) fn stale_flows(&self) -> StaleFlows {
        self.shared.stale_flows().clone()
    }

    fn reserved_by_entries(&self) -> PortSet {
        let long = self.entries.iter().filter(|entry| entry.reservation.by_sysctl);
        let ranges = long.map(|entry| entry.forward.published.ports.clone());
        self.snat.union(&PortSet::from_ranges(ranges))
    }
}

/// What the sockets of TCP that the proxy serves are bound to.
pub(super) fn proxied_sockets(entries: &[Entry]) -> BTreeSet<BoundTo> {
    let tcp = entries
        .iter()
        .filter(|it| it.forward.published.protocol == Protocol::Tcp && !it.proxies.is_empty());
    let bound = tcp.flat_map(|it| {
        let address = match it.forward.published.address {
            Some(IpAddr::V6(address)) => address,
            _ => Ipv6Addr::UNSPECIFIED,
        };
        it.reservation.served.iter().map(move |(port, _)| (address, *port))
    });
    bound.collect()
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

/// Refuses new ports that are published twice.
fn check_twice(new: &[Arc<Forward>], all: &[Arc<Forward>]) -> Result<(), UplinkError> {
    if new.len() > COMPARED_MAX {
        return check_all_twice(all);
    }
    for this in new {
        let meets = |other: &&Arc<Forward>| {
            !Arc::ptr_eq(this, other) && have_common(&this.published, &other.published)
        };
        if all.iter().any(|other| meets(&other)) {
            return Err(UplinkError::Twice(this.published.clone()));
        }
    }
    Ok(())
}

/// New publications that are compared with all; if there are more, all are sorted.
const COMPARED_MAX: usize = 8;

fn have_common(one: &Published, other: &Published) -> bool {
    one.protocol == other.protocol
        && one.ports.start() <= other.ports.end()
        && other.ports.start() <= one.ports.end()
        && meet(one.address, other.address)
}

fn meet(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

fn check_all_twice(forwards: &[Arc<Forward>]) -> Result<(), UplinkError> {
    let mut sorted: Vec<_> = forwards.iter().map(|forward| &forward.published).collect();
    sorted.sort_by_key(|it| (it.protocol, *it.ports.start()));
    // Ranges that may reach the next one.
    let mut open: Vec<&Published> = Vec::new();
    for this in sorted.into_iter().filter(|it| *it.ports.end() != 0) {
        open.retain(|it| it.protocol == this.protocol && it.ports.end() >= this.ports.start());
        if open.iter().any(|other| meet(this.address, other.address)) {
            return Err(UplinkError::Twice(this.clone()));
        }
        open.push(this);
    }
    Ok(())
}

/// Refuses more shifted ports than nftables rules can translate.
fn check_shifted(forwards: &[Arc<Forward>]) -> Result<(), UplinkError> {
    let mut left = SHIFTED_PORTS_SUM_MAX;
    let is_shifted = |it: &&Arc<Forward>| {
        *it.published.ports.start() != it.to_port && it.published.ports.len() > 1
    };
    for forward in forwards.iter().filter(is_shifted) {
        let ports = forward.published.ports.len();
        if ports > usize::from(SHIFTED_PORTS_MAX) || ports > left {
            return Err(UplinkError::Shifted(forward.published.clone()));
        }
        left -= ports;
    }
    Ok(())
}
