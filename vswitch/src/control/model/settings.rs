//! The settings of ports.

use fastpath::PortIndex;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use super::{EndpointKey, Lease, Model, NetworkName, limits};
use crate::control::error::ControlError;
use crate::datapath::PortKind;

/// A port with settings.
enum Port {
    Host(NetworkName),
    Endpoint(EndpointKey),
}

impl Model {
    /// The port of that name; the name of a host device means its port.
    fn port(&self, name: &str) -> Result<Port, ControlError> {
        if let Some(network) = self.network_of_device(name) {
            return Ok(Port::Host(network.spec.name.clone()));
        }
        let key = self.find(name)?;
        self.active_endpoint(&key)?;
        Ok(Port::Endpoint(key))
    }

    /// The settings of a new endpoint, before its own.
    pub(crate) fn default_settings(&self, network: &NetworkName) -> PortSettings {
        let Some(network) = self.network_named(network) else { return PortSettings::default() };
        let isolated = network.spec.isolated_ports;
        let isolation = if isolated { Isolation::Isolated } else { Isolation::default() };
        PortSettings { isolation, ..PortSettings::default() }.changed(&network.spec.port_settings)
    }

    /// The settings of a port.
    pub(crate) fn settings(&self, name: &str) -> Result<&PortSettings, ControlError> {
        match self.port(name)? {
            Port::Host(network) => Ok(&self.networks[&network].spec.host_settings),
            Port::Endpoint(key) => Ok(&self.active_endpoint(&key)?.settings),
        }
    }

    /// The slot of a port, and whether it is a host port.
    pub(crate) fn slot_of(&self, name: &str) -> Result<(PortIndex, bool), ControlError> {
        match self.port(name)? {
            Port::Host(network) => {
                let unknown = || ControlError::UnknownPort(name.to_owned());
                Ok((self.networks[&network].host_port.ok_or_else(unknown)?, true))
            }
            Port::Endpoint(key) => Ok((self.active_endpoint(&key)?.lease.slot, false)),
        }
    }

    /// Changes settings for the next [`Model::snapshot`]. Gives the former and the new ones.
    pub(crate) fn change_settings(
        &mut self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<(PortSettings, PortSettings), ControlError> {
        let former = self.settings(name)?.clone();
        let settings = former.changed(change);
        match self.port(name)? {
            Port::Host(_) => check_host(change, name)?,
            Port::Endpoint(key) => self.active_endpoint(&key)?.lease.check_guard(&settings)?,
        }
        self.set_port_settings(name, settings.clone())?;
        Ok((former, settings))
    }

    /// Replaces the settings of a port.
    pub(crate) fn set_port_settings(
        &mut self,
        name: &str,
        settings: PortSettings,
    ) -> Result<(), ControlError> {
        let network = match self.port(name)? {
            Port::Host(network) => {
                if let Some(network) = self.networks.get_mut(&network) {
                    let former = &network.host_limits;
                    network.host_limits = limits::compile(&settings.limits, PortKind::Host, former);
                    network.spec.host_settings = settings;
                }
                network
            }
            Port::Endpoint(key) => {
                self.change(&key, |endpoint| {
                    let former = &endpoint.limits;
                    endpoint.limits =
                        limits::compile(&settings.limits, PortKind::Container, former);
                    endpoint.settings = settings;
                });
                key.network
            }
        };
        self.invalidate_network(&network);
        Ok(())
    }

    /// The leases that a change of settings concerns: a port's own, or by a host device all of its network.
    pub(crate) fn leases_of(&self, name: &str) -> Vec<Lease> {
        let Ok(port) = self.port(name) else { return Vec::new() };
        let concerned = |lease: &&Lease| match &port {
            Port::Host(network) => lease.network == *network,
            Port::Endpoint(key) => lease.key() == *key,
        };
        let shown = self.endpoints().filter(|endpoint| endpoint.in_snapshot);
        shown.map(|endpoint| &endpoint.lease).filter(concerned).cloned().collect()
    }
}

/// Refuses settings that a host port does not have: the host is trusted, and all reach the gateway.
fn check_host(change: &SettingsChange, name: &str) -> Result<(), ControlError> {
    let what = match change {
        SettingsChange { guard: Some(_), .. } => "source guard",
        SettingsChange { isolation: Some(_), .. } => "isolation",
        SettingsChange { guard: None, isolation: None, vlan: _, limits: _ } => return Ok(()),
    };
    Err(ControlError::HostSettings { bridge: name.to_owned(), what })
}
