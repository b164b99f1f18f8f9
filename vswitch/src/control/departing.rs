//! Endpoints whose namespaces have ended, while the kernel takes their interfaces down.
//!
//! A container that is started again at once asks for the name, the addresses and the ports of its former run. The
//! kernel destroys a namespace later than its last process ends, by tens of milliseconds, and the switch detaches an
//! endpoint with its interface. So an attach waits for an endpoint whose namespace nobody is in any more.

use tokio::time::{Instant, timeout_at};

use super::error::ControlError;
use super::inner::{Inner, retry_while_busy};
use super::limits::DETACH_WAIT_MAX;
use super::task::blocking;
use crate::host::netns;

impl Inner {
    /// Tries again while another request changes what the attempt needs, or an endpoint has it whose namespace has
    /// ended.
    pub(super) async fn retry_while_departing<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let deadline = Instant::now() + DETACH_WAIT_MAX;
        loop {
            // Made before the attempt, so that an end between the two is not missed.
            let settled = self.settled.notified();
            let held = match retry_while_busy(&self.settled, DETACH_WAIT_MAX, &mut attempt).await {
                Err(error) if error.is_held() => error,
                result => return result,
            };
            if !self.is_one_departing().await? || timeout_at(deadline, settled).await.is_err() {
                return Err(held);
            }
        }
    }

    /// Whether the namespace of an active endpoint has ended.
    async fn is_one_departing(&self) -> Result<bool, ControlError> {
        let mut known: Vec<_> = {
            let model = self.model();
            let records = model.active().filter_map(|(_, binding)| binding.netns.as_ref());
            records.map(|record| (record.path.clone(), record.id)).collect()
        };
        blocking(move || {
            known.retain(|(path, id)| netns::id_of(path) != Some(*id));
            known.iter().any(|(path, id)| netns::find(*id, path).is_none())
        })
        .await
    }
}

impl ControlError {
    /// Whether another endpoint has what was asked for.
    fn is_held(&self) -> bool {
        matches!(
            self,
            Self::NameTaken(_)
                | Self::AddressInUse { .. }
                | Self::MacInUse { .. }
                | Self::PortPublished { .. }
        )
    }
}
