//! What the connections carry: random bytes whose place in a stream can be told from the bytes.
//!
//! One table of random bytes serves all streams: each is a part of it that begins where the stream's key says.
//! A receiver compares what it got with the table, which costs less than a hash and says more: which byte is the
//! first wrong one, and where the bytes that stand there belong.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{MemfdFlags, memfd_create};

use super::rng::mix;

const TABLE_LEN: usize = 4 << 20;

/// Bytes of one direction of a connection, at most.
pub(super) const STREAM_MAX: usize = 3 << 19;

/// Bytes by which a place in the table is recognised.
const MARK: usize = 8;

/// The table, in memory and as a file, which `sendfile` and `splice` need.
#[derive(Debug)]
pub(super) struct Bytes {
    table: Vec<u8>,
    file: std::fs::File,
}

impl Bytes {
    pub(super) fn new(seed: u64) -> std::io::Result<Self> {
        let words = (0..TABLE_LEN as u64 / 8).map(|n| mix(seed, n).to_ne_bytes());
        let table: Vec<u8> = words.flatten().collect();
        let mut file = std::fs::File::from(memfd_create("torture", MemfdFlags::CLOEXEC)?);
        file.write_all(&table)?;
        Ok(Self { table, file })
    }

    pub(super) fn stream(&self, key: u64) -> Stream<'_> {
        let start = (key % (TABLE_LEN - STREAM_MAX) as u64) as usize;
        Stream { all: self, start }
    }
}

/// The bytes of one direction of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream<'a> {
    all: &'a Bytes,
    start: usize,
}

impl<'a> Stream<'a> {
    pub(super) fn get(&self, at: usize, len: usize) -> &'a [u8] {
        &self.all.table[self.start + at..][..len]
    }

    /// The file that has the bytes, and the offset of one of them in it.
    pub(super) fn in_file(&self, at: usize) -> (BorrowedFd<'a>, u64) {
        (self.all.file.as_fd(), (self.start + at) as u64)
    }

    /// Whether `got` is what the stream has from `at` on.
    ///
    /// # Errors
    /// The first wrong offset, and what was there.
    pub(super) fn check(&self, at: usize, got: &[u8]) -> Result<(), String> {
        let want = self.get(at, got.len());
        if got == want {
            return Ok(());
        }
        let first = got.iter().zip(want).position(|(a, b)| a != b).unwrap_or(0);
        let there = &got[first..];
        let hex: String = there.iter().take(MARK).map(|byte| format!("{byte:02x}")).collect();
        Err(format!("offset {} has {hex}, which is {}", at + first, self.origin(at + first, there)))
    }

    /// Where bytes that stand at `at` belong.
    fn origin(&self, at: usize, bytes: &[u8]) -> String {
        let mark = bytes.get(..MARK).unwrap_or(bytes);
        let found = if mark.len() < MARK / 2 {
            None
        } else {
            self.all.table.windows(mark.len()).position(|window| window == mark)
        };
        match found.map(|found| found as i64 - self.start as i64) {
            None => "unknown".into(),
            Some(own) if (0..STREAM_MAX as i64).contains(&own) => {
                format!("offset {own} of the same stream, {:+} bytes away", own - at as i64)
            }
            Some(_) => "a part of another stream".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_told_with_its_origin() {
        let bytes = Bytes::new(1).unwrap();
        let stream = bytes.stream(mix(1, 2));
        assert_eq!(stream.check(100, stream.get(100, 5000)), Ok(()));
        let mut got = stream.get(100, 50).to_vec();
        got.extend(stream.get(200, 50));
        let error = stream.check(100, &got).unwrap_err();
        assert!(error.starts_with("offset 150 has "), "{error}");
        assert!(error.ends_with("offset 200 of the same stream, +50 bytes away"), "{error}");
        let other = bytes.stream(mix(1, 2) + STREAM_MAX as u64);
        assert!(stream.check(0, other.get(0, 20)).unwrap_err().contains("another stream"));
        assert!(stream.check(0, &[0; 20]).unwrap_err().ends_with("unknown"));
        assert!(stream.check(7, &[!stream.get(7, 1)[0]]).unwrap_err().starts_with("offset 7 "));
    }
}
