use super::*;
use crate::config::Uplink;
use crate::control::model::Model;
use crate::control::model::tests::overlay::{overlay, overlay_network, with_underlay};
use crate::control::model::tests::{model, network, open_network};

/// A model with the overlay network `blue`, and the local network `red`.
fn with_blue() -> Model {
    let mut model = model();
    with_underlay(&mut model, "192.0.2.1:4789");
    open_network(&mut model, overlay_network("blue", overlay(42)));
    let subnet = "198.51.100.0/24".parse().expect("a subnet");
    open_network(
        &mut model,
        crate::control::model::NetworkSpec { subnet, ..network("red", Uplink::None) },
    );
    model
}

fn checked(model: &Model, name: &str, json: &str) -> Result<(), String> {
    let request: NetworkRequest = serde_json::from_str(json).expect("a request");
    let network = model.network(Some(name)).expect(name);
    check(network, &request, "docker.network-id").map_err(|error| error.to_string())
}

#[test]
fn a_network_is_joined_as_it_is() {
    let model = with_blue();
    for same in [
        r#"{"name":"blue"}"#,
        r#"{"name":"blue","subnets":["192.0.2.0/24"],"gateways":["192.0.2.1","fd00:1::1"],"mtu":1450}"#,
        r#"{"name":"blue","overlay":{"vni":42},"device":"blue","internal":true,"uplink":"none"}"#,
    ] {
        assert_eq!(checked(&model, "blue", same), Ok(()), "{same}");
    }
    for (other, has, asked) in [
        (r#""subnets":["192.0.2.0/25"]"#, "--subnet 192.0.2.0/24", "--subnet 192.0.2.0/25"),
        (r#""subnets":["fd00:2::/64"]"#, "--subnet fd00:1::/64", "--subnet fd00:2::/64"),
        (r#""gateways":["192.0.2.9"]"#, "--gateway 192.0.2.1", "--gateway 192.0.2.9"),
        (r#""overlay":{"vni":7}"#, "VNI 42", "VNI 7"),
        (r#""mtu":1400"#, "MTU 1450", "MTU 1400"),
        (r#""device":"br7""#, "device blue", "device br7"),
        (r#""uplink":"auto""#, "uplink none", "uplink auto"),
        (r#""isolated_ports":true"#, "no option isolated-ports", "isolated-ports"),
        (r#""settings":{"guard":"off"}"#, "other settings of its ports", "those of the options"),
    ] {
        let error = checked(&model, "blue", &format!(r#"{{"name":"blue",{other}}}"#)).unwrap_err();
        let wanted = format!("the overlay network blue has {has}, and is asked for with {asked}");
        assert_eq!(error, wanted, "{other}");
    }
}

#[test]
fn one_network_of_docker_stands_for_an_overlay_network() {
    let mut model = with_blue();
    let error = checked(&model, "red", r#"{"name":"red"}"#).unwrap_err();
    assert!(error.starts_with("red is a local network"), "{error}");
    let blue = "blue".parse().expect("a name");
    model.set_network_label(&blue, "docker.network-id", "abc".to_owned());
    let error = checked(&model, "blue", r#"{"name":"blue"}"#).unwrap_err();
    assert_eq!(error, "the overlay network blue has a network of Docker on this host already: abc");
    model.remove_network_labels(&blue, &["docker.network-id"]);
    assert_eq!(checked(&model, "blue", r#"{"name":"blue"}"#), Ok(()));
}
