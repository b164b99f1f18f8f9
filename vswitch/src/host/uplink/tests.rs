//! A host with a NIC, a bridge and the whole uplink, in a network namespace. Need root.

mod follow;

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use testkit::{Wire, in_namespace_async, is_free, nft, run_line as run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::{
    Config, HostNetwork, Mode, Route, Uplink, UplinkError, UplinkSelector, UplinkState,
    restore_after_crash,
};
use crate::datapath::RouteAction;
use crate::host::Netlink;
use crate::host::nft::{Forward, Forwards, Protocol, Published};
use crate::host::reserve::reserved_ports::{PortSet, ReservedPorts};
use crate::host::reserve::snat_lock;

const WAIT_MAX: Duration = Duration::from_secs(5);

fn host() -> (Wire, Wire) {
    let wires = (Wire::new("eth0"), Wire::new("br0"));
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    run("ip link set eth0 address 02:00:00:00:00:01");
    run("ip addr add 192.0.2.1/24 dev eth0");
    run("ip addr add 2001:db8::1/64 dev eth0 nodad");
    run("ip addr add 10.99.0.1/16 dev br0");
    run("ip route add default via 192.0.2.254 metric 10");
    run("ip -6 route add default via 2001:db8::fe dev eth0");
    wires
}

fn config(directory: &Path, mode: Mode) -> Config {
    Config {
        bridge: "br0".into(),
        mode,
        queues: 1,
        snat_ports: 20_000..=29_999,
        state_dir: directory.to_owned(),
    }
}

async fn start(
    directory: &Path,
    mode: Mode,
) -> Result<(Uplink, watch::Receiver<UplinkState>), UplinkError> {
    let networks = vec![HostNetwork {
        device: "br0".into(),
        subnets: ["10.99.0.0/16".parse().unwrap(), "fd00:99::/64".parse().unwrap()],
        gateways: ["10.99.0.1", "fd00:99::1"].map(|ip| ip.parse().unwrap()).to_vec(),
        is_internal: false,
        reachable_from: Vec::new(),
    }];
    Uplink::start(config(directory, mode), networks, &Netlink::connect().unwrap(), &|| {}).await
}

const AUTO: Mode = Mode::Own(UplinkSelector { named: Vec::new(), exclude: Vec::new() });

fn named(name: &str) -> Mode {
    Mode::Own(UplinkSelector { named: vec![name.into()], exclude: Vec::new() })
}

/// The MAC address of the first uplink's TAP.
fn tap_mac(state: &UplinkState) -> Option<wire::MacAddr> {
    Some(state.links.first()?.tap.as_ref()?.mac)
}

/// Takes the TAPs of all uplinks.
fn take_taps(uplink: &Uplink, state: &UplinkState) -> Vec<fastpath::tap::Tap> {
    let ids = state.links.iter().filter_map(|link| link.tap.as_ref());
    ids.filter_map(|tap| uplink.taps().take(tap.ifindex)).collect()
}

fn routes(state: &UplinkState) -> &[Route] {
    &state.table(254).expect("the main table").routes
}

/// Waits until the state is as wanted.
async fn until(
    states: &mut watch::Receiver<UplinkState>,
    wanted: impl FnMut(&UplinkState) -> bool,
) -> UplinkState {
    let state = tokio::time::timeout(WAIT_MAX, states.wait_for(wanted)).await;
    state.expect("within five seconds").expect("followed").clone()
}

fn forward(address: Option<&str>, first: u16, last: u16, to_port: u16) -> Forward {
    let address = address.map(|text| text.parse::<IpAddr>().unwrap());
    let published = Published { address, protocol: Protocol::Tcp, ports: first..=last };
    Forward {
        published,
        to4: Some(Ipv4Addr::new(10, 99, 0, 5)),
        to6: None,
        to_port,
        allow_from: Vec::new(),
    }
}

/// Everything of the host that could change.
fn everything() -> String {
    let settings = run(
        "sysctl -a --ignore -r ^net.ipv4.(ip_forward$|ip_local_reserved_ports|conf.(eth0|br0|all).)",
    );
    // A TAP may go while sysctl lists the settings, which it reports.
    let is_kept =
        |line: &&str| !line.contains("br0.route_localnet") && !line.starts_with("sysctl: ");
    let settings: String = settings.lines().filter(is_kept).collect();
    [run("ip -br link"), run("ip route show table all"), run("nft list ruleset"), settings].concat()
}

#[test]
fn the_state_is_what_the_kernel_would_do() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        run("ip addr add 192.0.2.7/24 dev eth0");
        run("ip addr add 2001:db8::bad/64 dev eth0 nodad preferred_lft 0");
        run("ip route add blackhole 198.51.100.0/24");
        run("ip route add 203.0.113.0/24 dev br0");
        run("ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev eth0");
        let directory = tempfile::tempdir().unwrap();
        let (uplink, states) = start(directory.path(), AUTO).await.unwrap();
        let state = states.borrow().clone();
        let link = &state.links[0];
        assert_eq!((link.device.as_str(), link.up, link.mtu), ("eth0", true, 1500));
        assert_eq!(link.mac.0, [2, 0, 0, 0, 0, 1]);
        assert_eq!(state.ipv4, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(state.ipv6, Some("2001:db8::1".parse().unwrap()), "not the deprecated one");
        assert!(state.local.contains(&"10.99.0.1".parse().unwrap()), "{:?}", state.local);
        let action = |net: &str| {
            let net = net.parse().unwrap();
            routes(&state).iter().find(|route: &&Route| route.destination == net).map(|r| r.action)
        };
        let by =
            |gateway: Option<&str>| Some(RouteAction::via(gateway.map(|g| g.parse().unwrap())));
        assert_eq!(action("0.0.0.0/0"), by(Some("192.0.2.254")));
        assert_eq!(action("::/0"), by(Some("2001:db8::fe")));
        assert_eq!(action("192.0.2.0/24"), by(None));
        assert_eq!(action("198.51.100.0/24"), Some(RouteAction::Unreachable));
        assert_eq!(action("203.0.113.0/24"), Some(RouteAction::Elsewhere));
        assert_eq!(
            state.links[0].neighbours,
            [("192.0.2.254".parse().unwrap(), wire::MacAddr([2, 0, 0, 0, 0, 0xfe]))]
        );
        uplink.stop().await;
    });
}

#[test]
fn the_host_is_as_before_when_it_stops() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        nft("table ip theirs { chain c { accept\n }\n }");
        let before = everything();
        for mode in [AUTO, named("eth0"), Mode::Kernel] {
            let directory = tempfile::tempdir().unwrap();
            let (mut uplink, _states) = start(directory.path(), mode.clone()).await.unwrap();
            let forwards =
                vec![forward(None, 8080, 8080, 80), forward(None, 40_000, 49_999, 40_000)];
            uplink.set_published(forwards.into_iter().collect()).await.unwrap();
            assert_ne!(everything(), before, "{mode:?}");
            uplink.stop().await;
            assert_eq!(everything(), before, "{mode:?}");
            assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
        }
    });
}

#[test]
fn an_uplink_is_handed_over_without_undoing() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let before = everything();
        for mode in [AUTO, Mode::Kernel] {
            let directory = tempfile::tempdir().unwrap();
            let (mut uplink, states) = start(directory.path(), mode.clone()).await.unwrap();
            let first = states.borrow().clone();
            let tap = take_taps(&uplink, &first);
            // The TAP has no address of its own, so the host has none by it.
            assert!(!run("ip addr show").contains("192.0.0.8"), "{mode:?}");
            let forwards = || {
                vec![
                    forward(None, 8080, 8080, 80),
                    forward(Some("::1"), 8081, 8081, 81),
                    forward(None, 40_000, 49_999, 40_000),
                ]
            };
            uplink.set_published(forwards().into_iter().collect()).await.unwrap();
            let running = everything();
            let mac = tap_mac(&first);
            let parts = uplink.into_parts().await.unwrap();
            assert_eq!(everything(), running, "{mode:?}: nothing is undone");
            assert!(TcpListener::bind("0.0.0.0:8080").is_err(), "{mode:?}: still reserved");
            if mode == AUTO {
                let other = snat_lock::lock_range("br1", &(20_000..=20_100));
                assert!(other.is_err(), "{mode:?}: still locked");
            }
            let netlink = Netlink::connect().unwrap();
            let (mut uplink, mut states) = Uplink::from_parts(parts, &netlink).await.unwrap();
            let now = tap_mac(&states.borrow());
            assert_eq!((everything(), now), (running.clone(), mac), "{mode:?}");
            // It is whole: it follows the kernel, answers the same wish in the same way, and changes.
            run("ip neigh replace 192.0.2.55 lladdr 02:00:00:00:00:55 dev eth0");
            until(&mut states, |state| !state.links[0].neighbours.is_empty()).await;
            run("ip neigh del 192.0.2.55 dev eth0");
            uplink.set_published(forwards().into_iter().collect()).await.unwrap();
            assert_eq!(everything(), running, "{mode:?}");
            uplink.set_published(Forwards::default()).await.unwrap();
            assert!(is_free("0.0.0.0:8080"));
            uplink.stop().await;
            drop(tap);
            assert_eq!(everything(), before, "{mode:?}");
            assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none());
        }
    });
}

#[test]
fn what_a_crash_left_is_restored() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let before = everything();
        for mode in [AUTO, Mode::Kernel] {
            let directory = tempfile::tempdir().unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let (mut uplink, _states) = start(directory.path(), mode).await.unwrap();
            // As if nobody had undone these. That tables stay and are removed is tested in `nft::tests`: only the
            // end of a process closes the socket that owns them.
            let nothing = ReservedPorts::reserve(elsewhere.path(), &PortSet::default()).unwrap();
            std::mem::forget(std::mem::replace(&mut uplink.reserved, nothing));
            std::mem::forget(uplink.forwarding.take());
            uplink.stop().await;
            assert_ne!(everything(), before);
            restore_after_crash("br0", directory.path()).unwrap();
            assert_eq!(everything(), before);
        }
    });
}

#[test]
fn no_uplink_says_what_to_do() {
    in_namespace_async(|| async {
        let _bridge = Wire::new("br0");
        let directory = tempfile::tempdir().unwrap();
        let refusal =
            async |mode| start(directory.path(), mode).await.map(|_| ()).unwrap_err().to_string();
        let (uplink, states) = start(directory.path(), AUTO).await.expect("it waits for a route");
        assert!(states.borrow().links.is_empty());
        uplink.stop().await;
        assert!(refusal(named("eth7")).await.contains("no interface eth7"));
        let error = refusal(named("lo")).await;
        assert!(
            error.contains("lo is no Ethernet device") && error.contains("--uplink kernel"),
            "{error}"
        );
    });
}

#[test]
fn published_ports_change_live_or_not_at_all() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        let (mut uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        let port = 8080;
        let one = forward(None, port, port, 80);
        uplink.set_published([one.clone()].into_iter().collect()).await.unwrap();
        // The same again keeps its sockets.
        let both = vec![one, forward(Some("192.0.2.1"), 8443, 8443, 443)];
        uplink.set_published(both.into_iter().collect()).await.unwrap();
        assert!(
            run("nft list set netdev vswitch-br0 published4").contains("192.0.2.1 . tcp . 8443")
        );
        let rules = run("nft list table ip vswitch-br0");
        assert!(
            rules.contains(&format!("th dport {port}")) || rules.contains(&port.to_string()),
            "{rules}"
        );
        // One that is taken: nothing changes.
        let _theirs = TcpListener::bind("127.0.0.1:9999").unwrap();
        let before = run("nft list ruleset");
        let refused =
            uplink.set_published([forward(None, 9998, 9999, 80)].into_iter().collect()).await;
        assert!(refused.unwrap_err().to_string().contains("9999/tcp of this host is taken by"));
        let twice = vec![forward(None, 7000, 7010, 80), forward(Some("192.0.2.1"), 7010, 7010, 80)];
        assert!(
            uplink
                .set_published(twice.into_iter().collect())
                .await
                .unwrap_err()
                .to_string()
                .contains("published twice")
        );
        assert_eq!(run("nft list ruleset"), before);
        assert!(TcpListener::bind(("0.0.0.0", port)).is_err());
        uplink.set_published(Forwards::default()).await.unwrap();
        assert!(is_free(("0.0.0.0", port)));
        uplink.stop().await;
    });
}

#[test]
fn the_host_reaches_a_published_port_by_all_its_addresses() {
    in_namespace_async(|| async {
        let (_nic, bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        run("ip neigh add 10.99.0.5 lladdr 02:00:00:00:00:05 dev br0");
        let (mut uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        uplink.set_published([forward(None, 8080, 8080, 80)].into_iter().collect()).await.unwrap();
        for address in ["127.0.0.1", "192.0.2.1", "10.99.0.1", "[::1]"] {
            bridge.received();
            let attempt = tokio::spawn(tokio::net::TcpStream::connect(format!("{address}:8080")));
            tokio::time::sleep(Duration::from_millis(100)).await;
            let to_container =
                |frame: &&Vec<u8>| frame[12..14] == [8, 0] && frame[30..34] == [10, 99, 0, 5];
            let frames = bridge.received();
            let syn =
                frames.iter().find(to_container).unwrap_or_else(|| panic!("{address}: {frames:?}"));
            assert_eq!(syn[26..30], [10, 99, 0, 1], "{address}: answers lead back");
            assert_eq!(syn[36..38], 80_u16.to_be_bytes(), "{address}");
            attempt.abort();
        }
        uplink.stop().await;
    });
}

#[test]
fn connections_to_the_ipv6_loopback_are_carried() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        // The container is the host's own address here.
        let server = tokio::net::TcpListener::bind("10.99.0.1:80").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut line = [0; 5];
            stream.read_exact(&mut line).await.unwrap();
            stream.write_all(&line).await.unwrap();
        });
        let directory = tempfile::tempdir().unwrap();
        let (mut uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        let here = Forward { to4: Some([10, 99, 0, 1].into()), ..forward(None, 8080, 8080, 80) };
        uplink.set_published([here].into_iter().collect()).await.unwrap();
        let mut client = tokio::net::TcpStream::connect("[::1]:8080").await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(WAIT_MAX, client.read_to_end(&mut answer)).await;
        read.expect("in time").unwrap();
        assert_eq!(answer, b"hello");
        uplink.set_published(Forwards::default()).await.unwrap();
        // A program that another test starts has the socket, too, from its fork to its exec.
        let refused = async {
            while tokio::net::TcpStream::connect("[::1]:8080").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, refused).await.expect("refused");
        uplink.stop().await;
    });
}
