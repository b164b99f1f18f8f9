//! Notifications of the kernel, on a socket of their own: each says only that something changed.
//!
//! Requests have another socket. On a shared one, notifications that fill the buffer displace the answer to a request,
//! whose caller then waits forever; and a notification of another process's change has that process's sequence number,
//! which may be that of a request.
//!
//! When the buffer is full, the kernel drops notifications and the next read fails by `ENOBUFS` (`netlink(7)`): this is
//! a notification, too. So none can be lost without one that is read later.

use rtnetlink::MulticastGroup;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::time::sleep;

use crate::host::HostError;
use crate::host::limits::NOTIFICATIONS_PAUSE;

/// The changes that lead to another state of the uplinks.
const GROUPS: [MulticastGroup; 10] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Ipv4Netconf,
    MulticastGroup::Ipv6Netconf,
];

/// A socket with notifications.
pub(super) struct Notifications(TokioSocket);

impl Notifications {
    /// Notifications from now on, of the network namespace of the calling thread.
    pub(super) fn connect() -> Result<Self, HostError> {
        let connect = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
            for group in GROUPS {
                socket.socket_mut().add_membership(group as u32)?;
            }
            Ok(Self(socket))
        };
        connect().map_err(HostError::Connect)
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) {
        // The rest of a message is discarded.
        let mut header = [0; 16];
        if let Err(error) = self.0.recv(&mut &mut header[..]).await {
            let is_overrun = error.raw_os_error() == Some(libc::ENOBUFS);
            tracing::debug!(%error, "notifications of the kernel were lost: reading its state");
            if !is_overrun {
                sleep(NOTIFICATIONS_PAUSE).await;
            }
        }
    }

    /// Discards those that wait: the state that is read from now on has their changes.
    pub(super) fn discard(&self) {
        let mut header = [0; 16];
        // Also an error: the read after it is the same.
        while !matches!(
            self.0.socket_ref().recv(&mut &mut header[..], libc::MSG_DONTWAIT),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
        ) {}
    }
}
