//! How another policy is kept to.

use super::{Nat, identity};
use crate::policy::Policy;
use crate::rules::Rules;
use crate::table::flow::{Flow, Traits, Way};
use crate::table::locals;
use crate::tuple::OwnerId;

impl Nat {
    /// Keeps to another policy: ends the connections of what is no longer published, or not like that,
    /// and those that appear from an IPv4 address that is no longer ours; IPv6 connections keep their
    /// address. If the range of ports is another one, all that have a port of the old one end.
    ///
    /// Looks at the connections of the owners concerned, or at all if an address or the range has changed.
    pub fn follow(&mut self, policy: &Policy) {
        self.followed = Some(identity(policy));
        let rules = Rules::new(policy, self.share);
        let before = std::mem::replace(&mut self.rules, rules);
        if before.ports().is_some_and(|ports| Some(ports) != self.rules.ports()) {
            let mapped = Traits::CLIENT_MAPPED | Traits::SERVER_MAPPED;
            self.end_where(|_, flow| flow.traits.has(mapped));
            self.locals.forget_ports();
        }
        let is_gone = |(local, address): &(u16, _)| {
            self.locals.is_used(*local) && !self.rules.is_local(*address)
        };
        let v4 = self.locals.numbers().filter(|(_, address)| address.is_v4());
        let gone: Vec<u16> = v4.filter(is_gone).map(|(local, _)| local).collect();
        if !gone.is_empty() {
            self.end_where(|_, flow| flow.aliases.iter().any(|local| gone.contains(local)));
        }
        let mut owners: Vec<OwnerId> =
            before.not_in(&self.rules).map(|entry| entry.owner).collect();
        if !owners.is_empty() {
            owners.extend(self.owners.with_hairpins());
            owners.sort_unstable();
            owners.dedup();
            for owner in owners {
                self.end_owned(owner, |nat, flow| !nat.is_still_published(flow));
            }
        }
    }

    /// Whether what is published still translates a connection as it is.
    fn is_still_published(&self, flow: &Flow) -> bool {
        let forward = flow.key(Way::Forward, &self.locals);
        let back = flow.key(Way::Back, &self.locals);
        let by_rule = |alias: u16, mapped: u8| alias != locals::NONE && !flow.traits.has(mapped);
        if by_rule(flow.aliases[1], Traits::SERVER_MAPPED) {
            let port = forward.ports.dst();
            let target = self.rules.target(flow.transport, forward.src, forward.dst, port);
            let server = (back.src, back.ports.src());
            let leads_there = target
                .is_some_and(|target| target.is_allowed && (target.address, target.port) == server);
            if !leads_there {
                return false;
            }
        }
        if by_rule(flow.aliases[0], Traits::CLIENT_MAPPED) {
            let inner = (forward.src, forward.ports.src());
            let port = self.rules.port_of(flow.transport, inner, back.dst);
            return port == Some(back.ports.dst());
        }
        true
    }
}
