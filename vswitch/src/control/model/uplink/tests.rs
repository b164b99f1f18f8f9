use std::time::Duration;

use super::super::tests::{counter, model_with_uplink, spec};
use super::super::{AttachSpec, Model};
use super::*;
use crate::config::Uplink;
use crate::host::uplink::Route;

const TAP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const NIC_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);

fn state() -> UplinkState {
    let route =
        |destination: &str, action| Route { destination: destination.parse().unwrap(), action };
    let gateway = Some("192.0.2.254".parse().unwrap());
    UplinkState {
        up: true,
        device: "eth0".into(),
        ifindex: 2,
        mac: NIC_MAC,
        mtu: 1400,
        ipv4: Some("198.51.100.1".parse().unwrap()),
        ipv6: None,
        local: ["198.51.100.1", "10.0.0.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec(),
        routes: vec![
            route("0.0.0.0/0", HostRouteAction::Uplink { gateway }),
            route("198.51.100.0/24", HostRouteAction::Uplink { gateway: None }),
            route("10.0.0.0/8", HostRouteAction::OtherDevice),
            route("203.0.113.0/24", HostRouteAction::Unreachable),
        ],
        neighbours: vec![("192.0.2.254".parse().unwrap(), MacAddr([2, 0, 0, 0, 0, 7]))],
    }
}

fn model(publish: &[&str]) -> Model {
    let mut model = model_with_uplink(Uplink::Auto);
    let publish = publish.iter().map(|text| Publication {
        ports: text.parse().unwrap(),
        allow_from: vec!["203.0.113.0/24".parse().unwrap()],
    });
    let spec = AttachSpec { publish: publish.collect(), ..spec("web") };
    let lease = model.reserve(&spec, Duration::ZERO, &mut counter()).unwrap();
    model.set_in_snapshot(&lease.name, true);
    model.set_uplink(UplinkRuntime { tap_mac: Some(TAP_MAC), state: state() });
    model
}

fn uplink(model: &Model) -> Arc<UplinkConf> {
    match model.router().unwrap().egress {
        EgressMode::Uplink(uplink) => uplink,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_way_nothing_leads_out() {
    for uplink in [Uplink::None, Uplink::Auto] {
        let router = model_with_uplink(uplink).router().unwrap();
        assert_eq!(router.egress, EgressMode::Internal);
        assert_eq!(router.local, router.gateways);
    }
    let mut model = model_with_uplink(Uplink::Kernel);
    model.set_uplink(UplinkRuntime { tap_mac: None, state: state() });
    assert!(model.router().is_none() && model.snapshot().port(UPLINK_PORT).is_none());
}

#[test]
fn the_host_is_followed() {
    let model = model(&[]);
    let router = model.router().unwrap();
    assert_eq!(router.gateways.len(), 2);
    for gateway in &router.gateways {
        assert_eq!(router.local.iter().filter(|local| *local == gateway).count(), 1);
    }
    let uplink = uplink(&model);
    assert_eq!((uplink.device_mac, uplink.tap_mac, uplink.mtu), (NIC_MAC, TAP_MAC, 1400));
    let actions: Vec<_> = uplink.routes.iter().map(|(_, action)| action).collect();
    assert_eq!(
        actions,
        [
            RouteAction::Via(Some("192.0.2.254".parse().unwrap())),
            RouteAction::Via(None),
            RouteAction::Elsewhere,
            RouteAction::Unreachable
        ]
    );
    assert!(uplink.neighbours.get("192.0.2.254".parse().unwrap()).is_some());
    assert_eq!(uplink.policy.source().external_v4.unwrap().to_string(), "198.51.100.1");
    assert_eq!(uplink.policy.source().ports, 20_000..=32_767);
    assert!(model.snapshot().port(UPLINK_PORT).is_some());
}

#[test]
fn containers_leave_the_slot_of_the_uplink_alone() {
    let model = model(&[]);
    assert_eq!(model.label(UPLINK_PORT).as_deref(), Some("br0.uplink"));
    assert!(model.name_in_slot(UPLINK_PORT).is_none());
}

#[test]
fn publications_are_translated_once_the_container_is_shown() {
    let mut model = model(&["8000-8009:80-89/udp", "10.0.0.1:53:53"]);
    let published = uplink(&model).policy.source().published.clone();
    assert_eq!(published.len(), 2);
    assert_eq!(published[0].transport, nat::Transport::Udp);
    assert_eq!((published[0].ports.clone(), published[0].to_port), (8000..=8009, 80));
    assert!(published[0].address.is_none() && published[0].to_v4.is_some());
    assert_eq!(published[0].allow_from, [("203.0.113.0".parse().unwrap(), 24)]);
    assert_eq!(published[1].address, Some("10.0.0.1".parse().unwrap()));
    assert!(published[1].to_v4.is_some() && published[1].to_v6.is_none());
    model.set_in_snapshot(&"web".parse().unwrap(), false);
    assert!(uplink(&model).policy.source().published.is_empty());
}

/// What is not open is kept, and the datapath does without it.
#[test]
fn what_the_host_does_not_hand_over_is_not_translated() {
    let mut model = model(&["8000:80", "8001:81"]);
    let (name, ports) = ("web".parse().unwrap(), "8000:80".parse().unwrap());
    let translated = |model: &Model| uplink(model).policy.source().published.len();
    model.activate(&name);
    model.mark_pending(&name, &ports, "taken".to_owned());
    model.mark_pending(&name, &ports, "still taken".to_owned());
    assert_eq!((translated(&model), model.count_publications()), (1, (1, 1)));
    assert_eq!(model.publications_of(&name).len(), 2);
    // Withdrawn, and back since that failed.
    let taken = model.take_publications(&name, &ports).unwrap();
    assert_eq!(model.count_publications(), (1, 0));
    model.restore_publications(&name, taken);
    let left = model.all_pending();
    assert_eq!((left.len(), left[0].1.reason.as_str()), (1, "still taken"));
    model.mark_active(&name, &ports);
    assert_eq!((translated(&model), model.count_publications()), (2, (2, 0)));
    // Claimed anew it is to be open.
    model.mark_pending(&name, &ports, "taken".to_owned());
    let taken = model.take_publications(&name, &ports).unwrap();
    model.add_publication(&name, &taken[0], &mut counter()).unwrap();
    assert_eq!((translated(&model), model.count_publications()), (2, (2, 0)));
}

#[test]
fn all_addresses_of_a_family_are_each_of_them() {
    let addresses = |text: &str| -> Vec<String> {
        let published = uplink(&model(&[text])).policy.source().published.clone();
        published.iter().map(|one| one.address.unwrap().to_string()).collect()
    };
    assert_eq!(addresses("0.0.0.0:80:80"), ["198.51.100.1", "10.0.0.1", "192.0.2.1"]);
    assert_eq!(addresses("[::]:80:80"), ["2001:db8::1", "fd00:1::1"]);
}
