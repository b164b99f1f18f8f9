//! Names of networks, endpoints and uplinks.

use std::fmt;

use super::Name;
use crate::config::IfName;

/// The name of a network.
pub(crate) type NetworkName = Name;

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

/// The label of an uplink whose first network has this host device.
pub(super) fn uplink_label(device: &IfName) -> String {
    format!("{device}.uplink")
}

/// Whether a name is the label of an uplink.
pub(super) fn is_uplink_label(name: &str, device: &IfName) -> bool {
    let rest = name.strip_prefix(uplink_label(device).as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
