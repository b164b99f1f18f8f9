//! How another policy is kept to.

use super::{Nat, identity};
use crate::limits::WITHDRAW_OPERATIONS;
use crate::policy::Policy;
use crate::rules::Rules;

impl Nat {
    /// Keeps to another policy: withdraws the connections of what is no longer published, or not like that,
    /// and those that appear from an IPv4 address that is no longer ours; IPv6 connections keep their
    /// address. If the range of ports is another one, all that have a port of the old one end, and no
    /// port is given out until they have; the range of a running switch does not change.
    pub fn follow(&mut self, policy: &Policy) {
        self.followed = Some(identity(policy));
        let epoch = self.withdrawn.next_epoch();
        let rules = Rules::new(policy, self.share, &self.rules, epoch);
        let before = std::mem::replace(&mut self.rules, rules);
        if before.ports().is_some_and(|ports| Some(ports) != self.rules.ports()) {
            self.withdraw_range(epoch);
        }
        let is_gone = |(local, address): &(u16, _)| {
            self.locals.is_used(*local) && !self.rules.is_local(*address)
        };
        let v4 = self.locals.numbers().filter(|(_, address)| address.is_v4());
        let gone: Vec<u16> = v4.filter(is_gone).map(|(local, _)| local).collect();
        for local in &gone {
            self.locals.withdraw(*local, epoch);
        }
        let had_any = before.not_in(&self.rules).any(|entry| {
            let owner = self.owners.get(entry.owner);
            owner.is_some_and(|owner| owner.published + owner.reached > 0)
        });
        if had_any || !gone.is_empty() {
            self.begin_lap();
        }
        self.take_back(&mut { WITHDRAW_OPERATIONS });
    }
}
