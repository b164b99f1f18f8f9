//! The host port: a TAP with the bridge's name and the gateway addresses.

use fastpath::tap::{Tap, TapConfig, TapError};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wire::MacAddr;

use super::left_over::{self, Known};
use super::netlink::Link;
use super::{HostError, Netlink, routes, sysctl};

/// Settings of the bridge.
#[derive(Debug, Clone)]
pub(crate) struct BridgeSetup {
    pub(crate) name: String,
    /// Kept in the state document, so that containers still know their gateway after a restart.
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// The gateway's address with the prefix length of the subnet.
    pub(crate) gateway: Ipv4Net,
    /// The same for IPv6.
    pub(crate) gateway6: Ipv6Net,
    /// Addresses of the host itself, from which it speaks to the subnets rather than from the gateway's.
    pub(crate) host_addresses: Vec<IpNet>,
    /// Largest GSO frame, if it is not the kernel's default.
    pub(crate) gso_max_size: Option<u32>,
    pub(crate) queues: usize,
    /// Routes of the host may share addresses with the subnets.
    pub(crate) may_overlap: bool,
}

/// Creates the bridge. The interface lives as long as the TAP's queues. `waits` is called while that of a killed
/// switch has the name.
pub(crate) async fn create(
    netlink: &Netlink,
    setup: &BridgeSetup,
    waits: &(dyn Fn() + Sync),
) -> Result<Tap, HostError> {
    left_over::wait_for_name(netlink, &setup.name, Known::Mac(setup.mac), waits).await?;
    if !setup.may_overlap {
        check_overlap(netlink, setup.gateway.into()).await?;
        check_overlap(netlink, setup.gateway6.into()).await?;
    }
    let tap = create_tap(setup.name.clone(), setup.queues).await?;
    let link = Link::new(tap.ifindex, tap.name.clone());
    netlink.set_own(&link, setup.mac, setup.mtu).await?;
    if setup.gso_max_size.is_some() {
        netlink.set_mtu(&link, setup.mtu, setup.gso_max_size).await?;
    }
    if setup.queues > 1 {
        netlink.no_queue(&link).await?;
    }
    if sysctl::has_ipv6() {
        sysctl::configure_ipv6(&link.name)?;
    }
    netlink.up(&link).await?;
    netlink.add_gateways(&link, addresses(setup)).await?;
    Ok(tap)
}

/// The host's addresses on the bridge, those that this kernel can have, in the order in which they are added: the route to an
/// IPv4 subnet names the first one as the source, that to an IPv6 subnet the last one.
pub(crate) fn addresses(setup: &BridgeSetup) -> Vec<IpNet> {
    let own =
        |is_ipv4| setup.host_addresses.iter().filter(move |it| it.addr().is_ipv4() == is_ipv4);
    let mut addresses: Vec<IpNet> = own(true).copied().collect();
    addresses.push(setup.gateway.into());
    if sysctl::has_ipv6() {
        addresses.push(setup.gateway6.into());
        addresses.extend(own(false));
    }
    addresses
}

/// Creates a TAP on a blocking thread: the kernel may take 100 ms.
pub(crate) async fn create_tap(name: String, queues: usize) -> Result<Tap, HostError> {
    on_thread(move || Tap::create(&TapConfig { name: &name, queues })).await
}

/// Creates a TAP in the place of one that somebody deleted, with its interface index.
pub(crate) async fn create_tap_again(
    name: String,
    queues: usize,
    ifindex: u32,
) -> Result<Tap, HostError> {
    on_thread(move || Tap::create_again(&TapConfig { name: &name, queues }, ifindex)).await
}

async fn on_thread(
    make: impl FnOnce() -> Result<Tap, TapError> + Send + 'static,
) -> Result<Tap, HostError> {
    match tokio::task::spawn_blocking(make).await {
        Ok(tap) => Ok(tap?),
        Err(error) => Err(HostError::Thread(std::io::Error::other(error))),
    }
}

/// Creates a TAP of a name that one of a killed process may have still, until the kernel has removed it. `waits` is called
/// meanwhile.
pub(crate) async fn create_named_tap(
    netlink: &Netlink,
    name: String,
    queues: usize,
    waits: &(dyn Fn() + Sync),
) -> Result<Tap, HostError> {
    left_over::wait_for_name(netlink, &name, Known::Tap, waits).await?;
    create_tap(name, queues).await
}

async fn check_overlap(netlink: &Netlink, subnet: IpNet) -> Result<(), HostError> {
    let all = netlink.routes(subnet).await?;
    let Some(route) = routes::overlapping(subnet, &all) else { return Ok(()) };
    let links = netlink.links().await?;
    let device = match route.device {
        None => "none",
        Some(index) => {
            links.iter().find(|link| link.index == index).map_or("unknown", |link| &link.name)
        }
    };
    Err(HostError::Overlap {
        subnet: subnet.trunc(),
        route: route.destination,
        device: device.to_owned(),
    })
}
