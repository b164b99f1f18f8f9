//! Timeouts of connections (`ct timeout`): objects of a table that rules give to new connections.

use std::ffi::{CStr, c_void};
use std::time::Duration;

use nftnl::nftnl_sys::libc;
use nftnl::{MsgType, NlMsg, Table};

use crate::query::write_attribute as attribute;

/// `NFNL_SUBSYS_NFTABLES << 8`, `NFT_MSG_NEWOBJ` and `NFT_MSG_DELOBJ`.
const NFTABLES: u16 = 10 << 8;
const NEWOBJ: u16 = 18;
const DELOBJ: u16 = 20;
/// `NFT_OBJECT_CT_TIMEOUT`.
pub(crate) const OBJECT: u32 = 7;
/// Attributes `NFTA_OBJ_*`, `NFTA_CT_TIMEOUT_*` and `CTA_TIMEOUT_TCP_*`.
const TABLE: u16 = 1;
const NAME: u16 = 2;
const TYPE: u16 = 3;
const DATA: u16 = 4;
const L3PROTO: u16 = 1;
const L4PROTO: u16 = 2;
const TIMEOUTS: u16 = 3;
/// Half closed; and the bounds of all timeouts while segments are repeated, or data is not acknowledged.
const HALF_CLOSED: [u16; 3] = [5, 10, 11];
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// Number of TCP in an IP header.
const TCP: u8 = 6;
/// `nlmsghdr` and `nfgenmsg`.
const HEADERS: usize = 20;
/// The longest name of a table or an object (`NFT_NAME_MAXLEN`); two of them fit a message many times.
const NAME_MAX: usize = 256;

/// Timeouts of TCP that differ from the host's settings.
pub struct TcpTimeouts<'a> {
    table: &'a Table,
    name: &'a CStr,
    half_closed: Duration,
}

impl<'a> TcpTimeouts<'a> {
    /// `half_closed`: one side has sent a FIN, and the other has acknowledged it.
    ///
    /// # Panics
    /// With a name longer than the kernel takes.
    #[must_use]
    pub fn new(table: &'a Table, name: &'a CStr, half_closed: Duration) -> Self {
        let longest = name.count_bytes().max(table.get_name().count_bytes());
        assert!(longest < NAME_MAX, "a name of {longest} bytes");
        Self { table, name, half_closed }
    }

    /// The whole message.
    fn bytes(&self, seq: u32, msg_type: &MsgType) -> Vec<u8> {
        let family = self.table.get_family() as u16 as u8;
        let (kind, flags) = match msg_type {
            MsgType::Add => (NEWOBJ, libc::NLM_F_CREATE),
            MsgType::Del => (DELOBJ, 0),
        };
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let seconds = u32::try_from(self.half_closed.as_secs()).unwrap_or(u32::MAX);
        let timeouts = HALF_CLOSED.map(|state| attribute(state, &seconds.to_be_bytes())).concat();
        let data = [
            attribute(L3PROTO, &u16::from(family).to_be_bytes()),
            attribute(L4PROTO, &[TCP]),
            attribute(TIMEOUTS | NESTED, &timeouts),
        ];
        let attributes = [
            attribute(TABLE, self.table.get_name().to_bytes_with_nul()),
            attribute(NAME, self.name.to_bytes_with_nul()),
            attribute(TYPE, &OBJECT.to_be_bytes()),
            attribute(DATA | NESTED, &data.concat()),
        ]
        .concat();
        let mut message = Vec::with_capacity(HEADERS + attributes.len());
        message.extend(((HEADERS + attributes.len()) as u32).to_ne_bytes());
        message.extend((NFTABLES | kind).to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(seq.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend([family, 0, 0, 0]);
        message.extend(attributes);
        message
    }
}

// SAFETY: the message holds two names, whose lengths `new` checks, and some numbers: it is shorter than the longest
// message.
unsafe impl NlMsg for TcpTimeouts<'_> {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, msg_type: MsgType) {
        let message = self.bytes(seq, &msg_type);
        // SAFETY: the caller gives room for the longest message (the trait's contract), in a buffer of its own.
        unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), buf.cast::<u8>(), message.len()) };
    }
}
