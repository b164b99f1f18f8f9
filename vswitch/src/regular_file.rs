//! Files of ours in directories that others may write to. A FIFO or a device in the place of one would make the
//! reader wait forever: it is refused instead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file, or makes it where the options say so.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // First a look, since opening a device may do something.
    if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return Err(not_regular());
    }
    // Between the two it may have become a FIFO.
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Reads a regular file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(OpenOptions::new().read(true), path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
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

fn not_regular() -> io::Error {
    io::Error::other("not a regular file; move it away")
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
        write(&file, "longer text").unwrap();
        write(&file, "text").unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "text");
        let missing = read(&directory.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
