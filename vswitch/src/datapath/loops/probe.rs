//! The frame that finds loops.
//!
//! ```text
//! offset  bytes
//!      0      6  destination 03:76:73:77:00:01: a group, so that bridges forward it; locally
//!                administered, so that it is nobody's
//!      6      6  source 02:76:73:77:00:01, which no switch learns from us
//!     12      2  EtherType 0x88b5, IEEE 802 local experimental
//!     14      8  "vsw-loop"
//!     22      2  slot of the port that it is sent to
//!     24      4  how often the slot has been given to a port
//!     28      8  SipHash-2-4 of the 14 bytes before, with the daemon's secret
//!     36     24  zero, to the shortest frame of Ethernet
//! ```
//!
//! The tag keeps a container from naming a port that is not its own; the count, from using what it
//! was sent when it had a slot that is another's now.

use std::hash::Hasher;

use fastpath::PortIndex;
use fastpath::limits::VNET_LEN;
use siphasher::sip::SipHasher24;
use wire::vlan::TAG_LEN;
use wire::{EtherType, MacAddr};

/// Where probes go.
pub(in crate::datapath) const PROBE_DST: MacAddr = MacAddr([0x03, 0x76, 0x73, 0x77, 0, 1]);
/// Where they come from.
const PROBE_SRC: MacAddr = MacAddr([0x02, 0x76, 0x73, 0x77, 0, 1]);

const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
const MAGIC: &[u8; 8] = b"vsw-loop";
/// Bytes of a probe.
pub(super) const PROBE_LEN: usize = 60;
/// Tags that a frame may have.
const TAGS: usize = 2;

const SIGNED: std::ops::Range<usize> = 14..28;
const TAG: std::ops::Range<usize> = 28..36;

/// A probe for a port, whose slot is in this `generation`.
pub(super) fn build(key: [u64; 2], port: PortIndex, generation: u32) -> [u8; PROBE_LEN] {
    let mut frame = [0; PROBE_LEN];
    frame[..6].copy_from_slice(&PROBE_DST.0);
    frame[6..12].copy_from_slice(&PROBE_SRC.0);
    frame[12..14].copy_from_slice(&ETHERTYPE);
    frame[14..22].copy_from_slice(MAGIC);
    frame[22..24].copy_from_slice(&port.0.to_be_bytes());
    frame[24..28].copy_from_slice(&generation.to_be_bytes());
    let tag = tag(key, &frame[SIGNED]);
    frame[TAG].copy_from_slice(&tag.to_be_bytes());
    frame
}

/// The port that a frame is a probe for, and how often its slot had been given. `bytes` begin with the
/// virtio-net header; up to two VLAN tags that somebody put in are skipped.
pub(super) fn parse(key: [u64; 2], bytes: &[u8]) -> Option<(PortIndex, u32)> {
    let mut frame = bytes.get(VNET_LEN..)?;
    for _ in 0..TAGS {
        let [high, low] = frame.get(12..14)? else { return None };
        if EtherType(u16::from_be_bytes([*high, *low])).is_vlan() {
            frame = frame.get(TAG_LEN..)?;
        }
    }
    let (signed, sent) = (frame.get(SIGNED)?, frame.get(TAG)?);
    let genuine = frame[12..14] == ETHERTYPE
        && signed.starts_with(MAGIC)
        && tag(key, signed).to_be_bytes() == sent;
    let generation = u32::from_be_bytes(signed[10..14].try_into().ok()?);
    genuine.then(|| (PortIndex(u16::from_be_bytes([signed[8], signed[9]])), generation))
}

fn tag([k0, k1]: [u64; 2], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(k0, k1);
    hasher.write(bytes);
    hasher.finish()
}
