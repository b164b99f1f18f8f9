use crate::datapath::PortAddresses;
use std::time::Duration;

use wire::MacAddr;

use super::{Random, Sim, frame, mac};
use crate::datapath::tests::multicast;
use crate::datapath::{Guard, Isolation, PortVlans};

/// Random traffic. A frame's payload is the network that it was sent on.
pub(in crate::datapath::tests) fn storm(seed: u64) {
    let mut random = Random(seed);
    let ports = 2 + random.below(12) as u16;
    let networks: Vec<u16> = (0..ports).map(|_| random.below(3) as u16).collect();
    let mut sim = Sim::with_networks(&networks);
    if random.below(2) == 0 {
        sim.snoop();
    }
    for port in 0..ports {
        let vlans = random_vlans(&mut random);
        let isolation = match random.below(8) {
            0 => Isolation::Isolated,
            1 => Isolation::Promiscuous,
            _ => Isolation::None,
        };
        let guard = Guard { mac: mac(port), ipv4: None, ipv6: None, further: PortAddresses::NONE };
        let guard = (random.below(3) == 0).then_some(guard);
        sim.set(port, |conf| {
            (conf.vlans, conf.isolation, conf.guard) = (vlans, isolation, guard);
        });
    }
    for _ in 0..40 {
        for _ in 0..random.below(60) {
            let port = random.below(ports.into()) as u16;
            let bytes = match random.below(8) {
                0 => multicast::random(&mut random, port),
                _ => random_frame(&mut random, port, ports, networks[usize::from(port)]),
            };
            sim.inject(port, bytes);
        }
        sim.run();
        for port in 0..ports {
            for bytes in sim.sent(port) {
                let sender = origin(&bytes, &networks);
                let own = networks[usize::from(port)];
                assert!(sender.is_none_or(|network| network == own), "crossed, seed {seed}");
            }
        }
        sim.pass(Duration::from_millis(random.below(20_000)));
        sim.query();
        match random.below(30) {
            0 => sim.vanish(random.below(ports.into()) as u16),
            1 => sim.disable(random.below(ports.into()) as u16),
            _ => {}
        }
    }
    sim.check();
}

/// The network that a frame says it was sent on; the switch's own frames say nothing.
fn origin(bytes: &[u8], networks: &[u16]) -> Option<u16> {
    let behind_tag = if bytes[24..26] == [0x81, 0] { 4 } else { 0 };
    let ethernet = &bytes[24 + behind_tag..];
    match *ethernet.get(..2)? {
        // IPv4 from 10.99.0.PORT, or from nowhere.
        [8, 0] if ethernet[14] == 10 => Some(networks[usize::from(ethernet[17])]),
        [0x88, 0xb5] => ethernet.get(2).map(|&mark| mark.into()),
        _ => None,
    }
}

/// Mostly on the untagged domain, so that there is traffic; trunks get it, and give it, without a tag
/// or with one.
fn random_vlans(random: &mut Random) -> PortVlans {
    match random.below(6) {
        0 => PortVlans::trunk([1, 2], Some(0)),
        1 => PortVlans::trunk([1, 2], Some(1)),
        2 => PortVlans::access(1),
        _ => PortVlans::access(0),
    }
}

fn random_frame(random: &mut Random, port: u16, ports: u16, network: u16) -> Vec<u8> {
    let dst = match random.below(10) {
        0 => MacAddr::BROADCAST,
        1 => MacAddr([0x33, 0x33, 0, 0, 0, 1]),
        2 => MacAddr([1, 0x80, 0xc2, 0, 0, 0]),
        _ => mac(random.below(u64::from(ports) + 2) as u16),
    };
    // Some hosts send from a neighbour's address: a move.
    let src =
        if random.below(10) == 0 { mac(random.below(ports.into()) as u16) } else { mac(port) };
    let src = if random.below(50) == 0 { MacAddr::BROADCAST } else { src };
    let payload = vec![network as u8; 1 + random.below(2000) as usize];
    let mut bytes = frame(dst, src, &payload);
    if random.below(20) == 0 {
        bytes.truncate(random.below(30) as usize);
    }
    bytes
}
