//! The worker of a packet: see [`crate::shard_spec`] for the rules.

use super::Nat;
use crate::address::Address;
use crate::edit::Realm;
use crate::owner::OwnerId;
use crate::table::hash::Key;
use crate::time::Time;
use crate::tuple::Transport;
use crate::view::{Kind, View};

/// The worker that handles a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// It translates the packet.
    Worker(usize),
    /// It tracks the packet's fragments, and chooses the worker by [`Nat::worker`].
    Tracker(usize),
}

impl Nat {
    /// The worker of a packet.
    pub fn shard_of(&mut self, now: Time, from: Realm, view: &View) -> Shard {
        self.advance(now);
        let is_external = self.policy.is_external(Address::from(view.dst));
        match (from, view.fragment) {
            (Realm::Internal(owner, _), _) if !is_external => {
                Shard::Worker(self.shard_spec.worker_of(owner))
            }
            (Realm::Internal(owner, _), Some(_)) => {
                Shard::Tracker(self.shard_spec.worker_of(owner))
            }
            (Realm::External, Some(_)) if is_external => {
                Shard::Tracker(self.shard_spec.tracker(view))
            }
            _ => Shard::Worker(self.worker(from, view)),
        }
    }

    /// The worker that translates a packet with known ports; this one if any may.
    #[must_use]
    pub fn worker(&self, from: Realm, view: &View) -> usize {
        let key = match &view.kind {
            Kind::Flow { tuple, .. } => Key::new(tuple, from.zone()),
            Kind::Error(quoted) => Key::new(&quoted.tuple, from.zone()).reversed(),
            Kind::Tail(_) | Kind::Other => return self.shard_spec.worker(),
        };
        match from {
            Realm::Internal(owner, _) if !self.policy.is_external(key.dst) => {
                self.shard_spec.worker_of(owner)
            }
            Realm::Internal(owner, _) if key.transport == Transport::Echo => {
                self.shard_spec.worker_of(owner)
            }
            Realm::Internal(owner, _) => match self.server(&key) {
                Some(server) if self.policy.is_source(key.transport, key.sender()) => {
                    self.shard_spec.worker_of_pair(owner, server)
                }
                Some(_) => self.shard_spec.worker_of(owner),
                None => self.slice(&key).unwrap_or(self.shard_spec.worker_of(owner)),
            },
            Realm::External => {
                let published = self.server(&key).map(|owner| self.shard_spec.worker_of(owner));
                published.or_else(|| self.slice(&key)).unwrap_or(self.shard_spec.worker())
            }
        }
    }

    /// The container behind a published port.
    fn server(&self, key: &Key) -> Option<OwnerId> {
        let target = self.policy.target(key.transport, key.src, key.dst, key.ports.dst());
        target.map(|target| target.owner)
    }

    /// The worker whose slice has an SNAT port.
    fn slice(&self, key: &Key) -> Option<usize> {
        let range = self.policy.ports();
        let is_external = self.policy.is_external(key.dst);
        is_external.then(|| self.shard_spec.slice_of(range, key.ports.dst())).flatten()
    }
}
