//! Blocks of SNAT ports, held by sockets.
//!
//! # Theory of operation
//!
//! A block is held if every port of it is bound by a socket of ours, at all addresses of both families. The kernel
//! then refuses any other bind, and the bind fails if any socket of the host has the port, be it in TIME_WAIT: a
//! port of the host skips its block, nothing else. Nothing reads these sockets: frames of the NIC for their ports go
//! to the switch before.
//!
//! A socket of UDP would swallow what programs of the host send to its port. So once it is bound, it hears only a device that
//! does not exist: the kernel answers with "port unreachable". (No device that exists will do: the kernel takes a packet to an
//! own address for one of the device that has it.) A program that binds its socket to a device may have the port there. TCP and SCTP
//! sockets that do not listen hear nobody.
//!
//! A publication may name a port of a held block ([`HeldBlocks::lend`]). One at a single address leaves the socket here, which
//! keeps the port at all other addresses, too: the block's element takes their frames. One at all addresses takes the
//! port over. One at `[::1]` or `[::]` needs IPv6 sockets of its own for the proxy: the port stays held at IPv4 addresses, and
//! at IPv6 addresses that other publications have. The whole port is held again when they end ([`HeldBlocks::regain`]).
//! A connection of the proxy in TIME_WAIT hinders that for a minute, hence [`HeldBlocks::retry`].
//!
//! Sockets are limited to half of the limit of open files. Without SCTP in the kernel its ports take none, since
//! no socket of the host can have one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;

use super::lending::{Lending, Share};
use crate::host::limits::snat_sockets;
use crate::host::nft::{PortBlock, Protocol, Published};

/// Exists where the kernel has SCTP.
const SCTP: &str = "/proc/thread-self/net/sctp";

/// Index that no device has.
const NO_DEVICE: NonZeroU32 = NonZeroU32::new(i32::MAX as u32).unwrap();

/// A port of a protocol.
type Port = (Protocol, u16);

/// The ports that are held for SNAT.
#[derive(Debug)]
pub(crate) struct HeldBlocks {
    blocks: BTreeSet<PortBlock>,
    sockets: BTreeMap<Port, Holder>,
    /// Sockets beside those for IPv4 only: at `[::]`, or at addresses of publications.
    ipv6_sockets: BTreeMap<(Protocol, u16, Ipv6Addr), OwnedFd>,
    /// Publications of ports that sockets here hold or held, be the block held or not.
    lent: BTreeMap<Port, BTreeSet<Lending>>,
    /// Lent ports that lack a socket.
    lacking: BTreeSet<Port>,
    sockets_max: usize,
}

/// A socket that holds a port.
#[derive(Debug)]
struct Holder {
    _socket: OwnedFd,
    /// At IPv4 addresses only, though there is IPv6.
    is_v4_only: bool,
}

/// Why a block cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unheld {
    /// The host uses a port of it.
    Taken(u16),
    /// As many sockets are open as may be.
    Limit,
    /// The kernel refuses a socket.
    Refused(Errno),
}

impl HeldBlocks {
    /// Holds nothing yet. The limit is that of the process now.
    pub(crate) fn new() -> Self {
        let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let sockets_max = snat_sockets(open_files) as usize;
        Self {
            blocks: BTreeSet::new(),
            sockets: BTreeMap::new(),
            ipv6_sockets: BTreeMap::new(),
            lent: BTreeMap::new(),
            lacking: BTreeSet::new(),
            sockets_max,
        }
    }

    /// Sockets that may be open in all.
    pub(crate) fn sockets_max(&self) -> usize {
        self.sockets_max
    }

    /// Sockets that may still be opened.
    pub(crate) fn sockets_left(&self) -> usize {
        self.sockets_max.saturating_sub(self.sockets.len() + self.ipv6_sockets.len())
    }

    /// Holds a block, or nothing of it.
    pub(crate) fn hold(&mut self, block: &PortBlock) -> Result<(), Unheld> {
        if self.blocks.contains(block) {
            return Ok(());
        }
        let mut bound = Vec::new();
        if takes_sockets(block.protocol) {
            if self.sockets_left() < block.ports().len() {
                return Err(Unheld::Limit);
            }
            for port in block.ports().filter(|port| !self.has_all((block.protocol, *port))) {
                let holder = Holder::dual(block.protocol, port).map_err(|error| match error {
                    Errno::ADDRINUSE => Unheld::Taken(port),
                    Errno::MFILE | Errno::NFILE => Unheld::Limit,
                    error => Unheld::Refused(error),
                })?;
                bound.push(((block.protocol, port), holder));
            }
        }
        self.sockets.extend(bound);
        self.blocks.insert(block.clone());
        Ok(())
    }

    /// Lets go of a block. Publications keep their ports.
    pub(crate) fn release(&mut self, block: &PortBlock) {
        self.blocks.remove(block);
        for port in block.ports().map(|port| (block.protocol, port)) {
            if self.lent.contains_key(&port) {
                self.settle(port);
            } else {
                self.let_go(port);
            }
        }
    }

    /// Lets go of ports that a publication is to have. [`Self::regain`] takes back those that it does not have.
    ///
    /// Returns ports that are bound here for it: those of a publication at a single address, and of a range that is too
    /// long for sockets of its own.
    pub(crate) fn lend(&mut self, published: &Published) -> BTreeSet<u16> {
        let lending = Lending::of(published);
        let range = range(published);
        let held = self.sockets.range(range.clone()).map(|(port, _)| *port);
        let ports: BTreeSet<Port> =
            held.chain(self.lent.range(range).map(|(port, _)| *port)).collect();
        let mut bound = BTreeSet::new();
        for port in ports {
            self.lent.entry(port).or_default().insert(lending);
            self.settle(port);
            if !lending.needs_sockets() && self.covers(port, lending.address) {
                bound.insert(port.1);
            }
        }
        bound
    }

    /// Binds lent ports again as far as publications leave them.
    pub(crate) fn regain<'a>(&mut self, all: impl IntoIterator<Item = &'a Published>) {
        if self.lent.is_empty() {
            return;
        }
        self.lent.values_mut().for_each(BTreeSet::clear);
        for published in all {
            let lent = self.lent.range_mut(range(published));
            lent.for_each(|(_, lendings)| _ = lendings.insert(Lending::of(published)));
        }
        let ports: Vec<Port> = self.lent.keys().copied().collect();
        ports.into_iter().for_each(|port| self.settle(port));
    }

    /// Tries again to bind lent ports that others had, connections in TIME_WAIT for instance.
    pub(crate) fn retry(&mut self) {
        let ports: Vec<Port> = self.lacking.iter().copied().collect();
        ports.into_iter().for_each(|port| self.settle(port));
    }

    /// Whether a lent port is to be tried again.
    #[cfg(test)]
    pub(super) fn lacks_any(&self) -> bool {
        !self.lacking.is_empty()
    }

    /// Gives a lent port the sockets that its publications leave to it.
    fn settle(&mut self, port: Port) {
        let lendings = self.lent.get(&port);
        let share = Share::of(self.is_in_block(port), lendings.into_iter().flatten());
        let is_unpublished = lendings.is_none_or(BTreeSet::is_empty);
        let result = match share {
            Share::Nothing => {
                self.let_go(port);
                Ok(())
            }
            Share::Ipv4And(addresses) => self.hold_in_part(port, &addresses),
            Share::All(addresses) => self.hold_all(port, &addresses),
        };
        match result {
            Ok(()) => _ = self.lacking.remove(&port),
            Err(error) => {
                self.lacking.insert(port);
                tracing::debug!(port = port.1, protocol = %port.0, %error, "a port for SNAT is not held");
            }
        }
        if is_unpublished && !self.lacking.contains(&port) {
            self.lent.remove(&port);
        }
    }

    /// Holds a port at IPv4 addresses, and at these.
    fn hold_in_part(&mut self, port: Port, addresses: &BTreeSet<Ipv6Addr>) -> Result<(), Errno> {
        let of_port: Vec<_> = self.ipv6_sockets.range(ipv6_range(port)).map(|it| *it.0).collect();
        for it in of_port.into_iter().filter(|it| !addresses.contains(&it.2)) {
            self.ipv6_sockets.remove(&it);
        }
        if self.sockets.get(&port).is_none_or(|holder| !holder.is_v4_only) {
            self.sockets.remove(&port);
            self.sockets.insert(port, Holder::v4_only(port.0, port.1)?);
        }
        for address in addresses {
            if let Entry::Vacant(entry) = self.ipv6_sockets.entry((port.0, port.1, *address)) {
                entry.insert(bind_port(port.0, (*address, port.1).into(), true)?);
            }
        }
        Ok(())
    }

    /// Holds a port at all addresses; if that fails, at IPv4 addresses and at these.
    fn hold_all(&mut self, port: Port, addresses: &BTreeSet<Ipv6Addr>) -> Result<(), Errno> {
        if self.has_all(port) {
            return Ok(());
        }
        let (protocol, number) = port;
        // They would be in the way.
        let of_port: Vec<_> = self.ipv6_sockets.range(ipv6_range(port)).map(|it| *it.0).collect();
        of_port.iter().for_each(|it| _ = self.ipv6_sockets.remove(it));
        let all = Ipv6Addr::UNSPECIFIED;
        let bound = match self.sockets.get_mut(&port) {
            None => Holder::dual(protocol, number).map(|it| _ = self.sockets.insert(port, it)),
            // The socket for IPv4 stays: nobody gets the port meanwhile.
            Some(holder) => match bind_port(protocol, (all, number).into(), true) {
                Ok(it) => {
                    self.ipv6_sockets.insert((protocol, number, all), it);
                    Ok(())
                }
                // Without IPv6.
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                    holder.is_v4_only = false;
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        bound.or_else(|error| self.hold_in_part(port, addresses).and(Err(error)))
    }

    fn let_go(&mut self, port: Port) {
        self.sockets.remove(&port);
        let of_port: Vec<_> = self.ipv6_sockets.range(ipv6_range(port)).map(|it| *it.0).collect();
        of_port.iter().for_each(|it| _ = self.ipv6_sockets.remove(it));
    }

    /// Whether a port is held at all addresses.
    fn has_all(&self, port: Port) -> bool {
        let holder = self.sockets.get(&port);
        let all = (port.0, port.1, Ipv6Addr::UNSPECIFIED);
        holder.is_some_and(|it| !it.is_v4_only || self.ipv6_sockets.contains_key(&all))
    }

    /// Whether a port is held at an address, or at all.
    fn covers(&self, port: Port, address: Option<IpAddr>) -> bool {
        let is_bound = match address {
            Some(IpAddr::V4(_)) => self.sockets.contains_key(&port),
            Some(IpAddr::V6(it)) => self.ipv6_sockets.contains_key(&(port.0, port.1, it)),
            None => false,
        };
        is_bound || self.has_all(port)
    }

    fn is_in_block(&self, (protocol, port): Port) -> bool {
        let after = PortBlock { protocol, first: port, last: u16::MAX };
        let block = self.blocks.range(..=after).next_back();
        block.is_some_and(|it| it.protocol == protocol && it.ports().contains(&port))
    }
}

fn range(published: &Published) -> RangeInclusive<Port> {
    let Published { protocol, ports, .. } = published;
    (*protocol, *ports.start())..=(*protocol, *ports.end())
}

/// Places of a port's sockets in [`HeldBlocks::ipv6_sockets`].
fn ipv6_range((protocol, port): Port) -> RangeInclusive<(Protocol, u16, Ipv6Addr)> {
    (protocol, port, Ipv6Addr::UNSPECIFIED)..=(protocol, port, Ipv6Addr::from_bits(u128::MAX))
}

/// Whether the kernel has sockets of the protocol.
pub(crate) fn takes_sockets(protocol: Protocol) -> bool {
    protocol != Protocol::Sctp || Path::new(SCTP).exists()
}

impl Holder {
    /// Binds a port at all addresses of both families.
    fn dual(protocol: Protocol, port: u16) -> Result<Self, Errno> {
        match bind_port(protocol, (Ipv6Addr::UNSPECIFIED, port).into(), false) {
            // Without IPv6.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
                Ok(Self { is_v4_only: false, ..Self::v4_only(protocol, port)? })
            }
            bound => Ok(Self { _socket: bound?, is_v4_only: false }),
        }
    }

    /// Binds a port at all IPv4 addresses.
    fn v4_only(protocol: Protocol, port: u16) -> Result<Self, Errno> {
        let socket = bind_port(protocol, (Ipv4Addr::UNSPECIFIED, port).into(), false)?;
        Ok(Self { _socket: socket, is_v4_only: true })
    }
}

fn bind_port(protocol: Protocol, at: SocketAddr, is_v6_only: bool) -> Result<OwnedFd, Errno> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, is_v6_only)?;
    }
    if protocol == Protocol::Udp {
        sockopt::set_socket_recv_buffer_size(&socket, 0)?;
    }
    bind(&socket, &at)?;
    if protocol == Protocol::Udp {
        // Only now: a socket of a device shares its port with those of others. A kernel before 5.1 lacks it.
        let heard = SockRef::from(&socket).bind_device_by_index_v4(Some(NO_DEVICE));
        heard.unwrap_or_else(|error| tracing::debug!(%error, "a held port hears all devices"));
    }
    Ok(socket)
}
