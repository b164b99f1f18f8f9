//! Source addresses of routes: those that the host itself would use. Pure.
//!
//! | family | rules, in this order |
//! |---|---|
//! | both | the route's `src`, if the host has it |
//! | IPv4 | the device's first primary address in the subnet of the next hop, else its first one, else the first of another device (`inet_select_addr`); of a scope that reaches as far as the route |
//! | IPv6 | addresses of the device that are not deprecated, else those that are, else those of other devices that are not (RFC 6724 sections 4 and 5, rules 2, 3 and 5); [`SourceSet::choose`] goes on by destination |
//!
//! A deprecated IPv6 address of the device is better than one of another device: RFC 6724 recommends the addresses of
//! the outgoing device as candidates, and another network's address rarely leads back. Addresses of a switch's bridge
//! are deprecated, or of scope link ([`bridge`](crate::host::bridge)), and thus never the source of a route elsewhere.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use nat::SourceSet;
use nat::sources::Candidate;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};

use crate::host::limits::SOURCE_SETS_MAX;

/// The device `lo` of every namespace.
const LOOPBACK_INDEX: u32 = 1;

/// Scopes of addresses and routes (`rtnetlink(7)`): greater ones reach less far.
const SCOPE_LINK: u8 = libc::RT_SCOPE_LINK;

/// The properties of a route that its source depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RouteKey {
    pub(super) is_v6: bool,
    pub(super) device: u32,
    pub(super) gateway: Option<IpAddr>,
    pub(super) scope: u8,
    /// The route's `src`.
    pub(super) wished: Option<IpAddr>,
}

/// An address of the host.
#[derive(Debug, Clone, Copy)]
struct Row {
    device: u32,
    own: IpAddr,
    /// Its subnet, or the peer of a point-to-point link.
    net: IpNet,
    scope: u8,
    flags: AddressHeaderFlags,
}

impl Row {
    fn parse(message: &AddressMessage) -> Option<Self> {
        let (mut local, mut peer) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Address(address) => peer = Some(*address),
                _ => {}
            }
        }
        let own = local.or(peer)?;
        let net = IpNet::new(peer.unwrap_or(own), message.header.prefix_len).ok()?;
        Some(Self {
            device: message.header.index,
            own,
            net,
            scope: u8::from(message.header.scope),
            flags: message.header.flags,
        })
    }

    /// It may be the source of packets beyond its link, deprecated or not.
    fn is_usable(&self) -> bool {
        use AddressHeaderFlags as F;
        match self.own {
            IpAddr::V4(address) => !address.is_loopback(),
            IpAddr::V6(address) => {
                !address.is_loopback()
                    && !address.is_unicast_link_local()
                    && !address.is_multicast()
                    && !self.flags.intersects(F::Dadfailed | F::Tentative)
            }
        }
    }

    fn is_deprecated(&self) -> bool {
        self.flags.contains(AddressHeaderFlags::Deprecated)
    }

    /// A secondary IPv4 address; of IPv6 the flag means a temporary one.
    fn is_secondary(&self) -> bool {
        self.flags.contains(AddressHeaderFlags::Secondary)
    }
}

/// The sources of routes, each distinct one once.
#[derive(Debug)]
pub(super) struct SourceTable {
    /// By device, in the kernel's order.
    rows: Vec<Row>,
    /// IPv6 addresses in the order of the former candidates, which stays.
    former: HashMap<IpAddr, usize>,
    sets: Vec<SourceSet>,
    known: HashMap<RouteKey, u16>,
}

impl SourceTable {
    pub(super) fn new(addresses: &[AddressMessage], former: &[SourceSet]) -> Self {
        let mut rows: Vec<_> = addresses.iter().filter_map(Row::parse).collect();
        rows.sort_by_key(|row| row.device);
        let former = former.iter().flat_map(|set| &set.candidates).zip(0..);
        let mut order = HashMap::new();
        for (candidate, position) in former {
            order.entry(candidate.address).or_insert(position);
        }
        Self { rows, former: order, sets: Vec::new(), known: HashMap::new() }
    }

    /// The number of a route's set; none over the limit.
    pub(super) fn number(&mut self, key: RouteKey) -> Option<u16> {
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let set = self.set(key);
        let at = self.sets.iter().position(|known| *known == set).unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        if at >= SOURCE_SETS_MAX {
            self.sets.truncate(SOURCE_SETS_MAX);
            return None;
        }
        let number = u16::try_from(at).ok()?;
        self.known.insert(key, number);
        Some(number)
    }

    /// The addresses of a route.
    pub(super) fn set(&self, key: RouteKey) -> SourceSet {
        let usable =
            || self.rows.iter().filter(|row| row.own.is_ipv6() == key.is_v6 && row.is_usable());
        let wished = usable().find(|row| Some(row.own) == key.wished);
        let candidates = match wished {
            Some(row) => vec![candidate(row)],
            None if key.is_v6 => self.candidates6(key.device),
            None => self.candidate4(key).into_iter().collect(),
        };
        let is_held = |row: &&Row| row.device == key.device || row.device == LOOPBACK_INDEX;
        SourceSet { candidates, held: usable().filter(is_held).map(|row| row.own).collect() }
    }

    /// All sets, by number.
    pub(super) fn into_sets(self) -> Vec<SourceSet> {
        self.sets
    }

    fn candidate4(&self, key: RouteKey) -> Option<Candidate> {
        let primary = || {
            let v4 = self.rows.iter().filter(|row| row.own.is_ipv4() && row.is_usable());
            v4.filter(|row| !row.is_secondary() && row.scope <= key.scope)
        };
        let here = || primary().filter(|row| row.device == key.device);
        let near = here().find(|row| key.gateway.is_some_and(|gateway| row.net.contains(&gateway)));
        let elsewhere = || primary().find(|row| row.scope != SCOPE_LINK);
        near.or_else(|| here().next()).or_else(elsewhere).map(candidate)
    }

    fn candidates6(&self, device: u32) -> Vec<Candidate> {
        let v6 = || self.rows.iter().filter(|row| row.own.is_ipv6() && row.is_usable());
        let here: Vec<_> = v6().filter(|row| row.device == device).collect();
        let preferred = |rows: Vec<&Row>| -> Vec<Candidate> {
            rows.into_iter().filter(|row| !row.is_deprecated()).map(candidate).collect()
        };
        let mut found = preferred(here.clone());
        if found.is_empty() {
            found = here.into_iter().map(candidate).collect();
        }
        if found.is_empty() {
            found = preferred(v6().collect());
        }
        found.sort_by_key(|it| self.former.get(&it.address).copied().unwrap_or(usize::MAX));
        found
    }
}

fn candidate(row: &Row) -> Candidate {
    let is_v6 = row.own.is_ipv6();
    Candidate {
        address: row.own,
        prefix_len: row.net.prefix_len(),
        is_temporary: is_v6 && row.is_secondary(),
    }
}
