//! Copies of a document, made before a start that takes over less than it has.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{StoreError, failed};

/// Copies that are kept; the next one takes the place of the oldest.
pub(crate) const BACKUPS_MAX: usize = 8;

/// Writes a copy beside the document; gives its path.
pub(super) fn write(document: &Path, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let path = place(document);
    // Another one's file of that name is not written into.
    let _ = fs::remove_file(&path);
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(&path);
    let written = made.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(failed("write", &path))?;
    Ok(path)
}

/// The first free name, else that of the oldest copy.
fn place(document: &Path) -> PathBuf {
    let names =
        (1..=BACKUPS_MAX).map(|number| document.with_extension(format!("json.backup-{number}")));
    let age = |path: &PathBuf| fs::symlink_metadata(path).and_then(|it| it.modified());
    let free_first = |path: &PathBuf| age(path).unwrap_or(SystemTime::UNIX_EPOCH);
    names.min_by_key(free_first).unwrap_or_else(|| document.with_extension("json.backup-1"))
}
