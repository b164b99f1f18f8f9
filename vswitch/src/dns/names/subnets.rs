//! A set of subnets that tells whether it covers a prefix, at a cost that its size does not change.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

/// Subnets, which may overlap and be equal.
#[derive(Debug, Default)]
pub(super) struct Subnets {
    /// Times that each was added.
    counts: HashMap<IpNet, usize>,
    /// Number of subnets of each prefix length; IPv6 apart from IPv4.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl Subnets {
    pub(super) fn add(&mut self, subnet: IpNet) {
        let subnet = subnet.trunc();
        let count = self.counts.entry(subnet).or_default();
        *count += 1;
        if *count == 1 {
            *self.lengths.entry(length(&subnet)).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, subnet: IpNet) {
        let subnet = subnet.trunc();
        let Some(count) = self.counts.get_mut(&subnet) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.counts.remove(&subnet);
        if let Some(subnets) = self.lengths.get_mut(&length(&subnet)) {
            *subnets -= 1;
            if *subnets == 0 {
                self.lengths.remove(&length(&subnet));
            }
        }
    }

    /// Whether all addresses of a prefix are in one of the subnets.
    pub(super) fn cover(&self, prefix: IpNet) -> bool {
        let (is_ipv6, longest) = length(&prefix);
        self.lengths.range((is_ipv6, 0)..=(is_ipv6, longest)).any(|((_, length), _)| {
            IpNet::new(prefix.addr(), *length)
                .is_ok_and(|subnet| self.counts.contains_key(&subnet.trunc()))
        })
    }
}

fn length(subnet: &IpNet) -> (bool, u8) {
    (matches!(subnet, IpNet::V6(_)), subnet.prefix_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_covered_while_a_subnet_around_it_is_there() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let mut subnets = Subnets::default();
        assert!(!subnets.cover(net("10.99.0.1/32")));
        subnets.add(net("10.99.0.1/16"));
        subnets.add(net("10.99.0.0/16"));
        subnets.add(net("fd00:1::/64"));
        assert!(subnets.cover(net("10.99.3.4/32")) && subnets.cover(net("10.99.0.0/16")));
        assert!(!subnets.cover(net("10.0.0.0/8")) && !subnets.cover(net("10.98.0.1/32")));
        assert!(subnets.cover(net("fd00:1::5/128")) && !subnets.cover(net("fd00::/16")));
        subnets.remove(net("10.99.0.0/16"));
        assert!(subnets.cover(net("10.99.3.4/32")), "the other one is still there");
        subnets.remove(net("10.99.0.0/16"));
        subnets.remove(net("10.99.0.0/16"));
        assert!(!subnets.cover(net("10.99.3.4/32")) && subnets.lengths.len() == 1);
    }
}
