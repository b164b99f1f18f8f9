//! A client of UDP.

use std::net::SocketAddr;

/// Its address, and the address of the host that it has sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) asked: SocketAddr,
}
