//! IPv6 extension headers (RFC 8200 section 4, RFC 4302 for AH).
//!
//! [`upper_layer`] walks the chain to the transport header. It stops at a transport, ESP, no next header, a
//! later fragment, and after [`IPV6_EXTENSIONS_MAX`] headers.

use crate::bytes::{be16, be32};
use crate::error::{Error, check_len};
use crate::limits::IPV6_EXTENSIONS_MAX;
use crate::protocol::Protocol;

#[cfg(test)]
mod tests;

/// Bytes of the fragment header.
pub const FRAGMENT_LEN: usize = 8;

/// Bytes of the shortest extension header.
const EXTENSION_LEN_MIN: usize = 8;

/// Bytes of an authentication header without its check value (RFC 4302 section 2).
const AUTH_LEN_MIN: usize = 12;

mod field {
    use crate::bytes::Field;

    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const LENGTH: usize = 1;
    pub(super) const FRAGMENT_OFFSET: Field = 2..4;
    pub(super) const IDENT: Field = 4..8;
}

/// The fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset of the fragment in bytes, a multiple of 8.
    pub offset: u16,
    /// More fragments follow.
    pub more: bool,
    /// Identification.
    pub ident: u32,
}

impl Fragment {
    /// An atomic fragment: a whole packet with a fragment header (RFC 6946).
    #[inline]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }

    /// A later fragment, without a transport header.
    #[inline]
    pub const fn is_tail(&self) -> bool {
        self.offset != 0
    }

    fn read(header: &[u8]) -> Self {
        let word = be16(header, field::FRAGMENT_OFFSET);
        Self { offset: word & !7, more: word & 1 != 0, ident: be32(header, field::IDENT) }
    }
}

/// One extension header of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its own protocol number.
    pub protocol: Protocol,
    /// The next header.
    pub next_header: Protocol,
    /// The whole header.
    pub bytes: &'a [u8],
}

impl Extension<'_> {
    /// The fragment header's content.
    pub fn fragment(&self) -> Option<Fragment> {
        (self.protocol == Protocol::FRAGMENT).then(|| Fragment::read(self.bytes))
    }
}

/// The number of a known extension header.
#[inline]
pub const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTH
            | Protocol::DEST_OPTIONS
    )
}

/// Iterates over extension headers. Ends at the upper layer, an error, or a later fragment.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    next: Protocol,
    rest: &'a [u8],
    seen: usize,
    done: bool,
}

impl<'a> Extensions<'a> {
    /// Walks `payload`, whose first header is `next_header`.
    #[inline]
    pub const fn new(next_header: Protocol, payload: &'a [u8]) -> Self {
        Self { next: next_header, rest: payload, seen: 0, done: false }
    }

    fn step(&mut self) -> Result<Extension<'a>, Error> {
        let protocol = self.next;
        if self.seen == IPV6_EXTENSIONS_MAX {
            return Err(bad("number of extension headers", self.seen as u32 + 1));
        }
        if protocol == Protocol::HOP_BY_HOP && self.seen != 0 {
            return Err(bad("position of hop-by-hop options", self.seen as u32));
        }
        check_len("IPv6 extension", EXTENSION_LEN_MIN, self.rest.len())?;
        let units = usize::from(self.rest[field::LENGTH]);
        let len = match protocol {
            Protocol::FRAGMENT => FRAGMENT_LEN,
            Protocol::AUTH => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        if protocol == Protocol::AUTH && len < AUTH_LEN_MIN {
            return Err(bad("length", units as u32));
        }
        check_len("IPv6 extension", len, self.rest.len())?;
        let (bytes, rest) = self.rest.split_at(len);
        (self.next, self.rest) = (Protocol(bytes[field::NEXT_HEADER]), rest);
        self.seen += 1;
        Ok(Extension { protocol, next_header: self.next, bytes })
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || !is_extension(self.next) {
            return None;
        }
        let item = self.step();
        let tail = |ext: &Extension<'_>| ext.fragment().is_some_and(|f| f.is_tail());
        self.done = item.as_ref().map_or(true, tail);
        Some(item)
    }
}

/// The end of the extension header chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer {
    /// The protocol behind the chain.
    pub protocol: Protocol,
    /// Bytes of extension headers before it.
    pub offset: usize,
    /// The fragment header of the chain. In a later fragment `protocol` is the first header of the
    /// fragmentable part, not of `offset`.
    pub fragment: Option<Fragment>,
}

/// Walks from the first next-header value of an IPv6 packet to its transport; `payload` follows the fixed
/// header and is as long as the packet says.
///
/// # Errors
/// [`Error::Truncated`] where the chain leaves the packet, [`Error::Field`] where it is too long or
/// breaks RFC 8200.
pub fn upper_layer(next_header: Protocol, payload: &[u8]) -> Result<UpperLayer, Error> {
    let mut chain = Extensions::new(next_header, payload);
    let mut fragment = None;
    for extension in chain.by_ref() {
        let Some(found) = extension?.fragment() else { continue };
        if fragment.replace(found).is_some() {
            // A fragment of a fragment is ambiguous.
            return Err(bad("number of fragment headers", 2));
        }
    }
    Ok(UpperLayer { protocol: chain.next, offset: payload.len() - chain.rest.len(), fragment })
}

fn bad(field: &'static str, value: u32) -> Error {
    Error::Field { header: "IPv6 extension", field, value }
}
