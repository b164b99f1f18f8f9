//! Which connections of a listener are served, and which wait.
//!
//! ```text
//! admit() -> waiting --(room)--> idle <--(request)--> busy
//!    |          |                 |                     |
//!    +-> refused+------------- closed <-----------------+
//! ```
//!
//! A *peer* is a process, or an address. So many connections are served at a time, and so many of one peer; a few more
//! of peers that have none, so that `vswitch down` and `vswitch status` are heard while another program uses up the rest.
//! A connection is *busy* from the head of a request to its answer, and while an answer streams. While some wait, idle
//! ones are closed: of the peer that has most, the one that is idle longest, once it is so for [`IDLE_MIN`]. Above the
//! limit of connections that wait or are served, the peer that has most loses one, or gets no further one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::unix::UCred;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{HELD_PER_CONNECTION, IDLE_MIN, ROOM_POLL};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// A process, by its id; none where the kernel cannot name it.
    Process(Option<i32>),
    /// All users together that may not control the switch.
    Denied,
    /// All that the listener does not tell apart.
    Any,
}

impl Peer {
    /// The process at the other end of a Unix socket.
    pub(crate) fn process(credentials: &UCred) -> Self {
        Self::Process(credentials.pid())
    }
}

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections that are served.
    pub(crate) served: usize,
    /// Those of one peer.
    pub(crate) of_peer: usize,
    /// Further ones, of peers that have none.
    pub(crate) spare: usize,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Idle(Instant),
    Busy,
    Closed,
}

#[derive(Debug)]
struct Entry {
    peer: Peer,
    state: State,
    /// Notified when the connection is served, or closed.
    changed: Arc<Notify>,
}

/// All connections, in the order of their arrival.
#[derive(Debug)]
struct Table {
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

/// The connections of a listener.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Mutex<Table>>);

/// A connection's place among them, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    table: Connections,
    id: u64,
    changed: Arc<Notify>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Table { limits, entries: BTreeMap::new(), next: 0 })))
    }

    /// Takes a connection in; none if it is one too many.
    pub(super) fn admit(&self, peer: Peer, now: Instant) -> Option<ConnectionGuard> {
        let mut table = self.table();
        let (id, changed) = table.add(peer, now)?;
        Some(ConnectionGuard { table: self.clone(), id, changed })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionGuard {
    /// Whether it is served at once.
    pub(super) fn is_served(&self) -> bool {
        self.state() != Some(State::Waiting)
    }

    /// Waits until it is served. False if it is closed instead.
    pub(super) async fn served(&self) -> bool {
        loop {
            match self.state() {
                Some(State::Waiting) => {}
                Some(State::Idle(_) | State::Busy) => return true,
                Some(State::Closed) | None => return false,
            }
            if tokio::time::timeout(ROOM_POLL, self.changed.notified()).await.is_err() {
                self.table.table().close_idle(Instant::now());
            }
        }
    }

    /// Waits until it is to be closed.
    pub(super) async fn closed(&self) {
        while self.state() != Some(State::Closed) {
            self.changed.notified().await;
        }
    }

    /// A request begins.
    pub(super) fn begin_request(&self) {
        self.set(State::Busy);
    }

    /// The answer has begun; it streams no further.
    pub(super) fn end_request(&self) {
        self.set(State::Idle(Instant::now()));
    }

    fn state(&self) -> Option<State> {
        self.table.table().entries.get(&self.id).map(|entry| entry.state)
    }

    fn set(&self, state: State) {
        if let Some(entry) = self.table.table().entries.get_mut(&self.id)
            && entry.state != State::Closed
        {
            entry.state = state;
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut table = self.table.table();
        table.entries.remove(&self.id);
        table.serve_waiting(Instant::now());
    }
}

impl Table {
    fn add(&mut self, peer: Peer, now: Instant) -> Option<(u64, Arc<Notify>)> {
        let held = self.open().count();
        if held >= self.limits.served * HELD_PER_CONNECTION && !self.take_from_largest(peer) {
            return None;
        }
        let (id, changed) = (self.next, Arc::new(Notify::new()));
        self.next += 1;
        let entry = Entry { peer, state: State::Waiting, changed: Arc::clone(&changed) };
        self.entries.insert(id, entry);
        self.serve_waiting(now);
        Some((id, changed))
    }

    /// Connections that are not closed.
    fn open(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.state != State::Closed)
    }

    /// Numbers of connections that are served: of all peers, and of one.
    fn served(&self, peer: Peer) -> (usize, usize) {
        let served = self.open().filter(|entry| entry.state != State::Waiting);
        served.fold((0, 0), |(all, own), it| (all + 1, own + usize::from(it.peer == peer)))
    }

    /// Whether a further connection of a peer can be served.
    fn has_room(&self, peer: Peer) -> bool {
        let (all, own) = self.served(peer);
        let Limits { served, of_peer, spare } = self.limits;
        (all < served && own < of_peer) || (own == 0 && all < served + spare)
    }

    /// Serves those that wait, the first ones first, as far as there is room.
    fn serve_waiting(&mut self, now: Instant) {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.state == State::Waiting);
        let waiting: Vec<(u64, Peer)> = waiting.map(|(id, entry)| (*id, entry.peer)).collect();
        for (id, peer) in waiting {
            if self.has_room(peer) {
                self.change(id, State::Idle(now));
            }
        }
    }

    /// Closes an idle connection, if some wait.
    fn close_idle(&mut self, now: Instant) {
        self.serve_waiting(now);
        let first = self.entries.values().find(|entry| entry.state == State::Waiting);
        let Some(peer) = first.map(|entry| entry.peer) else { return };
        let (all, own) = self.served(peer);
        // Those of others are of no use to a peer that has all that it may.
        let is_own = own >= self.limits.of_peer && all < self.limits.served;
        let idle = self.entries.iter().filter_map(|(id, entry)| match entry.state {
            State::Idle(since) if now.duration_since(since) >= IDLE_MIN => {
                (!is_own || entry.peer == peer).then_some((*id, entry.peer, since))
            }
            _ => None,
        });
        let rank = |(id, peer, since): (u64, Peer, Instant)| {
            (self.served(peer).1, now.duration_since(since), Reverse(id))
        };
        if let Some((.., Reverse(id))) = idle.map(rank).max() {
            self.change(id, State::Closed);
        }
        self.serve_waiting(now);
    }

    /// Closes a connection of the peer that has most; false if that is this one, or all of them are busy.
    fn take_from_largest(&mut self, newcomer: Peer) -> bool {
        let mut counts = BTreeMap::<Peer, usize>::new();
        self.open().for_each(|entry| *counts.entry(entry.peer).or_default() += 1);
        let own = counts.get(&newcomer).copied().unwrap_or(0);
        let Some((count, largest)) = counts.into_iter().map(|(peer, n)| (n, peer)).max() else {
            return false;
        };
        if own >= count {
            return false;
        }
        let of_largest = self.entries.iter().filter(|(_, entry)| entry.peer == largest);
        // One that waits before one that is served.
        let rank = |(id, entry): (&u64, &Entry)| match entry.state {
            State::Waiting => Some((1, *id)),
            State::Idle(_) => Some((0, *id)),
            State::Busy | State::Closed => None,
        };
        let Some((_, id)) = of_largest.filter_map(rank).max() else { return false };
        self.change(id, State::Closed);
        true
    }

    fn change(&mut self, id: u64, state: State) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.state = state;
            entry.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
