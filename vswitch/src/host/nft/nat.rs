//! The `ip` and `ip6` tables: NAT by the kernel.
//!
//! With uplinks of our own they translate connections of the host itself, and where the kernel forwards those that
//! come by other devices (`prerouting`), such as docker0: DNAT to the container for published ports (`output`), and SNAT to the gateway's address where replies would not return
//! (`postrouting`; a masquerade does not find that address, which is of scope link or deprecated). The kernel translates no connection to ::1; `proxy` relays those.
//!
//! Where the kernel does not forward, DNAT leads what comes by such devices to a port of the host instead, whose sockets
//! relay it ([`relayed`](crate::host::proxy)). Nobody else reaches that port.
//!
//! They also make the kernel track what the host sends while containers have flows without ports.
//!
//! With `--uplink kernel` the same rules apply to all hosts (`prerouting`), containers are masqueraded, and
//! other hosts reach a container by published ports only (`forward`).
//!
//! Publications are elements of [`dnat_maps`]. nftables cannot shift a range of ports: a shifted one takes an element
//! for each port, up to [`SHIFTED_PORTS_MAX`], and [`SHIFTED_PORTS_SUM_MAX`] of all ranges together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_sys::expr::{ADDRESS_LOCAL, Base, CT_STATUS_DNAT, Cmp, Expr, Fib, Meta, Reg};
use vswitch_sys::set::{Field, Set};
use vswitch_sys::{Chain, ChainType, Hook};

use super::build::{
    ChainHook, Which, Writer, address_in, device_is, l4proto_is, padded, payload_is, text,
};
use super::dnat_maps::{self, Maps};
use super::forwards::{Protocol, protocol_number};
use super::half_closed;
use super::ingress_sets::octets;
use super::netdev::LOOPBACK;
use super::rules::{DeviceNames, Rules};
#[cfg(doc)]
use crate::host::limits::{SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};

/// Hook priorities of DNAT and SNAT (`NF_IP_PRI_NAT_DST`, and just before `NF_IP_PRI_NAT_SRC`, where others
/// masquerade what they forward).
const PRIORITY_DNAT: i32 = -100;
const PRIORITY_SNAT: i32 = 99;

/// Whether a family needs NAT by the kernel.
pub(super) fn is_needed(rules: &Rules, v6: bool) -> bool {
    let nat = &rules.nat;
    nat.forwards.kinds().has_targets(v6)
        || nat.masquerade.iter().any(|net| is_v6(net) == v6)
        || nat.tracks_host[usize::from(v6)]
}

/// The rules of one family.
pub(super) fn tables(writer: &mut Writer<'_>, rules: &Rules, v6: bool) {
    let by_kernel = !rules.nat.masquerade.is_empty();
    let output =
        writer.chain(c"output", ChainHook::Stack(ChainType::Nat, Hook::Out, PRIORITY_DNAT));
    if v6 {
        let loopback = address_in(Which::Destination, host(std::net::Ipv6Addr::LOCALHOST.into()));
        writer.rule(&output, &[&loopback, &[Expr::accept()]]);
    }
    let maps = Maps::new(writer, &rules.nat.forwards, v6);
    maps.all().into_iter().for_each(|map| writer.put(map));
    let devices = Devices::new(writer, &rules.names());
    devices.all().into_iter().for_each(|set| writer.put(set));
    forwards(writer, &output, &maps, |map, has_port| dnat_maps::translate(map, v6, has_port), v6);
    if rules.nat.tracks_host[usize::from(v6)] {
        // A rule that reads the state makes the kernel track.
        writer.rule(&output, &[&[Expr::ct_state(Reg::R0), Expr::accept()]]);
    }
    let others = (&devices.switched, &maps);
    if rules.nat.for_others[usize::from(v6)] {
        let to = |map: &Set<'_>, has_port| dnat_maps::translate(map, v6, has_port);
        for_others(writer, others, None, to, v6);
    } else if let Some(port) = rules.nat.relayed[usize::from(v6)] {
        let to = |map: &Set<'_>, _| dnat_maps::redirect(map, v6, port);
        for_others(writer, others, Some(port), to, v6);
    }
    if by_kernel {
        let prerouting = ChainHook::Stack(ChainType::Nat, Hook::PreRouting, PRIORITY_DNAT);
        let chain = writer.chain(c"prerouting", prerouting);
        if !v6 {
            spare_loopback(writer, &chain);
        }
        forwards(
            writer,
            &chain,
            &maps,
            |map, has_port| dnat_maps::translate(map, v6, has_port),
            v6,
        );
        forward_only_allowed(writer, rules);
    }
    postrouting(writer, rules, &devices.bridges, v6);
}

/// Sets of devices.
pub(super) struct Devices<'a> {
    /// Whose frames the switch takes itself.
    switched: Set<'a>,
    bridges: Set<'a>,
}

impl<'a> Devices<'a> {
    pub(super) fn new(writer: &mut Writer<'a>, names: &DeviceNames) -> Self {
        let mut set = |name, names: &BTreeSet<String>| {
            let mut set = writer.set(name, &[Field::Device]);
            for device in names {
                let name = padded(&text(device));
                set.add(&[&name], &[&name]);
            }
            set
        };
        Self {
            switched: set(c"switched", &names.switched),
            bridges: set(c"bridges", &names.bridges),
        }
    }

    pub(super) fn all(&self) -> [&Set<'a>; 2] {
        [&self.switched, &self.bridges]
    }
}

/// DNAT for what comes by devices that are no uplinks, by an action for each map. Senders that may not connect are left to
/// the host's socket, which refuses them. `spared`: a port of the host that nobody else may connect to.
fn for_others(
    writer: &mut Writer<'_>,
    (switched, maps): (&Set<'_>, &Maps<'_>),
    spared: Option<u16>,
    action: impl Fn(&Set<'_>, bool) -> Vec<Expr>,
    v6: bool,
) {
    let published = writer.chain(c"published", ChainHook::Jump);
    forwards(writer, &published, maps, action, v6);
    let prerouting = ChainHook::Stack(ChainType::Nat, Hook::PreRouting, PRIORITY_DNAT);
    let chain = writer.chain(c"prerouting", prerouting);
    // The host's own connections are translated at `output`.
    writer.rule(&chain, &[&device_is(Meta::IifName, Cmp::Eq, c"lo"), &[Expr::accept()]]);
    if !v6 {
        spare_loopback(writer, &chain);
    }
    let from_switched = [Expr::meta(Meta::IifName, Reg::R0), Expr::lookup(Reg::R0, switched)];
    let spare = spared.map(|port| spare_port(writer, port));
    if let Some(spare) = &spare {
        writer.rule(&chain, &[&from_switched, spare]);
    }
    writer.rule(&chain, &[&from_switched, &[Expr::accept()]]);
    for (limited, allowed, has_address) in
        [(&maps.limited_at, &maps.allowed_at, true), (&maps.limited, &maps.allowed, false)]
    {
        let key = dnat_maps::key_with_sender(v6, has_address);
        let is_allowed = [Expr::lookup(Reg::R0, allowed), Expr::jump(c"published")];
        writer.rule(&chain, &[&key, &is_allowed]);
        let key = dnat_maps::key(v6, has_address);
        writer.rule(&chain, &[&key, &[Expr::lookup(Reg::R0, limited), Expr::accept()]]);
    }
    writer.rule(&chain, &[&[Expr::jump(c"published")]]);
    if let Some(spare) = &spare {
        writer.rule(&chain, &[spare]);
    }
}

/// A jump to a chain that drops what comes for a port of the host.
fn spare_port(writer: &mut Writer<'_>, port: u16) -> [Expr; 1] {
    let chain = writer.chain(c"spared", ChainHook::Jump);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let is_it = l4proto_is(protocol_number(protocol));
        let to_port = payload_is(Base::Transport, 2, &port.to_be_bytes());
        let drop = [Expr::counter(), Expr::drop()];
        writer.rule(&chain, &[&is_local(Fib::Destination), &is_it, &to_port, &drop]);
    }
    [Expr::jump(c"spared")]
}

/// Leaves alone what comes for 127.0.0.0/8 by another device than `lo`: a translation would take it past the kernel, which
/// drops such packets after this hook. It drops those to ::1 before.
fn spare_loopback(writer: &mut Writer<'_>, chain: &Chain<'_>) {
    let from_others = device_is(Meta::IifName, Cmp::Neq, c"lo");
    let to_loopback = address_in(Which::Destination, LOOPBACK);
    writer.rule(chain, &[&from_others, &to_loopback, &[Expr::accept()]]);
}

/// An action for published ports: at single addresses, then at all addresses of the host. An address that the host has no
/// more is another's. `action`: for a map, and whether its values have a port.
fn forwards(
    writer: &mut Writer<'_>,
    chain: &Chain<'_>,
    maps: &Maps<'_>,
    action: impl Fn(&Set<'_>, bool) -> Vec<Expr>,
    v6: bool,
) {
    let is_local = is_local(Fib::Destination);
    for (has_address, [ports, ranges]) in
        [(true, [&maps.at, &maps.at_ranges]), (false, [&maps.ports, &maps.ranges])]
    {
        let key = dnat_maps::key(v6, has_address);
        writer.rule(chain, &[&is_local, &key, &action(ports, true)]);
        writer.rule(chain, &[&is_local, &key, &action(ranges, false)]);
    }
}

/// Forwards replies, connections to published ports, and what networks may open, into networks; drops the rest.
fn forward_only_allowed(writer: &mut Writer<'_>, rules: &Rules) {
    /// `NF_CT_STATE_BIT` of established and related.
    const ANSWERS: u32 = 0b110;
    let chain = writer.chain(c"forward", ChainHook::Stack(ChainType::Filter, Hook::Forward, 0));
    let answers = [
        Expr::ct_state(Reg::R0),
        Expr::mask(Reg::R0, &ANSWERS.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Neq, &[0; 4]),
    ];
    let mut sources = BTreeMap::<&str, Vec<&str>>::new();
    for forward in &rules.allowed {
        sources.entry(&forward.to).or_default().push(&forward.from);
    }
    for device in &rules.devices {
        let name = text(device);
        let inwards =
            [device_is(Meta::OifName, Cmp::Eq, &name), device_is(Meta::IifName, Cmp::Neq, &name)];
        let inwards = inwards.as_flattened();
        writer.rule(&chain, &[inwards, &answers, &[Expr::accept()]]);
        writer.rule(&chain, &[inwards, &was_translated(), &[Expr::accept()]]);
        for source in sources.get(device.as_str()).into_iter().flatten() {
            let from = device_is(Meta::IifName, Cmp::Eq, &text(source));
            writer.rule(&chain, &[inwards, &from, &[Expr::accept()]]);
        }
        writer.rule(&chain, &[inwards, &[Expr::counter(), Expr::drop()]]);
    }
}

fn postrouting(writer: &mut Writer<'_>, rules: &Rules, bridges: &Set<'_>, v6: bool) {
    let at = ChainHook::Stack(ChainType::Nat, Hook::PostRouting, PRIORITY_SNAT);
    let chain = writer.chain(c"postrouting", at);
    if writer.has_timeouts {
        half_closed::write(writer, bridges, [&was_translated(), &is_local(Fib::Source)]);
    }
    let to_bridge = [Expr::meta(Meta::OifName, Reg::R0), Expr::lookup(Reg::R0, bridges)];
    let skip_bridges = [&to_bridge[..], &[Expr::accept()]].concat();
    let gateways = rules.nat.gateways.iter().filter(|(_, gateway)| gateway.is_ipv6() == v6);
    for (device, gateway) in gateways {
        let to_device = device_is(Meta::OifName, Cmp::Eq, &text(device));
        let load = Expr::immediate(Reg::R0, &octets(*gateway));
        let action = [Expr::counter(), load, Expr::snat(*gateway, Reg::R0)];
        if !v6 {
            let from_loopback = address_in(Which::Source, LOOPBACK);
            writer.rule(&chain, &[&to_device, &from_loopback, &action]);
        }
        if rules.nat.for_others[usize::from(v6)] {
            writer.rule(&chain, &[&to_device, &was_translated(), &action]);
        } else {
            let from_host = is_local(Fib::Source);
            writer.rule(&chain, &[&to_device, &was_translated(), &from_host, &action]);
        }
        for net in rules.nat.masquerade.iter().filter(|net| is_v6(net) == v6) {
            let from_us = address_in(Which::Source, *net);
            // Hairpin: a container reaches another one through an address of the host.
            writer.rule(&chain, &[&to_device, &was_translated(), &from_us, &action]);
        }
    }
    writer.rule(&chain, &[&skip_bridges]);
    let masquerade = [Expr::counter(), Expr::masquerade()];
    for net in rules.nat.masquerade.iter().filter(|net| is_v6(net) == v6) {
        writer.rule(&chain, &[&address_in(Which::Source, *net), &masquerade]);
    }
}

fn was_translated() -> [Expr; 3] {
    [
        Expr::ct_status(Reg::R0),
        Expr::mask(Reg::R0, &CT_STATUS_DNAT.to_ne_bytes()),
        Expr::cmp(Reg::R0, Cmp::Neq, &[0; 4]),
    ]
}

fn is_local(whose: Fib) -> [Expr; 2] {
    let is = Expr::cmp(Reg::R0, Cmp::Eq, &ADDRESS_LOCAL.to_ne_bytes());
    [Expr::fib_type(whose, Reg::R0), is]
}

fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}
