//! Errors of the uplink.

use crate::host::HostError;
use crate::host::limits::{SHIFTED_PORTS_MAX, SHIFTED_PORTS_SUM_MAX};
use crate::host::nft::{NftError, Published};
use crate::host::reserve::ReserveError;

/// An error of the uplink or of a publication.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UplinkError {
    /// The named device does not exist.
    #[error("there is no interface {0}; `ip link` lists them")]
    NoDevice(String),
    /// A device that carries no Ethernet frames.
    #[error("{device} is no Ethernet device ({kind}): use --uplink kernel, or --uplink none")]
    NotEthernet {
        /// Its name.
        device: String,
        /// Its link layer.
        kind: String,
    },
    /// Two publications want the same port.
    #[error("ports {}-{}/{} are published twice", .0.ports.start(), .0.ports.end(), .0.protocol)]
    Twice(Published),
    /// Too many shifted ports for `--uplink kernel`.
    #[error(
        "{}-{}/{} lead to other numbers in the container; with --uplink kernel {SHIFTED_PORTS_MAX} ports of a \
         publication can, and {SHIFTED_PORTS_SUM_MAX} of all together",
        .0.ports.start(), .0.ports.end(), .0.protocol
    )]
    Shifted(Published),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error(transparent)]
    Reserve(#[from] ReserveError),
    /// The socket for ::1.
    #[error("cannot serve [::1]: {0}")]
    Proxy(#[source] std::io::Error),
}
