//! Several uplinks in one table, and changes of single elements.

use std::sync::atomic::{AtomicBool, Ordering};

use vswitch_sys::socket::Socket;
use vswitch_sys::{Batch, MsgType, ProtoFamily, Table};

use super::*;
use crate::host::nft::build::ingress_of;
use crate::host::nft::exchange::send;
use crate::host::nft::netdev::{PRIORITY, UPLINK};

const NIC2: [u8; 6] = [2, 0, 0, 0, 0, 4];

/// A second NIC with its TAP.
fn second(rules: &mut Rules) -> (Wire, Wire) {
    let (nic, tap) = (Wire::new("eth1"), Wire::new("up1"));
    run("ip link set eth1 address 02:00:00:00:00:04");
    run("ip link set up1 address 02:00:00:00:00:05 arp off");
    let redirect = rules.redirect.as_mut().unwrap();
    redirect.links.push(RedirectLink {
        device: Some(("eth1".into(), nic.tap.ifindex)),
        tap: ("up1".into(), tap.tap.ifindex),
    });
    (nic, tap)
}

/// Frames for the switch reach the TAP of the NIC that they came by, and leave by the NIC of the TAP.
#[test]
fn each_nic_has_its_tap() {
    in_namespace_async(|| async {
        let host = Host::new();
        let mut rules = host.rules(vec![published(None, Protocol::Tcp, 8080, 8080)]);
        let (nic2, tap2) = second(&mut rules);
        let firewall = Firewall::start(rules.clone()).await.unwrap();
        let list = run("nft list chain netdev vswitch-br0 uplink");
        assert!(list.contains("eth0") && list.contains("eth1"), "{list}");
        for port in [8080, 25_000] {
            let packet = ipv4((FAR4, HOST4), TCP, 0, &ports(1, port));
            assert_eq!(host.arrives(&ethernet(NIC, 0x0800, &packet)), TAKEN);
            assert!(tap2.received().is_empty());
            let frame = ethernet(NIC2, 0x0800, &packet);
            nic2.send(&frame);
            assert_eq!((tap2.received(), host.uplink.received()), (vec![frame], vec![]), "{port}");
        }
        // An echo reply and a fragment are copied.
        let reply =
            v4(1, &icmp(0, [25_000_u16.to_be_bytes(), [0, 1]].concat().try_into().unwrap(), &[]));
        nic2.send(&reply);
        assert_eq!(tap2.received(), [reply]);
        // Out.
        let out = ethernet([2, 0, 0, 0, 9, 9], 0x0800, &ipv4((HOST4, FAR4), TCP, 0, &ports(1, 2)));
        nic2.received();
        tap2.send(&out);
        assert_eq!(nic2.received(), [out.as_slice()]);
        host.nic.received();
        host.uplink.send(&out);
        assert_eq!(host.nic.received(), [out.as_slice()]);
        assert!(nic2.received().is_empty());
        // One of them goes.
        rules.redirect.as_mut().unwrap().links[1].device = None;
        firewall.load(rules).await.unwrap();
        nic2.send(&v4(TCP, &ports(1, 8080)));
        assert!(tap2.received().is_empty());
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 8080))), TAKEN);
    });
}

pub(super) fn forward(port: u16) -> Forward {
    Forward {
        published: published(None, Protocol::Tcp, port, port),
        to4: Some(Ipv4Addr::new(10, 99, 0, 5)),
        to6: Some("fd00:99::5".parse().unwrap()),
        to_port: 80,
        allow_from: Vec::new(),
    }
}

fn with_forwards(host: &Host, forwards: Vec<Forward>) -> Rules {
    let published = forwards.iter().map(|forward| forward.published.clone()).collect();
    let nat = Nat {
        forwards: forwards.into_iter().collect(),
        masquerade: Vec::new(),
        gateways: Vec::new(),
        for_others: [false; 2],
        relayed: [Some(40_000); 2],
        switched: Vec::new(),
        tracks_host: [false; 2],
    };
    Rules { nat, ..host.rules(published) }
}

/// The numbers of all sets: those of a table that was loaded anew are others.
fn handles() -> Vec<String> {
    let list = run("nft -a -t list ruleset");
    let is_kept = |line: &&str| ["table ", "set ", "map "].iter().any(|it| line.contains(it));
    list.lines().filter(is_kept).map(str::to_owned).collect()
}

#[test]
fn a_publication_changes_single_elements() {
    in_namespace_async(|| async {
        let host = Host::new();
        let many: Vec<_> = (1000..11_000).map(forward).collect();
        let firewall = Firewall::start(with_forwards(&host, many.clone())).await.unwrap();
        let before = handles();
        let more = [many.clone(), vec![forward(11_000)]].concat();
        firewall.load(with_forwards(&host, more.clone())).await.unwrap();
        assert_eq!(handles(), before, "no set was made again");
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 11_000))), TAKEN);
        for family in ["ip", "ip6"] {
            let list = run(&format!("nft list map {family} vswitch-br0 ports"));
            assert_eq!(list.matches("tcp . ").count(), 10_001, "{family}");
        }
        // One goes from the middle, and comes back with another target; an address comes.
        let mut fewer = more.clone();
        fewer.remove(5000);
        firewall.load(with_forwards(&host, fewer)).await.unwrap();
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 6000))), LEFT);
        let mut others = more;
        others[5000].to_port = 81;
        let mut rules = with_forwards(&host, others);
        let new = Ipv4Addr::new(192, 0, 2, 8);
        rules.redirect.as_mut().unwrap().local4.push(new);
        firewall.load(rules).await.unwrap();
        let to_new = ethernet(NIC, 0x0800, &ipv4((FAR4, new), TCP, 0, &ports(1, 6000)));
        assert_eq!(host.arrives(&to_new), TAKEN);
        assert!(run("nft list map ip vswitch-br0 ports").contains("tcp . 6000 : 10.99.0.5 . 81"));
        assert_eq!(handles(), before);
        firewall.load(host.rules(Vec::new())).await.unwrap();
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 6000))), LEFT);
    });
}

/// The sets are not as the switch left them: all is loaded anew.
#[test]
fn elements_that_another_program_removed_come_back() {
    in_namespace(|| {
        let host = Host::new();
        let mut tables = Tables::open("br0").unwrap().with_flags(Flags::None);
        tables.load(with_forwards(&host, vec![forward(80), forward(81)])).unwrap();
        run("nft flush set netdev vswitch-br0 ports4");
        tables.load(with_forwards(&host, vec![forward(81)])).unwrap();
        assert!(run("nft list set netdev vswitch-br0 ports4").contains("tcp . 81"));
    });
}

/// Many times what fits into a page of a batch; the last range is beyond the limit.
#[test]
fn thousands_of_ports_are_one_batch() {
    in_namespace_async(|| async {
        let host = Host::new();
        let shifted = |n: u16| Forward {
            published: published(None, Protocol::Tcp, 1000 + 256 * n, 1255 + 256 * n),
            to4: Some(Ipv4Addr::new(10, 99, 0, 5)),
            to6: Some("fd00:99::5".parse().unwrap()),
            to_port: 40_000,
            allow_from: Vec::new(),
        };
        let sum = SHIFTED_PORTS_SUM_MAX;
        let nat = Nat { forwards: (0..=16).map(shifted).collect(), ..Nat::default() };
        let firewall = Firewall::start(Rules { nat, ..host.rules(Vec::new()) }).await.unwrap();
        for (family, address) in [("ip", "10.99.0.5"), ("ip6", "fd00:99::5")] {
            let list = run(&format!("nft list map {family} vswitch-br0 ports"));
            assert_eq!(list.matches(&format!("{address} . 40")).count(), sum, "{family}");
        }
        firewall.load(host.rules(Vec::new())).await.unwrap();
    });
}

/// Under traffic, while rules and devices of the chain change: a chain that stays keeps its hook.
#[test]
fn nothing_reaches_the_host_while_uplinks_change() {
    in_namespace(|| {
        let host = Host::new();
        let one = with_forwards(&host, vec![forward(8080)]);
        let mut two = one.clone();
        let (_nic2, _tap2) = second(&mut two);
        let mut tables = Tables::open("br0").unwrap();
        tables.load(one.clone()).unwrap();
        let before = handles();
        let (seen, is_over) = (host.seen("nic"), AtomicBool::new(false));
        let frame = v4(TCP, &ports(1, 8080));
        let sent = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while !is_over.load(Ordering::Relaxed) {
                    host.nic.send(&frame);
                    sent += 1;
                }
                sent
            });
            for _ in 0..20 {
                tables.load(two.clone()).unwrap();
                tables.load(one.clone()).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            sender.join().unwrap()
        });
        assert_eq!(host.seen("nic"), seen, "of {sent} frames");
        assert!(sent > 100, "{sent}");
        assert_eq!(handles(), before, "no set was made again");
        let list = run("nft list chain netdev vswitch-br0 uplink");
        assert!(!list.contains("eth1"), "{list}");
    });
}

/// As after a device has been in another namespace: no rule is missing, and the chain is not at it.
#[test]
fn a_device_that_a_chain_has_lost_is_put_back() {
    in_namespace(|| {
        let host = Host::new();
        let mut rules = with_forwards(&host, vec![forward(8080)]);
        let (nic2, tap2) = second(&mut rules);
        let mut tables = Tables::open("br0").unwrap().with_flags(Flags::None);
        tables.load(rules).unwrap();
        tables.check().unwrap();
        let frame = ethernet(NIC2, 0x0800, &ipv4((FAR4, HOST4), TCP, 0, &ports(1, 8080)));
        let is_taken = || {
            nic2.send(&frame);
            tap2.received() == [frame.as_slice()]
        };
        assert!(is_taken());
        let mut batch = Batch::new();
        let table = Table::new(c"vswitch-br0", ProtoFamily::NetDev);
        let eth1 = [c"eth1".to_owned()];
        batch.add(&ingress_of(&table, UPLINK, (PRIORITY, &eth1)), MsgType::Del);
        send(&Socket::open().unwrap(), batch).unwrap();
        assert!(!is_taken());
        tables.check().unwrap();
        assert_eq!(tables.restored(), 1);
        assert!(is_taken());
        tables.check().unwrap();
        assert_eq!(tables.restored(), 1);
    });
}
