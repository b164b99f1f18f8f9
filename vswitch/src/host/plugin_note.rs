//! The note in the state directory: where the socket of Docker's plugin is.
//!
//! A killed daemon leaves the socket's file, which Docker takes for a plugin that hangs. `down` and the next start
//! find it by this note, whatever their options say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::regular_file;

const NAME: &str = "docker-plugin";

/// Writes the note.
pub(crate) fn write(state_dir: &Path, socket: &Path) -> io::Result<()> {
    regular_file::write(&state_dir.join(NAME), socket.as_os_str().as_encoded_bytes())
}

/// The socket of the last daemon.
pub(crate) fn read(state_dir: &Path) -> Option<PathBuf> {
    let text = regular_file::read_to_string(&state_dir.join(NAME)).ok()?;
    Some(PathBuf::from(text)).filter(|path| path.is_absolute())
}

/// Removes the note, once the socket is gone.
pub(crate) fn remove(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(NAME));
}
