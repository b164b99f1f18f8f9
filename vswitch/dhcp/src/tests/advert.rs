//! Router advertisements (RFC 4861, RFC 8106).

use std::net::Ipv6Addr;

use wire::frames::{self, Link};
use wire::meta::Meta;
use wire::ndp::{ALL_NODES, ALL_ROUTERS, Message, NdpOption, Prefix};
use wire::{MacAddr, ipv6};

use super::{CLIENT, GATEWAY_LINK_LOCAL, GATEWAY_MAC, GATEWAY_V6, SEARCH, lease};
use crate::{Answer, advertise, answer, withdraw};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

fn solicit(from: Ipv6Addr, options: &[NdpOption<'_>]) -> Vec<u8> {
    let link = Link::new(CLIENT, MacAddr::from_ipv6_multicast(ALL_ROUTERS));
    let mut frame = vec![0; 200];
    let message = Message::RouterSolicit;
    let len = frames::ndp(&mut frame, &link, from, ALL_ROUTERS, &message, options).unwrap();
    frame.truncate(len);
    frame
}

/// Destinations, flags and options of an advertisement of a router.
#[track_caller]
fn read(frame: &[u8]) -> (MacAddr, Ipv6Addr, u8, Vec<NdpOption<'_>>) {
    let (lifetime_s, dst_mac, dst, flags, options) = read_any(frame);
    assert_eq!(lifetime_s, 1200);
    (dst_mac, dst, flags, options)
}

/// The same behind the router's lifetime, of any advertisement.
#[track_caller]
fn read_any(frame: &[u8]) -> (u16, MacAddr, Ipv6Addr, u8, Vec<NdpOption<'_>>) {
    let meta = Meta::parse(frame).unwrap();
    let packet = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
    assert_eq!((packet.src(), packet.hop_limit()), (GATEWAY_LINK_LOCAL, 255));
    let (message, options) = Message::parse(meta.l4_bytes(frame)).unwrap();
    let Message::RouterAdvert { hop_limit: 64, flags, lifetime_s, .. } = message else {
        panic!("{message:?}")
    };
    (lifetime_s, meta.dst, packet.dst(), flags, options.map(Result::unwrap).collect())
}

#[test]
fn a_solicitation_is_answered_with_router_prefix_mtu_and_dns() {
    let asked = solicit(LINK_LOCAL, &[NdpOption::SourceLinkLayer(CLIENT)]);
    let frame = answer(&asked, &lease()).frame.expect("an answer");
    let (dst_mac, dst, flags, options) = read(&frame);
    assert_eq!((dst_mac, dst, flags), (CLIENT, LINK_LOCAL, 0xc0));
    let mut rdnss = [0; 22];
    rdnss[4..6].copy_from_slice(&1200_u16.to_be_bytes());
    rdnss[6..].copy_from_slice(&GATEWAY_V6.octets());
    let mut dnssl = [&[0, 0, 0, 0, 4, 0xb0], SEARCH].concat();
    dnssl.resize(30, 0);
    let prefix = Prefix {
        len: 64,
        on_link: true,
        autonomous: false,
        valid_s: 2_592_000,
        preferred_s: 604_800,
        prefix: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0),
    };
    let wanted = [
        NdpOption::SourceLinkLayer(GATEWAY_MAC),
        NdpOption::Mtu(1400),
        NdpOption::Prefix(prefix),
        NdpOption::Other { kind: 25, data: &rdnss },
        NdpOption::Other { kind: 31, data: &dnssl },
    ];
    assert_eq!(options, wanted);
}

#[test]
fn a_host_without_an_address_is_answered_as_all_nodes_behind_its_port() {
    let frame = answer(&solicit(Ipv6Addr::UNSPECIFIED, &[]), &lease()).frame.expect("an answer");
    let (dst_mac, dst, ..) = read(&frame);
    assert_eq!((dst_mac, dst), (CLIENT, ALL_NODES));
}

#[test]
fn without_dhcp_hosts_are_not_told_to_ask_for_addresses() {
    let mut lease = lease();
    lease.network.dhcp = false;
    let frame = answer(&solicit(LINK_LOCAL, &[]), &lease).frame.expect("an answer");
    assert_eq!(read(&frame).2, 0);
}

#[test]
fn unsolicited_advertisements_go_to_all_nodes() {
    let mut lease = lease();
    let frame = advertise(&lease).expect("an advertisement");
    let (dst_mac, dst, ..) = read(&frame);
    assert_eq!((dst_mac, dst), (MacAddr::from_ipv6_multicast(ALL_NODES), ALL_NODES));
    lease.network.ra = false;
    assert_eq!((advertise(&lease), withdraw(&lease)), (None, None));
}

/// RFC 4861 section 6.2.5, RFC 8106 section 5.
#[test]
fn the_last_advertisement_withdraws_router_and_dns() {
    let frame = withdraw(&lease()).expect("an advertisement");
    let (lifetime_s, dst_mac, _, _, options) = read_any(&frame);
    assert_eq!((lifetime_s, dst_mac), (0, MacAddr::from_ipv6_multicast(ALL_NODES)));
    let mut lifetimes = options.iter().filter_map(|option| match option {
        NdpOption::Other { data, .. } => Some(&data[2..6]),
        _ => None,
    });
    assert!(lifetimes.by_ref().take(2).eq([[0; 4]; 2]));
    assert!(lifetimes.next().is_none());
}

#[test]
fn a_network_without_the_default_route_or_the_hosts_port_advertises_no_router() {
    let (mut second, mut unreachable) = (lease(), lease());
    second.is_default_route = false;
    unreachable.network.has_host_port = false;
    for lease in [second, unreachable] {
        let frame = answer(&solicit(LINK_LOCAL, &[]), &lease).frame.expect("an answer");
        let (lifetime_s, .., options) = read_any(&frame);
        assert_eq!((lifetime_s, options.len()), (0, 5), "prefix and DNS server are as on others");
        assert_eq!(read_any(&advertise(&lease).expect("an advertisement")).0, 0);
    }
}

#[test]
fn without_dns_neither_server_nor_search_list_is_told() {
    let mut lease = lease();
    lease.network.dns = false;
    assert_eq!(read(&advertise(&lease).expect("an advertisement")).3.len(), 3);
}

/// RFC 4861 section 6.1.1.
#[test]
fn unsound_solicitations_and_networks_without_them_have_no_answer() {
    let mut far = solicit(LINK_LOCAL, &[]);
    far[21] = 64;
    let nowhere = solicit(Ipv6Addr::UNSPECIFIED, &[NdpOption::SourceLinkLayer(CLIENT)]);
    let mut empty_option = solicit(LINK_LOCAL, &[NdpOption::Mtu(1400)]);
    let at = empty_option.len() - 7;
    empty_option[at] = 0;
    for frame in [far, nowhere, empty_option] {
        assert_eq!(answer(&frame, &lease()), Answer::default());
    }
    let mut lease = lease();
    lease.network.ra = false;
    assert_eq!(answer(&solicit(LINK_LOCAL, &[]), &lease), Answer::default());
}
