//! Changes of interfaces, addresses and routes in the host's namespace, as the kernel tells them.

use futures_util::{Stream, StreamExt};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::RouteAttribute;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::HostError;

/// Indices of interfaces that change, or lose an address or a route, from now on. Connects in the network namespace of
/// the calling thread.
pub(crate) fn link_changes() -> Result<impl Stream<Item = u32> + Send + Unpin, HostError> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let connected = rtnetlink::new_multicast_connection(&groups);
    let (connection, _, messages) = connected.map_err(HostError::Connect)?;
    tokio::spawn(connection);
    Ok(Box::pin(messages.filter_map(async |(message, _)| match message.payload {
        NetlinkPayload::InnerMessage(message) => index(&message),
        _ => None,
    })))
}

fn index(message: &RouteNetlinkMessage) -> Option<u32> {
    match message {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
            Some(link.header.index)
        }
        RouteNetlinkMessage::DelAddress(address) => Some(address.header.index),
        RouteNetlinkMessage::DelRoute(route) => {
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
        }
        _ => None,
    }
}
