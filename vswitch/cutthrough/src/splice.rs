//! Programs that may take bytes from a socket by `splice`.
//!
//! `splice` gives what TCP has queued and does not see redirected bytes, so a program that first reads and then splices
//! would get its bytes in the wrong order. Nothing in the kernel tells before it is too late. So the files that such a
//! process runs are searched: for the name of the function, which programs and libraries that are linked dynamically
//! have, and for the number of the system call as a program loads it. Programs with either are left alone. Go programs
//! that use TCP are among them, and Python.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memchr::memmem::Finder;
use memmap2::Mmap;

/// Files whose answer is kept.
const FILES_MAX: usize = 4096;

/// Files that have the function for others.
const LIBC: [&str; 4] = ["libc.so", "libc-", "libc.musl", "ld-"];

/// What a file has that can splice.
#[cfg(target_arch = "x86_64")]
const SIGNS: [&[u8]; 4] = [
    b"\0splice\0",
    // mov $275,%eax; mov $275,%edi (for `syscall`); mov $275,%rax
    b"\xb8\x13\x01\x00\x00",
    b"\xbf\x13\x01\x00\x00",
    b"\x48\xc7\xc0\x13\x01\x00\x00",
];
#[cfg(target_arch = "aarch64")]
const SIGNS: [&[u8]; 4] = [
    b"\0splice\0",
    // mov x8,#76; mov w8,#76; mov w0,#76 (for `syscall`)
    b"\x88\x09\x80\xd2",
    b"\x88\x09\x80\x52",
    b"\x80\x09\x80\x52",
];

/// A file, also after it was written anew.
type Key = (u64, u64, i64, i64);

/// Answers about files.
#[derive(Debug)]
pub(crate) struct Splicers {
    signs: [Finder<'static>; SIGNS.len()],
    known: HashMap<Key, bool>,
}

impl Splicers {
    pub(crate) fn new() -> Self {
        Self { signs: SIGNS.map(Finder::new), known: HashMap::new() }
    }

    /// Whether a process may splice. One whose files cannot be read may.
    pub(crate) fn may_splice(&mut self, process: u32) -> bool {
        self.files(process).unwrap_or(true)
    }

    /// Looks through the files that a process runs.
    fn files(&mut self, process: u32) -> io::Result<bool> {
        let root = format!("/proc/{process}");
        let maps = fs::read_to_string(format!("{root}/maps"))?;
        let mut last = "";
        for line in maps.lines() {
            // A part of a socket's queue (TCP_ZEROCOPY_RECEIVE) is taken as `splice` takes it.
            if line.contains(" socket:[") {
                return Ok(true);
            }
            let mut words = line.split_ascii_whitespace();
            let (Some(range), Some(access), Some(path)) =
                (words.next(), words.next(), words.nth(3))
            else {
                continue;
            };
            let name = path.rsplit('/').next().unwrap_or_default();
            let has_function = LIBC.iter().any(|libc| name.starts_with(libc));
            if !access.contains('x') || !path.starts_with('/') || has_function || path == last {
                continue;
            }
            last = path;
            if self.file(&Path::new(&root).join("map_files").join(range))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn file(&mut self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        let it = file.metadata()?;
        let key = (it.dev(), it.ino(), it.mtime(), it.mtime_nsec());
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        // SAFETY: the mapping is private and only read, as bytes, of which any value is right; a file that is made
        // shorter meanwhile would end this process by SIGBUS, as it would end the program that runs it: files that
        // run cannot be written (ETXTBSY), and packages replace libraries by new files.
        let bytes = unsafe { Mmap::map(&file)? };
        let found = self.signs.iter().any(|sign| sign.find(&bytes).is_some());
        if self.known.len() == FILES_MAX {
            self.known.clear();
        }
        self.known.insert(key, found);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_does_not_splice_and_python_may() {
        let mut splicers = Splicers::new();
        let mut python = std::process::Command::new("python3")
            .args(["-c", "input()"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("python3");
        let found = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            splicers.may_splice(python.id())
        });
        python.kill().expect("it runs");
        python.wait().expect("it ends");
        assert!(found, "os.splice is there");
        assert!(splicers.may_splice(u32::MAX), "a process that is not there");
    }
}
