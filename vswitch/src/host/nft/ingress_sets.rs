//! The sets of the `netdev` table: addresses of the host, published ports, claimed ports, remotes without ports, TAPs.
//!
//! Their elements change one by one: [`Elements`] is what a load adds, or what a change adds or removes. A single port is
//! a key of a hash table, which costs the kernel the same however many there are; a range is an interval.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::net::IpAddr;
use std::sync::Arc;

use vswitch_sys::set::{Field, Set};

use super::build::{Layout, V4, V6, Writer};
use super::forwards::{Forward, protocol_number};
use super::rules::{IngressRedirect, PortBlock};

/// The set of claimed SNAT ports, for both IP versions.
pub(super) const SNAT_PORTS: &CStr = c"snat-ports";
pub(super) const SNAT_PORTS_FIELDS: [Field; 2] = [Field::Protocol, Field::Port];

/// Elements of all sets.
pub(super) struct Elements<'a> {
    local: BTreeSet<IpAddr>,
    published: &'a [Arc<Forward>],
    portless: BTreeSet<(IpAddr, u8)>,
    blocks: BTreeSet<PortBlock>,
    /// Indexes of NICs and of their TAPs.
    taps: BTreeSet<(u32, u32)>,
}

/// The sets of a table.
pub(super) struct Sets<'a> {
    pub(super) claimed: Set<'a>,
    /// From the index of a NIC to that of its TAP.
    pub(super) taps: Set<'a>,
    pub(super) v4: FamilySets<'a>,
    pub(super) v6: FamilySets<'a>,
}

/// Sets of one IP version.
pub(super) struct FamilySets<'a> {
    /// Addresses of the host.
    pub(super) local: Set<'a>,
    /// (protocol, port), at all of these addresses: single ports, and ranges.
    pub(super) any: [Set<'a>; 2],
    /// (address, protocol, port), likewise.
    pub(super) at: [Set<'a>; 2],
    /// (address, protocol) of remotes that containers use protocols without ports with.
    pub(super) portless: Set<'a>,
}

impl<'a> Elements<'a> {
    /// All elements of a redirection.
    pub(super) fn all(redirect: &'a IngressRedirect) -> Self {
        Self {
            local: redirect.local(),
            published: &redirect.published,
            portless: redirect.portless.clone(),
            blocks: redirect.snat_blocks.clone(),
            taps: redirect.taps(),
        }
    }

    /// Those of a redirection that another one lacks; of the published ports these.
    pub(super) fn beside(
        one: &IngressRedirect,
        other: &IngressRedirect,
        published: &'a [Arc<Forward>],
    ) -> Self {
        Self {
            local: one.local().difference(&other.local()).copied().collect(),
            published,
            portless: one.portless.difference(&other.portless).copied().collect(),
            blocks: one.snat_blocks.difference(&other.snat_blocks).cloned().collect(),
            taps: one.taps().difference(&other.taps()).copied().collect(),
        }
    }
}

impl<'a> Sets<'a> {
    /// The sets with these elements.
    pub(super) fn new(writer: &mut Writer<'a>, elements: &Elements<'_>) -> Self {
        let mut claimed = writer.set(SNAT_PORTS, &SNAT_PORTS_FIELDS);
        add_blocks(&mut claimed, &elements.blocks);
        let mut taps = writer.map(c"taps", (&[Field::DeviceIndex], false), &[Field::DeviceIndex]);
        for (device, tap) in &elements.taps {
            let device = device.to_ne_bytes();
            taps.add_mapped(&[&device], &[&device], &[&tap.to_ne_bytes()]);
        }
        let v4 = FamilySets::new(writer, &V4, elements);
        let v6 = FamilySets::new(writer, &V6, elements);
        Self { claimed, taps, v4, v6 }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Set<'a>> {
        let families = [&self.v4, &self.v6].into_iter().flat_map(FamilySets::all);
        [&self.claimed, &self.taps].into_iter().chain(families)
    }
}

impl<'a> FamilySets<'a> {
    fn new(writer: &mut Writer<'a>, layout: &Layout, elements: &Elements<'_>) -> Self {
        let at = [layout.address, Field::Protocol, Field::Port];
        let any = &at[1..];
        let mut sets = Self {
            local: writer.set(&layout.name("local"), &at[..1]),
            any: [
                writer.keys(&layout.name("ports"), any),
                writer.set(&layout.name("port-ranges"), any),
            ],
            at: [
                writer.keys(&layout.name("published"), &at),
                writer.set(&layout.name("published-ranges"), &at),
            ],
            portless: writer.keys(&layout.name("portless"), &at[..2]),
        };
        let v6 = layout.is_v6();
        for address in elements.local.iter().filter(|it| it.is_ipv6() == v6) {
            let octets = octets(*address);
            sets.local.add(&[&octets], &[&octets]);
        }
        for (remote, protocol) in elements.portless.iter().filter(|(it, _)| it.is_ipv6() == v6) {
            let (octets, protocol) = (octets(*remote), [*protocol]);
            sets.portless.add(&[&octets, &protocol], &[&octets, &protocol]);
        }
        for it in elements.published.iter().filter_map(|one| one.published.interval(v6)) {
            let protocol = [it.protocol];
            let (first, last) = (it.first.to_be_bytes(), it.last.to_be_bytes());
            let kind = usize::from(it.first != it.last);
            match it.address {
                None => sets.any[kind].add(&[&protocol, &first], &[&protocol, &last]),
                Some(address) => {
                    let octets = octets(address);
                    sets.at[kind].add(&[&octets, &protocol, &first], &[&octets, &protocol, &last]);
                }
            }
        }
        sets
    }

    fn all(&self) -> impl Iterator<Item = &Set<'a>> {
        [&self.local, &self.portless].into_iter().chain(&self.any).chain(&self.at)
    }
}

/// Adds blocks to the set of claimed SNAT ports.
pub(super) fn add_blocks<'a>(set: &mut Set<'_>, blocks: impl IntoIterator<Item = &'a PortBlock>) {
    for block in blocks {
        let protocol = [protocol_number(block.protocol)];
        let (first, last) = (block.first.to_be_bytes(), block.last.to_be_bytes());
        set.add(&[&protocol, &first], &[&protocol, &last]);
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
