use crate::datapath::PortAddresses;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use wire::frames::{self, Link};
use wire::vlan::{TAG_LEN, Tag};
use wire::{EtherType, Protocol, Tci, ip, ndp, udp, vlan};

use super::*;

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0b]);
const OWN4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 10);
const OTHER4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 11);
const OWN6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x0a);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x0b);
/// Made of the two MAC addresses.
const OWN_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x0a);
const OTHER_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x0b);
const GROUP: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);

const GUARD: Guard =
    Guard { mac: OWN, ipv4: Some(OWN4), ipv6: Some(OWN6), further: PortAddresses::NONE };

fn judge(frame: &[u8]) -> Result<(), DropReason> {
    let meta = Meta::parse(frame).expect("an Ethernet frame");
    let judged = GUARD.judge(&meta, frame);
    assert!(judged.is_ok() || !GUARD.clears(&meta, frame), "the short way lets by: {judged:?}");
    judged
}

fn datagram(src: IpAddr, from: u16, to: u16) -> Vec<u8> {
    let dst = match src {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(_) => IpAddr::V6(ndp::ALL_NODES),
    };
    let ip = ip::Repr::new(src, dst, Protocol::UDP).expect("of one family");
    let mut frame = vec![0; 200];
    let udp = udp::Repr { src_port: from, dst_port: to };
    let len = frames::udp(&mut frame, &Link::new(OWN, GROUP), &ip, &udp, b"payload");
    frame.truncate(len.expect("it fits"));
    frame
}

/// IPv6 with any payload; what protects it from errors on the way is not the guard's to check.
fn ipv6(src: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&GROUP.0[..], &OWN.0, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next_header, 255]);
    frame.extend(src.octets());
    frame.extend(ndp::ALL_NODES.octets());
    frame.extend(payload);
    frame
}

fn icmpv6(src: Ipv6Addr, icmp_type: u8) -> Vec<u8> {
    ipv6(src, 58, &[&[icmp_type][..], &[0; 27]].concat())
}

fn ndp(src: Ipv6Addr, message: &Message, options: &[NdpOption<'_>]) -> Vec<u8> {
    let mut frame = vec![0; 200];
    let link = Link::new(OWN, GROUP);
    let len = frames::ndp(&mut frame, &link, src, ndp::ALL_NODES, message, options);
    frame.truncate(len.expect("it fits"));
    frame
}

fn arp(sender_mac: MacAddr, sender_ip: Ipv4Addr) -> Vec<u8> {
    arp_for(sender_mac, sender_ip, OTHER4)
}

fn arp_for(sender_mac: MacAddr, sender_ip: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut frame =
        frames::arp(MacAddr::BROADCAST, &wire::arp::Repr::request(sender_mac, sender_ip, target));
    frame[6..12].copy_from_slice(&OWN.0);
    frame.to_vec()
}

fn ipv4(src: Ipv4Addr, protocol: u8) -> Vec<u8> {
    let mut frame = datagram(src.into(), 1000, 2000);
    frame[23] = protocol;
    frame
}

fn igmp_query(src: Ipv4Addr) -> Vec<u8> {
    let mut frame = ipv4(src, 2);
    frame[34] = 0x11;
    frame
}

fn with_tags(mut frame: Vec<u8>, tags: usize) -> Vec<u8> {
    for _ in 0..tags {
        frame.splice(0..0, [0; TAG_LEN]);
        let tag = Tag { tpid: EtherType::VLAN, tci: Tci(10) };
        assert_eq!(vlan::push(&mut frame, TAG_LEN, tag), Ok(0));
    }
    frame
}

#[test]
fn what_a_guest_sends_passes() {
    let target = |target| Message::NeighborSolicit { target };
    let advert = |target| Message::NeighborAdvert {
        router: false,
        solicited: true,
        overrides: true,
        target,
    };
    let (source, lladdr) = (NdpOption::SourceLinkLayer(OWN), NdpOption::TargetLinkLayer(OWN));
    let stable: Ipv6Addr = "fe80::1234:5678:9abc:def0".parse().unwrap();
    for frame in [
        datagram(OWN4.into(), 1000, 53),
        datagram(OWN6.into(), 1000, 53),
        datagram(OWN_LOCAL.into(), 546, 547),
        datagram(stable.into(), 5353, 5353),
        // DHCP before there is an address, and at renewal.
        datagram(Ipv4Addr::UNSPECIFIED.into(), 68, 67),
        datagram(OWN4.into(), 68, 67),
        ipv4(Ipv4Addr::UNSPECIFIED, 2),
        arp(OWN, OWN4),
        // A probe (RFC 5227) and an announcement.
        arp_for(OWN, Ipv4Addr::UNSPECIFIED, OWN4),
        frames::gratuitous_arp(OWN, OWN4).to_vec(),
        // Duplicate address detection, resolution, answers, router discovery.
        ndp(Ipv6Addr::UNSPECIFIED, &target(OWN6), &[]),
        ndp(Ipv6Addr::UNSPECIFIED, &target(OWN_LOCAL), &[]),
        ndp(Ipv6Addr::UNSPECIFIED, &target(stable), &[]),
        ndp(OWN6, &target(OTHER6), &[source]),
        ndp(OWN6, &advert(OWN6), &[lladdr]),
        ndp(OWN_LOCAL, &advert(OWN_LOCAL), &[lladdr]),
        frames::unsolicited_na(OWN, OWN6).to_vec(),
        ndp(Ipv6Addr::UNSPECIFIED, &Message::RouterSolicit, &[]),
        ndp(OWN_LOCAL, &Message::RouterSolicit, &[source]),
        // MLD reports and leaves.
        icmpv6(Ipv6Addr::UNSPECIFIED, 143),
        icmpv6(OWN_LOCAL, 131),
        icmpv6(OWN_LOCAL, 132),
        icmpv6(OWN6, 128),
        // Neither ARP nor IP.
        [&GROUP.0[..], &OWN.0, &[0x88, 0xb5], &[0; 46]].concat(),
    ] {
        for tags in 0..=2 {
            assert_eq!(judge(&with_tags(frame.clone(), tags)), Ok(()), "{tags} {frame:02x?}");
        }
    }
}

#[test]
fn lies_about_the_sender_have_their_reasons() {
    use DropReason::{SpoofedArp, SpoofedIpv4, SpoofedIpv6, SpoofedMac, SpoofedNd};
    let solicit = Message::NeighborSolicit { target: OTHER6 };
    let of_local = Message::NeighborSolicit { target: OTHER_LOCAL };
    let advert = |target| Message::NeighborAdvert {
        router: false,
        solicited: true,
        overrides: true,
        target,
    };
    let mut of_other = datagram(OWN4.into(), 1000, 53);
    of_other[6..12].copy_from_slice(&OTHER.0);
    for (frame, reason) in [
        (of_other, SpoofedMac),
        (datagram(OTHER4.into(), 1000, 53), SpoofedIpv4),
        (datagram(Ipv4Addr::UNSPECIFIED.into(), 1000, 53), SpoofedIpv4),
        (datagram(Ipv4Addr::LOCALHOST.into(), 1000, 53), SpoofedIpv4),
        (ipv4(OTHER4, 2), SpoofedIpv4),
        (igmp_query(Ipv4Addr::UNSPECIFIED), SpoofedIpv4),
        (datagram(OTHER6.into(), 1000, 53), SpoofedIpv6),
        (datagram(OTHER_LOCAL.into(), 1000, 53), SpoofedIpv6),
        (datagram(Ipv6Addr::UNSPECIFIED.into(), 1000, 53), SpoofedIpv6),
        (icmpv6(Ipv6Addr::UNSPECIFIED, 128), SpoofedIpv6),
        (arp(OTHER, OWN4), SpoofedArp),
        (arp(OWN, OTHER4), SpoofedArp),
        (arp_for(OTHER, Ipv4Addr::UNSPECIFIED, OWN4), SpoofedArp),
        // Probes of a neighbour's address, which would make the neighbour give it up.
        (arp(OWN, Ipv4Addr::UNSPECIFIED), SpoofedArp),
        (ndp(Ipv6Addr::UNSPECIFIED, &solicit, &[]), SpoofedNd),
        (ndp(Ipv6Addr::UNSPECIFIED, &of_local, &[]), SpoofedNd),
        (frames::gratuitous_arp(OWN, OTHER4).to_vec(), SpoofedArp),
        (ndp(OWN6, &solicit, &[NdpOption::SourceLinkLayer(OTHER)]), SpoofedNd),
        (ndp(OWN6, &advert(OTHER6), &[NdpOption::TargetLinkLayer(OWN)]), SpoofedNd),
        (ndp(OWN6, &advert(OWN6), &[NdpOption::TargetLinkLayer(OTHER)]), SpoofedNd),
        (ndp(OWN6, &advert(OTHER_LOCAL), &[]), SpoofedNd),
        (ndp(OWN_LOCAL, &Message::RouterSolicit, &[NdpOption::SourceLinkLayer(OTHER)]), SpoofedNd),
    ] {
        for tags in 0..=2 {
            assert_eq!(judge(&with_tags(frame.clone(), tags)), Err(reason), "{frame:02x?}");
        }
    }
}

#[test]
fn a_container_is_neither_router_nor_dhcp_server() {
    let advert = Message::RouterAdvert {
        hop_limit: 64,
        flags: 0,
        lifetime_s: 1800,
        reachable_ms: 0,
        retrans_ms: 0,
    };
    let router = DropReason::RogueRouter;
    // Behind hop-by-hop and destination options, and in an atomic fragment, too.
    let message = [&[134_u8, 0][..], &[0; 22]].concat();
    let behind = |headers: &[u8]| {
        ipv6(
            OWN_LOCAL,
            headers[headers.len() - 8],
            &[&headers[..headers.len() - 8], &message].concat(),
        )
    };
    let hop_by_hop = [58, 0, 1, 4, 0, 0, 0, 0];
    let chained = [60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0];
    let atomic = [58, 0, 0, 0, 0, 0, 0, 1];
    let kind = |kind: u8, headers: &[u8]| behind(&[headers, &[kind, 0, 0, 0, 0, 0, 0, 0]].concat());
    for (frame, reason) in [
        (ndp(OWN_LOCAL, &advert, &[]), router),
        (kind(0, &hop_by_hop), router),
        (kind(0, &chained), router),
        (kind(44, &atomic), router),
        (icmpv6(OWN_LOCAL, 137), DropReason::RogueRedirect),
        (icmpv6(OWN_LOCAL, 130), DropReason::RogueQuerier),
        (igmp_query(OWN4), DropReason::RogueQuerier),
        (datagram(OWN4.into(), 67, 68), DropReason::RogueDhcp),
        (datagram(OWN6.into(), 547, 546), DropReason::RogueDhcp),
        (datagram(OWN_LOCAL.into(), 547, 546), DropReason::RogueDhcp),
    ] {
        assert_eq!(judge(&frame), Err(reason), "{frame:02x?}");
        assert_eq!(judge(&with_tags(frame, 2)), Err(reason));
    }
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let mut short = datagram(OWN4.into(), 1, 2);
    short.truncate(20);
    let mut wrong_version = datagram(OWN6.into(), 1, 2);
    wrong_version[14] = 0x50;
    // From a DHCP server's port, in a datagram that says it is longer, or shorter, than it is.
    let mut beyond = datagram(OWN4.into(), 67, 68);
    beyond[38] = 1;
    let mut too_short = datagram(OWN4.into(), 67, 68);
    too_short[38..40].copy_from_slice(&[0, 7]);
    let mut cut_tcp = ipv4(OWN4, 6);
    cut_tcp[46] = 0xf0;
    let mut long_arp = arp(OWN, OWN4);
    long_arp[18] = 8;
    // A solicitation in a fragment that is not the whole, and a fragment without its transport.
    let fragment = |rest: &[u8]| ipv6(OWN6, 44, &[&[58, 0, 0, 1, 0, 0, 0, 1][..], rest].concat());
    let solicit = [&[135_u8, 0, 0, 0, 0, 0, 0, 0][..], &OTHER6.octets()].concat();
    let mut bad_option = ndp(OWN6, &Message::NeighborSolicit { target: OTHER6 }, &[]);
    bad_option.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bad_option[19] += 8;
    for frame in [
        short,
        wrong_version,
        beyond,
        too_short,
        cut_tcp,
        long_arp,
        fragment(&solicit),
        fragment(&[135]),
        bad_option,
        with_tags(datagram(OWN4.into(), 1, 2), 3),
    ] {
        assert_eq!(judge(&frame), Err(DropReason::UnverifiableHeaders), "{frame:02x?}");
    }
}

#[test]
fn fragments_pass_by_their_source() {
    let mut tail = datagram(OWN4.into(), 1000, 53);
    tail[20..22].copy_from_slice(&[0x20, 0x10]);
    assert_eq!(judge(&tail), Ok(()));
    tail[26..30].copy_from_slice(&OTHER4.octets());
    assert_eq!(judge(&tail), Err(DropReason::SpoofedIpv4));
    let tail6 = |src| ipv6(src, 44, &[&[17, 0, 0, 0x10, 0, 0, 0, 1][..], &[0; 24]].concat());
    assert_eq!(judge(&tail6(OWN6)), Ok(()));
    assert_eq!(judge(&tail6(OTHER6)), Err(DropReason::SpoofedIpv6));
}

#[test]
fn a_guard_that_was_narrowed_lets_less_through() {
    let guard = Guard { ipv6: None, ..GUARD };
    let frame = datagram(OWN6.into(), 1, 2);
    let meta = Meta::parse(&frame).unwrap();
    assert_eq!(guard.judge(&meta, &frame), Err(DropReason::SpoofedIpv6));
    let frame = datagram(OWN4.into(), 1, 2);
    assert_eq!(guard.judge(&Meta::parse(&frame).unwrap(), &frame), Ok(()));
}

proptest! {
    /// Whatever is changed in whatever frame: what passes says, at the place where a receiver looks,
    /// that it is from the port's own addresses.
    #[test]
    fn what_passes_is_from_the_port(
        which in 0_usize..4,
        changes in proptest::collection::vec((0_usize..80, any::<u8>()), 0..4),
        cut in 14_usize..120,
    ) {
        let mut frame = match which {
            0 => datagram(OWN4.into(), 1000, 53),
            1 => arp(OWN, OWN4),
            2 => frames::unsolicited_na(OWN, OWN6).to_vec(),
            _ => datagram(OWN6.into(), 1000, 53),
        };
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        frame.truncate(cut);
        let Ok(meta) = Meta::parse(&frame) else { return Ok(()) };
        if GUARD.judge(&meta, &frame).is_err() {
            return Ok(());
        }
        prop_assert_eq!(&frame[6..12], &OWN.0);
        let packet = &frame[usize::from(meta.l3_offset)..];
        match meta.ethertype {
            EtherType::IPV4 => prop_assert!(packet[12..16] == OWN4.octets() || packet[12..16] == [0; 4]),
            EtherType::ARP => {
                prop_assert_eq!(&packet[8..14], &OWN.0);
                let probes = packet[14..18] == [0; 4] && packet[24..28] == OWN4.octets();
                prop_assert!(packet[14..18] == OWN4.octets() || probes);
            }
            EtherType::IPV6 => {
                let source = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[8..24]).unwrap());
                prop_assert!(source == OWN6 || source.is_unspecified()
                    || source.is_unicast_link_local());
            }
            _ => {}
        }
    }
}

#[test]
fn further_addresses_are_its_own() {
    let (more4, more6) = (Ipv4Addr::new(10, 99, 0, 77), "fd00:99::77".parse().expect("an address"));
    let guard = Guard { further: PortAddresses::new([more4.into(), IpAddr::V6(more6)]), ..GUARD };
    let judge = |guard: &Guard, frame: &[u8]| {
        guard.judge(&Meta::parse(frame).expect("an Ethernet frame"), frame)
    };
    let advert =
        Message::NeighborAdvert { target: more6, router: false, solicited: false, overrides: true };
    let frames = [
        (datagram(more4.into(), 1000, 53), DropReason::SpoofedIpv4),
        (datagram(more6.into(), 1000, 53), DropReason::SpoofedIpv6),
        (arp(OWN, more4), DropReason::SpoofedArp),
        (ndp(more6, &advert, &[NdpOption::TargetLinkLayer(OWN)]), DropReason::SpoofedIpv6),
    ];
    for (frame, otherwise) in frames {
        assert_eq!(judge(&guard, &frame), Ok(()));
        assert_eq!(judge(&GUARD, &frame), Err(otherwise));
    }
    // A DHCP server's it is not, by whichever address.
    assert_eq!(judge(&guard, &datagram(more4.into(), 67, 68)), Err(DropReason::RogueDhcp));
}
