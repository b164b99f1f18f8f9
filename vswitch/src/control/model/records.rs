//! Name records of a network, for DNS.
//!
//! An endpoint has records while the datapath knows it: from before an attach is acknowledged until a detach
//! begins. Several endpoints may share an alias; then it has all of their addresses. Names are in lower
//! case, since DNS does not tell cases apart.

use std::collections::BTreeMap;

use fastpath::PortIndex;
use vswitch_api::network::NameRecord;

use super::{EndpointKey, Model, Network, NetworkName};
use crate::datapath::NetworkIndex;
use crate::dns::{EndpointNames, NetworkNames};

impl Model {
    /// The port of an endpoint, and its names while the datapath knows it.
    pub(crate) fn endpoint_names(
        &self,
        key: &EndpointKey,
    ) -> Option<(PortIndex, Option<EndpointNames>)> {
        let endpoint = self.endpoints.get(key)?;
        let (lease, network) = (&endpoint.lease, self.networks.get(&key.network)?);
        let names = std::iter::once(&lease.name).chain(&endpoint.aliases);
        let names = EndpointNames {
            network: network.index,
            container: lease.name.to_string(),
            names: names.filter_map(|name| name.dns_name()).collect(),
            addresses: lease.all_addresses().collect(),
        };
        Some((lease.slot, endpoint.in_snapshot.then_some(names)))
    }

    /// A network, as far as names need it.
    pub(crate) fn network_names(&self, name: &NetworkName) -> Option<(NetworkIndex, NetworkNames)> {
        let network = self.networks.get(name)?;
        let names = NetworkNames {
            name: network.spec.name.to_string(),
            subnets: network.spec.subnets().to_vec(),
            gateways: network.spec.gateways().to_vec(),
            is_internal: network.spec.is_internal(),
            reachable_from: self.sources(network).map(|source| source.index).collect(),
            has_host_port: network.host_port.is_some(),
        };
        Some((network.index, names))
    }

    /// Shown networks to which that one may open connections.
    pub(crate) fn reached_from(&self, name: &NetworkName) -> Vec<NetworkName> {
        let is_reached = |it: &&Network| it.in_snapshot && it.spec.reachable_from.contains(name);
        self.networks().filter(is_reached).map(|it| it.spec.name.clone()).collect()
    }

    /// The addresses of all names and aliases of a network.
    pub(crate) fn name_records(&self, network: &NetworkName) -> Vec<NameRecord> {
        let mut records = BTreeMap::new();
        for endpoint in self.shown(network) {
            let lease = &endpoint.lease;
            let names = std::iter::once(&lease.name).chain(&endpoint.aliases);
            for name in names.filter_map(|name| name.dns_name()) {
                let empty = || NameRecord { name: name.clone(), ipv4: vec![], ipv6: vec![] };
                let record: &mut NameRecord = records.entry(name.clone()).or_insert_with(empty);
                let (ipv4, ipv6) = lease.by_family();
                // An alias may be the name itself.
                if !ipv4.iter().all(|it| record.ipv4.contains(it))
                    || !ipv6.iter().all(|it| record.ipv6.contains(it))
                {
                    record.ipv4.extend(ipv4);
                    record.ipv6.extend(ipv6);
                }
            }
        }
        records.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::AttachSpec;
    use super::super::tests::{attach_spec, model, spec};
    use super::*;

    fn aliased(name: &str, aliases: [&str; 2]) -> AttachSpec {
        AttachSpec { aliases: aliases.map(|alias| alias.parse().unwrap()).to_vec(), ..spec(name) }
    }

    fn names(records: &[NameRecord]) -> Vec<&str> {
        records.iter().map(|record| record.name.as_str()).collect()
    }

    #[test]
    fn names_and_shared_aliases_lead_to_addresses_while_the_datapath_knows_them() {
        let mut model = model();
        let one = attach_spec(&mut model, aliased("Web_1", ["DB", "db.prod"]));
        let two = attach_spec(&mut model, aliased("web2", ["DB", "db.prod"]));
        let records = model.name_records(&one.network);
        assert_eq!(names(&records), ["db", "db.prod", "web2", "web_1"]);
        assert_eq!(records[0].ipv4, [one.v4(), two.v4()]);
        assert_eq!(records[0].ipv6, [one.v6(), two.v6()]);
        assert_eq!((&records[3].ipv4, &records[3].ipv6), (&vec![one.v4()], &vec![one.v6()]));
        model.set_in_snapshot(&one.key(), false);
        let records = model.name_records(&one.network);
        assert_eq!(names(&records), ["db", "db.prod", "web2"]);
        assert_eq!(records[0].ipv4, [two.v4()]);
    }

    #[test]
    fn an_alias_that_is_another_name_adds_to_it() {
        let mut model = model();
        let one = attach_spec(&mut model, spec("web"));
        attach_spec(&mut model, aliased("other", ["web", "web"]));
        assert_eq!(model.name_records(&one.network)[1].ipv4.len(), 2);
    }
}
