//! SNAT addresses by destination: the address that the host itself would use.
//!
//! # Theory of operation
//!
//! Each route has a [`SourceSet`]: the addresses that it may leave with, by everything but the destination. The choice
//! among them is that of RFC 6724 section 5, rules 6 to 8, for the destination; an IPv4 route has one candidate.
//!
//! [`Sources`] finds the set by the longest prefix, in each layer of routes, the first layer first. A route without a set
//! leaves the choice to the next layer. A route with the set of the shorter one around it is left out, so that a host
//! with one address has one prefix a family. Containers of some prefixes may have layers of their own.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use crate::address::Address;

/// Policy table of RFC 6724 section 2.1, as Linux has it: prefix, its length, label. The longest match holds.
const LABELS: [(Ipv6Addr, u32, u8); 10] = [
    (Ipv6Addr::LOCALHOST, 128, 0),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 4),
    (Ipv6Addr::UNSPECIFIED, 96, 3),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 6),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, 7),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16, 12),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, 11),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, 5),
    (Ipv6Addr::UNSPECIFIED, 0, 1),
];

/// An address that a route may leave with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The address.
    pub address: IpAddr,
    /// Bits of its subnet's prefix.
    pub prefix_len: u8,
    /// It changes within hours (RFC 8981).
    pub is_temporary: bool,
}

/// The SNAT addresses of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceSet {
    /// Of one family; of equals the first is chosen. Without one, nothing leaves by the route.
    pub candidates: Vec<Candidate>,
    /// Addresses that lead back by the device of the route: a TCP connection keeps one of these.
    pub held: Vec<IpAddr>,
}

impl SourceSet {
    /// The address for a destination.
    #[must_use]
    pub fn choose(&self, destination: IpAddr) -> Option<IpAddr> {
        if let [only] = self.candidates.as_slice() {
            return Some(only.address);
        }
        let wanted = label(destination);
        let rank = |candidate: &Candidate| {
            let common = common_bits(candidate.address, destination).min(candidate.prefix_len);
            (label(candidate.address) == wanted, !candidate.is_temporary, common)
        };
        // The last of equals is the first of the list.
        self.candidates.iter().rev().max_by_key(|it| rank(it)).map(|best| best.address)
    }

    /// A connection with this address may go on by the route.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.held.contains(&address) || self.offers(address)
    }

    /// New connections may leave with this address.
    pub(crate) fn offers(&self, address: IpAddr) -> bool {
        self.candidates.iter().any(|it| it.address == address)
    }
}

/// The SNAT addresses of routes. Immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    sets: Vec<SourceSet>,
    /// In the order of the search.
    levels: Vec<Level>,
    /// Those of some containers, in the order of the search.
    narrower: Vec<Narrower>,
}

/// Routes for the containers of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Narrower {
    start: u128,
    len: u32,
    levels: Vec<Level>,
}

/// Routes of one layer with the same prefix length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Level {
    layer: usize,
    /// Bits of an IPv4-mapped or IPv6 prefix.
    len: u32,
    /// First addresses with the index of the set, sorted; none if the next layer decides.
    routes: Vec<(u128, Option<u16>)>,
}

impl Sources {
    /// No routes yet; `sets` are those that routes name by index.
    #[must_use]
    pub fn new(sets: Vec<SourceSet>) -> Self {
        Self { sets, levels: Vec::new(), narrower: Vec::new() }
    }

    /// Adds a layer of routes below the former ones: destination, prefix length, index of the set; without one the next
    /// layer decides. Of routes with the same prefix the first holds.
    #[must_use]
    pub fn with_layer(
        mut self,
        routes: impl IntoIterator<Item = (IpAddr, u8, Option<u16>)>,
    ) -> Self {
        let layer = self.levels.last().map_or(0, |last| last.layer + 1);
        let mut routes: Vec<_> = routes
            .into_iter()
            .filter(|&(.., set)| set.is_none_or(|set| usize::from(set) < self.sets.len()))
            .map(|(address, len, set)| {
                let len = u32::from(len) + if address.is_ipv4() { 96 } else { 0 };
                (len, address.is_ipv6(), number(address) & mask(len), set)
            })
            .collect();
        routes.sort_by_key(|&(len, is_v6, start, _)| (len, is_v6, start));
        routes.dedup_by_key(|&mut (len, _, start, _)| (len, start));
        let mut levels: Vec<Level> = Vec::new();
        for (len, is_v6, start, set) in routes {
            let shorter = levels.iter().rev().filter(|level| level.len < len);
            if longest(shorter, start, !is_v6).map(|(_, set)| set) == Some(set) {
                continue;
            }
            if levels.last().is_none_or(|last| last.len != len) {
                levels.push(Level { layer, len, routes: Vec::new() });
            }
            if let Some(level) = levels.last_mut() {
                level.routes.push((start, set));
            }
        }
        levels.iter_mut().for_each(|level| level.routes.sort_unstable());
        self.levels.extend(levels.into_iter().rev());
        self
    }

    /// Containers of a prefix (address, length) have the layers of `other`, which has the same sets. Of several
    /// prefixes around a container the first holds.
    #[must_use]
    pub fn with_narrower(mut self, (address, len): (IpAddr, u8), other: Self) -> Self {
        let len = u32::from(len) + if address.is_ipv4() { 96 } else { 0 };
        let start = number(address) & mask(len);
        self.narrower.push(Narrower { start, len, levels: other.levels });
        self
    }

    /// The set of the route to a destination for a container with this address.
    #[must_use]
    pub fn find(&self, container: IpAddr, destination: IpAddr) -> Option<&SourceSet> {
        let mut levels = &self.levels;
        if !self.narrower.is_empty() {
            let container = number(container);
            let mut narrower = self.narrower.iter();
            let own = narrower.find(|it| container & mask(it.len) == it.start);
            levels = own.map_or(levels, |own| &own.levels);
        }
        let (destination, is_v4) = (number(destination), destination.is_ipv4());
        let mut rest = levels.as_slice();
        while let Some((layer, set)) = longest(rest.iter(), destination, is_v4) {
            if let Some(set) = set {
                return self.sets.get(usize::from(set));
            }
            rest = &rest[rest.partition_point(|level| level.layer <= layer)..];
        }
        None
    }

    /// All sets.
    #[must_use]
    pub fn sets(&self) -> &[SourceSet] {
        &self.sets
    }
}

/// The layer and the set of the first level with the destination.
fn longest<'a>(
    mut levels: impl Iterator<Item = &'a Level>,
    destination: u128,
    is_v4: bool,
) -> Option<(usize, Option<u16>)> {
    levels.find_map(|level| {
        // A short IPv6 prefix also covers the mapped IPv4 addresses.
        if is_v4 && level.len < 96 {
            return None;
        }
        let start = destination & mask(level.len);
        let at = level.routes.binary_search_by_key(&start, |&(start, _)| start).ok()?;
        Some((level.layer, level.routes[at].1))
    })
}

const fn mask(len: u32) -> u128 {
    match u128::MAX.checked_shl(128 - len) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The address in 128 bits, IPv4 as IPv4-mapped IPv6.
fn number(address: IpAddr) -> u128 {
    let Address { high, low } = address.into();
    u128::from(high) << 64 | u128::from(low)
}

fn common_bits(one: IpAddr, other: IpAddr) -> u8 {
    (number(one) ^ number(other)).leading_zeros() as u8
}

/// The label of an address.
fn label(address: IpAddr) -> u8 {
    let IpAddr::V6(address) = address else { return 4 };
    let matching = LABELS
        .iter()
        .find(|(prefix, len, _)| (address.to_bits() ^ prefix.to_bits()) & mask(*len) == 0);
    matching.map_or(1, |&(.., label)| label)
}
