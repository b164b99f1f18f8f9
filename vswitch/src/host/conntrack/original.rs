//! Original destinations of packets that the kernel has translated for a socket of the host.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_netfilter::NetfilterProtoFamily;
use vswitch_sys::socket::Socket;

use super::{Entry, ctnetlink};

/// Looks up entries of the kernel's connection tracking.
#[derive(Debug)]
pub(in crate::host) struct OriginalDestinations(Socket);

impl OriginalDestinations {
    /// In the network namespace of the calling thread.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(in crate::host) fn open() -> io::Result<Self> {
        ctnetlink::open().map(Self)
    }

    /// Where a client's packets to an address of the host were sent to, before DNAT; `None` if the kernel does not know them.
    ///
    /// # Errors
    /// The kernel has no ctnetlink, or refuses.
    pub(in crate::host) fn find(
        &self,
        protocol: u8,
        at: SocketAddr,
        client: SocketAddr,
    ) -> io::Result<Option<SocketAddr>> {
        let family = match at {
            SocketAddr::V4(_) => NetfilterProtoFamily::IPv4,
            SocketAddr::V6(_) => NetfilterProtoFamily::IPv6,
        };
        let found = ctnetlink::get(&self.0, family, &reply(protocol, at, client))?;
        Ok(found.and_then(|attributes| Entry::parse(&attributes)).map(|entry| entry.to))
    }
}

/// The tuple of the answers (`CTA_TUPLE_REPLY`).
fn reply(protocol: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    use ctnetlink::{NESTED, attribute};
    const CTA_TUPLE_REPLY: u16 = NESTED | 2;
    const CTA_TUPLE_IP: u16 = NESTED | 1;
    const CTA_TUPLE_PROTO: u16 = NESTED | 2;
    let ip = |kind: u16, address: IpAddr| match address {
        // `CTA_IP_V4_SRC`, `CTA_IP_V4_DST`, and the same of IPv6 after them.
        IpAddr::V4(address) => attribute(kind, &address.octets()),
        IpAddr::V6(address) => attribute(kind + 2, &address.octets()),
    };
    let addresses = [ip(1, from.ip()), ip(2, to.ip())].concat();
    // `CTA_PROTO_NUM`, `CTA_PROTO_SRC_PORT`, `CTA_PROTO_DST_PORT`.
    let ports = [
        attribute(1, &[protocol]),
        attribute(2, &from.port().to_be_bytes()),
        attribute(3, &to.port().to_be_bytes()),
    ];
    let parts = [attribute(CTA_TUPLE_IP, &addresses), attribute(CTA_TUPLE_PROTO, &ports.concat())];
    attribute(CTA_TUPLE_REPLY, &parts.concat())
}
