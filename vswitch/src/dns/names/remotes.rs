//! Endpoints on other nodes. They have an address and names, and no port.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicU32, Ordering};

use super::asked::Asked;

/// Number of a remote endpoint in [`Remotes`].
pub(super) type RemoteIndex = u32;

/// An address of an endpoint on another node.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) address: IpAddr,
    /// Its name, then its aliases, in lower case; at least one.
    pub(super) names: Box<[Box<str>]>,
}

/// Remote endpoints of all networks. The view of the registry limits their number.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    slots: Vec<Option<Remote>>,
    free: Vec<RemoteIndex>,
}

impl Remotes {
    /// Adds one; nothing if there are 2^32 already.
    pub(super) fn insert(&mut self, remote: Remote) -> Option<RemoteIndex> {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(remote);
            return Some(index);
        }
        let index = RemoteIndex::try_from(self.slots.len()).ok()?;
        self.slots.push(Some(remote));
        Some(index)
    }

    /// Removes one. Its number will be another one's.
    pub(super) fn remove(&mut self, index: RemoteIndex) -> Option<Remote> {
        let remote = self.slots.get_mut(index as usize)?.take()?;
        self.free.push(index);
        Some(remote)
    }

    pub(super) fn get(&self, index: RemoteIndex) -> Option<&Remote> {
        self.slots.get(index as usize)?.as_ref()
    }
}

/// Remote endpoints that share a name.
#[derive(Debug, Default)]
pub(super) struct RemoteOwners {
    ipv4: Turns,
    ipv6: Turns,
}

impl RemoteOwners {
    pub(super) fn insert(&mut self, index: RemoteIndex, address: IpAddr) {
        self.family(address).indices.insert(index);
    }

    pub(super) fn remove(&mut self, index: RemoteIndex, address: IpAddr) {
        self.family(address).indices.remove(&index);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ipv4.indices.is_empty() && self.ipv6.indices.is_empty()
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = RemoteIndex> {
        self.ipv4.indices.iter().chain(&self.ipv6.indices).copied()
    }

    /// Those with an address of the asked type. Each answer begins with the next one.
    pub(super) fn next_turn(&self, asked: Asked) -> impl Iterator<Item = RemoteIndex> {
        let ipv4 = asked.is_ipv4().then(|| self.ipv4.next_turn()).into_iter().flatten();
        ipv4.chain(asked.is_ipv6().then(|| self.ipv6.next_turn()).into_iter().flatten())
    }

    fn family(&mut self, address: IpAddr) -> &mut Turns {
        if address.is_ipv6() { &mut self.ipv6 } else { &mut self.ipv4 }
    }
}

/// Remote endpoints with addresses of one family, and their turns.
#[derive(Debug, Default)]
struct Turns {
    indices: BTreeSet<RemoteIndex>,
    /// The one that the last answer began with.
    last: AtomicU32,
}

impl Turns {
    fn next_turn(&self) -> impl Iterator<Item = RemoteIndex> {
        let after = (Excluded(self.last.load(Ordering::Relaxed)), Unbounded);
        let next = self.indices.range(after).next().or_else(|| self.indices.first());
        let first = next.copied().unwrap_or_default();
        self.last.store(first, Ordering::Relaxed);
        self.indices.range(first..).chain(self.indices.range(..first)).copied()
    }
}
