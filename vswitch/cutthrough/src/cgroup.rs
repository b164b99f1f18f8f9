//! The cgroup to which the programs are attached.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, fstatfs};

use crate::Error;

/// Where systems mount version 2, alone or beside version 1.
const USUAL: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A cgroup of version 2.
#[derive(Debug)]
pub(crate) struct Cgroup {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Cgroup {
    /// The one of a path, or else the root.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            let root = USUAL.iter().find_map(|path| Self::at(Path::new(path)).ok());
            return root.or_else(Self::mounted).ok_or(Error::NoCgroup);
        };
        Self::at(path).map_err(|source| Error::Cgroup { path: path.to_path_buf(), source })
    }

    /// The root where the table of mounts says it is.
    fn mounted() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mut fields = mounts.lines().map(|line| line.split(' '));
        fields.find_map(|mut line| {
            let (_, path, kind) = (line.next()?, line.next()?, line.next()?);
            (kind == "cgroup2").then(|| Self::at(Path::new(path)).ok()).flatten()
        })
    }

    fn at(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if fstatfs(&file)?.filesystem_type() != CGROUP2_SUPER_MAGIC {
            return Err(io::Error::other("is not on a cgroup2 file system"));
        }
        Ok(Self { path: path.to_path_buf(), file })
    }
}
