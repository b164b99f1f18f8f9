//! Random traffic over a router, for many seeds: no frame and no buffer is lost, and nobody sees what is
//! not meant for him.

use std::net::IpAddr;
use std::time::Duration;

use fastpath::limits::VNET_LEN;
use wire::Meta;
use wire::tcp::Flags;

use super::fragments::fragments;
use super::net::*;
use crate::datapath::tests::sim::Random;
use crate::datapath::*;

#[test]
pub(super) fn a_router_conserves_frames() {
    let chosen = std::env::var("VSWITCH_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in chosen.map_or(0..60, |seed: u64| seed..seed + 1) {
        println!("seed {seed}");
        storm(seed);
    }
}

pub(super) fn storm(seed: u64) {
    let (mut random, mut net) = (Random::new(seed), TestNet::new());
    let mut appeared = Vec::new();
    for _ in 0..30 {
        for _ in 0..random.below(40) {
            let (port, frame) = any(&mut random, &appeared);
            net.sim.inject(port, frame);
        }
        net.sim.run();
        for frame in net.sim.sent(UPLINK) {
            let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
            if meta.dst == HOP_MAC && !meta.fragment {
                appeared.extend(source(&meta, &frame[VNET_LEN..]));
            }
            assert!(meta.dst == HOP_MAC || meta.dst == TAP_MAC, "{meta:?}");
        }
        for port in [A, B] {
            for frame in net.sim.sent(port) {
                let meta = Meta::parse(&frame[VNET_LEN..]).expect("a frame");
                assert_eq!(meta.src, GATEWAY_MAC, "all traffic is routed");
            }
        }
        net.sim.sent(HOST);
        net.sim.check();
        net.sim.pass(Duration::from_millis(random.below(3_000)));
        net.sim.query();
        disturb(&mut random, &mut net);
    }
    net.sim.pass(Duration::from_secs(60));
    net.sim.run();
    assert_eq!(net.sim.queued(), 0);
    net.sim.check();
}

/// Where a packet comes from; its checksum may have been wrong from the start.
fn source(meta: &Meta, frame: &[u8]) -> Option<std::net::SocketAddr> {
    match nat::parse::view(meta, frame).kind {
        nat::Kind::Flow { tuple, .. } => Some(at(tuple.src.address, tuple.src.port)),
        _ => None,
    }
}

fn disturb(random: &mut Random, net: &mut TestNet) {
    match random.below(12) {
        0 => net.change_link(|uplink| uplink.up = !uplink.up),
        1 => net.change_link(|uplink| uplink.mtu = 1280),
        2 => net.change_link(|uplink| uplink.mtu = 1500),
        3 => net.sim.forget(A),
        4 => {
            let strangers = FAMILIES.map(|family| (family.stranger(), HOP_MAC));
            net.change_link(|uplink| uplink.neighbours = UplinkNeighbours::new(strangers));
        }
        5 => net.policy(|policy| policy.published.clear()),
        _ => {}
    }
}

/// A packet from anywhere to anywhere, sometimes broken.
fn any(random: &mut Random, appeared: &[std::net::SocketAddr]) -> (u16, Vec<u8>) {
    let family = FAMILIES[random.below(2) as usize];
    let port = [UPLINK, A, B][random.below(3) as usize];
    let link = if port == UPLINK { DOWN } else { up(port) };
    let from = at(
        if port == UPLINK { family.remote() } else { family.container(port) },
        1 + random.below(20) as u16,
    );
    let known: Vec<_> =
        appeared.iter().filter(|to| to.is_ipv4() == from.is_ipv4()).copied().collect();
    let to = match known.len() as u64 {
        len if len > 0 && random.below(2) == 0 => known[random.below(len) as usize],
        _ => {
            at(destination(random, family), [53, 80, 8080, 5353, 20_000][random.below(5) as usize])
        }
    };
    let payload = vec![7; random.below(1440) as usize];
    let mut frame = match random.below(6) {
        0 => tcp(link, from, to, Flags::SYN, [random.below(9) as u32, 0]),
        1 => tcp(link, from, to, Flags::ACK, [random.below(9) as u32, 1]),
        2 => echo(link, (from.ip(), to.ip()), port != UPLINK, to.port()),
        _ => udp(link, from, to, &payload),
    };
    match random.below(12) {
        0 => frame = with_hops(frame, random.below(3) as u8),
        1 => {
            let at = VNET_LEN + 12 + random.below((frame.len() - VNET_LEN - 12) as u64) as usize;
            frame[at] ^= 1 << random.below(8);
        }
        3 if family == Family::V4 && frame.len() > VNET_LEN + 600 => {
            set_fragment(&mut frame, false);
            let mut pieces = fragments(&frame, 300);
            frame = pieces.swap_remove(random.below(pieces.len() as u64) as usize);
        }
        2 => frame.truncate(VNET_LEN + 14 + random.below(60) as usize),
        _ => {}
    }
    (port, frame)
}

fn destination(random: &mut Random, family: Family) -> IpAddr {
    match random.below(9) {
        0 => family.gateway(),
        1 | 2 => family.outside(),
        3 => family.container(if random.below(2) == 0 { A } else { B }),
        4 => family.stranger(),
        5 => family.neighbour(),
        6 => family.of("127.0.0.1", "::1"),
        _ => family.remote(),
    }
}
