//! The host port: a TAP with the bridge's name and the gateway addresses.

use std::time::Duration;

use fastpath::tap::{Tap, TapConfig};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use wire::MacAddr;

use super::netlink::Link;
use super::{HostError, Netlink, routes, sysctl};

/// How long the bridge may outlive a killed process.
const STALE_BRIDGE_WAIT_MAX: Duration = Duration::from_secs(5);
const STALE_BRIDGE_POLL: Duration = Duration::from_millis(50);

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
    pub(crate) queues: usize,
    /// Routes of the host may share addresses with the subnets.
    pub(crate) may_overlap: bool,
}

/// Creates the bridge. The interface lives as long as the TAP's queues.
pub(crate) async fn create(netlink: &Netlink, setup: &BridgeSetup) -> Result<Tap, HostError> {
    wait_for_name(netlink, setup).await?;
    if !setup.may_overlap {
        check_overlap(netlink, setup.gateway.into()).await?;
        check_overlap(netlink, setup.gateway6.into()).await?;
    }
    let tap = create_tap(setup.name.clone(), setup.queues).await?;
    let link = Link::new(tap.ifindex, tap.name.clone());
    netlink.set_mac_and_mtu(&link, setup.mac, setup.mtu).await?;
    if setup.queues > 1 {
        netlink.no_queue(&link).await?;
    }
    let has_ipv6 = sysctl::has_ipv6();
    if has_ipv6 {
        sysctl::configure_ipv6(&link.name)?;
    }
    netlink.up(&link).await?;
    let gateways = [Some(setup.gateway.into()), has_ipv6.then(|| setup.gateway6.into())];
    netlink.add_gateways(&link, gateways.into_iter().flatten()).await?;
    Ok(tap)
}

/// Creates a TAP on a blocking thread: the kernel may take 100 ms.
pub(crate) async fn create_tap(name: String, queues: usize) -> Result<Tap, HostError> {
    let made = tokio::task::spawn_blocking(move || Tap::create(&TapConfig { name: &name, queues }));
    match made.await {
        Ok(tap) => Ok(tap?),
        Err(error) => Err(HostError::Thread(std::io::Error::other(error))),
    }
}

/// Creates a TAP of a name that one of a killed process may have still, until the kernel has removed it.
pub(crate) async fn create_named_tap(
    netlink: &Netlink,
    name: String,
    queues: usize,
) -> Result<Tap, HostError> {
    let mut waited = Duration::ZERO;
    while waited < STALE_BRIDGE_WAIT_MAX && netlink.link_by_name(&name).await?.is_some() {
        tokio::time::sleep(STALE_BRIDGE_POLL).await;
        waited += STALE_BRIDGE_POLL;
    }
    create_tap(name, queues).await
}

/// Refuses a taken name. A bridge with our MAC address is that of a killed process: waits until the
/// kernel has removed it.
async fn wait_for_name(netlink: &Netlink, setup: &BridgeSetup) -> Result<(), HostError> {
    let taken = || HostError::BridgeTaken(setup.name.clone());
    let wait = async {
        loop {
            match netlink.link_by_name(&setup.name).await? {
                None => return Ok(()),
                Some(link) if link.mac == Some(setup.mac) => {
                    tracing::info!(bridge = %setup.name, "waiting until the kernel removes the bridge of a killed process");
                    tokio::time::sleep(STALE_BRIDGE_POLL).await;
                }
                Some(_) => return Err(taken()),
            }
        }
    };
    tokio::time::timeout(STALE_BRIDGE_WAIT_MAX, wait).await.unwrap_or_else(|_| Err(taken()))
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
