//! A node's session with the registry, sans-I/O: events and the time in, requests and changes out.
//!
//! The task calls `handle_*` with what happened, then takes [`Session::poll_request`] until there is none, and
//! [`Session::changes`] when the consumer can take them; it calls [`Session::handle_timeout`] at
//! [`Session::poll_timeout`]. `now` is the time since some start.
//!
//! Requests that change this node's own entries go one after the other (`write.rs`), so that each finds the state that the
//! one before left. Commands about networks and blocks go beside them.

mod attach;
mod blocks;
mod grace;
mod link;
mod networks;
mod write;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vswitch_registry::record::{Key, Network, Node};
use vswitch_registry::{LeaseState, WatchEvent};

use super::addresses::Addresses;
use super::change::OverlayChange;
use super::command::{Command, Reply};
use super::conf::OverlayConf;
use super::local::{Local, Waiters};
use super::request::{Outcome, Request, RequestId};
use super::status::{LeaseStatus, OverlayStatus};
use super::view::View;
use blocks::Claims;
use grace::Grace;
use link::Link;
use write::Lane;

/// A node's state.
#[derive(Debug)]
pub(crate) struct Session {
    node: Node,
    url: String,
    is_read_only: bool,
    operations_max: usize,
    view: View,
    local: Local,
    waiters: Waiters,
    addresses: Addresses,
    claims: Claims,
    link: Link,
    grace: Grace,
    lane: Lane,
    /// Commands before the first listing.
    deferred: VecDeque<Command>,
    creating: BTreeMap<RequestId, Reply<Arc<Network>>>,
    deleting: BTreeMap<RequestId, Reply<()>>,
    checking: BTreeMap<RequestId, Reply<()>>,
    next_id: RequestId,
    requests: VecDeque<Request>,
    /// Refusals of own endpoints that were to be told later.
    refusals: Vec<OverlayChange>,
}

impl Session {
    pub(crate) fn new(conf: OverlayConf, operations_max: usize) -> Self {
        let mut session = Self {
            view: View::new(&conf.node.name),
            local: Local::default(),
            waiters: Waiters::default(),
            addresses: Addresses::default(),
            claims: Claims::default(),
            link: Link::new(&conf.node.name),
            grace: Grace::new(conf.grace),
            lane: Lane::default(),
            deferred: VecDeque::new(),
            creating: BTreeMap::new(),
            deleting: BTreeMap::new(),
            checking: BTreeMap::new(),
            next_id: 0,
            requests: VecDeque::new(),
            refusals: Vec::new(),
            node: conf.node,
            url: conf.url,
            is_read_only: conf.is_read_only,
            operations_max,
        };
        session.remember(conf.remembered);
        session
    }

    /// What the watch tells.
    pub(crate) fn handle_watch(&mut self, event: WatchEvent, now: Duration) {
        match event {
            WatchEvent::Changes(changes) | WatchEvent::Resync(changes) => {
                for change in &changes {
                    self.handle_change(change, now);
                }
                self.check_file();
            }
            WatchEvent::Interrupted(error) => self.handle_interrupted(&error),
            WatchEvent::Restored => self.handle_restored(now),
        }
    }

    /// What came of a request.
    pub(crate) fn handle_outcome(&mut self, outcome: Outcome, now: Duration) {
        match outcome {
            Outcome::Listed(result) => self.handle_listed(result, now),
            Outcome::LaterFormat(result) => self.handle_later_format(result),
            Outcome::Status(result) => self.handle_status(result, now),
            Outcome::Registered(result) => self.handle_registered(result, now),
            Outcome::ChangedVtep { old, new, result } => {
                if result.is_err() {
                    self.node = old;
                }
                self.handle_changed_vtep(&new, result, now);
            }
            Outcome::Announced { endpoints, result } => {
                self.handle_announced(&endpoints, result, now);
            }
            Outcome::Withdrawn { endpoints, result } => {
                self.handle_withdrawn(&endpoints, result, now);
            }
            Outcome::Restored(result) => self.handle_rewritten(result, now),
            Outcome::DroppedBlocks(result) => self.handle_dropped(result, now),
            Outcome::Owner { network, address, result } => {
                self.handle_owner((network, address), result);
            }
            Outcome::Claimed { network, subnet, result } => {
                self.handle_claimed(network, subnet, result, now);
            }
            Outcome::Created { id, result } => self.handle_created(id, result, now),
            Outcome::Deleted { id, name, result } => self.handle_deleted(id, &name, result),
            Outcome::Checked { id, result } => self.handle_checked(id, result),
        }
    }

    /// A command of control. [`Command::Close`] is the task's.
    pub(crate) fn handle_command(&mut self, command: Command, now: Duration) {
        match command {
            Command::Registered(reply) => self.link.wait_registered(reply),
            Command::Status(reply) => reply.send(Ok(Box::new(self.status(now)))),
            Command::Keep { network, address } => self.addresses.reserve((network, address)),
            Command::Release { network, address } => self.addresses.release(network, address, now),
            Command::Withdraw { network, addresses, reply } => {
                self.withdraw(&network, &addresses, reply, now);
            }
            Command::ChangeVtep { address, port, reply } => self.change_vtep(address, port, reply),
            Command::Close(reply) => reply.send(Ok(())),
            command if !self.link.is_listed() => self.deferred.push_back(command),
            Command::Allocate { network, request, reply } => {
                self.allocate(network, request, reply, now);
            }
            Command::Announce { endpoints, reply } => self.announce(endpoints, reply, now),
            Command::CreateNetwork { network, reply } => self.create_network(network, reply),
            Command::DeleteNetwork { name, reply } => self.delete_network(name, reply),
            Command::CheckUnused { name, reply } => self.check_unused(name, reply, now),
        }
    }

    /// The lease's state, as its task tells.
    pub(crate) fn handle_lease(&mut self, state: LeaseState) {
        if self.link.set_lease(state) {
            tracing::warn!(node = self.node.name, "registry lease ended; registering again");
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        if self.link.is_following() {
            self.decide_gone(now);
            let removed = self.view.handle_timeout(now, self.grace.end(now));
            self.handle_removed(&removed);
        }
        self.handle_late_listing(now);
        self.handle_late(now);
    }

    /// The next request.
    pub(crate) fn poll_request(&mut self, now: Duration) -> Option<Request> {
        if self.link.poll_list(now) {
            return Some(Request::List);
        }
        self.requests.pop_front().or_else(|| self.poll_write(now))
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`poll_request`](Self::poll_request) have something to do.
    pub(crate) fn poll_timeout(&mut self, now: Duration) -> Option<Duration> {
        let gone = self.view.gone().timeout().filter(|_| self.link.is_following());
        let times = [gone, self.waiters.timeout(), self.claims.timeout(), self.link.timeout()];
        times.into_iter().flatten().chain(self.lane_timeout(now)).min()
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.view.has_changes() || !self.refusals.is_empty()
    }

    /// Differences to what the consumer was told.
    pub(crate) fn changes(&mut self) -> Vec<OverlayChange> {
        let mut changes = self.view.changes();
        changes.append(&mut self.refusals);
        changes
    }

    /// What is known now.
    pub(crate) fn status(&self, now: Duration) -> OverlayStatus {
        let (networks, nodes, endpoints) = self.view.counts();
        let lease = self.link.granted().map(|(granted, state)| LeaseStatus {
            id: granted.id.to_string(),
            ttl: granted.ttl,
            state,
        });
        let refused = self.local.refused().map(|((network, address), problem)| {
            format!("endpoint {address} of network {network}: {problem}")
        });
        let grace = self.grace.end(now).map(|end| end.saturating_sub(now));
        OverlayStatus {
            url: self.url.clone(),
            is_connected: self.link.is_connected(),
            problem: self.link.problem(),
            endpoint: self.link.endpoint().map(str::to_owned),
            revision: self.view.revision,
            lag: self.lane.lag(now),
            lease,
            queued: self.local.queued(),
            grace,
            doubted: self.view.doubted(),
            networks,
            nodes,
            endpoints,
            own_endpoints: self.local.len(),
            own_blocks: self.view.own_blocks().count(),
            faults: self.view.faults().into_iter().chain(refused).collect(),
        }
    }

    /// Whether a key is this node's own record, which only this node writes.
    fn is_own_record(&self, key: &Key) -> bool {
        match key {
            Key::Node(name) => *name == self.node.name,
            Key::Vtep(address, port) => (*address, *port) == (self.node.address, self.node.port),
            _ => false,
        }
    }

    fn next_id(&mut self) -> RequestId {
        self.next_id += 1;
        self.next_id
    }
}
