//! Changes of interfaces, addresses and routes in the host's namespace, as the kernel tells them.

use futures_util::{Stream, StreamExt, future};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkFlags;
use netlink_packet_route::route::RouteAttribute;
use rtnetlink::MulticastGroup;

use super::HostError;
use super::link_messages::{Heard, listen};

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkChange {
    /// A change of an interface, or the loss of an address or a route.
    Of {
        /// The interface's index.
        index: u32,
        /// It was down at that moment: its neighbour table was emptied.
        is_down: bool,
    },
    /// The kernel's messages were lost: any interface may have changed, and been down.
    Unknown,
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
    Ok(listen(&groups)?.filter_map(|heard| future::ready(change(&heard))))
}

fn change(heard: &Heard) -> Option<LinkChange> {
    let message = match heard {
        Heard::Lost => return Some(LinkChange::Unknown),
        Heard::Message(message) => message,
    };
    let lost = |index| Some(LinkChange::Of { index, is_down: false });
    match message {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
            let is_down = !link.header.flags.contains(LinkFlags::Up);
            Some(LinkChange::Of { index: link.header.index, is_down })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_messages_may_be_of_any_interface() {
        assert_eq!(change(&Heard::Lost), Some(LinkChange::Unknown));
    }
}
