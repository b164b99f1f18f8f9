//! The file of `--resolv-conf`: opened before the attach, so that a wrong path changes nothing, and written after it.
//!
//! Its folder may be a container's, whose root could put a symbolic link there while root of the host writes: no
//! part of the path may be one, and the file is a regular one. What is created here is removed again unless it is
//! written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, openat2, unlinkat};
use rustix::io::Errno;

use crate::error::{Failure, Outcome};

/// Where `ip netns exec NAME` looks for the files of a namespace: ip-netns(8). Nobody else makes its folders.
const NETNS_FOLDER: &str = "/etc/netns";

/// Without waiting for the reader of a pipe.
const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A file that is written once the container is attached.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    file: File,
    /// What goes again if nothing is written.
    created: Created,
}

impl Target {
    /// Opens a file, or creates it.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        Self::try_open(path).map_err(|error| failure(path, &error))
    }

    fn try_open(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else { return Err(Errno::ISDIR.into()) };
        let above = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut created = Created::default();
        if above.starts_with(NETNS_FOLDER) {
            created.make_folders(above)?;
        }
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(CWD, above.as_os_str(), folder)?;
        let file = match open(&folder, name, WRITE) {
            Err(Errno::NOENT) => {
                let file = open(&folder, name, WRITE | OFlags::CREATE | OFlags::EXCL)?;
                created.file = Some((folder, name.to_owned()));
                file
            }
            opened => opened?,
        };
        let file = File::from(file);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Self { path: path.to_owned(), file, created })
    }

    /// Replaces its text.
    pub(crate) fn write(mut self, text: &str) -> Outcome<()> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        self.created.keep();
        written.map_err(|error| failure(&self.path, &error))
    }
}

/// Follows no symbolic link.
fn open(folder: impl AsFd, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mode = if flags.contains(OFlags::CREATE) { 0o644 } else { 0 };
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, path, flags, Mode::from_raw_mode(mode), resolve)
}

/// A file and folders that were not there before.
#[derive(Debug, Default)]
struct Created {
    file: Option<(OwnedFd, OsString)>,
    folders: Vec<PathBuf>,
}

impl Created {
    fn keep(&mut self) {
        self.file = None;
        self.folders.clear();
    }

    /// Makes a folder, and those above it.
    fn make_folders(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<_> = folder.ancestors().take_while(|it| !it.exists()).collect();
        for folder in missing.into_iter().rev() {
            std::fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        Ok(())
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some((folder, name)) = &self.file {
            let _ = unlinkat(folder, name, AtFlags::empty());
        }
        for folder in self.folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("cannot write {}: {error}", path.display()));
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::LOOP) => failure.with_hint(
            "a symbolic link in the path is not followed, since it may be a container's: name the file itself",
        ),
        _ => failure,
    }
}

#[cfg(test)]
mod tests;
