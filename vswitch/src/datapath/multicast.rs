//! Multicast snooping: frames for a group go to who listens (RFC 4541).
//!
//! # Theory of operation
//!
//! IGMP and MLD reports that come in say which ports listen to which group, queries which ports have a
//! router behind them. Both are remembered per network and VLAN, by the group's MAC address, and age by
//! `now`: a row that no report has refreshed for [`MEMBERSHIP_S`] is taken out when it is time to ask
//! again, or room is needed. Leaves are not acted upon: the row ages.
//!
//! Frames for a group go to its listeners and to the routers; reports go to the routers alone, so that
//! no listener keeps silent since another has spoken. What must reach everybody is flooded as before:
//! groups of the link itself, 224.0.0.0/24 and ff02::/16, queries, and multicast that is not IP.
//!
//! Listeners speak up when asked. Where no router asks, the switch does, on every VLAN that has access
//! ports, each [`QUERY_INTERVAL_S`] seconds: [`tick`]. For the first seconds after the start nobody can have
//! answered yet, and everything is flooded.
//!
//! Limits: [`GROUP_ROWS_MAX`] rows, and [`GROUPS_PER_PORT_MAX`] of one port. Who wants more than its share
//! gets no more; where the table is full, a row goes of the port that has most.

use std::net::Ipv4Addr;

use fastpath::limits::VNET_LEN;
use fastpath::{Nanos, Pool, PortIndex};
use wire::MacAddr;
use wire::membership::{self, Message, QUERY_RESPONSE_S};
use wire::meta::{L3, L4};

use super::batch::Slot;
use super::limits::{GROUP_ROWS_MAX, GROUPS_PER_PORT_MAX, MEMBERSHIP_S, QUERY_INTERVAL_S};
use super::snapshot::Network;
use super::{Batch, Egress, Key, Learnt, Snapshot, State, Stats, Tagging, Verdict};

#[cfg(test)]
mod tests;

/// IP protocol number of IGMP.
const IGMP: L4 = L4::Other(2);

/// The group under which the ports of routers are remembered: that of all systems, which is flooded in
/// any case.
const ROUTERS: MacAddr = MacAddr([0x01, 0x00, 0x5e, 0, 0, 1]);

/// Which ports listen to which group. Rows lie sorted, so that the listeners of a group are a slice.
#[derive(Debug, Default)]
pub struct Groups {
    keys: Vec<(Key, PortIndex)>,
    ports: Vec<PortIndex>,
    seen_s: Vec<u32>,
    /// Rows of each port.
    held: Vec<u16>,
    /// When the first frame or query was; before answers can have come, all is flooded.
    since_s: Option<u32>,
    next_query_s: u32,
    /// Rows that there was no room for.
    pub full: u64,
}

impl Groups {
    /// Notes that somebody listens on a port, or that a router is there. Says whether it was news of a
    /// second or more.
    pub(super) fn join(&mut self, key: Key, port: PortIndex, now_s: u32) -> bool {
        match self.keys.binary_search(&(key, port)) {
            Ok(at) => std::mem::replace(&mut self.seen_s[at], now_s) != now_s,
            Err(_) if self.held_by(port) >= GROUPS_PER_PORT_MAX => {
                self.full += 1;
                false
            }
            Err(_) => {
                self.make_room(now_s);
                let at = self.keys.partition_point(|&row| row < (key, port));
                self.keys.insert(at, (key, port));
                self.ports.insert(at, port);
                self.seen_s.insert(at, now_s);
                if self.held.len() <= port.get() {
                    self.held.resize(port.get() + 1, 0);
                }
                self.held[port.get()] += 1;
                true
            }
        }
    }

    /// Notes what another worker saw.
    pub fn join_in(&mut self, snapshot: &Snapshot, learnt: Learnt, seen_s: u32) {
        if snapshot.reaches(learnt.port, learnt.key) {
            self.join(learnt.key, learnt.port, seen_s);
        }
    }

    /// Forgets a port.
    pub fn forget_port(&mut self, port: PortIndex) {
        self.retain(|at_port, _| at_port != port);
    }

    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Ports that listen to a group, or did until lately.
    pub(super) fn listeners(&self, key: Key) -> &[PortIndex] {
        let start = self.keys.partition_point(|&(row, _)| row < key);
        let len = self.keys[start..].partition_point(|&(row, _)| row == key);
        &self.ports[start..start + len]
    }

    /// Ports behind which a router is.
    pub(super) fn routers(&self, key: Key) -> &[PortIndex] {
        self.listeners(router_key(key))
    }

    /// Takes out what has aged.
    fn age(&mut self, now_s: u32) {
        self.retain(|_, seen_s| now_s.saturating_sub(seen_s) <= MEMBERSHIP_S);
    }

    fn held_by(&self, port: PortIndex) -> usize {
        self.held.get(port.get()).copied().unwrap_or(0).into()
    }

    fn make_room(&mut self, now_s: u32) {
        if self.keys.len() < GROUP_ROWS_MAX {
            return;
        }
        self.age(now_s);
        if self.keys.len() < GROUP_ROWS_MAX {
            return;
        }
        let fullest = (0..self.held.len()).max_by_key(|&port| self.held[port]);
        if let Some(at) = self.ports.iter().position(|port| Some(port.get()) == fullest) {
            self.full += 1;
            self.keys.remove(at);
            self.seen_s.remove(at);
            self.held[self.ports.remove(at).get()] -= 1;
        }
    }

    fn retain(&mut self, keep: impl Fn(PortIndex, u32) -> bool) {
        let mut kept = 0;
        for at in 0..self.keys.len() {
            if keep(self.ports[at], self.seen_s[at]) {
                self.keys[kept] = self.keys[at];
                self.ports[kept] = self.ports[at];
                self.seen_s[kept] = self.seen_s[at];
                kept += 1;
            } else {
                self.held[self.ports[at].get()] -= 1;
            }
        }
        self.keys.truncate(kept);
        self.ports.truncate(kept);
        self.seen_s.truncate(kept);
    }

    /// Whether everybody who listens has had the time to say so.
    fn knows(&mut self, now_s: u32) -> bool {
        let since_s = *self.since_s.get_or_insert(now_s);
        now_s.saturating_sub(since_s) > 2 * u32::from(QUERY_RESPONSE_S)
    }
}

fn router_key(key: Key) -> Key {
    Key::new(key.network(), key.vlan(), ROUTERS)
}

/// Listens to reports and queries, and sends multicast to who listens to it.
pub(super) fn run(
    now: Nanos,
    batch: &mut Batch,
    pool: &Pool,
    snapshot: &Snapshot,
    state: &mut State,
) {
    if !batch.has_groups {
        return;
    }
    let now_s = now.seconds();
    for run in batch.slots.chunk_by_mut(|a, b| a.port == b.port) {
        let network = snapshot.network_of(run[0].port);
        if !network.is_some_and(|network| network.conf.snooping) {
            continue;
        }
        for slot in run {
            if slot.dst.is_multicast() && slot.verdict == Verdict::Pending {
                let frame = pool.bytes(&slot.frame).get(VNET_LEN..).unwrap_or_default();
                slot.verdict = decide(slot, frame, state, now_s);
            }
        }
    }
}

/// Multicast is rare: out of the loop's way.
#[inline(never)]
fn decide(slot: &Slot, frame: &[u8], state: &mut State, now_s: u32) -> Verdict {
    let message = match (slot.meta.l3, slot.meta.l4) {
        _ if slot.meta.fragment => None,
        (L3::Ipv4, IGMP) => Message::igmp(slot.meta.l4_bytes(frame)).ok(),
        (L3::Ipv6, L4::Icmpv6) => Message::mld(slot.meta.l4_bytes(frame)).ok(),
        _ => None,
    };
    match message {
        Some(Message::Query) => {
            note(slot, ROUTERS, state, now_s);
            Verdict::Flood
        }
        Some(Message::Leave) => Verdict::Routers,
        Some(Message::Report(joins)) => {
            // 239.128.0.1 has the same MAC address: nobody becomes a router by listening to it.
            for group in joins.filter(|group| *group != ROUTERS) {
                note(slot, group, state, now_s);
            }
            Verdict::Routers
        }
        None if !state.groups.knows(now_s) || is_of_the_link(slot, frame) => Verdict::Flood,
        None => Verdict::Group,
    }
}

fn note(slot: &Slot, group: MacAddr, state: &mut State, now_s: u32) {
    let key = Key::new(slot.dst.network(), slot.dst.vlan(), group);
    if state.groups.join(key, slot.port, now_s) && state.tell {
        state.news.push(Learnt { key, port: slot.port });
    }
}

/// Whether a frame must reach everybody on the link (RFC 4541 sections 2.1.2 and 3).
fn is_of_the_link(slot: &Slot, frame: &[u8]) -> bool {
    let packet = slot.meta.l3_bytes(frame);
    match slot.meta.l3 {
        L3::Ipv4 => {
            let dst = packet.get(16..20).and_then(|dst| <[u8; 4]>::try_from(dst).ok());
            dst.map(Ipv4Addr::from)
                .is_none_or(|dst| !dst.is_multicast() || dst.octets()[..3] == [224, 0, 0])
        }
        L3::Ipv6 => packet.get(24..26).is_none_or(|dst| dst[0] != 0xff || dst[1] & 0xf <= 2),
        _ => true,
    }
}

/// Lets rows age, and, where `asks`, asks who listens if no router does. To be called now and then; most
/// times it is not time yet. One worker of all asks.
pub(super) fn tick(
    now: Nanos,
    asks: bool,
    pool: &mut Pool,
    snapshot: &Snapshot,
    state: &mut State,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    let (now_s, groups) = (now.seconds(), &mut state.groups);
    if now_s < groups.next_query_s {
        return;
    }
    groups.next_query_s = now_s + QUERY_INTERVAL_S;
    groups.since_s.get_or_insert(now_s);
    groups.age(now_s);
    let snooping = |network: &Network| asks && network.conf.snooping;
    for (index, network) in snapshot.networks().filter(|(_, network)| snooping(network)) {
        let mac = network.conf.mac;
        let igmp = membership::igmp_query(mac, QUERY_INTERVAL_S as u8);
        let mld = membership::mld_query(mac, QUERY_INTERVAL_S as u8);
        for vlan in network.members.access_vlans() {
            if !groups.listeners(Key::new(index, vlan, ROUTERS)).is_empty() {
                continue;
            }
            for wanted in [Tagging::Untagged, Tagging::Tagged] {
                for frame in [&igmp[..], &mld] {
                    let targets = network.members.targets(snapshot, vlan, wanted);
                    super::tx::originate(frame, (vlan, wanted), targets, pool, stats, egress);
                }
            }
        }
    }
}
