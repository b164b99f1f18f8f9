//! Networks that may reach each other.

use std::collections::BTreeMap;

use super::{Model, Network};
use crate::datapath::{NetworkIndex, ReachableNetwork};

impl Model {
    /// Shown networks whose containers may open connections to those of this one.
    pub(super) fn sources<'a>(&'a self, to: &'a Network) -> impl Iterator<Item = &'a Network> {
        let named = to.spec.reachable_from.iter().filter_map(|name| self.networks.get(name));
        named.filter(|network| network.in_snapshot)
    }

    /// For each network those that it may reach or answer.
    pub(super) fn reachable_networks(&self) -> BTreeMap<NetworkIndex, Vec<ReachableNetwork>> {
        let by_host = self.uplink.as_ref().is_some_and(|uplink| !uplink.is_own);
        let mut pairs = BTreeMap::<_, BTreeMap<_, ReachableNetwork>>::new();
        let mut add = |of: &Network, to: &Network, may_open: bool| {
            let known = pairs.entry(of.index).or_default();
            let pair = known.entry(to.index).or_insert_with(|| ReachableNetwork {
                index: to.index,
                subnets: to.spec.subnets().to_vec(),
                gateways: to.spec.gateways().to_vec(),
                may_open,
                by_host,
            });
            pair.may_open |= may_open;
        };
        for to in self.networks().filter(|network| network.in_snapshot) {
            for from in self.sources(to) {
                add(from, to, true);
                add(to, from, false);
            }
        }
        pairs.into_iter().map(|(index, known)| (index, known.into_values().collect())).collect()
    }
}
