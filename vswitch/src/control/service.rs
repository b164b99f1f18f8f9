//! Start of the service port.

use std::sync::PoisonError;

use super::Control;
use super::error::ControlError;
use crate::host::service::ServicePort;

impl Control {
    /// Creates the service port, and shows it to the datapath.
    pub(super) async fn start_service(&self) -> Result<(), ControlError> {
        let inner = &self.0;
        let ServicePort { mac, queues, sockets } =
            ServicePort::create(inner.dataplane.workers()).await?;
        let slot = inner.model().add_service(mac)?;
        inner.dataplane.add_port(slot, queues).await?;
        tracing::debug!(udp = ?sockets.udp, tcp = ?sockets.tcp, "the service port is open");
        *inner.service.lock().unwrap_or_else(PoisonError::into_inner) = Some(sockets);
        inner.commit_snapshot();
        Ok(())
    }
}
