//! Options of UDP sockets that take an integer, their count of drops, and the filter of sockets that only send
//! (socket(7)).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_void};

/// Sets an option that is an integer.
pub(crate) fn set(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let len = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one int, which lives through the call.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast::<c_void>(), len)
    })
}

/// Binds the socket to an interface.
pub(crate) fn bind_to_device(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let len = name.len() as libc::socklen_t;
    let name = name.as_ptr().cast::<c_void>();
    // SAFETY: the kernel reads `len` bytes of the name, which lives through the call.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, len)
    })
}

/// Datagrams that the kernel dropped at the socket (`SK_MEMINFO_DROPS` of `SO_MEMINFO`).
pub(crate) fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // `linux/sock_diag.h`.
    const SK_MEMINFO_DROPS: usize = 8;
    let mut words = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut len = mem::size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `words`, and the length to `len`; both live through the call.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut words).cast::<c_void>(),
            &raw mut len,
        )
    })?;
    Ok(words[SK_MEMINFO_DROPS])
}

/// Lets the socket receive nothing: a classic BPF program that keeps no byte of any datagram.
pub(crate) fn refuse_all(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut code =
        [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    let len = mem::size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the kernel reads the program and its code, which live through the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast::<c_void>(),
            len,
        )
    })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
