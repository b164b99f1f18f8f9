//! What ports may do, as it is wanted.

use std::net::IpAddr;

use fastpath::PortIndex;
use vswitch_api::policy::{PolicyChange, PortPolicy};

use super::{HOST_PORT, Lease, Model, Phase, limits};
use crate::control::error::ControlError;
use crate::datapath::PortKind;

impl Model {
    /// The policy of a port; the host's goes by the bridge's name.
    pub(crate) fn policy(&self, name: &str) -> Result<&PortPolicy, ControlError> {
        if name == self.network.name.as_str() {
            return Ok(&self.network.host_policy);
        }
        let name = name.parse()?;
        match self.ports.get(&name) {
            Some(port) if port.phase == Phase::Active => Ok(&port.policy),
            _ => Err(ControlError::UnknownPort(name.to_string())),
        }
    }

    /// The slot of such a port.
    pub(crate) fn slot_of(&self, name: &str) -> Result<PortIndex, ControlError> {
        self.policy(name)?;
        let port = name.parse().ok().and_then(|name| self.ports.get(&name));
        Ok(port.map_or(HOST_PORT, |port| port.lease.slot))
    }

    /// Changes it; takes effect with the next [`Model::snapshot`]. Gives what it was and what it is.
    pub(crate) fn change_policy(
        &mut self,
        name: &str,
        change: &PolicyChange,
    ) -> Result<(PortPolicy, PortPolicy), ControlError> {
        let former = self.policy(name)?.clone();
        let policy = former.changed(change);
        match self.lease(name) {
            Some(lease) => check(&policy, lease)?,
            None => check_host(change, name)?,
        }
        self.set_policy(name, policy.clone())?;
        Ok((former, policy))
    }

    /// Replaces it as a whole; nothing where there is no such port.
    pub(crate) fn set_policy(
        &mut self,
        name: &str,
        policy: PortPolicy,
    ) -> Result<(), ControlError> {
        if name == self.network.name.as_str() {
            self.host_limits = limits::compile(&policy.limits, PortKind::Host, &self.host_limits);
            self.network.host_policy = policy;
            return Ok(());
        }
        self.change(&name.parse()?, |port| {
            port.limits = limits::compile(&policy.limits, PortKind::Container, &port.limits);
            port.policy = policy;
        });
        Ok(())
    }

    fn lease(&self, name: &str) -> Option<&Lease> {
        let port = self.ports.get(&name.parse().ok()?)?;
        Some(&port.lease)
    }
}

/// A guard is for addresses of its own port.
pub(super) fn check(policy: &PortPolicy, lease: &Lease) -> Result<(), ControlError> {
    let is_own = |address: &&IpAddr| **address == lease.ipv4 || **address == lease.ipv6;
    match policy.guard.named().iter().find(|address| !is_own(address)) {
        Some(&address) => Err(ControlError::GuardAddress { address, port: lease.name.to_string() }),
        None => Ok(()),
    }
}

/// The host is trusted, and the gateway reached by all: only its VLANs and limits can be chosen.
fn check_host(change: &PolicyChange, name: &str) -> Result<(), ControlError> {
    let what = match change {
        PolicyChange { guard: Some(_), .. } => "source guard",
        PolicyChange { isolation: Some(_), .. } => "isolation",
        PolicyChange { guard: None, isolation: None, vlan: _, limits: _ } => return Ok(()),
    };
    Err(ControlError::HostPolicy { bridge: name.to_owned(), what })
}
