//! Source guard: a container sends from its own addresses only, and plays no router, for multicast
//! neither, and no DHCP server.
//!
//! Judged are the Ethernet source, the source of IPv4 and IPv6, and what ARP and neighbour discovery
//! say of the sender, behind up to two VLAN tags. What a guest needs before it has an address passes:
//! ARP probes (RFC 5227) and duplicate address detection from `::` (RFC 4862) of addresses that it may
//! have, router solicitations from `::` (RFC 4861), MLD reports from `::` (RFC 3590), IGMP and DHCP from
//! 0.0.0.0. A probe of a neighbour's address would tell the neighbour that the address is contested
//! (RFC 5227 section 2.1.1, RFC 4862 section 5.4.3), and does not pass.
//!
//! Link-local IPv6 addresses are the container's own to choose, but for those that are made of another
//! MAC address (RFC 4291 appendix A), which is what its neighbours have unless they chose others.
//!
//! Frames that cannot be judged do not pass: headers that contradict themselves, those of UDP and TCP
//! included, a third tag, IPv6 whose first fragment ends before its transport header (RFC 7112), and
//! neighbour discovery in fragments (RFC 6980), which is how router advertisements were smuggled past
//! guards (RFC 7113).

use std::net::{Ipv4Addr, Ipv6Addr};

use fastpath::Pool;
use wire::icmpv6::Type;
use wire::meta::{L3, L4, Meta};
use wire::ndp::{Message, NdpOption};
use wire::ports::Ports;
use wire::{MacAddr, arp, ipv4, ipv6};

use super::batch::FrameCtx;
use super::{DropReason, Guard, Verdict};

#[cfg(test)]
mod tests;

/// UDP ports of DHCP: server and client of DHCPv4, server of DHCPv6.
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_SERVER: u16 = 547;

/// IP protocol number of IGMP.
const IGMP: L4 = L4::Other(2);

/// A multicast router's question, in IGMP and in MLD.
const IGMP_QUERY: u8 = 0x11;
const MLD_QUERY: Type = Type(130);

/// MLD report, done, and version 2 report (RFC 2710, RFC 3810).
const MLD_REPORT: Type = Type(131);
const MLD_DONE: Type = Type(132);
const MLD_V2_REPORT: Type = Type(143);

/// Drops frames that the container behind a port may not send.
pub(super) fn run(guard: &Guard, frames: &mut [FrameCtx], pool: &Pool) {
    for ctx in frames.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        let frame = pool.ethernet(&ctx.frame);
        if guard.clears(&ctx.meta, frame) {
            debug_assert_eq!(guard.judge(&ctx.meta, frame), Ok(()), "the short way agrees");
            continue;
        }
        if let Err(reason) = guard.judge(&ctx.meta, frame) {
            ctx.verdict = Verdict::Drop(reason);
        }
    }
}

impl Guard {
    /// Clears the common frame with a few comparisons: TCP or UDP over IPv4 from the port's own addresses.
    /// All other frames are judged in full.
    #[inline]
    fn clears(&self, meta: &Meta, frame: &[u8]) -> bool {
        let Some(own) = self.ipv4 else { return false };
        let (ip, l4) = (usize::from(meta.l3_offset), usize::from(meta.l4_offset));
        let is_own = meta.src == self.mac
            && meta.l3 == L3::Ipv4
            && frame.get(ip + 12..ip + 16) == Some(&own.octets()[..]);
        is_own
            && match meta.l4 {
                L4::Tcp => true,
                L4::Udp => {
                    frame.get(l4..l4 + 2).is_some_and(|from| from != DHCP_SERVER.to_be_bytes())
                }
                _ => false,
            }
    }

    /// Judges a frame that begins at the Ethernet header.
    ///
    /// # Errors
    /// Why it may not pass.
    #[inline]
    pub fn judge(&self, meta: &Meta, frame: &[u8]) -> Result<(), DropReason> {
        check(meta.src == self.mac, DropReason::SpoofedMac)?;
        let packet = meta.l3_bytes(frame);
        match meta.l3 {
            L3::Ipv4 => self.judge_ipv4(meta, frame, packet),
            L3::Ipv6 => self.judge_ipv6(meta, frame, packet),
            L3::Arp => self.judge_arp(packet),
            L3::Other => check(!meta.ethertype.is_vlan(), DropReason::UnverifiableHeaders),
            L3::Malformed => Err(DropReason::UnverifiableHeaders),
        }
    }

    #[inline]
    fn judge_ipv4(&self, meta: &Meta, frame: &[u8], packet: &[u8]) -> Result<(), DropReason> {
        let ip = ipv4::Packet::new_checked(packet).map_err(|_| DropReason::UnverifiableHeaders)?;
        let source = ip.src();
        if !self.owns_ipv4(source) {
            let is_asking = source.is_unspecified()
                && (meta.l4 == IGMP && meta.l4_bytes(frame).first() != Some(&IGMP_QUERY)
                    || ports(meta, frame) == Some((DHCP_CLIENT, DHCP_SERVER)));
            return check(is_asking, DropReason::SpoofedIpv4);
        }
        // A receiver that is less strict would find ports in it.
        check(meta.l4 != L4::Malformed, DropReason::UnverifiableHeaders)?;
        let is_querier = meta.l4 == IGMP && meta.l4_bytes(frame).first() == Some(&IGMP_QUERY);
        check(!is_querier, DropReason::RogueQuerier)?;
        let is_server = ports(meta, frame).is_some_and(|(from, _)| from == DHCP_SERVER);
        check(!is_server, DropReason::RogueDhcp)
    }

    #[inline]
    fn judge_ipv6(&self, meta: &Meta, frame: &[u8], packet: &[u8]) -> Result<(), DropReason> {
        let ip = ipv6::Packet::new_checked(packet).map_err(|_| DropReason::UnverifiableHeaders)?;
        let source = ip.src();
        let message = meta.l4_bytes(frame);
        let icmp_type = message.first().filter(|_| meta.l4 == L4::Icmpv6).map(|&byte| Type(byte));
        if source.is_unspecified() {
            check(icmp_type.is_some_and(comes_from_nowhere), DropReason::SpoofedIpv6)?;
        } else {
            check(self.owns(source), DropReason::SpoofedIpv6)?;
        }
        match (meta.l4, icmp_type) {
            (L4::Malformed, _) => Err(DropReason::UnverifiableHeaders),
            (_, Some(icmp_type)) => self.judge_icmpv6(meta, source, icmp_type, message),
            (L4::Udp, _) => {
                let is_server = ports(meta, frame).is_some_and(|(from, _)| from == DHCPV6_SERVER);
                check(!is_server, DropReason::RogueDhcp)
            }
            _ => Ok(()),
        }
    }

    fn judge_icmpv6(
        &self,
        meta: &Meta,
        source: Ipv6Addr,
        icmp_type: Type,
        message: &[u8],
    ) -> Result<(), DropReason> {
        match icmp_type {
            Type::ROUTER_ADVERT => return Err(DropReason::RogueRouter),
            MLD_QUERY => return Err(DropReason::RogueQuerier),
            Type::REDIRECT => return Err(DropReason::RogueRedirect),
            other if !other.is_ndp() => return Ok(()),
            _ => check(!meta.fragment, DropReason::UnverifiableHeaders)?,
        }
        let (message, options) =
            Message::parse(message).map_err(|_| DropReason::UnverifiableHeaders)?;
        match message {
            Message::NeighborAdvert { target, .. } => {
                check(self.owns(target), DropReason::SpoofedNd)?;
            }
            // Duplicate address detection.
            Message::NeighborSolicit { target } if source.is_unspecified() => {
                check(self.owns(target), DropReason::SpoofedNd)?;
            }
            _ => {}
        }
        for option in options {
            match option.map_err(|_| DropReason::UnverifiableHeaders)? {
                NdpOption::SourceLinkLayer(mac) | NdpOption::TargetLinkLayer(mac) => {
                    check(mac == self.mac, DropReason::SpoofedNd)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge_arp(&self, packet: &[u8]) -> Result<(), DropReason> {
        let arp = arp::Packet::new_checked(packet).map_err(|_| DropReason::UnverifiableHeaders)?;
        // A host without an address asks for the one that it is about to take.
        let sender = arp.sender_ip();
        let claimed = if sender.is_unspecified() { arp.target_ip() } else { sender };
        let owns_it = self.owns_ipv4(claimed);
        check(arp.sender_mac() == self.mac && owns_it, DropReason::SpoofedArp)
    }

    /// Whether an IPv6 address can be the container's.
    #[inline]
    fn owns(&self, address: Ipv6Addr) -> bool {
        Some(address) == self.ipv6
            || is_link_local_of(address, self.mac)
            || self.further.as_slice().contains(&address.into())
    }

    #[inline]
    fn owns_ipv4(&self, address: Ipv4Addr) -> bool {
        Some(address) == self.ipv4 || self.further.as_slice().contains(&address.into())
    }
}

#[inline]
fn check(holds: bool, otherwise: DropReason) -> Result<(), DropReason> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Source and destination port of a UDP datagram.
#[inline]
fn ports(meta: &Meta, frame: &[u8]) -> Option<(u16, u16)> {
    let ports = Ports::new_checked(meta.l4_bytes(frame)).ok().filter(|_| meta.l4 == L4::Udp)?;
    Some((ports.src(), ports.dst()))
}

/// Messages that are sent before there is an address.
fn comes_from_nowhere(icmp_type: Type) -> bool {
    [Type::NEIGHBOR_SOLICIT, Type::ROUTER_SOLICIT, MLD_REPORT, MLD_DONE, MLD_V2_REPORT]
        .contains(&icmp_type)
}

/// Whether an address is link-local, and not made of another MAC address than this one.
fn is_link_local_of(address: Ipv6Addr, mac: MacAddr) -> bool {
    let bytes = address.octets();
    let is_eui64 = bytes[11..13] == [0xff, 0xfe];
    let of = [bytes[8] ^ 2, bytes[9], bytes[10], bytes[13], bytes[14], bytes[15]];
    address.is_unicast_link_local() && (!is_eui64 || of == mac.0)
}
