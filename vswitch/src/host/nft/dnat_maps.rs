//! The maps of published ports of the `ip` and `ip6` tables: each publication is one element, or one for each port of a
//! range that has other numbers in the container.
//!
//! | map | key | value |
//! |---|---|---|
//! | `at` | address, protocol, port | address and port |
//! | `at-ranges` | address, protocol, ports | address; the port stays |
//! | `ports` | protocol, port, at all addresses of the host | address and port |
//! | `ranges` | protocol, ports, at all addresses of the host | address; the port stays |
//!
//! The sets `limited` and `limited-at` have those that only some senders may connect to.

use std::net::IpAddr;

use vswitch_sys::expr::{Base, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};

use super::build::Writer;
use super::ingress_sets::octets;
use super::rules::{Forward, protocol_number};
use crate::host::limits::{SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};

/// The maps of one IP version.
pub(super) struct Maps<'a> {
    pub(super) at: Set<'a>,
    pub(super) at_ranges: Set<'a>,
    pub(super) ports: Set<'a>,
    pub(super) ranges: Set<'a>,
    /// Publications for some senders only: address, protocol and ports; without an address.
    pub(super) limited_at: Set<'a>,
    pub(super) limited: Set<'a>,
}

impl<'a> Maps<'a> {
    /// The maps with the elements of these publications.
    pub(super) fn new(writer: &mut Writer<'a>, forwards: &[Forward], v6: bool) -> Self {
        let address = address_field(v6);
        let at = [address, Field::Protocol, Field::Port];
        let mut maps = Self {
            at: writer.map(c"at", (&at, false), &[address, Field::Port]),
            at_ranges: writer.map(c"at-ranges", (&at, true), &[address]),
            ports: writer.map(c"ports", (&at[1..], false), &[address, Field::Port]),
            ranges: writer.map(c"ranges", (&at[1..], true), &[address]),
            limited_at: writer.set(c"limited-at", &at),
            limited: writer.set(c"limited", &at[1..]),
        };
        let mut left = SHIFTED_PORTS_SUM_MAX;
        for forward in forwards {
            if let Some(to) = target(forward, v6) {
                maps.add(forward, to, &mut left);
            }
        }
        maps
    }

    pub(super) fn all(&self) -> [&Set<'a>; 6] {
        let (at, any) = (&self.limited_at, &self.limited);
        [&self.at, &self.at_ranges, &self.ports, &self.ranges, at, any]
    }

    fn add(&mut self, forward: &Forward, to: IpAddr, left: &mut usize) {
        let published = &forward.published;
        let address = published.address.filter(|address| !address.is_unspecified());
        let address = address.map(octets);
        let protocol = [protocol_number(published.protocol)];
        let key = |port: &[u8; 2]| -> Vec<Vec<u8>> {
            address.iter().cloned().chain([protocol.to_vec(), port.to_vec()]).collect()
        };
        let (first, last) = (*published.ports.start(), *published.ports.end());
        let count = published.ports.len();
        if forward.is_limited {
            let set = if address.is_some() { &mut self.limited_at } else { &mut self.limited };
            let (from, up_to) = (key(&first.to_be_bytes()), key(&last.to_be_bytes()));
            set.add(&slices(&from), &slices(&up_to));
        }
        let to = octets(to);
        if first == forward.to_port && count > 1 {
            let map = if address.is_some() { &mut self.at_ranges } else { &mut self.ranges };
            let (from, up_to) = (key(&first.to_be_bytes()), key(&last.to_be_bytes()));
            map.add_mapped(&slices(&from), &slices(&up_to), &[&to]);
            return;
        }
        if is_shifted_range(forward) {
            if count > usize::from(SHIFTED_PORTS_MAX) || count > *left {
                return warn_of(first, last, forward.to_port);
            }
            *left -= count;
        }
        let map = if address.is_some() { &mut self.at } else { &mut self.ports };
        for (port, to_port) in published.ports.clone().zip(forward.to_port..) {
            let key = key(&port.to_be_bytes());
            map.add_mapped(&slices(&key), &slices(&key), &[&to, &to_port.to_be_bytes()]);
        }
    }
}

fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
    parts.iter().map(Vec::as_slice).collect()
}

/// Ports of ranges that take an element for each port.
pub(super) fn shifted_ports(forwards: &[Forward]) -> usize {
    let shifted = forwards.iter().filter(|it| is_shifted_range(it));
    shifted.map(|it| it.published.ports.len()).sum()
}

fn is_shifted_range(forward: &Forward) -> bool {
    let ports = &forward.published.ports;
    *ports.start() != forward.to_port && ports.len() > 1
}

fn warn_of(first: u16, last: u16, to: u16) {
    tracing::warn!(
        first,
        last,
        to,
        max = SHIFTED_PORTS_MAX,
        of_all_ranges = SHIFTED_PORTS_SUM_MAX,
        "too many shifted ports for nftables: the host itself cannot reach these; publish them under the \
         container's own numbers"
    );
}

/// The container's address of a family, if the publication has that family.
pub(super) fn target(forward: &Forward, v6: bool) -> Option<IpAddr> {
    if forward.published.address.is_some_and(|address| address.is_ipv6() != v6) {
        return None;
    }
    if v6 { forward.to6.map(IpAddr::V6) } else { forward.to4.map(IpAddr::V4) }
}

fn address_field(v6: bool) -> Field {
    if v6 { Field::Ipv6 } else { Field::Ipv4 }
}

/// Where the destination is in the IP header.
const fn destination(v6: bool) -> u32 {
    if v6 { 24 } else { 16 }
}

/// Loads (address, protocol, port) of the destination from the first register on; without `has_address`, the rest.
pub(super) fn key(v6: bool, has_address: bool) -> Vec<Expr> {
    let len = address_field(v6).size();
    let protocol = if has_address { Reg::R0.after(len) } else { Reg::R0 };
    let port = protocol.after(Field::Protocol.size());
    let address = Expr::payload(Base::Network, destination(v6), len as u32, Reg::R0);
    let rest = [Expr::meta(Meta::L4Proto, protocol), Expr::payload(Base::Transport, 2, 2, port)];
    has_address.then_some(address).into_iter().chain(rest).collect()
}

/// Looks the key up in a map, and translates the destination to the value.
pub(super) fn translate(map: &Set<'_>, v6: bool, has_port: bool) -> Vec<Expr> {
    let any: IpAddr = match v6 {
        false => std::net::Ipv4Addr::UNSPECIFIED.into(),
        true => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let port = has_port.then(|| Reg::R0.after(address_field(v6).size()));
    vec![Expr::lookup_map(Reg::R0, map, Reg::R0), Expr::counter(), Expr::dnat(any, Reg::R0, port)]
}
