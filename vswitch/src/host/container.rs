//! A container's side of a port.
//!
//! The TAP is made in the host's namespace and moved: a descriptor that was opened inside a namespace
//! keeps it alive. The move, which is what takes the kernel time, is one request together with name,
//! MAC address and MTU; the rest is done inside while nothing else waits.

use std::os::fd::AsFd;
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use wire::MacAddr;

use super::netlink::{Link, Move};
use super::netns::OpenNetns;
use super::{HostError, Netlink, sysctl, visit};

/// How interfaces inside are called unless asked for otherwise; a number follows.
const IFNAME_PREFIX: &str = "eth";

/// How often to look for a free name, if others take names in the same namespace meanwhile.
const NAMES_TRIED_MAX: usize = 8;

const TAKEN_POLL: Duration = Duration::from_millis(25);

/// What the container gets.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSetup {
    /// Index of the TAP in the host's namespace.
    pub(crate) tap_index: u32,
    pub(crate) queues: usize,
    /// The next free `ethN` if absent.
    pub(crate) ifname: Option<String>,
    /// How long to wait while the name is taken: after a crash the interface of before goes away late.
    pub(crate) ifname_wait: Duration,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    /// Address with the prefix length of the subnet.
    pub(crate) address: Ipv4Net,
    pub(crate) address6: Ipv6Net,
    pub(crate) gateway: std::net::Ipv4Addr,
    pub(crate) gateway6: std::net::Ipv6Addr,
}

/// Moves the TAP in and makes it work; gives the name that it has inside. When this fails the TAP may
/// be anywhere: close its queues.
pub(crate) async fn configure(
    host: Netlink,
    netns: OpenNetns,
    setup: ContainerSetup,
) -> Result<String, HostError> {
    let target = netns.clone();
    visit::enter(netns, async move |inside: Netlink| {
        let link = move_in(&host, &inside, &target, &setup).await?;
        let has_ipv6 = sysctl::has_ipv6();
        if has_ipv6 {
            sysctl::settle_ipv6(&link.name)?;
        }
        if setup.queues > 1 {
            inside.no_queue(&link).await?;
        }
        inside.up(&link).await?;
        inside.add_address(&link, setup.address.into()).await?;
        let mut routed = inside.add_default_route(&link, setup.gateway.into()).await?;
        if has_ipv6 {
            inside.add_address(&link, setup.address6.into()).await?;
            routed &= inside.add_default_route(&link, setup.gateway6.into()).await?;
        }
        if !routed {
            tracing::info!(ifname = %link.name, "the namespace keeps the default route that it has");
        }
        Ok(link.name)
    })
    .await
}

/// Moves the TAP under a free name; also sees to `lo`.
async fn move_in(
    host: &Netlink,
    inside: &Netlink,
    netns: &OpenNetns,
    setup: &ContainerSetup,
) -> Result<Link, HostError> {
    let mut waited = Duration::ZERO;
    let mut tries = 0;
    loop {
        let links = inside.links().await?;
        if links.iter().any(|link| link.name == "lo" && !link.is_up) {
            inside.loopback_up().await?;
        }
        let ifname = match &setup.ifname {
            None => next_free(&links),
            Some(name) if !links.iter().any(|link| link.name == *name) => name.clone(),
            Some(name) if waited >= setup.ifname_wait => {
                return Err(HostError::IfnameTaken(name.clone()));
            }
            Some(_) => {
                tokio::time::sleep(TAKEN_POLL).await;
                waited += TAKEN_POLL;
                continue;
            }
        };
        let to = Move { netns: netns.fd.as_fd(), ifname: &ifname, mac: setup.mac, mtu: setup.mtu };
        tries += 1;
        match host.move_into(setup.tap_index, to).await {
            Ok(()) => return find(inside, ifname, setup).await,
            Err(error) if error.errno() != Some(libc::EEXIST) => return Err(error.into()),
            Err(_) if setup.ifname.is_some() || tries >= NAMES_TRIED_MAX => {
                return Err(HostError::IfnameTaken(ifname));
            }
            Err(_) => {}
        }
    }
}

/// The TAP as it is known inside: its index may have changed.
async fn find(
    inside: &Netlink,
    ifname: String,
    setup: &ContainerSetup,
) -> Result<Link, HostError> {
    match inside.link_by_name(&ifname).await? {
        Some(link) if link.mac == Some(setup.mac) => Ok(link),
        _ => Err(HostError::IfnameTaken(ifname)),
    }
}

/// The first of `eth0`, `eth1`, ... that no interface has.
pub(super) fn next_free(links: &[Link]) -> String {
    (0_usize..)
        .map(|number| format!("{IFNAME_PREFIX}{number}"))
        .find(|name| !links.iter().any(|link| link.name == *name))
        .unwrap_or_else(|| format!("{IFNAME_PREFIX}0"))
}
