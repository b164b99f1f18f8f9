//! Which worker translates a packet: see [`crate::shard_spec`] for the choice and its reasons.

use super::Nat;
use crate::address::Address;
use crate::edit::Realm;
use crate::owner::OwnerId;
use crate::table::hash::Key;
use crate::time::Time;
use crate::tuple::Transport;
use crate::view::{Kind, View};

/// Where a packet is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// By this worker.
    Worker(usize),
    /// By whom this worker says, which tracks its fragments. For it to choose from the first of them there is
    /// [`Nat::worker`].
    Tracker(usize),
}

impl Nat {
    /// Where a packet is translated that somebody has read.
    pub fn shard_of(&mut self, now: Time, from: Realm, view: &View) -> Shard {
        self.advance(now);
        let is_external = self.policy.is_external(Address::from(view.dst));
        match (from, view.fragment) {
            (Realm::Internal(owner, _), _) if !is_external => {
                Shard::Worker(self.shard_spec.home(owner))
            }
            (Realm::Internal(owner, _), Some(_)) => Shard::Tracker(self.shard_spec.home(owner)),
            (Realm::External, Some(_)) if is_external => {
                Shard::Tracker(self.shard_spec.tracker(view))
            }
            _ => Shard::Worker(self.worker(from, view)),
        }
    }

    /// The worker that translates a packet of which the ports are known; this one if it need not be.
    #[must_use]
    pub fn worker(&self, from: Realm, view: &View) -> usize {
        let key = match &view.kind {
            Kind::Flow { tuple, .. } => Key::new(tuple, from.zone()),
            Kind::Error(quoted) => Key::new(&quoted.tuple, from.zone()).reversed(),
            Kind::Tail(_) | Kind::Other => return self.shard_spec.worker(),
        };
        match from {
            Realm::Internal(owner, _) if !self.policy.is_external(key.dst) => {
                self.shard_spec.home(owner)
            }
            Realm::Internal(owner, _) if key.transport == Transport::Echo => {
                self.shard_spec.home(owner)
            }
            Realm::Internal(owner, _) => match self.server(&key) {
                Some(server) if self.policy.is_source(key.transport, key.sender()) => {
                    self.shard_spec.home(owner.min(server))
                }
                Some(_) => self.shard_spec.home(owner),
                None => self.slice(&key).unwrap_or(self.shard_spec.home(owner)),
            },
            Realm::External => {
                let published = self.server(&key).map(|owner| self.shard_spec.home(owner));
                published.or_else(|| self.slice(&key)).unwrap_or(self.shard_spec.worker())
            }
        }
    }

    /// The container behind a published port.
    fn server(&self, key: &Key) -> Option<OwnerId> {
        let target = self.policy.target(key.transport, key.src, key.dst, key.ports.dst());
        target.map(|target| target.owner)
    }

    /// Whose slice a port of ours is of.
    fn slice(&self, key: &Key) -> Option<usize> {
        let range = self.policy.ports();
        let is_external = self.policy.is_external(key.dst);
        is_external.then(|| self.shard_spec.slice_of(range, key.ports.dst())).flatten()
    }
}
