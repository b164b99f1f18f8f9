//! VLAN tags: IEEE 802.1Q (customer) and 802.1ad (service), one or two in a frame.
//!
//! A tag is four bytes between the addresses and the EtherType. Inserting one therefore moves the
//! twelve bytes of addresses to the front, into headroom; removing one moves them back. The payload
//! never moves. Offsets that count from the start of the frame change by [`TAG_LEN`]: see
//! [`crate::vnet::Header::shifted`] and [`crate::meta::Meta::pushed`].

use core::fmt;

use crate::bytes::{be16, put16};
use crate::error::{Error, check_len, check_space};
use crate::ethernet::{EtherType, HEADER_LEN};

#[cfg(test)]
mod tests;

/// Bytes of a tag: TPID and TCI.
pub const TAG_LEN: usize = 4;

/// Bytes of the two addresses in front of the tag.
const ADDRESSES_LEN: usize = 12;

mod field {
    use crate::bytes::Field;

    pub(super) const TPID: Field = 12..14;
    pub(super) const TCI: Field = 14..16;
    pub(super) const INNER_TPID: Field = 16..18;
    pub(super) const INNER_TCI: Field = 18..20;
}

/// Tag control information: priority (PCP, 3 bits), drop eligible (DEI), VLAN id (VID, 12 bits).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tci(pub u16);

impl Tci {
    /// Builds a TCI.
    ///
    /// # Errors
    /// [`Error::Field`] for a priority above 7 or a VLAN id above 4095.
    pub const fn new(pcp: u8, dei: bool, vid: u16) -> Result<Self, Error> {
        if pcp > 7 {
            return Err(Error::Field { header: "VLAN tag", field: "PCP", value: pcp as u32 });
        }
        if vid > 0x0fff {
            return Err(Error::Field { header: "VLAN tag", field: "VID", value: vid as u32 });
        }
        Ok(Self((pcp as u16) << 13 | (dei as u16) << 12 | vid))
    }

    /// Priority code point, 0..=7.
    #[inline]
    pub const fn pcp(self) -> u8 {
        (self.0 >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub const fn dei(self) -> bool {
        self.0 & 0x1000 != 0
    }

    /// VLAN id, 0..=4095. 0 carries a priority only; 4095 is reserved.
    #[inline]
    pub const fn vid(self) -> u16 {
        self.0 & 0x0fff
    }
}

impl fmt::Debug for Tci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dei = if self.dei() { " dei" } else { "" };
        write!(f, "vlan {} pcp {}{dei}", self.vid(), self.pcp())
    }
}

/// A whole tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// [`EtherType::VLAN`] or [`EtherType::QINQ`].
    pub tpid: EtherType,
    /// Priority and VLAN id.
    pub tci: Tci,
}

/// The outer tag, if complete.
#[inline]
pub fn outer(frame: &[u8]) -> Option<Tag> {
    tag_at(frame, field::TPID, field::TCI)
}

/// The second tag, if both are complete.
#[inline]
pub fn inner(frame: &[u8]) -> Option<Tag> {
    outer(frame)?;
    tag_at(frame, field::INNER_TPID, field::INNER_TCI)
}

#[inline]
fn tag_at(
    frame: &[u8],
    tpid: core::ops::Range<usize>,
    tci: core::ops::Range<usize>,
) -> Option<Tag> {
    if frame.len() < tci.end {
        return None;
    }
    let tpid = EtherType(be16(frame, tpid));
    tpid.is_vlan().then(|| Tag { tpid, tci: Tci(be16(frame, tci)) })
}

/// Inserts an outer tag before a frame at `buffer[start]`; returns the new start, 4 bytes lower.
///
/// # Errors
/// [`Error::BufferTooSmall`] where the headroom is below 4 bytes, [`Error::Truncated`] where the frame is
/// shorter than an Ethernet header, [`Error::Field`] where the TPID is not a VLAN's.
pub fn push(buffer: &mut [u8], start: usize, tag: Tag) -> Result<usize, Error> {
    if !tag.tpid.is_vlan() {
        return Err(not_a_tag(tag.tpid));
    }
    check_space("VLAN tag", TAG_LEN, start)?;
    check_len("Ethernet", HEADER_LEN, buffer.len().saturating_sub(start))?;
    let new_start = start - TAG_LEN;
    buffer.copy_within(start..start + ADDRESSES_LEN, new_start);
    let frame = &mut buffer[new_start..];
    put16(frame, field::TPID, tag.tpid.0);
    put16(frame, field::TCI, tag.tci.0);
    Ok(new_start)
}

/// Removes the outer tag of a frame at `buffer[start]`; returns the new start, 4 bytes higher, and the tag.
///
/// # Errors
/// [`Error::Truncated`] where the frame ends before the tag and the EtherType behind it do,
/// [`Error::Field`] where it has no tag.
pub fn pop(buffer: &mut [u8], start: usize) -> Result<(usize, Tag), Error> {
    let tag = checked_outer(buffer.get(start..).unwrap_or_default())?;
    let new_start = start + TAG_LEN;
    buffer.copy_within(start..start + ADDRESSES_LEN, new_start);
    Ok((new_start, tag))
}

/// Overwrites the outer tag's TCI (VLAN translation, priority marking).
///
/// # Errors
/// As for [`pop`].
pub fn set_tci(frame: &mut [u8], tci: Tci) -> Result<(), Error> {
    checked_outer(frame)?;
    put16(frame, field::TCI, tci.0);
    Ok(())
}

/// The outer tag; the caller has checked the EtherType after it.
fn checked_outer(frame: &[u8]) -> Result<Tag, Error> {
    check_len("VLAN tag", HEADER_LEN + TAG_LEN, frame.len())?;
    outer(frame).ok_or_else(|| not_a_tag(EtherType(be16(frame, field::TPID))))
}

fn not_a_tag(tpid: EtherType) -> Error {
    Error::Field { header: "VLAN tag", field: "TPID", value: u32::from(tpid.0) }
}
