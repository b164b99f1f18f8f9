//! Programs that may take bytes from a socket by `splice`.
//!
//! `splice` gives what TCP has queued and does not see redirected bytes, so a program that first reads and then splices
//! would get its bytes in the wrong order. Nothing in the kernel tells before it is too late. So the files that such a
//! process runs are searched: for a dynamic symbol `splice`, for the number of the system call as a program loads it just
//! before a call, and for the function of Go. Programs with one of them are left alone. Go programs that use TCP are among
//! them, and Python.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memchr::memmem;
use object::{Object, ObjectSymbol};

use crate::sys;

/// Files whose answer is kept.
const FILES_MAX: usize = 4096;

/// Files that have the function for others.
const LIBC: [&str; 4] = ["libc.so", "libc-", "libc.musl", "ld-"];

/// The function of Go that calls `splice`.
const GO: &[u8] = b"internal/poll.Splice";

/// The number of the system call, as it is loaded for the instruction: `mov $275,%eax`.
#[cfg(target_arch = "x86_64")]
const NUMBER: &[u8] = b"\xb8\x13\x01\x00\x00";
/// As it is loaded for `syscall(2)`: `mov $275,%edi`.
#[cfg(target_arch = "x86_64")]
const ARGUMENT: &[u8] = b"\xbf\x13\x01\x00\x00";
/// The instruction: `syscall`.
#[cfg(target_arch = "x86_64")]
const CALL: &[u8] = b"\x0f\x05";
/// The same: `mov x8,#76`; `mov x0,#76`; `svc #0`.
#[cfg(target_arch = "aarch64")]
const NUMBER: &[u8] = b"\x88\x09\x80\xd2";
#[cfg(target_arch = "aarch64")]
const ARGUMENT: &[u8] = b"\x80\x09\x80\xd2";
#[cfg(target_arch = "aarch64")]
const CALL: &[u8] = b"\x01\x00\x00\xd4";

/// Bytes of code between the number and the instruction, at most.
const NEAR: usize = 32;

/// Whether a file has what calls `splice`.
fn has_splice(bytes: &[u8]) -> bool {
    // What is no file of the usual kind may do anything.
    let Ok(file) = object::File::parse(bytes) else { return true };
    let imports = |name: &[u8]| {
        file.dynamic_symbols().any(|it| it.name_bytes().is_ok_and(|found| found == name))
    };
    imports(b"splice")
        || memmem::find(bytes, GO).is_some()
        || calls_by_number(bytes)
        || imports(b"syscall") && memmem::find(bytes, ARGUMENT).is_some()
}

/// A file, also after it was written anew.
type Key = (u64, u64, i64, i64);

/// Answers about files.
#[derive(Debug, Default)]
pub(crate) struct Splicers(HashMap<Key, bool>);

impl Splicers {
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
        if let Some(&known) = self.0.get(&key) {
            return Ok(known);
        }
        let bytes = sys::file_bytes(&file)?;
        let found = has_splice(&bytes);
        if self.0.len() == FILES_MAX {
            self.0.clear();
        }
        self.0.insert(key, found);
        Ok(found)
    }
}

/// Whether code loads the number and soon executes the instruction.
fn calls_by_number(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, NUMBER).any(|at| {
        let after = at + NUMBER.len();
        let code = &bytes[after..bytes.len().min(after + NEAR)];
        memmem::find(code, CALL).is_some()
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// The files of a program that sends back a line, and waits for the next one.
    fn may_splice(program: &[&str]) -> bool {
        let mut child = std::process::Command::new(program[0])
            .args(&program[1..])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the program");
        // Until it runs its own files.
        child.stdin.as_mut().expect("a pipe").write_all(b"x\n").expect("a line");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 2]).expect("the line");
        let found = Splicers::default().may_splice(child.id());
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        found
    }

    #[test]
    fn python_may_splice_and_other_programs_do_not() {
        assert!(
            may_splice(&["python3", "-c", "print(input(), flush=True); input()"]),
            "os.splice is there"
        );
        assert!(!may_splice(&["cat"]));
        assert!(Splicers::default().may_splice(u32::MAX), "a process that is not there");
    }

    #[test]
    fn a_number_near_a_call_is_a_sign_and_a_constant_is_none() {
        let code = |between: usize| [NUMBER, &vec![0x90; between], CALL].concat();
        assert!(calls_by_number(&code(0)) && calls_by_number(&code(NEAR - CALL.len())));
        assert!(!calls_by_number(&code(NEAR)), "the constant of another call");
        assert!(!calls_by_number(NUMBER));
    }
}
