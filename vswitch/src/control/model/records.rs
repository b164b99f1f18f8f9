//! Name records of a network, for DNS: names and aliases to addresses, and addresses to names.
//!
//! An endpoint has records while the datapath knows it: from before an attach is acknowledged until a detach
//! begins. Several endpoints may share an alias; then it has all of their addresses. Names are in lower
//! case, since DNS does not tell cases apart.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Model, NetworkName};

/// The records of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    names: BTreeMap<IpAddr, String>,
}

impl Records {
    /// The addresses of a name or an alias, in any case.
    pub(crate) fn addresses(&self, name: &str) -> &[IpAddr] {
        self.addresses.get(&name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The name of an address; never an alias.
    pub(crate) fn name(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }
}

impl Model {
    /// The records of a network.
    pub(crate) fn records(&self, network: &NetworkName) -> Records {
        let mut records = Records::default();
        for endpoint in self.shown(network) {
            let lease = &endpoint.lease;
            let own: [IpAddr; 2] = [lease.ipv4.into(), lease.ipv6.into()];
            let names = std::iter::once(&lease.name).chain(&endpoint.aliases);
            for name in names.filter_map(|name| name.dns_name()) {
                let addresses = records.addresses.entry(name).or_default();
                addresses.extend(
                    own.iter().filter(|own| !addresses.contains(own)).copied().collect::<Vec<_>>(),
                );
            }
            if let Some(name) = lease.name.dns_name() {
                records.names.extend(own.map(|address| (address, name.clone())));
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attach_spec, model, spec};
    use super::*;

    #[test]
    fn names_and_shared_aliases_lead_to_addresses_while_the_datapath_knows_them() {
        let mut model = model();
        let aliases = || ["DB".parse().unwrap(), "db.prod".parse().unwrap()].to_vec();
        let one = attach_spec(
            &mut model,
            super::super::AttachSpec { aliases: aliases(), ..spec("Web_1") },
        );
        let two = attach_spec(
            &mut model,
            super::super::AttachSpec { aliases: aliases(), ..spec("web2") },
        );
        let records = model.records(&one.network);
        let own: [IpAddr; 2] = [one.ipv4.into(), one.ipv6.into()];
        assert_eq!(records.addresses("web_1"), own);
        assert_eq!(records.addresses("WEB_1"), own);
        assert_eq!(records.addresses("db").len(), 4);
        assert_eq!(records.addresses("db.prod"), records.addresses("db"));
        assert!(records.addresses("nobody").is_empty());
        assert_eq!(records.name(own[0]), Some("web_1"));
        model.set_in_snapshot(&one.key(), false);
        let records = model.records(&one.network);
        assert_eq!(records.addresses("db"), [IpAddr::from(two.ipv4), two.ipv6.into()]);
        assert!(records.addresses("web_1").is_empty() && records.name(own[1]).is_none());
    }

    #[test]
    fn an_alias_that_is_another_name_adds_to_it() {
        let mut model = model();
        let one = attach_spec(&mut model, spec("web"));
        let aliases = vec!["web".parse().unwrap(), "web".parse().unwrap()];
        attach_spec(&mut model, super::super::AttachSpec { aliases, ..spec("other") });
        assert_eq!(model.records(&one.network).addresses("web").len(), 4);
        assert_eq!(model.records(&one.network).name(one.ipv4.into()), Some("web"));
    }
}
