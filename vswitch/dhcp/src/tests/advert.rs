//! Router advertisements (RFC 4861, RFC 8106).

use std::net::Ipv6Addr;

use wire::frames::{self, Link};
use wire::meta::Meta;
use wire::ndp::{ALL_NODES, ALL_ROUTERS, Message, NdpOption, Prefix};
use wire::{MacAddr, ipv6};

use super::{CLIENT, GATEWAY_LINK_LOCAL, GATEWAY_MAC, GATEWAY_V6, lease};
use crate::{Answer, advertise, answer};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);

fn solicit(from: Ipv6Addr, options: &[NdpOption<'_>]) -> Vec<u8> {
    let link = Link::new(CLIENT, MacAddr::from_ipv6_multicast(ALL_ROUTERS));
    let mut frame = vec![0; 200];
    let message = Message::RouterSolicit;
    let len = frames::ndp(&mut frame, &link, from, ALL_ROUTERS, &message, options).unwrap();
    frame.truncate(len);
    frame
}

/// Destinations, flags and options of an advertisement.
#[track_caller]
fn read(frame: &[u8]) -> (MacAddr, Ipv6Addr, u8, Vec<NdpOption<'_>>) {
    let meta = Meta::parse(frame).unwrap();
    let packet = ipv6::Packet::new_checked(meta.l3_bytes(frame)).unwrap();
    assert_eq!((packet.src(), packet.hop_limit()), (GATEWAY_LINK_LOCAL, 255));
    let (message, options) = Message::parse(meta.l4_bytes(frame)).unwrap();
    let Message::RouterAdvert { hop_limit: 64, flags, lifetime_s: 1200, .. } = message else {
        panic!("{message:?}")
    };
    (meta.dst, packet.dst(), flags, options.map(Result::unwrap).collect())
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
    let mut network = lease().network;
    let frame = advertise(&network).expect("an advertisement");
    let (dst_mac, dst, ..) = read(&frame);
    assert_eq!((dst_mac, dst), (MacAddr::from_ipv6_multicast(ALL_NODES), ALL_NODES));
    network.ra = false;
    assert_eq!(advertise(&network), None);
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
