use super::{Error, HEADER_LEN, Packet, Type, bad};
use crate::error::check_space;

/// The messages that a switch sends, but for neighbour discovery.
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
        /// The packet complained about, as far as [`quote`](super::quote) gives it.
        quoted: &'a [u8],
    },
    /// Packet too big.
    PacketTooBig {
        /// MTU of the next hop, in bytes of IPv6 packet.
        mtu: u32,
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
    /// Reads a message; `pseudo` is the pseudo-header's sum.
    ///
    /// # Errors
    /// [`Error::Field`] for another type or a wrong checksum.
    pub fn parse(bytes: &'a [u8], pseudo: u16) -> Result<Self, Error> {
        let packet = Packet::new_checked(bytes)?;
        if !packet.verify_checksum(pseudo) {
            return Err(bad("checksum", packet.checksum()));
        }
        let (ident, seq, code, data) =
            (packet.ident(), packet.seq(), packet.code(), &bytes[HEADER_LEN..]);
        match packet.icmp_type() {
            Type::ECHO_REQUEST => Ok(Self::EchoRequest { ident, seq, data }),
            Type::ECHO_REPLY => Ok(Self::EchoReply { ident, seq, data }),
            Type::DST_UNREACHABLE => Ok(Self::DstUnreachable { code, quoted: data }),
            Type::PACKET_TOO_BIG => Ok(Self::PacketTooBig { mtu: packet.mtu(), quoted: data }),
            Type::TIME_EXCEEDED => Ok(Self::TimeExceeded { code, quoted: data }),
            Type(other) => Err(bad("type", other.into())),
        }
    }

    /// Type, code, and the four bytes behind the checksum.
    const fn header(&self) -> (Type, u8, u32) {
        match *self {
            Self::EchoRequest { ident, seq, .. } => (Type::ECHO_REQUEST, 0, echo(ident, seq)),
            Self::EchoReply { ident, seq, .. } => (Type::ECHO_REPLY, 0, echo(ident, seq)),
            Self::DstUnreachable { code, .. } => (Type::DST_UNREACHABLE, code, 0),
            Self::PacketTooBig { mtu, .. } => (Type::PACKET_TOO_BIG, 0, mtu),
            Self::TimeExceeded { code, .. } => (Type::TIME_EXCEEDED, code, 0),
        }
    }

    /// The payload.
    pub const fn data(&self) -> &'a [u8] {
        match *self {
            Self::EchoRequest { data, .. } | Self::EchoReply { data, .. } => data,
            Self::DstUnreachable { quoted, .. }
            | Self::PacketTooBig { quoted, .. }
            | Self::TimeExceeded { quoted, .. } => quoted,
        }
    }

    /// Bytes of the message.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN + self.data().len()
    }

    /// Writes the message to the start of `buffer`, with a checksum over the pseudo-header that
    /// `pseudo` gives for its length. Returns that length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn emit(
        &self,
        pseudo: impl FnOnce(usize) -> u16,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let len = self.buffer_len();
        check_space("ICMPv6", len, buffer.len())?;
        let (icmp_type, code, word) = self.header();
        let message = &mut buffer[..len];
        message[HEADER_LEN..].copy_from_slice(self.data());
        let mut packet = Packet(message);
        packet.set_type(icmp_type, code);
        packet.set_mtu(word);
        packet.fill_checksum(pseudo(len));
        Ok(len)
    }
}

const fn echo(ident: u16, seq: u16) -> u32 {
    (ident as u32) << 16 | seq as u32
}
