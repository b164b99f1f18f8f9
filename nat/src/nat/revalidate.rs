//! Adoption of another policy.

use std::sync::Arc;

use super::Nat;
use crate::compiled_policy::CompiledPolicy;
use crate::limits::REVOKE_OPERATIONS;

impl Nat {
    /// Adopts a policy. Does nothing if its epoch is the current one.
    ///
    /// Revokes connections to ports that are no longer published like that, connections from an SNAT address that is
    /// gone, and connections whose route now wants another one ([`super::reroute`]). Another range of SNAT ports
    /// revokes all connections with a port of the old range, and no port is allocated until they ended.
    /// The range of a running switch does not change.
    pub fn revalidate(&mut self, policy: &Arc<CompiledPolicy>) {
        if policy.epoch() == self.policy.epoch() {
            return;
        }
        let before = std::mem::replace(&mut self.policy, Arc::clone(policy));
        let epoch = self.revoked.adopt(before.epoch(), policy.epoch());
        let ports = self.shard_spec.slice(policy.ports());
        let former_ports = std::mem::replace(&mut self.ports, ports);
        if !former_ports.is_empty() && former_ports != self.ports {
            self.revoke_range(epoch);
        } else if former_ports.is_empty() {
            self.blocks = super::blocks::of(&self.ports, self.is_claiming);
        }
        let is_gone = |(addr_idx, address): &(u16, _)| {
            self.externals.is_used(*addr_idx) && !self.policy.is_external(*address)
        };
        let v4 = self.externals.numbers().filter(|(_, address)| address.is_v4());
        let gone: Vec<u16> = v4.filter(is_gone).map(|(addr_idx, _)| addr_idx).collect();
        for addr_idx in &gone {
            self.externals.revoke(*addr_idx, epoch);
        }
        self.note_gone();
        let has_new_sources = !self.policy.has_sources_of(&before);
        if has_new_sources {
            self.revoked.routes_since = Some(epoch);
        }
        let had_any = before.revoked_by(&self.policy).any(|entry| {
            let owner = self.owners.get(entry.owner);
            owner.is_some_and(|owner| owner.published + owner.hairpins > 0)
        });
        if had_any || has_new_sources || !gone.is_empty() {
            self.start_sweep();
        }
        self.reclaim(&mut { REVOKE_OPERATIONS });
    }
}
