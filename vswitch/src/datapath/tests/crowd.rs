//! A thousand ports, hostile ones among them.

use std::time::Duration;

use fastpath::PortIndex;
use wire::MacAddr;

use super::sim::{self, Random, Sim, frame};
use crate::datapath::*;

const PORTS: u16 = 1000;
const NETWORKS: u16 = 4;
const MACS_MAX: usize = 64;

fn bucket(per_s: u64) -> Option<std::sync::Arc<TokenBucket>> {
    Some(TokenBucket::new(Rate::frames(per_s.try_into().expect("in range"))).into())
}

/// Ports on four networks, each with the limits of a container; some with rates.
fn crowd(random: &mut Random) -> Sim {
    let networks: Vec<u16> = (0..PORTS).map(|port| port % NETWORKS).collect();
    let mut sim = Sim::with_networks(&networks);
    let mut rates = [false; PORTS as usize];
    rates.iter_mut().for_each(|rate| *rate = random.below(10) == 0);
    sim.limit_all(|port, limits| {
        let storm = Storm { broadcast: bucket(20), multicast: bucket(20), unknown: bucket(20) };
        let rate = || {
            let rate = Rate::bits(80_000.try_into().expect("in range"));
            rates[usize::from(port)].then(|| TokenBucket::new(rate).into())
        };
        *limits = PortLimits {
            rate_in: rate(),
            rate_out: rate(),
            storm: Some(storm),
            macs_max: MACS_MAX,
            loop_guard: true,
        };
    });
    sim
}

/// What a hostile port sends: storms, stolen and made-up addresses, garbage, and what it was sent.
fn attack(random: &mut Random, port: u16, network: u16, heard: &[Vec<u8>]) -> Vec<u8> {
    let any = |random: &mut Random| MacAddr::from_u64(0x0200_0099_0000 | random.below(1 << 16));
    let neighbour = sim::mac(random.below(PORTS.into()) as u16);
    let mark = [network as u8; 60];
    match random.below(7) {
        0 => frame(MacAddr::BROADCAST, sim::mac(port), &mark),
        1 => frame(MacAddr([1, 0, 0x5e, 0, 0, 9]), any(random), &mark),
        2 => frame(any(random), any(random), &mark),
        3 => frame(neighbour, neighbour, &mark),
        4 => (0..random.below(90)).map(|_| random.below(256) as u8).collect(),
        5 => frame(sim::mac(port), any(random), &[network as u8; 1400]),
        _ => match heard.get(random.below(heard.len().max(1) as u64) as usize) {
            Some(bytes) => bytes.clone(),
            None => frame(MacAddr::BROADCAST, any(random), &mark),
        },
    }
}

fn siege(seed: u64) {
    let mut random = Random(seed);
    let mut sim = crowd(&mut random);
    let hostile: Vec<u16> = (0..6).map(|_| random.below(PORTS.into()) as u16).collect();
    let honest = [(100, 104), (201, 205), (302, 306)]
        .into_iter()
        .filter(|(a, b)| !hostile.contains(a) && !hostile.contains(b));
    let mut heard: [Vec<Vec<u8>>; NETWORKS as usize] = Default::default();
    for _ in 0..12 {
        for &port in &hostile {
            for _ in 0..40 {
                let bytes = attack(
                    &mut random,
                    port,
                    port % NETWORKS,
                    &heard[usize::from(port % NETWORKS)],
                );
                sim.inject(port, bytes);
            }
        }
        for (a, b) in honest.clone() {
            for (from, to) in [(a, b), (b, a)] {
                sim.inject(from, frame(sim::mac(to), sim::mac(from), &[(a % NETWORKS) as u8; 60]));
            }
        }
        sim.run();
        heard.iter_mut().for_each(Vec::clear);
        for port in 0..PORTS {
            let own = (port % NETWORKS) as u8;
            for bytes in sim.sent(port) {
                let marked =
                    bytes.get(24..26) == Some(&[0x88, 0xb5]) && bytes.get(26) != Some(&b'v');
                let mark = bytes.get(26).filter(|mark| marked && **mark < NETWORKS as u8);
                assert!(mark.is_none_or(|mark| *mark == own), "crossed, seed {seed}");
                let heard = &mut heard[usize::from(own)];
                if hostile.contains(&port) && heard.len() < 100 {
                    heard.push(bytes);
                }
            }
        }
        for &port in &hostile {
            assert!(sim.state().fdb.entries_of(PortIndex(port).into()) <= MACS_MAX, "seed {seed}");
        }
        for (a, b) in honest.clone() {
            for port in [a, b] {
                let drops = sim.drops(port, DropReason::LoopBlocked);
                assert_eq!(drops, 0, "an honest port was blocked, seed {seed}");
            }
        }
        sim.pass(Duration::from_millis(random.below(2_000)));
    }
    sim.check();
}

/// Frames are conserved, networks stay apart, nobody holds more than its share, and honest ports are
/// never blocked, whatever the hostile ones send.
#[test]
fn simulator_of_a_thousand_ports_under_siege() {
    let chosen = std::env::var("VSWITCH_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(0..4, |seed: u64| seed..seed + 1);
    for seed in seeds {
        println!("seed {seed}");
        siege(seed);
    }
}
