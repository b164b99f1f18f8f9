//! The service port, which all networks share.

use fastpath::PortIndex;
use wire::MacAddr;

use super::compile::vlans;
use super::{Model, Network, SlotOwner};
use crate::control::error::ControlError;
use crate::datapath::{PortConf, ServiceConf};

/// The name of the service port in counters and metrics.
pub(super) const SERVICE_LABEL: &str = "vswitch.service";

impl Model {
    /// Adds the service port, whose TAP has this MAC address. Gives its slot.
    pub(crate) fn add_service(&mut self, mac: MacAddr) -> Result<PortIndex, ControlError> {
        let slot = self.slots.allocate(SlotOwner::Service)?;
        self.service = Some((slot, mac));
        Ok(slot)
    }

    /// The service port for a snapshot.
    pub(super) fn service_port(&self) -> Option<(PortIndex, PortConf)> {
        self.service.map(|(slot, mac)| (slot, PortConf::service(mac)))
    }

    /// Where containers of a network ask: at the gateway, on the host's VLAN.
    pub(super) fn service(&self, network: &Network) -> Option<ServiceConf> {
        self.service?;
        Some(ServiceConf {
            vlan: vlans(&network.spec.host_settings.vlan).untagged()?,
            gateways: network.spec.gateways().to_vec(),
            has_host_port: network.host_port.is_some(),
        })
    }
}
