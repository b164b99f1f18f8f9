//! Published ports, and where they lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Deref, RangeInclusive};
use std::sync::Arc;

use ipnet::IpNet;
pub(crate) use vswitch_api::publish::Protocol;

/// The number of a transport in an IP header.
pub(in crate::host) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// Published ports of the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Published {
    /// Address of the host; the unspecified one means all of its family, none all of both families.
    pub(crate) address: Option<IpAddr>,
    pub(crate) protocol: Protocol,
    pub(crate) ports: RangeInclusive<u16>,
}

/// DNAT of published ports: `ports[n]` to port `to_port + n` of an address of either family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Forward {
    pub(crate) published: Published,
    pub(crate) to4: Option<Ipv4Addr>,
    pub(crate) to6: Option<Ipv6Addr>,
    /// The container's first port.
    pub(crate) to_port: u16,
    /// Senders that may connect; all if there are none.
    pub(crate) allow_from: Vec<IpNet>,
}

/// All published ports. A clone is the same list, and a list differs from the one before by a few entries: both are
/// compared by address first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forwards(Arc<List>);

#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    all: Vec<Arc<Forward>>,
    kinds: Kinds,
}

/// Of which kinds there are any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    /// By family (IPv4, IPv6); at single addresses, or at all; ranges, or single ports.
    has: [[[bool; 2]; 2]; 2],
    /// Containers with an address of the family.
    targets: [bool; 2],
    /// Ports of ranges that take an element for each port.
    pub(super) shifted: usize,
}

/// An interval of ports, at one address or at all of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interval {
    pub(super) address: Option<IpAddr>,
    pub(super) protocol: u8,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Published {
    /// Its ports for a family, if it has any.
    pub(super) fn interval(&self, v6: bool) -> Option<Interval> {
        if self.ports.is_empty() || self.address.is_some_and(|address| address.is_ipv6() != v6) {
            return None;
        }
        Some(Interval {
            address: self.address.filter(|address| !address.is_unspecified()),
            protocol: protocol_number(self.protocol),
            first: *self.ports.start(),
            last: *self.ports.end(),
        })
    }
}

impl Forward {
    /// The container's address of a family, if the publication has that family.
    pub(super) fn target(&self, v6: bool) -> Option<IpAddr> {
        if self.published.address.is_some_and(|address| address.is_ipv6() != v6) {
            return None;
        }
        if v6 { self.to6.map(IpAddr::V6) } else { self.to4.map(IpAddr::V4) }
    }

    /// A range that has other numbers in the container.
    pub(super) fn is_shifted_range(&self) -> bool {
        let ports = &self.published.ports;
        *ports.start() != self.to_port && ports.len() > 1
    }
}

impl Forwards {
    /// A list in the order in which the former one has them.
    pub(crate) fn new(all: Vec<Arc<Forward>>) -> Self {
        let mut kinds = Kinds::default();
        for forward in &all {
            for v6 in [false, true] {
                if let Some(it) = forward.published.interval(v6) {
                    let (at, is_range) = (it.address.is_some(), it.first != it.last);
                    kinds.has[usize::from(v6)][usize::from(at)][usize::from(is_range)] = true;
                }
                kinds.targets[usize::from(v6)] |= forward.target(v6).is_some();
            }
            if forward.is_shifted_range() {
                kinds.shifted += forward.published.ports.len();
            }
        }
        Self(Arc::new(List { all, kinds }))
    }

    pub(super) fn kinds(&self) -> Kinds {
        self.0.kinds
    }
}

impl Kinds {
    /// Whether any ports are published in a family: at single addresses or at all, ranges or single ports.
    pub(super) fn has(&self, v6: bool, (at, is_range): (bool, bool)) -> bool {
        self.has[usize::from(v6)][usize::from(at)][usize::from(is_range)]
    }

    /// The same for all kinds.
    pub(super) fn of_family(&self, v6: bool) -> [[bool; 2]; 2] {
        self.has[usize::from(v6)]
    }

    /// Whether any publication leads to an address of a family.
    pub(super) fn has_targets(&self, v6: bool) -> bool {
        self.targets[usize::from(v6)]
    }
}

impl Deref for Forwards {
    type Target = [Arc<Forward>];

    fn deref(&self) -> &Self::Target {
        &self.0.all
    }
}

impl FromIterator<Forward> for Forwards {
    fn from_iter<I: IntoIterator<Item = Forward>>(all: I) -> Self {
        Self::new(all.into_iter().map(Arc::new).collect())
    }
}

/// What two lists have between what they begin and end with in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Differing<'a, T> {
    /// Entries that they begin with in common.
    pub(crate) start: usize,
    pub(crate) former: &'a [T],
    pub(crate) new: &'a [T],
}

impl<'a, T: PartialEq> Differing<'a, T> {
    pub(crate) fn between(one: &'a [T], other: &'a [T]) -> Self {
        let start = one.iter().zip(other).take_while(|(a, b)| a == b).count();
        let (one, other) = (&one[start..], &other[start..]);
        let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
        Self { start, former: &one[..one.len() - end], new: &other[..other.len() - end] }
    }
}

#[cfg(test)]
mod tests {
    use super::Differing;

    #[test]
    fn lists_differ_between_their_common_ends() {
        let of = |one: &[i32], other: &[i32]| {
            let Differing { start, former, new } = Differing::between(one, other);
            (start, former.to_vec(), new.to_vec())
        };
        assert_eq!(of(&[1, 2, 3], &[1, 2, 3]), (3, vec![], vec![]));
        assert_eq!(of(&[1, 2], &[1, 2, 3]), (2, vec![], vec![3]));
        assert_eq!(of(&[1, 2, 3], &[1, 3]), (1, vec![2], vec![]));
        assert_eq!(of(&[1, 1, 1], &[1, 1]), (2, vec![1], vec![]));
        assert_eq!(of(&[1, 2, 3, 4], &[1, 5, 6, 4]), (1, vec![2, 3], vec![5, 6]));
    }
}
