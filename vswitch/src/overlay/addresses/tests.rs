use std::collections::BTreeMap;

use super::*;

fn network(subnets: &[&str], gateway: Option<&str>) -> Network {
    let options = gateway.map(|text| ("gateway".to_owned(), text.to_owned()));
    Network {
        name: "blue".to_owned(),
        vni: 1,
        subnets: subnets.iter().map(|subnet| subnet.parse().expect("a subnet")).collect(),
        mtu: None,
        options: BTreeMap::from_iter(options),
    }
}

fn all(network: &Network, block: &str, is_borrowed: bool) -> Vec<String> {
    let mut addresses = Addresses::default();
    let (subnet, block) = (network.subnets[0], block.parse().expect("a block"));
    let mut given = Vec::new();
    while let Some(address) =
        addresses.find(network, subnet, block, is_borrowed, Duration::ZERO, |_| false)
    {
        addresses.reserve(("blue".to_owned(), address));
        given.push(address.to_string());
    }
    given
}

#[test]
fn a_block_is_given_out_from_its_beginning_and_borrowed_from_its_end() {
    let blue = network(&["10.0.0.0/24"], None);
    let given = all(&blue, "10.0.0.0/26", false);
    assert_eq!((given.len(), &*given[0], &*given[61]), (62, "10.0.0.2", "10.0.0.63"));
    let given = all(&blue, "10.0.0.192/26", true);
    assert_eq!((given.len(), &*given[0], &*given[62]), (63, "10.0.0.254", "10.0.0.192"));
    let blue = network(&["fd00::/64"], None);
    let given = all(&blue, "fd00::/122", false);
    assert_eq!((given.len(), &*given[0], &*given[61]), (62, "fd00::2", "fd00::3f"));
}

#[test]
fn the_gateway_is_the_option_or_the_first_address() {
    let blue = network(&["10.0.0.0/24", "fd00::/64"], Some("10.0.0.9"));
    let gateways: Vec<_> =
        blue.subnets.iter().map(|subnet| gateway_of(&blue, *subnet).to_string()).collect();
    assert_eq!(gateways, ["10.0.0.9", "fd00::1"]);
    assert!(!all(&blue, "10.0.0.0/26", false).contains(&"10.0.0.9".to_owned()));
    assert!(all(&blue, "10.0.0.0/26", false).contains(&"10.0.0.1".to_owned()));
}

#[test]
fn a_subnet_smaller_than_a_block() {
    let blue = network(&["10.0.0.16/29"], None);
    let given = all(&blue, "10.0.0.0/26", false);
    assert_eq!(given, ["10.0.0.18", "10.0.0.19", "10.0.0.20", "10.0.0.21", "10.0.0.22"]);
}

/// Next-fit: an address that was released just now is the last to be given out again.
#[test]
fn the_search_goes_on_where_it_ended() {
    let blue = network(&["10.0.0.0/24"], None);
    let (mut addresses, subnet) = (Addresses::default(), blue.subnets[0]);
    let block = "10.0.0.64/26".parse().expect("a block");
    let mut find = |now| addresses.find(&blue, subnet, block, false, now, |_| false);
    let later = ADDRESS_REUSE_DELAY * 2;
    let given: Vec<_> = (0..3).filter_map(|n| find(later * n)).map(|a| a.to_string()).collect();
    assert_eq!(given, ["10.0.0.64", "10.0.0.65", "10.0.0.66"]);
}
