//! Cut-through: where its programs are attached, and what they may do without.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::types::ValueError;

/// What cut-through may start with nonetheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutThroughAllow {
    /// The faults that docs/cut-through.md lists.
    KnownFaults,
}

impl CutThroughAllow {
    /// Its name.
    const KNOWN_FAULTS: &str = "known-faults";
}

impl fmt::Display for CutThroughAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KnownFaults => f.write_str(Self::KNOWN_FAULTS),
        }
    }
}

impl FromStr for CutThroughAllow {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            Self::KNOWN_FAULTS => Ok(Self::KnownFaults),
            _ => Err(ValueError::CutThroughAllow(text.to_owned())),
        }
    }
}

/// Directory of a cgroup of version 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPath(PathBuf);

impl CgroupPath {
    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for CgroupPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(Self(super::paths::absolute(text, "cgroup")?))
    }
}
