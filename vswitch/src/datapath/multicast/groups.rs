//! Ports that listen to each group, and VLANs that the switch queries.

use fastpath::PortIndex;
use vswitch_counters::MulticastCounters;
use wire::MacAddr;
use wire::membership::QUERY_RESPONSE_S;

use crate::datapath::limits::{
    GROUP_ROWS_MAX, GROUPS_PER_PORT_MAX, LAST_MEMBER_QUERIES, LAST_MEMBER_S, LEAVES_MAX,
    MEMBERSHIP_S, QUERY_INTERVAL_S, TUNNEL_GROUPS_MAX,
};
use crate::datapath::{Key, Learnt, NetworkIndex, PortVlans, Snapshot};

/// The group under which the ports of routers are remembered: that of all systems, which is flooded in
/// any case.
pub(super) const ROUTERS: MacAddr = MacAddr([0x01, 0x00, 0x5e, 0, 0, 1]);

/// The IPv6 group of all nodes, which stands for all IPv6 groups of a port that is asked.
const ALL_NODES: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);

/// The group under which ports are remembered that get all groups: those of routers, and newcomers until they had
/// time to answer. No IPv4 group has this MAC address, since theirs have 23 bits.
pub(super) const TAKERS: MacAddr = MacAddr([0x01, 0x00, 0x5e, 0x80, 0, 1]);

/// Ports that listen to each group. Rows are sorted, so that the listeners of a group are a slice.
#[derive(Debug, Default)]
pub struct Groups {
    keys: Vec<(Key, PortIndex)>,
    ports: Vec<PortIndex>,
    /// Last second of each row.
    until_s: Vec<u32>,
    /// When a row has aged, or sooner.
    ages_s: u32,
    /// Rows of each port.
    rows_per_port: Vec<u16>,
    /// VLANs that are queried, sorted.
    pub(super) domains: Vec<Domain>,
    /// When the next query is due.
    pub(super) next_s: u32,
    /// Network and VLANs of each port.
    port_vlans: Vec<Option<(NetworkIndex, PortVlans)>>,
    /// Access ports that came since the last tick, behind which hosts may have listened before.
    pub(super) newcomers: Vec<(Key, PortIndex)>,
    /// Ports after a leave, where another host may still listen.
    pub(super) leaves: Vec<Leave>,
    /// The port that stands for other nodes.
    tunnel: Option<PortIndex>,
    /// Rows refused or evicted.
    pub counters: MulticastCounters,
}

/// A VLAN that is queried: one that some port carries without a tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Domain {
    pub(super) network: NetworkIndex,
    pub(super) vlan: u16,
    /// When it was asked first; all is flooded before, and until answers must have come.
    since_s: Option<u32>,
    /// When it is to be asked.
    pub(super) next_s: u32,
}

impl Domain {
    fn id(&self) -> (NetworkIndex, u16) {
        (self.network, self.vlan)
    }

    pub(super) fn queried(&mut self, now_s: u32) {
        self.since_s.get_or_insert(now_s);
        self.next_s = now_s + QUERY_INTERVAL_S;
    }
}

/// A port that is queried after a leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// The group that was left last.
    pub(super) key: Key,
    pub(super) port: PortIndex,
    pub(super) due_s: u32,
    /// Questions that are left.
    pub(super) left: u32,
}

impl Groups {
    /// Records a listener, or a router, on a port. Returns whether the row is new or a second newer.
    pub(super) fn join(&mut self, key: Key, port: PortIndex, now_s: u32) -> bool {
        self.listen(key, port, holds_until(now_s))
    }

    fn listen(&mut self, key: Key, port: PortIndex, until_s: u32) -> bool {
        let is_update = match self.keys.binary_search(&(key, port)) {
            Ok(at) => std::mem::replace(&mut self.until_s[at], until_s) != until_s,
            Err(_) if self.rows_of(port) >= self.rows_max(port) => {
                self.counters.mdb_full += 1;
                return false;
            }
            Err(_) => {
                self.evict_for(until_s.saturating_sub(MEMBERSHIP_S));
                let at = self.keys.partition_point(|&row| row < (key, port));
                self.keys.insert(at, (key, port));
                self.ports.insert(at, port);
                self.until_s.insert(at, until_s);
                if self.rows_per_port.len() <= port.get() {
                    self.rows_per_port.resize(port.get() + 1, 0);
                }
                self.rows_per_port[port.get()] += 1;
                true
            }
        };
        self.ages_s = self.ages_s.min(until_s + 1);
        is_update
    }

    fn rows_max(&self, port: PortIndex) -> usize {
        if self.tunnel == Some(port) { TUNNEL_GROUPS_MAX } else { GROUPS_PER_PORT_MAX }
    }

    /// Sets the port that stands for other nodes.
    pub(in crate::datapath) fn set_tunnel(&mut self, port: PortIndex) {
        self.tunnel = Some(port);
    }

    /// Records a leave: the port is queried, and the row ends without an answer. Returns when, if that is
    /// sooner than before.
    pub(super) fn leave(&mut self, key: Key, port: PortIndex, now_s: u32) -> Option<u32> {
        let at = self.keys.binary_search(&(key, port)).ok()?;
        let until_s = now_s + LAST_MEMBER_QUERIES * LAST_MEMBER_S;
        // To a router goes everything in any case.
        if self.until_s[at] <= until_s || self.routers(key).contains(&port) {
            return None;
        }
        let is_same = |leave: &&mut Leave| {
            let of = |key: Key| (key.network(), key.vlan(), is_ipv6(key));
            leave.port == port && of(leave.key) == of(key)
        };
        if let Some(leave) = self.leaves.iter_mut().find(is_same) {
            leave.left = LAST_MEMBER_QUERIES;
        } else if self.leaves.len() < LEAVES_MAX {
            self.leaves.push(Leave { key, port, due_s: now_s, left: LAST_MEMBER_QUERIES });
        } else {
            self.counters.mdb_full += 1;
            return None;
        }
        self.until_s[at] = until_s;
        self.ages_s = self.ages_s.min(until_s + 1);
        Some(until_s)
    }

    /// Lets newcomers have all groups until they had time to answer, and lets `is_querier` ask them at once. VLANs
    /// that are about to be asked as a whole ask theirs, too.
    pub(super) fn admit_newcomers(&mut self, is_querier: bool, now_s: u32) {
        let until_s = now_s + (LAST_MEMBER_QUERIES + 1) * LAST_MEMBER_S;
        for (key, port) in std::mem::take(&mut self.newcomers) {
            let id = (key.network(), key.vlan());
            let domain = self.domains.binary_search_by_key(&id, Domain::id);
            if domain.is_ok_and(|at| self.domains[at].since_s.is_none()) {
                continue;
            }
            self.listen(key, port, until_s);
            if !is_querier {
                continue;
            }
            for group in [key.mac(), ALL_NODES] {
                let key = Key::new(key.network(), key.vlan(), group);
                if self.leaves.len() < LEAVES_MAX {
                    let left = LAST_MEMBER_QUERIES;
                    self.leaves.push(Leave { key, port, due_s: now_s, left });
                } else if let Ok(at) = domain {
                    // Too many for one question each.
                    (self.domains[at].since_s, self.domains[at].next_s) = (None, 0);
                }
            }
        }
        self.schedule();
    }

    /// Records a listener that another worker saw.
    pub fn join_in(&mut self, snapshot: &Snapshot, learnt: Learnt, until_s: u32) {
        if let Some(port) = learnt.destination.port()
            && (snapshot.reaches(port, learnt.key) || snapshot.tunnels(port, learnt.key))
        {
            self.listen(learnt.key, port, until_s);
        }
    }

    /// Forgets a port.
    pub fn forget_port(&mut self, port: PortIndex) {
        self.retain(|at_port, _| at_port != port);
        self.leaves.retain(|leave| leave.port != port);
        // Another one with its number is a newcomer.
        if let Some(vlans) = self.port_vlans.get_mut(port.get()) {
            *vlans = None;
        }
    }

    /// Applies a new snapshot. A VLAN that is new, or that a port or trunk has joined, is queried at once,
    /// and flooded until answers must have come.
    pub(in crate::datapath) fn apply_snapshot(&mut self, snapshot: &Snapshot) {
        let before = std::mem::take(&mut self.domains);
        let is_first = before.is_empty();
        for (network, conf) in snapshot.networks().filter(|(_, network)| network.conf.snooping) {
            for vlan in conf.members.domains() {
                let known = before.binary_search_by_key(&(network, vlan), Domain::id);
                let new = Domain { network, vlan, since_s: None, next_s: 0 };
                self.domains.push(known.map_or(new, |at| before[at]));
            }
        }
        let former = std::mem::take(&mut self.port_vlans);
        self.newcomers.retain(|(_, port)| snapshot.port(*port).is_some());
        for (port, conf) in snapshot.ports() {
            let current = (conf.network, conf.vlans.clone());
            let came = match former.get(port.get()).and_then(Option::as_ref) {
                Some(former) => *former != current,
                None => conf.vlans.is_trunk(),
            };
            let reached = |domain: &&mut Domain| {
                let carries = conf.vlans.egress(domain.vlan, false).is_some();
                domain.network == conf.network && carries
            };
            let is_new = former.get(port.get()).is_none_or(Option::is_none);
            for domain in self.domains.iter_mut().filter(reached) {
                if came {
                    (domain.since_s, domain.next_s) = (None, 0);
                } else if is_new && !is_first {
                    self.newcomers.push((Key::new(domain.network, domain.vlan, TAKERS), port));
                }
            }
            self.port_vlans.resize(port.get(), None);
            self.port_vlans.push(Some(current));
        }
        self.schedule();
    }

    /// Notes when the next VLAN is to be asked.
    pub(super) fn schedule(&mut self) {
        let next = self.domains.iter().map(|domain| domain.next_s).min();
        self.next_s = next.unwrap_or(u32::MAX);
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
    pub(in crate::datapath) fn listeners(&self, key: Key) -> &[PortIndex] {
        let start = self.keys.partition_point(|&(row, _)| row < key);
        let len = self.keys[start..].partition_point(|&(row, _)| row == key);
        &self.ports[start..start + len]
    }

    /// Ports behind which a router is.
    pub(in crate::datapath) fn routers(&self, key: Key) -> &[PortIndex] {
        self.listeners(Key::new(key.network(), key.vlan(), ROUTERS))
    }

    /// Ports that get all groups.
    pub(in crate::datapath) fn takers(&self, key: Key) -> &[PortIndex] {
        self.listeners(Key::new(key.network(), key.vlan(), TAKERS))
    }

    /// Whether all listeners of a VLAN have had time to report; never for a VLAN that is not queried.
    pub(super) fn knows(&self, key: Key, now_s: u32) -> bool {
        let id = (key.network(), key.vlan());
        let domain = self.domains.binary_search_by_key(&id, Domain::id);
        let since_s = domain.ok().and_then(|at| self.domains[at].since_s);
        since_s
            .is_some_and(|since_s| now_s.saturating_sub(since_s) > 2 * u32::from(QUERY_RESPONSE_S))
    }

    /// Removes aged rows.
    pub(super) fn age(&mut self, now_s: u32) {
        if now_s < self.ages_s {
            return;
        }
        self.retain(|_, until_s| now_s <= until_s);
        self.ages_s = self.until_s.iter().min().map_or(u32::MAX, |&until_s| until_s + 1);
    }

    pub(super) fn rows_of(&self, port: PortIndex) -> usize {
        self.rows_per_port.get(port.get()).copied().unwrap_or(0).into()
    }

    fn evict_for(&mut self, now_s: u32) {
        if self.keys.len() < GROUP_ROWS_MAX {
            return;
        }
        self.age(now_s);
        if self.keys.len() < GROUP_ROWS_MAX {
            return;
        }
        let fullest = (0..self.rows_per_port.len()).max_by_key(|&port| self.rows_per_port[port]);
        if let Some(at) = self.ports.iter().position(|port| Some(port.get()) == fullest) {
            self.counters.mdb_full += 1;
            self.keys.remove(at);
            self.until_s.remove(at);
            self.rows_per_port[self.ports.remove(at).get()] -= 1;
        }
    }

    fn retain(&mut self, keep: impl Fn(PortIndex, u32) -> bool) {
        let mut kept = 0;
        for at in 0..self.keys.len() {
            if keep(self.ports[at], self.until_s[at]) {
                self.keys[kept] = self.keys[at];
                self.ports[kept] = self.ports[at];
                self.until_s[kept] = self.until_s[at];
                kept += 1;
            } else {
                self.rows_per_port[self.ports[at].get()] -= 1;
            }
        }
        self.keys.truncate(kept);
        self.ports.truncate(kept);
        self.until_s.truncate(kept);
    }
}

/// Until when a report that comes now holds.
pub(super) fn holds_until(now_s: u32) -> u32 {
    now_s + MEMBERSHIP_S
}

/// Whether a group's MAC address is one of IPv6 (RFC 2464 section 7).
pub(super) fn is_ipv6(key: Key) -> bool {
    key.mac().0[..2] == [0x33, 0x33]
}
