//! Leases: what an endpoint has for its life.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastpath::PortIndex;
use vswitch_api::address::Family;
use vswitch_api::port_settings::PortSettings;
use wire::MacAddr;

use super::{EndpointKey, NetworkName};
use crate::control::error::ControlError;
use crate::control::name::Name;

/// The names, addresses and slot that an endpoint has for its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) name: Name,
    pub(crate) network: NetworkName,
    pub(crate) mac: MacAddr,
    /// Of either family or of both.
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Addresses beside the two.
    pub(crate) further: Vec<IpAddr>,
    pub(crate) slot: PortIndex,
}

impl Lease {
    pub(crate) fn key(&self) -> EndpointKey {
        EndpointKey { name: self.name.clone(), network: self.network.clone() }
    }

    /// All addresses as one text, for people.
    pub(crate) fn addresses(&self) -> String {
        let mut text = String::new();
        for address in self.all_addresses() {
            text += &format!("{address} ");
        }
        text + &self.mac.to_string()
    }

    /// The two addresses, and those beside them.
    pub(crate) fn all_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let first = [self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6)];
        first.into_iter().flatten().chain(self.further.iter().copied())
    }

    /// Addresses of either family.
    pub(crate) fn by_family(&self) -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for address in self.all_addresses() {
            match address {
                IpAddr::V4(address) => ipv4.push(address),
                IpAddr::V6(address) => ipv6.push(address),
            }
        }
        (ipv4, ipv6)
    }

    /// The IPv4 address that it has.
    #[cfg(test)]
    pub(crate) fn v4(&self) -> Ipv4Addr {
        self.ipv4.expect("an IPv4 address")
    }

    /// The IPv6 address that it has.
    #[cfg(test)]
    pub(crate) fn v6(&self) -> Ipv6Addr {
        self.ipv6.expect("an IPv6 address")
    }

    /// The only family that it has addresses of.
    pub(crate) fn family(&self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (Some(_), None) => Some(Family::Ipv4),
            (None, Some(_)) => Some(Family::Ipv6),
            _ => None,
        }
    }

    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.all_addresses().any(|own| own == address)
    }

    /// Refuses a guard with addresses of other ports.
    pub(super) fn check_guard(&self, settings: &PortSettings) -> Result<(), ControlError> {
        match settings.guard.named().iter().find(|address| !self.has(**address)) {
            Some(&address) => {
                Err(ControlError::GuardAddress { address, port: self.name.to_string() })
            }
            None => Ok(()),
        }
    }
}
