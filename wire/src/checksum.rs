//! The Internet checksum: RFC 1071 in full, RFC 1624 by difference.
//!
//! A *sum* is a ones'-complement sum of big-endian 16-bit words. A *checksum field* holds a sum's
//! complement when it is complete, and the sum of the pseudo-header itself when it is partial
//! ([`ChecksumState`]). In ones' complement 0x0000 and 0xffff are the same number: a sum over
//! anything but zeros never comes out as 0x0000 here, so a complete field never as 0xffff, but for
//! UDP, which writes 0xffff for 0 because 0 means that there is no checksum (RFC 768).
//!
//! A translated packet is updated by a [`Delta`] that is computed once a connection:
//!
//! ```
//! use vswitch_wire::checksum::{ChecksumState, Delta, update_for_address, update_for_port};
//! let address = Delta::ipv4([10, 99, 0, 2].into(), [192, 0, 2, 1].into());
//! let port = Delta::u16(40000, 20000);
//! let field = 0x1234;
//! // Left to the hardware: the field holds the pseudo-header's sum, without ports.
//! let partial = update_for_address(field, address, ChecksumState::Partial);
//! assert_eq!(partial, update_for_port(partial, port, ChecksumState::Partial));
//! ```

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::put16;
use crate::error::{Error, check_len};
use crate::protocol::Protocol;

#[cfg(test)]
mod tests;

mod crc32c;
mod delta;

pub use crc32c::{crc32c, crc32c_update};
pub use delta::{ChecksumState, Delta, update_for_address, update_for_port};

/// Written instead of a checksum of 0, where 0 means none.
pub const MANGLED_ZERO: u16 = 0xffff;

/// Ones'-complement sum of `data`, which is padded with a zero byte if its length is odd.
#[inline]
pub fn sum(data: &[u8]) -> u16 {
    // Ones'-complement addition commutes with swapping bytes and with wider words (RFC 1071
    // section 2): add native 32-bit words, which the compiler vectorises, then fold and swap once.
    let (words, tail) = data.as_chunks::<4>();
    let total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let last = match *tail {
        [a, b, c] => [a, b, c, 0],
        [a, b] => [a, b, 0, 0],
        [a] => [a, 0, 0, 0],
        _ => [0; 4],
    };
    u16::from_be(fold(total + u64::from(u32::from_ne_bytes(last))))
}

/// The checksum of `data`: the complement of its [`sum`]. 0 over data that holds a right checksum.
#[inline]
pub fn checksum(data: &[u8]) -> u16 {
    !sum(data)
}

/// Sum of two sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// Sum of the IPv4 pseudo-header (RFC 9293 section 3.1, RFC 768). `len` is that of the transport
/// header and its payload, in bytes. Uncomplemented: as it is, it is the content of a partial
/// checksum field.
#[inline]
pub fn pseudo_v4(src: Ipv4Addr, dst: Ipv4Addr, protocol: Protocol, len: u16) -> u16 {
    let addresses = u64::from(src.to_bits()) + u64::from(dst.to_bits());
    fold(addresses + u64::from(protocol.0) + u64::from(len))
}

/// Sum of the IPv6 pseudo-header (RFC 8200 section 8.1). `protocol` is the transport's, not that
/// of an extension header before it; `dst` is the final destination.
#[inline]
pub fn pseudo_v6(src: Ipv6Addr, dst: Ipv6Addr, protocol: Protocol, len: u32) -> u16 {
    let rest = u64::from(protocol.0) + u64::from(len);
    fold(delta::words128(src) + delta::words128(dst) + rest)
}

/// Folds a running sum of words to 16 bits. 0 only for 0.
#[inline]
const fn fold(mut total: u64) -> u16 {
    total = (total >> 32) + (total & 0xffff_ffff);
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    ((total >> 16) + (total & 0xffff)) as u16
}

/// The complete transport checksum over `segment`, whose checksum field counts as it is (zero it
/// to compute, leave it to verify: the result is 0 where it is right).
#[inline]
pub fn transport(pseudo: u16, segment: &[u8]) -> u16 {
    !add(pseudo, sum(segment))
}

/// Completes a partial checksum, as the kernel does (`skb_checksum_help`): sums `frame` from `csum_start`,
/// and writes the complement at `csum_start + csum_offset`. 0 is written as 0xffff, as UDP requires.
///
/// # Errors
/// [`Error::Truncated`] where the field lies beyond the frame; the frame is untouched then.
#[inline]
pub fn complete_partial(frame: &mut [u8], csum_start: u16, csum_offset: u16) -> Result<(), Error> {
    let (start, at) = (usize::from(csum_start), usize::from(csum_offset));
    check_len("partial checksum", start + at + 2, frame.len())?;
    let covered = &mut frame[start..];
    let value = udp_nonzero(!sum(covered));
    put16(covered, at..at + 2, value);
    Ok(())
}

/// UDP's rule: a computed 0 is transmitted as 0xffff (RFC 768).
#[inline]
pub const fn udp_nonzero(field: u16) -> u16 {
    if field == 0 { MANGLED_ZERO } else { field }
}
