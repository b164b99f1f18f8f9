//! A socket of UDP that DNAT leads clients to: their datagrams with the address that they were sent to, and answers from
//! there.
//!
//! DNAT has changed the port only, and changes that of answers back. The kernel's connection tracking knows the original one
//! by the flow. It is asked for the first datagram of a flow, and again after [`RELAYED_FLOW_KNOWN`], since the kernel may
//! forget a flow before the proxy does, and then a client may ask for another publication from the same port.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::udp_client::Client;
use crate::host::conntrack::OriginalDestinations;
use crate::host::limits::{RELAYED_CLIENTS_MAX, RELAYED_FLOW_KNOWN};
use crate::host::nft::{Protocol, protocol_number};

/// The socket of one IP version.
#[derive(Debug)]
pub(super) struct RelayedUdp {
    socket: Arc<UdpSocket>,
    flows: Mutex<Flows>,
}

/// A client, and the address of the host that its datagrams came to.
type Flow = (SocketAddr, IpAddr);

#[derive(Debug, Default)]
struct Flows {
    /// Opened for the first client.
    kernel: Option<OriginalDestinations>,
    known: HashMap<Flow, (SocketAddr, Instant)>,
}

impl RelayedUdp {
    /// # Errors
    /// The kernel does not tell destinations.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        match socket.local_addr()? {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(Self { socket: Arc::new(socket), flows: Mutex::default() })
    }

    /// A datagram, and whose it is.
    ///
    /// # Errors
    /// `NotFound` for one that the kernel does not track.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Client)> {
        let received = self.socket.async_io(Interest::READABLE, || receive(&self.socket, buffer));
        let (len, address, at) = received.await?;
        let asked = self.asked(address, at)?;
        Ok((len, Client { address, asked }))
    }

    fn asked(&self, client: SocketAddr, at: SocketAddr) -> io::Result<SocketAddr> {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let (flow, now) = ((client, at.ip()), Instant::now());
        if let Some((asked, since)) = flows.known.get(&flow)
            && now - *since < RELAYED_FLOW_KNOWN
        {
            return Ok(*asked);
        }
        let kernel = match &mut flows.kernel {
            Some(kernel) => kernel,
            none => none.insert(OriginalDestinations::open()?),
        };
        let protocol = protocol_number(Protocol::Udp);
        let asked = kernel.find(protocol, at, client)?.ok_or(ErrorKind::NotFound)?;
        let asked = with_scope(asked, at);
        if flows.known.len() >= RELAYED_CLIENTS_MAX {
            flows.known.clear();
        }
        flows.known.insert(flow, (asked, now));
        Ok(asked)
    }

    /// The address and port that DNAT has led a client to.
    pub(super) fn redirected(&self, client: &Client) -> Client {
        let port = self.socket.local_addr().map_or(0, |at| at.port());
        Client { asked: SocketAddr::new(client.asked.ip(), port), ..*client }
    }

    /// The socket that sends answers, by [`answer`].
    pub(super) fn socket(&self) -> Weak<UdpSocket> {
        Arc::downgrade(&self.socket)
    }
}

/// A link-local address with the device that it is of.
fn with_scope(address: SocketAddr, at: SocketAddr) -> SocketAddr {
    match (address, at) {
        (SocketAddr::V6(it), SocketAddr::V6(at)) => {
            SocketAddrV6::new(*it.ip(), it.port(), 0, at.scope_id()).into()
        }
        _ => address,
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
    let port = socket.local_addr()?.port();
    let mut space = nix::cmsg_space!(libc::in6_pktinfo);
    let mut buffers = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut space), flags)?;
    let address = message.address.as_ref().and_then(|from| {
        let v4 = from.as_sockaddr_in().map(|it| SocketAddr::V4((*it).into()));
        v4.or_else(|| from.as_sockaddr_in6().map(|it| SocketAddr::V6((*it).into())))
    });
    let at = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let at = Ipv4Addr::from_bits(u32::from_be(info.ipi_addr.s_addr));
            Some(SocketAddr::new(at.into(), port))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let at = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let scope = if at.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            Some(SocketAddrV6::new(at, port, 0, scope).into())
        }
        _ => None,
    });
    let unknown = || io::Error::from(ErrorKind::InvalidData);
    Ok((message.bytes, address.ok_or_else(unknown)?, at.ok_or_else(unknown)?))
}

/// Sends an answer from the address that the client has asked.
///
/// # Errors
/// Of the kernel.
pub(super) async fn answer(socket: &UdpSocket, client: &Client, datagram: &[u8]) -> io::Result<()> {
    socket.async_io(Interest::WRITABLE, || try_answer(socket, client, datagram)).await
}

fn try_answer(socket: &UdpSocket, client: &Client, datagram: &[u8]) -> io::Result<()> {
    let (fd, data, flags) = (socket.as_raw_fd(), [IoSlice::new(datagram)], MsgFlags::MSG_DONTWAIT);
    match (client.asked, client.address) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            let source = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: from.ip().to_bits().to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            let control = [ControlMessage::Ipv4PacketInfo(&source)];
            sendmsg(fd, &data, &control, flags, Some(&SockaddrIn::from(to)))?;
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            let source = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.ip().octets() },
                ipi6_ifindex: from.scope_id(),
            };
            let control = [ControlMessage::Ipv6PacketInfo(&source)];
            sendmsg(fd, &data, &control, flags, Some(&SockaddrIn6::from(to)))?;
        }
        _ => return Err(ErrorKind::InvalidInput.into()),
    }
    Ok(())
}
