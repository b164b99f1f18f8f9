//! Solicits IPv6 neighbours of devices without a link-local address, as the kernel would for a packet of the host.
//!
//! Where no packet waits, the kernel's own solicitations have the device's link-local address as source, and without one
//! it sends none: a neighbour that is only used (`NTF_USE`) stays unknown, and one that is probed is lost. Devices are
//! without one by `addr_gen_mode` none (`LinkLocalAddressing=no` of systemd-networkd), and for a second after they come up.
//! The kernel takes the answers like those to its own.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use ipnet::Ipv6Net;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with, sockopt,
};
use wire::{MacAddr, icmpv6, ndp};

/// Hop limit of neighbour discovery (RFC 4861 section 4.3).
const HOP_LIMIT: u8 = 255;

/// Option of the source's link-layer address, in a message of 8 bytes (RFC 4861 section 4.6.1).
const SOURCE_OPTION: [u8; 2] = [1, 1];

/// A device without a link-local address that may be the source of a solicitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solicitor {
    device: u32,
    mac: MacAddr,
    own: Vec<Ipv6Net>,
}

impl Solicitor {
    /// None for a device with a link-local address, or without any address.
    pub(super) fn of(device: u32, mac: MacAddr, addresses: &[AddressMessage]) -> Option<Self> {
        let here = addresses.iter().filter(|message| message.header.index == device);
        let own: Vec<_> = here.filter_map(usable).collect();
        let has_link_local = own.iter().any(|net| net.addr().is_unicast_link_local());
        (!has_link_local && !own.is_empty()).then_some(Self { device, mac, own })
    }

    /// Asks a neighbour for its address. `target` is to be in use in the kernel's table.
    ///
    /// # Errors
    /// The kernel refuses a raw socket, or the message.
    pub(super) fn solicit(&self, target: Ipv6Addr) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let raw = socket_with(AddressFamily::INET6, SocketType::RAW, flags, Some(ipproto::ICMPV6))?;
        sockopt::set_ipv6_multicast_hops(&raw, HOP_LIMIT.into())?;
        bind(&raw, &SocketAddrV6::new(self.source(target), 0, 0, 0))?;
        let group = SocketAddrV6::new(ndp::solicited_node(target), 0, 0, self.device);
        sendto(&raw, &self.message(target), SendFlags::empty(), &group)?;
        Ok(())
    }

    /// The address in the subnet of the neighbour, else the first.
    fn source(&self, target: Ipv6Addr) -> Ipv6Addr {
        let near = self.own.iter().find(|net| net.contains(&target));
        near.or(self.own.first()).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Net::addr)
    }

    /// The message; the kernel adds the checksum (RFC 3542 section 3.1).
    fn message(&self, target: Ipv6Addr) -> Vec<u8> {
        let mut message = vec![icmpv6::Type::NEIGHBOR_SOLICIT.0, 0];
        message.extend([0; 6]);
        message.extend(target.octets());
        message.extend(SOURCE_OPTION);
        message.extend(self.mac.0);
        message
    }
}

/// An IPv6 address that duplicate address detection has passed, with its subnet.
fn usable(message: &AddressMessage) -> Option<Ipv6Net> {
    use AddressHeaderFlags as F;
    let mut addresses = message.attributes.iter().filter_map(|attribute| match attribute {
        AddressAttribute::Address(IpAddr::V6(address)) => Some(*address),
        _ => None,
    });
    let net = Ipv6Net::new(addresses.next()?, message.header.prefix_len).ok()?;
    (!message.header.flags.intersects(F::Tentative | F::Optimistic | F::Dadfailed)).then_some(net)
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;

    use super::*;

    fn address(device: u32, address: &str, flags: AddressHeaderFlags) -> AddressMessage {
        let net: Ipv6Net = address.parse().expect("an address");
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet6;
        message.header.index = device;
        message.header.prefix_len = net.prefix_len();
        message.header.flags = flags;
        message.attributes.push(AddressAttribute::Address(net.addr().into()));
        message
    }

    #[test]
    fn only_devices_without_a_link_local_address_need_solicitations() {
        let (none, tentative) = (AddressHeaderFlags::empty(), AddressHeaderFlags::Tentative);
        let addresses = [
            address(1, "2001:db8:1::1/64", none),
            address(1, "2001:db8:2::1/64", none),
            address(1, "fe80::1/64", tentative),
            address(2, "2001:db8:3::1/64", none),
            address(2, "fe80::2/64", none),
            address(3, "2001:db8:4::1/64", tentative),
        ];
        let of = |device| Solicitor::of(device, MacAddr([2; 6]), &addresses);
        let solicitor = of(1).expect("its link-local address is tentative");
        assert_eq!([of(2), of(3)], [None, None]);
        let source =
            |target: &str| solicitor.source(target.parse().expect("an address")).to_string();
        assert_eq!(source("2001:db8:2::9"), "2001:db8:2::1");
        assert_eq!(source("2001:db8:9::9"), "2001:db8:1::1");
        let target = Ipv6Addr::LOCALHOST;
        let mut packet = vec![0; wire::ipv6::HEADER_LEN];
        packet.extend(solicitor.message(target));
        assert_eq!(packet.len() - wire::ipv6::HEADER_LEN, 32);
    }
}
