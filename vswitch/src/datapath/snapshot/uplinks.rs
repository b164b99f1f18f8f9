//! Uplinks of the networks, and the routers that have them.

use fastpath::PortIndex;

use super::super::router::{Router, UplinkConf, UplinkLink};
use super::Snapshot;

impl Snapshot {
    /// Uplinks of all networks.
    pub(in super::super) fn uplinks(&self) -> impl Iterator<Item = &UplinkConf> {
        let routers = self.networks.iter().filter_map(|network| network.router.as_deref());
        routers.filter_map(Router::uplink)
    }

    /// The routers of networks that have the uplink of a port.
    pub(in super::super) fn routers_of(
        &self,
        port: PortIndex,
    ) -> impl Iterator<Item = (&Router, &UplinkConf)> {
        let routers = self.networks.iter().filter_map(|network| network.router.as_deref());
        routers.filter_map(move |router| {
            Some((router, router.uplink().filter(|it| it.link_of(port).is_some())?))
        })
    }

    /// The uplink of a port, as the first network that has it describes it.
    pub(in super::super) fn uplink_of(&self, port: PortIndex) -> Option<&UplinkLink> {
        let (_, uplink) = self.routers_of(port).next()?;
        uplink.link_of(port)
    }
}
