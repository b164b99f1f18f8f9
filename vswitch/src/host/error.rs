//! What can go wrong between the switch and the host.

use std::io;
use std::path::PathBuf;

use fastpath::tap::TapError;
use ipnet::IpNet;

use super::netns::NetnsError;

/// A request that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct NetlinkError {
    /// What was to be done, with its values.
    pub what: String,
    /// What the kernel said.
    pub source: io::Error,
}

impl NetlinkError {
    /// The kernel's error number.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// Why the host, or a container's namespace, could not be changed as wanted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A namespace is not usable.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// No TAP.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A netlink request failed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// There is no connection to the kernel.
    #[error("cannot open a netlink socket: {0}")]
    Connect(#[source] io::Error),
    /// Something else has the bridge's name.
    #[error("there is already an interface {0} on this host, and it is not ours")]
    BridgeTaken(String),
    /// The subnet is somebody else's.
    #[error("subnet {subnet} overlaps the host's route {route} (device {device})")]
    Overlap {
        /// The subnet that was asked for.
        subnet: IpNet,
        /// The route in the way.
        route: IpNet,
        /// Where that route leads.
        device: String,
    },
    /// The interface name in the container is taken.
    #[error("the namespace already has an interface {0}")]
    IfnameTaken(String),
    /// A kernel setting cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Sysctl {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread for a visit to a namespace.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}
