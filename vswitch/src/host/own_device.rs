//! Upkeep of the switch's own devices on the host: parts that other programs removed are restored by the functions that
//! set them first. A device is ours by its index: one of the same name may be somebody's, which stays untouched.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use ipnet::IpNet;

use super::bridge::{self, BridgeSetup};
use super::netlink::Link;
use super::nft::has_device;
use super::routes::HostRoute;
use super::{HostError, Netlink, sysctl};

/// What the kernel has on the host: read once for all devices.
#[derive(Debug)]
pub(crate) struct Found {
    links: Vec<Link>,
    addresses: Vec<(u32, IpNet)>,
    routes: Vec<HostRoute>,
}

/// What became of the parts of a device.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    /// Parts that were restored, as descriptions for people.
    pub(crate) restored: Vec<String>,
    /// What is out of order still.
    pub(crate) faults: Vec<String>,
    /// The device itself is not in the namespace, which is a fault.
    pub(crate) is_gone: bool,
}

/// Where a device of ours is.
#[derive(Debug)]
pub(crate) enum Presence<'a> {
    Here(&'a Link),
    /// Deleted, or in another namespace.
    Gone,
    /// Renamed, or replaced by somebody's: why it cannot be restored.
    Other(String),
}

impl Found {
    /// Reads the state of the connection's namespace.
    pub(crate) async fn read(netlink: &Netlink) -> Result<Self, HostError> {
        Ok(Self {
            links: netlink.links().await?,
            addresses: netlink.all_addresses().await?,
            routes: netlink.all_routes().await?,
        })
    }

    /// Where the device of that index is, which has to have that name.
    pub(crate) fn presence(&self, index: u32, name: &str) -> Presence<'_> {
        match self.links.iter().find(|link| link.index == index && link.is_tap) {
            Some(link) if link.name == name => Presence::Here(link),
            Some(link) => {
                Presence::Other(format!("{name} is called {} now: rename it to {name}", link.name))
            }
            None if self.links.iter().any(|link| link.name == name) => Presence::Other(format!(
                "an interface {name} that is not the switch's has its name"
            )),
            None => Presence::Gone,
        }
    }

    fn has_address(&self, link: &Link, net: IpNet) -> bool {
        self.addresses.contains(&(link.index, net))
    }

    fn has_subnet_route(&self, link: &Link, net: IpNet) -> bool {
        let is_it = |it: &HostRoute| it.destination == net.trunc() && it.device == Some(link.index);
        self.routes.iter().any(is_it)
    }
}

impl Repairs {
    /// Whether nothing was amiss.
    pub(crate) fn is_empty(&self) -> bool {
        self.restored.is_empty() && self.faults.is_empty()
    }

    /// Adds those of another device.
    pub(crate) fn extend(&mut self, other: Self) {
        self.restored.extend(other.restored);
        self.faults.extend(other.faults);
    }

    /// Those of a device that is not in the namespace.
    fn gone(name: &str) -> Self {
        let fault = format!("{name} was deleted, or moved to another namespace");
        Self { faults: vec![fault], is_gone: true, ..Self::default() }
    }

    /// Notes the result of a restored part.
    pub(crate) fn add(&mut self, part: impl Display, result: Result<(), impl Display>) {
        match result {
            Ok(()) => self.restored.push(part.to_string()),
            Err(error) => self.faults.push(error.to_string()),
        }
    }

    /// Notes the result of a part that may have been in order: whether it was restored.
    pub(crate) fn add_checked(&mut self, part: impl Display, result: Result<bool, impl Display>) {
        match result {
            Ok(false) => {}
            Ok(true) => self.restored.push(part.to_string()),
            Err(error) => self.faults.push(error.to_string()),
        }
    }
}

/// Brings the host port of that index in order.
pub(crate) async fn restore_bridge(
    netlink: &Netlink,
    found: &Found,
    setup: &BridgeSetup,
    index: u32,
) -> Repairs {
    let mut repairs = Repairs::default();
    let link = match found.presence(index, &setup.name) {
        Presence::Here(link) => link,
        Presence::Gone => return Repairs::gone(&setup.name),
        Presence::Other(fault) => {
            repairs.faults.push(fault);
            return repairs;
        }
    };
    if !link.is_up {
        repairs.add("up", netlink.up(link).await);
    }
    let wanted = bridge::addresses(setup);
    // The kernel's route names the oldest IPv4 address: with the first one the others are added again.
    let of_ipv4 = || wanted.iter().filter(|net| net.addr().is_ipv4());
    let is_first_gone = of_ipv4().next().is_some_and(|net| !found.has_address(link, *net));
    let younger = of_ipv4().filter(|net| is_first_gone && found.has_address(link, **net));
    for net in younger {
        if let Err(error) = netlink.remove_address(link, *net).await {
            repairs.faults.push(error.to_string());
        }
    }
    for net in wanted {
        if !found.has_address(link, net) || is_first_gone && net.addr().is_ipv4() {
            repairs.add(format!("address {net}"), add_address(netlink, link, net).await);
        } else if !found.has_subnet_route(link, net) {
            let added = netlink.add_subnet_route(link, net).await;
            repairs.add(format!("route {}", net.trunc()), added);
        }
    }
    // It may have gone meanwhile.
    match repairs.faults.is_empty() || has_device(&setup.name) {
        true => repairs,
        false => Repairs::gone(&setup.name),
    }
}

async fn add_address(netlink: &Netlink, link: &Link, net: IpNet) -> Result<(), HostError> {
    if net.addr().is_ipv6() {
        // Somebody may have switched IPv6 off.
        sysctl::configure_ipv6(&link.name)?;
    }
    Ok(netlink.add_link_address(link, net).await?)
}

/// Brings the TAP of an uplink in order: up, without IPv6 configuration.
pub(crate) async fn restore_uplink_tap(netlink: &Netlink, link: &Link) -> Repairs {
    let mut repairs = Repairs::default();
    let name = &link.name;
    if !link.is_up {
        repairs.add(format!("{name} up"), netlink.up(link).await);
    }
    let ipv6 = set_if_other("ipv6", name, "disable_ipv6", "0");
    repairs.add_checked(format_args!("IPv6 of {name}"), ipv6);
    repairs
}

/// Restores `route_localnet` of a host port; says whether it had another value.
pub(crate) fn restore_localnet(name: &str) -> Result<bool, HostError> {
    set_if_other("ipv4", name, "route_localnet", "1")
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
