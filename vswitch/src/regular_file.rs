//! Files of ours in directories that others may write to. A FIFO or a device in the place of one would make the
//! reader wait forever, a symbolic link would lead a write elsewhere, or be replaced by a file while its target is not
//! mounted, and a huge file would take all memory: they are refused instead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Size of a file that is read and written; a document with all ports and their labels is smaller.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 20;

/// Opens a regular file, or makes it where the options say so.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // First a look, since opening a device may do something.
    if let Ok(found) = fs::symlink_metadata(path) {
        check(&found)?;
    }
    // Between the two it may have become a FIFO or a link.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let file = options.custom_flags(flags).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open(OpenOptions::new().read(true), path)?;
    check_size(file.metadata()?.len())?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses a size above [`FILE_BYTES_MAX`].
pub(crate) fn check_size(bytes: u64) -> io::Result<()> {
    match bytes <= FILE_BYTES_MAX {
        true => Ok(()),
        false => {
            let most = FILE_BYTES_MAX >> 20;
            Err(io::Error::other(format!(
                "has {bytes} bytes, {most} MiB is the most; move it away"
            )))
        }
    }
}

/// Reads a regular file of UTF-8 text.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a regular file, as [`fs::write`] does.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = open(options.write(true).create(true).truncate(true), path)?;
    file.write_all(bytes.as_ref())
}

fn check(found: &fs::Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_symlink() {
        return Err(io::Error::other("it is a symbolic link; put the file itself there"));
    }
    match kind.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("not a regular file; move it away")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&fifo, directory.path(), Path::new("/dev/zero")] {
            let error = read(path).unwrap_err();
            assert!(error.to_string().starts_with("not a regular file"), "{error}");
            assert!(write(path, "text").is_err());
        }
        let file = directory.path().join("file");
        // A link leads nowhere, also one whose target is not there.
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for _ in 0..2 {
            for error in [read(&link).unwrap_err(), write(&link, "text").unwrap_err()] {
                assert!(error.to_string().contains("symbolic link"), "{error}");
            }
            write(&file, "longer text").unwrap();
        }
        assert_eq!(read_to_string(&file).unwrap(), "longer text");
        write(&file, "text").unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "text");
        let missing = read(&directory.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
