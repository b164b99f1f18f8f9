//! MAC addresses and interface names that no other endpoint has.

use wire::MacAddr;

use super::{Binding, EndpointKey, EndpointState, Model, NetworkName, Random};
use crate::control::error::ControlError;
use crate::control::store::NetnsRecord;
use crate::host::HostError;

/// Prefix of default interface names; a number follows.
const IFNAME_PREFIX: &str = "eth";

impl Model {
    /// Binds an endpoint to an interface name in a namespace, where `present` exist already.
    pub(crate) fn bind_netns(
        &mut self,
        key: &EndpointKey,
        netns: &NetnsRecord,
        requested: Option<&str>,
        present: &[String],
    ) -> Result<String, ControlError> {
        self.check_one_namespace(key, netns)?;
        let others = self.endpoints.iter().filter(|(other, _)| *other != key);
        let bound: Vec<&str> = others
            .filter_map(|(_, endpoint)| endpoint.binding.as_ref())
            .filter(|binding| binding.netns.as_ref().is_some_and(|other| other.id == netns.id))
            .map(|binding| binding.ifname.as_str())
            .collect();
        let is_taken =
            |ifname: &str| bound.contains(&ifname) || present.iter().any(|other| other == ifname);
        let ifname = match requested {
            Some(ifname) if is_taken(ifname) => {
                return Err(HostError::IfnameTaken(ifname.to_owned()).into());
            }
            Some(ifname) => ifname.to_owned(),
            None => first_free(is_taken),
        };
        self.bind(key, ifname.clone(), Some(netns.clone()));
        Ok(ifname)
    }

    /// Binds an endpoint to an interface; its namespace is none where the runtime configures it.
    pub(crate) fn bind(&mut self, key: &EndpointKey, ifname: String, netns: Option<NetnsRecord>) {
        let binding = Binding { ifname, netns, offloads: Vec::new(), queues: 0 };
        self.change(key, |endpoint| {
            endpoint.binding = Some(binding);
            endpoint.state = EndpointState::Bound;
        });
    }

    /// A MAC address that is unique in the network.
    pub(super) fn allocate_mac(
        &self,
        network: &NetworkName,
        requested: Option<MacAddr>,
        random: Random<'_>,
    ) -> Result<MacAddr, ControlError> {
        if let Some(mac) = requested {
            return match self.owner_of_mac(network, mac) {
                Some(owner) => Err(ControlError::MacInUse { mac, owner: owner.to_owned() }),
                None => Ok(mac),
            };
        }
        loop {
            let mac = local_mac(random()?);
            if self.owner_of_mac(network, mac).is_none() {
                return Ok(mac);
            }
        }
    }

    fn owner_of_mac(&self, network: &NetworkName, mac: MacAddr) -> Option<&str> {
        let spec = self.networks.get(network).map(|network| &network.spec);
        if let Some(spec) = spec.filter(|spec| [spec.gateway_mac, spec.host_mac()].contains(&mac)) {
            return Some(spec.name.as_str());
        }
        let mut leases = self.endpoints().map(|endpoint| &endpoint.lease);
        let owner = leases.find(|lease| lease.network == *network && lease.mac == mac);
        owner.map(|lease| lease.name.as_str())
    }
}

/// The first of `eth0`, `eth1`, ... that is not taken.
fn first_free(is_taken: impl Fn(&str) -> bool) -> String {
    let names = (0_usize..).map(|number| format!("{IFNAME_PREFIX}{number}"));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

/// A unicast, locally administered MAC address.
pub(crate) fn local_mac(random: u64) -> MacAddr {
    let mut octets = MacAddr::from_u64(random).0;
    octets[0] = (octets[0] & 0xfc) | 0x02;
    MacAddr(octets)
}
