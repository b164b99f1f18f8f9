use serde_json::json;

use super::*;
use crate::port_settings::{PortSettings, SettingsChange};

fn set(text: &str) -> VlanSet {
    text.parse().unwrap()
}

#[test]
fn ids_are_1_to_4094() {
    for (text, id) in [("1", 1), ("4094", 4094)] {
        assert_eq!(text.parse::<Vid>().unwrap().get(), id);
    }
    for text in ["0", "4095", "4096", "70000", "-1", "", "ten", "1 "] {
        let error = text.parse::<Vid>().unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("1 to 4094"), "{error}");
    }
    assert_eq!("untagged".parse::<Domain>().unwrap().id(), 0);
    assert!("0".parse::<Domain>().unwrap_err().to_string().starts_with("0 is neither"));
}

#[test]
fn a_set_is_written_in_one_way() {
    for (text, same) in [
        ("10", "10"),
        ("20-29,10", "10,20-29"),
        ("1,2,3,5", "1-3,5"),
        ("1-10, 5-20 ,21", "1-21"),
        ("4094,1", "1,4094"),
    ] {
        assert_eq!(set(text).to_string(), same);
        assert_eq!(set(same), set(text));
    }
    assert_eq!(set("1-3,7").iter().map(Vid::get).collect::<Vec<_>>(), [1, 2, 3, 7]);
    assert!(set("1-3,7").contains(Vid(7)) && !set("1-3,7").contains(Vid(4)));
}

#[test]
fn sets_that_are_none() {
    for (text, error) in [
        ("", VlanError::Empty),
        (" ", VlanError::Empty),
        ("1,,2", VlanError::Id("\"\"".into())),
        ("0", VlanError::Id("0".into())),
        ("10-4095", VlanError::Id("4095".into())),
        ("20-10", VlanError::Range("20-10".into())),
        ("untagged", VlanError::Id("untagged".into())),
    ] {
        assert_eq!(text.parse::<VlanSet>().unwrap_err(), error, "{text}");
    }
}

#[test]
fn a_native_vlan_is_one_that_the_trunk_carries() {
    let vlan = |id| Some(Domain::Vlan(Vid(id)));
    assert!(Trunk::new(set("10,20"), vlan(20)).is_ok());
    assert!(Trunk::new(set("10,20"), Some(Domain::Untagged)).is_ok());
    let error = Trunk::new(set("10,20"), vlan(30)).unwrap_err().to_string();
    assert_eq!(error, "native VLAN 30 is not among the VLANs of the trunk: 10,20");
}

#[test]
fn json_goes_there_and_back() {
    for (json, text) in [
        (json!({"mode": "access"}), "access untagged"),
        (json!({"mode": "access", "id": 10}), "access 10"),
        (json!({"mode": "trunk", "allowed": "10,20-29"}), "trunk 10,20-29"),
        (json!({"mode": "trunk", "allowed": "10", "native": 10}), "trunk 10, native 10"),
        (json!({"mode": "trunk", "allowed": "10", "untagged": true}), "trunk 10, native untagged"),
    ] {
        let mode: VlanMode = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(mode.to_string(), text);
        assert_eq!(serde_json::to_value(mode).unwrap(), json);
    }
}

#[test]
fn json_that_is_wrong_says_why() {
    for (json, part) in [
        (json!({"mode": "access", "id": 0}), "0 is not a VLAN id"),
        (json!({"mode": "access", "id": 4095}), "4095 is not a VLAN id"),
        (json!({"mode": "trunk", "allowed": ""}), "at least one"),
        (json!({"mode": "trunk", "allowed": "10", "native": 20}), "native VLAN 20"),
        (json!({"mode": "trunk", "allowed": "10", "native": 10, "untagged": true}), "exclude"),
        (json!({"mode": "hybrid"}), "hybrid"),
        (json!({"mode": "access", "allowed": "10"}), "allowed"),
    ] {
        let error = serde_json::from_value::<VlanMode>(json).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_change_replaces_what_it_names() {
    let change = |json| serde_json::from_value::<SettingsChange>(json).unwrap();
    let settings = PortSettings::default();
    assert!(settings.is_default() && change(json!({})).is_empty());
    assert_eq!(settings.changed(&change(json!({}))), settings);
    let trunk = settings.changed(&change(json!({"vlan": {"mode": "trunk", "allowed": "7"}})));
    assert_eq!(trunk.vlan.to_string(), "trunk 7");
    assert_eq!(trunk.changed(&change(json!({}))), trunk);
    assert!(trunk.changed(&change(json!({"vlan": {"mode": "access"}}))).is_default());
}
