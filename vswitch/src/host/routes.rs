//! Overlap of a subnet with routes of the host.

use ipnet::IpNet;

/// Prefixes up to this length are default routes: also the two halves that VPN clients set instead.
const DEFAULT_PREFIX_LEN_MAX: u8 = 1;

/// A route of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostRoute {
    /// Destination prefix.
    pub(crate) destination: IpNet,
    /// Index of the device; none for blackholes and multipath routes.
    pub(crate) device: Option<u32>,
}

/// The first route that shares addresses with a subnet, default routes aside.
pub(crate) fn overlapping(subnet: IpNet, routes: &[HostRoute]) -> Option<&HostRoute> {
    let subnet = subnet.trunc();
    routes.iter().find(|route| {
        let destination = route.destination.trunc();
        destination.prefix_len() > DEFAULT_PREFIX_LEN_MAX
            && (destination.contains(&subnet) || subnet.contains(&destination))
    })
}
