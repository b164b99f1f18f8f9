//! Several workers, each with its share of translation: what is true of one is true of them, whichever reads
//! a frame.

use fastpath::limits::VNET_LEN;
use nat::{OwnerId, Published, ShardSpec, Transport};
use wire::tcp::Flags;

use super::fragments::{assemble, fragments};
use super::host_errors::unreachable;
use super::net::*;
use super::{errors, host_errors, neighbour_queue, out, published, reachable, service, storm};
use crate::datapath::tests::sim::with_workers;
use crate::datapath::*;
use crate::limits::HANDOFF_SMALL_MAX;

const SEEDS: u64 = 8;

/// Runs a test with two workers and with three, and with several ways in which frames come to them.
pub(super) fn everywhere(test: fn()) {
    for workers in [2, 3] {
        for seed in 0..SEEDS {
            println!("{workers} workers, seed {seed}");
            with_workers(workers, seed, test);
        }
    }
}

macro_rules! also_with_several {
    ($($module:ident::$test:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            everywhere($module::$test);
        }
    )*};
}

also_with_several! {
    out::a_datagram_goes_out_translated_and_its_answer_comes_back,
    out::a_connection_and_a_ping_do_as_well,
    out::a_gso_frame_with_a_partial_checksum_goes_whole,
    out::what_is_for_the_host_goes_to_its_port_as_it_is,
    out::a_neighbour_is_reached_by_way_of_the_gateway,
    out::a_syn_is_clamped_where_the_uplink_is_narrower,
    out::a_priority_tag_is_taken_off_and_other_tags_are_not_routed,
    out::an_internal_network_has_no_way_out_and_the_kernel_gets_what_it_routes,
    published::a_client_outside_reaches_a_published_port_with_its_own_address,
    published::a_neighbour_reaches_it_by_the_hosts_address,
    published::a_container_reaches_its_own_published_port,
    published::what_is_nobodys_is_answered,
    published::what_the_host_has_as_well_is_dropped_silently,
    published::nothing_from_the_uplink_is_learnt_or_flooded,
    published::who_may_not_connect_is_not_answered,
    published::connections_end_with_what_was_published_and_with_the_container,
    reachable::one_network_opens_connections_and_the_other_answers,
    reachable::a_connection_fits_the_narrower_network,
    reachable::only_containers_are_reached,
    reachable::isolated_ports_are_reached_as_others,
    reachable::a_port_without_a_guard_takes_no_part,
    reachable::a_packet_without_hops_left_is_answered,
    reachable::connections_end_with_their_containers,
    service::a_query_reaches_the_server_and_its_answer_the_container,
    service::tcp_does_as_well_whole_where_it_is_gso,
    service::all_but_port_53_of_the_gateway_goes_its_usual_way,
    service::a_network_that_the_kernel_routes_or_without_uplink_has_it_too,
    service::the_gateway_is_on_the_hosts_vlan,
    errors::each_has_its_reason_and_its_answer,
    errors::what_no_router_forwards_is_dropped_without_an_answer,
    errors::a_packet_too_long_for_the_uplink_is_answered_with_its_mtu,
    errors::a_packet_too_long_for_the_container_is_answered_to_the_outside,
    errors::an_error_from_outside_reaches_the_container_about_its_own_packet,
    errors::who_may_have_no_connection_is_told,
    errors::a_malformed_packet_never_reaches_the_host,
    host_errors::the_host_hears_that_nobody_listens,
    host_errors::only_the_receiver_reports,
    neighbour_queue::a_frame_waits_for_its_next_hop_and_goes_when_it_is_known,
    neighbour_queue::who_waits_too_long_is_told,
    neighbour_queue::a_scan_of_the_link_does_not_keep_control_busy,
    neighbour_queue::what_waits_goes_with_its_port,
}

mod cut {
    use super::super::{fragments, reachable};
    use super::everywhere;

    also_with_several! {
        fragments::fragments_are_translated_in_whatever_order_they_come,
        fragments::fragments_in_one_batch_and_those_for_the_host_pass_as_well,
        reachable::fragments_follow_their_head_in_any_order,
        fragments::a_tail_waits_only_so_long_and_goes_with_its_port,
        fragments::fragments_that_overlap_are_dropped,
        fragments::a_packet_that_may_be_cut_is_cut,
        fragments::its_partial_checksum_is_completed_before,
        fragments::a_gso_frame_that_may_be_cut_is_cut_into_smaller_segments,
    }
}

#[test]
fn they_conserve_frames() {
    let chosen = std::env::var("VSWITCH_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in chosen.map_or(0..20, |seed: u64| seed..seed + 1) {
        println!("seed {seed}");
        with_workers(2 + seed as usize % 2, seed, || storm::storm(seed));
    }
}

/// Where the frames of an exchange are read, packet by packet: all ways.
fn ways(workers: usize, packets: u32, mut exchange: impl FnMut(&mut dyn FnMut() -> usize)) {
    for way in 0..workers.pow(packets) {
        let mut rest = way;
        let mut next = || {
            let worker = rest % workers;
            rest /= workers;
            worker
        };
        with_workers(workers, 0, || exchange(&mut next));
    }
}

/// The one frame that leaves of one that a worker reads.
#[track_caller]
fn one_by(net: &mut TestNet, worker: usize, port: u16, frame: Vec<u8>) -> (u16, Vec<u8>) {
    net.sim.inject_to(worker, port, frame);
    net.sim.run();
    let sent: Vec<_> = (0..PORTS)
        .flat_map(|to| net.sim.sent(to).into_iter().map(move |frame| (to, frame)))
        .collect();
    net.sim.check();
    assert_eq!(sent.len(), 1, "{sent:?}");
    sent.into_iter().next().expect("one")
}

#[test]
fn an_endpoint_appears_at_one_port_of_its_homes_slice() {
    for workers in [2, 3] {
        ways(workers, 4, |next| {
            let mut net = TestNet::new();
            for container in [A, B] {
                let inner = at(Family::V4.container(container), 5000);
                let mut appears = Vec::new();
                for to in [53, 54] {
                    let server = at(Family::V4.remote(), to);
                    let frame = udp(up(container), inner, server, b"question");
                    let (port, frame) = one_by(&mut net, next(), container, frame);
                    assert_eq!(port, UPLINK);
                    appears.push(seen(&frame).from);
                }
                assert_eq!(appears[0], appears[1], "whichever worker reads it");
                let shard_spec = ShardSpec::new(0, workers);
                let slice = shard_spec.slice_of(&(20_000..=29_999), appears[0].port());
                assert_eq!(slice, Some(shard_spec.worker_of(OwnerId(container.into()))));
                for worker in 0..workers {
                    let answer = udp(DOWN, at(Family::V4.remote(), 53), appears[0], b"answer");
                    let (port, frame) = one_by(&mut net, worker, UPLINK, answer);
                    assert_eq!((port, seen(&frame).to), (container, inner));
                }
            }
            assert_eq!(net.sim.connections(), 4, "no second one at another worker");
            assert!(net.sim.handed_off() > 0);
        });
    }
}

#[test]
fn a_segment_is_handed_over_whole() {
    ways(2, 2, |next| {
        let mut net = TestNet::new();
        let (inner, server) = (at(Family::V4.container(A), 5000), at(Family::V4.remote(), 80));
        let syn = tcp(up(A), inner, server, Flags::SYN, [1000, 0]);
        one_by(&mut net, next(), A, syn);
        let mut frame = tcp(up(A), inner, server, Flags::ACK, [1001, 1]);
        frame.resize(VNET_LEN + 54 + 60_000, 0x5a);
        frame[VNET_LEN + 16..VNET_LEN + 18].copy_from_slice(&60_040_u16.to_be_bytes());
        let header = wire::vnet::Header {
            flags: wire::vnet::Flags::NEEDS_CSUM,
            gso_type: wire::vnet::GsoType::TcpV4,
            hdr_len: 54,
            gso_size: 1400,
            csum_start: 34,
            csum_offset: 16,
            ..wire::vnet::Header::default()
        };
        frame[..VNET_LEN].copy_from_slice(&header.to_bytes());
        let frame = with_hops(frame, 64);
        let (port, out) = one_by(&mut net, next(), A, frame.clone());
        assert_eq!((port, out.len(), &out[..VNET_LEN]), (UPLINK, frame.len(), &frame[..VNET_LEN]));
        assert_eq!(out[VNET_LEN + 54..], frame[VNET_LEN + 54..]);
    });
}

#[test]
fn a_hairpin_to_a_published_port_goes_both_ways() {
    for workers in [2, 3] {
        ways(workers, 4, |next| {
            let mut net = TestNet::new();
            let (a, public) = (at(Family::V4.container(A), 5000), at(Family::V4.outside(), 5353));
            let inner = at(Family::V4.container(B), 53);
            for _ in 0..2 {
                let (port, frame) = one_by(&mut net, next(), A, udp(up(A), a, public, b"ask"));
                let came = seen(&frame);
                assert_eq!((port, came.to, came.from.ip()), (B, inner, public.ip()));
                let answer = udp(up(B), inner, came.from, b"answer");
                let (port, frame) = one_by(&mut net, next(), B, answer);
                let back = seen(&frame);
                assert_eq!((port, back.from, back.to), (A, public, a));
            }
            assert_eq!(net.sim.connections(), 1);
        });
    }
}

/// Container A's port 5000 is published at 8000, beside what is.
fn publish_client(net: &mut TestNet) {
    net.policy(|policy| {
        policy.published.push(Published {
            transport: Transport::Udp,
            address: None,
            ports: 8000..=8000,
            zone: nat::Zone(0),
            to_v4: Some("10.99.0.2".parse().expect("an address")),
            to_v6: None,
            to_port: 5000,
            owner: OwnerId(A.into()),
            allow_from: Vec::new(),
        });
    });
}

#[test]
fn two_published_endpoints_talk_from_either_side() {
    for (client, from, by, server, to, public) in
        [(A, 5000, 8000, B, 53, 5353), (B, 53, 5353, A, 5000, 8000)]
    {
        ways(3, 4, |next| {
            let mut net = TestNet::new();
            publish_client(&mut net);
            let one = at(Family::V4.container(client), from);
            let other = at(Family::V4.container(server), to);
            let (by, public) = (at(Family::V4.outside(), by), at(Family::V4.outside(), public));
            for _ in 0..2 {
                let ask = udp(up(client), one, public, b"ask");
                let (port, frame) = one_by(&mut net, next(), client, ask);
                let came = seen(&frame);
                assert_eq!((port, came.from, came.to), (server, by, other));
                let answer = udp(up(server), other, by, b"answer");
                let (port, frame) = one_by(&mut net, next(), server, answer);
                let back = seen(&frame);
                assert_eq!((port, back.from, back.to), (client, public, one));
            }
            assert_eq!(net.sim.connections(), 1);
        });
    }
}

/// B talks to a published port of A by its mapping, so that it is in contact with the host's address; then
/// A reaches B by that mapping (RFC 4787, REQ-9).
#[test]
fn a_hairpin_to_a_mapping_goes_both_ways() {
    ways(2, 4, |next| {
        let mut net = TestNet::new();
        publish_client(&mut net);
        let outside = Family::V4.outside();
        let (a, b) = (at(Family::V4.container(A), 6000), at(Family::V4.container(B), 7000));
        // B's mapping at its home, by which it is in contact with the host's own address.
        let (_, frame) = one_by(&mut net, next(), B, udp(up(B), b, at(outside, 8000), b"x"));
        let mapped = seen(&frame).from;
        let (port, frame) = one_by(&mut net, next(), A, udp(up(A), a, mapped, b"ask"));
        let came = seen(&frame);
        assert_eq!((port, came.to, came.from.ip()), (B, b, outside));
        let (port, frame) = one_by(&mut net, next(), B, udp(up(B), b, came.from, b"answer"));
        let back = seen(&frame);
        assert_eq!((port, back.from, back.to), (A, mapped, a));
        let (_, frame) = one_by(&mut net, next(), A, udp(up(A), a, mapped, b"again"));
        assert_eq!(seen(&frame).from, came.from);
    });
}

#[test]
fn port_unreachable_is_limited() {
    with_workers(2, 1, published::port_unreachable_is_limited);
}

#[test]
fn a_port_of_the_range_that_nobody_has_is_answered_for() {
    ways(2, 2, |next| {
        let mut net = TestNet::new();
        for port in [20_001, 29_999] {
            let to = at(Family::V4.gateway(), port);
            let frame = tcp(up(A), at(Family::V4.container(A), 1), to, Flags::SYN, [1, 0]);
            let worker = next();
            assert_eq!(one_by(&mut net, worker, A, frame.clone()), (HOST, frame));
            let to = at(Family::V4.outside(), port);
            let frame = udp(DOWN, at(Family::V4.remote(), 53), to, b"late");
            assert_eq!(one_by(&mut net, worker, UPLINK, frame).0, UPLINK);
        }
        assert_eq!(net.sim.routed(|counters| counters.icmp_errors_sent), 2);
    });
}

#[test]
fn errors_go_where_the_packets_that_they_quote_came_from() {
    for workers in [2, 3] {
        ways(workers, 4, |next| {
            let mut net = TestNet::new();
            let (a, server) = (at(Family::V4.container(A), 5000), at(Family::V4.remote(), 53));
            let (_, out) = one_by(&mut net, next(), A, udp(up(A), a, server, b"question"));
            let error = unreachable(DOWN, server, seen(&out).from, &out);
            let (port, frame) = one_by(&mut net, next(), UPLINK, error);
            assert_eq!((port, seen(&frame).to.ip()), (A, a.ip()));
            // A container about what came to it from its neighbour, by a published port.
            let public = at(Family::V4.outside(), 5353);
            let (_, came) = one_by(&mut net, next(), A, udp(up(A), a, public, b"ask"));
            let inner = at(Family::V4.container(B), 53);
            let error = unreachable(up(B), inner, seen(&came).from, &came);
            let (port, frame) = one_by(&mut net, next(), B, error);
            assert_eq!(
                (port, seen(&frame).from.ip(), seen(&frame).to.ip()),
                (A, public.ip(), a.ip())
            );
        });
    }
}

#[test]
fn fragments_from_outside_are_one_packet_whoever_reads_them() {
    for to_published in [false, true] {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            ways(3, 3, |next| {
                let mut net = TestNet::new();
                let (inner, server) =
                    (at(Family::V4.container(A), 5000), at(Family::V4.remote(), 53));
                let out = one_by(&mut net, 0, A, udp(up(A), inner, server, b"question")).1;
                let (to, container) = match to_published {
                    true => (at(Family::V4.outside(), 5353), B),
                    false => (seen(&out).from, A),
                };
                let mut frame = udp(DOWN, server, to, &[0x5a; 1400]);
                set_fragment(&mut frame, false);
                let pieces = fragments(&frame, 600);
                for piece in order {
                    net.sim.inject_to(next(), UPLINK, pieces[piece].clone());
                    net.sim.run();
                    net.sim.check();
                }
                let (came, _) = assemble(&net.sim.sent(container));
                assert_eq!(came.payload, vec![0x5a; 1400]);
                assert_eq!(came.to.ip(), Family::V4.container(container));
                assert_eq!(net.sim.queued(), 0);
            });
        }
    }
}

#[test]
fn fragments_go_by_a_hairpin_both_ways() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        ways(2, 6, |next| {
            let mut net = TestNet::new();
            let (a, public) = (at(Family::V4.container(A), 5000), at(Family::V4.outside(), 5353));
            let mut send = |net: &mut TestNet, from: u16, to: u16, frame: &mut Vec<u8>| {
                set_fragment(frame, false);
                let pieces = fragments(frame, 600);
                for piece in order {
                    net.sim.inject_to(next(), from, pieces[piece].clone());
                    net.sim.run();
                    net.sim.check();
                }
                assemble(&net.sim.sent(to)).0
            };
            let came = send(&mut net, A, B, &mut udp(up(A), a, public, &[1; 1400]));
            let b = at(Family::V4.container(B), 53);
            assert_eq!((came.to, came.payload.len()), (b, 1400));
            let back = send(&mut net, B, A, &mut udp(up(B), b, came.from, &[2; 1400]));
            assert_eq!((back.from, back.to, back.payload), (public, a, vec![2; 1400]));
            assert_eq!(net.sim.queued(), 0);
        });
    }
}

#[test]
fn who_does_not_keep_up_gets_no_more_and_the_rest_is_counted() {
    with_workers(2, 0, || {
        let mut net = TestNet::new();
        let server = at(Family::V4.remote(), 53);
        let count = HANDOFF_SMALL_MAX + 44;
        for number in 0..count {
            let inner = at(Family::V4.container(A), 5000);
            net.sim.inject_to(1, A, udp(up(A), inner, server, &[number as u8]));
        }
        net.sim.run_only(1);
        assert_eq!(net.sim.handed_off() as usize, HANDOFF_SMALL_MAX);
        assert_eq!(net.sim.drops(A, DropReason::HandoffFull), 44);
        net.sim.run();
        let sent = net.sim.sent(UPLINK);
        let numbers: Vec<_> = sent.iter().map(|frame| seen(frame).payload[0]).collect();
        let wanted: Vec<_> = (0..HANDOFF_SMALL_MAX).map(|number| number as u8).collect();
        assert_eq!(numbers, wanted, "in their order");
        net.sim.check();
        // The buffers have come back.
        let frame = udp(up(A), at(Family::V4.container(A), 5000), server, b"x");
        assert_eq!(one_by(&mut net, 1, A, frame).0, UPLINK);
    });
}

#[test]
fn a_containers_quota_is_one_number() {
    for seed in 0..SEEDS {
        with_workers(3, seed, || {
            let mut net = TestNet::new();
            net.policy(|policy| policy.quota = 5);
            for port in 1..=20 {
                let (inner, to) = (at(Family::V4.container(A), port), at(Family::V4.remote(), 1));
                net.sim.inject(A, udp(up(A), inner, to, b"x"));
            }
            net.sim.run();
            assert_eq!(net.sim.connections(), 5);
            net.sim.check();
        });
    }
}

#[test]
fn a_port_that_goes_takes_its_tracked_fragments_with_it() {
    with_workers(2, 0, || {
        let mut net = TestNet::new();
        let host = at(Family::V4.gateway(), 53);
        let mut frame = udp(up(A), at(Family::V4.container(A), 5000), host, &[1; 1400]);
        set_fragment(&mut frame, false);
        net.sim.inject_to(1, A, fragments(&frame, 600).remove(1));
        net.sim.run();
        assert_eq!(net.sim.queued(), 1);
        net.sim.forget(A);
        assert_eq!((net.sim.queued(), net.sim.drops(A, DropReason::PortUnknown)), (0, 0));
        assert_eq!(net.sim.drops(A, DropReason::NatNoConnection), 1);
        net.sim.check();
    });
}
