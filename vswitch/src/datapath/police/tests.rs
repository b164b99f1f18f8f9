use proptest::prelude::*;
use vswitch_api::port_settings::limits::BitRate;
use wire::vnet::Flags;

use super::*;
use crate::datapath::Rate;

/// A TCP GSO frame over IPv4: its offload header, 54 bytes of headers, and a payload.
fn gso(payload: usize, segment: u16) -> Vec<u8> {
    let header = Header {
        flags: Flags::NEEDS_CSUM,
        gso_type: GsoType::TcpV4,
        hdr_len: 54,
        gso_size: segment,
        csum_start: 34,
        csum_offset: 16,
        ..Header::default()
    };
    let mut bytes = vec![0; VNET_LEN + 54 + payload];
    header.emit(&mut bytes).expect("room");
    bytes[VNET_LEN + 34 + TCP_OFFSET_AT] = 5 << 4;
    bytes
}

#[test]
fn a_gso_frame_costs_what_its_segments_cost() {
    let one = |len: u64| OnWire { frames: 1, bytes: len };
    assert_eq!(on_wire(&[0; VNET_LEN + 60]), one(60));
    // 1448 bytes a segment: 45 full ones and a short one, each with its 54 bytes of headers.
    let whole = on_wire(&gso(45 * 1448 + 7, 1448));
    assert_eq!(whole, OnWire { frames: 46, bytes: 45 * 1448 + 7 + 46 * 54 });
    assert_eq!(on_wire(&gso(1448, 1448)), one(54 + 1448));
}

#[test]
fn an_absurd_offload_header_costs_at_least_the_frame() {
    let mut tiny = gso(1000, 1);
    assert_eq!(on_wire(&tiny), OnWire { frames: 1000, bytes: 1000 * 55 });
    for start in [0u16, 5000, u16::MAX] {
        tiny[6..8].copy_from_slice(&start.to_le_bytes());
        let cost = on_wire(&tiny);
        assert!(cost.bytes >= 1054 && cost.frames >= 1, "{start}: {cost:?}");
    }
    tiny[1] = 0x7f;
    assert_eq!(on_wire(&tiny), OnWire { frames: 1, bytes: 1054 });
}

/// With default limits: ARP works in a network of 1,000 nodes, and no kind makes more than 100,000 copies a second.
#[test]
fn floods_to_many_nodes_cost_more() {
    use vswitch_api::port_settings::limits::FrameRate;

    use crate::datapath::limits::{STORM_BROADCAST, STORM_MULTICAST, STORM_UNKNOWN};

    let rate = |rate: FrameRate| rate.get();
    for (kind, limit) in [
        (Kind::Broadcast, rate(STORM_BROADCAST)),
        (Kind::Multicast, rate(STORM_MULTICAST)),
        (Kind::Unknown, rate(STORM_UNKNOWN)),
    ] {
        assert_eq!((kind.tokens(0), kind.tokens(1)), (1, 1), "{kind:?}");
        for nodes in [9, 10, 11, 99, 100, 101, 999, 4000] {
            let floods = limit / kind.tokens(nodes);
            assert!(floods * nodes as u64 <= 100_000, "{kind:?} to {nodes}: {floods}/s");
        }
        assert!(limit / kind.tokens(999) >= 100, "{kind:?}");
    }
}

proptest! {
    /// Whatever a sender claims: no panic, never less than the bytes that there are, and no frame is
    /// free.
    #[test]
    fn no_frame_is_cheaper_than_its_bytes(
        bytes in prop::collection::vec(any::<u8>(), VNET_LEN + 14..200),
    ) {
        let cost = on_wire(&bytes);
        prop_assert!(cost.frames >= 1);
        prop_assert!(cost.bytes >= (bytes.len() - VNET_LEN) as u64);
    }
}

#[test]
fn a_send_of_all_the_datagrams_that_it_may_have_fits_into_the_smallest_burst() {
    let mut frame = gso(128 * 100 - 12, 100);
    frame[1] = 5; // VIRTIO_NET_HDR_GSO_UDP_L4
    let cost = on_wire(&frame).frames;
    let bucket = TokenBucket::new(Rate::frames(1.try_into().expect("in range")));
    assert_eq!(cost, 128);
    assert!(bucket.pass(Nanos(1), cost));
}

#[test]
fn the_longest_gso_frame_fits_into_the_smallest_burst() {
    let smallest = Rate::bits(BitRate::MIN);
    // The least segment that Linux accepts for TCP (TCP_MIN_MSS is 88 with options).
    assert!(on_wire(&gso(65_535 - 40, 88)).bytes < smallest.burst());
}
