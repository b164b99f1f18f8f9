//! Segmentation of GSO frames, and coalescing of their segments: whole, damaged, and of any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vswitch_wire::coalesce::Layout;

#[path = "../../wire/tests/properties/gso.rs"]
mod gso;
#[path = "../../wire/tests/properties/runs.rs"]
mod runs;

use gso::Case;

/// Kind and options, the sizes, the payload, and bytes to change: frame, offset, value.
type Input = ((bool, bool, [u8; 5]), (u64, u16), Vec<u8>, Vec<(u8, u8, u8)>);

fuzz_target!(|input: Input| {
    let ((v6, tcp, bytes), (seed, size), payload, changes) = input;
    let layout = Layout {
        prefix: usize::from(bytes[0] % 32),
        stride: usize::from(size),
        udp: true,
        mtu: 1_450,
    };
    runs::check(&payload, layout);
    runs::segment_by_every_kind(&payload, size);
    let [tags, ip_options, tcp_options, tcp_flags, prefix] = bytes;
    let case =
        Case { v6, tcp, tags, ip_options, tcp_options, tcp_flags, seed, payload, size, prefix };
    gso::check(&case);
    let Some((mut buffer, prefix, stride)) = case.segments() else { return };
    for (frame, at, value) in changes {
        let at = usize::from(frame) * stride + usize::from(at);
        buffer.get_mut(at).into_iter().for_each(|byte| *byte = value);
    }
    runs::check(&buffer, Layout { prefix, stride, ..layout });
});
