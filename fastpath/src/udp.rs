//! UDP sockets of a tunnel port (RFC 7348).
//!
//! Each worker has one socket that receives on the tunnel's port, and the kernel spreads flows over them
//! (`SO_REUSEPORT`, socket(7)). It sends by sockets of its own, bound to the tunnel's address, so that
//! their source ports spread flows over the underlay; these receive nothing.
//!
//! Datagrams are never fragmented: one above the path's MTU is refused (`IP_MTU_DISCOVER`, ip(7)).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};

use crate::engine::UdpSockets;
use crate::limits::{SENDERS_MAX, UDP_RECEIVE_BUFFER, UDP_SEND_BUFFER, WORKERS_MAX};
use crate::sys::udp as sys;

#[cfg(test)]
mod tests;

/// Parameters of a tunnel's sockets.
#[derive(Debug, Clone, Copy)]
pub struct UdpConf<'a> {
    /// Address and port of the tunnel; port 0 stands for a free one.
    pub local: SocketAddr,
    /// Interface that datagrams must come from and leave by (`SO_BINDTODEVICE`).
    pub device: Option<&'a str>,
    /// Workers, each with sockets of its own.
    pub workers: usize,
    /// Sending sockets of each worker.
    pub senders: usize,
    /// Whether datagrams leave with a checksum. Without, they cannot be segmented by the kernel, and over IPv6 those that
    /// come may be without one, too (RFC 6936 section 4). Over IPv4 they always may.
    pub checksum: bool,
}

/// Open sockets of a tunnel.
#[derive(Debug)]
pub struct UdpTunnel {
    /// Address and port that receive.
    pub local: SocketAddr,
    /// Sockets of each worker.
    pub queues: Vec<UdpSockets>,
}

/// A tunnel's sockets cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum UdpError {
    /// The number of workers or of sending sockets is out of range.
    #[error(
        "{workers} workers with {senders} sending sockets: at most {WORKERS_MAX} with {SENDERS_MAX}, at least one"
    )]
    Count {
        /// Workers asked for.
        workers: usize,
        /// Sending sockets asked for.
        senders: usize,
    },
    /// Another socket has the port.
    #[error(
        "cannot receive on {local}: the port is taken, maybe by a VXLAN interface of the kernel; see `ss -lunp`"
    )]
    Taken {
        /// Address and port asked for.
        local: SocketAddr,
    },
    /// The host does not have the address.
    #[error(
        "cannot receive on {local}: no interface of this host has the address; see `ip address`"
    )]
    NoAddress {
        /// Address and port asked for.
        local: SocketAddr,
    },
    /// The host does not have the interface.
    #[error("cannot bind to the interface {device}: there is none of this name; see `ip link`")]
    NoDevice {
        /// Interface asked for.
        device: String,
    },
    /// Other error of the kernel.
    #[error("cannot open the sockets of {local}: {step}: {source}")]
    Kernel {
        /// Address and port asked for.
        local: SocketAddr,
        /// Failed call.
        step: &'static str,
        /// Error of the call.
        source: io::Error,
    },
}

impl UdpTunnel {
    /// Opens the sockets in the network namespace of the calling thread.
    ///
    /// # Errors
    /// See [`UdpError`]; no socket remains.
    pub fn open(conf: &UdpConf<'_>) -> Result<Self, UdpError> {
        let (workers, senders) = (conf.workers, conf.senders);
        if !(1..=WORKERS_MAX).contains(&workers) || !(1..=SENDERS_MAX).contains(&senders) {
            return Err(UdpError::Count { workers, senders });
        }
        let local = free_port(conf)?;
        let queues = (0..workers).map(|_| {
            Ok(UdpSockets {
                receive: receiver(conf, local)?,
                send: (0..senders).map(|_| sender(conf, local)).collect::<Result<_, _>>()?,
                segmentation: conf.checksum,
            })
        });
        Ok(Self { local, queues: queues.collect::<Result<_, _>>()? })
    }
}

/// Address with the port. Fails if any socket has it, also one that would share it: that would take a part
/// of the datagrams.
fn free_port(conf: &UdpConf<'_>) -> Result<SocketAddr, UdpError> {
    let failed = failed(conf.local);
    let probe = socket(conf)?;
    bind(&probe, &conf.local).map_err(|error| failed("bind", error.into()))?;
    let bound = getsockname(&probe).map_err(|error| failed("getsockname", error.into()))?;
    let bound = SocketAddr::try_from(bound).map_err(|error| failed("getsockname", error.into()))?;
    let mut local = conf.local;
    local.set_port(bound.port());
    Ok(local)
}

fn receiver(conf: &UdpConf<'_>, local: SocketAddr) -> Result<OwnedFd, UdpError> {
    let failed = failed(local);
    let socket = socket(conf)?;
    set_buffer(&socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, UDP_RECEIVE_BUFFER)
        .map_err(|error| failed("SO_RCVBUF", error))?;
    // Linux before 5.0 gives each datagram by itself.
    let _ = sys::set(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1);
    // The outer ECN (RFC 6040).
    let (level, option) = match local {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVTOS),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
    };
    sys::set(socket.as_fd(), level, option, 1).map_err(|error| failed("IP_RECVTOS", error))?;
    if local.is_ipv6() && !conf.checksum {
        sys::set(socket.as_fd(), libc::SOL_UDP, UDP_NO_CHECK6_RX, 1)
            .map_err(|error| failed("UDP_NO_CHECK6_RX", error))?;
    }
    sockopt::set_socket_reuseport(&socket, true)
        .map_err(|error| failed("SO_REUSEPORT", error.into()))?;
    bind(&socket, &local).map_err(|error| failed("bind", error.into()))?;
    Ok(socket)
}

fn sender(conf: &UdpConf<'_>, local: SocketAddr) -> Result<OwnedFd, UdpError> {
    let failed = failed(local);
    let socket = socket(conf)?;
    let set = |step, level, option, value| {
        sys::set(socket.as_fd(), level, option, value).map_err(|error| failed(step, error))
    };
    sys::refuse_all(socket.as_fd()).map_err(|error| failed("SO_ATTACH_FILTER", error))?;
    set_buffer(&socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, UDP_SEND_BUFFER)
        .map_err(|error| failed("SO_SNDBUF", error))?;
    match (conf.checksum, local.ip()) {
        (true, _) => {}
        (false, IpAddr::V4(_)) => set("SO_NO_CHECK", libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)?,
        (false, IpAddr::V6(_)) => set("UDP_NO_CHECK6_TX", libc::SOL_UDP, UDP_NO_CHECK6_TX, 1)?,
    }
    let mut any_port = local;
    any_port.set_port(0);
    bind(&socket, &any_port).map_err(|error| failed("bind", error.into()))?;
    Ok(socket)
}

/// `linux/udp.h`.
const UDP_NO_CHECK6_TX: i32 = 101;
const UDP_NO_CHECK6_RX: i32 = 102;

/// A socket of the family, with what all sockets have in common.
fn socket(conf: &UdpConf<'_>) -> Result<OwnedFd, UdpError> {
    let failed = failed(conf.local);
    let (family, level, option, value) = if conf.local.is_ipv4() {
        (AddressFamily::INET, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
    } else {
        (AddressFamily::INET6, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)
        .map_err(|error| failed("socket", error.into()))?;
    sys::set(socket.as_fd(), level, option, value)
        .map_err(|error| failed("IP_MTU_DISCOVER", error))?;
    if conf.local.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)
            .map_err(|error| failed("IPV6_V6ONLY", error.into()))?;
    }
    if let Some(device) = conf.device {
        sys::bind_to_device(socket.as_fd(), device).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::ENODEV) => UdpError::NoDevice { device: device.to_owned() },
                _ => failed("SO_BINDTODEVICE", error),
            }
        })?;
    }
    Ok(socket)
}

/// Sets the size of a buffer, beyond the limit of the host where the process may.
fn set_buffer(socket: &OwnedFd, force: i32, option: i32, bytes: i32) -> io::Result<()> {
    sys::set(socket.as_fd(), libc::SOL_SOCKET, force, bytes)
        .or_else(|_| sys::set(socket.as_fd(), libc::SOL_SOCKET, option, bytes))
}

fn failed(local: SocketAddr) -> impl Fn(&'static str, io::Error) -> UdpError + Copy {
    move |step, source| match source.raw_os_error() {
        Some(libc::EADDRINUSE) => UdpError::Taken { local },
        Some(libc::EADDRNOTAVAIL) => UdpError::NoAddress { local },
        _ => UdpError::Kernel { local, step, source },
    }
}
