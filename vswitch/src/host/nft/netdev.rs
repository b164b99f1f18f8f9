//! The `netdev` table: which frames of the NIC the switch gets.
//!
//! Frames to an address of the host:
//!
//! - TCP, UDP and SCTP to a claimed port of the SNAT range or a published port: redirected to the uplink TAP, GRO
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

use std::ffi::CStr;
use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_sys::Chain;
use vswitch_sys::expr::{Base, Cmp, Expr, Meta, Reg};
use vswitch_sys::set::{Field, Set};

use super::build::{ChainHook, Which, Writer, address_in, l4proto_is, payload_is, port_in, text};
use super::rules::{IngressRedirect, Interval, PortBlock, protocol_number};

/// Before other chains of the hook.
const PRIORITY: i32 = -450;

/// The set of claimed SNAT ports, for both IP versions.
pub(super) const SNAT_PORTS: &CStr = c"snat-ports";
pub(super) const SNAT_PORTS_FIELDS: [Field; 2] = [Field::Protocol, Field::Port];

/// Loopback addresses, which containers must not reach.
const LOOPBACK: IpNet =
    IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8));

/// Offsets and numbers of one IP version.
struct Layout {
    /// Suffix of chain and set names.
    version: char,
    ethertype: u16,
    address: Field,
    /// Offsets of source and destination in the IP header.
    source: u32,
    destination: u32,
    icmp: u8,
    echo_reply: u8,
    echo_request: u8,
    errors: &'static [u8],
    /// Offsets in an ICMP error: protocol, source and payload of the quoted packet.
    quoted_protocol: u32,
    quoted_source: u32,
    quoted_payload: u32,
}

const V4: Layout = Layout {
    version: '4',
    ethertype: 0x0800,
    address: Field::Ipv4,
    source: 12,
    destination: 16,
    icmp: 1,
    echo_reply: 0,
    echo_request: 8,
    // Destination unreachable, time exceeded, parameter problem (RFC 792).
    errors: &[3, 11, 12],
    quoted_protocol: 8 + 9,
    quoted_source: 8 + 12,
    // Without IP options, which an earlier rule checks.
    quoted_payload: 8 + 20,
};

const V6: Layout = Layout {
    version: '6',
    ethertype: 0x86dd,
    address: Field::Ipv6,
    source: 8,
    destination: 24,
    icmp: 58,
    echo_reply: 129,
    echo_request: 128,
    // Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
    errors: &[1, 2, 3, 4],
    quoted_protocol: 8 + 6,
    quoted_source: 8 + 8,
    quoted_payload: 8 + 40,
};

impl Layout {
    fn name(&self, what: &str) -> std::ffi::CString {
        text(&format!("{what}{}", self.version))
    }
}

/// Sets of one IP version, and actions for frames of the switch.
struct Ours<'a> {
    /// Addresses of the host.
    local: Set<'a>,
    /// First and last port of the SNAT range.
    range: (u16, u16),
    /// (protocol, port), at all of these addresses.
    ports: Set<'a>,
    /// (address, protocol, port).
    at_address: Set<'a>,
    /// (address, protocol) of remotes that containers use protocols without ports with.
    portless: Set<'a>,
    forward: [Expr; 2],
    /// Copies to the switch and accepts for the host.
    copy: [Expr; 3],
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

/// Redirects between the NIC and the uplink TAP, in both directions.
pub(super) fn uplink(writer: &mut Writer<'_>, redirect: &IngressRedirect) {
    let chain = writer.chain(c"switch", ChainHook::Ingress(&text(&redirect.tap.0), PRIORITY));
    let Some((device, index)) = &redirect.device else {
        writer.rule(&chain, &[&[Expr::counter(), Expr::drop()]]);
        return;
    };
    writer.rule(&chain, &[&[Expr::counter()], &forward_to(*index)]);
    let mut claimed = writer.set(SNAT_PORTS, &SNAT_PORTS_FIELDS);
    add_blocks(&mut claimed, &redirect.snat_blocks);
    claimed.put(writer.batch);

    let chain = writer.chain(c"uplink", ChainHook::Ingress(&text(device), PRIORITY));
    for tag in [0x8100_u16, 0x88a8] {
        let tagged = payload_is(Base::Link, 12, &tag.to_be_bytes());
        writer.rule(&chain, &[&tagged, &[Expr::accept()]]);
    }
    for layout in [&V4, &V6] {
        let name = layout.name("in");
        let inner = writer.chain(&name, ChainHook::Jump);
        writer.rule(&chain, &[&protocol_is(layout.ethertype), &[Expr::jump(&name)]]);
        let intervals = redirect.intervals(layout.version == '6');
        family(writer, &inner, layout, redirect, (&intervals, &claimed));
    }
}

/// The chains of one IP version.
fn family(
    writer: &mut Writer<'_>,
    chain: &Chain<'_>,
    layout: &Layout,
    redirect: &IngressRedirect,
    (intervals, claimed): (&[Interval], &Set<'_>),
) {
    let is_ours = |net: &&IpNet| matches!(net, IpNet::V4(_)) == (layout.version == '4');
    for subnet in redirect.subnets.iter().filter(is_ours) {
        // Nobody outside reaches a container by its own address, or passes for one.
        for which in [Which::Source, Which::Destination] {
            let ours = address_in(which, *subnet);
            writer.rule(chain, &[&ours, &[Expr::counter(), Expr::drop()]]);
        }
    }
    let ours = sets(writer, layout, redirect, intervals);
    let name = layout.name("local");
    let local = writer.chain(&name, ChainHook::Jump);
    let destination =
        Expr::payload(Base::Network, layout.destination, layout.address.size() as u32, Reg::R0);
    let is_local = [destination.clone(), Expr::lookup(Reg::R0, &ours.local)];
    writer.rule(chain, &[&is_local, &[Expr::jump(&name)]]);

    if !ours.portless.is_empty() {
        let len = layout.address.size();
        let from = [
            Expr::payload(Base::Network, layout.source, len as u32, Reg::R0),
            Expr::meta(Meta::L4Proto, Reg::R0.after(len)),
            Expr::lookup(Reg::R0, &ours.portless),
            Expr::counter(),
        ];
        writer.rule(&local, &[&from, &ours.forward]);
    }
    writer.rule(&local, &[&later_fragment(layout), &[Expr::counter()], &ours.copy]);
    let port = ports_key(Base::Transport, 2, Expr::meta(Meta::L4Proto, Reg::R0), Reg::R0);
    let in_range = port_in(2, ours.range.0, ours.range.1);
    let in_blocks = [Expr::lookup(Reg::R0, claimed), Expr::counter()];
    writer.rule(&local, &[&in_range, &port, &in_blocks, &ours.forward]);
    let in_ports = [Expr::lookup(Reg::R0, &ours.ports), Expr::counter()];
    if !ours.ports.is_empty() {
        writer.rule(&local, &[&port, &in_ports, &ours.forward]);
    }
    if !ours.at_address.is_empty() {
        let next = Reg::R0.after(layout.address.size());
        let port = ports_key(Base::Transport, 2, Expr::meta(Meta::L4Proto, next), next);
        let at = [Expr::lookup(Reg::R0, &ours.at_address), Expr::counter()];
        writer.rule(&local, &[&[destination], &port, &at, &ours.forward]);
    }
    let name = layout.name("icmp");
    let icmp = writer.chain(&name, ChainHook::Jump);
    writer.rule(&local, &[&l4proto_is(layout.icmp), &[Expr::jump(&name)]]);
    copies(writer, &icmp, layout, &ours, claimed);
}

/// Echo replies, and errors about packets of ours.
fn copies(
    writer: &mut Writer<'_>,
    chain: &Chain<'_>,
    layout: &Layout,
    ours: &Ours<'_>,
    claimed: &Set<'_>,
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
    let from_us = [source.clone(), Expr::lookup(Reg::R0, &ours.local)];
    let port = ports_key(Base::Transport, layout.quoted_payload, protocol(Reg::R0), Reg::R0);
    let in_range = port_in(layout.quoted_payload, first, last);
    let in_blocks = [Expr::lookup(Reg::R0, claimed), Expr::counter()];
    writer.rule(&error, &[&from_us, &in_range, &port, &in_blocks, &ours.copy]);
    let in_ports = [Expr::lookup(Reg::R0, &ours.ports), Expr::counter()];
    if !ours.ports.is_empty() {
        writer.rule(&error, &[&from_us, &port, &in_ports, &ours.copy]);
    }
    if !ours.at_address.is_empty() {
        let next = Reg::R0.after(layout.address.size());
        let port = ports_key(Base::Transport, layout.quoted_payload, protocol(next), next);
        let at = [Expr::lookup(Reg::R0, &ours.at_address), Expr::counter()];
        writer.rule(&error, &[&[source], &port, &at, &ours.copy]);
    }
    if !ours.portless.is_empty() {
        // The quoted destination follows the source.
        let to = Expr::payload(Base::Transport, layout.quoted_source + len, len, Reg::R0);
        let flow = [to, protocol(Reg::R0.after(layout.address.size()))];
        let known = [Expr::lookup(Reg::R0, &ours.portless), Expr::counter()];
        writer.rule(&error, &[&from_us, &flow, &known, &ours.copy]);
    }
    let is_echo = [
        payload_is(Base::Transport, layout.quoted_protocol, &[layout.icmp]),
        payload_is(Base::Transport, layout.quoted_payload, &[layout.echo_request]),
        port_in(layout.quoted_payload + 4, first, last),
    ];
    writer.rule(&error, &[&from_us, is_echo.as_flattened(), &[Expr::counter()], &ours.copy]);
}

fn sets<'a>(
    writer: &mut Writer<'a>,
    layout: &Layout,
    redirect: &IngressRedirect,
    intervals: &[Interval],
) -> Ours<'a> {
    let v4 = layout.version == '4';
    let mut local = writer.set(&layout.name("local"), &[layout.address]);
    let addresses: std::collections::BTreeSet<IpAddr> = if v4 {
        redirect.local4.iter().copied().map(IpAddr::V4).collect()
    } else {
        redirect.local6.iter().copied().map(IpAddr::V6).collect()
    };
    for address in addresses {
        let octets = octets(address);
        local.add(&[&octets], &[&octets]);
    }
    let mut ports = writer.set(&layout.name("ports"), &[Field::Protocol, Field::Port]);
    let fields = [layout.address, Field::Protocol, Field::Port];
    let mut at_address = writer.set(&layout.name("published"), &fields);
    for interval in intervals {
        let protocol = [interval.protocol];
        let (first, last) = (interval.first.to_be_bytes(), interval.last.to_be_bytes());
        match interval.address {
            None => ports.add(&[&protocol, &first], &[&protocol, &last]),
            Some(address) if address.is_ipv4() == v4 => {
                let octets = octets(address);
                at_address.add(&[&octets, &protocol, &first], &[&octets, &protocol, &last]);
            }
            Some(_) => {}
        }
    }
    let mut portless = writer.set(&layout.name("portless"), &fields[..2]);
    for (remote, protocol) in redirect.portless.iter().filter(|(it, _)| it.is_ipv4() == v4) {
        let (octets, protocol) = (octets(*remote), [*protocol]);
        portless.add(&[&octets, &protocol], &[&octets, &protocol]);
    }
    for set in [&local, &ports, &at_address, &portless] {
        set.put(writer.batch);
    }
    let [load, hand] =
        [Expr::immediate(Reg::R0, &redirect.tap.1.to_ne_bytes()), Expr::dup(Reg::R0)];
    let forward = forward_to(redirect.tap.1);
    let range = (*redirect.snat_ports.start(), *redirect.snat_ports.end());
    Ours { local, range, ports, at_address, portless, forward, copy: [load, hand, Expr::accept()] }
}

/// Adds blocks to the set of claimed SNAT ports.
pub(super) fn add_blocks<'a>(set: &mut Set<'_>, blocks: impl IntoIterator<Item = &'a PortBlock>) {
    for block in blocks {
        let protocol = [protocol_number(block.protocol)];
        let (first, last) = (block.first.to_be_bytes(), block.last.to_be_bytes());
        set.add(&[&protocol, &first], &[&protocol, &last]);
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

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
