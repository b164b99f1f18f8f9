//! Chains at the ingress of several devices.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::{MsgType, NlMsg, Table};

use crate::limits::CHAIN_DEVICES_MAX;

/// A chain of the `netdev` family at the ingress of devices: type filter, policy accept. Linux 5.5.
pub struct IngressChain<'a> {
    table: &'a Table,
    name: &'a CStr,
    priority: i32,
    devices: Vec<&'a CStr>,
}

impl<'a> IngressChain<'a> {
    /// A chain at these devices.
    ///
    /// # Panics
    /// With more than [`CHAIN_DEVICES_MAX`] devices.
    #[must_use]
    pub fn new(table: &'a Table, name: &'a CStr, priority: i32, devices: Vec<&'a CStr>) -> Self {
        assert!(devices.len() <= CHAIN_DEVICES_MAX, "{} devices", devices.len());
        Self { table, name, priority, devices }
    }
}

// SAFETY: the message holds two names and at most `CHAIN_DEVICES_MAX` names of devices of 16 bytes: it is shorter than
// the longest message, which has a page.
unsafe impl NlMsg for IngressChain<'_> {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, msg_type: MsgType) {
        /// `NF_NETDEV_INGRESS`.
        const INGRESS: u32 = 0;
        let kind = match msg_type {
            MsgType::Add => libc::NFT_MSG_NEWCHAIN,
            MsgType::Del => libc::NFT_MSG_DELCHAIN,
        };
        let family = self.table.get_family() as u16;
        // Ends with a null pointer.
        let mut devices: Vec<*const c_char> = self.devices.iter().map(|it| it.as_ptr()).collect();
        devices.push(std::ptr::null());
        // SAFETY: the caller gives room for the longest message (the trait's contract). The chain is made, used and
        // freed here. libnftnl copies the texts, all of which are terminated, and the list of devices up to its null
        // pointer.
        unsafe {
            let chain = NonNull::new(sys::nftnl_chain_alloc()).expect("memory").as_ptr();
            let set = |attribute: u32, text: &CStr| {
                sys::nftnl_chain_set_str(chain, attribute as u16, text.as_ptr());
            };
            set(sys::NFTNL_CHAIN_TABLE, self.table.get_name());
            set(sys::NFTNL_CHAIN_NAME, self.name);
            set(sys::NFTNL_CHAIN_TYPE, c"filter");
            sys::nftnl_chain_set_u32(chain, sys::NFTNL_CHAIN_FAMILY as u16, family.into());
            sys::nftnl_chain_set_u32(chain, sys::NFTNL_CHAIN_HOOKNUM as u16, INGRESS);
            sys::nftnl_chain_set_s32(chain, sys::NFTNL_CHAIN_PRIO as u16, self.priority);
            sys::nftnl_chain_set_u32(chain, sys::NFTNL_CHAIN_POLICY as u16, libc::NF_ACCEPT as u32);
            sys::nftnl_chain_set_array(
                chain,
                sys::NFTNL_CHAIN_DEVICES as u16,
                devices.as_mut_ptr(),
            );
            let flags = (libc::NLM_F_ACK | libc::NLM_F_CREATE) as u16;
            let buf = buf.cast::<c_char>();
            let header = sys::nftnl_nlmsg_build_hdr(buf, kind as u16, family, flags, seq);
            sys::nftnl_chain_nlmsg_build_payload(header, chain);
            sys::nftnl_chain_free(chain);
        }
    }
}
