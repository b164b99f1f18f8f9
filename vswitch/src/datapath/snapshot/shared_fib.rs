//! Destinations beyond a network, compiled once for all networks with the same uplink.

use std::sync::Arc;

use crate::datapath::EgressMode;
use crate::datapath::router::{OuterFib, RouterConf};

/// Destinations that were compiled last: networks with the same uplink share them.
#[derive(Default)]
pub(super) struct SharedFib(Option<(RouterConf, Arc<OuterFib>)>);

impl SharedFib {
    /// Those of a router: of the network before, of the last snapshot, or new ones.
    pub(super) fn compile(
        &mut self,
        conf: &RouterConf,
        last: Option<(&RouterConf, &Arc<OuterFib>)>,
    ) -> Arc<OuterFib> {
        if let Some((known, outer)) = &self.0
            && known.has_same_routes(conf)
        {
            return Arc::clone(outer);
        }
        let same = last.filter(|(last, _)| last.has_same_routes(conf));
        let outer = same.map_or_else(|| Arc::new(OuterFib::new(conf)), |(_, it)| Arc::clone(it));
        // An internal network has nothing to share, and may lie between two that have.
        if matches!(conf.egress, EgressMode::Uplink(_)) {
            self.0 = Some((conf.clone(), Arc::clone(&outer)));
        }
        outer
    }
}

#[cfg(test)]
mod tests {
    use fastpath::PortIndex;
    use wire::MacAddr;

    use super::*;
    use crate::datapath::{Routes, UplinkConf, UplinkLink, UplinkNeighbours};

    fn router(egress: EgressMode) -> RouterConf {
        RouterConf {
            gateway_mac: MacAddr([2; 6]),
            gateways: Vec::new(),
            subnets: Vec::new(),
            local: Arc::default(),
            reachable: Vec::new(),
            egress,
        }
    }

    #[test]
    fn networks_with_an_uplink_share_whatever_lies_between_them() {
        let policy = nat::Policy {
            external_v4: None,
            external_v6: None,
            sources: Vec::new(),
            host_addrs: Vec::new(),
            ports: 20_000..=29_999,
            published: Vec::new(),
            quota: 100,
        };
        let uplink = router(EgressMode::Uplink(Arc::new(UplinkConf {
            links: Arc::new(vec![UplinkLink {
                port: PortIndex(1),
                device_mac: MacAddr([4; 6]),
                tap_mac: MacAddr([6; 6]),
                mtu: 1500,
                up: true,
                neighbours: UplinkNeighbours::new(Vec::new()),
            }]),
            by_container: Vec::new(),
            by_source: Vec::new(),
            routes: Routes::new(Vec::new()),
            policy: nat::CompiledPolicy::compile(policy, None),
        })));
        let mut shared = SharedFib::default();
        let [one, isle, other] = [&uplink, &router(EgressMode::Internal), &uplink]
            .map(|conf| shared.compile(conf, None));
        assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &isle));
    }
}
