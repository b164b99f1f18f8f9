//! Router advertisements (RFC 4861 section 6.2).
//!
//! They name the gateway as the default router, the subnet as on-link, the MTU, and the gateway as DNS server
//! (RFC 8106). The prefix is not for address configuration: the address of a port comes by DHCPv6, which the
//! flag M tells, or from the switch.

use std::net::Ipv6Addr;

use wire::frames::{self, Link};
use wire::ndp::{ALL_NODES, HOP_LIMIT, Message, NdpOption, Prefix};
use wire::{MacAddr, ipv6};

use crate::limits::{PREFIX_PREFERRED, PREFIX_VALID, ROUTER_LIFETIME, seconds};
use crate::{ANSWER_MAX, Answer, NetworkInfo};

/// Addresses by DHCPv6, and other configuration by DHCPv6.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

/// Hop limit for hosts, as IANA recommends.
const HOST_HOP_LIMIT: u8 = 64;

/// Option type of recursive DNS servers (RFC 8106 section 5.1).
const RDNSS: u8 = 25;

/// Answers a router solicitation, unless RFC 4861 section 6.1.1 tells to discard it.
pub(crate) fn answer(
    packet: &ipv6::Packet<&[u8]>,
    message: &[u8],
    mac: MacAddr,
    network: &NetworkInfo,
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
    Some(Answer { frame: advertisement(mac, to, network), declined: None })
}

/// An unsolicited advertisement to all nodes of a network; none where it sends none.
#[must_use]
pub fn advertise(network: &NetworkInfo) -> Option<Vec<u8>> {
    let group = MacAddr::from_ipv6_multicast(ALL_NODES);
    network.ra.then(|| advertisement(group, ALL_NODES, network))?
}

fn advertisement(mac: MacAddr, to: Ipv6Addr, network: &NetworkInfo) -> Option<Vec<u8>> {
    let message = Message::RouterAdvert {
        hop_limit: HOST_HOP_LIMIT,
        flags: if network.dhcp { MANAGED | OTHER } else { 0 },
        lifetime_s: u16::try_from(ROUTER_LIFETIME.as_secs()).unwrap_or(u16::MAX),
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
    let mut rdnss = [0; 22];
    rdnss[2..6].copy_from_slice(&seconds(ROUTER_LIFETIME).to_be_bytes());
    rdnss[6..].copy_from_slice(&network.gateway6.octets());
    let options = [
        NdpOption::SourceLinkLayer(network.mac),
        NdpOption::Mtu(network.mtu),
        NdpOption::Prefix(prefix),
        NdpOption::Other { kind: RDNSS, data: &rdnss },
    ];
    let mut frame = vec![0; ANSWER_MAX];
    let link = Link::new(network.mac, mac);
    let len = frames::ndp(&mut frame, &link, network.link_local(), to, &message, &options).ok()?;
    frame.truncate(len);
    Some(frame)
}
