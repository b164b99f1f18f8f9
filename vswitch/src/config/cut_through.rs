//! Cut-through: where its programs are attached, and what they may do without.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::types::ValueError;

/// A fault of the kernel with which cut-through may start nonetheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutThroughAllow {
    /// `FIONREAD` of a joined socket leaves out what comes through TCP.
    WrongFionread,
}

impl CutThroughAllow {
    /// Its name.
    const WRONG_FIONREAD: &str = "wrong-fionread";
}

impl fmt::Display for CutThroughAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongFionread => f.write_str(Self::WRONG_FIONREAD),
        }
    }
}

impl FromStr for CutThroughAllow {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            Self::WRONG_FIONREAD => Ok(Self::WrongFionread),
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
