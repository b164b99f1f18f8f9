//! Compiled parts of the snapshot, which snapshots share while their sources stay the same.

use std::sync::Arc;

/// A compiled part of the snapshot, which may be older than its source.
#[derive(Debug)]
pub(super) struct Cached<T> {
    part: Option<Arc<T>>,
    is_stale: bool,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { part: None, is_stale: true }
    }
}

impl<T> Cached<T> {
    /// Notes a change of the source.
    pub(super) fn invalidate(&mut self) {
        self.is_stale = true;
    }

    /// The part, unless its source has changed.
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        self.part.clone().filter(|_| !self.is_stale)
    }

    /// The part that was compiled last.
    pub(super) fn last(&self) -> Option<&Arc<T>> {
        self.part.as_ref()
    }

    pub(super) fn store(&mut self, part: Arc<T>) -> Arc<T> {
        self.is_stale = false;
        Arc::clone(self.part.insert(part))
    }
}
