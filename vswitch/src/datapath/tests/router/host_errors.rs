//! ICMP errors of a container about packets of the host.

use std::net::SocketAddr;

use fastpath::limits::VNET_LEN;
use wire::frames::{self, Link};
use wire::{Protocol, icmpv4, icmpv6, ip};

use super::net::*;
use crate::datapath::tests::sim::mac;
use crate::datapath::*;

/// "Port unreachable" about a packet.
pub(super) fn unreachable(link: Link, from: SocketAddr, to: SocketAddr, about: &[u8]) -> Vec<u8> {
    let quoted = &about[VNET_LEN + 14..];
    let mut buffer = vec![0; 600];
    let space = &mut buffer[VNET_LEN..];
    let len = match ip::Repr::new(from.ip(), to.ip(), Protocol::ICMPV4).expect("one family") {
        ip::Repr::V4(ip) => {
            let message = icmpv4::Repr::DstUnreachable { code: 3, mtu: 0, quoted };
            frames::icmpv4(space, &link, &ip, &message)
        }
        ip::Repr::V6(ip) => {
            let message = icmpv6::Repr::DstUnreachable { code: 4, quoted };
            frames::icmpv6(space, &link, &ip, &message)
        }
    };
    buffer.truncate(VNET_LEN + len.expect("it fits"));
    buffer
}

/// The host asked by its address on the bridge, or by another one.
#[test]
pub(super) fn the_host_hears_that_nobody_listens() {
    for family in FAMILIES {
        for host in [family.gateway(), family.outside()] {
            let mut net = TestNet::new();
            let (from, to) = (at(host, 4444), at(family.container(A), 9));
            let asked = udp(up(HOST), from, to, b"question");
            let error = unreachable(up(A), to, from, &asked);
            assert_eq!(net.one(A, error.clone()), (HOST, error));
            net.sim.check();
        }
    }
}

/// Nobody reports for others, unless its port has no guard: then it may forward for them.
#[test]
pub(super) fn only_the_receiver_reports() {
    for family in FAMILIES {
        for is_guarded in [true, false] {
            let mut net = TestNet::new();
            let guard = Guard {
                mac: mac(A),
                ipv4: Some("10.99.0.2".parse().expect("an address")),
                ipv6: Some("fd00:99::2".parse().expect("an address")),
                further: PortAddresses::NONE,
            };
            net.sim.set(A, |port| port.guard = is_guarded.then_some(guard));
            let (from, to) = (at(family.gateway(), 4444), at(family.remote(), 53));
            let asked = udp(up(HOST), from, to, b"question");
            let error = unreachable(up(A), at(family.container(A), 0), from, &asked);
            let came: usize = net.sent(A, error.clone())[usize::from(HOST)].len();
            assert_eq!(came, usize::from(!is_guarded));
            let dropped = net.sim.drops(A, DropReason::NatForgedError);
            assert_eq!(dropped, u64::from(is_guarded));
            // None of it goes to the world.
            let error = unreachable(up(A), at(family.container(A), 0), to, &asked);
            assert!(net.sent(A, error).iter().all(Vec::is_empty));
            net.sim.check();
        }
    }
}
