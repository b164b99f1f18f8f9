//! Answers to hosts that configure themselves: DHCPv4 (RFC 2131), DHCPv6 (RFC 8415) and router
//! advertisements (RFC 4861). No time, no I/O, no state.
//!
//! # Theory of operation
//!
//! A port has one lease for as long as it is attached: the addresses that the switch gave it. [`answer`] gets a
//! frame that came from the port, and that lease. Whoever asks behind the port gets that address, whatever its
//! hardware address or client identifier is, and is refused any other. So there is no table of bindings, and
//! nothing expires: a lease time only makes a client ask again. Release and decline change nothing; a decline
//! is reported, since it means that another host uses the address.
//!
//! An answer leaves by the port that asked and by no other. It is addressed to the MAC address that asked, so
//! that a bridge behind the port needs no flood. Multicast and broadcast answers stay behind that port, too.
//!
//! Frames are written by `wire`, DHCP messages by `dhcproto`. Checksums of requests are not verified: they may
//! be partial, and the frame came from this host's memory.
//!
//! | file | contents |
//! |---|---|
//! | `v4.rs` | DISCOVER, REQUEST, INFORM, DECLINE, RELEASE |
//! | `v6.rs` | SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE, INFORMATION-REQUEST |
//! | `advert.rs` | router advertisements, solicited or not |
//! | `search.rs` | the search list as all three have it |
//! | `limits.rs` | lifetimes |
#![forbid(unsafe_code)]

mod advert;
pub mod limits;
mod search;
#[cfg(test)]
mod tests;
mod v4;
mod v6;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use wire::frames::{self, Link};
use wire::meta::{L3, L4, Meta};
use wire::{MacAddr, Protocol, ip, ipv4, ipv6, udp};

pub use advert::{advertise, withdraw};
pub use search::SearchList;

/// UDP ports of servers and clients.
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const SERVER_V6: u16 = 547;
const CLIENT_V6: u16 = 546;

/// Longest answer in bytes: what every IPv6 link carries.
const ANSWER_MAX: usize = 1280 + 14;

/// What a network tells all of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// The gateway's MAC address, which the switch answers from.
    pub mac: MacAddr,
    /// The gateway's address in the IPv4 subnet: DHCP server, and perhaps router and DNS server.
    pub gateway: Ipv4Addr,
    /// The IPv6 subnet.
    pub subnet6: Ipv6Net,
    /// The gateway's address in it: perhaps DNS server. The router is the gateway's link-local address.
    pub gateway6: Ipv6Addr,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether the gateway has its link-local address: without the host's port there is no IPv6 router.
    pub has_host_port: bool,
    /// Whether the gateway answers DNS queries.
    pub dns: bool,
    /// Domains in which short names are looked up.
    pub search: SearchList,
    /// Whether DHCP is served.
    pub dhcp: bool,
    /// Whether router advertisements are sent.
    pub ra: bool,
}

/// The addresses and names of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortLease {
    /// IPv4 address with the prefix length of the subnet; without, DHCPv4 has no answer.
    pub ipv4: Option<Ipv4Net>,
    /// IPv6 address; without, neither DHCPv6 nor a router solicitation has one.
    pub ipv6: Option<Ipv6Addr>,
    /// Host name, if the name of the port can be one.
    pub hostname: Option<String>,
    /// Whether the gateway of its network is a router for it. Of several networks of a container one is.
    pub is_default_route: bool,
    /// Its network.
    pub network: NetworkInfo,
}

/// The outcome of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// An Ethernet frame for the port that asked; none to a message that needs or deserves no answer.
    pub frame: Option<Vec<u8>>,
    /// The client found this address of the lease in use by another host.
    pub declined: Option<IpAddr>,
}

/// Where an answer goes.
struct Asker {
    mac: MacAddr,
    address: IpAddr,
}

/// Answers a frame that came from a port. Anything but a sound request has no answer.
#[must_use]
pub fn answer(frame: &[u8], lease: &PortLease) -> Answer {
    answer_request(frame, lease).unwrap_or_default()
}

fn answer_request(frame: &[u8], lease: &PortLease) -> Option<Answer> {
    let meta = Meta::parse(frame).ok().filter(|meta| !meta.fragment)?;
    let network = &lease.network;
    match (meta.l3, meta.l4) {
        (L3::Ipv4, L4::Udp) if network.dhcp => {
            let request = udp::Packet::new_checked(meta.l4_bytes(frame)).ok()?;
            (request.dst_port() == SERVER).then_some(())?;
            v4::answer(request.payload(), meta.src, lease.ipv4?, lease)
        }
        (L3::Ipv6, L4::Udp) if network.dhcp => {
            let asker = ipv6::Packet::new_checked(meta.l3_bytes(frame)).ok()?.src();
            let request = udp::Packet::new_checked(meta.l4_bytes(frame)).ok()?;
            (request.dst_port() == SERVER_V6 && asker.is_unicast_link_local()).then_some(())?;
            let asker = Asker { mac: meta.src, address: asker.into() };
            v6::answer(request.payload(), asker, lease.ipv6?, lease)
        }
        (L3::Ipv6, L4::Icmpv6) if network.ra && lease.ipv6.is_some() => {
            let packet = ipv6::Packet::new_checked(meta.l3_bytes(frame)).ok()?;
            advert::answer(&packet, meta.l4_bytes(frame), meta.src, lease)
        }
        _ => None,
    }
}

impl NetworkInfo {
    /// The gateway's link-local address, which its host port has (RFC 4291 appendix A).
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.mac.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    /// A UDP datagram from the server to an asker.
    fn datagram(&self, to: &Asker, message: &[u8]) -> Option<Vec<u8>> {
        let link = Link::new(self.mac, to.mac);
        let (ip, ports) = match to.address {
            IpAddr::V4(address) => {
                let ip = ipv4::Repr::new(self.gateway, address, Protocol::UDP);
                (ip::Repr::V4(ip), udp::Repr { src_port: SERVER, dst_port: CLIENT })
            }
            IpAddr::V6(address) => {
                let ip = ipv6::Repr::new(self.link_local(), address, Protocol::UDP);
                (ip::Repr::V6(ip), udp::Repr { src_port: SERVER_V6, dst_port: CLIENT_V6 })
            }
        };
        let mut frame = vec![0; ANSWER_MAX];
        let len = frames::udp(&mut frame, &link, &ip, &ports, message).ok()?;
        frame.truncate(len);
        Some(frame)
    }
}
