//! Names of networks, endpoints and uplinks.

use std::fmt;

use super::Name;
use crate::config::IfName;

/// The name of a network. The device of its host port has it, too.
pub(crate) type NetworkName = IfName;

/// An endpoint's name, which is unique in its network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndpointKey {
    pub(crate) name: Name,
    pub(crate) network: NetworkName,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// The label of an uplink whose first network has this name.
pub(super) fn uplink_label(network: &NetworkName) -> String {
    format!("{network}.uplink")
}

/// Whether the host port or the uplink of a network is called so.
pub(super) fn is_label_of(name: &Name, network: &NetworkName) -> bool {
    name.as_str() == network.as_str() || name.as_str() == uplink_label(network)
}
