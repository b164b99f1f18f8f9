//! Socket options that `rustix` lacks.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets `SO_RCVLOWAT` of a TCP socket to what it is (tcp(7)): the kernel wakes those who wait for it, edge-triggered ones,
/// too, if so many bytes of TCP are there.
pub(crate) fn renew_low_water_mark(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SO_RCVLOWAT, option(socket, libc::SO_RCVLOWAT)?)
}

/// The send buffer of a socket, and whether TCP may change its size (socket(7): `SO_SNDBUF`, `SO_BUF_LOCK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SendBuffer {
    bytes: i32,
    is_locked: bool,
}

/// The bit of `SO_BUF_LOCK` for the send buffer.
const SEND_LOCK: i32 = 1;

impl SendBuffer {
    /// The kernel makes it as large as its smallest.
    pub(crate) const SMALLEST: Self = Self { bytes: 0, is_locked: true };

    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let bytes = option(socket, libc::SO_SNDBUF)?;
        let is_locked = option(socket, libc::SO_BUF_LOCK)? & SEND_LOCK != 0;
        Ok(Self { bytes, is_locked })
    }

    /// The same size, which TCP may not change.
    pub(crate) fn locked(self) -> Self {
        Self { is_locked: true, ..self }
    }

    /// As it is noted in a map.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let words = [self.bytes, i32::from(self.is_locked)].map(i32::to_ne_bytes);
        let [[a, b, c, d], [e, f, g, h]] = words;
        [a, b, c, d, e, f, g, h]
    }

    /// See [`Self::to_bytes`].
    pub(crate) fn of_bytes(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, is_locked, ..] = bytes;
        Self { bytes: i32::from_ne_bytes([a, b, c, d]), is_locked: is_locked != 0 }
    }

    pub(crate) fn set(self, socket: BorrowedFd<'_>) -> io::Result<()> {
        // The receive buffer's lock stays.
        let others = option(socket, libc::SO_BUF_LOCK)? & !SEND_LOCK;
        let locks = others | if self.is_locked { SEND_LOCK } else { 0 };
        // The kernel doubles it.
        set_option(socket, libc::SO_SNDBUFFORCE, self.bytes / 2)?;
        set_option(socket, libc::SO_BUF_LOCK, locks)
    }
}

/// A number of the level `SOL_SOCKET`.
fn option(socket: BorrowedFd<'_>, name: i32) -> io::Result<i32> {
    let (mut value, mut len) = (0_i32, size_of::<i32>() as libc::socklen_t);
    let (fd, level) = (socket.as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: the kernel writes at most `len` bytes, which `value` has, and `len`.
    match unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut len) } {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

/// See [`option`].
fn set_option(socket: BorrowedFd<'_>, name: i32, value: i32) -> io::Result<()> {
    let (fd, level, len) =
        (socket.as_raw_fd(), libc::SOL_SOCKET, size_of::<i32>() as libc::socklen_t);
    // SAFETY: the kernel reads `len` bytes, which `value` has.
    match unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a TCP socket has no connection (tcp(7), `TCP_INFO`).
pub(crate) fn is_closed(socket: BorrowedFd<'_>) -> io::Result<bool> {
    const TCP_CLOSE: u8 = 7;
    let (mut state, mut len) = (0_u8, size_of::<u8>() as libc::socklen_t);
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the kernel writes at most `len` bytes, which `state` has, and `len`. The state is the first field.
    let failed = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut state).cast(), &raw mut len)
    };
    match failed {
        0 => Ok(state == TCP_CLOSE),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_send_buffer_gets_back_its_size_and_its_lock() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let before = SendBuffer::of(socket.as_fd()).unwrap();
        assert!(!before.is_locked);
        SendBuffer::SMALLEST.set(socket.as_fd()).unwrap();
        let small = SendBuffer::of(socket.as_fd()).unwrap();
        assert!(small.is_locked && small.bytes < before.bytes);
        // The receive buffer is another matter.
        set_option(socket.as_fd(), libc::SO_RCVBUF, 50_000).unwrap();
        assert_eq!(SendBuffer::of(socket.as_fd()).unwrap(), small);
        before.set(socket.as_fd()).unwrap();
        assert_eq!(SendBuffer::of(socket.as_fd()).unwrap(), before);
        let receive_lock = option(socket.as_fd(), libc::SO_BUF_LOCK).unwrap();
        assert_eq!(receive_lock, 2, "the receive buffer's lock stays");
    }
}
