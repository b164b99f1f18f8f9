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
//! A publication may name a port of a held block. It takes the port over ([`HeldBlocks::lend`]); when it ends, the
//! port is bound again ([`HeldBlocks::regain`]). One at a single address leaves the socket here, which keeps the port
//! at all other addresses, too: the block's element takes their frames. One at `[::1]` or `[::]` needs sockets of
//! its own for the proxy, so the port stays held at IPv4 addresses only.
//!
//! Sockets are limited to half of the limit of open files. Without SCTP in the kernel its ports take none, since
//! no socket of the host can have one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;

use crate::host::limits::{RESERVED_SOCKETS_MAX, SNAT_SOCKETS_PERCENT};
use crate::host::nft::{PortBlock, Protocol, Published};

/// Exists where the kernel has SCTP.
const SCTP: &str = "/proc/thread-self/net/sctp";

/// Index that no device has.
const NO_DEVICE: NonZeroU32 = NonZeroU32::new(i32::MAX as u32).unwrap();

/// The ports that are held for SNAT.
#[derive(Debug)]
pub(crate) struct HeldBlocks {
    blocks: BTreeSet<PortBlock>,
    sockets: BTreeMap<(Protocol, u16), Holder>,
    /// Ports of held blocks that are lent to publications: without a socket of ours, or with one for IPv4 only.
    lent: BTreeSet<(Protocol, u16)>,
    /// Ports whose sockets here reserve them for publications at single addresses, too, be the block held or not.
    kept: BTreeSet<(Protocol, u16)>,
    sockets_max: usize,
}

/// A socket that holds a port.
#[derive(Debug)]
struct Holder {
    _socket: OwnedFd,
    /// At IPv4 addresses only.
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
        let sockets_max = (open_files / 100 * u64::from(SNAT_SOCKETS_PERCENT)) as usize;
        Self {
            blocks: BTreeSet::new(),
            sockets: BTreeMap::new(),
            lent: BTreeSet::new(),
            kept: BTreeSet::new(),
            sockets_max,
        }
    }

    /// Sockets that may be open in all.
    pub(crate) fn sockets_max(&self) -> usize {
        self.sockets_max
    }

    /// Sockets that may still be opened.
    pub(crate) fn sockets_left(&self) -> usize {
        self.sockets_max.saturating_sub(self.sockets.len())
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
            let has = |port: &u16| {
                self.sockets.get(&(block.protocol, *port)).is_some_and(|holder| !holder.is_v4_only)
            };
            for port in block.ports().filter(|port| !has(port)) {
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

    /// Lets go of a block.
    pub(crate) fn release(&mut self, block: &PortBlock) {
        self.blocks.remove(block);
        for key in block.ports().map(|port| (block.protocol, port)) {
            if !self.kept.contains(&key) {
                self.sockets.remove(&key);
            }
            self.lent.remove(&key);
        }
    }

    /// Lets go of ports that a publication is to have. [`Self::regain`] takes back those that it does not have.
    ///
    /// Returns ports that stay bound here: those of a publication at a single address, and of a range that is too long
    /// for sockets of its own.
    pub(crate) fn lend(&mut self, published: &Published) -> BTreeSet<u16> {
        let Published { address, protocol, ports } = published;
        let range = (*protocol, *ports.start())..=(*protocol, *ports.end());
        let held = self.sockets.range(range).map(|(key, holder)| (*key, holder.is_v4_only));
        let held: Vec<_> = held.collect();
        let is_proxied = |it: &IpAddr| *it == Ipv6Addr::LOCALHOST || *it == Ipv6Addr::UNSPECIFIED;
        let needs_sockets = address.is_none_or(|it| is_proxied(&it));
        if !needs_sockets || ports.len() > RESERVED_SOCKETS_MAX {
            let is_v4 = address.is_some_and(|it| it.is_ipv4());
            let stay = held.into_iter().filter(|(_, is_v4_only)| is_v4 || !is_v4_only);
            let stay = stay.map(|(key, _)| key).inspect(|key| _ = self.kept.insert(*key));
            return stay.map(|(_, port)| port).collect();
        }
        for (key, _) in held {
            self.sockets.remove(&key);
            if self.is_in_block(key) {
                self.lent.insert(key);
            }
            match address.and_then(|_| Holder::v4_only(key.0, key.1).ok()) {
                Some(holder) => _ = self.sockets.insert(key, holder),
                None => _ = self.kept.remove(&key),
            }
        }
        BTreeSet::new()
    }

    fn is_in_block(&self, (protocol, port): (Protocol, u16)) -> bool {
        self.blocks.iter().any(|block| block.protocol == protocol && block.ports().contains(&port))
    }

    /// Binds lent ports again that nobody has any more. `is_published`: a publication has the port, with or without a
    /// socket.
    pub(crate) fn regain(&mut self, is_published: impl Fn(Protocol, u16) -> bool) {
        let unpublished = |(protocol, port): &(Protocol, u16)| !is_published(*protocol, *port);
        let ended: Vec<_> = self.kept.iter().copied().filter(unpublished).collect();
        for key in ended {
            self.kept.remove(&key);
            if !self.is_in_block(key) {
                self.sockets.remove(&key);
            }
        }
        let back: Vec<_> = self.lent.iter().copied().filter(unpublished).collect();
        for (protocol, port) in back {
            self.sockets.remove(&(protocol, port));
            match Holder::dual(protocol, port) {
                Ok(holder) => {
                    self.lent.remove(&(protocol, port));
                    self.sockets.insert((protocol, port), holder);
                }
                // Tried again with the next change.
                Err(error) => {
                    tracing::debug!(port, %protocol, %error, "a port for SNAT is not held")
                }
            }
        }
    }
}

/// Whether the kernel has sockets of the protocol.
pub(crate) fn takes_sockets(protocol: Protocol) -> bool {
    protocol != Protocol::Sctp || Path::new(SCTP).exists()
}

impl Holder {
    /// Binds a port at all addresses of both families.
    fn dual(protocol: Protocol, port: u16) -> Result<Self, Errno> {
        match bind_port(protocol, (Ipv6Addr::UNSPECIFIED, port).into()) {
            // Without IPv6.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => Self::v4_only(protocol, port),
            bound => Ok(Self { _socket: bound?, is_v4_only: false }),
        }
    }

    /// Binds a port at all IPv4 addresses.
    fn v4_only(protocol: Protocol, port: u16) -> Result<Self, Errno> {
        let socket = bind_port(protocol, (Ipv4Addr::UNSPECIFIED, port).into())?;
        Ok(Self { _socket: socket, is_v4_only: true })
    }
}

fn bind_port(protocol: Protocol, at: SocketAddr) -> Result<OwnedFd, Errno> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
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
