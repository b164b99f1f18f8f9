//! A netlink socket of `mnl` whose descriptor can be borrowed, and which may move between threads.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// A connection to nftables in the network namespace of the thread that opened it.
pub struct Socket(mnl::Socket);

// SAFETY: a `mnl_socket` is a descriptor and an address on the heap, without ties to a thread; whoever has the
// `Socket` is the only one to use it, since `mnl::Socket` cannot be cloned.
unsafe impl Send for Socket {}

impl Socket {
    /// Opens it.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn open() -> io::Result<Self> {
        Ok(Self(mnl::Socket::new(mnl::Bus::Netfilter)?))
    }

    /// Sends one piece.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.send_all([bytes])
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as `self`, which is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Socket({})", self.0.as_raw_fd())
    }
}
