//! Names of containers.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A row of `vswitch dns ls`: a name on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsName {
    /// The network.
    pub network: String,
    /// The name or alias, in lower case.
    pub name: String,
    /// Attachments that have it.
    pub containers: Vec<String>,
    /// Their addresses on that network.
    pub addresses: Vec<IpAddr>,
}

/// A question as a container would ask it: `vswitch dns query`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsQuery {
    /// The name, or an address for its name.
    pub name: String,
    /// Name of the attachment that asks.
    pub container: String,
    /// Type of the records, such as `A`, `AAAA`, `PTR` or `MX`; by default `A`, or `PTR` for an address.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
}

/// Answer to a [`DnsQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsAnswer {
    /// Response code, as `dig` writes it: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, `REFUSED`.
    pub code: String,
    /// Whether the switch itself answers for the name; otherwise upstream servers do.
    pub authoritative: bool,
    /// Records of the answer section.
    pub answers: Vec<DnsRecord>,
    /// Records of the authority section.
    pub authorities: Vec<DnsRecord>,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsRecord {
    /// Its owner.
    pub name: String,
    /// Seconds that it may be kept.
    pub ttl_s: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its data as text.
    pub data: String,
}
