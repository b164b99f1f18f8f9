//! Tables with flags.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::{MsgType, NlMsg, Table};

/// Flags of a table (`NFT_TABLE_F_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flags {
    /// None.
    None,
    /// Only the socket that created the table may change it; the table ends with it. Linux 5.12.
    Owner,
    /// As above, but the table survives the socket, for the next owner. Linux 6.9.
    OwnerPersist,
}

impl Flags {
    fn bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Owner => 0x2,
            Self::OwnerPersist => 0x2 | 0x4,
        }
    }
}

/// A table to add, with flags.
pub struct Flagged<'a> {
    /// Its name and family.
    pub table: &'a Table,
    /// Its flags.
    pub flags: Flags,
}

// SAFETY: the message holds a table's name and a number: it is shorter than the longest message.
unsafe impl NlMsg for Flagged<'_> {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, msg_type: MsgType) {
        let family = self.table.get_family();
        let kind = match msg_type {
            MsgType::Add => libc::NFT_MSG_NEWTABLE,
            MsgType::Del => libc::NFT_MSG_DELTABLE,
        };
        // SAFETY: the caller gives room for the longest message (the trait's contract). The table is made,
        // used and freed here; libnftnl copies the name.
        unsafe {
            let table = NonNull::new(sys::nftnl_table_alloc()).expect("memory").as_ptr();
            let name = self.table.get_name().as_ptr();
            sys::nftnl_table_set_u32(table, sys::NFTNL_TABLE_FAMILY as u16, family as u32);
            sys::nftnl_table_set_str(table, sys::NFTNL_TABLE_NAME as u16, name);
            if matches!(msg_type, MsgType::Add) {
                let bits = self.flags.bits();
                sys::nftnl_table_set_u32(table, sys::NFTNL_TABLE_FLAGS as u16, bits);
            }
            let flags = (libc::NLM_F_ACK | libc::NLM_F_CREATE) as u16;
            let buf = buf.cast::<c_char>();
            let header = sys::nftnl_nlmsg_build_hdr(buf, kind as u16, family as u16, flags, seq);
            sys::nftnl_table_nlmsg_build_payload(header, table);
            sys::nftnl_table_free(table);
        }
    }
}
