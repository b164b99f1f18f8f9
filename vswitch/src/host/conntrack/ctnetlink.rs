//! Messages of ctnetlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::io;

use netlink_packet_netfilter::conntrack::{ConntrackAttribute, ConntrackMessage};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, recv};
use vswitch_sys::query;
use vswitch_sys::socket::Socket;

use crate::host::limits::{NFT_ANSWER_MAX, NFT_BUFFER};

/// Opens a connection, in the network namespace of the calling thread.
pub(super) fn open() -> io::Result<Socket> {
    let socket = Socket::open()?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX))?;
    // Without the privilege the kernel refuses the request itself.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, NFT_BUFFER);
    Ok(socket)
}

/// Asks for entries of a family, of one protocol if it is given: a kernel before 5.8 sends all the same.
pub(super) fn list(
    socket: &Socket,
    family: NetfilterProtoFamily,
    protocol: Option<u8>,
    mut found: impl FnMut(NetfilterProtoFamily, Vec<ConntrackAttribute>),
) -> io::Result<()> {
    let mut bytes = bytes(request(family, ConntrackMessage::Get(Vec::new())), NLM_F_DUMP);
    bytes.extend(protocol.map(only).unwrap_or_default());
    let len = (bytes.len() as u32).to_ne_bytes();
    bytes[..len.len()].copy_from_slice(&len);
    socket.send(&bytes)?;
    loop {
        for message in receive(socket)? {
            match message {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(message) => {
                    let family = message.header.family;
                    if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) =
                        message.inner
                    {
                        found(family, attributes);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The attributes by which the kernel lists one protocol only, as bytes: the crate loses the flag of the filter.
fn only(protocol: u8) -> Vec<u8> {
    const NESTED: u16 = 0x8000;
    /// `CTA_TUPLE_ORIG`, in it `CTA_TUPLE_PROTO`, in it `CTA_PROTO_NUM`.
    const TUPLE: [u16; 3] = [NESTED | 1, NESTED | 2, 1];
    /// `CTA_FILTER`, in it `CTA_FILTER_ORIG_FLAGS`.
    const FILTER: [u16; 2] = [NESTED | 25, 1];
    /// `CTA_FILTER_F_CTA_PROTO_NUM`.
    const PROTOCOL: u32 = 1 << 3;
    let nest = |kinds: &[u16], value: &[u8]| {
        kinds.iter().rev().fold(value.to_vec(), |value, kind| attribute(*kind, &value))
    };
    [nest(&TUPLE, &[protocol]), nest(&FILTER, &PROTOCOL.to_ne_bytes())].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(((value.len() + 4) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A request that deletes the entry with this name.
pub(super) fn deletion(
    family: NetfilterProtoFamily,
    name: Vec<ConntrackAttribute>,
) -> NetfilterMessage {
    request(family, ConntrackMessage::Delete(name))
}

/// Sends such a request, and waits for the answer.
pub(super) fn delete(socket: &Socket, message: &NetfilterMessage) -> io::Result<()> {
    socket.send(&bytes(message.clone(), NLM_F_ACK))?;
    loop {
        for answer in receive(socket)? {
            let NetlinkPayload::Error(error) = answer else { continue };
            return match error.to_io() {
                _ if error.code.is_none() => Ok(()),
                // It has ended meanwhile.
                error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                error => Err(error),
            };
        }
    }
}

fn request(family: NetfilterProtoFamily, message: ConntrackMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}

fn bytes(message: NetfilterMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The messages of the next datagram that can be read.
fn receive(socket: &Socket) -> io::Result<Vec<NetlinkPayload<NetfilterMessage>>> {
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    let (len, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    let messages = query::messages(&buffer[..len]);
    Ok(messages.filter_map(|it| Some(NetlinkMessage::deserialize(it).ok()?.payload)).collect())
}
