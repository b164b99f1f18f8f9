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

/// Nobody reports for others, unless its port has no guard: then it may forward for addresses that nobody else has.
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
            net.sim.set(A, |port| {
                (port.guard, port.is_shared) = (is_guarded.then_some(guard), !is_guarded);
            });
            let from = at(family.gateway(), 4444);
            let mut dropped = 0;
            for (asked, passes) in [
                (family.of("10.99.0.2", "fd00:99::2"), true),
                (family.of("10.99.0.77", "fd00:99::77"), !is_guarded),
                (family.container(B), false),
                (family.remote(), false),
            ] {
                let about = udp(up(HOST), from, at(asked, 53), b"question");
                let mut sources = vec![family.container(A)];
                if !is_guarded {
                    // Even if it has invented the address as its own.
                    sources.push(asked);
                }
                for source in sources {
                    let error = unreachable(up(A), at(source, 0), from, &about);
                    let came = net.sent(A, error)[usize::from(HOST)].len();
                    assert_eq!(came, usize::from(passes), "{is_guarded} {asked} by {source}");
                    dropped += u64::from(!passes);
                }
            }
            assert_eq!(net.sim.drops(A, DropReason::NatForgedError), dropped);
            // None of it goes to the world.
            let to = at(family.remote(), 53);
            let about = udp(up(HOST), from, to, b"question");
            let error = unreachable(up(A), at(family.container(A), 0), to, &about);
            assert!(net.sent(A, error).iter().all(Vec::is_empty));
            net.sim.check();
        }
    }
}
