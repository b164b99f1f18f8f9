//! The sets of the `netdev` table: addresses of the host, and published ports.
//!
//! Their elements change one by one: [`Elements`] is what a load adds, or what a change adds or removes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vswitch_sys::set::{Field, Set};

use super::build::{Layout, Writer};
use super::rules::{IngressRedirect, Published};

/// Elements of one IP version.
pub(super) struct Elements<'a> {
    pub(super) local: BTreeSet<IpAddr>,
    pub(super) published: &'a [Published],
}

/// Sets of one IP version.
pub(super) struct Sets<'a> {
    /// Addresses of the host.
    pub(super) local: Set<'a>,
    /// (protocol, port), at all of these addresses.
    pub(super) ports: Set<'a>,
    /// (address, protocol, port).
    pub(super) at_address: Set<'a>,
}

impl<'a> Elements<'a> {
    /// All elements of a redirection.
    pub(super) fn all(redirect: &'a IngressRedirect, layout: &Layout) -> Self {
        Self { local: redirect.local(layout.is_v6()), published: &redirect.published }
    }
}

/// The sets with these elements.
pub(super) fn sets<'a>(
    writer: &mut Writer<'a>,
    layout: &Layout,
    elements: &Elements<'_>,
) -> Sets<'a> {
    let fields = [layout.address, Field::Protocol, Field::Port];
    let mut sets = Sets {
        local: writer.set(&layout.name("local"), &fields[..1]),
        ports: writer.set(&layout.name("ports"), &fields[1..]),
        at_address: writer.set(&layout.name("published"), &fields),
    };
    for address in &elements.local {
        let octets = octets(*address);
        sets.local.add(&[&octets], &[&octets]);
    }
    let intervals = elements.published.iter().filter_map(|one| one.interval(layout.is_v6()));
    for interval in intervals {
        let protocol = [interval.protocol];
        let (first, last) = (interval.first.to_be_bytes(), interval.last.to_be_bytes());
        match interval.address {
            None => sets.ports.add(&[&protocol, &first], &[&protocol, &last]),
            Some(address) => {
                let octets = octets(address);
                sets.at_address.add(&[&octets, &protocol, &first], &[&octets, &protocol, &last]);
            }
        }
    }
    sets
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
