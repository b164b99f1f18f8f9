//! The table of handshakes of a snapshot.

use std::sync::Arc;

use vswitch_cutthrough::Allowed;

use super::Snapshot;

impl Snapshot {
    /// The same with the table of handshakes for cut-through.
    #[must_use]
    pub fn with_cut_through(self, allowed: Option<Arc<Allowed>>) -> Self {
        Self { allowed, ..self }
    }

    /// The table of handshakes, while cut-through is on.
    #[inline]
    pub(in crate::datapath) fn allowed(&self) -> Option<&Allowed> {
        self.allowed.as_deref()
    }
}
