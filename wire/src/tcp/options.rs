//! The options of a TCP header (RFC 9293 section 3.2, RFC 7323, RFC 2018).

use crate::bytes::{be16, be32};
use crate::error::Error;
use crate::tlv::Tlvs;

pub(super) const MSS: u8 = 2;
pub(super) const MSS_LEN: u8 = 4;
pub(super) const WINDOW_SCALE: u8 = 3;
pub(super) const WINDOW_SCALE_LEN: u8 = 3;
pub(super) const SACK_PERMITTED: u8 = 4;
pub(super) const SACK_PERMITTED_LEN: u8 = 2;
pub(super) const TIMESTAMPS: u8 = 8;
pub(super) const TIMESTAMPS_LEN: u8 = 10;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOption<'a> {
    /// Maximum segment size, in bytes.
    Mss(u16),
    /// Window scale, as a shift count; above 14 it means 14 (RFC 7323 section 2.3).
    WindowScale(u8),
    /// Selective acknowledgement is permitted.
    SackPermitted,
    /// Timestamps (RFC 7323 section 3).
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
    },
    /// Another option.
    Other {
        /// Option kind.
        kind: u8,
        /// The data after the length byte.
        data: &'a [u8],
    },
}

/// The options in order; no-operation is skipped, end of list and an error end it.
#[derive(Clone, Debug)]
pub struct Options<'a>(Tlvs<'a>);

impl<'a> Options<'a> {
    /// Reads the bytes between the fixed header and the payload.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Tlvs::new("TCP option", bytes))
    }

    /// The next option with its place, in bytes from the first option.
    pub(super) fn next_placed(&mut self) -> Option<Result<(usize, TcpOption<'a>), Error>> {
        Some(self.0.next()?.map(|(at, option)| (at, read(option))))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<TcpOption<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_placed()?.map(|(_, option)| option))
    }
}

/// An option of a known kind but an unknown length is `Other`.
fn read(option: &[u8]) -> TcpOption<'_> {
    match (option[0], option[1]) {
        (MSS, MSS_LEN) => TcpOption::Mss(be16(option, 2..4)),
        (WINDOW_SCALE, WINDOW_SCALE_LEN) => TcpOption::WindowScale(option[2]),
        (SACK_PERMITTED, SACK_PERMITTED_LEN) => TcpOption::SackPermitted,
        (TIMESTAMPS, TIMESTAMPS_LEN) => {
            TcpOption::Timestamps { value: be32(option, 2..6), echo: be32(option, 6..10) }
        }
        (kind, _) => TcpOption::Other { kind, data: &option[2..] },
    }
}
