//! Work for networks of the registry that failed, and is tried again from time to time (`registry/follow.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use vswitch_registry::record::Network;

use crate::control::model::NetworkName;
use crate::control::name::Name;

/// An endpoint of this node, or without a name the host's own on a network.
pub(super) type Unannounced = (NetworkName, Option<Name>);

/// Work that failed.
#[derive(Debug, Default)]
pub(in crate::control) struct Outstanding {
    unmade: Mutex<BTreeMap<String, Arc<Network>>>,
    undropped: Mutex<BTreeSet<String>>,
    creating: Mutex<BTreeSet<String>>,
    blocks: Mutex<BTreeSet<(String, IpNet)>>,
    unannounced: Mutex<BTreeSet<Unannounced>>,
}

impl Outstanding {
    /// Networks that could not be made here, by name.
    pub(super) fn unmade(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Network>>> {
        self.unmade.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Networks that the registry has no more, and that are in use here, by name.
    pub(super) fn undropped(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.undropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Networks that a request of this node creates, by name: the request makes them, not the follower.
    pub(super) fn creating(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request creates a network, and looks at it at its end: it may be another node's.
    pub(super) fn leave_to_request(&self, network: &Arc<Network>) -> bool {
        // Held until the network is noted, so that the request's end finds it.
        let creating = self.creating();
        let is_left = creating.contains(&network.name);
        if is_left {
            self.unmade().insert(network.name.clone(), Arc::clone(network));
        }
        is_left
    }

    /// Blocks that this node has, whose network may be made later.
    pub(super) fn blocks(&self) -> MutexGuard<'_, BTreeSet<(String, IpNet)>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Endpoints that the registry has not taken.
    pub(super) fn unannounced(&self) -> MutexGuard<'_, BTreeSet<Unannounced>> {
        self.unannounced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
