//! UDP (RFC 768, RFC 8200 section 8.1).

use crate::bytes::fields;
use crate::checksum::{
    self, ChecksumState, Delta, udp_nonzero, update_for_address, update_for_port,
};
use crate::error::{Error, check_len, check_space, len16};

#[cfg(test)]
mod tests;

mod field {
    use crate::bytes::Field;

    pub(super) const SRC_PORT: Field = 0..2;
    pub(super) const DST_PORT: Field = 2..4;
    pub(super) const LENGTH: Field = 4..6;
    pub(super) const CHECKSUM: Field = 6..8;
}

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// Where the checksum lies in the header: the `csum_offset` of a partial checksum.
pub const CHECKSUM_OFFSET: u16 = field::CHECKSUM.start as u16;

/// A view of a UDP datagram. The buffer may be longer than the datagram (RFC 9868).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<T>(T);

fields! {
    Packet:
    /// Source port.
    src_port, set_src_port: u16 = field::SRC_PORT;
    /// Destination port.
    dst_port, set_dst_port: u16 = field::DST_PORT;
    /// Bytes of header and payload.
    #[expect(clippy::len_without_is_empty, reason = "the length field; there is always a header")]
    len, set_len: u16 = field::LENGTH;
    /// Checksum; 0 where there is none.
    checksum, set_checksum: u16 = field::CHECKSUM;
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks the length field. A length of 0, which RFC 2675 gives to jumbograms, is refused.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Field`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_quoted(buffer)?;
        let len = usize::from(packet.len());
        if len < HEADER_LEN {
            return Err(Error::Field { header: "UDP", field: "length", value: len as u32 });
        }
        check_len("UDP", len, packet.0.as_ref().len())?;
        Ok(packet)
    }

    /// Like [`new_checked`](Self::new_checked), but checks only that the header is there: for the
    /// first fragment of a datagram, or its beginning in an ICMP error.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes.
    #[inline]
    pub fn new_quoted(buffer: T) -> Result<Self, Error> {
        check_len("UDP", HEADER_LEN, buffer.as_ref().len())?;
        Ok(Self(buffer))
    }

    /// The payload, up to the length field or the end of the buffer.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.datagram().get(HEADER_LEN..).unwrap_or_default()
    }

    /// The complete checksum is right, or there is none. `pseudo` is the pseudo-header's sum.
    pub fn verify_checksum(&self, pseudo: u16) -> bool {
        self.checksum() == 0 || checksum::transport(pseudo, self.datagram()) == 0
    }

    fn datagram(&self) -> &[u8] {
        let bytes = self.0.as_ref();
        &bytes[..usize::from(self.len()).min(bytes.len())]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes the checksum anew; never 0.
    pub fn fill_checksum(&mut self, pseudo: u16) {
        self.set_checksum(0);
        self.set_checksum(udp_nonzero(checksum::transport(pseudo, self.datagram())));
    }

    /// Updates the checksum after a change of an address. `state` is what the offload header says;
    /// a complete field of 0 stays (no checksum), and none becomes 0.
    #[inline]
    pub fn update_for_address(&mut self, change: Delta, state: ChecksumState) {
        let field = self.checksum();
        let state = state.of_udp(field);
        if state != ChecksumState::None {
            self.set_checksum(udp_nonzero(update_for_address(field, change, state)));
        }
    }

    /// Updates the checksum after a change of a port. As for an address, but that a partial one
    /// stays as it is.
    #[inline]
    pub fn update_for_port(&mut self, change: Delta, state: ChecksumState) {
        let field = self.checksum();
        let state = state.of_udp(field);
        if state != ChecksumState::None {
            self.set_checksum(udp_nonzero(update_for_port(field, change, state)));
        }
    }

    /// The payload, for writing.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let len = usize::from(self.len());
        let bytes = self.0.as_mut();
        let end = len.min(bytes.len());
        bytes.get_mut(HEADER_LEN..end).unwrap_or_default()
    }
}

/// A UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

impl Repr {
    /// Reads a header.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Self {
        Self { src_port: packet.src_port(), dst_port: packet.dst_port() }
    }

    /// Writes header and payload to the start of `buffer`, with a checksum over the pseudo-header
    /// that `pseudo` gives for the length. Returns the length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] or, for a payload that the length field cannot tell, [`Error::Field`].
    pub fn emit(
        &self,
        payload: &[u8],
        pseudo: impl FnOnce(u16) -> u16,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let total = HEADER_LEN + payload.len();
        check_space("UDP", total, buffer.len())?;
        let len = len16("UDP", "length", total)?;
        buffer[HEADER_LEN..total].copy_from_slice(payload);
        let mut packet = Packet(buffer);
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_len(len);
        packet.fill_checksum(pseudo(len));
        Ok(total)
    }
}
