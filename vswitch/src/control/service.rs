//! Start of the service port.

use super::Control;
use super::error::ControlError;
use crate::config::Dns;
use crate::host::service::ServicePort;

impl Control {
    /// Creates the service port, starts its server, and shows it to the datapath; nothing with `--no-dns`.
    pub(super) async fn start_service(&self) -> Result<(), ControlError> {
        let inner = &self.0;
        if inner.config.dns == Dns::Off {
            return Ok(());
        }
        let ServicePort { mac, queues, sockets } =
            ServicePort::create(inner.dataplane.workers()).await?;
        let slot = inner.model().add_service(mac)?;
        inner.dataplane.add_port(slot, queues).await?;
        tracing::debug!(udp = ?sockets.udp, tcp = ?sockets.tcp, "the service port is open");
        self.start_dns(sockets)?;
        inner.commit_snapshot();
        Ok(())
    }
}
