//! A container's side of a port.
//!
//! The TAP is created in the host's namespace and moved: a descriptor opened inside a namespace would
//! keep it alive. The move is slow, so one request sets name, MAC address and MTU, too; the other
//! requests run inside while nothing else waits.

mod routing;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;

use ipnet::IpNet;
use wire::MacAddr;

use super::netlink::{Link, Move};
use super::netns::OpenNetns;
use super::{HostError, Netlink, netns_exec, sysctl};
use routing::Hop;

/// State of a namespace before an attach.
#[derive(Debug, Clone)]
pub(crate) struct NetnsInfo {
    /// See [`netns_exec::cookie`].
    pub(crate) cookie: Option<u64>,
    /// Names of the interfaces.
    pub(crate) ifnames: Vec<String>,
    /// MAC addresses of TAPs among them.
    pub(crate) macs: BTreeMap<String, MacAddr>,
}

/// Settings of the container's interface.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSetup {
    /// Index of the TAP in the host's namespace.
    pub(crate) tap_index: u32,
    pub(crate) queues: usize,
    pub(crate) ifname: String,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Largest GSO frame, if it is not the kernel's default.
    pub(crate) gso_max_size: Option<u32>,
    /// Addresses and routes; without, the endpoint configures itself.
    pub(crate) addresses: Option<Addresses>,
}

/// Addresses with the prefix lengths of their subnets, and next hops of the default routes.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// Those of the lease first.
    pub(crate) nets: Vec<IpNet>,
    /// IPv4 first; a family without addresses needs none. Absent: no default route leads here.
    pub(crate) gateways: Option<[IpAddr; 2]>,
    /// The namespace has no IPv6, not even link-local addresses.
    pub(crate) leaves_ipv6_off: bool,
}

/// Reads the cookie and the interface names of a namespace.
pub(crate) async fn inspect(netns: OpenNetns) -> Result<NetnsInfo, HostError> {
    netns_exec::enter(netns, async |inside: Netlink| {
        let links = inside.links().await?;
        let taps = links.iter().filter(|link| link.is_tap);
        let macs = taps.filter_map(|link| Some((link.name.clone(), link.mac?))).collect();
        let ifnames = links.into_iter().map(|link| link.name).collect();
        Ok(NetnsInfo { cookie: netns_exec::cookie()?, ifnames, macs })
    })
    .await
}

/// An interface that a runtime has moved into a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    /// See [`netns_exec::cookie`].
    pub(crate) cookie: Option<u64>,
    pub(crate) ifname: String,
    /// Without those that the kernel makes of the MAC address.
    pub(crate) addresses: Vec<IpNet>,
}

/// Finds the interface of a MAC address in a namespace, once it is up: then it has its last name. Frees a TAP of
/// several queues from its queue disciplines, which nobody could do before it was there.
pub(crate) async fn find_interface(
    netns: OpenNetns,
    mac: MacAddr,
    queues: usize,
) -> Result<Inside, HostError> {
    netns_exec::enter(netns, async move |inside: Netlink| {
        let mut links = inside.links().await?.into_iter();
        let found = links.find(|link| link.mac == Some(mac) && link.is_up);
        let link = found.ok_or(HostError::NotMovedIn(mac))?;
        if queues > 1 {
            inside.no_queue(&link).await?;
        }
        let mut addresses = inside.addresses(&link).await?;
        addresses.retain(|net| match net {
            IpNet::V4(_) => true,
            IpNet::V6(net) => !net.addr().is_unicast_link_local(),
        });
        Ok(Inside { cookie: netns_exec::cookie()?, ifname: link.name, addresses })
    })
    .await
}

/// Moves the TAP in and configures it. After an error the TAP may be in either namespace: close its
/// queues.
pub(crate) async fn configure(netns: OpenNetns, setup: ContainerSetup) -> Result<(), HostError> {
    let target = netns.clone();
    netns_exec::enter_from_host(netns, async move |host: Netlink, inside: Netlink| {
        let link = move_in(&host, &inside, &target, &setup).await?;
        if setup.queues > 1 {
            inside.no_queue(&link).await?;
        }
        match &setup.addresses {
            Some(addresses) => assign(&inside, &link, addresses).await?,
            // The kernel's settings of IPv6 stay: who configures the interface may want its autoconfiguration.
            None => {
                inside.up(&link).await?;
                inside.loopback_up().await?;
            }
        }
        Ok(())
    })
    .await
}

/// Sets the MTU of the interface with a MAC address, and the size of its largest GSO frame. Does nothing where it has left.
pub(crate) async fn set_mtu(
    netns: OpenNetns,
    mac: MacAddr,
    (mtu, gso_max_size): (u32, Option<u32>),
) -> Result<(), HostError> {
    netns_exec::enter(netns, async move |inside: Netlink| {
        let link = inside.links().await?.into_iter().find(|link| link.mac == Some(mac));
        match link.filter(|link| link.is_tap) {
            Some(link) => Ok(inside.set_mtu(&link, mtu, gso_max_size).await?),
            None => Ok(()),
        }
    })
    .await
}

/// Brings the interface up with its addresses and routes.
async fn assign(inside: &Netlink, link: &Link, addresses: &Addresses) -> Result<(), HostError> {
    let has_ipv6 = sysctl::has_ipv6() && !addresses.leaves_ipv6_off;
    if has_ipv6 {
        sysctl::configure_ipv6(&link.name)?;
    }
    inside.up(link).await?;
    let (ipv4, mut ipv6): (Vec<IpNet>, Vec<IpNet>) =
        addresses.nets.iter().partition(|net| net.addr().is_ipv4());
    // Of equals, the kernel sends from the oldest IPv4 and the newest IPv6 address: from the first of the lease.
    ipv6.reverse();
    if !has_ipv6 {
        ipv6.clear();
    }
    let mut routed = true;
    for (at, nets) in [&ipv4, &ipv6].into_iter().enumerate() {
        for net in nets {
            inside.add_address(link, *net).await?;
        }
        let gateway = addresses.gateways.map(|gateways| gateways[at]);
        if let Some(gateway) = gateway.filter(|_| !nets.is_empty()) {
            routed &= inside.add_default_route(link, gateway).await?;
        }
    }
    inside.loopback_up().await?;
    for net in &ipv6 {
        if let IpAddr::V6(address) = net.addr() {
            inside.wait_until_local(address).await?;
        }
    }
    if !routed {
        tracing::info!(ifname = %link.name, "the namespace keeps the default route that it has");
    }
    Ok(())
}

/// Routes of one interface of a container.
#[derive(Debug, Clone)]
pub(crate) struct InterfaceRoutes {
    pub(crate) ifname: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) gateways: [IpAddr; 2],
    pub(crate) subnets: [IpNet; 2],
}

/// Gives a container its default route by the first of these interfaces, and with several lets replies leave
/// by the interface whose address was asked: a rule for each address, and a table for each interface.
/// A default route by another interface stays.
pub(crate) async fn route(
    netns: OpenNetns,
    interfaces: Vec<InterfaceRoutes>,
) -> Result<(), HostError> {
    netns_exec::enter(netns, async move |inside: Netlink| {
        let has_ipv6 = sysctl::has_ipv6();
        let mut links = Vec::with_capacity(interfaces.len());
        for interface in &interfaces {
            // One that went meanwhile has no routes.
            if let Some(link) = inside.link_by_name(&interface.ifname).await? {
                links.push((link, interface));
            }
        }
        for family in (0..2).take(1 + usize::from(has_ipv6)) {
            let hops: Vec<_> = links
                .iter()
                .map(|(link, routes)| Hop {
                    link,
                    addresses: of_family(&routes.addresses, family == 1),
                    gateway: routes.gateways[family],
                    subnet: routes.subnets[family],
                })
                .filter(|hop| !hop.addresses.is_empty())
                .collect();
            routing::sync(&inside, &hops, family == 1).await?;
        }
        Ok(())
    })
    .await
}

fn of_family(addresses: &[IpAddr], is_ipv6: bool) -> Vec<IpAddr> {
    addresses.iter().copied().filter(|address| address.is_ipv6() == is_ipv6).collect()
}

/// Moves the TAP in and looks it up again: its index may have changed.
async fn move_in(
    host: &Netlink,
    inside: &Netlink,
    netns: &OpenNetns,
    setup: &ContainerSetup,
) -> Result<Link, HostError> {
    let ifname = setup.ifname.as_str();
    let (mac, mtu, gso_max_size) = (setup.mac, setup.mtu, setup.gso_max_size);
    let to = Move { netns: netns.fd.as_fd(), ifname, mac, mtu, gso_max_size };
    // Another process may have taken the name since the look-up.
    let taken = || HostError::IfnameTaken(ifname.to_owned());
    host.move_into(setup.tap_index, to).await.map_err(|error| match error.errno() {
        Some(libc::EEXIST) => taken(),
        _ => error.into(),
    })?;
    let link = inside.link_by_name(ifname).await?;
    link.filter(|link| link.mac == Some(setup.mac)).ok_or_else(taken)
}
