//! The sandbox's own `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Their directory is removed as soon as they are mounted; the mounts and the descriptors keep them. So nothing stays behind, even if this process is killed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::IsolateError;
use super::resolv_conf::host_resolv_conf;

/// First lines of every hosts file.
const LOCALHOST: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Attempts to find a free directory name.
const NAMES_TRIED_MAX: usize = 16;

/// Paths of the files to mount.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) hosts: PathBuf,
    pub(super) resolv_conf: PathBuf,
}

/// The private files.
#[derive(Debug)]
pub(super) struct PrivateFiles {
    directory: Directory,
    hosts: File,
    resolv_conf: File,
}

/// A directory that is removed when dropped.
#[derive(Debug)]
struct Directory(Option<PathBuf>);

impl PrivateFiles {
    /// Creates the directory and its files.
    pub(super) fn create() -> Result<(Self, Sources), IsolateError> {
        let path = make_directory(&std::env::temp_dir())?;
        let directory = Directory(Some(path.clone()));
        let sources = Sources { hosts: path.join("hosts"), resolv_conf: path.join("resolv.conf") };
        let hosts = make_file(&sources.hosts, LOCALHOST.as_bytes())?;
        let resolv_conf = make_file(&sources.resolv_conf, host_resolv_conf().as_bytes())?;
        Ok((Self { directory, hosts, resolv_conf }, sources))
    }

    /// Removes the directory after the mounts.
    pub(super) fn unlink(&mut self) {
        self.directory = Directory(None);
    }

    /// Rewrites the hosts file.
    pub(super) fn set_hosts(&self, entries: &[(IpAddr, Vec<String>)]) -> Result<(), IsolateError> {
        rewrite(&self.hosts, "/etc/hosts", &hosts_text(entries))
    }

    /// Rewrites the configuration of the resolver.
    pub(super) fn set_resolv_conf(&self, text: &str) -> Result<(), IsolateError> {
        rewrite(&self.resolv_conf, "/etc/resolv.conf", text)
    }
}

/// Rewrites a file in place: the mount is of that very file.
fn rewrite(file: &File, path: &str, text: &str) -> Result<(), IsolateError> {
    let written = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    written.map_err(|source| IsolateError::File { path: path.into(), source })
}

impl Drop for Directory {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else { return };
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(path = %path.display(), %error, "sandbox files stay behind");
        }
    }
}

fn make_directory(base: &Path) -> Result<PathBuf, IsolateError> {
    let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..NAMES_TRIED_MAX {
        let tag = getrandom::u64().map_err(|error| IsolateError::File {
            path: base.to_owned(),
            source: io::Error::other(error),
        })?;
        let path = base.join(format!("vswitch-run-{}-{tag:016x}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(source) => return Err(IsolateError::File { path, source }),
        }
    }
    Err(IsolateError::File { path: base.to_owned(), source: last })
}

/// Creates a file with mode 0644, whatever the umask.
fn make_file(path: &Path, content: &[u8]) -> Result<File, IsolateError> {
    let make = || {
        let file = File::create_new(path)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all_at(content, 0)?;
        Ok(file)
    };
    make().map_err(|source| IsolateError::File { path: path.to_owned(), source })
}

/// The text of a hosts file.
pub(super) fn hosts_text(entries: &[(IpAddr, Vec<String>)]) -> String {
    let mut text = LOCALHOST.to_owned();
    for (address, names) in entries.iter().filter(|(_, names)| !names.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{}", names.join(" "));
    }
    text
}
