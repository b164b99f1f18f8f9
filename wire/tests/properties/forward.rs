//! Forwarding of one frame of any bytes, for the properties and the fuzz target.

use vswitch_wire::icmp_error::{IcmpError, IcmpSource, Suppressed, emit_icmp_error};
use vswitch_wire::limits::ICMP_ERROR_FRAME_MAX;
use vswitch_wire::ttl::{self, Ttl};
use vswitch_wire::{ChecksumState, MacAddr, Meta, fragmenter, mss_clamp};

/// Decrements the TTL, clamps the MSS, fragments the packet, and answers it with ICMP errors.
pub(crate) fn check(frame: &[u8]) {
    let Ok(meta) = Meta::parse(frame) else { return };
    let mut changed = frame.to_vec();
    if ttl::decrement(&meta, &mut changed) != Ttl::Decremented {
        assert_eq!(changed, frame, "a packet that does not go on is left alone");
    }
    for state in [ChecksumState::Complete, ChecksumState::Partial] {
        let mut changed = frame.to_vec();
        if mss_clamp::clamp(&meta, &mut changed, 1_280, state).is_none() {
            assert_eq!(changed, frame, "nothing was clamped");
        }
        assert_eq!(
            mss_clamp::clamp(&meta, &mut changed, 1_280, state),
            None,
            "clamped once is enough"
        );
    }
    for mtu in [0, 28, 68, 576, 1_500] {
        cut(&meta, frame, mtu);
    }
    answered(&meta, frame);
}

/// Fragments fit, and say together what the packet said.
fn cut(meta: &Meta, frame: &[u8], mtu: u32) {
    let Ok(mut pieces) = fragmenter::fragment_ipv4(meta, frame, mtu) else { return };
    let header_len = usize::from(meta.l4_offset - meta.l3_offset);
    let (mut payload, mut buffer) = (Vec::new(), vec![0; frame.len()]);
    while let Some(len) = pieces.write_next(&mut buffer) {
        let piece = Meta::parse(&buffer[..len]).expect("a frame");
        let ip = vswitch_wire::ipv4::Packet::new_checked(piece.l3_bytes(&buffer[..len]))
            .expect("a packet");
        assert!(ip.verify_checksum() && u32::from(ip.total_len()) <= mtu);
        payload.extend_from_slice(ip.payload());
    }
    assert_eq!(payload, meta.l3_bytes(frame)[header_len..], "no byte is lost");
}

/// An answer is one that nobody answers (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.1).
fn answered(meta: &Meta, frame: &[u8]) {
    let router = IcmpSource {
        mac: MacAddr([2, 0, 0, 0, 0, 9]),
        ipv4: Some([192, 0, 2, 9].into()),
        ipv6: Some([0x2001; 8].into()),
        broadcasts: &[],
    };
    let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
    for error in [IcmpError::TimeExceeded, IcmpError::TooBig(1_400), IcmpError::Prohibited] {
        let Ok(len) = emit_icmp_error(error, &router, meta, frame, &mut buffer) else { continue };
        let (about, mut again) = (&buffer[..len], [0; ICMP_ERROR_FRAME_MAX]);
        let meta = Meta::parse(about).expect("a frame");
        let suppressed = emit_icmp_error(error, &router, &meta, about, &mut again);
        assert_eq!(suppressed, Err(Suppressed::AboutError));
    }
}
