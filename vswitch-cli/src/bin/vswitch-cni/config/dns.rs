//! What a container's `resolv.conf` shall hold, in the words of the configuration and of the result.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `dns` of a configuration or result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dns {
    /// Name servers, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) nameservers: Vec<IpAddr>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    /// Domains to search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) search: Vec<String>,
    /// Options of the resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
}

impl Dns {
    /// Each list of these that has something, else the other's.
    pub(crate) fn or(self, other: Self) -> Self {
        let first = |one: Vec<String>, other| if one.is_empty() { other } else { one };
        Self {
            nameservers: match self.nameservers.is_empty() {
                true => other.nameservers,
                false => self.nameservers,
            },
            domain: self.domain.or(other.domain),
            search: first(self.search, other.search),
            options: first(self.options, other.options),
        }
    }
}
