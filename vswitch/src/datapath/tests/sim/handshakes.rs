//! Handshakes that may be cut through.

use std::sync::Arc;

use vswitch_cutthrough::Allowed;

use super::Sim;

impl Sim {
    /// The workers write handshakes into a table.
    pub(in crate::datapath::tests) fn set_allowed(&mut self, allowed: Arc<Allowed>) {
        self.allowed = Some(allowed);
        self.compile();
    }
}
