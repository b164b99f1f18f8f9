//! The options of an IPv4 header (RFC 791 section 3.1).

use crate::error::Error;
use crate::tlv::Tlvs;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Option type: copied flag, class and number. 7 records the route, 131 and 137 are loose and
    /// strict source routes, 148 is the router alert.
    pub kind: u8,
    /// The data after the length byte.
    pub data: &'a [u8],
}

impl Ipv4Option<'_> {
    /// Loose source route.
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// Strict source route.
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
    /// Router alert (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;

    /// A fragmenting router copies the option into each fragment.
    pub const fn is_copied(&self) -> bool {
        self.kind & 0x80 != 0
    }
}

/// The options in order; no-operation is skipped, end of list and an error end it.
#[derive(Clone, Debug)]
pub struct Options<'a>(Tlvs<'a>);

impl<'a> Options<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(Tlvs::new("IPv4 option", bytes))
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Ipv4Option<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let read =
            |(_, option): (usize, &'a [u8])| Ipv4Option { kind: option[0], data: &option[2..] };
        Some(self.0.next()?.map(read))
    }
}
