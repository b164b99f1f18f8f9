//! The MSS option of a SYN.

use super::{Flags, HEADER_LEN, Packet, TcpOption};
use crate::bytes::put16;
use crate::checksum::{ChecksumState, Delta};

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Lowers the MSS option of a SYN to `mss_max` bytes and updates the checksum. Returns the
    /// former value where it was lowered. A SYN without the option stays as it is: its default, 536
    /// or 1220 bytes (RFC 9293 section 3.7.1), fits every path.
    pub fn clamp_mss(&mut self, mss_max: u16, state: ChecksumState) -> Option<u16> {
        if !self.flags().contains(Flags::SYN) {
            return None;
        }
        let (at, mss) = self.find_mss()?;
        if mss <= mss_max {
            return None;
        }
        put16(self.0.as_mut(), at..at + 2, mss_max);
        // No-operations may put the value at an odd offset; its bytes then belong to other halves
        // of the summed words, which is the same as swapping them (RFC 1071 section 2 B).
        let change = match at % 2 {
            0 => Delta::u16(mss, mss_max),
            _ => Delta::u16(mss.swap_bytes(), mss_max.swap_bytes()),
        };
        self.update_for_port(change, state);
        Some(mss)
    }

    /// Offset from the header's start, and value of the MSS option.
    fn find_mss(&self) -> Option<(usize, u16)> {
        let mut options = self.options();
        while let Some(Ok((at, option))) = options.next_placed() {
            if let TcpOption::Mss(mss) = option {
                return Some((HEADER_LEN + at + 2, mss));
            }
        }
        None
    }
}
