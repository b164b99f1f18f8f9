//! A SYN that the kernel has not taken: it may be repeated, or refused.

#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use socket2::SockRef;
use wire::checksum::pseudo_v6;
use wire::tcp::{self, Flags};
use wire::{Protocol, ipv6};

use crate::host::limits::RESET_MARK;

/// Sends packets with their IPv6 headers; hears nothing.
#[derive(Debug, Clone)]
pub(super) struct RawSockets(Arc<Sockets>);

#[derive(Debug)]
struct Sockets {
    syns: OwnedFd,
    /// Marks its packets.
    resets: OwnedFd,
}

impl RawSockets {
    /// # Errors
    /// The kernel refuses a raw socket: the process has no `CAP_NET_RAW`.
    pub(super) fn open() -> io::Result<Self> {
        let (syns, resets) = (open()?, open()?);
        SockRef::from(&resets).set_mark(RESET_MARK)?;
        Ok(Self(Arc::new(Sockets { syns, resets })))
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::INET6, SocketType::RAW, flags, Some(ipproto::RAW))?)
}

fn send(raw: &OwnedFd, packet: &[u8], to: Ipv6Addr) {
    let to = SocketAddrV6::new(to, 0, 0, 0);
    if let Err(error) = sendto(raw, packet, SendFlags::empty(), &to) {
        tracing::debug!(%error, "a client on [::1] is not answered, and asks again");
    }
}

/// A SYN by IPv6.
#[derive(Debug)]
pub(super) struct Syn {
    pub(super) client: (Ipv6Addr, u16),
    pub(super) to: (Ipv6Addr, u16),
    seq: u32,
    /// Without data, which no socket of the proxy takes.
    packet: Vec<u8>,
    raw: RawSockets,
}

impl Syn {
    /// Reads a packet, which may be cut off after its TCP header; `None` if it is no SYN, or has extension headers.
    pub(super) fn read(packet: &[u8], raw: &RawSockets) -> Option<Self> {
        let ip = ipv6::Packet::new_quoted(packet).ok()?;
        let segment = tcp::Packet::new_checked(packet.get(ipv6::HEADER_LEN..)?).ok()?;
        let is_syn = segment.flags().contains(Flags::SYN)
            && !segment.flags().intersects(Flags::ACK.with(Flags::RST));
        if ip.next_header() != Protocol::TCP || !is_syn {
            return None;
        }
        let len = segment.header_len();
        let mut repeated = packet.get(..ipv6::HEADER_LEN + len)?.to_vec();
        ipv6::Repr::parse(&ip).emit(len, &mut repeated).ok()?;
        // The kernel leaves the checksum out on the loopback device.
        let pseudo = pseudo_v6(ip.src(), ip.dst(), Protocol::TCP, len as u32);
        tcp::Packet::new_checked(&mut repeated[ipv6::HEADER_LEN..]).ok()?.fill_checksum(pseudo);
        Some(Self {
            client: (ip.src(), segment.src_port()),
            to: (ip.dst(), segment.dst_port()),
            seq: segment.seq(),
            packet: repeated,
            raw: raw.clone(),
        })
    }

    /// Sends it to the listening socket.
    pub(super) fn repeat(&self) {
        send(&self.raw.0.syns, &self.packet, self.to.0);
    }

    /// Tells the client that nobody listens.
    pub(super) fn refuse(&self) {
        match self.reset() {
            Ok(packet) => send(&self.raw.0.resets, &packet, self.client.0),
            Err(error) => tracing::debug!(%error, "no reset for a client on [::1]"),
        }
    }

    /// The reset of it (RFC 9293 section 3.10.7.1).
    fn reset(&self) -> Result<Vec<u8>, wire::Error> {
        let (from, to) = (self.to.0, self.client.0);
        let reset = tcp::Repr {
            src_port: self.to.1,
            dst_port: self.client.1,
            ack: self.seq.wrapping_add(1),
            flags: Flags::RST.with(Flags::ACK),
            ..tcp::Repr::default()
        };
        let mut packet = vec![0; ipv6::HEADER_LEN + tcp::HEADER_LEN];
        let (header, segment) = packet.split_at_mut(ipv6::HEADER_LEN);
        ipv6::Repr::new(from, to, Protocol::TCP).emit(segment.len(), header)?;
        let pseudo = |len| pseudo_v6(from, to, Protocol::TCP, len as u32);
        reset.emit(&[], pseudo, segment)?;
        Ok(packet)
    }
}
