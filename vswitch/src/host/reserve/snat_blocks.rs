//! Blocks of SNAT ports, held by sockets.
//!
//! # Theory of operation
//!
//! A block is held if every port of it is bound by a socket of ours, at all addresses of both families. The kernel
//! then refuses any other bind, and the bind fails if any socket of the host has the port, be it in TIME_WAIT: a
//! port of the host skips its block, nothing else. Nothing reads these sockets: frames of the NIC for their ports go
//! to the switch before.
//!
//! A publication may name a port of a held block. It takes the port over ([`HeldBlocks::lend`]); when it ends, the
//! port is bound again ([`HeldBlocks::regain`]).
//!
//! Sockets are limited to half of the limit of open files. Without SCTP in the kernel its ports take none, since
//! no socket of the host can have one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use rustix::process::{Resource, getrlimit};

use crate::host::limits::SNAT_SOCKETS_PERCENT;
use crate::host::nft::{PortBlock, Protocol};

/// Exists where the kernel has SCTP.
const SCTP: &str = "/proc/thread-self/net/sctp";

/// The ports that are held for SNAT.
#[derive(Debug)]
pub(crate) struct HeldBlocks {
    blocks: BTreeSet<PortBlock>,
    sockets: BTreeMap<(Protocol, u16), OwnedFd>,
    /// Ports of held blocks without a socket of ours: lent to publications.
    lent: BTreeSet<(Protocol, u16)>,
    sockets_max: usize,
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
            for port in block.ports() {
                let socket = bind_port(block.protocol, port).map_err(|error| match error {
                    Errno::ADDRINUSE => Unheld::Taken(port),
                    Errno::MFILE | Errno::NFILE => Unheld::Limit,
                    error => Unheld::Refused(error),
                })?;
                bound.push(((block.protocol, port), socket));
            }
        }
        self.sockets.extend(bound);
        self.blocks.insert(block.clone());
        Ok(())
    }

    /// Lets go of a block.
    pub(crate) fn release(&mut self, block: &PortBlock) {
        self.blocks.remove(block);
        for port in block.ports() {
            self.sockets.remove(&(block.protocol, port));
            self.lent.remove(&(block.protocol, port));
        }
    }

    /// Lets go of ports that a publication is to have. [`Self::regain`] takes back those that it does not have.
    pub(crate) fn lend(&mut self, protocol: Protocol, ports: &RangeInclusive<u16>) {
        let held: Vec<_> = self
            .sockets
            .range((protocol, *ports.start())..=(protocol, *ports.end()))
            .map(|(key, _)| *key)
            .collect();
        for key in held {
            self.sockets.remove(&key);
            self.lent.insert(key);
        }
    }

    /// Binds lent ports again that nobody has any more. `is_published`: a publication has the port, with or without a
    /// socket.
    pub(crate) fn regain(&mut self, is_published: impl Fn(Protocol, u16) -> bool) {
        let unpublished = |(protocol, port): &(Protocol, u16)| !is_published(*protocol, *port);
        let back: Vec<_> = self.lent.iter().copied().filter(unpublished).collect();
        for (protocol, port) in back {
            match bind_port(protocol, port) {
                Ok(socket) => {
                    self.lent.remove(&(protocol, port));
                    self.sockets.insert((protocol, port), socket);
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

/// Binds a port at all addresses of both families.
fn bind_port(protocol: Protocol, port: u16) -> Result<OwnedFd, Errno> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let open = |family, at: SocketAddr| {
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
        if at.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, false)?;
        }
        if protocol == Protocol::Udp {
            sockopt::set_socket_recv_buffer_size(&socket, 0)?;
        }
        bind(&socket, &at)?;
        Ok(socket)
    };
    match open(AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, port).into()) {
        // Without IPv6.
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            open(AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        opened => opened,
    }
}
