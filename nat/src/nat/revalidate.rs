//! How another policy is kept to.

use super::{Nat, policy_id};
use crate::limits::REVOKE_OPERATIONS;
use crate::policy::Policy;
use crate::rules::Rules;

impl Nat {
    /// Keeps to another policy: revokes the connections of what is no longer published, or not like that,
    /// and those that appear from an IPv4 address that is no longer ours; IPv6 connections keep their
    /// address. If the range of ports is another one, all that have a port of the old one end, and no
    /// port is given out until they have; the range of a running switch does not change.
    pub fn revalidate(&mut self, policy: &Policy) {
        self.policy_id = Some(policy_id(policy));
        let epoch = self.revoked.next_epoch();
        let rules = Rules::new(policy, self.shard_spec, &self.rules, epoch);
        let before = std::mem::replace(&mut self.rules, rules);
        if before.ports().is_some_and(|ports| Some(ports) != self.rules.ports()) {
            self.revoke_range(epoch);
        }
        let is_gone = |(addr_idx, address): &(u16, _)| {
            self.externals.is_used(*addr_idx) && !self.rules.is_external(*address)
        };
        let v4 = self.externals.numbers().filter(|(_, address)| address.is_v4());
        let gone: Vec<u16> = v4.filter(is_gone).map(|(addr_idx, _)| addr_idx).collect();
        for addr_idx in &gone {
            self.externals.revoke(*addr_idx, epoch);
        }
        let had_any = before.not_in(&self.rules).any(|entry| {
            let owner = self.owners.get(entry.owner);
            owner.is_some_and(|owner| owner.published + owner.hairpins > 0)
        });
        if had_any || !gone.is_empty() {
            self.start_sweep();
        }
        self.reclaim(&mut { REVOKE_OPERATIONS });
    }
}
