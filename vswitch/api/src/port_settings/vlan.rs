//! VLANs of a port (IEEE 802.1Q): access, or trunk.
//!
//! An *access* port belongs to one VLAN; its frames have no tag. A *trunk* carries several VLANs with
//! tags; its untagged frames belong to the native VLAN, or are dropped if it has none. Ports without a VLAN
//! are on the network's *untagged* domain, which is apart from VLANs 1 to 4094.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Name of the untagged domain.
const UNTAGGED: &str = "untagged";

/// Why a VLAN setting is refused; each names the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VlanError {
    /// Not a VLAN id.
    #[error("{0} is not a VLAN id: those go from 1 to 4094")]
    Id(String),
    /// Neither a VLAN id nor the untagged domain.
    #[error("{0} is neither a VLAN id, 1 to 4094, nor `untagged`")]
    Domain(String),
    /// A range that ends before it begins.
    #[error("{0} is not a range of VLAN ids: it ends before it begins")]
    Range(String),
    /// A trunk without VLANs.
    #[error("a trunk carries at least one VLAN, such as 10,20-29")]
    Empty,
    /// A native VLAN that the trunk does not carry.
    #[error("native VLAN {native} is not among the VLANs of the trunk: {allowed}")]
    Native {
        /// The native VLAN.
        native: Vid,
        /// VLANs of the trunk.
        allowed: VlanSet,
    },
    /// A native VLAN and the untagged domain at once.
    #[error("native VLAN {0} and `untagged` exclude each other")]
    NativeAndUntagged(Vid),
}

/// A VLAN id, 1 to 4094: 0 only marks a priority, and 4095 is reserved (IEEE 802.1Q, table 9-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "u16", into = "u16")]
pub struct Vid(u16);

impl Vid {
    /// Highest VLAN id.
    pub const MAX: u16 = 4094;

    /// The id.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Vid {
    type Error = VlanError;

    fn try_from(id: u16) -> Result<Self, VlanError> {
        match id {
            1..=Self::MAX => Ok(Self(id)),
            _ => Err(VlanError::Id(id.to_string())),
        }
    }
}

impl From<Vid> for u16 {
    fn from(vid: Vid) -> Self {
        vid.0
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Vid {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        let id: Option<u16> = text.parse().ok();
        id.and_then(|id| Self::try_from(id).ok()).ok_or_else(|| VlanError::Id(quoted(text)))
    }
}

/// A broadcast domain: the network's untagged one, or a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Domain {
    /// The domain of ports without a VLAN.
    #[default]
    Untagged,
    /// A VLAN.
    Vlan(Vid),
}

impl Domain {
    /// The VLAN id; 0 for the untagged domain, as in the FDB.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Untagged => 0,
            Self::Vlan(vid) => vid.get(),
        }
    }

    const fn vid(self) -> Option<Vid> {
        match self {
            Self::Untagged => None,
            Self::Vlan(vid) => Some(vid),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untagged => f.write_str(UNTAGGED),
            Self::Vlan(vid) => vid.fmt(f),
        }
    }
}

impl FromStr for Domain {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        if text == UNTAGGED {
            return Ok(Self::Untagged);
        }
        text.parse().map(Self::Vlan).map_err(|_| VlanError::Domain(quoted(text)))
    }
}

/// A set of at least one VLAN. As text: ids and ranges with commas, such as `10,20-29`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlanSet(Vec<(Vid, Vid)>);

impl VlanSet {
    /// True if the set has this VLAN.
    #[must_use]
    pub fn contains(&self, vid: Vid) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&vid))
    }

    /// All VLANs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Vid> {
        self.0.iter().flat_map(|&(first, last)| (first.0..=last.0).map(Vid))
    }

    /// Sorts the ranges and joins adjacent ones.
    fn of(mut ranges: Vec<(Vid, Vid)>) -> Result<Self, VlanError> {
        ranges.sort_unstable();
        let mut joined: Vec<(Vid, Vid)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first.0 <= before.1.0 + 1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        if joined.is_empty() { Err(VlanError::Empty) } else { Ok(Self(joined)) }
    }
}

impl fmt::Display for VlanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (first, last)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for VlanSet {
    type Err = VlanError;

    fn from_str(text: &str) -> Result<Self, VlanError> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (Vid, Vid) = (first.trim().parse()?, last.trim().parse()?);
            if first <= last { Ok((first, last)) } else { Err(VlanError::Range(part.to_owned())) }
        };
        let parts = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
        Self::of(parts.map(range).collect::<Result<_, _>>()?)
    }
}

crate::words::text_in_json! { VlanSet }

/// A port that carries several VLANs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    allowed: VlanSet,
    native: Option<Domain>,
}

impl Trunk {
    /// A trunk for these VLANs. `native`: the domain of its untagged frames; `None` drops them.
    ///
    /// # Errors
    /// [`VlanError::Native`] for a native VLAN that is not allowed.
    pub fn new(allowed: VlanSet, native: Option<Domain>) -> Result<Self, VlanError> {
        match native.and_then(Domain::vid) {
            Some(native) if !allowed.contains(native) => Err(VlanError::Native { native, allowed }),
            _ => Ok(Self { allowed, native }),
        }
    }

    /// VLANs of the trunk.
    #[must_use]
    pub const fn allowed(&self) -> &VlanSet {
        &self.allowed
    }

    /// Domain of its untagged frames.
    #[must_use]
    pub const fn native(&self) -> Option<Domain> {
        self.native
    }
}

/// VLANs of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Form", into = "Form")]
pub enum VlanMode {
    /// One VLAN, without tags.
    Access(Domain),
    /// Several VLANs, with tags.
    Trunk(Trunk),
}

impl Default for VlanMode {
    fn default() -> Self {
        Self::Access(Domain::Untagged)
    }
}

impl fmt::Display for VlanMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(domain) => write!(f, "access {domain}"),
            Self::Trunk(Trunk { allowed, native: None }) => write!(f, "trunk {allowed}"),
            Self::Trunk(Trunk { allowed, native: Some(native) }) => {
                write!(f, "trunk {allowed}, native {native}")
            }
        }
    }
}

/// JSON form: `{"mode": "access", "id": 10}`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Access {
        /// Absent: the untagged domain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<Vid>,
    },
    Trunk {
        allowed: VlanSet,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        native: Option<Vid>,
        /// Untagged frames belong to the untagged domain.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        untagged: bool,
    },
}

impl TryFrom<Form> for VlanMode {
    type Error = VlanError;

    fn try_from(form: Form) -> Result<Self, VlanError> {
        match form {
            Form::Access { id } => Ok(Self::Access(id.map_or(Domain::Untagged, Domain::Vlan))),
            Form::Trunk { native: Some(native), untagged: true, .. } => {
                Err(VlanError::NativeAndUntagged(native))
            }
            Form::Trunk { allowed, native, untagged } => {
                let native = native.map(Domain::Vlan).or(untagged.then_some(Domain::Untagged));
                Trunk::new(allowed, native).map(Self::Trunk)
            }
        }
    }
}

impl From<VlanMode> for Form {
    fn from(mode: VlanMode) -> Self {
        match mode {
            VlanMode::Access(domain) => Self::Access { id: domain.vid() },
            VlanMode::Trunk(Trunk { allowed, native }) => Self::Trunk {
                allowed,
                native: native.and_then(Domain::vid),
                untagged: native == Some(Domain::Untagged),
            },
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(char::is_whitespace) {
        format!("{text:?}")
    } else {
        text.to_owned()
    }
}
