//! The TAP beside an uplink's device.

use fastpath::tap::Tap;
use wire::MacAddr;

use super::UplinkError;
use super::devices::{TapId, UplinkSelector, is_ethernet};
use super::state::Kernel;
use crate::host::bridge::{create_named_tap, create_tap_again};
use crate::host::netlink::Link;
use crate::host::{HostError, Netlink, sysctl};

/// Longest name of an interface.
const IFNAME_MAX: usize = 15;

/// Name of the TAP of a bridge's uplink number `n`, from 0 on.
pub(super) fn tap_name(bridge: &str, n: usize) -> String {
    let number = if n == 0 { String::new() } else { (n + 1).to_string() };
    let mut name = format!("up{number}-{bridge}");
    name.truncate(IFNAME_MAX);
    name
}

/// Refuses a device by name that cannot be an uplink.
pub(super) fn check_named(kernel: &Kernel, selector: &UplinkSelector) -> Result<(), UplinkError> {
    for name in &selector.named {
        let link = kernel.link(name).ok_or_else(|| UplinkError::NoDevice(name.clone()))?;
        if !is_ethernet(link) {
            let kind = format!("{:?}", link.header.link_layer_type);
            return Err(UplinkError::NotEthernet { device: name.clone(), kind });
        }
    }
    Ok(())
}

/// Creates the uplink TAP: up, with the NIC's MTU, without ARP replies, IPv4 address and IPv6 configuration. A rule at its
/// ingress takes all that the switch writes, so the host's stack gets nothing by it.
pub(super) async fn make_tap(
    netlink: &Netlink,
    name: String,
    queues: usize,
    mtu: u32,
    waits: &(dyn Fn() + Sync),
) -> Result<(Tap, TapId), HostError> {
    let tap = create_named_tap(netlink, name.clone(), queues, waits).await?;
    let link = netlink.link_by_name(&name).await?;
    let mac = link.and_then(|link| link.mac).unwrap_or(MacAddr([0; 6]));
    configure(netlink, &tap, mac, mtu).await?;
    let id = TapId { name: tap.name.clone(), ifindex: tap.ifindex, mac };
    Ok((tap, id))
}

/// Creates the TAP again that somebody deleted: the same for the rules and for the datapath.
pub(super) async fn make_again(
    netlink: &Netlink,
    former: &TapId,
    queues: usize,
    mtu: u32,
) -> Result<Tap, HostError> {
    let tap = create_tap_again(former.name.clone(), queues, former.ifindex).await?;
    configure(netlink, &tap, former.mac, mtu).await?;
    Ok(tap)
}

async fn configure(netlink: &Netlink, tap: &Tap, mac: MacAddr, mtu: u32) -> Result<(), HostError> {
    let (name, queues) = (tap.name.clone(), tap.queues.len());
    let link = Link { mac: Some(mac), ..Link::new(tap.ifindex, name) };
    netlink.set_mac_and_mtu(&link, mac, mtu).await?;
    if queues > 1 {
        netlink.no_queue(&link).await?;
    }
    if sysctl::has_ipv6() {
        sysctl::configure_ipv6(&link.name)?;
        sysctl::set_link_sysctl("ipv6", &link.name, "addr_gen_mode", "1")?;
    }
    sysctl::set_link_sysctl("ipv4", &link.name, "arp_ignore", "8")?;
    Ok(netlink.up(&link).await?)
}
