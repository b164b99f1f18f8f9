//! Shares of a port of a held block (`snat_blocks`) that its publications leave to the holding sockets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::host::limits::RESERVED_SOCKETS_MAX;
use crate::host::nft::Published;

/// A publication of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lending {
    /// `None`: all.
    pub(super) address: Option<IpAddr>,
    /// The kernel's setting reserves the range.
    is_long: bool,
}

/// The share of the holding sockets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Share {
    Nothing,
    /// IPv4 addresses, and these.
    Ipv4And(BTreeSet<Ipv6Addr>),
    /// All addresses; these at least.
    All(BTreeSet<Ipv6Addr>),
}

impl Lending {
    pub(super) fn of(published: &Published) -> Self {
        let is_long = published.ports.len() > RESERVED_SOCKETS_MAX;
        Self { address: published.address, is_long }
    }

    /// Whether it has sockets of its own: those of the proxy, and at all addresses.
    pub(super) fn needs_sockets(self) -> bool {
        !self.is_long && self.address.is_none_or(|it| is_proxied(&it))
    }
}

impl Share {
    /// `is_in_block`: the port is held for SNAT as well.
    pub(super) fn of<'a>(
        is_in_block: bool,
        all: impl Iterator<Item = &'a Lending> + Clone,
    ) -> Self {
        let own = || all.clone().filter(|it| it.needs_sockets()).map(|it| it.address);
        let stays = is_in_block || all.clone().any(|it| !it.needs_sockets());
        if !stays || own().any(|address| address.is_none()) {
            return Self::Nothing;
        }
        let single = |it: &Lending| match it.address {
            Some(IpAddr::V6(address)) if !it.is_long && !it.needs_sockets() => Some(address),
            _ => None,
        };
        let singles = || all.clone().filter_map(single).collect();
        if own().any(|it| it == Some(Ipv6Addr::UNSPECIFIED.into())) {
            Self::Ipv4And(BTreeSet::new())
        } else if own().next().is_some() {
            Self::Ipv4And(singles())
        } else {
            Self::All(singles())
        }
    }
}

fn is_proxied(it: &IpAddr) -> bool {
    *it == Ipv6Addr::LOCALHOST || *it == Ipv6Addr::UNSPECIFIED
}
