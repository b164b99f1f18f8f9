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
//! The sets `limited` and `limited-at` have those that only some senders may connect to; `allowed` and `allowed-at` have
//! these senders before the same keys.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_sys::expr::{Base, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};

use super::build::Writer;
use super::forwards::{Forward, protocol_number};
use super::ingress_sets::octets;
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
    /// Their senders, before the same keys.
    pub(super) allowed_at: Set<'a>,
    pub(super) allowed: Set<'a>,
}

impl<'a> Maps<'a> {
    /// The maps with the elements of these publications.
    pub(super) fn new(writer: &mut Writer<'a>, forwards: &[Arc<Forward>], v6: bool) -> Self {
        let address = address_field(v6);
        let at = [address, Field::Protocol, Field::Port];
        let mut maps = Self {
            at: writer.map(c"at", (&at, false), &[address, Field::Port]),
            at_ranges: writer.map(c"at-ranges", (&at, true), &[address]),
            ports: writer.map(c"ports", (&at[1..], false), &[address, Field::Port]),
            ranges: writer.map(c"ranges", (&at[1..], true), &[address]),
            limited_at: writer.set(c"limited-at", &at),
            limited: writer.set(c"limited", &at[1..]),
            allowed_at: writer.set(c"allowed-at", &[&[address], &at[..]].concat()),
            allowed: writer.set(c"allowed", &[&[address], &at[1..]].concat()),
        };
        let mut left = SHIFTED_PORTS_SUM_MAX;
        for forward in forwards {
            if let Some(to) = forward.target(v6) {
                maps.add(forward, to, &mut left);
            }
        }
        maps
    }

    pub(super) fn all(&self) -> [&Set<'a>; 8] {
        let limits = [&self.limited_at, &self.limited, &self.allowed_at, &self.allowed];
        let [a, b, c, d] = limits;
        [&self.at, &self.at_ranges, &self.ports, &self.ranges, a, b, c, d]
    }

    /// Adds who may connect to ports, from a first key up to a last one.
    fn limit(&mut self, allow_from: &[IpNet], is_at: bool, (from, up_to): (&[&[u8]], &[&[u8]])) {
        let (limited, allowed) = match is_at {
            true => (&mut self.limited_at, &mut self.allowed_at),
            false => (&mut self.limited, &mut self.allowed),
        };
        limited.add(from, up_to);
        // Intervals of a set must not meet.
        for net in IpNet::aggregate(&allow_from.to_vec()) {
            let (first, last) = (octets(net.network()), octets(net.broadcast()));
            let with = |sender: &[u8], key: &[&[u8]]| -> Vec<Vec<u8>> {
                std::iter::once(sender).chain(key.iter().copied()).map(<[u8]>::to_vec).collect()
            };
            let (from, up_to) = (with(&first, from), with(&last, up_to));
            allowed.add(&slices(&from), &slices(&up_to));
        }
    }

    fn add(&mut self, forward: &Forward, to: IpAddr, left: &mut usize) {
        let published = &forward.published;
        let address = published.address.filter(|address| !address.is_unspecified());
        let (v6, address) = (to.is_ipv6(), address.map(octets));
        let protocol = [protocol_number(published.protocol)];
        let key = |port: &[u8; 2]| -> Vec<Vec<u8>> {
            address.iter().cloned().chain([protocol.to_vec(), port.to_vec()]).collect()
        };
        let (first, last) = (*published.ports.start(), *published.ports.end());
        let count = published.ports.len();
        if !forward.allow_from.is_empty() {
            let (from, up_to) = (key(&first.to_be_bytes()), key(&last.to_be_bytes()));
            let senders: Vec<_> = forward
                .allow_from
                .iter()
                .filter(|net| net.addr().is_ipv6() == v6)
                .copied()
                .collect();
            self.limit(&senders, address.is_some(), (&slices(&from), &slices(&up_to)));
        }
        let to = octets(to);
        if first == forward.to_port && count > 1 {
            let map = if address.is_some() { &mut self.at_ranges } else { &mut self.ranges };
            let (from, up_to) = (key(&first.to_be_bytes()), key(&last.to_be_bytes()));
            map.add_mapped(&slices(&from), &slices(&up_to), &[&to]);
            return;
        }
        if forward.is_shifted_range() {
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

fn address_field(v6: bool) -> Field {
    if v6 { Field::Ipv6 } else { Field::Ipv4 }
}

/// Where the source is in the IP header.
const fn source(v6: bool) -> u32 {
    if v6 { 8 } else { 12 }
}

/// Where the destination is in the IP header.
const fn destination(v6: bool) -> u32 {
    if v6 { 24 } else { 16 }
}

/// Loads (address, protocol, port) of the destination from the first register on; without `has_address`, the rest.
pub(super) fn key(v6: bool, has_address: bool) -> Vec<Expr> {
    key_from(Reg::R0, v6, has_address)
}

/// The same after the source address.
pub(super) fn key_with_sender(v6: bool, has_address: bool) -> Vec<Expr> {
    let len = address_field(v6).size();
    let source = Expr::payload(Base::Network, source(v6), len as u32, Reg::R0);
    std::iter::once(source).chain(key_from(Reg::R0.after(len), v6, has_address)).collect()
}

fn key_from(first: Reg, v6: bool, has_address: bool) -> Vec<Expr> {
    let len = address_field(v6).size();
    let protocol = if has_address { first.after(len) } else { first };
    let port = protocol.after(Field::Protocol.size());
    let address = Expr::payload(Base::Network, destination(v6), len as u32, first);
    let rest = [Expr::meta(Meta::L4Proto, protocol), Expr::payload(Base::Transport, 2, 2, port)];
    has_address.then_some(address).into_iter().chain(rest).collect()
}

/// Looks the key up in a map, and translates the destination to the value.
pub(super) fn translate(map: &Set<'_>, v6: bool, has_port: bool) -> Vec<Expr> {
    let port = has_port.then(|| Reg::R0.after(address_field(v6).size()));
    let translation = Expr::dnat(any(v6), Some(Reg::R0), port);
    vec![Expr::lookup_map(Reg::R0, map, Reg::R0), Expr::counter(), translation]
}

/// Looks the key up in a map, and translates to another port of the host.
pub(super) fn redirect(map: &Set<'_>, v6: bool, port: u16) -> Vec<Expr> {
    vec![
        Expr::lookup_map(Reg::R0, map, Reg::R0),
        Expr::counter(),
        Expr::immediate(Reg::R0, &port.to_be_bytes()),
        Expr::dnat(any(v6), None, Some(Reg::R0)),
    ]
}

const fn any(v6: bool) -> IpAddr {
    match v6 {
        false => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        true => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
