//! SNAT ports of claimed blocks: only those are allocated, shares are of what may be had, and a burst is not refused.

use crate::common::*;
use vswitch_nat::{BlockRequest, NatDrop, ShardSpec, Transport};

const R: &str = "198.51.100.7:53";

fn firsts(blocks: std::ops::Range<u16>) -> Vec<u16> {
    blocks.map(|block| 20_000 + 64 * block).collect()
}

fn ask(nat: &mut Lab, port: u16) -> Result<u16, NatDrop> {
    let sent = nat.send(internal(1), &udp(&format!("{A}:{port}"), R))?;
    let vswitch_nat::Translation::Edit { edit, .. } = sent else { panic!("{sent:?}") };
    Ok(edit.src.port)
}

#[test]
fn ports_are_awaited_while_there_may_be_more_and_refused_when_there_are_none() {
    let mut nat = Lab::claiming(policy());
    assert_eq!(ask(&mut nat, 1), Err(NatDrop::PortAwaited));
    let request = BlockRequest { transport: Transport::Udp, blocks: 16 };
    assert!(nat.nat.has_block_request());
    assert_eq!((nat.nat.poll_block_request(), nat.nat.poll_block_request()), (Some(request), None));
    nat.nat.claim_blocks(Transport::Udp, &firsts(3..5), 157);
    let ports: Vec<_> = (1..=128).map(|port| ask(&mut nat, port).expect("a port")).collect();
    assert!(ports.iter().all(|port| (20_192..20_320).contains(port)), "{ports:?}");
    // Nobody yields while more may come; at the end of what may be had, the share counts.
    assert_eq!(ask(&mut nat, 129), Err(NatDrop::PortAwaited));
    assert_eq!(nat.nat.counters().connections_evicted, 0);
    assert_eq!(nat.nat.counters().connections_port_awaited, 2);
    nat.nat.claim_blocks(Transport::Udp, &[], 2);
    // One yields a call, until the owner is within its share.
    let refused = (130..200).take_while(|port| ask(&mut nat, *port).is_err()).count();
    assert_eq!((refused, nat.nat.counters().connections_evicted), (25, 26));
}

/// The sender repeats it: none is refused, and none is lost to another port.
#[test]
fn the_first_packet_of_each_transport_awaits_its_ports() {
    let mut nat = Lab::claiming(policy());
    let from = |port| format!("{A}:{port}");
    let web = "198.51.100.7:80";
    for (transport, first) in [
        (Transport::Tcp, tcp(&from(1), web, segment(SYN, 1, 0, 0))),
        (Transport::Udp, udp(&from(1), web)),
        (Transport::Sctp, sctp(&from(1), web)),
    ] {
        assert_eq!(nat.send(internal(1), &first), Err(NatDrop::PortAwaited), "{transport:?}");
        assert_eq!(nat.send(internal(1), &first), Err(NatDrop::PortAwaited), "{transport:?}");
        let request = nat.nat.poll_block_request();
        assert_eq!(request, Some(BlockRequest { transport, blocks: 16 }));
        nat.nat.claim_blocks(transport, &firsts(7..23), 157);
        let sent = nat.send(internal(1), &first);
        let Ok(vswitch_nat::Translation::Edit { edit, .. }) = sent else { panic!("{sent:?}") };
        assert!((20_448..21_472).contains(&edit.src.port), "{transport:?} {}", edit.src.port);
    }
    assert_eq!(nat.nat.counters().connections_no_port, 0);
}

#[test]
fn identifiers_of_echoes_are_not_claimed() {
    let mut nat = Lab::claiming(policy());
    nat.out(&echo(A, "198.51.100.7", 7, true));
    assert!(!nat.nat.has_block_request());
}

#[test]
fn a_block_with_a_port_in_use_or_at_rest_is_not_returned() {
    let mut nat = Lab::claiming(policy());
    nat.nat.claim_blocks(Transport::Udp, &firsts(0..100), 157);
    let port = ask(&mut nat, 1).expect("a port");
    let block = 20_000 + (port - 20_000) / 64 * 64;
    assert!(nat.nat.collect_empty_blocks(Transport::Udp).is_empty());
    let mut returned = nat.nat.collect_empty_blocks(Transport::Udp);
    assert!(returned.len() > 70 && !returned.contains(&block), "{returned:?}");
    nat.wait_s(200);
    for port in 2..1_000 {
        let seen = ask(&mut nat, port);
        let Ok(seen) = seen else { break };
        assert!(!returned.contains(&(20_000 + (seen - 20_000) / 64 * 64)), "{seen}");
    }
    returned.sort_unstable();
    returned.dedup();
    nat.nat.claim_blocks(Transport::Udp, &returned, 157);
    assert!(ask(&mut nat, 5_000).is_ok());
}

#[test]
fn blocks_of_a_pool_that_allocates_no_more_return_after_the_rest_of_their_ports() {
    let mut nat = Lab::claiming(policy());
    nat.nat.claim_blocks(Transport::Tcp, &firsts(0..100), 157);
    for port in 1..=1_000 {
        let (from, web) = (format!("{A}:{port}"), "198.51.100.7:80");
        let external = nat.establish(&from, web).to_string();
        nat.back(&tcp(web, &external, segment(RST, 5001, 0, 0)));
    }
    assert_eq!(nat.nat.collect_empty_blocks(Transport::Tcp).len(), 0);
    nat.wait_s(300);
    let mut returned = 0;
    for _ in 0..4 {
        returned += nat.nat.collect_empty_blocks(Transport::Tcp).len();
        nat.nat.set_obtainable_blocks(Transport::Tcp, 157);
    }
    assert_eq!(returned, 84);
}

#[test]
fn slices_of_workers_are_whole_blocks_of_their_own() {
    let range = 20_000..=29_999;
    let mut all: Vec<u16> = Vec::new();
    for worker in 0..3 {
        let spec = ShardSpec::new(worker, 3);
        for block in spec.blocks(&range) {
            assert!(block.len() <= 64);
            assert!(block.clone().all(|port| spec.slice_of(&range, port) == Some(worker)));
            all.extend(block);
        }
    }
    assert_eq!(all, range.collect::<Vec<_>>());
    assert_eq!(ShardSpec::new(1, 2).blocks(&(7..=7)).count(), 1);
    assert_eq!(ShardSpec::new(0, 2).blocks(&(7..=7)).count(), 0);
    assert_eq!(ShardSpec::SINGLE.blocks(&(65_500..=65_535)).last(), Some(65_500..=65_535));
}
