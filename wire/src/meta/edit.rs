//! Metadata after VLAN edits, and slices of the frame.

use super::Meta;
use crate::vlan::{TAG_LEN, Tci};

impl Meta {
    /// The metadata after [`crate::vlan::push`]; `None` where there are two tags already, since a
    /// third counts as payload.
    #[inline]
    #[must_use]
    pub fn pushed(mut self, tci: Tci) -> Option<Self> {
        if self.inner.is_some() {
            return None;
        }
        (self.outer, self.inner) = (Some(tci), self.outer);
        self.l3_offset += TAG_LEN as u16;
        self.l4_offset += TAG_LEN as u16;
        Some(self)
    }

    /// The metadata after [`crate::vlan::pop`]; `None` where there is no tag, and where a third tag
    /// moves up: parse again.
    #[inline]
    #[must_use]
    pub fn popped(mut self) -> Option<Self> {
        if self.outer.is_none() || self.ethertype.is_vlan() {
            return None;
        }
        (self.outer, self.inner) = (self.inner, None);
        self.l3_offset -= TAG_LEN as u16;
        self.l4_offset -= TAG_LEN as u16;
        Some(self)
    }

    /// End of the layer-3 packet, in bytes from the Ethernet header.
    #[inline]
    pub fn l3_end(&self) -> usize {
        usize::from(self.l3_offset) + self.l3_len as usize
    }

    /// The layer-3 packet without padding. Empty where `frame` is not the frame that was parsed.
    #[inline]
    pub fn l3_bytes<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(usize::from(self.l3_offset)..self.l3_end()).unwrap_or_default()
    }

    /// The layer-3 packet without padding, to be edited.
    #[inline]
    pub fn l3_bytes_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        frame.get_mut(usize::from(self.l3_offset)..self.l3_end()).unwrap_or_default()
    }

    /// The transport header and its payload, up to the end of the IP packet.
    #[inline]
    pub fn l4_bytes<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(usize::from(self.l4_offset)..self.l3_end()).unwrap_or_default()
    }

    /// The transport header and its payload, to be edited.
    #[inline]
    pub fn l4_bytes_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        frame.get_mut(usize::from(self.l4_offset)..self.l3_end()).unwrap_or_default()
    }
}
