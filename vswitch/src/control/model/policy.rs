//! What ports may do, as it is wanted.

use vswitch_api::policy::{PolicyChange, PortPolicy};

use super::{Model, Phase};
use crate::control::error::ControlError;

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

    /// Changes it; takes effect with the next [`Model::snapshot`]. Gives what it was and what it is.
    pub(crate) fn change_policy(
        &mut self,
        name: &str,
        change: &PolicyChange,
    ) -> Result<(PortPolicy, PortPolicy), ControlError> {
        let former = self.policy(name)?.clone();
        let policy = former.changed(change);
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
            self.network.host_policy = policy;
            return Ok(());
        }
        self.change(&name.parse()?, |port| port.policy = policy);
        Ok(())
    }
}
