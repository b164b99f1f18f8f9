use std::collections::BTreeMap;

use wire::MacAddr;

use super::{Endpoint, Network, Node, Record, block_of};
use crate::types::{Entry, Revision};

fn decode(key: &str, value: &str) -> Result<Record, String> {
    let (key, value) = (key.to_owned(), value.as_bytes().to_vec());
    Record::decode(&Entry { key, value, revision: Revision(1) }).map_err(|error| error.to_string())
}

/// The text of the page is the format: each record as it stands there.
#[test]
fn records_are_those_of_the_page() {
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let node = || "n1".to_owned();
    let blue = || "blue".to_owned();
    let records = [
        Record::Network(Network {
            name: blue(),
            vni: 42,
            subnets: vec![
                "10.50.0.0/16".parse().expect("net"),
                "fd00:50::/64".parse().expect("net"),
            ],
            mtu: Some(1450),
            options: BTreeMap::from([("internal".to_owned(), "true".to_owned())]),
        }),
        Record::Vni { vni: 42, network: blue() },
        Record::Node(Node { name: node(), address: [192, 0, 2, 1].into(), port: 4789 }),
        Record::Vtep { address: [192, 0, 2, 1].into(), port: 4789, node: node() },
        Record::Block { network: blue(), block: block_of([10, 50, 0, 70].into()), node: node() },
        Record::Endpoint(Endpoint {
            network: blue(),
            block: block_of([10, 50, 0, 70].into()),
            address: [10, 50, 0, 70].into(),
            node: node(),
            mac,
            name: "web".to_owned(),
            aliases: vec!["www".to_owned()],
        }),
    ];
    let page = include_str!("../../../../docs/overlay.md");
    for record in records {
        let (key, value) = (record.key(), record.value());
        let value = String::from_utf8(value).expect("text");
        let row = format!("{key}\n  {value}\n");
        assert!(page.contains(&row), "docs/overlay.md lacks:\n{row}");
        assert_eq!(decode(&key, &value), Ok(record));
    }
}

#[test]
fn blocks_of_both_families() {
    let block = |address: &str| block_of(address.parse().expect("address")).to_string();
    assert_eq!(block("10.50.0.63"), "10.50.0.0/26");
    assert_eq!(block("10.50.0.64"), "10.50.0.64/26");
    assert_eq!(block("fd00:50::41"), "fd00:50::40/122");
}

#[test]
fn unknown_fields_are_left_to_later_versions() {
    let record = decode("v1/vnis/7", r#"{"network":"blue","since":"v1.1"}"#);
    assert_eq!(record, Ok(Record::Vni { vni: 7, network: "blue".to_owned() }));
}

#[test]
fn errors_name_key_and_fault() {
    let endpoint = "v1/endpoints/blue/10.50.0.64-26/10.50.0.70";
    for (key, value, fault) in [
        ("v2/vnis/7", "{}", "format version \"v2\"; this switch knows v1 only"),
        ("v1/vni/7", "{}", "no kind of record"),
        ("v1/vnis/7", "\u{1}", "bad value"),
        ("v1/vnis/7", "[]", "bad value"),
        ("v1/vnis/7", "{}", "missing field `network`"),
        ("v1/vnis/7", r#"{"network":7}"#, "invalid type"),
        ("v1/vnis/7", r#"{"network":"-"}"#, "no name of a network"),
        ("v1/vnis/0", r#"{"network":"blue"}"#, "VNI 0"),
        ("v1/vnis/16777216", r#"{"network":"blue"}"#, "VNI 16777216"),
        ("v1/vnis/07", r#"{"network":"blue"}"#, "has to be written 7"),
        ("v1/networks/blue", r#"{"vni":1,"subnets":[]}"#, "0 subnets"),
        ("v1/networks/blue", r#"{"vni":1,"subnets":["10.0.0.1/8"]}"#, "written 10.0.0.0/8"),
        ("v1/networks/blue", r#"{"vni":1,"subnets":["10.0.0.0/8","10.1.0.0/16"]}"#, "overlap"),
        ("v1/networks/blue", r#"{"vni":1,"subnets":["10.0.0.0/8"],"mtu":500}"#, "MTU 500"),
        ("v1/nodes/n1", r#"{"address":"127.0.0.1","port":4789}"#, "no address of a VTEP"),
        ("v1/nodes/n1", r#"{"address":"192.0.2.1","port":0}"#, "port 0"),
        ("v1/vteps/192.0.2.1", r#"{"node":"n1"}"#, "ADDRESS_PORT"),
        ("v1/vteps/2001:DB8::1_4789", r#"{"node":"n1"}"#, "written 2001:db8::1"),
        ("v1/blocks/blue/10.50.0.64-27", r#"{"node":"n1"}"#, "10.50.0.64/26 is"),
        ("v1/blocks/blue/10.50.0.65-26", r#"{"node":"n1"}"#, "10.50.0.64/26 is"),
        ("v1/blocks/blue/10.50.0.64", r#"{"node":"n1"}"#, "ADDRESS-LENGTH"),
        (endpoint, r#"{"node":"n1","mac":"x"}"#, "no MAC address"),
        (endpoint, r#"{"node":"n1","mac":"01:00:00:00:00:01"}"#, "no MAC address"),
        (endpoint, r#"{"node":"n/1","mac":"02:00:00:00:00:01"}"#, "no name of a node"),
        (endpoint, r#"{"node":"n1","mac":"02:00:00:00:00:01","name":"a b"}"#, "no name of a"),
        (
            "v1/endpoints/blue/10.50.0.64-26/10.50.0.1",
            r#"{"node":"n1","mac":"02:00:00:00:00:01"}"#,
            "not in block",
        ),
    ] {
        let error = decode(key, value).expect_err(key);
        assert!(error.contains(fault) && error.contains(key), "{key} {value}: {error}");
    }
}
