//! Addresses that are the host's source on their own link only.
//!
//! The kernel takes addresses of any device as the source of a packet whose route names none and whose device has
//! none: then the gateway's address of a network would be the host's for the world. So these are of scope link (IPv4),
//! or deprecated (IPv6) and the route to their subnet names them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressScope, CacheInfo,
};
use netlink_packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::RouteMessageBuilder;

use super::{Link, Netlink, failed};
use crate::host::error::NetlinkError;

/// Metric of the kernel's own routes to subnets (`IP6_RT_PRIO_ADDRCONF`).
const SUBNET_METRIC: u32 = 256;

impl Netlink {
    /// Adds an address that is the source of packets to its subnet only, usable at once. Does nothing where the
    /// interface has it already.
    pub(crate) async fn add_link_address(
        &self,
        link: &Link,
        address: IpNet,
    ) -> Result<(), NetlinkError> {
        let mut request =
            self.handle.address().add(link.index, address.addr(), address.prefix_len());
        let message = request.message_mut();
        match address {
            IpNet::V4(_) => message.header.scope = AddressScope::Link,
            IpNet::V6(_) => {
                message.header.flags |= AddressHeaderFlags::Nodad;
                let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
                let mut lifetimes = CacheInfo::default();
                (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, u32::MAX);
                message.attributes.push(AddressAttribute::Flags(flags));
                message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
            }
        }
        let what = || format!("add {address} to {}", link.name);
        match request.execute().await.map_err(failed(what)) {
            Err(error) if error.errno() != Some(libc::EEXIST) => return Err(error),
            _ => {}
        }
        match address {
            IpNet::V4(_) => Ok(()),
            IpNet::V6(_) => self.add_subnet_route(link, address).await,
        }
    }

    /// Adds the route to the subnet of an address that the interface has, with that address as its source.
    pub(crate) async fn add_subnet_route(
        &self,
        link: &Link,
        address: IpNet,
    ) -> Result<(), NetlinkError> {
        let what = || format!("add a route to {} on {}", address.trunc(), link.name);
        let added = match address {
            // The same as the kernel's own. It replaces none: that one may be somebody's.
            IpNet::V4(net) => {
                let subnet = net.trunc();
                let message = RouteMessageBuilder::<Ipv4Addr>::new()
                    .destination_prefix(subnet.addr(), subnet.prefix_len())
                    .output_interface(link.index)
                    .pref_source(net.addr())
                    .scope(RouteScope::Link)
                    .protocol(RouteProtocol::Kernel)
                    .build();
                self.handle.route().add(message).execute().await
            }
            IpNet::V6(net) => {
                // The kernel refuses a source that it does not take for its own yet.
                self.wait_until_local(net.addr()).await?;
                let subnet = net.trunc();
                let message = RouteMessageBuilder::<Ipv6Addr>::new()
                    .destination_prefix(subnet.addr(), subnet.prefix_len())
                    .output_interface(link.index)
                    .pref_source(net.addr())
                    .priority(SUBNET_METRIC)
                    .protocol(RouteProtocol::Kernel)
                    .build();
                self.handle.route().add(message).replace().execute().await
            }
        };
        added.map_err(failed(what))
    }

    /// Adds the gateway's addresses to a host port.
    pub(crate) async fn add_gateways(
        &self,
        link: &Link,
        gateways: impl IntoIterator<Item = IpNet>,
    ) -> Result<(), NetlinkError> {
        for gateway in gateways {
            self.add_link_address(link, gateway).await?;
        }
        Ok(())
    }
}
