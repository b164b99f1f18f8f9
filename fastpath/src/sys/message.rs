//! Memory of one `recvmsg(2)` or `sendmsg(2)`: the message header and what it points to.
//!
//! A message refers to itself, so it must not move between preparation and the end of the call.

#[cfg(test)]
mod tests;

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;

use libc::{c_int, c_void};

use crate::datagram::Header;

/// Control message with an integer: `UDP_GRO` has an int, `UDP_SEGMENT` 16 bits (udp(7)); `IP_TOS` has a byte when it is
/// received and an int when it is sent (ip(7)), `IPV6_TCLASS` an int (RFC 3542 section 6.5).
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    value: [u8; 8],
}

/// Control messages of one call: segment size, and type of service or traffic class.
const CONTROLS: usize = 2;

// They lie one behind the other, as CMSG_NXTHDR(3) goes from one to the next.
const _: () = assert!(mem::size_of::<Control>() == 24 && mem::size_of::<libc::cmsghdr>() == 16);

/// Socket address of either family (ip(7), ipv6(7)), in network byte order.
#[repr(C, align(8))]
struct Address([u8; 32]);

/// See the module.
#[repr(C)]
pub(crate) struct Message {
    header: libc::msghdr,
    buffer: libc::iovec,
    controls: [Control; CONTROLS],
    address: Address,
}

const FAMILY: std::ops::Range<usize> = 0..2;
const PORT: std::ops::Range<usize> = 2..4;
const V4: std::ops::Range<usize> = 4..8;
const V6: std::ops::Range<usize> = 8..24;

impl Message {
    /// An unused message.
    pub(crate) fn new() -> Self {
        // SAFETY: all fields are integers, arrays of bytes and raw pointers, for which zeros are valid.
        unsafe { mem::zeroed() }
    }

    /// Prepares to receive up to `len` bytes at `payload`.
    #[inline]
    pub(crate) fn receive(&mut self, payload: *mut u8, len: usize) -> *mut libc::msghdr {
        self.point_to(payload, len);
        self.header.msg_namelen = mem::size_of::<Address>() as libc::socklen_t;
        self.header.msg_control = (&raw mut self.controls).cast::<c_void>();
        self.header.msg_controllen = mem::size_of_val(&self.controls) as _;
        &raw mut self.header
    }

    /// Prepares to send `len` bytes at `payload` as `to` says, in datagrams of `segment` bytes; 0: in one.
    #[inline]
    pub(crate) fn send(
        &mut self,
        to: &Header,
        payload: *mut u8,
        len: usize,
        segment: u16,
    ) -> *const libc::msghdr {
        self.point_to(payload, len);
        self.header.msg_namelen = self.address.set(to.peer);
        let mut used = 0;
        if segment != 0 {
            self.controls[used].set(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
            used += 1;
        }
        // As a rule it is 0, as without a control message.
        if to.tos != 0 {
            let (level, option) = match to.peer {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            };
            self.controls[used].set(level, option, &c_int::from(to.tos).to_ne_bytes());
            used += 1;
        }
        self.header.msg_control = match used {
            0 => ptr::null_mut(),
            _ => (&raw mut self.controls).cast::<c_void>(),
        };
        self.header.msg_controllen = (used * mem::size_of::<Control>()) as _;
        &raw const self.header
    }

    #[inline]
    fn point_to(&mut self, payload: *mut u8, len: usize) {
        self.buffer = libc::iovec { iov_base: payload.cast::<c_void>(), iov_len: len };
        self.header.msg_iov = &raw mut self.buffer;
        self.header.msg_iovlen = 1;
        self.header.msg_name = (&raw mut self.address).cast::<c_void>();
        self.header.msg_flags = 0;
    }

    /// Header with the kernel's results, for a copy of it (`recvmmsg(2)`).
    pub(crate) const fn header_mut(&mut self) -> &mut libc::msghdr {
        &mut self.header
    }

    /// Header of the `len` bytes that were received; `None` if they are a part of a longer datagram.
    #[inline]
    pub(crate) fn received(&self, len: usize) -> Option<Header> {
        if self.header.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let mut header = Header { peer: self.address.get()?, segment: 0, socket: 0, tos: 0 };
        let used: usize = self.header.msg_controllen as _;
        for control in self.controls.iter().take(used.div_ceil(mem::size_of::<Control>())) {
            match (control.header.cmsg_level, control.header.cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = control.int().and_then(|segment| u16::try_from(segment).ok());
                    header.segment = segment.filter(|&it| usize::from(it) < len).unwrap_or(0);
                }
                (libc::IPPROTO_IP, libc::IP_TOS) => header.tos = control.value[0],
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    header.tos = control.int().unwrap_or(0) as u8;
                }
                _ => {}
            }
        }
        Some(header)
    }
}

impl Control {
    #[inline]
    fn set(&mut self, level: c_int, option: c_int, value: &[u8]) {
        self.header.cmsg_level = level;
        self.header.cmsg_type = option;
        self.header.cmsg_len = (mem::size_of::<libc::cmsghdr>() + value.len()) as _;
        self.value[..value.len()].copy_from_slice(value);
    }

    #[inline]
    fn int(&self) -> Option<c_int> {
        self.value.first_chunk().map(|bytes| c_int::from_ne_bytes(*bytes))
    }
}

impl Address {
    /// Sets the address; returns its length.
    #[inline]
    fn set(&mut self, address: SocketAddr) -> libc::socklen_t {
        self.0 = [0; 32];
        self.0[PORT].copy_from_slice(&address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => {
                self.0[FAMILY].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                self.0[V4].copy_from_slice(&ip.octets());
                mem::size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            IpAddr::V6(ip) => {
                self.0[FAMILY].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                self.0[V6].copy_from_slice(&ip.octets());
                mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    #[inline]
    fn get(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes([self.0[2], self.0[3]]);
        let ip: IpAddr = match c_int::from(u16::from_ne_bytes([self.0[0], self.0[1]])) {
            libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(&self.0[V4]).ok()?).into(),
            libc::AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(&self.0[V6]).ok()?).into(),
            _ => return None,
        };
        Some((ip, port).into())
    }
}
