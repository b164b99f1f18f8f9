//! The note beside the socket: which state directory its switch has.
//!
//! `vswitch down` after a crash reads it, since nobody remembers a `--state-dir` then. A daemon that ends
//! removes it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::regular_file;

/// End of the note's name, after that of the socket.
const SUFFIX: &str = ".state-dir";

/// The note of a running daemon. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct StateNote(PathBuf);

impl StateNote {
    /// Writes the note, in place of that of a dead daemon.
    pub(crate) fn write(socket: &Path, state_dir: &Path) -> io::Result<Self> {
        let note = Self(path(socket));
        note.rewrite(state_dir)?;
        Ok(note)
    }

    /// Writes the note again, in case it is gone.
    pub(crate) fn rewrite(&self, state_dir: &Path) -> io::Result<()> {
        regular_file::write(&self.0, state_dir.as_os_str().as_encoded_bytes())
    }

    /// Leaves the file there, for a `down` that comes later.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for StateNote {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The state directory that the note of a dead daemon names, beside its socket.
pub fn read(socket: &Path) -> Option<PathBuf> {
    let text = regular_file::read_to_string(&path(socket)).ok()?;
    Some(PathBuf::from(text)).filter(|directory| directory.is_absolute())
}

/// Removes the note of a dead daemon.
pub(crate) fn remove(socket: &Path) {
    let _ = fs::remove_file(path(socket));
}

fn path(socket: &Path) -> PathBuf {
    let mut path = OsString::from(socket);
    path.push(SUFFIX);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_lasts_as_long_as_its_daemon_or_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("sock");
        assert_eq!(read(&socket), None);
        let note = StateNote::write(&socket, Path::new("/var/lib/lab")).unwrap();
        assert_eq!(read(&socket), Some("/var/lib/lab".into()));
        drop(note);
        assert_eq!(read(&socket), None);
        std::mem::forget(StateNote::write(&socket, Path::new("relative")).unwrap());
        assert_eq!(read(&socket), None);
        remove(&socket);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
