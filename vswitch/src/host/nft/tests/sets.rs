//! Elements of sets: published ranges, and blocks of SNAT ports.

use testkit::in_namespace_async;

use super::*;

#[test]
fn blocks_of_snat_ports_come_and_go_one_by_one() {
    in_namespace_async(|| async {
        let host = Host::new();
        let firewall = Firewall::start(host.rules(Vec::new())).await.unwrap();
        let frame = v4(TCP, &ports(443, 29_900));
        let next = PortBlock { first: 29_888, last: 29_951, ..TCP_BLOCK };
        firewall.change_blocks(vec![next.clone()], Vec::new()).await.unwrap();
        assert_eq!(host.arrives(&frame), TAKEN);
        assert_eq!(host.arrives(&v6(TCP, &ports(443, 29_900))), TAKEN);
        firewall.change_blocks(Vec::new(), vec![next.clone()]).await.unwrap();
        assert_eq!(host.arrives(&frame), LEFT);
        assert_eq!(host.arrives(&v4(TCP, &ports(443, 25_000))), TAKEN, "the others stay");
        // They are handed over with the tables.
        let firewall = Firewall::from_parts(firewall.into_parts().unwrap());
        firewall.change_blocks(vec![next], vec![TCP_BLOCK]).await.unwrap();
        assert_eq!(host.arrives(&frame), TAKEN);
        assert_eq!(host.arrives(&v4(TCP, &ports(443, 25_000))), LEFT);
    });
}

#[test]
fn ten_thousand_ports_are_one_element() {
    in_namespace_async(|| async {
        let host = Host::new();
        let range = published(None, Protocol::Tcp, 40_000, 49_999);
        let firewall = Firewall::start(host.rules(vec![range.clone()])).await.unwrap();
        let list = run("nft list set netdev vswitch-br0 port-ranges4");
        assert_eq!(list.matches("tcp . ").count(), 1, "{list}");
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 49_999))), TAKEN);
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 50_000))), LEFT);
        // Live, and with a range that touches the former one.
        let next = published(None, Protocol::Tcp, 50_000, 50_010);
        firewall.load(host.rules(vec![range, next])).await.unwrap();
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 50_000))), TAKEN);
        firewall.load(host.rules(Vec::new())).await.unwrap();
        assert_eq!(host.arrives(&v4(TCP, &ports(1, 49_999))), LEFT);
    });
}
