//! The container's side of an attachment, as the kernel shows it.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::SockaddrStorage;
use vswitch_api::MacAddr;

use super::changed;
use crate::error::{CniError, Code, Outcome};
use crate::result::{Interface, Ip, Route};

/// An interface.
#[derive(Debug, Default)]
struct Found {
    is_there: bool,
    is_up: bool,
    mac: Option<MacAddr>,
    addresses: Vec<IpAddr>,
}

/// Compares the namespace with the result of ADD.
pub(super) fn check(netns: &Path, interface: &Interface, ips: &[&Ip], routes: &[Route]) -> Outcome {
    std::thread::scope(|scope| {
        // Only a thread of its own enters.
        let inside = scope.spawn(|| {
            enter(netns)?;
            check_interface(interface, ips)?;
            check_routes(ips, routes)
        });
        inside.join().unwrap_or_else(|_| Err(CniError::new(Code::Io, "a check failed")))
    })
}

fn enter(netns: &Path) -> Outcome {
    let entered =
        File::open(netns).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?)).map_err(
            |error| format!("cannot enter the network namespace {}: {error}", netns.display()),
        );
    entered.map_err(|fault| CniError::new(Code::Io, fault))
}

fn find(name: &str) -> Outcome<Found> {
    let entries = getifaddrs()
        .map_err(|error| CniError::new(Code::Io, format!("cannot list interfaces: {error}")))?;
    let mut found = Found::default();
    for entry in entries.filter(|entry| entry.interface_name == name) {
        found.is_there = true;
        found.is_up = entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
        let Some(address) = entry.address else { continue };
        found.mac = mac_of(&address).or(found.mac);
        found.addresses.extend(ip_of(&address));
    }
    Ok(found)
}

fn mac_of(address: &SockaddrStorage) -> Option<MacAddr> {
    Some(MacAddr::from(address.as_link_addr()?.addr()?))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| it.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|it| it.ip().into()))
}

fn check_interface(interface: &Interface, ips: &[&Ip]) -> Outcome {
    let name = &interface.name;
    let found = find(name)?;
    if !found.is_there {
        return Err(changed(format!("the container has no interface {name}")));
    }
    if !found.is_up {
        return Err(changed(format!("the container's interface {name} is down")));
    }
    if let Some(mac) = interface.mac()
        && found.mac != Some(mac)
    {
        let has = found.mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
        return Err(changed(format!("{name} has the MAC address {has}, not {mac}")));
    }
    match ips.iter().find(|ip| !found.addresses.contains(&ip.address.addr())) {
        None => Ok(()),
        Some(ip) => Err(changed(format!("{name} has no address {}", ip.address.addr()))),
    }
}

fn check_routes(ips: &[&Ip], routes: &[Route]) -> Outcome {
    for route in routes {
        let is_ipv4 = route.dst.addr().is_ipv4();
        let own = ips.iter().map(|ip| ip.address.addr()).find(|own| own.is_ipv4() == is_ipv4);
        // A route without an address of ours is another plugin's.
        let Some(own) = own.filter(|_| ips.iter().any(|ip| ip.gateway == route.gw)) else {
            continue;
        };
        if !has_route(own, inside_of(route.dst)) {
            return Err(changed(format!("the container has no route to {}", route.dst)));
        }
    }
    Ok(())
}

/// An address that a route leads to: of a default route, one of the documentation (RFC 5737, RFC 3849).
fn inside_of(net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) if net.prefix_len() == 0 => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpNet::V6(net) if net.prefix_len() == 0 => {
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
        }
        net => net.network(),
    }
}

/// Whether the kernel finds a way from one address to another; nothing is sent.
fn has_route(from: IpAddr, to: IpAddr) -> bool {
    /// "Discard", for the form.
    const PORT: u16 = 9;
    UdpSocket::bind((from, 0)).is_ok_and(|socket| socket.connect((to, PORT)).is_ok())
}
