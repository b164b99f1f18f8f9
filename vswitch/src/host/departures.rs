//! Interfaces that leave the host's namespace: they moved into another one, or are gone.

use futures_util::{Stream, StreamExt};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;

use super::HostError;

/// Their names, from now on. Connects in the network namespace of the calling thread.
pub(crate) fn departures() -> Result<impl Stream<Item = String> + Send + Unpin, HostError> {
    let connected = rtnetlink::new_multicast_connection(&[MulticastGroup::Link]);
    let (connection, _, messages) = connected.map_err(HostError::Connect)?;
    tokio::spawn(connection);
    Ok(Box::pin(messages.filter_map(async |(message, _)| match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => name(link),
        _ => None,
    })))
}

fn name(link: LinkMessage) -> Option<String> {
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}
