//! Where the programs of cut-through are attached.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::types::ValueError;

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
