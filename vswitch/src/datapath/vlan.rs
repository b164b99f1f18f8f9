//! VLANs of a port, compiled: where a frame that comes in belongs, and whether one that leaves has a
//! tag (IEEE 802.1Q, clause 6.9).
//!
//! The rules, in the order in which a frame meets them:
//!
//! - No tag, or one that only marks a priority (VLAN id 0): the port's VLAN, or the trunk's native one.
//! - A tag: for trunks that carry its VLAN only. An access port drops it.
//! - A tag behind a priority tag is dropped: whoever takes the outer one off would find the frame on
//!   another VLAN than it was admitted to.
//! - Out of an access port, and out of a trunk on its native VLAN, frames leave without their tag. A
//!   priority tag stays where it is, so that the priority is kept. A frame of two tags keeps both on a
//!   native VLAN, or its inner tag would become the outer one.
//!
//! The untagged domain, for which nobody named a VLAN, has id 0 here, as it has in the forwarding
//! database.

use std::sync::Arc;

use wire::meta::Meta;

use super::DropReason;

/// VLAN ids that a trunk carries, one bit each.
type Bits = [u64; 64];

/// Whether frames leave a port with their VLAN's tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Without.
    Untagged,
    /// With.
    Tagged,
}

impl Tagging {
    /// The opposite.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Untagged => Self::Tagged,
            Self::Tagged => Self::Untagged,
        }
    }
}

/// VLANs of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortVlans {
    /// Where frames without a VLAN's tag belong; nowhere, and they are dropped.
    untagged: Option<u16>,
    /// What a trunk carries with tags.
    tagged: Option<Arc<Bits>>,
}

impl PortVlans {
    /// An access port; 0 for the untagged domain.
    #[must_use]
    pub const fn access(vlan: u16) -> Self {
        Self { untagged: Some(vlan), tagged: None }
    }

    /// A trunk that carries these VLANs. `native`: where its frames without a tag belong.
    #[must_use]
    pub fn trunk(vlans: impl IntoIterator<Item = u16>, native: Option<u16>) -> Self {
        let mut bits = [0; 64];
        for vlan in vlans {
            bits[usize::from(vlan >> 6) & 63] |= 1 << (vlan & 63);
        }
        Self { untagged: native, tagged: Some(Arc::new(bits)) }
    }

    /// Whether it is a trunk.
    #[inline]
    #[must_use]
    pub const fn is_trunk(&self) -> bool {
        self.tagged.is_some()
    }

    /// The VLAN of frames without a tag.
    #[inline]
    #[must_use]
    pub const fn untagged(&self) -> Option<u16> {
        self.untagged
    }

    /// The VLAN of a frame that comes in.
    ///
    /// # Errors
    /// Why it may not come in.
    #[inline]
    pub fn admit(&self, meta: &Meta) -> Result<u16, DropReason> {
        let Some(outer) = meta.outer else {
            return self.untagged.ok_or(DropReason::VlanNotAllowed);
        };
        match (outer.vid(), &self.tagged) {
            (0, _) if meta.inner.is_some() => Err(DropReason::VlanTagged),
            (0, _) => self.untagged.ok_or(DropReason::VlanNotAllowed),
            (_, None) => Err(DropReason::VlanTagged),
            (vlan, Some(bits)) if has(bits, vlan) => Ok(vlan),
            (_, Some(_)) => Err(DropReason::VlanNotAllowed),
        }
    }

    /// How frames of a VLAN leave, `double` those with two tags; `None` where it is not on the VLAN.
    #[inline]
    #[must_use]
    pub fn egress(&self, vlan: u16, double: bool) -> Option<Tagging> {
        let is_tagged = self.tagged.as_ref().is_some_and(|bits| has(bits, vlan));
        match self.untagged == Some(vlan) {
            true if double && is_tagged => Some(Tagging::Tagged),
            true => Some(Tagging::Untagged),
            false => is_tagged.then_some(Tagging::Tagged),
        }
    }
}

#[inline]
fn has(bits: &Bits, vlan: u16) -> bool {
    bits[usize::from(vlan >> 6) & 63] & 1 << (vlan & 63) != 0
}
