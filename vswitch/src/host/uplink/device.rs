//! Choice of the uplink device, and the TAP beside it.

use std::net::Ipv4Addr;

use fastpath::tap::Tap;
use wire::MacAddr;

use super::UplinkError;
use super::state::{Kernel, UplinkSelector, is_ethernet, name_of};
use crate::host::bridge::create_tap;
use crate::host::netlink::Link;
use crate::host::{HostError, Netlink, sysctl};

/// Dummy address of RFC 7600. With `rp_filter` on anywhere, a device without IPv4 address accepts no packet
/// from other subnets (`fib_validate_source`); with an address, loose mode does.
const DUMMY: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// Longest name of an interface.
const IFNAME_MAX: usize = 15;

/// Name of the uplink TAP of a bridge.
pub(super) fn tap_name(bridge: &str) -> String {
    let mut name = format!("up-{bridge}");
    name.truncate(IFNAME_MAX);
    name
}

/// Name of the selected device, if it can be the uplink.
pub(super) fn choose(kernel: &Kernel, selector: &UplinkSelector) -> Result<String, UplinkError> {
    let link = kernel.choose(selector).ok_or_else(|| match selector {
        UplinkSelector::Auto => UplinkError::NoDefaultRoute,
        UplinkSelector::Device(name) => UplinkError::NoDevice(name.clone()),
    })?;
    let name = name_of(link).to_owned();
    if !is_ethernet(link) {
        let kind = format!("{:?}", link.header.link_layer_type);
        return Err(UplinkError::NotEthernet { device: name, kind });
    }
    Ok(name)
}

/// Creates the uplink TAP: up, with the NIC's MTU, without ARP replies and IPv6 configuration. Frames that
/// the switch writes to its MAC address reach the host's stack, whatever the reverse path.
pub(super) async fn make_tap(
    netlink: &Netlink,
    name: String,
    queues: usize,
    mtu: u32,
) -> Result<(Tap, MacAddr), HostError> {
    let tap = create_tap(name.clone(), queues).await?;
    let link = netlink.link_by_name(&name).await?;
    let mac = link.and_then(|link| link.mac).unwrap_or(MacAddr([0; 6]));
    let link = Link { mac: Some(mac), ..Link::new(tap.ifindex, name) };
    netlink.set_mac_and_mtu(&link, mac, mtu).await?;
    if queues > 1 {
        netlink.no_queue(&link).await?;
    }
    if sysctl::has_ipv6() {
        sysctl::configure_ipv6(&link.name)?;
        sysctl::set_link_sysctl("ipv6", &link.name, "addr_gen_mode", "1")?;
    }
    sysctl::set_link_sysctl("ipv4", &link.name, "rp_filter", "2")?;
    sysctl::set_link_sysctl("ipv4", &link.name, "arp_ignore", "8")?;
    netlink.up(&link).await?;
    netlink.add_link_address(&link, ipnet::IpNet::from(std::net::IpAddr::V4(DUMMY))).await?;
    Ok((tap, mac))
}
