//! Netlink sockets of nftables and of IPsec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink, XFRM};
use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, bind, send, socket_with,
};

/// A connection to nftables, or to IPsec, in the network namespace of the thread that opened it.
///
/// Tables with the flag `owner` belong to the socket, by whichever descriptor it is open.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens a connection.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open() -> io::Result<Self> {
        Self::open_to(NETFILTER)
    }

    /// Opens a connection to IPsec.
    ///
    /// # Errors
    /// The kernel refuses, or has none.
    pub fn open_xfrm() -> io::Result<Self> {
        Self::open_to(XFRM)
    }

    fn open_to(protocol: Protocol) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(protocol))?;
        // Port 0: the kernel chooses one.
        bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(fd))
    }

    /// Sends messages as one datagram.
    ///
    /// # Errors
    /// The kernel refuses, or takes only a part.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = send(&self.0, bytes, SendFlags::empty())?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl From<OwnedFd> for Socket {
    /// A connection that was opened before.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
