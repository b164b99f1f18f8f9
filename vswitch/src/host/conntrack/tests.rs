use ipnet::IpNet;
use testkit::{in_namespace, nft};

use super::ctnetlink::Filter;
use super::*;
use crate::host::nft::Published;

fn forward(address: Option<&str>, ports: std::ops::RangeInclusive<u16>, to: u16) -> Forward {
    let address = address.map(|text| text.parse().unwrap());
    Forward {
        published: Published { address, protocol: Protocol::Udp, ports },
        to4: Some([10, 88, 0, 5].into()),
        to6: Some("fd00::5".parse().unwrap()),
        to_port: to,
        allow_from: Vec::new(),
    }
}

fn entry(to: &str, answers_from: &str) -> Entry {
    let [to, answers_from] = [to, answers_from].map(|text| text.parse().unwrap());
    Entry { protocol: 17, to, answers_from }
}

fn host() -> Vec<IpAddr> {
    ["192.0.2.1/32", "2001:db8::1/128"].map(|net| net.parse::<IpNet>().unwrap().addr()).into()
}

#[test]
fn only_entries_that_exactly_the_publication_made_end_with_it() {
    let (gone, kept) = (forward(None, 8125..=8127, 125), forward(None, 9000..=9000, 9000));
    let stale = Stale::after(&[gone, kept.clone()], &[kept], &host());
    assert!(stale.has(&entry("192.0.2.1:8125", "10.88.0.5:125")));
    assert!(stale.has(&entry("127.0.0.1:8127", "10.88.0.5:127")));
    assert!(stale.has(&entry("[2001:db8::1]:8126", "[fd00::5]:126")));
    for (to, from) in [
        ("192.0.2.1:8125", "10.88.0.6:125"),
        ("192.0.2.1:8125", "10.88.0.5:126"),
        ("192.0.2.1:8128", "10.88.0.5:128"),
        ("192.0.2.1:8125", "192.0.2.1:8125"),
        ("192.0.2.1:9000", "10.88.0.5:9000"),
        ("10.88.0.5:125", "10.88.0.5:125"),
        ("[2001:db8::1]:8126", "[fd00::5]:8126"),
    ] {
        assert!(!stale.has(&entry(to, from)), "{to} {from}");
    }
    let tcp = Entry { protocol: 6, ..entry("192.0.2.1:8125", "10.88.0.5:125") };
    assert!(!stale.has(&tcp));
}

#[test]
fn a_long_range_ends_its_entries_too() {
    let (long, single) = (forward(None, 8000..=9000, 8000), forward(None, 53..=53, 53));
    let stale = Stale::after(&[long, single], &[], &host());
    assert!(stale.has(&entry("192.0.2.1:8125", "10.88.0.5:8125")));
    assert!(stale.has(&entry("192.0.2.1:53", "10.88.0.5:53")));
    assert!(!stale.has(&entry("192.0.2.1:9001", "10.88.0.5:9001")));
}

#[test]
fn entries_from_before_a_publication_end_when_it_comes() {
    let fresh = forward(Some("0.0.0.0"), 8125..=8125, 125);
    let stale = Stale::after(&[], &[fresh], &host());
    assert!(stale.has(&entry("192.0.2.1:8125", "192.0.2.1:8125")));
    assert!(stale.has(&entry("127.0.0.1:8125", "127.0.0.1:8125")));
    for (to, from) in [
        ("198.51.100.7:8125", "198.51.100.7:8125"),
        ("192.0.2.1:8125", "172.17.0.2:8125"),
        ("[2001:db8::1]:8125", "[2001:db8::1]:8125"),
    ] {
        assert!(!stale.has(&entry(to, from)), "{to} {from}");
    }
}

#[test]
fn another_target_of_the_same_ports_ends_entries_of_the_former() {
    let former = forward(None, 8125..=8125, 125);
    let new = Forward { to4: Some([10, 88, 0, 9].into()), ..former.clone() };
    let stale = Stale::after(&[former], &[new], &host());
    assert!(stale.has(&entry("127.0.0.1:8125", "10.88.0.5:125")));
    assert!(!stale.has(&entry("127.0.0.1:8125", "10.88.0.9:125")));
}

/// Sends a datagram of the host.
fn say(from: &str, to: &str) {
    std::net::UdpSocket::bind(from).unwrap().send_to(b"x", to).unwrap();
}

/// Destinations of the entries that the kernel sends.
fn asked(filter: Filter) -> Vec<String> {
    let mut found = Vec::new();
    ctnetlink::list(&ctnetlink::open().unwrap(), filter, |_, attributes| {
        found.extend(Entry::parse(&attributes).map(|entry| entry.to.to_string()));
    })
    .unwrap();
    found.sort();
    found
}

#[test]
fn the_kernel_sends_only_entries_that_a_change_may_mean() {
    in_namespace(|| {
        for (family, host) in [("ip", "127.0.0.1"), ("ip6", "[::1]")] {
            let hook = "type nat hook output priority -100";
            nft(&format!(
                "table {family} theirs {{ chain output {{ {hook}\n udp dport 8125 dnat to {host}:125\n }}\n }}"
            ));
            for port in [8125, 8125, 8126, 9000] {
                say(&format!("{host}:0"), &format!("{host}:{port}"));
            }
            let _tcp = std::net::TcpStream::connect(format!("{host}:8125"));
            let is_v4 = family == "ip";
            let udp = Filter { protocol: Some(17), ..Filter::family(is_v4) };
            let at = |ports: &[u16]| -> Vec<_> {
                ports.iter().map(|port| format!("{host}:{port}")).collect()
            };
            assert!(asked(Filter::family(is_v4)).len() >= 4, "{family}");
            assert_eq!(asked(udp), at(&[8125, 8125, 8126, 9000]));
            assert_eq!(asked(Filter { to_port: Some(9000), ..udp }), at(&[9000]));
            assert_eq!(asked(Filter { has_dnat: Some(true), ..udp }), at(&[8125, 8125]));
            assert_eq!(asked(Filter { has_dnat: Some(false), ..udp }), at(&[8126, 9000]));
            let one = Filter { to_port: Some(8125), has_dnat: Some(false), ..udp };
            assert_eq!(asked(one), at(&[]));
            let mut gone = forward(None, 8125..=8125, 125);
            (gone.to4, gone.to6) = (Some([127, 0, 0, 1].into()), Some("::1".parse().unwrap()));
            let fresh = forward(None, 9000..=9000, 1);
            let stale = Stale::after(&[gone], &[fresh], &["::1".parse().unwrap()]);
            assert_eq!(stale.delete().unwrap(), 3, "{family}");
            assert_eq!(asked(udp), at(&[8126]));
        }
    });
}
