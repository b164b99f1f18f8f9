//! Which worker translates a packet: see [`crate::share`] for the choice and its reasons.

use super::Nat;
use crate::address::Address;
use crate::edit::Side;
use crate::policy::Policy;
use crate::table::hash::Key;
use crate::time::Time;
use crate::tuple::{OwnerId, Transport};
use crate::view::{Kind, View};

/// Where a packet is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By this worker.
    Worker(usize),
    /// By whom this worker says, which tracks its fragments. For it to choose from the first of them there is
    /// [`Nat::worker`].
    Tracker(usize),
}

impl Nat {
    /// Where a packet is translated that somebody has read.
    pub fn place(&mut self, now: Time, from: Side, view: &View, policy: &Policy) -> Place {
        self.enter(now, policy);
        let is_local = self.rules.is_local(Address::from(view.dst));
        match (from, view.fragment) {
            (Side::Inside(owner), _) if !is_local => Place::Worker(self.share.home(owner)),
            (Side::Inside(owner), Some(_)) => Place::Tracker(self.share.home(owner)),
            (Side::Outside, Some(_)) if is_local => Place::Tracker(self.share.tracker(view)),
            _ => Place::Worker(self.worker(from, view)),
        }
    }

    /// The worker that translates a packet of which the ports are known; this one if it need not be.
    #[must_use]
    pub fn worker(&self, from: Side, view: &View) -> usize {
        let key = match &view.kind {
            Kind::Flow { tuple, .. } => Key::from(tuple),
            Kind::Error(quoted) => Key::from(&quoted.tuple).reversed(),
            Kind::Tail(_) | Kind::Other => return self.share.worker(),
        };
        match from {
            Side::Inside(owner) if !self.rules.is_local(key.dst) => self.share.home(owner),
            Side::Inside(owner) if key.transport == Transport::Echo => self.share.home(owner),
            Side::Inside(owner) => match self.server(&key) {
                Some(server) if self.rules.is_source(key.transport, (key.src, key.ports.src())) => {
                    self.share.home(owner.min(server))
                }
                Some(_) => self.share.home(owner),
                None => self.slice(&key).unwrap_or(self.share.home(owner)),
            },
            Side::Outside => {
                let published = self.server(&key).map(|owner| self.share.home(owner));
                published.or_else(|| self.slice(&key)).unwrap_or(self.share.worker())
            }
        }
    }

    /// The container behind a published port.
    fn server(&self, key: &Key) -> Option<OwnerId> {
        let target = self.rules.target(key.transport, key.src, key.dst, key.ports.dst());
        target.map(|target| target.owner)
    }

    /// Whose slice a port of ours is of.
    fn slice(&self, key: &Key) -> Option<usize> {
        let range = self.rules.range().filter(|_| self.rules.is_local(key.dst))?;
        self.share.slice_of(range, key.ports.dst())
    }
}
