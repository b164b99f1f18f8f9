//! Upkeep of the switch's own devices on the host: what others take away is set again, by the functions that set it
//! first.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::IpNet;

use super::bridge::{self, BridgeSetup};
use super::netlink::Link;
use super::{HostError, Netlink, routes, sysctl};

/// Parts that were set again, as descriptions for people.
pub(crate) type Restored = Vec<String>;

/// Brings a host port in order; gives its index, too. An absent one is none of this.
pub(crate) async fn restore_bridge(
    netlink: &Netlink,
    setup: &BridgeSetup,
    admits_loopback: bool,
) -> Result<(Option<u32>, Restored), HostError> {
    let Some(link) = netlink.link_by_name(&setup.name).await? else {
        return Ok((None, Vec::new()));
    };
    let mut restored = Vec::new();
    if !link.is_up {
        netlink.up(&link).await?;
        restored.push("up".to_owned());
    }
    let wanted: Vec<IpNet> = bridge::addresses(setup);
    let present = netlink.addresses(&link).await?;
    let missing: Vec<IpNet> = wanted.iter().copied().filter(|net| !present.contains(net)).collect();
    for net in wanted.iter().filter(|net| present.contains(net)) {
        let all = netlink.routes(*net).await?;
        let subnet = net.trunc();
        let is_it = |route: &routes::HostRoute| {
            route.destination == subnet && route.device == Some(link.index)
        };
        if !all.iter().any(is_it) {
            netlink.add_subnet_route(&link, *net).await?;
            restored.push(format!("route {subnet}"));
        }
    }
    if !missing.is_empty() {
        netlink.add_gateways(&link, missing.iter().copied()).await?;
        restored.extend(missing.iter().map(|net| format!("address {net}")));
    }
    if admits_loopback && set_if_other("ipv4", &setup.name, "route_localnet", "1")? {
        restored.push("route_localnet".to_owned());
    }
    Ok((Some(link.index), restored))
}

/// Brings the TAP of an uplink in order: up, with its address. An absent one is none of this.
pub(crate) async fn restore_uplink_tap(
    netlink: &Netlink,
    name: &str,
    address: Ipv4Addr,
) -> Result<Restored, HostError> {
    let Some(link) = netlink.link_by_name(name).await? else { return Ok(Vec::new()) };
    let mut restored = Vec::new();
    if !link.is_up {
        netlink.up(&link).await?;
        restored.push("up".to_owned());
    }
    if !has(&netlink.addresses(&link).await?, address) {
        netlink.add_link_address(&link, IpNet::from(IpAddr::V4(address))).await?;
        restored.push(format!("address {address}"));
    }
    if set_if_other("ipv4", name, "rp_filter", "2")? {
        restored.push("rp_filter".to_owned());
    }
    Ok(restored)
}

/// Whether an interface of that name is there.
pub(crate) async fn find(netlink: &Netlink, name: &str) -> Result<Option<Link>, HostError> {
    Ok(netlink.link_by_name(name).await?)
}

fn has(addresses: &[IpNet], address: Ipv4Addr) -> bool {
    addresses.iter().any(|net| net.addr() == IpAddr::V4(address))
}

/// Writes a setting that has another value; says whether it had.
fn set_if_other(family: &str, ifname: &str, key: &str, value: &str) -> Result<bool, HostError> {
    let path = Path::new("/proc/sys/net").join(family).join("conf").join(ifname).join(key);
    match fs::read_to_string(&path) {
        Ok(is) if is.trim() != value => sysctl::write(&path, value).map(|()| true),
        // It went meanwhile.
        _ => Ok(false),
    }
}
