//! The options of neighbour discovery (RFC 4861 section 4.6).

use core::net::Ipv6Addr;

use crate::bytes::{array, be32, flag, put32};
use crate::error::{Error, check_len, check_space};
use crate::mac::MacAddr;

const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const PREFIX: u8 = 3;
const MTU: u8 = 5;

/// Lengths of options are in units of this many bytes.
const UNIT: usize = 8;
/// Bytes of kind and length.
const HEADER_LEN: usize = 2;

mod field {
    use crate::bytes::Field;

    pub(super) const LINK_LAYER: Field = 2..8;
    pub(super) const PREFIX_LEN: usize = 2;
    pub(super) const PREFIX_FLAGS: usize = 3;
    pub(super) const VALID: Field = 4..8;
    pub(super) const PREFERRED: Field = 8..12;
    pub(super) const PREFIX: Field = 16..32;
    pub(super) const MTU: Field = 4..8;
}

const FLAG_ON_LINK: u8 = 0x80;
const FLAG_AUTONOMOUS: u8 = 0x40;

/// A prefix that a router announces. All-ones lifetimes are infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Prefix length in bits. As it came: above 128 it is to be ignored.
    pub len: u8,
    /// Its addresses are reached without a router.
    pub on_link: bool,
    /// Hosts may make addresses of it.
    pub autonomous: bool,
    /// Valid lifetime, in seconds.
    pub valid_s: u32,
    /// Preferred lifetime, in seconds.
    pub preferred_s: u32,
    /// The prefix.
    pub prefix: Ipv6Addr,
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdpOption<'a> {
    /// The sender's MAC address.
    SourceLinkLayer(MacAddr),
    /// The target's MAC address.
    TargetLinkLayer(MacAddr),
    /// A prefix.
    Prefix(Prefix),
    /// The link's MTU, in bytes.
    Mtu(u32),
    /// Another option.
    Other {
        /// Option type.
        kind: u8,
        /// The data after the length byte: two bytes less than a multiple of 8.
        data: &'a [u8],
    },
}

impl NdpOption<'_> {
    /// Bytes of the option.
    pub const fn buffer_len(&self) -> usize {
        match self {
            Self::SourceLinkLayer(_) | Self::TargetLinkLayer(_) | Self::Mtu(_) => UNIT,
            Self::Prefix(_) => 4 * UNIT,
            Self::Other { data, .. } => HEADER_LEN + data.len(),
        }
    }

    /// Writes the option to the start of `buffer` and returns its length.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`Error::Field`] where the length is no multiple of 8 up to 2040.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let len = self.buffer_len();
        check_space("NDP option", len, buffer.len())?;
        let units = u8::try_from(len / UNIT).ok().filter(|_| len.is_multiple_of(UNIT));
        let option = &mut buffer[..len];
        option.fill(0);
        option[1] = units.ok_or_else(|| bad_len(len))?;
        option[0] = match *self {
            Self::SourceLinkLayer(mac) => link_layer(option, SOURCE_LINK_LAYER, mac),
            Self::TargetLinkLayer(mac) => link_layer(option, TARGET_LINK_LAYER, mac),
            Self::Prefix(prefix) => prefix.emit(option),
            Self::Mtu(mtu) => {
                put32(option, field::MTU, mtu);
                MTU
            }
            Self::Other { kind, data } => {
                option[HEADER_LEN..].copy_from_slice(data);
                kind
            }
        };
        Ok(len)
    }
}

fn link_layer(option: &mut [u8], kind: u8, mac: MacAddr) -> u8 {
    option[field::LINK_LAYER].copy_from_slice(&mac.0);
    kind
}

impl Prefix {
    fn emit(&self, option: &mut [u8]) -> u8 {
        option[field::PREFIX_LEN] = self.len;
        option[field::PREFIX_FLAGS] =
            flag(self.on_link, FLAG_ON_LINK) | flag(self.autonomous, FLAG_AUTONOMOUS);
        put32(option, field::VALID, self.valid_s);
        put32(option, field::PREFERRED, self.preferred_s);
        option[field::PREFIX].copy_from_slice(&self.prefix.octets());
        PREFIX
    }

    fn read(option: &[u8]) -> Self {
        let flags = option[field::PREFIX_FLAGS];
        Self {
            len: option[field::PREFIX_LEN],
            on_link: flags & FLAG_ON_LINK != 0,
            autonomous: flags & FLAG_AUTONOMOUS != 0,
            valid_s: be32(option, field::VALID),
            preferred_s: be32(option, field::PREFERRED),
            prefix: Ipv6Addr::from(array::<16>(option, field::PREFIX)),
        }
    }
}

/// The options in order; an error ends them, and means that the whole message is to be discarded.
#[derive(Clone, Debug)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Reads the bytes behind the fixed part of a message.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<NdpOption<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        Some(whole(bytes).map(|option| {
            self.0 = &bytes[option.len()..];
            read(option)
        }))
    }
}

/// The option that `bytes` begins with: at least 8 bytes.
fn whole(bytes: &[u8]) -> Result<&[u8], Error> {
    check_len("NDP option", HEADER_LEN, bytes.len())?;
    let len = usize::from(bytes[1]) * UNIT;
    if len == 0 {
        return Err(bad_len(0));
    }
    check_len("NDP option", len, bytes.len())?;
    Ok(&bytes[..len])
}

/// An option of a known kind but an unknown length is `Other`.
fn read(option: &[u8]) -> NdpOption<'_> {
    let mac = || MacAddr(array(option, field::LINK_LAYER));
    match (option[0], option.len()) {
        (SOURCE_LINK_LAYER, 8) => NdpOption::SourceLinkLayer(mac()),
        (TARGET_LINK_LAYER, 8) => NdpOption::TargetLinkLayer(mac()),
        (PREFIX, 32) => NdpOption::Prefix(Prefix::read(option)),
        (MTU, 8) => NdpOption::Mtu(be32(option, field::MTU)),
        (kind, _) => NdpOption::Other { kind, data: &option[HEADER_LEN..] },
    }
}

fn bad_len(len: usize) -> Error {
    Error::Field { header: "NDP option", field: "length", value: len as u32 }
}
