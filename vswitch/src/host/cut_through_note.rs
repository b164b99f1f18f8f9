//! The note in the state directory: to which cgroup the programs of cut-through are attached.
//!
//! A killed daemon leaves them, with the connections that they carry. The next start takes them over, or `down` takes
//! them away, whatever their options say.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::regular_file;

const NAME: &str = "cut-through";

/// Where programs of a daemon are attached, in this boot of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CutThroughNote {
    /// The boot in which they were attached.
    pub(crate) boot_id: String,
    /// Their cgroup; the root if none was asked for.
    pub(crate) cgroup: Option<PathBuf>,
}

impl CutThroughNote {
    /// Writes the note.
    pub(crate) fn write(&self, state_dir: &Path) -> io::Result<()> {
        let mut bytes = self.boot_id.clone().into_bytes();
        bytes.push(b'\n');
        bytes.extend(self.cgroup.iter().flat_map(|path| path.as_os_str().as_bytes()));
        regular_file::write(&state_dir.join(NAME), bytes)
    }

    /// The note of the last daemon.
    pub(crate) fn read(state_dir: &Path) -> Option<Self> {
        let bytes = regular_file::read(&state_dir.join(NAME)).ok()?;
        let at = bytes.iter().position(|byte| *byte == b'\n')?;
        let cgroup = &bytes[at + 1..];
        Some(Self {
            boot_id: String::from_utf8(bytes[..at].to_vec()).ok()?,
            cgroup: (!cgroup.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(cgroup))),
        })
    }
}

/// Removes the note, once the programs are gone.
pub(crate) fn remove(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(NAME));
}

/// Tells the programs of one switch from those of others on the host, also in other mount namespaces: its state directory
/// by device and inode.
pub(crate) fn instance(state_dir: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(state_dir)?;
    Ok(metadata.ino() ^ metadata.dev().rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_boot_and_cgroup() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(CutThroughNote::read(path), None);
        for cgroup in [None, Some("/sys/fs/cgroup/machine.slice".into())] {
            let note = CutThroughNote { boot_id: "4f".to_owned(), cgroup };
            note.write(path).unwrap();
            assert_eq!(CutThroughNote::read(path), Some(note));
        }
        remove(path);
        assert_eq!(CutThroughNote::read(path), None);
    }

    #[test]
    fn each_state_directory_is_an_instance() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |directory: &tempfile::TempDir| instance(directory.path()).unwrap();
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&other));
    }
}
