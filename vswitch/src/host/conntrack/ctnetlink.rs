//! Messages of ctnetlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::io;

use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, ProtoTuple, Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
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
    let filter = protocol.map_or_else(Vec::new, only);
    send(socket, request(family, ConntrackMessage::Get(filter)), NLM_F_DUMP)?;
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

/// The attributes by which the kernel lists one protocol only.
fn only(protocol: u8) -> Vec<ConntrackAttribute> {
    /// `CTA_FILTER | NLA_F_NESTED`.
    const FILTER: u16 = 25 | 0x8000;
    /// `CTA_FILTER_ORIG_FLAGS` with its length, as an attribute's header.
    const FLAGS: [u16; 2] = [8, 1];
    /// `CTA_FILTER_F_CTA_PROTO_NUM`.
    const PROTOCOL: u32 = 1 << 3;
    let mut flags: Vec<u8> = FLAGS.iter().flat_map(|half| half.to_ne_bytes()).collect();
    flags.extend(PROTOCOL.to_ne_bytes());
    let tuple = vec![Tuple::Proto(vec![ProtoTuple::Protocol(protocol.into())])];
    vec![
        ConntrackAttribute::CtaTupleOrig(tuple),
        ConntrackAttribute::Other(DefaultNla::new(FILTER, flags)),
    ]
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
    send(socket, message.clone(), NLM_F_ACK)?;
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

fn send(socket: &Socket, message: NetfilterMessage, flags: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes)
}

/// The messages of the next datagram that can be read.
fn receive(socket: &Socket) -> io::Result<Vec<NetlinkPayload<NetfilterMessage>>> {
    let mut buffer = vec![0_u8; usize::from(u16::MAX) + 1];
    let (len, _) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
    let messages = query::messages(&buffer[..len]);
    Ok(messages.filter_map(|it| Some(NetlinkMessage::deserialize(it).ok()?.payload)).collect())
}
