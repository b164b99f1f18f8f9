//! Router advertisements (RFC 4861 section 6.2).
//!
//! They name the gateway as the default router, the subnet as on-link, the MTU, and the gateway as DNS server
//! with the search list (RFC 8106). The prefix is not for address configuration: the address of a port comes by
//! DHCPv6, which the flag M tells, or from the switch. A network that does not give the default route says the
//! same with a router lifetime of zero.

use std::net::Ipv6Addr;
use std::time::Duration;

use wire::frames::{self, Link};
use wire::ndp::{ALL_NODES, HOP_LIMIT, Message, NdpOption, Prefix};
use wire::{MacAddr, ipv6};

use crate::limits::{PREFIX_PREFERRED, PREFIX_VALID, ROUTER_LIFETIME, seconds};
use crate::{ANSWER_MAX, Answer, PortLease};

/// Addresses by DHCPv6, and other configuration by DHCPv6.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

/// Hop limit for hosts, as IANA recommends.
const HOST_HOP_LIMIT: u8 = 64;

/// Option types of recursive DNS servers and of the search list (RFC 8106 section 5).
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;

/// Answers a router solicitation, unless RFC 4861 section 6.1.1 tells to discard it.
pub(crate) fn answer(
    packet: &ipv6::Packet<&[u8]>,
    message: &[u8],
    mac: MacAddr,
    lease: &PortLease,
) -> Option<Answer> {
    let (solicit, mut options) = Message::parse(message).ok()?;
    let source = packet.src();
    let is_sound = solicit == Message::RouterSolicit && packet.hop_limit() == HOP_LIMIT;
    let is_bad =
        |option| source.is_unspecified() && matches!(option, NdpOption::SourceLinkLayer(_));
    if !is_sound || options.any(|option| option.map_or(true, is_bad)) {
        return None;
    }
    let to = if source.is_unspecified() { ALL_NODES } else { source };
    Some(Answer { frame: advertisement(mac, to, lease, ROUTER_LIFETIME), declined: None })
}

/// An unsolicited advertisement to all nodes behind a port; none where its network sends none.
#[must_use]
pub fn advertise(lease: &PortLease) -> Option<Vec<u8>> {
    to_all(lease, ROUTER_LIFETIME)
}

/// The last advertisement: the router and the DNS server are there no more (RFC 4861 section 6.2.5).
#[must_use]
pub fn withdraw(lease: &PortLease) -> Option<Vec<u8>> {
    to_all(lease, Duration::ZERO)
}

fn to_all(lease: &PortLease, lifetime: Duration) -> Option<Vec<u8>> {
    let group = MacAddr::from_ipv6_multicast(ALL_NODES);
    (lease.network.ra && lease.ipv6.is_some())
        .then(|| advertisement(group, ALL_NODES, lease, lifetime))?
}

fn advertisement(
    mac: MacAddr,
    to: Ipv6Addr,
    lease: &PortLease,
    lifetime: Duration,
) -> Option<Vec<u8>> {
    let network = &lease.network;
    let is_router = lease.is_default_route && network.has_host_port;
    let router_lifetime = if is_router { lifetime } else { Duration::ZERO };
    let message = Message::RouterAdvert {
        hop_limit: HOST_HOP_LIMIT,
        flags: if network.dhcp { MANAGED | OTHER } else { 0 },
        lifetime_s: u16::try_from(router_lifetime.as_secs()).unwrap_or(u16::MAX),
        reachable_ms: 0,
        retrans_ms: 0,
    };
    let prefix = Prefix {
        len: network.subnet6.prefix_len(),
        on_link: true,
        autonomous: false,
        valid_s: seconds(PREFIX_VALID),
        preferred_s: seconds(PREFIX_PREFERRED),
        prefix: network.subnet6.network(),
    };
    let rdnss = dns_option(lifetime, &network.gateway6.octets());
    let dnssl = dns_option(lifetime, network.search.encoded());
    let mut options = vec![
        NdpOption::SourceLinkLayer(network.mac),
        NdpOption::Mtu(network.mtu),
        NdpOption::Prefix(prefix),
    ];
    if network.dns {
        options.push(NdpOption::Other { kind: RDNSS, data: &rdnss });
        if !network.search.is_empty() {
            options.push(NdpOption::Other { kind: DNSSL, data: &dnssl });
        }
    }
    let mut frame = vec![0; ANSWER_MAX];
    let link = Link::new(network.mac, mac);
    let len = frames::ndp(&mut frame, &link, network.link_local(), to, &message, &options).ok()?;
    frame.truncate(len);
    Some(frame)
}

/// An option of DNS behind its length: reserved bytes, the lifetime, and content to a multiple of 8 bytes.
fn dns_option(lifetime: Duration, content: &[u8]) -> Vec<u8> {
    let mut data = [&[0; 2], &seconds(lifetime).to_be_bytes()[..], content].concat();
    data.resize((data.len() + 2).next_multiple_of(8) - 2, 0);
    data
}
