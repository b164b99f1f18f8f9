//! What is still to be done for networks of the registry. It is tried again from time to time (`registry/follow.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vswitch_registry::record::Network;

use crate::control::model::NetworkName;
use crate::control::name::Name;

/// An endpoint of this node, or without a name the host's own on a network.
pub(super) type Unannounced = (NetworkName, Option<Name>);

/// Work that failed.
#[derive(Debug, Default)]
pub(in crate::control) struct Outstanding {
    unmade: Mutex<BTreeMap<String, Arc<Network>>>,
    unannounced: Mutex<BTreeSet<Unannounced>>,
}

impl Outstanding {
    /// Networks that could not be made here, by name.
    pub(super) fn unmade(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Network>>> {
        self.unmade.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Endpoints that the registry has not taken.
    pub(super) fn unannounced(&self) -> MutexGuard<'_, BTreeSet<Unannounced>> {
        self.unannounced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
