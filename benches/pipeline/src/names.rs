//! Names of containers on one network, and queries for them.

use fastpath::PortIndex;
use vswitch::datapath::NetworkIndex;
use vswitch::dns::{EndpointNames, Names, NetworkNames};

/// A container with a name, an alias, and one address.
#[must_use]
pub fn endpoint(n: usize) -> EndpointNames {
    let [_, _, third, fourth] = (n as u32 + 2).to_be_bytes();
    EndpointNames {
        network: NetworkIndex(0),
        container: format!("container-{n}"),
        names: vec![format!("container-{n}"), format!("alias-{n}")],
        addresses: vec![[10, 99, third, fourth].into()],
    }
}

/// A network of so many containers.
///
/// # Panics
/// Never: the subnet is one.
#[must_use]
pub fn filled(containers: usize) -> Names {
    let names = Names::default();
    let network = NetworkNames {
        name: "br0".to_owned(),
        subnets: vec!["10.99.0.0/16".parse().expect("a subnet")],
        gateways: vec![[10, 99, 0, 1].into()],
        is_internal: false,
        reachable_from: Vec::new(),
        has_host_port: true,
    };
    names.set_network(NetworkIndex(0), network);
    for n in 0..containers {
        names.set_endpoint(PortIndex(n as u16), endpoint(n));
    }
    names
}

/// The bytes of a query for the IPv4 addresses of a name without dots.
#[must_use]
pub fn query(name: &str) -> Vec<u8> {
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let label = [&[name.len() as u8], name.as_bytes()].concat();
    [&header[..], &label, &[0, 0, 1, 0, 1]].concat()
}
