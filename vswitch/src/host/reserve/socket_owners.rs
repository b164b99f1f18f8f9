//! Bound sockets of the host and their processes: `/proc/net/{tcp,tcp6,udp,udp6}`, `/proc/net/sctp/eps`,
//! `/proc/PID/fd`.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::nft::Protocol;

/// A process that has a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketOwner {
    pub(crate) pid: u32,
    pub(crate) command: String,
}

impl fmt::Display for SocketOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.command, self.pid)
    }
}

/// A bound socket of the thread's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoundSocket {
    pub(crate) protocol: Protocol,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) inode: u64,
}

/// Bound sockets of a protocol that a process has open. Of SCTP the kernel lists only listening ones, and none
/// where it lacks the protocol.
pub(crate) fn bound(protocol: Protocol) -> Vec<BoundSocket> {
    let files: &[&str] = match protocol {
        Protocol::Tcp => &["tcp", "tcp6"],
        Protocol::Udp => &["udp", "udp6"],
        Protocol::Sctp => &["sctp/eps"],
    };
    let text = |file: &&str| fs::read_to_string(format!("/proc/thread-self/net/{file}")).ok();
    let lists = files.iter().filter_map(text);
    let lines = lists.flat_map(|list| list.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
    match protocol {
        Protocol::Sctp => lines.flat_map(|line| parse_sctp(&line)).collect(),
        _ => lines.filter_map(|line| parse(protocol, &line)).collect(),
    }
}

/// Parses a line of `/proc/net/sctp/eps`, with all addresses of an endpoint: `ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS`
/// (`sctp_eps_seq_show` of the kernel).
pub(super) fn parse_sctp(line: &str) -> Vec<BoundSocket> {
    let mut words = line.split_whitespace();
    let port = words.nth(5).and_then(|word| word.parse().ok()).filter(|&port| port != 0);
    let inode = words.nth(1).and_then(|word| word.parse().ok()).filter(|&inode| inode != 0);
    let (Some(port), Some(inode)) = (port, inode) else { return Vec::new() };
    let addresses = words.filter_map(|word| word.parse::<IpAddr>().ok());
    let bound = |address: IpAddr| {
        let address = address.to_canonical();
        BoundSocket { protocol: Protocol::Sctp, address, port, inode }
    };
    addresses.map(bound).collect()
}

/// Parses a line of `/proc/net/tcp` and the like: `sl local_address rem_address st queues tr:tm retrnsmt uid timeout inode ...`.
pub(super) fn parse(protocol: Protocol, line: &str) -> Option<BoundSocket> {
    let mut words = line.split_whitespace();
    let (address, port) = words.nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = words.nth(7)?.parse().ok()?;
    // Words of four bytes in the host's order.
    let word = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let address = if address.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?))
    } else {
        let octets: [u8; 16] = [word(0)?, word(1)?, word(2)?, word(3)?].concat().try_into().ok()?;
        IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
    };
    // TIME_WAIT and the like have no inode, and no process.
    (inode != 0 && port != 0).then_some(BoundSocket { protocol, address, port, inode })
}

/// A process that has the socket of this inode open.
pub(crate) fn owner(inode: u64) -> Option<SocketOwner> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let mut links = descriptors.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        if links.any(|link| link.to_str() == Some(&wanted)) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(SocketOwner { pid, command: command.trim().to_owned() });
        }
    }
    None
}

/// The process that has a port at an address; at any address with `None`.
pub(crate) fn owner_of_port(
    protocol: Protocol,
    address: Option<IpAddr>,
    port: u16,
) -> Option<SocketOwner> {
    let is_it = |bound: &BoundSocket| {
        let here = address
            .is_none_or(|address| bound.address == address || bound.address.is_unspecified());
        bound.port == port && here
    };
    bound(protocol).into_iter().filter(is_it).find_map(|bound| owner(bound.inode))
}
