//! Crafted frames against the tables in the kernel, in namespaces. Need root.

mod elements;
mod sets;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use testkit::packet::{ethernet, icmp, ipv4, ipv6, ports};
use testkit::{Wire, attempt, in_namespace, in_namespace_async, nft, run_line as run};

use super::kernel::Tables;
use super::{
    Firewall, Forward, Forwards, IngressRedirect, Nat, PortBlock, Protocol, Published,
    RedirectLink, Rules, remove_stale_tables,
};
use crate::host::limits::SHIFTED_PORTS_SUM_MAX;
use vswitch_sys::table::Flags;

mod several;

const NIC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TAP: [u8; 6] = [2, 0, 0, 0, 0, 2];
const HOST4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const FAR4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OTHER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const TCP: u8 = 6;
const UDP: u8 = 17;

const TCP_BLOCK: PortBlock = PortBlock { protocol: Protocol::Tcp, first: 24_960, last: 25_023 };
const UDP_BLOCK: PortBlock = PortBlock { protocol: Protocol::Udp, ..TCP_BLOCK };

/// A host with a NIC, a bridge, and an uplink TAP between the two.
struct Host {
    nic: Wire,
    bridge: Wire,
    uplink: Wire,
}

impl Host {
    fn new() -> Self {
        let host =
            Self { nic: Wire::new("eth0"), bridge: Wire::new("br0"), uplink: Wire::new("up0") };
        run("ip link set eth0 address 02:00:00:00:00:01");
        run("ip link set up0 address 02:00:00:00:00:02 arp off");
        run("ip link set br0 address 02:00:00:00:00:03");
        run("ip addr add 192.0.2.1/24 dev eth0");
        run("ip addr add 192.0.2.7/24 dev eth0");
        run("ip addr add 2001:db8::1/64 dev eth0 nodad");
        run("ip addr add 10.99.0.1/16 dev br0");
        // What reaches the host's stack, by whatever device.
        nft("table inet probe { chain pre { type filter hook prerouting priority -300;
            iifname \"eth0\" counter comment \"nic\"
            iifname \"up0\" counter comment \"back\"
            iifname \"br0\" counter comment \"bridge\"
            }
            }");
        host
    }

    fn rules(&self, published: Vec<Published>) -> Rules {
        let redirect = IngressRedirect {
            portless: [(FAR4.into(), 47), (FAR6.into(), 50)].into(),
            links: vec![RedirectLink {
                device: Some(("eth0".into(), self.nic.tap.ifindex)),
                tap: ("up0".into(), self.uplink.tap.ifindex),
            }],
            local4: vec![HOST4, OTHER4],
            local6: vec![HOST6],
            subnets: vec!["10.99.0.0/16".parse().unwrap(), "fd00:99::/64".parse().unwrap()],
            snat_ports: 20_000..=29_999,
            snat_blocks: [TCP_BLOCK, UDP_BLOCK].into(),
            published: published.into_iter().map(to_nobody).collect(),
        };
        Rules {
            bridge: "br0".into(),
            devices: vec!["br0".into()],
            allowed: Vec::new(),
            redirect: Some(redirect),
            nat: Nat::default(),
        }
    }

    /// How many packets the host's stack has seen by a way.
    fn seen(&self, way: &str) -> usize {
        let list = run("nft list table inet probe");
        let line = list.lines().find(|line| line.contains(&format!("\"{way}\""))).unwrap();
        let mut words = line.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).unwrap().parse().unwrap()
    }

    /// A frame arrives at the NIC: (the TAP has it unchanged, the host has it).
    fn arrives(&self, frame: &[u8]) -> (bool, bool) {
        let before = self.seen("nic");
        self.uplink.received();
        self.nic.send(frame);
        let at_tap = self.uplink.received();
        assert!(at_tap.len() < 2, "{at_tap:?}");
        let unchanged = at_tap.first().is_some_and(|got| got.as_slice() == frame);
        assert_eq!(at_tap.len(), usize::from(unchanged), "{at_tap:?}");
        (unchanged, self.seen("nic") > before)
    }
}

/// Handed over by the NIC, and not translated by the kernel.
fn to_nobody(published: Published) -> Forward {
    let to_port = *published.ports.start();
    Forward { published, to4: None, to6: None, to_port, allow_from: Vec::new() }
}

fn published(address: Option<IpAddr>, protocol: Protocol, first: u16, last: u16) -> Published {
    Published { address, protocol, ports: first..=last }
}

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(NIC, 0x0800, &ipv4((FAR4, HOST4), protocol, 0, payload))
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(NIC, 0x86dd, &ipv6((FAR6, HOST6), next, payload))
}

/// An ICMP error about a packet from `source`.
fn error4(kind: u8, source: Ipv4Addr, protocol: u8, quoted: &[u8]) -> Vec<u8> {
    v4(1, &icmp(kind, [0; 4], &ipv4((source, FAR4), protocol, 0, quoted)))
}

fn error6(kind: u8, source: Ipv6Addr, next: u8, quoted: &[u8]) -> Vec<u8> {
    v6(58, &icmp(kind, [0; 4], &ipv6((source, FAR6), next, quoted)))
}

const TAKEN: (bool, bool) = (true, false);
const COPIED: (bool, bool) = (true, true);
const LEFT: (bool, bool) = (false, true);
const DROPPED: (bool, bool) = (false, false);

#[test]
fn each_class_of_ipv4_frames_goes_where_it_belongs() {
    in_namespace_async(|| async {
        let host = Host::new();
        let ours = vec![
            published(None, Protocol::Tcp, 8080, 8080),
            published(Some(OTHER4.into()), Protocol::Udp, 53, 53),
        ];
        let _firewall = Firewall::start(host.rules(ours)).await.unwrap();
        let other = |protocol, payload: &[u8]| {
            ethernet(NIC, 0x0800, &ipv4((FAR4, OTHER4), protocol, 0, payload))
        };
        let fragment =
            |offset| ethernet(NIC, 0x0800, &ipv4((FAR4, HOST4), UDP, offset, &ports(1, 25_000)));
        let container = ipv4((FAR4, Ipv4Addr::new(10, 99, 0, 5)), TCP, 0, &ports(1, 80));
        let tagged = [&[0, 7, 8, 0][..], &ipv4((FAR4, HOST4), TCP, 0, &ports(1, 25_000))].concat();
        let with_options = {
            let mut quoted = ipv4((HOST4, FAR4), UDP, 0, &ports(25_000, 9));
            quoted[0] = 0x46;
            v4(1, &icmp(3, [0; 4], &quoted))
        };
        let gre_fragment = ethernet(NIC, 0x0800, &ipv4((FAR4, HOST4), 47, 0x2010, &[0; 8]));
        let cases = [
            ("the first of a block", v4(TCP, &ports(443, 24_960)), TAKEN),
            ("the last of a block", v4(UDP, &ports(53, 25_023)), TAKEN),
            ("below the block", v4(TCP, &ports(443, 24_959)), LEFT),
            ("above the block", v4(UDP, &ports(443, 25_024)), LEFT),
            ("of a protocol without the block", v4(132, &ports(443, 25_000)), LEFT),
            ("below the range", v4(TCP, &ports(443, 19_999)), LEFT),
            ("published", v4(TCP, &ports(5555, 8080)), TAKEN),
            ("GRE of a container's remote", v4(47, &[0; 8]), TAKEN),
            ("a later fragment of it", gre_fragment, TAKEN),
            ("an error about it", error4(3, HOST4, 47, &[0; 8]), COPIED),
            ("another protocol of that remote", v4(50, &[0; 8]), LEFT),
            ("published at every address", other(TCP, &ports(5555, 8080)), TAKEN),
            ("another protocol", v4(UDP, &ports(5555, 8080)), LEFT),
            ("published at its address", other(UDP, &ports(5555, 53)), TAKEN),
            ("published at another address", v4(UDP, &ports(5555, 53)), LEFT),
            ("a first fragment", fragment(0x2000), TAKEN),
            ("a later fragment", fragment(0x2010), COPIED),
            ("an echo reply of ours", v4(1, &icmp(0, [0x61, 0xa8, 0, 1], b"x")), COPIED),
            ("an echo reply of the host's", v4(1, &icmp(0, [0, 7, 0, 1], b"x")), LEFT),
            ("an echo request", v4(1, &icmp(8, [0x61, 0xa8, 0, 1], b"x")), LEFT),
            ("an error about a flow", error4(3, HOST4, UDP, &ports(25_000, 9)), COPIED),
            ("a time exceeded", error4(11, HOST4, TCP, &ports(25_000, 9)), COPIED),
            ("an error about an answer", error4(3, HOST4, TCP, &ports(8080, 9)), COPIED),
            (
                "an error about an answer from an address",
                error4(3, OTHER4, UDP, &ports(53, 9)),
                COPIED,
            ),
            ("an error about the host's flow", error4(3, HOST4, UDP, &ports(40_000, 9)), LEFT),
            ("an error about another's flow", error4(3, FAR4, UDP, &ports(25_000, 9)), LEFT),
            (
                "an error about an echo",
                error4(11, HOST4, 1, &icmp(8, [0x61, 0xa8, 0, 1], b"")),
                COPIED,
            ),
            (
                "an error about the host's echo",
                error4(11, HOST4, 1, &icmp(8, [0, 7, 0, 1], b"")),
                LEFT,
            ),
            ("a redirect", error4(5, HOST4, UDP, &ports(25_000, 9)), LEFT),
            ("an error that quotes options", with_options, LEFT),
            ("to a container", ethernet(NIC, 0x0800, &container), DROPPED),
            // No VLAN device takes it: neither the switch nor the host has it.
            ("of a VLAN", ethernet(NIC, 0x8100, &tagged), DROPPED),
            ("of a service VLAN", ethernet(NIC, 0x88a8, &tagged), DROPPED),
        ];
        for (what, frame, expected) in cases {
            assert_eq!(host.arrives(&frame), expected, "{what}");
        }
    });
}

#[test]
fn each_class_of_ipv6_frames_goes_where_it_belongs() {
    in_namespace_async(|| async {
        let host = Host::new();
        let ours = vec![
            published(None, Protocol::Tcp, 8080, 8080),
            published(Some(HOST6.into()), Protocol::Udp, 53, 53),
        ];
        let _firewall = Firewall::start(host.rules(ours)).await.unwrap();
        let container: Ipv6Addr = "fd00:99::5".parse().unwrap();
        let container = ipv6((FAR6, container), TCP, &ports(1, 80));
        let fragment = |offset: u16| {
            let header = [&[UDP, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 1]].concat();
            v6(44, &[&header[..], &ports(1, 25_000)].concat())
        };
        let cases = [
            ("ESP of a container's remote", v6(50, &[0; 8]), TAKEN),
            ("another protocol of that remote", v6(47, &[0; 8]), LEFT),
            ("an error about it", error6(2, HOST6, 50, &[0; 8]), COPIED),
            ("of a block", v6(TCP, &ports(443, 25_000)), TAKEN),
            ("above the block", v6(UDP, &ports(443, 25_024)), LEFT),
            ("published", v6(TCP, &ports(5555, 8080)), TAKEN),
            ("published at its address", v6(UDP, &ports(5555, 53)), TAKEN),
            ("a first fragment", fragment(1), TAKEN),
            ("a later fragment", fragment(0x81), COPIED),
            ("an echo reply of ours", v6(58, &icmp(129, [0x61, 0xa8, 0, 1], b"x")), COPIED),
            ("an echo reply of the host's", v6(58, &icmp(129, [0, 7, 0, 1], b"x")), LEFT),
            ("an error about a flow", error6(1, HOST6, UDP, &ports(25_000, 9)), COPIED),
            ("packet too big", error6(2, HOST6, TCP, &ports(25_000, 9)), COPIED),
            (
                "an error about an answer from an address",
                error6(1, HOST6, UDP, &ports(53, 9)),
                COPIED,
            ),
            ("an error about the host's flow", error6(1, HOST6, TCP, &ports(40_000, 9)), LEFT),
            ("an error about another's flow", error6(1, FAR6, TCP, &ports(25_000, 9)), LEFT),
            (
                "an error about an echo",
                error6(3, HOST6, 58, &icmp(128, [0x61, 0xa8, 0, 1], b"")),
                COPIED,
            ),
            ("to a container", ethernet(NIC, 0x86dd, &container), DROPPED),
        ];
        for (what, frame, expected) in cases {
            assert_eq!(host.arrives(&frame), expected, "{what}");
        }
    });
}

#[test]
fn the_switch_sends_by_the_nic_and_never_into_the_host() {
    in_namespace_async(|| async {
        let host = Host::new();
        let _firewall = Firewall::start(host.rules(Vec::new())).await.unwrap();
        host.nic.received();
        for to in [[2, 0, 0, 0, 0, 9], TAP] {
            let out = ethernet(to, 0x0800, &ipv4((HOST4, FAR4), UDP, 0, &ports(25_000, 9)));
            host.uplink.send(&out);
            assert_eq!(host.nic.received(), vec![out], "as it was");
        }
        assert_eq!(host.seen("back"), 0);
    });
}

#[test]
fn without_a_nic_the_switch_sends_nowhere() {
    in_namespace_async(|| async {
        let host = Host::new();
        let mut rules = host.rules(Vec::new());
        rules.redirect.as_mut().unwrap().links[0].device = None;
        let _firewall = Firewall::start(rules).await.unwrap();
        host.uplink.send(&ethernet(NIC, 0x0800, &ipv4((HOST4, FAR4), UDP, 0, &ports(25_000, 9))));
        host.nic.received();
        assert_eq!(host.seen("back"), 0);
    });
}

#[test]
fn containers_are_kept_from_the_loopback() {
    in_namespace_async(|| async {
        let host = Host::new();
        let _firewall = Firewall::start(host.rules(Vec::new())).await.unwrap();
        let container = Ipv4Addr::new(10, 99, 0, 5);
        let mac = [2, 0, 0, 0, 0, 3];
        let send = |destination| {
            let packet = ipv4((container, destination), UDP, 0, &ports(1, 53));
            host.bridge.send(&ethernet(mac, 0x0800, &packet));
            host.bridge.received();
            host.seen("bridge")
        };
        assert_eq!(send(Ipv4Addr::new(10, 99, 0, 1)), 1);
        assert_eq!(send(Ipv4Addr::LOCALHOST), 1);
        assert_eq!(send(Ipv4Addr::new(127, 9, 9, 9)), 1);
    });
}

#[test]
fn the_ruleset_is_as_before_when_it_ends() {
    in_namespace_async(|| async {
        let host = Host::new();
        let before = run("nft list ruleset");
        let firewall = Firewall::start(with_nat(&host)).await.unwrap();
        for family in ["netdev", "ip", "ip6"] {
            run(&format!("nft list table {family} vswitch-br0"));
        }
        drop(firewall);
        assert_eq!(run("nft list ruleset"), before);
    });
}

fn with_nat(host: &Host) -> Rules {
    let forward = Forward {
        published: published(None, Protocol::Tcp, 8080, 8080),
        to4: Some(Ipv4Addr::new(10, 99, 0, 5)),
        to6: Some("fd00:99::5".parse().unwrap()),
        to_port: 80,
        allow_from: Vec::new(),
    };
    let nat = Nat { forwards: [forward].into_iter().collect(), ..Nat::default() };
    Rules { nat, ..host.rules(Vec::new()) }
}

#[test]
fn anothers_flush_passes_the_tables_by() {
    in_namespace_async(|| async {
        let host = Host::new();
        let _firewall = Firewall::start(with_nat(&host)).await.unwrap();
        let before = run("nft list table netdev vswitch-br0");
        let _ = attempt("nft flush ruleset");
        let (deleted, said) = attempt("nft delete table netdev vswitch-br0");
        assert!(!deleted, "{said}");
        assert_eq!(run("nft list table netdev vswitch-br0"), before);
    });
}

#[test]
fn lost_tables_are_seen_and_put_back() {
    in_namespace(|| {
        let host = Host::new();
        let mut tables = Tables::open("br0").unwrap().with_flags(Flags::None);
        tables.load(with_nat(&host)).unwrap();
        tables.check().unwrap();
        assert_eq!(tables.restored(), 0);
        let loss = [
            "nft delete table netdev vswitch-br0",
            "nft flush chain netdev vswitch-br0 local4",
            "nft delete table ip vswitch-br0",
            "nft flush ruleset",
        ];
        for (n, line) in (1..).zip(loss) {
            run(line);
            tables.check().unwrap();
            assert_eq!(tables.restored(), n, "{line}");
            assert_eq!(host.arrives_without_probe(&v4(TCP, &ports(1, 25_000))), 1, "{line}");
        }
        // A change of somebody else's is nothing to us.
        nft("table ip theirs { chain c { accept\n }\n }");
        tables.check().unwrap();
        assert_eq!(tables.restored(), 4);
        tables.remove();
        assert_eq!(run("nft list tables").trim(), "table ip theirs");
    });
}

impl Host {
    fn arrives_without_probe(&self, frame: &[u8]) -> usize {
        self.uplink.received();
        self.nic.send(frame);
        self.uplink.received().len()
    }
}

#[test]
fn what_a_crash_left_is_adopted_and_removed() {
    in_namespace_async(|| async {
        let host = Host::new();
        let before = run("nft list ruleset");
        let crash = || {
            let mut tables = Tables::open("br0").unwrap();
            tables.load(with_nat(&host)).unwrap();
            // The socket is closed, and nobody deletes anything.
            drop(tables);
        };
        crash();
        let firewall = Firewall::start(with_nat(&host)).await.unwrap();
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 25_000))), TAKEN);
        drop(firewall);
        assert_eq!(run("nft list ruleset"), before);
        crash();
        remove_stale_tables("br0").unwrap();
        assert_eq!(run("nft list ruleset"), before);
        remove_stale_tables("br0").unwrap();
    });
}

#[test]
fn a_refusal_names_the_table_and_leaves_the_former_rules() {
    in_namespace_async(|| async {
        let host = Host::new();
        let firewall = Firewall::start(host.rules(Vec::new())).await.unwrap();
        let before = run("nft list ruleset");
        let mut wrong = host.rules(Vec::new());
        wrong.devices = vec!["a-name-of-more-than-15".into()];
        let error = firewall.load(wrong).await.unwrap_err().to_string();
        assert!(error.contains("the nftables tables vswitch-br0 (message "), "{error}");
        assert_eq!(run("nft list ruleset"), before);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(firewall.restored(), 0);
    });
}
