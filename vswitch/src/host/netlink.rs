//! Requests to the kernel, each with its values in the error.

mod dumps;
mod gateway;
mod mtu;
pub(crate) mod rules;
pub(super) mod tunnels;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use wire::MacAddr;

use super::error::NetlinkError;
use super::routes::HostRoute;
pub(super) use dumps::Dumps;

/// Checks, and time between two, until an IPv6 address is usable.
const LOCAL_TRIES_MAX: usize = 500;
const LOCAL_POLL: Duration = Duration::from_millis(1);

/// The alias of the host ports and uplink TAPs of every switch, by which another one knows them.
pub(crate) const OWN_ALIAS: &str = "port of vswitch";

/// A connection to the kernel for one network namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Netlink {
    handle: Handle,
    dumps: Dumps,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) is_up: bool,
    /// A TAP or TUN device.
    pub(crate) is_tap: bool,
    /// Largest IP packet; 0 where it is not known.
    pub(crate) mtu: u32,
}

/// Settings of a device that moves into a namespace, in one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move<'a> {
    pub(crate) netns: BorrowedFd<'a>,
    pub(crate) ifname: &'a str,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Largest GSO frame, if it is not the kernel's default.
    pub(crate) gso_max_size: Option<u32>,
}

impl Netlink {
    /// Connects in the network namespace of the calling thread; the connection lives on the runtime
    /// that this is called on.
    pub(crate) fn connect() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self { handle, dumps: Dumps::default() })
    }

    /// All interfaces.
    pub(crate) async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let links = self.dumps.run(|| self.handle.link().get().execute());
        let links: Vec<_> = links.await.map_err(failed(|| "list interfaces".into()))?;
        Ok(links.into_iter().map(Link::from).collect())
    }

    /// The interface of that name.
    pub(crate) async fn link_by_name(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut found = std::pin::pin!(self.handle.link().get().match_name(name).execute());
        match found.try_next().await {
            Ok(link) => Ok(link.map(Link::from)),
            Err(error) => {
                let error = failed(|| format!("look {name} up"))(error);
                if error.errno() == Some(libc::ENODEV) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Sets the MAC address and the MTU of an interface.
    pub(crate) async fn set_mac_and_mtu(
        &self,
        link: &Link,
        mac: MacAddr,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        let message =
            LinkUnspec::new_with_index(link.index).address(mac.0.to_vec()).mtu(mtu).build();
        let what = || format!("set MAC address {mac} and MTU {mtu} of {}", link.name);
        self.set(message, what).await
    }

    /// The same for a device of the switch in the host's namespace, which gets [`OWN_ALIAS`].
    pub(crate) async fn set_own(
        &self,
        link: &Link,
        mac: MacAddr,
        mtu: u32,
    ) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(link.index).address(mac.0.to_vec()).mtu(mtu);
        let what = || format!("set MAC address {mac}, MTU {mtu} and the alias of {}", link.name);
        self.set(message.alias(OWN_ALIAS).build(), what).await
    }

    /// Moves an interface into another namespace, where it gets its name, MAC address and MTU.
    pub(crate) async fn move_into(&self, index: u32, to: Move<'_>) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(index)
            .setns_by_fd(to.netns.as_raw_fd())
            .name(to.ifname)
            .address(to.mac.0.to_vec())
            .mtu(to.mtu);
        let message = mtu::with_gso_max_size(message, to.gso_max_size).build();
        self.set(message, || format!("move the TAP into the namespace as {}", to.ifname)).await
    }

    /// Turns ARP and neighbour discovery of an interface off: all neighbours have its own MAC address.
    pub(crate) async fn no_arp(&self, link: &Link) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(link.index).arp(false).build();
        self.set(message, || format!("turn ARP of {} off", link.name)).await
    }

    /// Brings an interface up.
    pub(crate) async fn up(&self, link: &Link) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(link.index).up().build();
        self.set(message, || format!("bring {} up", link.name)).await
    }

    /// Brings `lo` up. Its index is 1 in every namespace.
    pub(crate) async fn loopback_up(&self) -> Result<(), NetlinkError> {
        let lo = Link::new(1, "lo");
        self.up(&lo).await
    }

    /// Replaces the queue disciplines of a multi-queue TAP by none; before it comes up.
    pub(crate) async fn no_queue(&self, link: &Link) -> Result<(), NetlinkError> {
        let index = i32::try_from(link.index).unwrap_or(i32::MAX);
        let mut message = TcMessage::with_index(index);
        message.header.parent = TcHandle::ROOT;
        message.attributes.push(TcAttribute::Kind("noqueue".into()));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let what = || format!("set queue discipline noqueue on {}", link.name);
        let mut answers = match self.handle.clone().request(request) {
            Ok(answers) => std::pin::pin!(answers),
            Err(error) => return Err(failed(what)(error)),
        };
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(NetlinkError { what: what(), source: error.to_io() });
            }
        }
        Ok(())
    }

    /// Adds an address with its prefix length, usable at once.
    pub(crate) async fn add_address(
        &self,
        link: &Link,
        address: IpNet,
    ) -> Result<(), NetlinkError> {
        let mut request =
            self.handle.address().add(link.index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await.map_err(failed(|| format!("add {address} to {}", link.name)))
    }

    /// Removes an address.
    pub(crate) async fn remove_address(
        &self,
        link: &Link,
        address: IpNet,
    ) -> Result<(), NetlinkError> {
        let mut add = self.handle.address().add(link.index, address.addr(), address.prefix_len());
        let message = std::mem::take(add.message_mut());
        let removed = self.handle.address().del(message).execute().await;
        removed.map_err(failed(|| format!("remove {address} from {}", link.name)))
    }

    /// Addresses of an interface, with their prefix lengths.
    pub(crate) async fn addresses(&self, link: &Link) -> Result<Vec<IpNet>, NetlinkError> {
        let of_link = || self.handle.address().get().set_link_index_filter(link.index).execute();
        let what = || format!("list addresses of {}", link.name);
        let messages: Vec<AddressMessage> = self.dumps.run(of_link).await.map_err(failed(what))?;
        Ok(messages.iter().filter_map(net_of).collect())
    }

    /// Addresses of all interfaces, with the index of each.
    pub(crate) async fn all_addresses(&self) -> Result<Vec<(u32, IpNet)>, NetlinkError> {
        let all = || self.handle.address().get().execute();
        let what = || "list addresses".into();
        let messages: Vec<AddressMessage> = self.dumps.run(all).await.map_err(failed(what))?;
        let each = messages.iter().map(|it| Some((it.header.index, net_of(it)?)));
        Ok(each.flatten().collect())
    }

    /// Adds a default route, unless there is one; returns whether it did.
    pub(crate) async fn add_default_route(
        &self,
        link: &Link,
        gateway: IpAddr,
    ) -> Result<bool, NetlinkError> {
        let message = match gateway {
            IpAddr::V4(gateway) => RouteMessageBuilder::<Ipv4Addr>::new()
                .gateway(gateway)
                .output_interface(link.index)
                .build(),
            IpAddr::V6(gateway) => RouteMessageBuilder::<Ipv6Addr>::new()
                .gateway(gateway)
                .output_interface(link.index)
                .build(),
        };
        let what = || format!("add a default route by {gateway} on {}", link.name);
        match self.handle.route().add(message).execute().await.map_err(failed(what)) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(libc::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the permanent entry of an address in the neighbour table.
    pub(crate) async fn set_neighbour(
        &self,
        link: &Link,
        address: IpAddr,
        mac: MacAddr,
    ) -> Result<(), NetlinkError> {
        let request = self.handle.neighbours().add(link.index, address).link_layer_address(&mac.0);
        let what = || format!("set {address} at {mac} in the neighbour table of {}", link.name);
        request.replace().execute().await.map_err(failed(what))
    }

    /// Removes the entry of an address, if there is one.
    pub(crate) async fn remove_neighbour(
        &self,
        link: &Link,
        address: IpAddr,
    ) -> Result<(), NetlinkError> {
        let mut request = self.handle.neighbours().add(link.index, address);
        let message = std::mem::take(request.message_mut());
        let what = || format!("remove {address} from the neighbour table of {}", link.name);
        match self.handle.neighbours().del(message).execute().await.map_err(failed(what)) {
            Err(error) if error.errno() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// Routes of the family of `like`, in all tables but that of the host's own addresses.
    pub(crate) async fn routes(&self, like: IpNet) -> Result<Vec<HostRoute>, NetlinkError> {
        let message = match like {
            IpNet::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            IpNet::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let all = || self.handle.route().get(message.clone()).execute();
        let routes: Vec<RouteMessage> =
            self.dumps.run(all).await.map_err(failed(|| "list routes".into()))?;
        Ok(routes.iter().filter_map(host_route).collect())
    }

    /// The host's routes of both families.
    pub(crate) async fn all_routes(&self) -> Result<Vec<HostRoute>, NetlinkError> {
        let mut all = self.routes(IpNet::V4(ipnet::Ipv4Net::default())).await?;
        all.extend(self.routes(IpNet::V6(ipnet::Ipv6Net::default())).await?);
        Ok(all)
    }

    /// Waits until an IPv6 address is local. The kernel acknowledges an address before it joins the
    /// multicast group and adds the local route (`addrconf_dad_work`); until then neighbours get no answer,
    /// and ask again only after a second.
    pub(crate) async fn wait_until_local(&self, address: Ipv6Addr) -> Result<(), NetlinkError> {
        let ask = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(address, 128).build();
        for _ in 0..LOCAL_TRIES_MAX {
            let mut found = std::pin::pin!(self.handle.route().get(ask.clone()).execute());
            let route = found.try_next().await.map_err(failed(|| format!("look {address} up")));
            match route {
                Ok(Some(route)) if route.header.kind == RouteType::Local => return Ok(()),
                // No route leads there yet: the answer where no prefix route does.
                Err(error) if error.errno() != Some(libc::ENETUNREACH) => return Err(error),
                _ => {}
            }
            tokio::time::sleep(LOCAL_POLL).await;
        }
        tracing::warn!(%address, "the address is not usable yet");
        Ok(())
    }

    async fn set(
        &self,
        message: LinkMessage,
        what: impl FnOnce() -> String,
    ) -> Result<(), NetlinkError> {
        self.handle.link().set(message).execute().await.map_err(failed(what))
    }
}

impl Link {
    /// An interface of which only index and name are known.
    pub(crate) fn new(index: u32, name: impl Into<String>) -> Self {
        Self { index, name: name.into(), mac: None, is_up: false, is_tap: false, mtu: 0 }
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self::new(message.header.index, "");
        link.is_up = message.header.flags.contains(LinkFlags::Up);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(octets) => {
                    link.mac = <[u8; 6]>::try_from(octets).ok().map(MacAddr);
                }
                LinkAttribute::LinkInfo(infos) => {
                    link.is_tap = infos.contains(&LinkInfo::Kind(InfoKind::Tun));
                }
                _ => {}
            }
        }
        link
    }
}

/// The address of a message, with its prefix length.
fn net_of(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    IpNet::new(address?, message.header.prefix_len).ok()
}

/// Parses a route; `None` if it cannot overlap a subnet.
fn host_route(message: &RouteMessage) -> Option<HostRoute> {
    use RouteType::{BlackHole, Prohibit, Unicast, Unreachable};
    let header = &message.header;
    let leads = matches!(header.kind, Unicast | BlackHole | Unreachable | Prohibit);
    if !leads || header.table == libc::RT_TABLE_LOCAL {
        return None;
    }
    let mut destination = None;
    let mut device = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Oif(index) => device = Some(*index),
            _ => {}
        }
    }
    let destination = IpNet::new(destination?, header.destination_prefix_length).ok()?;
    Some(HostRoute { destination, device })
}

/// The IP address of a route's attribute.
pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// Converts the crate's error.
pub(super) fn failed(
    what: impl FnOnce() -> String,
) -> impl FnOnce(rtnetlink::Error) -> NetlinkError {
    |error| {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other.to_string()),
        };
        NetlinkError { what: what(), source }
    }
}
