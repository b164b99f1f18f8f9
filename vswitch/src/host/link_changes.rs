//! Changes of interfaces, addresses and routes in the host's namespace, as the kernel tells them.

use futures_util::{Stream, StreamExt};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::route::RouteAttribute;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::HostError;

/// A change of an interface, or the loss of an address or a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkChange {
    /// The interface's index.
    pub(crate) index: u32,
    /// It was down at that moment: its neighbour table was emptied.
    pub(crate) is_down: bool,
}

/// Changes from now on. Connects in the network namespace of the calling thread.
pub(crate) fn link_changes() -> Result<impl Stream<Item = LinkChange> + Send + Unpin, HostError> {
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
        NetlinkPayload::InnerMessage(message) => change(&message),
        _ => None,
    })))
}

fn change(message: &RouteNetlinkMessage) -> Option<LinkChange> {
    let lost = |index| Some(LinkChange { index, is_down: false });
    match message {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
            let is_down = !link.header.flags.contains(LinkFlags::Up);
            Some(LinkChange { index: link.header.index, is_down })
        }
        RouteNetlinkMessage::DelAddress(address) => lost(address.header.index),
        RouteNetlinkMessage::DelRoute(route) => {
            let index = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
            index.and_then(lost)
        }
        _ => None,
    }
}
