//! Endpoints whose namespaces have ended, while the kernel takes their interfaces down.
//!
//! A container that is started again at once asks for the name, the addresses and the ports of its former run. The
//! kernel destroys a namespace later than its last process ends, by tens of milliseconds, and the switch detaches an
//! endpoint with its interface. So a conflict with an endpoint that is detached, or whose namespace no process is in and
//! no path leads to, is no conflict yet: the attach waits. Nor is one with a port whose publication is being withdrawn.

use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout_at};

use super::error::ControlError;
use super::inner::Inner;
use super::model::EndpointState;
use super::task::blocking;
use crate::host::netns;

impl Inner {
    /// Waits for the end of the endpoint that has what an attempt needs. `settled` was made before the attempt, so
    /// that an end between the two is not missed. False if the attempt's error stays.
    pub(super) async fn wait_for_owner(
        &self,
        error: &ControlError,
        settled: Notified<'_>,
        deadline: Instant,
    ) -> Result<bool, ControlError> {
        let Some(owner) = error.owner() else { return Ok(false) };
        Ok(self.ends(owner).await? && timeout_at(deadline, settled).await.is_ok())
    }

    /// Whether an endpoint with this name is detached, closes ports, or has no namespace any more.
    async fn ends(&self, name: &str) -> Result<bool, ControlError> {
        let mut namespaces = Vec::new();
        {
            let model = self.model();
            if model.is_closing(name) {
                return Ok(true);
            }
            for endpoint in model.endpoints().filter(|it| it.lease.name.as_str() == name) {
                let binding = endpoint.binding.as_ref().and_then(|binding| binding.netns.as_ref());
                match (endpoint.state, binding) {
                    (EndpointState::Detaching, _) => return Ok(true),
                    (EndpointState::Active, Some(netns)) => {
                        namespaces.push((netns.id, netns.path.clone()))
                    }
                    _ => {}
                }
            }
        }
        let is_gone =
            move || namespaces.iter().any(|(id, path)| matches!(netns::find(*id, path), Ok(None)));
        blocking(is_gone).await
    }
}

impl ControlError {
    /// The name of the endpoint that has what was asked for.
    fn owner(&self) -> Option<&str> {
        match self {
            Self::NameTaken(owner)
            | Self::AddressInUse { owner, .. }
            | Self::MacInUse { owner, .. }
            | Self::PortPublished { owner, .. } => Some(owner),
            _ => None,
        }
    }
}
