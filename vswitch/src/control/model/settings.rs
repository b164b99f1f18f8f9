//! What ports may do, as it is wanted.

use std::net::IpAddr;

use fastpath::PortIndex;
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use super::{HOST_PORT, Lease, Model, PortState, limits};
use crate::control::error::ControlError;
use crate::datapath::PortKind;

impl Model {
    /// The settings of a port; the host's go by the bridge's name.
    pub(crate) fn settings(&self, name: &str) -> Result<&PortSettings, ControlError> {
        if name == self.network.name.as_str() {
            return Ok(&self.network.host_settings);
        }
        let name = name.parse()?;
        match self.ports.get(&name) {
            Some(port) if port.state == PortState::Active => Ok(&port.settings),
            _ => Err(ControlError::UnknownPort(name.to_string())),
        }
    }

    /// The slot of such a port.
    pub(crate) fn slot_of(&self, name: &str) -> Result<PortIndex, ControlError> {
        self.settings(name)?;
        let port = name.parse().ok().and_then(|name| self.ports.get(&name));
        Ok(port.map_or(HOST_PORT, |port| port.lease.slot))
    }

    /// Changes it; takes effect with the next [`Model::snapshot`]. Gives what it was and what it is.
    pub(crate) fn change_settings(
        &mut self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<(PortSettings, PortSettings), ControlError> {
        let former = self.settings(name)?.clone();
        let settings = former.changed(change);
        match self.lease(name) {
            Some(lease) => check(&settings, lease)?,
            None => check_host(change, name)?,
        }
        self.set_port_settings(name, settings.clone())?;
        Ok((former, settings))
    }

    /// Replaces it as a whole; nothing where there is no such port.
    pub(crate) fn set_port_settings(
        &mut self,
        name: &str,
        settings: PortSettings,
    ) -> Result<(), ControlError> {
        if name == self.network.name.as_str() {
            self.host_limits = limits::compile(&settings.limits, PortKind::Host, &self.host_limits);
            self.network.host_settings = settings;
            return Ok(());
        }
        self.change(&name.parse()?, |port| {
            port.limits = limits::compile(&settings.limits, PortKind::Container, &port.limits);
            port.settings = settings;
        });
        Ok(())
    }

    fn lease(&self, name: &str) -> Option<&Lease> {
        let port = self.ports.get(&name.parse().ok()?)?;
        Some(&port.lease)
    }
}

/// A guard is for addresses of its own port.
pub(super) fn check(settings: &PortSettings, lease: &Lease) -> Result<(), ControlError> {
    let is_own = |address: &&IpAddr| **address == lease.ipv4 || **address == lease.ipv6;
    match settings.guard.named().iter().find(|address| !is_own(address)) {
        Some(&address) => Err(ControlError::GuardAddress { address, port: lease.name.to_string() }),
        None => Ok(()),
    }
}

/// The host is trusted, and the gateway reached by all: only its VLANs and limits can be chosen.
fn check_host(change: &SettingsChange, name: &str) -> Result<(), ControlError> {
    let what = match change {
        SettingsChange { guard: Some(_), .. } => "source guard",
        SettingsChange { isolation: Some(_), .. } => "isolation",
        SettingsChange { guard: None, isolation: None, vlan: _, limits: _ } => return Ok(()),
    };
    Err(ControlError::HostSettings { bridge: name.to_owned(), what })
}
