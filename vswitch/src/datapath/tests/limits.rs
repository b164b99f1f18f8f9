//! What a port may do at most: rates, storms, addresses, loops.

use std::sync::Arc;
use std::time::Duration;

use fastpath::{Nanos, PortIndex};
use wire::MacAddr;

use super::sim::{self, Sim, frame};
use crate::datapath::limits::{BLOCK_MIN, BURST_BYTES_MIN, FLAP_MOVES_MAX, PROBE_EVERY};
use crate::datapath::*;

fn bits(per_s: u64) -> Option<Arc<TokenBucket>> {
    Some(Arc::new(TokenBucket::new(Rate::bits(per_s.try_into().expect("in range")))))
}

fn frames(per_s: u64) -> Option<Arc<TokenBucket>> {
    Some(Arc::new(TokenBucket::new(Rate::frames(per_s.try_into().expect("in range")))))
}

/// Ports that know each other.
fn acquainted(ports: u16) -> Sim {
    let mut sim = Sim::new(ports);
    for port in 0..ports {
        sim.inject(port, frame(MacAddr::BROADCAST, sim::mac(port), &[]));
    }
    sim.run();
    sim.sent_counts();
    sim
}

/// Sends a thousand-byte frame from 0 to 1 every millisecond for a while, ten times too fast for a
/// rate of 800 kbit/s; gives the bytes that arrived.
fn blast(sim: &mut Sim, ms: u64) -> u64 {
    let mut arrived = 0;
    for _ in 0..ms {
        sim.inject(0, frame(sim::mac(1), sim::mac(0), &[0; 986]));
        sim.run();
        arrived += sim.sent(1).iter().map(|bytes| bytes.len() as u64 - 12).sum::<u64>();
        sim.pass(Duration::from_millis(1));
    }
    arrived
}

#[test]
fn a_port_sends_its_burst_and_then_its_rate() {
    for (port, reason) in [(0, DropReason::RateLimitIn), (1, DropReason::RateLimitOut)] {
        let mut sim = acquainted(3);
        sim.limit(port, |limits| match reason {
            DropReason::RateLimitIn => limits.rate_in = bits(800_000),
            _ => limits.rate_out = bits(800_000),
        });
        let ms = 5_000;
        let arrived = blast(&mut sim, ms);
        let bound = BURST_BYTES_MIN + 100 * ms;
        assert!(arrived <= bound && arrived > bound - 2_000, "{arrived} of {bound}");
        assert_eq!(sim.drops(port, reason), (1000 * ms - arrived) / 1000);
        assert_eq!(sim.drops(1 - port, reason), 0, "counted at the port that has the limit");
        sim.check();
    }
}

#[test]
fn a_limited_port_does_not_slow_its_neighbours() {
    let mut sim = acquainted(3);
    sim.limit(0, |limits| limits.rate_in = bits(8_000));
    sim.limit(0, |limits| limits.rate_out = bits(8_000));
    for _ in 0..600 {
        sim.inject(0, frame(sim::mac(2), sim::mac(0), &[0; 986]));
        sim.inject(1, frame(sim::mac(2), sim::mac(1), &[0; 986]));
        sim.inject(2, frame(sim::mac(0), sim::mac(2), &[0; 986]));
        sim.run();
    }
    let from_1 = sim.sent(2).iter().filter(|bytes| bytes[18..24] == sim::mac(1).0).count();
    assert_eq!(from_1, 600);
    assert!(
        sim.drops(0, DropReason::RateLimitIn) > 300 && sim.drops(0, DropReason::RateLimitOut) > 300
    );
    sim.check();
}

#[test]
fn a_flood_to_a_limited_port_reaches_the_others_whole() {
    let mut sim = acquainted(4);
    sim.limit(1, |limits| limits.rate_out = bits(8_000));
    for _ in 0..400 {
        sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[0; 1400]));
        sim.run();
    }
    let counts = sim.sent_counts();
    assert_eq!((counts[2], counts[3]), (400, 400));
    assert_eq!(counts[1] as u64 + sim.drops(1, DropReason::RateLimitOut), 400);
    assert!(sim.drops(1, DropReason::RateLimitOut) > 100);
    sim.check();
}

#[test]
fn each_kind_of_storm_has_its_own_bucket_and_reason() {
    let unknown = MacAddr([2, 9, 9, 9, 9, 9]);
    let group = MacAddr([1, 0, 0x5e, 1, 2, 3]);
    let cases = [
        (MacAddr::BROADCAST, DropReason::StormBroadcast),
        (group, DropReason::StormMulticast),
        (unknown, DropReason::StormUnknown),
    ];
    for (dst, reason) in cases {
        let mut sim = acquainted(3);
        let storm = Storm { broadcast: frames(200), multicast: frames(200), unknown: frames(200) };
        sim.limit(0, |limits| limits.storm = Some(storm));
        for _ in 0..500 {
            sim.inject(0, frame(dst, sim::mac(0), &[]));
        }
        sim.inject(0, frame(sim::mac(1), sim::mac(0), &[]));
        sim.run();
        assert_eq!(sim.drops(0, reason), 300, "{}", reason.name());
        assert_eq!(sim.sent_counts(), [0, 201, 200], "unicast passes");
        for (_, other) in cases.iter().filter(|(_, other)| *other != reason) {
            assert_eq!(sim.drops(0, *other), 0);
        }
        sim.pass(Duration::from_secs(1));
        sim.inject(0, frame(dst, sim::mac(0), &[]));
        sim.run();
        assert_eq!(sim.sent_counts(), [0, 1, 1], "the storm is over");
        sim.check();
    }
}

#[test]
fn several_workers_share_one_bucket() {
    // Two switches over the same limits, as two workers are.
    let (mut one, mut two) = (acquainted(2), acquainted(2));
    let bucket = bits(800_000);
    one.limit(0, |limits| limits.rate_in = bucket.clone());
    two.limit(0, |limits| limits.rate_in = bucket);
    let mut arrived = 0;
    for _ in 0..2_000 {
        arrived += blast(&mut one, 1) + blast(&mut two, 1);
    }
    let bound = BURST_BYTES_MIN + 100 * 2_000;
    assert!(arrived <= bound && arrived > bound - 2_000, "{arrived} of {bound}");
}

#[test]
fn a_flooder_of_addresses_is_kept_to_its_share_and_its_frames_still_pass() {
    let mut sim = acquainted(3);
    sim.limit(0, |limits| limits.macs_max = 10);
    for n in 0..500u64 {
        let src = MacAddr::from_u64(0x0200_0077_0000 | n);
        sim.inject(0, frame(sim::mac(1), src, &[]));
        sim.run();
    }
    // One is its own, from before.
    assert_eq!(sim.stats().counters.mac_limit, 500 - 9);
    assert_eq!(sim.state().fdb.entries_of(PortIndex(0).into()), 10);
    assert_eq!(sim.sent_counts(), [0, 500, 0]);
    sim.inject(2, frame(sim::mac(1), sim::mac(2), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0], "neighbours are still known");
    sim.check();
}

fn guarded(ports: u16) -> Sim {
    let mut sim = acquainted(ports);
    for port in 0..ports {
        sim.limit(port, |limits| limits.loop_guard = true);
    }
    sim
}

fn is_probe(bytes: &[u8]) -> bool {
    bytes.get(26..34) == Some(b"vsw-loop")
}

/// Whoever bridges two ports sends out of one what comes in at the other; until there is nothing.
fn bridge(sim: &mut Sim, [a, b]: [u16; 2], turns: usize) -> usize {
    let mut carried = 0;
    for _ in 0..turns {
        sim.run();
        let (from_a, from_b) = (sim.sent(a), sim.sent(b));
        carried += from_a.len() + from_b.len();
        from_a.into_iter().for_each(|bytes| sim.inject(b, bytes));
        from_b.into_iter().for_each(|bytes| sim.inject(a, bytes));
    }
    sim.run();
    carried
}

#[test]
fn a_quiet_port_gets_no_probe_and_a_loud_one_gets_one_a_second() {
    let mut sim = guarded(3);
    sim.inject(0, frame(sim::mac(1), sim::mac(0), &[]));
    sim.run();
    assert_eq!(sim.sent_counts(), [0, 1, 0]);
    for _ in 0..10 {
        sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
        sim.run();
        sim.pass(PROBE_EVERY / 4);
    }
    let probes = sim.sent(0);
    assert_eq!(probes.len(), 3, "at 0, 1 and 2 seconds");
    assert!(probes.iter().all(|bytes| is_probe(bytes)));
    assert!(sim.sent(1).iter().all(|bytes| !is_probe(bytes)), "nobody else gets it");
    assert_eq!(sim.stats().counters.generated, 3);
    sim.check();
}

#[test]
fn a_bridge_between_two_ports_is_found_and_one_of_them_blocked() {
    let mut sim = guarded(4);
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), b"storm"));
    let carried = bridge(&mut sim, [1, 3], 50);
    assert!(carried < 20, "{carried} frames went round");
    let events: Vec<_> = sim.state().loops.events().collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].port, events[0].pause), (PortIndex(3), BLOCK_MIN));
    assert!(matches!(events[0].sign, LoopSign::Probe { .. }));
    sim.sent_counts();
    // The rest keeps talking, and through the bridge, too: 1 stays.
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    sim.inject(3, frame(sim::mac(0), sim::mac(3), &[]));
    sim.run();
    let counts = sim.sent_counts();
    assert_eq!(counts[1..], [1, 1, 0], "{counts:?}");
    assert!(sim.drops(3, DropReason::LoopBlocked) >= 2, "from it, and for it");
    assert!(sim.drops(1, DropReason::LoopProbe) + sim.drops(3, DropReason::LoopProbe) >= 1);
    sim.check();
}

#[test]
fn a_blocked_port_opens_again_and_is_blocked_for_longer() {
    let mut sim = guarded(3);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
        bridge(&mut sim, [1, 2], 20);
        let events: Vec<_> = sim.state().loops.events().collect();
        assert_eq!(events.len(), 1);
        pauses.push(events[0].pause.as_secs());
        sim.pass(events[0].pause + Duration::from_millis(1));
        let now = sim.now();
        assert!(!sim.state().loops.table().any_blocked(now));
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
    // The bridge is gone, and the port works: what was learnt through it is forgotten. Much later
    // the past is forgiven.
    sim.sent_counts();
    sim.inject(2, frame(sim::mac(0), sim::mac(2), &[]));
    sim.run();
    assert_eq!(sim.sent(0).len(), 1);
    sim.pass(Duration::from_secs(601));
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    bridge(&mut sim, [1, 2], 20);
    let again: Vec<_> = sim.state().loops.events().map(|event| event.pause).collect();
    assert_eq!(again, [BLOCK_MIN]);
    sim.check();
}

#[test]
fn a_probe_of_a_former_owner_of_the_slot_or_a_forged_one_blocks_nobody() {
    let mut sim = guarded(3);
    sim.inject(1, frame(MacAddr::BROADCAST, sim::mac(1), &[]));
    sim.run();
    let probe = sim.sent(1).into_iter().find(|bytes| is_probe(bytes)).expect("a probe");
    for at in 26..48 {
        let mut forged = probe.clone();
        forged[at] ^= 1;
        sim.inject(2, forged);
    }
    for len in 12..probe.len().min(48) {
        sim.inject(2, probe[..len].to_vec());
    }
    sim.run();
    assert_eq!(sim.state().loops.events().count(), 0);
    sim.state().loops.table().reset(PortIndex(1));
    sim.inject(2, probe);
    sim.run();
    assert_eq!(sim.state().loops.events().count(), 0, "1 is another port now");
    assert!(sim.sent_counts()[0] <= 1, "no probe is ever forwarded");
    sim.check();
}

#[test]
fn the_hosts_port_is_never_blocked() {
    let mut sim = guarded(3);
    sim.set(2, |conf| conf.kind = PortKind::Host);
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    bridge(&mut sim, [1, 2], 20);
    let blocked: Vec<_> = sim.state().loops.events().map(|event| event.port).collect();
    assert_eq!(blocked, [PortIndex(1)]);
}

#[test]
fn a_port_without_guard_is_never_blocked() {
    let mut sim = guarded(3);
    sim.limit(2, |limits| limits.loop_guard = false);
    sim.inject(0, frame(MacAddr::BROADCAST, sim::mac(0), &[]));
    bridge(&mut sim, [1, 2], 20);
    let blocked: Vec<_> = sim.state().loops.events().map(|event| event.port).collect();
    assert_eq!(blocked, [PortIndex(1)]);
}

/// Frames of one source come from two ports in turn.
fn flap(sim: &mut Sim, src: MacAddr, ports: [u16; 2], moves: u32) -> Vec<LoopEvent> {
    for n in 0..=moves {
        sim.inject(ports[n as usize % 2], frame(sim::mac(0), src, &[]));
        sim.run();
    }
    sim.state().loops.events().collect()
}

#[test]
fn who_takes_a_neighbours_address_blocks_himself() {
    for ports in [[1, 2], [2, 1]] {
        let mut sim = guarded(3);
        let events = flap(&mut sim, sim::mac(1), ports, FLAP_MOVES_MAX + 2);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].port, PortIndex(2), "the address was given to 1");
        let sign = LoopSign::Flap { mac: sim::mac(1), other: PortIndex(1) };
        assert_eq!(events[0].sign, sign);
    }
}

#[test]
fn an_address_of_nobodys_stays_where_it_was_first() {
    let mut sim = guarded(4);
    let inner = MacAddr([2, 7, 7, 7, 7, 7]);
    let events = flap(&mut sim, inner, [3, 1], FLAP_MOVES_MAX + 2);
    assert_eq!(events.iter().map(|event| event.port).collect::<Vec<_>>(), [PortIndex(1)]);
}

/// Whoever takes an address and waits until its owner speaks has not made himself its owner.
#[test]
fn by_timing_nobody_gets_the_owners_port_blocked() {
    for waits_ms in [1_100, 60_000, 590_000] {
        let mut sim = guarded(4);
        let inner = MacAddr([2, 7, 7, 7, 7, 7]);
        // It lives behind 1; 2 takes it.
        assert_eq!(flap(&mut sim, inner, [1, 2], 1), []);
        sim.pass(Duration::from_millis(waits_ms));
        let events = flap(&mut sim, inner, [1, 2], FLAP_MOVES_MAX + 2);
        assert_eq!(events.iter().map(|event| event.port).collect::<Vec<_>>(), [PortIndex(2)]);
        let sign = LoopSign::Flap { mac: inner, other: PortIndex(1) };
        assert_eq!(events[0].sign, sign, "{waits_ms}");
    }
}

/// A station has moved from 1 to 2 lately: that 3 takes its address must not block 2.
#[test]
fn of_two_strangers_none_is_blocked() {
    for ports in [[2, 3], [3, 2]] {
        let mut sim = guarded(4);
        let inner = MacAddr([2, 7, 7, 7, 7, 7]);
        assert_eq!(flap(&mut sim, inner, [1, 2], 1), []);
        sim.pass(Duration::from_secs(60));
        assert_eq!(flap(&mut sim, inner, ports, 3 * FLAP_MOVES_MAX), []);
        // Where its home takes part there is a loop.
        let events = flap(&mut sim, inner, [1, 1], 0);
        assert_eq!(events.iter().map(|event| event.port.0).collect::<Vec<_>>(), [ports[0]]);
    }
}

/// A station that moved for good is at home where it is now.
#[test]
fn a_move_of_long_ago_is_forgotten() {
    let mut sim = guarded(4);
    let inner = MacAddr([2, 7, 7, 7, 7, 7]);
    assert_eq!(flap(&mut sim, inner, [1, 2], 1), []);
    sim.pass(limits::LOOP_HISTORY + Duration::from_secs(1));
    let events = flap(&mut sim, inner, [2, 3], FLAP_MOVES_MAX + 2);
    assert_eq!(events.iter().map(|event| event.port).collect::<Vec<_>>(), [PortIndex(3)]);
}

#[test]
fn few_moves_or_slow_ones_block_nobody() {
    let mut sim = guarded(3);
    assert_eq!(flap(&mut sim, sim::mac(1), [1, 2], FLAP_MOVES_MAX), []);
    sim.pass(Duration::from_secs(1));
    for _ in 0..20 {
        sim.pass(Duration::from_millis(600));
        assert_eq!(flap(&mut sim, sim::mac(1), [1, 2], 4), []);
    }
    assert!(!sim.state().loops.table().any_blocked(Nanos(u64::MAX / 2)));
}
