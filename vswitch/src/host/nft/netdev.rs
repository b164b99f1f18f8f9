//! The `netdev` table: which frames of the NICs the switch gets.
//!
//! One chain is at the ingress of all NICs; with several, the map `taps` has the TAP of each.
//!
//! Frames to an address of the host:
//!
//! - TCP, UDP and SCTP to a claimed port of the SNAT range or a published port: redirected to the TAP of the NIC, GRO
//!   frames whole; a claimed block, or a published range, is one element of a set. The range is compared first, so
//!   that other frames pay no lookup;
//! - protocols without ports, from remotes that containers use them with: redirected;
//! - fragments after the first, which have no ports: copied to the switch;
//! - echo replies with an identifier of the SNAT range, and ICMP errors about our ports: copied, since the
//!   host uses the same numbers.
//!
//! The host gets all other frames. Frames with a VLAN tag return first: the kernel strips the tag before the
//! hook, so a frame of another VLAN would match. Frames to container subnets are dropped. IPv6 has the same
//! rules with its own offsets ([`Layout`]).

use ipnet::IpNet;
use vswitch_sys::Chain;
use vswitch_sys::expr::{Base, Cmp, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};

use super::build::{
    ChainHook, Layout, V4, V6, Which, Writer, address_in, l4proto_is, payload_is, port_in, text,
};
use super::forwards::Protocol::{Tcp, Udp};
use super::forwards::protocol_number;
use super::ingress_sets::{Elements, FamilySets, Sets};
use super::rules::{IngressRedirect, RedirectLink};

/// Before other chains of the hook.
pub(super) const PRIORITY: i32 = -450;

/// Loopback addresses, which containers must not reach.
const LOOPBACK: IpNet =
    IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8));

/// Sets of one IP version, and actions for frames of the switch.
struct Ours<'a> {
    sets: &'a FamilySets<'a>,
    /// First and last port of the SNAT range.
    range: (u16, u16),
    /// Claimed (protocol, port) of the range.
    claimed: &'a Set<'a>,
    forward: Vec<Expr>,
    /// Copies to the switch and accepts for the host.
    copy: Vec<Expr>,
}

/// Drops frames of containers from or to loopback addresses, which `route_localnet` would admit.
pub(super) fn devices(writer: &mut Writer<'_>, devices: &[String]) {
    let chain = writer.chain(c"loopback", ChainHook::Jump);
    let ipv4 = protocol_is(V4.ethertype);
    for which in [Which::Source, Which::Destination] {
        writer
            .rule(&chain, &[&ipv4, &address_in(which, LOOPBACK), &[Expr::counter(), Expr::drop()]]);
    }
    for device in devices {
        let name = text(&format!("bridge-{device}"));
        let chain = writer.chain(&name, ChainHook::Ingress(&text(device), PRIORITY));
        writer.rule(&chain, &[&[Expr::jump(c"loopback")]]);
    }
}

/// Redirects between NICs and their TAPs, in both directions.
pub(super) fn uplink(writer: &mut Writer<'_>, redirect: &IngressRedirect) {
    for link in &redirect.links {
        let name = text(&format!("switch-{}", link.tap.0));
        let chain = writer.chain(&name, ChainHook::Ingress(&text(&link.tap.0), PRIORITY));
        match &link.device {
            Some((_, index)) => writer.rule(&chain, &[&[Expr::counter()], &forward_to(*index)]),
            None => writer.rule(&chain, &[&[Expr::counter(), Expr::drop()]]),
        }
    }
    let sets = Sets::new(writer, &Elements::all(redirect));
    sets.all().for_each(|set| writer.put(set));
    let present = |link: &RedirectLink| Some((link.device.clone()?, link.tap.1));
    let links: Vec<_> = redirect.links.iter().filter_map(present).collect();
    if links.is_empty() {
        return;
    }
    let devices: Vec<_> = links.iter().map(|((device, _), _)| text(device)).collect();
    let chain = writer.chain(c"uplink", ChainHook::IngressOfAll(&devices, PRIORITY));
    for tag in [0x8100_u16, 0x88a8] {
        let tagged = payload_is(Base::Link, 12, &tag.to_be_bytes());
        writer.rule(&chain, &[&tagged, &[Expr::accept()]]);
    }
    let to_tap = to_tap(&sets.taps, &links);
    for (layout, own) in [(&V4, &sets.v4), (&V6, &sets.v6)] {
        let name = layout.name("in");
        let inner = writer.chain(&name, ChainHook::Jump);
        writer.rule(&chain, &[&protocol_is(layout.ethertype), &[Expr::jump(&name)]]);
        family(writer, &inner, layout, redirect, (&to_tap, &sets.claimed, own));
    }
}

/// Loads the index of the TAP that belongs to the device of a frame.
fn to_tap(taps: &Set<'_>, links: &[((String, u32), u32)]) -> Vec<Expr> {
    match links {
        [(_, tap)] => vec![Expr::immediate(Reg::R0, &tap.to_ne_bytes())],
        _ => vec![Expr::meta(Meta::Iif, Reg::R0), Expr::lookup_map(Reg::R0, taps, Reg::R0)],
    }
}

/// The chains of one IP version.
fn family(
    writer: &mut Writer<'_>,
    chain: &Chain<'_>,
    layout: &Layout,
    redirect: &IngressRedirect,
    (to_tap, claimed, sets): (&[Expr], &Set<'_>, &FamilySets<'_>),
) {
    let is_ours = |net: &&IpNet| matches!(net, IpNet::V6(_)) == layout.is_v6();
    for subnet in redirect.subnets.iter().filter(is_ours) {
        // Nobody outside reaches a container by its own address, or passes for one.
        for which in [Which::Source, Which::Destination] {
            let ours = address_in(which, *subnet);
            writer.rule(chain, &[&ours, &[Expr::counter(), Expr::drop()]]);
        }
    }
    let forward = [to_tap, &[Expr::fwd(Reg::R0)]].concat();
    let copy = [to_tap, &[Expr::dup(Reg::R0), Expr::accept()]].concat();
    let range = (*redirect.snat_ports.start(), *redirect.snat_ports.end());
    let ours = Ours { sets, range, claimed, forward, copy };
    let name = layout.name("local");
    let local = writer.chain(&name, ChainHook::Jump);
    let destination =
        Expr::payload(Base::Network, layout.destination, layout.address.size() as u32, Reg::R0);
    let is_local = [destination.clone(), Expr::lookup(Reg::R0, &ours.sets.local)];
    writer.rule(chain, &[&is_local, &[Expr::jump(&name)]]);

    let without_ports = has_no_ports();
    let len = layout.address.size();
    let from = [
        Expr::payload(Base::Network, layout.source, len as u32, Reg::R0),
        Expr::meta(Meta::L4Proto, Reg::R0.after(len)),
        Expr::lookup(Reg::R0, &ours.sets.portless),
        Expr::counter(),
    ];
    writer.rule(&local, &[&without_ports, &from, &ours.forward]);
    writer.rule(&local, &[&later_fragment(layout), &[Expr::counter()], &ours.copy]);
    let port = ports_key(Base::Transport, 2, Expr::meta(Meta::L4Proto, Reg::R0), Reg::R0);
    let in_range = port_in(2, ours.range.0, ours.range.1);
    let in_blocks = [Expr::lookup(Reg::R0, ours.claimed), Expr::counter()];
    writer.rule(&local, &[&in_range, &port, &in_blocks, &ours.forward]);
    for (set, has_address) in ours.published(layout, redirect) {
        let destination = has_address.then_some(&destination).cloned();
        let next = Reg::R0.after(if has_address { len } else { 0 });
        let port = ports_key(Base::Transport, 2, Expr::meta(Meta::L4Proto, next), next);
        let key: Vec<Expr> = destination.into_iter().chain(port).collect();
        writer.rule(&local, &[&key, &[Expr::lookup(Reg::R0, set), Expr::counter()], &ours.forward]);
    }
    let name = layout.name("icmp");
    let icmp = writer.chain(&name, ChainHook::Jump);
    writer.rule(&local, &[&l4proto_is(layout.icmp), &[Expr::jump(&name)]]);
    copies(writer, &icmp, layout, redirect, &ours);
}

/// Echo replies, and errors about packets of ours.
fn copies(
    writer: &mut Writer<'_>,
    chain: &Chain<'_>,
    layout: &Layout,
    redirect: &IngressRedirect,
    ours: &Ours<'_>,
) {
    let (first, last) = ours.range;
    let is_type = |kind: u8| payload_is(Base::Transport, 0, &[kind]);
    let reply = is_type(layout.echo_reply);
    writer.rule(chain, &[&reply, &port_in(4, first, last), &[Expr::counter()], &ours.copy]);

    let name = layout.name("error");
    let error = writer.chain(&name, ChainHook::Jump);
    let no_options = payload_is(Base::Transport, 8, &[0x45]);
    let quoted: &[Expr] = if layout.version == '4' { &no_options } else { &[] };
    for kind in layout.errors {
        writer.rule(chain, &[&is_type(*kind), quoted, &[Expr::jump(&name)]]);
    }

    let len = layout.address.size() as u32;
    let source = Expr::payload(Base::Transport, layout.quoted_source, len, Reg::R0);
    let protocol = |to| Expr::payload(Base::Transport, layout.quoted_protocol, 1, to);
    let from_us = [source.clone(), Expr::lookup(Reg::R0, &ours.sets.local)];
    let port = ports_key(Base::Transport, layout.quoted_payload, protocol(Reg::R0), Reg::R0);
    let in_range = port_in(layout.quoted_payload, first, last);
    let in_blocks = [Expr::lookup(Reg::R0, ours.claimed), Expr::counter()];
    writer.rule(&error, &[&from_us, &in_range, &port, &in_blocks, &ours.copy]);
    for (set, has_address) in ours.published(layout, redirect) {
        let at = Reg::R0.after(if has_address { layout.address.size() } else { 0 });
        let port = ports_key(Base::Transport, layout.quoted_payload, protocol(at), at);
        let source = has_address.then_some(&source).cloned();
        let key: Vec<Expr> = source.into_iter().chain(port).collect();
        let known = [Expr::lookup(Reg::R0, set), Expr::counter()];
        let from: &[Expr] = if has_address { &[] } else { &from_us };
        writer.rule(&error, &[from, &key, &known, &ours.copy]);
    }
    // The quoted destination follows the source.
    let to = Expr::payload(Base::Transport, layout.quoted_source + len, len, Reg::R0);
    let flow = [to, protocol(Reg::R0.after(layout.address.size()))];
    let known = [Expr::lookup(Reg::R0, &ours.sets.portless), Expr::counter()];
    writer.rule(&error, &[&from_us, &flow, &known, &ours.copy]);
    let is_echo = [
        payload_is(Base::Transport, layout.quoted_protocol, &[layout.icmp]),
        payload_is(Base::Transport, layout.quoted_payload, &[layout.echo_request]),
        port_in(layout.quoted_payload + 4, first, last),
    ];
    writer.rule(&error, &[&from_us, is_echo.as_flattened(), &[Expr::counter()], &ours.copy]);
}

/// Neither TCP nor UDP: most frames pay no lookup for other protocols.
fn has_no_ports() -> Vec<Expr> {
    let load = Expr::meta(Meta::L4Proto, Reg::R0);
    let is_not = |protocol| Expr::cmp(Reg::R0, Cmp::Neq, &[protocol_number(protocol)]);
    vec![load, is_not(Tcp), is_not(Udp)]
}

impl<'a> Ours<'a> {
    /// Sets of published ports that have any, and whether their keys begin with the address.
    fn published(
        &self,
        layout: &Layout,
        redirect: &IngressRedirect,
    ) -> impl Iterator<Item = (&'a Set<'a>, bool)> {
        let (kinds, sets) = (redirect.published.kinds(), self.sets);
        let kind = |at: bool, is_range: bool| {
            let set = &(if at { &sets.at } else { &sets.any })[usize::from(is_range)];
            kinds.has(layout.is_v6(), (at, is_range)).then_some((set, at))
        };
        [kind(false, false), kind(false, true), kind(true, false), kind(true, true)]
            .into_iter()
            .flatten()
    }
}

/// Loads (protocol, port) from register `at` on.
fn ports_key(base: Base, port: u32, protocol: Expr, at: Reg) -> [Expr; 2] {
    [protocol, Expr::payload(base, port, 2, at.after(Field::Protocol.size()))]
}

fn later_fragment(layout: &Layout) -> [Expr; 3] {
    /// Fragment header (RFC 8200), and the bits of the offset.
    const FRAGMENT: u8 = 44;
    let (load, mask) = if layout.version == '4' {
        (Expr::payload(Base::Network, 6, 2, Reg::R0), 0x1fff_u16)
    } else {
        (Expr::exthdr(FRAGMENT, 2, 2, Reg::R0), 0xfff8)
    };
    [load, Expr::mask(Reg::R0, &mask.to_be_bytes()), Expr::cmp(Reg::R0, Cmp::Neq, &[0, 0])]
}

fn protocol_is(ethertype: u16) -> [Expr; 2] {
    let is = Expr::cmp(Reg::R0, Cmp::Eq, &ethertype.to_be_bytes());
    [Expr::meta(Meta::Protocol, Reg::R0), is]
}

fn forward_to(index: u32) -> [Expr; 2] {
    [Expr::immediate(Reg::R0, &index.to_ne_bytes()), Expr::fwd(Reg::R0)]
}
