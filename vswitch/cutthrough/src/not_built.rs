//! Stands in for the programs where this build has none.

use std::path::Path;
use std::sync::Arc;

use crate::{Allowed, Connection, Counters, Error, NetnsCookie, Options};

/// Cut-through, which this build does not have: there is no value of this type.
#[derive(Debug)]
pub enum CutThrough {}

impl CutThrough {
    /// # Errors
    ///
    /// Always [`Error::NotBuilt`].
    pub const fn start(_: &Options) -> Result<Self, Error> {
        Err(Error::NotBuilt)
    }

    /// Nothing is there to be cleared.
    ///
    /// # Errors
    ///
    /// Never.
    pub const fn clear(_: &Options) -> Result<(), Error> {
        Ok(())
    }

    /// Not reached.
    #[must_use]
    pub const fn allowed(&self) -> &Arc<Allowed> {
        match *self {}
    }

    /// Not reached.
    #[must_use]
    pub const fn cgroup(&self) -> &Path {
        match *self {}
    }

    /// Not reached.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn renew(&self) -> Result<(), Error> {
        match *self {}
    }

    /// Not reached.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        match *self {}
    }

    /// Not reached.
    #[must_use]
    pub const fn connections(&self) -> Vec<Connection> {
        match *self {}
    }

    /// Not reached.
    pub fn leave(&self, _: impl Fn(&Connection) -> bool) {
        match *self {}
    }

    /// Not reached.
    pub const fn leave_netns(&self, _: NetnsCookie) {
        match *self {}
    }

    /// Not reached.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn stop(self) -> Result<(), Error> {
        match self {}
    }
}
