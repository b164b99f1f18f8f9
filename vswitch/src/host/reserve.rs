//! Reservation of host ports for SNAT and publications. Ports that another process uses are left to it.
//!
//! | ports | reserved by | undone by |
//! |---|---|---|
//! | the SNAT range, from the host's own connections | `net.ipv4.ip_local_reserved_ports` ([`reserved_ports`]) | [`reserved_ports::ReservedPorts`] |
//! | blocks of it that containers use | bound sockets ([`snat_blocks`]) | closing them |
//! | the range, against other switches | a Unix socket with the range in its name ([`snat_lock`]) | closing it |
//! | a published port, and a range of up to [`RESERVED_SOCKETS_MAX`] | bound sockets ([`sockets`]) | closing them |
//! | a longer published range | the setting, after a check for bound sockets (SCTP: listening) | [`reserved_ports::ReservedPorts`] |
//!
//! [`socket_owners`] finds the process of a taken port by the inode of its socket.

mod lending;
pub(super) mod reserved_ports;
pub(super) mod snat_blocks;
pub(super) mod snat_lock;
pub(super) mod socket_owners;
pub(super) mod sockets;
#[cfg(test)]
mod tests;

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::nft::Protocol;
#[cfg(doc)]
use crate::host::limits::RESERVED_SOCKETS_MAX;
use socket_owners::SocketOwner;

/// An error of a reservation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    /// Another process has the port.
    #[error("port {port}/{protocol} of this host is taken{}", by(.owner.as_ref()))]
    Taken {
        /// The port.
        port: u16,
        protocol: Protocol,
        /// The process, if found.
        owner: Option<SocketOwner>,
    },
    /// The SNAT range and the kernel's own range meet.
    #[error(
        "the ports {}-{} for SNAT overlap those that the host gives its own connections, {}-{}; choose others \
         with --snat-ports, or set net.ipv4.ip_local_port_range",
        ours.start(), ours.end(), host.start(), host.end()
    )]
    Ephemeral {
        /// The range for SNAT.
        ours: RangeInclusive<u16>,
        /// `net.ipv4.ip_local_port_range`.
        host: RangeInclusive<u16>,
    },
    /// Another switch has the SNAT range.
    #[error(
        "the ports {}-{} for SNAT are those of the switch {bridge} already; choose others with --snat-ports",
        ours.start(), ours.end()
    )]
    SnatRangeTaken {
        /// The range for SNAT.
        ours: RangeInclusive<u16>,
        /// The other's bridge.
        bridge: String,
    },
    /// The host does not have the address.
    #[error("{0} is no address of this host; see `ip address`")]
    NotLocalAddress(IpAddr),
    /// The kernel refuses for another reason.
    #[error("cannot reserve port {port}/{protocol}: {source}")]
    Socket {
        /// The port.
        port: u16,
        protocol: Protocol,
        /// The kernel's error.
        source: io::Error,
    },
    /// A file of the kernel, or of ours.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

fn by(owner: Option<&SocketOwner>) -> String {
    owner.map(|owner| format!(" by {owner}")).unwrap_or_default()
}
