use std::time::Duration;

use proptest::prelude::*;
use vswitch_api::address::Family;
use vswitch_api::publish::Publication;

use super::super::tests::{counter, key, model_with_uplink as model, spec};
use super::super::{AttachSpec, EndpointKey, Model};
use super::AUTO_PORTS;
use crate::config::Uplink;
use crate::control::ControlError;
use crate::control::limits::{ALLOW_FROM_MAX, PUBLICATIONS_MAX};

const BRIDGE: &str = "br0";

fn publication(text: &str) -> Publication {
    Publication { ports: text.parse().unwrap(), allow_from: Vec::new() }
}

fn attach(model: &mut Model, name: &str, publish: &[&str]) -> Result<EndpointKey, ControlError> {
    let publish = publish.iter().map(|text| publication(text)).collect();
    let spec = AttachSpec { publish, ..spec(name) };
    let lease = model.reserve(&spec, Duration::ZERO, &mut counter())?;
    model.activate(&lease.key());
    Ok(lease.key())
}

fn shown(model: &Model, key: &EndpointKey) -> Vec<String> {
    model.publications(key).unwrap().iter().map(|one| one.ports.to_string()).collect()
}

#[test]
fn a_port_belongs_to_one_attachment() {
    let mut model = model(Uplink::Auto);
    let web = attach(&mut model, "web", &["8080:80", "127.0.0.1:53:53/udp"]).unwrap();
    for taken in ["8080:81", "8000-8100:1-101", "0.0.0.0:8080:80", "[::1]:8080:80", "53:53/udp"] {
        let error = attach(&mut model, "db", &[taken]).unwrap_err();
        assert!(matches!(&error, ControlError::PortPublished { owner, .. } if owner == "web"));
        assert!(error.to_string().contains("web"), "{error}");
    }
    // The failure released everything, the addresses, too.
    let db = attach(&mut model, "db", &["8080:80/udp", "8081:80", "192.0.2.1:53:53/udp"]).unwrap();
    assert_eq!(shown(&model, &web), ["8080:80/tcp", "127.0.0.1:53:53/udp"]);
    assert_eq!(shown(&model, &db).len(), 3);
    // A detach frees the ports.
    model.remove(&web, Duration::ZERO);
    attach(&mut model, "new", &["8080:80"]).unwrap();
}

#[test]
fn an_address_of_a_family_that_the_endpoint_lacks_is_refused() {
    let mut model = model(Uplink::Auto);
    let only = AttachSpec { family: Some(Family::Ipv4), ..spec("web") };
    let lease = model.reserve(&only, Duration::ZERO, &mut counter()).unwrap();
    model.activate(&lease.key());
    let mut publish =
        |text: &str| model.add_publication(&lease.key(), &publication(text), &mut counter());
    let error = publish("[::1]:8080:80").unwrap_err();
    assert!(matches!(error, ControlError::OtherFamily { .. }), "{error}");
    publish("127.0.0.1:8080:80").unwrap();
    publish("8081:80").unwrap();
    assert_eq!(shown(&model, &lease.key()), ["127.0.0.1:8080:80/tcp", "8081:80/tcp"]);
}

#[test]
fn one_request_does_not_want_a_port_twice() {
    let mut model = model(Uplink::Auto);
    let error = attach(&mut model, "web", &["80-90:80-90", "85:1"]).unwrap_err();
    assert!(matches!(error, ControlError::PortPublished { .. }), "{error}");
}

#[test]
fn ports_that_nobody_named_are_picked_and_stay() {
    let mut model = model(Uplink::Auto);
    let web = attach(&mut model, "web", &["80", "80", "90-99/udp"]).unwrap();
    let mut seen = Vec::new();
    for publication in model.publications(&web).unwrap() {
        let host = publication.ports.host().unwrap();
        assert!(AUTO_PORTS.contains(&host.first()) && AUTO_PORTS.contains(&host.last()), "{host}");
        assert!(!seen.contains(&publication.ports.to_string()));
        seen.push(publication.ports.to_string());
    }
    // A container port without a host port matches all of its publications.
    let ended = model.take_publications(&web, &"80".parse().unwrap()).unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(model.publications(&web).unwrap().len(), 1);
}

#[test]
fn a_range_that_fits_nowhere_is_refused() {
    let mut model = model(Uplink::Auto);
    let error = attach(&mut model, "web", &["1-60000"]).unwrap_err();
    assert!(matches!(error, ControlError::NoFreePort(_)), "{error}");
    assert!(error.to_string().contains("1-60000"), "{error}");
}

#[test]
fn what_is_published_live_is_taken_back_and_put_back() {
    let mut model = model(Uplink::Auto);
    let web = attach(&mut model, "web", &["8080:80"]).unwrap();
    let again = model.add_publication(&web, &publication("8080:80"), &mut counter());
    assert!(matches!(again, Err(ControlError::PortPublished { .. })));
    let added = model.add_publication(&web, &publication("8081:80"), &mut counter()).unwrap();
    assert_eq!(shown(&model, &web), ["8080:80/tcp", "8081:80/tcp"]);
    model.drop_publication(&web, &added);
    assert_eq!(shown(&model, &web), ["8080:80/tcp"]);
    let taken = model.take_publications(&web, &"8080:80".parse().unwrap()).unwrap();
    assert_eq!(shown(&model, &web), [""; 0]);
    let error = model.take_publications(&web, &"8080:80".parse().unwrap()).unwrap_err();
    assert!(matches!(error, ControlError::NotPublished { .. }), "{error}");
    model.restore_publications(&web, taken);
    assert_eq!(shown(&model, &web), ["8080:80/tcp"]);
    let nobody = model.add_publication(&key("nobody", "br0"), &publication("1:1"), &mut counter());
    assert!(matches!(nobody, Err(ControlError::UnknownPort(_))));
}

#[test]
fn a_port_that_is_being_closed_is_nobody_elses() {
    let mut model = model(Uplink::Auto);
    let web = attach(&mut model, "web", &["8080:80"]).unwrap();
    let db = attach(&mut model, "db", &[]).unwrap();
    let taken = model.take_publications(&web, &"8080:80".parse().unwrap()).unwrap();
    assert!(model.is_closing("web") && model.publications(&web).unwrap().is_empty());
    let publish =
        |model: &mut Model| model.add_publication(&db, &publication("8080:80"), &mut counter());
    let error = publish(&mut model).unwrap_err();
    assert!(matches!(&error, ControlError::PortPublished { owner, .. } if owner == "web"));
    assert!(attach(&mut model, "new", &["8080:80"]).is_err());
    model.end_closing(&web, &taken);
    assert!(!model.is_closing("web"));
    publish(&mut model).unwrap();
    // A withdrawal that fails keeps its ports.
    let taken = model.take_publications(&db, &"8080:80".parse().unwrap()).unwrap();
    model.restore_publications(&db, taken);
    assert!(!model.is_closing("db"));
    assert_eq!(shown(&model, &db), ["8080:80/tcp"]);
}

#[test]
fn publications_are_part_of_the_document() {
    let mut model = model(Uplink::Auto);
    let web = attach(&mut model, "web", &["8080:80"]).unwrap();
    model.bind_netns(&web, &super::super::tests::netns(1), None, &[]).unwrap();
    model.set_persisted(&web, true);
    assert_eq!(model.attachments()[0].publish, [publication("8080:80")]);
}

#[test]
fn an_internal_network_publishes_nothing_and_lists_are_bounded() {
    let one = publication("8080:80");
    let error = model(Uplink::None)
        .check_publications(&BRIDGE.parse().unwrap(), std::slice::from_ref(&one))
        .unwrap_err();
    assert!(error.to_string().contains("br0"), "{error}");
    model(Uplink::None).check_publications(&BRIDGE.parse().unwrap(), &[]).unwrap();
    let model = model(Uplink::Kernel);
    model.check_publications(&BRIDGE.parse().unwrap(), std::slice::from_ref(&one)).unwrap();
    let some = Publication { allow_from: vec!["10.0.0.0/8".parse().unwrap()], ..one.clone() };
    let error = model.check_publications(&BRIDGE.parse().unwrap(), &[some]).unwrap_err();
    assert!(matches!(error, ControlError::AllowFromKernel(_)), "{error}");
    let mut model = self::model(Uplink::Auto);
    let allow_from = vec!["10.0.0.0/8".parse().unwrap(); ALLOW_FROM_MAX + 1];
    let error = model
        .check_publications(&BRIDGE.parse().unwrap(), &[Publication { allow_from, ..one }])
        .unwrap_err();
    assert!(matches!(error, ControlError::AllowFromMax(_)), "{error}");
    let many: Vec<String> = (0..=PUBLICATIONS_MAX).map(|n| format!("{}:80", n + 1)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = attach(&mut model, "web", &many).unwrap_err();
    assert!(matches!(error, ControlError::PublicationsMax(_)), "{error}");
    attach(&mut model, "web", &many[1..]).unwrap();
}

proptest! {
    /// After any publications and withdrawals, no host port belongs to two endpoints.
    #[test]
    fn no_port_is_ever_shared(acts in proptest::collection::vec(
        (0_u8..4, 1_u16..12, 1_u16..4, 0_u8..3, any::<bool>()), 0..60)) {
        let mut model = model(Uplink::Auto);
        let names: Vec<EndpointKey> =
            (0..4).map(|n| attach(&mut model, &format!("p{n}"), &[]).unwrap()).collect();
        for (who, first, count, at, come) in acts {
            let address = ["", "0.0.0.0:", "192.0.2.1:"][usize::from(at)];
            let last = first + count - 1;
            let text = format!("{address}{first}-{last}:{first}-{last}");
            let name = &names[usize::from(who)];
            if come {
                let _ = model.add_publication(name, &publication(&text), &mut counter());
            } else {
                let taken = model.take_publications(name, &text.parse().unwrap());
                model.end_closing(name, &taken.unwrap_or_default());
            }
            let all: Vec<_> = model.all_publications().map(|(_, one)| one.ports).collect();
            for (n, one) in all.iter().enumerate() {
                prop_assert!(all[n + 1..].iter().all(|other| !one.conflicts(other)), "{all:?}");
            }
        }
    }
}
