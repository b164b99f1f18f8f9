//! The requests of the TUN/TAP driver (`Documentation/networking/tuntap.rst`, `linux/if_tun.h`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_short, c_uint, c_ulong};

const TUNSETIFF: c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: c_ulong = 0x4004_54d0;
const TUNSETVNETHDRSZ: c_ulong = 0x4004_54d8;
const TUNSETVNETLE: c_ulong = 0x4004_54dc;
const TUNSETIFINDEX: c_ulong = 0x4004_54da;

/// Longest interface name in bytes, without the final zero.
pub(crate) const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// Attaches the descriptor of `/dev/net/tun` to the TAP `name` (`%d` is replaced by a number), with a
/// virtio-net header, creating it if need be. Returns the name.
pub(crate) fn set_interface(fd: BorrowedFd<'_>, name: &str, multi: bool) -> io::Result<String> {
    if name.len() > NAME_MAX {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if multi {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    // SAFETY: `ifreq` is plain data for which all zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF as _, &raw mut request) })?;
    Ok(request.ifr_name.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect())
}

/// Chooses the index of the interface that the descriptor creates next.
pub(crate) fn set_next_index(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let index: c_uint = index;
    // SAFETY: TUNSETIFINDEX reads one unsigned int, which lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFINDEX as _, &raw const index) })
}

/// Sets the offloads (`TUN_F_*`) that the reader of the descriptor can take.
pub(crate) fn set_offload(fd: BorrowedFd<'_>, bits: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD as _, c_ulong::from(bits)) })
}

/// Sets the length of the virtio-net header, and its byte order to little-endian.
pub(crate) fn set_vnet_header(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let len = len as c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one int, which lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETVNETHDRSZ as _, &raw const len) })?;
    let little: c_int = 1;
    // SAFETY: TUNSETVNETLE reads one int, which lives through the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETVNETLE as _, &raw const little) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
