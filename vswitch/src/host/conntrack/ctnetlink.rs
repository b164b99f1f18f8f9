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
use vswitch_sys::expr::CT_STATUS_DNAT;
use vswitch_sys::query;
use vswitch_sys::socket::Socket;

use crate::host::limits::{NFT_ANSWER_MAX, NFT_BUFFER};

/// `NLA_F_NESTED`.
pub(super) const NESTED: u16 = 0x8000;

/// Opens a connection, in the network namespace of the calling thread.
pub(super) fn open() -> io::Result<Socket> {
    let socket = Socket::open()?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX))?;
    // Without the privilege the kernel refuses the request itself.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, NFT_BUFFER);
    Ok(socket)
}

/// The entries to ask for, of one family. The kernel sends only those, from 5.8 on, by status from 5.19 on (a change of
/// netfilter each); earlier ones send more, so whoever reads looks at each entry all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Filter {
    pub(super) is_v4: bool,
    pub(super) protocol: Option<u8>,
    /// Destination of the first packet; the kernel compares that of TCP and UDP.
    pub(super) to_port: Option<u16>,
    /// Whether the destination is translated.
    pub(super) has_dnat: Option<bool>,
}

impl Filter {
    /// All entries of a family.
    pub(super) const fn family(is_v4: bool) -> Self {
        Self { is_v4, protocol: None, to_port: None, has_dnat: None }
    }

    /// The attributes of the request, as bytes: the crate loses the flags of the filter. Addresses are not among them:
    /// kernels compare those of IPv6 in reverse.
    fn attributes(self) -> Vec<u8> {
        const CTA_TUPLE_ORIG: u16 = NESTED | 1;
        const CTA_TUPLE_PROTO: u16 = NESTED | 2;
        const CTA_PROTO_NUM: u16 = 1;
        const CTA_PROTO_DST_PORT: u16 = 3;
        const CTA_STATUS: u16 = 3;
        const CTA_FILTER: u16 = NESTED | 25;
        const CTA_FILTER_ORIG_FLAGS: u16 = 1;
        const CTA_STATUS_MASK: u16 = 26;
        const CTA_FILTER_F_CTA_PROTO_NUM: u32 = 1 << 3;
        const CTA_FILTER_F_CTA_PROTO_DST_PORT: u32 = 1 << 5;
        let mut bytes = Vec::new();
        if let Some(protocol) = self.protocol {
            let mut flags = CTA_FILTER_F_CTA_PROTO_NUM;
            let mut tuple = attribute(CTA_PROTO_NUM, &[protocol]);
            if let Some(port) = self.to_port {
                flags |= CTA_FILTER_F_CTA_PROTO_DST_PORT;
                tuple.extend(attribute(CTA_PROTO_DST_PORT, &port.to_be_bytes()));
            }
            bytes.extend(attribute(CTA_TUPLE_ORIG, &attribute(CTA_TUPLE_PROTO, &tuple)));
            let flags = attribute(CTA_FILTER_ORIG_FLAGS, &flags.to_ne_bytes());
            bytes.extend(attribute(CTA_FILTER, &flags));
        }
        if let Some(has_dnat) = self.has_dnat {
            let status = if has_dnat { CT_STATUS_DNAT } else { 0 };
            bytes.extend(attribute(CTA_STATUS, &status.to_be_bytes()));
            bytes.extend(attribute(CTA_STATUS_MASK, &CT_STATUS_DNAT.to_be_bytes()));
        }
        bytes
    }
}

/// Asks for entries, with a filter that the kernel may not know.
pub(super) fn list(
    socket: &Socket,
    filter: Filter,
    mut found: impl FnMut(NetfilterProtoFamily, Vec<ConntrackAttribute>),
) -> io::Result<()> {
    let is_refusal = |errno| matches!(errno, libc::EINVAL | libc::EOPNOTSUPP);
    match try_list(socket, filter, &mut found) {
        Err(error) if error.raw_os_error().is_some_and(is_refusal) => {
            try_list(socket, Filter::family(filter.is_v4), &mut found)
        }
        listed => listed,
    }
}

fn try_list(
    socket: &Socket,
    filter: Filter,
    found: &mut impl FnMut(NetfilterProtoFamily, Vec<ConntrackAttribute>),
) -> io::Result<()> {
    let family = if filter.is_v4 { NetfilterProtoFamily::IPv4 } else { NetfilterProtoFamily::IPv6 };
    socket.send(&request_with(family, NLM_F_DUMP, &filter.attributes()))?;
    let mut buffer = buffer();
    loop {
        for message in receive(socket, &mut buffer)? {
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

/// Asks for the entry that attributes name; `None` if there is none.
pub(super) fn get(
    socket: &Socket,
    family: NetfilterProtoFamily,
    attributes: &[u8],
) -> io::Result<Option<Vec<ConntrackAttribute>>> {
    socket.send(&request_with(family, 0, attributes))?;
    let mut buffer = buffer();
    loop {
        for message in receive(socket, &mut buffer)? {
            match message {
                NetlinkPayload::Error(error) => {
                    return match error.to_io() {
                        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
                        error => Err(error),
                    };
                }
                NetlinkPayload::InnerMessage(message) => {
                    if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) =
                        message.inner
                    {
                        return Ok(Some(attributes));
                    }
                }
                _ => {}
            }
        }
    }
}

/// A request for entries with these attributes.
fn request_with(family: NetfilterProtoFamily, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(request(family, ConntrackMessage::Get(Vec::new())), flags);
    bytes.extend(attributes);
    let len = (bytes.len() as u32).to_ne_bytes();
    bytes[..len.len()].copy_from_slice(&len);
    bytes
}

pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
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
    let mut buffer = buffer();
    loop {
        for answer in receive(socket, &mut buffer)? {
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

fn buffer() -> Vec<u8> {
    vec![0; usize::from(u16::MAX) + 1]
}

/// The messages of the next datagram that can be read.
fn receive(
    socket: &Socket,
    buffer: &mut [u8],
) -> io::Result<Vec<NetlinkPayload<NetfilterMessage>>> {
    let (len, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    let messages = query::messages(&buffer[..len]);
    Ok(messages.filter_map(|it| Some(NetlinkMessage::deserialize(it).ok()?.payload)).collect())
}
