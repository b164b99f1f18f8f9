//! Files that an engine names, opened by root.
//!
//! An engine of another user may name any file: one of the host, a link to it, a FIFO that never opens, a device
//! that wakes when it is opened. So the path is looked at before the file is opened, and it is opened by what was
//! looked at. It must be a plain file, and that user's own unless the engine is root's.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::dns::limits::RESOLV_CONF_BYTES_MAX;

/// The text of a file.
pub(super) fn read(path: &Path, engine_uid: u32) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = open(path, engine_uid, OpenOptions::new().read(true))?;
    file.take(RESOLV_CONF_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RESOLV_CONF_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {RESOLV_CONF_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Replaces the text of a file in place: no rename, no new inode.
pub(super) fn write(path: &Path, engine_uid: u32, text: &str) -> io::Result<()> {
    let mut file = open(path, engine_uid, OpenOptions::new().write(true))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn open(path: &Path, engine_uid: u32, options: &mut OpenOptions) -> io::Result<File> {
    let flags = (OFlag::O_PATH | OFlag::O_NOFOLLOW).bits();
    let looked_at = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = looked_at.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    if engine_uid != 0 && metadata.uid() != engine_uid {
        let problem = format!("it is not of user {engine_uid}, who runs the engine");
        return Err(io::Error::other(problem));
    }
    options.open(format!("/proc/self/fd/{}", looked_at.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::{getuid, mkfifo};

    use super::*;

    /// What a hostile engine may name. None of it is opened.
    #[test]
    fn only_a_plain_file_of_the_engines_user_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let own = getuid().as_raw();
        fs::write(at("file"), "kept").unwrap();
        symlink(at("file"), at("link")).unwrap();
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        for uid in [own, 0] {
            for (name, words) in [("link", "no plain file"), ("fifo", "no plain file"), (".", "no")]
            {
                let read = read(&at(name), uid).unwrap_err();
                let written = write(&at(name), uid, "x").unwrap_err();
                assert!(read.to_string().contains(words), "{name}: {read}");
                assert!(written.to_string().contains(words), "{name}: {written}");
            }
        }
        let other = own + 1000;
        assert!(read(&at("file"), other).unwrap_err().to_string().contains("not of user"));
        assert!(write(&at("file"), other, "x").is_err());
        assert_eq!(read(&at("file"), 0).unwrap(), "kept");
        assert_eq!(read(&at("missing"), 0).unwrap_err().kind(), io::ErrorKind::NotFound);
        if own == 0 {
            chown(at("file"), Some(other), None).unwrap();
            write(&at("file"), other, "new").unwrap();
            assert_eq!(read(&at("file"), other).unwrap(), "new");
        }
    }
}
