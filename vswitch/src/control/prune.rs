//! The clean-up of attachments that nobody can reach any more.
//!
//! A namespace that ends takes its interface with it, and the switch detaches it. But a namespace may live on
//! without a process or a name: an open descriptor, or a mount elsewhere, keeps it.

use vswitch_api::port::Pruned;

use super::Control;
use super::error::ControlError;
use super::task::blocking;
use crate::host::netns;

impl Control {
    /// Detaches endpoints whose namespace has neither a process nor a name.
    pub(crate) async fn prune(&self) -> Result<Pruned, ControlError> {
        self.0.check_not_ending()?;
        let bound: Vec<_> = {
            let model = self.0.model();
            let records = model.active().filter_map(|(endpoint, binding)| {
                Some((endpoint.lease.slot, endpoint.lease.name.clone(), binding.netns.clone()?))
            });
            records.collect()
        };
        let mut detached = Vec::new();
        for (slot, name, record) in bound {
            let found = blocking(move || netns::find(record.id, &record.path)).await??;
            if found.is_none() {
                self.detach_lost_port(slot).await;
                detached.push(name.to_string());
            }
        }
        detached.dedup();
        Ok(Pruned { detached })
    }
}
