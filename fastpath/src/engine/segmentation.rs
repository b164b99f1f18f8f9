//! Whether the kernel cuts a payload into datagrams (`UDP_SEGMENT`, udp(7)).
//!
//! It refuses where the way out to a peer cannot (`EIO`): IPsec, for instance. That is a matter of the peer's route, which
//! may change: the peer gets its datagrams one by one for some sends, and then the kernel is asked again.

use std::net::{IpAddr, SocketAddr};

use super::PortQueue;
use crate::limits::{UNSEGMENTED_PEERS_MAX, UNSEGMENTED_SENDS};

/// State of a port.
#[derive(Debug, Default)]
pub(super) struct Segmentation {
    /// The sockets can: they compute checksums.
    is_on: bool,
    /// Peers that were refused, each with the sends until the kernel is asked again.
    refused: Vec<(IpAddr, u32)>,
}

impl Segmentation {
    pub(super) fn of(queue: &PortQueue) -> Self {
        let is_on = queue.sockets().is_some_and(|sockets| sockets.segmentation);
        Self { is_on, refused: Vec::new() }
    }

    /// Whether the kernel is asked at all.
    #[inline]
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether to let the kernel cut a payload for a peer.
    #[inline]
    pub(super) fn allows(&mut self, peer: SocketAddr) -> bool {
        self.is_on && (self.refused.is_empty() || self.allows_peer(peer.ip()))
    }

    #[cold]
    fn allows_peer(&mut self, peer: IpAddr) -> bool {
        let Some(at) = self.refused.iter().position(|(refused, _)| *refused == peer) else {
            return true;
        };
        let sends = &mut self.refused[at].1;
        *sends -= 1;
        if *sends == 0 {
            self.refused.swap_remove(at);
        }
        false
    }

    /// The kernel refused, since the way out to the peer cannot. A surplus peer takes the place of the oldest one.
    pub(super) fn refuse(&mut self, peer: SocketAddr) {
        self.refused.retain(|(refused, _)| *refused != peer.ip());
        if self.refused.len() >= UNSEGMENTED_PEERS_MAX {
            self.refused.remove(0);
        }
        self.refused.push((peer.ip(), UNSEGMENTED_SENDS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> SocketAddr {
        ([192, 0, 2, number], 4789).into()
    }

    #[test]
    fn a_refusal_is_one_peers_and_not_for_ever() {
        let mut segmentation = Segmentation { is_on: true, refused: Vec::new() };
        segmentation.refuse(peer(1));
        segmentation.refuse(peer(1));
        for _ in 0..UNSEGMENTED_SENDS {
            assert!(!segmentation.allows(peer(1)) && segmentation.allows(peer(2)));
        }
        assert!(segmentation.allows(peer(1)), "asked again");
        assert!(!Segmentation::default().allows(peer(2)));
    }

    #[test]
    fn so_many_peers_are_remembered() {
        let mut segmentation = Segmentation { is_on: true, refused: Vec::new() };
        let count = UNSEGMENTED_PEERS_MAX as u8 + 1;
        (0..count).for_each(|number| segmentation.refuse(peer(number)));
        let allowed: Vec<u8> = (0..count).filter(|&it| segmentation.allows(peer(it))).collect();
        assert_eq!(allowed, [0], "the oldest one");
    }
}
