//! The simulator: the datapath over ports in memory, driven by a seeded clock.
//!
//! A failure prints its seed; `VSWITCH_SIM_SEED=n cargo test -p vswitch simulator` runs that one.

mod answer;
mod crowd;
mod dhcp;
mod isolation;
mod limits;
mod multicast;
mod overlay;
mod router;
mod sim;
mod vlan;

use std::time::Duration;

use wire::MacAddr;

use self::sim::{Sim, frame};
use super::*;

const HOSTS: u16 = 4;

#[test]
fn an_unknown_address_is_flooded_and_the_answer_is_not() {
    let mut sim = Sim::new(HOSTS);
    sim.inject(0, frame(sim::mac(1), sim::mac(0), b"who are you"));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 1, 1]);
    sim.inject(1, frame(sim::mac(0), sim::mac(1), b"I am one"));
    sim.run();
    assert_eq!(sim.sent_counts(), [1, 0, 0, 0]);
    sim.check();
}

#[test]
fn bytes_and_offload_header_arrive_untouched() {
    let mut sim = Sim::new(2);
    let mut sent = frame(sim::mac(1), sim::mac(0), &[0x5a; 1000]);
    // A partial checksum and TCP segmentation: forwarded whole.
    sent[..12].copy_from_slice(&[1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0]);
    sim.inject(0, sent.clone());
    sim.run();
    assert_eq!(sim.sent(1), [sent]);
    sim.check();
}

#[test]
fn each_bad_frame_has_its_reason() {
    let good = |dst| frame(dst, sim::mac(0), &[0; 50]);
    let tagged = |len: usize| {
        let mut frame = frame(sim::mac(1), sim::mac(0), &[0; 50]);
        frame[24..26].copy_from_slice(&[0x81, 0]);
        frame.truncate(12 + len);
        frame
    };
    let pause = |dst| {
        let mut frame = good(dst);
        frame[24..26].copy_from_slice(&[0x88, 0x08]);
        frame
    };
    let cases = [
        (vec![0; 12], DropReason::Truncated),
        (vec![0; 25], DropReason::Truncated),
        (tagged(15), DropReason::VlanTruncated),
        (frame(sim::mac(1), MacAddr::BROADCAST, &[0; 50]), DropReason::BroadcastSourceMac),
        (frame(sim::mac(1), MacAddr::ZERO, &[0; 50]), DropReason::ZeroSourceMac),
        (
            frame(sim::mac(1), MacAddr([0x33, 0x33, 0, 0, 0, 1]), &[0; 50]),
            DropReason::MulticastSourceMac,
        ),
        (good(MacAddr([0x01, 0x80, 0xc2, 0, 0, 0])), DropReason::Bpdu),
        (pause(MacAddr([0x01, 0x80, 0xc2, 0, 0, 1])), DropReason::MacControl),
        (pause(sim::mac(1)), DropReason::MacControl),
        (good(MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x0e])), DropReason::ReservedMulticast),
        (frame(sim::mac(1), sim::mac(0), &[0; 1509]), DropReason::TooBig),
        (good(sim::mac(0)), DropReason::SamePort),
    ];
    for (bytes, reason) in cases {
        let mut sim = Sim::new(2);
        sim.inject(0, frame(sim::mac(9), sim::mac(0), &[]));
        sim.run();
        sim.sent_counts();
        sim.inject(0, bytes);
        sim.run();
        assert_eq!(sim.drops(0, reason), 1, "{}", reason.name());
        assert_eq!(sim.sent_counts(), [0, 0], "{}", reason.name());
        sim.check();
    }
}

#[test]
fn an_observer_sees_each_frame_as_it_comes_in_leaves_or_is_dropped() {
    let mut sim = Sim::new(3);
    sim.inject(0, frame(sim::mac(1), sim::mac(0), b"flooded"));
    let bad = frame(sim::mac(1), MacAddr::BROADCAST, b"dropped");
    sim.inject(2, bad.clone());
    sim.run();
    assert_eq!((sim.observed().received, sim.observed().sent), (2, 2));
    let seen = (PortIndex(2), DropReason::BroadcastSourceMac, bad);
    assert_eq!(sim.observed().last_drop, Some(seen));
    sim.check();
}

#[test]
fn a_tunnel_that_the_snapshot_lacks_is_a_drop_with_its_reason() {
    let mut sim = Sim::new(2);
    let key = Key::new(NetworkIndex(0), 0, sim::mac(9));
    let learnt = Learnt { key, destination: Destination::tunnel(VtepIndex(3)) };
    let now_s = sim.now().seconds();
    sim.state().fdb.learn(learnt, now_s, 300, FdbQuota::ALL);
    sim.inject(0, frame(sim::mac(9), sim::mac(0), b"to another host"));
    sim.run();
    assert_eq!(sim.drops(0, DropReason::TunnelUnknown), 1);
    assert_eq!(sim.sent_counts(), [0, 0]);
    sim.check();
}

#[test]
fn a_read_without_an_offload_header_is_a_counted_drop() {
    let mut sim = Sim::new(2);
    sim.inject(0, Vec::new());
    sim.inject(0, vec![0; 11]);
    sim.run();
    assert_eq!(sim.drops(0, DropReason::RxError), 2);
    sim.check();
}

#[test]
fn odd_but_sound_frames_pass() {
    let mut sim = Sim::new(2);
    let mut unknown_type = frame(sim::mac(1), sim::mac(0), &[7; 46]);
    unknown_type[24..26].copy_from_slice(&[0x12, 0x34]);
    let mut length_type = frame(sim::mac(1), sim::mac(0), &[7; 46]);
    length_type[24..26].copy_from_slice(&[0, 46]);
    let header_only = frame(sim::mac(1), sim::mac(0), &[]);
    let mut jumbo_gso = frame(sim::mac(1), sim::mac(0), &[7; 60_000]);
    jumbo_gso[..12].copy_from_slice(&[1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0]);
    let all = [unknown_type, length_type, header_only, jumbo_gso];
    for bytes in &all {
        sim.inject(0, bytes.clone());
    }
    sim.run();
    assert_eq!(sim.sent(1), all);
    sim.check();
}

#[test]
fn a_port_that_is_not_configured_or_disabled_neither_sends_nor_gets() {
    let mut sim = Sim::new(3);
    sim.disable(2);
    sim.inject(2, frame(MacAddr::BROADCAST, sim::mac(2), &[]));
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    sim.open(7);
    sim.inject(7, frame(MacAddr::BROADCAST, sim::mac(7), &[]));
    sim.run();
    assert_eq!(sim.drops(2, DropReason::PortDisabled), 1);
    assert_eq!(sim.drops(7, DropReason::PortUnknown), 1);
    assert_eq!(sim.sent_counts(), [0, 1, 0]);
    sim.check();
}

#[test]
fn a_port_that_was_disabled_or_moved_gets_no_unicast_either() {
    let mut sim = Sim::new(3);
    sim.inject(2, frame(MacAddr::BROADCAST, sim::mac(2), &[]));
    sim.run();
    sim.sent_counts();
    sim.disable(2);
    sim.inject(0, frame(sim::mac(2), sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0], "flooded to who is left");
    sim.check();
}

#[test]
fn alone_on_a_network_a_flood_is_a_drop() {
    let mut sim = Sim::new(1);
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.drops(0, DropReason::NoOtherPort), 1);
    sim.check();
}

#[test]
fn an_address_ages_and_is_flooded_again() {
    let mut sim = Sim::new(HOSTS);
    sim.inject(1, frame(sim::mac(0), sim::mac(1), &[]));
    sim.run();
    sim.sent_counts();
    sim.pass(Duration::from_secs(300));
    sim.inject(0, frame(sim::mac(1), sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0, 0]);
    sim.pass(Duration::from_secs(301));
    sim.inject(0, frame(sim::mac(1), sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 1, 1]);
    sim.check();
}

#[test]
fn a_vanished_port_costs_only_its_own_frames() {
    let mut sim = Sim::new(3);
    sim.inject(1, frame(MacAddr::BROADCAST, sim::mac(1), &[]));
    sim.run();
    sim.vanish(1);
    sim.inject(0, frame(sim::mac(1), sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.drops(1, DropReason::TxPortGone), 1);
    sim.check();
}

#[test]
fn networks_do_not_see_each_other() {
    let mut sim = Sim::with_networks(&[0, 0, 1, 1]);
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    sim.inject(2, frame(sim::mac(0), sim::mac(2), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0, 1]);
    sim.check();
}

#[test]
fn captures_replay_through_the_same_rooms() {
    sim::replay_capture();
}

/// Random traffic on random networks, with ports that vanish, for many seeds.
#[test]
fn simulator_conserves_frames_and_never_crosses_networks() {
    let chosen = std::env::var("VSWITCH_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(0..200, |seed: u64| seed..seed + 1);
    for seed in seeds {
        println!("seed {seed}");
        sim::storm(seed);
    }
}
