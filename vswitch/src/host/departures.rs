//! Interfaces that leave the host's namespace: they moved into another one, or are gone.

use futures_util::{Stream, StreamExt, future};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::MulticastGroup;

use super::HostError;
use super::link_messages::{Heard, listen};

/// Their names, from now on. Connects in the network namespace of the calling thread. Ends where the kernel's messages
/// were lost: interfaces may have left unheard.
pub(crate) fn departures() -> Result<impl Stream<Item = String> + Send + Unpin, HostError> {
    Ok(names(listen(&[MulticastGroup::Link])?))
}

fn names(
    heard: impl Stream<Item = Heard> + Send + Unpin,
) -> impl Stream<Item = String> + Send + Unpin {
    let whole = heard.take_while(|heard| future::ready(!matches!(heard, Heard::Lost)));
    whole.filter_map(|heard| {
        future::ready(match heard {
            Heard::Message(RouteNetlinkMessage::DelLink(link)) => name(link),
            _ => None,
        })
    })
}

fn name(link: LinkMessage) -> Option<String> {
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// Those that listen look for what they missed, and ask again.
    #[tokio::test]
    async fn a_loss_ends_the_names() {
        let gone = |name: &str| {
            let mut link = LinkMessage::default();
            link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
            Heard::Message(RouteNetlinkMessage::DelLink(link))
        };
        let new = Heard::Message(RouteNetlinkMessage::NewLink(LinkMessage::default()));
        let heard = stream::iter([new, gone("a"), Heard::Lost, gone("b")]);
        assert_eq!(names(heard).collect::<Vec<_>>().await, ["a"]);
    }
}
