//! Messages of the kernel about interfaces, addresses and routes in the host's namespace.
//!
//! They wait in the buffer of a socket of their own. When it is full, the kernel drops further ones, and the next read
//! fails by `ENOBUFS` (`netlink(7)`): who listens is told that messages were lost, and reads the state instead.

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::time::sleep;

use super::HostError;
use super::limits::{LINK_MESSAGE_MAX, LINK_MESSAGES_BUFFER, NOTIFICATIONS_PAUSE};

/// What the kernel tells.
#[derive(Debug)]
pub(super) enum Heard {
    /// A change.
    Message(RouteNetlinkMessage),
    /// Changes that nobody hears of.
    Lost,
}

/// Messages from now on. Connects in the network namespace of the calling thread. The stream has no end.
pub(super) fn listen(
    groups: &[MulticastGroup],
) -> Result<impl Stream<Item = Heard> + Send + Unpin + use<>, HostError> {
    let listener = Listener::connect(groups).map_err(HostError::Connect)?;
    // Without the privilege the kernel's default holds.
    let _ = setsockopt(listener.socket.socket_ref(), sockopt::RcvBufForce, &LINK_MESSAGES_BUFFER);
    Ok(listener.into_stream())
}

struct Listener {
    socket: TokioSocket,
    /// Messages of the last datagram.
    waiting: VecDeque<RouteNetlinkMessage>,
    datagram: Vec<u8>,
}

impl Listener {
    fn connect(groups: &[MulticastGroup]) -> std::io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in groups {
            socket.socket_mut().add_membership(*group as u32)?;
        }
        let datagram = Vec::with_capacity(LINK_MESSAGE_MAX);
        Ok(Self { socket, waiting: VecDeque::new(), datagram })
    }

    fn into_stream(self) -> impl Stream<Item = Heard> + Send + Unpin {
        let next = async |mut listener: Self| Some((listener.next().await, listener));
        Box::pin(stream::unfold(self, next))
    }

    async fn next(&mut self) -> Heard {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Heard::Message(message);
            }
            self.datagram.clear();
            if let Err(error) = self.socket.recv(&mut self.datagram).await {
                tracing::debug!(%error, "messages of the kernel about interfaces were lost");
                if error.raw_os_error() != Some(libc::ENOBUFS) {
                    sleep(NOTIFICATIONS_PAUSE).await;
                }
                return Heard::Lost;
            }
            self.waiting.extend(messages(&self.datagram));
        }
    }
}

/// The messages of a datagram, without those that cannot be read.
fn messages(datagram: &[u8]) -> impl Iterator<Item = RouteNetlinkMessage> {
    let mut rest = datagram;
    let texts = std::iter::from_fn(move || {
        let len = NetlinkBuffer::new_checked(rest).ok()?.length() as usize;
        let text = rest.get(..len)?;
        // Aligned, but for the end of the last one.
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(text)
    });
    texts.filter_map(|text| match NetlinkMessage::deserialize(text).ok()?.payload {
        NetlinkPayload::InnerMessage(message) => Some(message),
        _ => None,
    })
}

/// A socket whose buffer is full, and the connection of the same new namespace.
#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use futures_util::StreamExt;
    use tokio::time::timeout;

    use super::*;
    use crate::host::{Netlink, netns_exec};

    /// Changes of one interface, each a message.
    pub(crate) async fn changes(netlink: &Netlink, count: u32) {
        let lo = netlink.link_by_name("lo").await.unwrap().unwrap();
        for n in 0..count {
            netlink.set_mtu(&lo, 60_000 + n, None).await.unwrap();
        }
    }

    /// Needs root.
    #[tokio::test]
    async fn lost_messages_are_told_and_later_ones_heard() {
        let work = async |netlink: Netlink| {
            let listener = Listener::connect(&[MulticastGroup::Link]).unwrap();
            listener.socket.socket_ref().set_rx_buf_sz(4096).unwrap();
            let mut heard = listener.into_stream();
            changes(&netlink, 100).await;
            let (mut lost, mut changed) = (0, 0);
            while let Ok(Some(next)) = timeout(Duration::from_millis(300), heard.next()).await {
                match next {
                    Heard::Lost => lost += 1,
                    Heard::Message(RouteNetlinkMessage::NewLink(_)) => changed += 1,
                    Heard::Message(other) => panic!("{other:?}"),
                }
            }
            assert!(lost == 1 && (1..100).contains(&changed), "{lost} losses, {changed} heard");
            changes(&netlink, 1).await;
            let next = timeout(Duration::from_secs(5), heard.next()).await;
            assert!(matches!(next, Ok(Some(Heard::Message(_)))), "{next:?}");
            Ok(())
        };
        netns_exec::create(work).await.unwrap();
    }

    /// Needs root.
    #[tokio::test]
    async fn the_buffer_holds_the_changes_of_a_thousand_interfaces() {
        let work = async |netlink: Netlink| {
            let mut heard = listen(&[MulticastGroup::Link]).unwrap();
            changes(&netlink, 1000).await;
            for n in 0..1000 {
                let next = timeout(Duration::from_secs(5), heard.next()).await;
                assert!(matches!(next, Ok(Some(Heard::Message(_)))), "{n}: {next:?}");
            }
            Ok(())
        };
        netns_exec::create(work).await.unwrap();
    }
}
