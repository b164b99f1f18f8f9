//! TCP (RFC 9293).

use crate::bytes::{be16, fields};
use crate::checksum::{self, ChecksumState, Delta, update_for_address, update_for_port};
use crate::error::{Error, check_len};

#[cfg(test)]
mod tests;

mod mss;
mod options;
mod repr;

pub use options::{Options, TcpOption};
pub use repr::Repr;

mod field {
    use crate::bytes::Field;

    pub(super) const SRC_PORT: Field = 0..2;
    pub(super) const DST_PORT: Field = 2..4;
    pub(super) const SEQ: Field = 4..8;
    pub(super) const ACK: Field = 8..12;
    pub(super) const DATA_OFFSET: usize = 12;
    pub(super) const FLAGS: usize = 13;
    pub(super) const WINDOW: Field = 14..16;
    pub(super) const CHECKSUM: Field = 16..18;
    pub(super) const URGENT: Field = 18..20;
}

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Bytes of the longest header.
pub const HEADER_LEN_MAX: usize = 60;

/// Where the checksum lies in the header: the `csum_offset` of a partial checksum.
pub const CHECKSUM_OFFSET: u16 = field::CHECKSUM.start as u16;

/// The control bits, CWR highest.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// Last segment of the sender.
    pub const FIN: Self = Self(0x01);
    /// Opens a connection.
    pub const SYN: Self = Self(0x02);
    /// Tears a connection down.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// All bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// A bit of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of both.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::fmt::Debug for Flags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use core::fmt::Write;
        let letters = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];
        let set = letters.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 != 0);
        f.write_char('[')?;
        set.map(|(_, letter)| *letter).try_for_each(|letter| f.write_char(letter))?;
        f.write_char(']')
    }
}

/// A view of a TCP segment. The buffer ends where the segment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

fields! {
    Packet:
    /// Source port.
    src_port, set_src_port: u16 = field::SRC_PORT;
    /// Destination port.
    dst_port, set_dst_port: u16 = field::DST_PORT;
    /// Sequence number.
    seq, set_seq: u32 = field::SEQ;
    /// Acknowledgement number.
    ack, set_ack: u32 = field::ACK;
    /// Window, unscaled.
    window, set_window: u16 = field::WINDOW;
    /// Checksum.
    checksum, set_checksum: u16 = field::CHECKSUM;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks that the header and its options are there.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        check_len("TCP", HEADER_LEN, buffer.as_ref().len())?;
        let packet = Self(buffer);
        let header_len = packet.header_len();
        if header_len < HEADER_LEN {
            let value = header_len as u32;
            return Err(Error::Field { header: "TCP", field: "data offset", value });
        }
        check_len("TCP", header_len, packet.0.as_ref().len())?;
        Ok(packet)
    }

    /// Bytes of the header with options, 20..=60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0.as_ref()[field::DATA_OFFSET] >> 4) * 4
    }

    /// Control bits.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.0.as_ref()[field::FLAGS])
    }

    /// Urgent pointer.
    #[inline]
    pub fn urgent(&self) -> u16 {
        be16(self.0.as_ref(), field::URGENT)
    }

    /// The options in order.
    pub fn options(&self) -> Options<'_> {
        Options::new(self.0.as_ref().get(HEADER_LEN..self.header_len()).unwrap_or_default())
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.0.as_ref().get(self.header_len()..).unwrap_or_default()
    }

    /// Bytes of sequence space that the segment takes: payload, SYN and FIN.
    #[inline]
    pub fn sequence_len(&self) -> u32 {
        let flags = self.flags();
        let marks = flags.contains(Flags::SYN) as u32 + flags.contains(Flags::FIN) as u32;
        self.payload().len() as u32 + marks
    }

    /// The complete checksum is right. `pseudo` is the pseudo-header's sum.
    pub fn verify_checksum(&self, pseudo: u16) -> bool {
        checksum::transport(pseudo, self.0.as_ref()) == 0
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the control bits; the checksum is left to the caller.
    #[inline]
    pub fn set_flags(&mut self, flags: Flags) {
        self.0.as_mut()[field::FLAGS] = flags.0;
    }

    /// Computes the checksum anew.
    pub fn fill_checksum(&mut self, pseudo: u16) {
        self.set_checksum(0);
        self.set_checksum(checksum::transport(pseudo, self.0.as_ref()));
    }

    /// Updates the checksum after a change of an address.
    #[inline]
    pub fn update_for_address(&mut self, change: Delta, state: ChecksumState) {
        self.set_checksum(update_for_address(self.checksum(), change, state));
    }

    /// Updates the checksum after a change of a port, or of anything else in the segment.
    #[inline]
    pub fn update_for_port(&mut self, change: Delta, state: ChecksumState) {
        self.set_checksum(update_for_port(self.checksum(), change, state));
    }
}
