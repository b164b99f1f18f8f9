//! Errors of requests to the kernel.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use fastpath::tap::TapError;
use ipnet::IpNet;
use wire::MacAddr;

use super::netns::NetnsError;

/// The kernel refused a request.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct NetlinkError {
    /// The request, with its values.
    pub what: String,
    /// The kernel's error.
    pub source: io::Error,
}

impl NetlinkError {
    /// The kernel's error number.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// An error of a change to the host or to a container's namespace.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A namespace is not usable.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// A TAP cannot be created.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A netlink request failed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A netlink connection cannot be opened.
    #[error("cannot open a netlink socket: {0}")]
    Connect(#[source] io::Error),
    /// Somebody else's interface has the name.
    #[error(
        "an interface {0} exists on this host and is not of vswitch; choose another name with --bridge"
    )]
    NameTaken(String),
    /// A process that runs has an interface of the name.
    #[error("the interface {name} is of {holder}, which runs; choose another name with --bridge")]
    NameHeld {
        /// The name.
        name: String,
        /// The process, for people.
        holder: String,
    },
    /// The kernel has not removed an interface of a killed switch.
    #[error(
        "the interface {0} is left over from a killed switch, and the kernel has not removed it yet; try again, and if it stays: `ip link del {0}`"
    )]
    LeftOver(String),
    /// The subnet overlaps a route of the host.
    #[error(
        "subnet {subnet} overlaps the host's route {route} (device {device}); choose another with --subnet or --subnet6"
    )]
    Overlap {
        /// The subnet.
        subnet: IpNet,
        /// The route.
        route: IpNet,
        /// Device of the route.
        device: String,
    },
    /// The interface name in the container is taken.
    #[error("the namespace already has an interface {0}; choose another with --ifname")]
    IfnameTaken(String),
    /// A kernel setting cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Sysctl {
        /// Its file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A network namespace cannot be created.
    #[error("cannot create a network namespace: {0}; see `sysctl user.max_net_namespaces`")]
    NewNetns(#[source] io::Error),
    /// The DNS server's socket cannot be opened.
    #[error("cannot listen on {address} in the service's namespace: {source}")]
    Listen {
        /// Its address.
        address: SocketAddr,
        /// The kernel's error.
        source: io::Error,
    },
    /// A runtime has not moved the TAP into the namespace, or not brought it up.
    #[error("the namespace has no interface {0} that is up")]
    NotMovedIn(MacAddr),
    /// No thread can be started for a task in a namespace.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}
