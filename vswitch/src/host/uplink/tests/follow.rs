//! Changes of the kernel that the state follows. Need root.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fastpath::PortIndex;
use testkit::{Wire, in_namespace_async, run_line as run};

use super::{AUTO, host, routes, start, take_taps, until};
use crate::datapath::RouteAction;
use crate::host::uplink::UplinkState;

const TARGET6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99);

#[test]
fn each_route_has_its_source_and_changes_are_followed() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        run("ip addr add 198.51.100.1/24 dev eth0");
        run("ip route add 203.0.113.0/24 nexthop via 198.51.100.7 nexthop via 192.0.2.7");
        run("ip route add 203.0.114.0/24 via 192.0.2.7 src 198.51.100.1");
        let directory = tempfile::tempdir().unwrap();
        let (uplink, mut states) = start(directory.path(), AUTO).await.unwrap();
        let source = |state: &UplinkState, net: &str| {
            let net: ipnet::IpNet = net.parse().unwrap();
            let route = routes(state).iter().find(|route| route.destination == net)?;
            let set = &state.sources[usize::from(route.source?)];
            Some(set.choose(net.addr())?.to_string())
        };
        let state = states.borrow().clone();
        assert_eq!(source(&state, "0.0.0.0/0").unwrap(), "192.0.2.1");
        assert_eq!(source(&state, "198.51.100.0/24").unwrap(), "198.51.100.1");
        assert_eq!(source(&state, "203.0.113.0/24").unwrap(), "198.51.100.1");
        assert_eq!(source(&state, "203.0.114.0/24").unwrap(), "198.51.100.1");
        assert_eq!(source(&state, "::/0").unwrap(), "2001:db8::1");
        for (gateway, wanted) in [("198.51.100.9", "198.51.100.1"), ("192.0.2.254", "192.0.2.1")] {
            run(&format!("ip route replace default via {gateway} metric 10"));
            let wanted = Some(wanted.to_owned());
            until(&mut states, |state| source(state, "0.0.0.0/0") == wanted).await;
        }
        uplink.stop().await;
    });
}

#[test]
fn every_change_of_the_kernel_is_followed() {
    in_namespace_async(|| async {
        let (nic, _bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        let (uplink, mut states) = start(directory.path(), AUTO).await.unwrap();
        // In this order: the kernel takes secondary addresses away with the primary one.
        run("ip addr del 192.0.2.1/24 dev eth0");
        run("ip addr add 192.0.2.9/24 dev eth0");
        until(&mut states, |state| state.ipv4 == Some(Ipv4Addr::new(192, 0, 2, 9))).await;
        let set = run("nft list set netdev vswitch-br0 local4");
        assert!(
            set.contains("192.0.2.9") && !set.contains("192.0.2.1,") && !set.contains("10.99"),
            "{set}"
        );
        run("ip link set eth0 mtu 1400");
        until(&mut states, |state| state.links[0].mtu == 1400).await;
        run("ip link set eth0 address 02:00:00:00:00:77");
        until(&mut states, |state| state.links[0].mac.0[5] == 0x77).await;
        run("ip neigh replace 192.0.2.55 lladdr 02:00:00:00:00:55 dev eth0");
        until(&mut states, |state| state.links[0].neighbours.len() == 1).await;
        run("ip route add 203.0.113.0/24 via 192.0.2.55");
        until(&mut states, |state| {
            routes(state).iter().any(|r| r.action == RouteAction::via("192.0.2.55".parse().ok()))
        })
        .await;
        run("ip link set eth0 down");
        until(&mut states, |state| !state.links[0].up).await;
        // Another name, while control still has the TAP.
        let former = take_taps(&uplink, &states.borrow().clone());
        run("ip link set eth0 name wan0");
        run("ip link set wan0 up");
        let renamed = |state: &UplinkState| state.links[0].device == "wan0" && state.links[0].up;
        let state = until(&mut states, renamed).await;
        let tap = state.links[0].tap.clone().expect("a TAP");
        assert_ne!(tap.ifindex, former[0].ifindex);
        assert!(run("nft list table netdev vswitch-br0").contains("device \"wan0\""));
        drop((nic, former));
        until(&mut states, |state| state.links.is_empty()).await;
        let _nic = Wire::new("eth0");
        run("ip addr add 192.0.2.1/24 dev eth0");
        run("ip route add default via 192.0.2.254");
        let is_back = |state: &UplinkState| state.links.iter().any(|it| it.up && it.ipv4.is_some());
        let back = until(&mut states, is_back).await;
        assert_eq!(back.links[0].device, "eth0");
        assert!(run("nft list table netdev vswitch-br0").contains("device \"eth0\""));
        uplink.stop().await;
    });
}

/// The device has no link-local address: the kernel solicits nobody for whom no packet waits.
#[test]
fn neighbours_are_asked_for() {
    in_namespace_async(|| async {
        let (nic, _bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        let (uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        let (target4, target6) = (Ipv4Addr::new(192, 0, 2, 99), TARGET6);
        for target in [target4.into(), target6.into()] {
            uplink.resolve("eth0".into(), target, PortIndex(2));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let asks4 = |frame: &[u8]| frame[12..14] == [8, 6] && frame[38..42] == target4.octets();
        let asks6 = |frame: &[u8]| {
            frame[12..14] == [0x86, 0xdd]
                && frame[20..22] == [58, 255]
                && frame[54] == 135
                && frame[62..78] == target6.octets()
        };
        let (mut asked4, mut asked6) = (false, false);
        let mut buffer = [0; 2048];
        while let Ok(len) = rustix::io::read(&nic.tap.queues[0], &mut buffer[..]) {
            // After the virtio-net header.
            let frame = &buffer[12..len];
            asked4 |= frame.len() >= 42 && asks4(frame);
            asked6 |= frame.len() >= 86 && asks6(frame);
        }
        assert!(asked4 && asked6, "ARP {asked4}, neighbour solicitation {asked6}");
        uplink.stop().await;
    });
}

/// More changes than the socket's buffer holds: the state is that after the last one.
#[test]
fn lost_notifications_leave_no_former_state() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        let (uplink, mut states) = start(directory.path(), AUTO).await.unwrap();
        let file = directory.path().join("batch");
        let change = |n: u32| {
            let (net, gateway) = (n % 200, 50 + n % 7);
            format!("route replace 203.0.{net}.0/24 via 192.0.2.{gateway}\n")
        };
        std::fs::write(&file, (0..4000).map(change).collect::<String>()).unwrap();
        for round in 0..3 {
            run(&format!("ip -batch {}", file.display()));
            let gateway = format!("192.0.2.{}", 100 + round);
            run(&format!("ip route replace default via {gateway} metric 10"));
            let gateway = gateway.parse().ok();
            let is_followed = |state: &UplinkState| {
                let mut routes = routes(state).iter();
                let default = routes.find(|it| it.destination.prefix_len() == 0);
                default.is_some_and(|it| it.action == RouteAction::via(gateway))
            };
            until(&mut states, is_followed).await;
        }
        uplink.stop().await;
    });
}

/// A route with several paths leads by one that lives, and stays there while it does.
#[test]
fn of_several_paths_one_that_lives_is_taken() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let _second = Wire::new("eth1");
        for device in ["eth0", "eth1"] {
            let kept = format!("/proc/sys/net/ipv6/conf/{device}/keep_addr_on_down");
            std::fs::write(kept, "1").unwrap();
        }
        run("ip addr add 198.51.100.1/24 dev eth1");
        run("ip addr add 2001:db8:1::1/64 dev eth1 nodad");
        run("ip route add 203.0.113.0/24 nexthop via 192.0.2.7 nexthop via 198.51.100.7");
        run("ip -6 route add 2001:db8:f::/48 nexthop via 2001:db8::7 nexthop via 2001:db8:1::7");
        let directory = tempfile::tempdir().unwrap();
        let (uplink, mut states) = start(directory.path(), AUTO).await.unwrap();
        let leads_by = |state: &UplinkState, device: &str| {
            ["203.0.113.0/24", "2001:db8:f::/48"].iter().all(|net| {
                let net: ipnet::IpNet = net.parse().unwrap();
                let route = routes(state).iter().find(|route| route.destination == net);
                match route.map(|route| route.action) {
                    Some(RouteAction::Via { link, gateway: Some(_) }) => {
                        state.links[usize::from(link)].device == device
                    }
                    _ => false,
                }
            })
        };
        assert!(leads_by(&states.borrow().clone(), "eth0"));
        let is_up = |state: &UplinkState| state.links.iter().all(|link| link.up);
        for (down, other) in [("eth0", "eth1"), ("eth1", "eth0")] {
            run(&format!("ip link set {down} down"));
            until(&mut states, |state| leads_by(state, other)).await;
            run(&format!("ip link set {down} up"));
            let state = until(&mut states, is_up).await;
            assert!(leads_by(&state, other), "connections stay: {:?}", routes(&state));
        }
        uplink.stop().await;
    });
}
