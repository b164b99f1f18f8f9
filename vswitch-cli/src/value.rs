//! Text from the command line becomes a typed value once, here, or a precise error.
//!
//! Each parser returns the reason only: clap puts the value and the option in front of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use vswitch_api::port::NetnsRef;
use wire::MacAddr;
use wire::mac::ParseMacError;

use crate::limits::NAME_BYTES_MAX;

/// A unicast MAC address.
pub(crate) fn mac(text: &str) -> Result<MacAddr, String> {
    let mac: MacAddr = text.parse().map_err(|error: ParseMacError| {
        format!("not a MAC address such as 02:00:00:00:00:0a: {}", error.reason)
    })?;
    if mac.is_multicast() {
        return Err(
            "a multicast MAC address: a unicast one has an even first byte, such as 02".to_owned()
        );
    }
    if mac == MacAddr::ZERO {
        return Err("the all-zero MAC address belongs to nobody".to_owned());
    }
    Ok(mac)
}

/// An IPv4 address.
pub(crate) fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| "not an IPv4 address, such as 10.99.0.7".to_owned())
}

/// An IPv6 address.
pub(crate) fn ipv6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| "not an IPv6 address, such as fd00::7".to_owned())
}

/// A peer of an overlay network; without a port, that of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// An address with or without a UDP port: `192.0.2.2`, `192.0.2.2:4789`, `2001:db8::2` or `[2001:db8::2]:4789`.
pub(crate) fn peer(text: &str) -> Result<PeerAddress, String> {
    if let Ok(address) = text.parse() {
        return Ok(PeerAddress { address, port: None });
    }
    match text.parse::<SocketAddr>() {
        Ok(peer) if peer.port() > 0 => {
            Ok(PeerAddress { address: peer.ip(), port: Some(peer.port()) })
        }
        Ok(_) => Err("0 is not a UDP port".to_owned()),
        Err(_) => Err(
            "not the address of a peer, such as 192.0.2.2, 192.0.2.2:4789 or [2001:db8::2]:4789"
                .to_owned(),
        ),
    }
}

/// A network namespace: a process id, a path, or a name of `ip netns`.
pub(crate) fn netns(text: &str) -> Result<NetnsRef, String> {
    if text.is_empty() {
        return Err("a process id, a path or a name of `ip netns` is needed".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(pid) if (1..=i32::MAX as u32).contains(&pid) => Ok(NetnsRef::Pid(pid)),
            _ => Err("not a process id: those go from 1 to 2147483647".to_owned()),
        };
    }
    if text.contains('/') {
        return path(text).map(NetnsRef::Path);
    }
    if matches!(text, "." | "..") {
        return Err("a directory, not a name of `ip netns`".to_owned());
    }
    Ok(NetnsRef::Name(text.to_owned()))
}

/// A path, made absolute.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

/// The name of an attachment, in the alphabet of container runtimes.
pub(crate) fn attachment(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} characters, not {}", text.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(wrong) = text.chars().find(|c| !allowed(*c)) {
        return Err(format!(
            "{wrong:?} cannot be in a name: letters, digits, '_', '.' and '-' can"
        ));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("a name begins with a letter or a digit".to_owned());
    }
    Ok(text.to_owned())
}

/// A label: `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not a label, such as app=shop".to_owned()),
    }
}

/// The name of a new network.
pub(crate) fn network(text: &str) -> Result<String, String> {
    match text {
        "host" | "none" | "container" | "bridge" | "default" => {
            Err("it has another meaning where a network is named".to_owned())
        }
        name => attachment(name),
    }
}

/// A subnet, without host bits.
pub(crate) fn subnet(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text.parse().map_err(|_| "not a subnet, such as 10.5.0.0/16".to_owned())?;
    if net.trunc() != net {
        return Err(format!("it has host bits set; the subnet is {}", net.trunc()));
    }
    Ok(net)
}

/// A name to look up; the daemon knows whether it exists.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a name is needed".to_owned()) } else { Ok(text.to_owned()) }
}

/// Whether a port of a network is meant by a name: `NAME`, or `NAME@NETWORK`.
pub(crate) fn is_called(name: &str, network: &str, wanted: &str) -> bool {
    match wanted.split_once('@') {
        Some(full) => full == (name, network),
        None => wanted == name,
    }
}

#[cfg(test)]
mod tests;
