//! The runtime's side of an endpoint whose namespace it configures.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The runtime's side of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeState {
    /// Name of the TAP in the host's namespace.
    pub(crate) tap: String,
    /// Boot of the host in which the endpoint was made.
    pub(crate) boot_id: String,
    /// File of the container's namespace, which may come later than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox: Option<PathBuf>,
    /// Addresses beside those of the lease, which the runtime gave the interface without a word to the switch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) further: Vec<IpNet>,
    /// Whether the container's default route leads here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gives_default_route: bool,
}
