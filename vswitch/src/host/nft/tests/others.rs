//! The kernel's NAT of what comes by devices that are no uplinks.

use super::*;

const DOCKER: [u8; 6] = [2, 0, 0, 0, 0, 6];
const NEAR: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
/// An address that another machine has now.
const MOVED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// Ports at 127.0.0.1 are the host's alone, also where a proxy relays; at an address that another machine has now, they
/// are that machine's.
#[test]
fn ports_at_addresses_of_others_are_not_translated() {
    in_namespace(|| {
        let host = Host::new();
        let docker = Wire::new("docker0");
        run("ip link set docker0 address 02:00:00:00:00:06");
        run("ip addr add 172.17.0.1/16 dev docker0");
        run("sysctl -qw net.ipv4.ip_forward=1");
        // Where rules have translated it to. A packet to a loopback address gets no further.
        nft("table ip probe { chain translated { type filter hook prerouting priority -90;
            iifname \"docker0\" ct status dnat counter comment \"translated\"
            }
            }");
        let translated = || {
            let list = run("nft list table ip probe");
            let mut words = list.split_whitespace().skip_while(|word| *word != "packets");
            words.nth(1).unwrap().parse::<usize>().unwrap()
        };
        let forward = |address: Option<Ipv4Addr>, first, last| Forward {
            published: published(address.map(IpAddr::V4), Protocol::Udp, first, last),
            to4: Some(Ipv4Addr::new(10, 99, 0, 5)),
            to6: None,
            to_port: first,
            allow_from: Vec::new(),
        };
        let forwards = || {
            let local = Ipv4Addr::LOCALHOST;
            let single = [Some(local), Some(MOVED), Some(OTHER4), None];
            let single = single.into_iter().zip(9000..).map(|(at, port)| forward(at, port, port));
            single.chain([forward(Some(local), 9100, 9110), forward(Some(MOVED), 9200, 9210)])
        };
        let relayed =
            Nat { forwards: forwards().collect(), relayed: [Some(40_000); 2], ..Nat::default() };
        let own = Nat { forwards: forwards().collect(), for_others: [true; 2], ..Nat::default() };
        let by_kernel = Nat {
            forwards: forwards().collect(),
            masquerade: vec!["10.99.0.0/16".parse().unwrap()],
            ..Nat::default()
        };
        let mut source = 1;
        for (mode, nat) in [("relayed", relayed), ("own", own), ("kernel", by_kernel)] {
            let mut rules = Rules { nat, ..host.rules(Vec::new()) };
            if mode == "kernel" {
                rules.redirect = None;
            }
            let mut tables = Tables::open("br0").unwrap();
            tables.load(rules).unwrap();
            let local = Ipv4Addr::LOCALHOST;
            let cases = [
                (local, 9000, 0),
                (local, 9105, 0),
                (local, 9003, 0),
                (Ipv4Addr::new(127, 9, 9, 9), 9003, 0),
                (MOVED, 9001, 0),
                (MOVED, 9205, 0),
                (OTHER4, 9002, 1),
                (OTHER4, 9003, 1),
                (HOST4, 9003, 1),
            ];
            for (to, port, expected) in cases {
                let before = translated();
                // A connection of its own: the kernel's NAT sees the first packet of each.
                source += 1;
                // Eight bytes without a checksum.
                let udp = [&ports(source, port)[..4], &[0, 8, 0, 0]].concat();
                docker.send(&ethernet(DOCKER, 0x0800, &ipv4((NEAR, to), UDP, 0, &udp)));
                docker.received();
                assert_eq!(translated() - before, expected, "{mode}: {to}:{port}");
            }
        }
    });
}
