use super::{Error, HEADER_LEN, Packet, Type, bad};
use crate::error::check_space;

/// The messages that a switch sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr<'a> {
    /// Ping.
    EchoRequest {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Data.
        data: &'a [u8],
    },
    /// Answer to a ping.
    EchoReply {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// Data.
        data: &'a [u8],
    },
    /// Destination unreachable.
    DstUnreachable {
        /// Why: see [`unreachable`](mod@super::unreachable).
        code: u8,
        /// Next-hop MTU, for [`FRAG_NEEDED`](super::unreachable::FRAG_NEEDED); else 0.
        mtu: u16,
        /// The packet complained about, as far as [`quote`](super::quote) gives it.
        quoted: &'a [u8],
    },
    /// Time exceeded: 0 in transit, 1 in reassembly.
    TimeExceeded {
        /// Code.
        code: u8,
        /// The packet complained about, as far as [`quote`](super::quote) gives it.
        quoted: &'a [u8],
    },
}

impl<'a> Repr<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error::Field`] for another type or a wrong checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let packet = Packet::new_checked(bytes)?;
        if !packet.verify_checksum() {
            return Err(bad("checksum", packet.checksum()));
        }
        let (ident, seq, code, data) =
            (packet.ident(), packet.seq(), packet.code(), &bytes[HEADER_LEN..]);
        match packet.icmp_type() {
            Type::ECHO_REQUEST => Ok(Self::EchoRequest { ident, seq, data }),
            Type::ECHO_REPLY => Ok(Self::EchoReply { ident, seq, data }),
            Type::DST_UNREACHABLE => {
                Ok(Self::DstUnreachable { code, mtu: packet.mtu(), quoted: data })
            }
            Type::TIME_EXCEEDED => Ok(Self::TimeExceeded { code, quoted: data }),
            Type(other) => Err(bad("type", other.into())),
        }
    }

    /// Type, code, and the two words behind the checksum.
    const fn header(&self) -> (Type, u8, u16, u16) {
        match *self {
            Self::EchoRequest { ident, seq, .. } => (Type::ECHO_REQUEST, 0, ident, seq),
            Self::EchoReply { ident, seq, .. } => (Type::ECHO_REPLY, 0, ident, seq),
            Self::DstUnreachable { code, mtu, .. } => (Type::DST_UNREACHABLE, code, 0, mtu),
            Self::TimeExceeded { code, .. } => (Type::TIME_EXCEEDED, code, 0, 0),
        }
    }

    /// The payload.
    pub const fn data(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::DstUnreachable { quoted, .. } | Self::TimeExceeded { quoted, .. } => quoted,
        }
    }

    /// Bytes of the message.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.data().len()
    }

    /// Writes the message to the start of `buffer` and returns its length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let len = self.buffer_len();
        check_space("ICMP", len, buffer.len())?;
        let (icmp_type, code, word_1, word_2) = self.header();
        let message = &mut buffer[..len];
        message[HEADER_LEN..].copy_from_slice(self.data());
        let mut packet = Packet(message);
        packet.set_type(icmp_type, code);
        packet.set_ident(word_1);
        packet.set_seq(word_2);
        packet.fill_checksum();
        Ok(len)
    }
}
