//! VLANs of a port: ingress classification and egress tagging (IEEE 802.1Q, clause 6.9).
//!
//! - Ingress without a tag, or with a priority tag (VLAN id 0): the port's VLAN, or the native one.
//! - Ingress with a tag: only trunks that carry its VLAN admit it.
//! - A tag behind a priority tag is dropped: without the outer tag it would name another VLAN.
//! - Egress from an access port, or on the native VLAN of a trunk: the tag is removed. A priority tag
//!   stays. A frame with two tags keeps both on a native VLAN, or its inner tag would become the outer.
//!
//! The untagged domain has id 0 here and in the FDB.

use std::sync::Arc;

use wire::meta::Meta;

use super::DropReason;

/// VLAN ids that a trunk carries, one bit each.
type Bits = [u64; 64];

/// Egress tagging of a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Without a tag.
    Untagged,
    /// With the VLAN's tag.
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
    /// VLAN of untagged frames; `None` drops them.
    untagged: Option<u16>,
    /// Tagged VLANs of a trunk.
    tagged: Option<Arc<Bits>>,
}

impl PortVlans {
    /// An access port; 0 for the untagged domain.
    #[must_use]
    pub const fn access(vlan: u16) -> Self {
        Self { untagged: Some(vlan), tagged: None }
    }

    /// A trunk that carries these VLANs; `native` is the VLAN of untagged frames.
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

    /// VLAN of a received frame.
    ///
    /// # Errors
    /// Drop reason.
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

    /// Egress tagging of a VLAN, `double` for frames with two tags; `None` if the port is not on it.
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
