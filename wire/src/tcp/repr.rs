use super::options::{
    MSS, MSS_LEN, SACK_PERMITTED, SACK_PERMITTED_LEN, TIMESTAMPS, TIMESTAMPS_LEN, WINDOW_SCALE,
    WINDOW_SCALE_LEN,
};
use super::{Flags, HEADER_LEN, Packet, TcpOption, field};
use crate::bytes::{put16, put32};
use crate::error::{Error, check_space};

/// A TCP header with the options that a connection opens with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, unscaled.
    pub window: u16,
    /// Maximum segment size, in bytes.
    pub mss: Option<u16>,
    /// Window scale, as a shift count.
    pub window_scale: Option<u8>,
    /// Selective acknowledgement is permitted.
    pub sack_permitted: bool,
    /// Timestamps: value and echo.
    pub timestamps: Option<(u32, u32)>,
}

impl Repr {
    /// Reads a header; other options are left out, and so is the urgent pointer.
    ///
    /// # Errors
    /// An option that is cut off or has no length.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        let mut repr = Self {
            src_port: packet.src_port(),
            dst_port: packet.dst_port(),
            seq: packet.seq(),
            ack: packet.ack(),
            flags: packet.flags(),
            window: packet.window(),
            ..Self::default()
        };
        for option in packet.options() {
            match option? {
                TcpOption::Mss(mss) => repr.mss = Some(mss),
                TcpOption::WindowScale(shift) => repr.window_scale = Some(shift),
                TcpOption::SackPermitted => repr.sack_permitted = true,
                TcpOption::Timestamps { value, echo } => repr.timestamps = Some((value, echo)),
                TcpOption::Other { .. } => {}
            }
        }
        Ok(repr)
    }

    /// Bytes of the header with options.
    pub fn header_len(&self) -> usize {
        let lens = [
            (self.mss.is_some(), MSS_LEN),
            (self.window_scale.is_some(), WINDOW_SCALE_LEN),
            (self.sack_permitted, SACK_PERMITTED_LEN),
            (self.timestamps.is_some(), TIMESTAMPS_LEN),
        ];
        let options: usize =
            lens.iter().filter(|(on, _)| *on).map(|(_, len)| usize::from(*len)).sum();
        HEADER_LEN + options.next_multiple_of(4)
    }

    /// Writes header and payload to the start of `buffer`, with a checksum over the pseudo-header
    /// that `pseudo` gives for the segment's length. Returns that length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn emit(
        &self,
        payload: &[u8],
        pseudo: impl FnOnce(usize) -> u16,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let header_len = self.header_len();
        let total = header_len + payload.len();
        check_space("TCP", total, buffer.len())?;
        let segment = &mut buffer[..total];
        segment[header_len..].copy_from_slice(payload);
        segment[field::DATA_OFFSET] = (header_len as u8 / 4) << 4;
        put16(segment, field::URGENT, 0);
        self.emit_options(&mut segment[HEADER_LEN..header_len]);
        let mut packet = Packet(segment);
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_seq(self.seq);
        packet.set_ack(self.ack);
        packet.set_flags(self.flags);
        packet.set_window(self.window);
        packet.fill_checksum(pseudo(total));
        Ok(total)
    }

    /// `options` is as long as `header_len` says, and is padded with end-of-list.
    fn emit_options(&self, options: &mut [u8]) {
        options.fill(0);
        let mut rest = options;
        let mut put = |kind: u8, len: u8, write: &dyn Fn(&mut [u8])| {
            let (option, after) = core::mem::take(&mut rest).split_at_mut(usize::from(len));
            (option[0], option[1]) = (kind, len);
            write(&mut option[2..]);
            rest = after;
        };
        if let Some(mss) = self.mss {
            put(MSS, MSS_LEN, &|data| put16(data, 0..2, mss));
        }
        if let Some(shift) = self.window_scale {
            put(WINDOW_SCALE, WINDOW_SCALE_LEN, &|data| data[0] = shift);
        }
        if self.sack_permitted {
            put(SACK_PERMITTED, SACK_PERMITTED_LEN, &|_| {});
        }
        if let Some((value, echo)) = self.timestamps {
            put(TIMESTAMPS, TIMESTAMPS_LEN, &|data| {
                put32(data, 0..4, value);
                put32(data, 4..8, echo);
            });
        }
    }
}
