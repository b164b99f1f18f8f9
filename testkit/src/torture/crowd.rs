//! Threads that send by one socket at the same time, without a lock.
//!
//! Their bytes come in any order, but those of one thread in its own: the two highest bits of a byte are the number of
//! its thread, the others are from that thread's stream.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::bytes::{Bytes, Stream};
use super::fault::Fault;
use super::ready::{For, Ready};
use super::rng::mix;
use super::shape::Wait;

const THREADS_MAX: usize = 4;

/// Bytes of one call of a thread, at most.
const PIECE_MAX: usize = 700;

/// The streams of the threads.
pub(super) fn streams(bytes: &Bytes, key: u64) -> [Stream<'_>; THREADS_MAX] {
    [0, 1, 2, 3].map(|thread| bytes.stream(mix(key, thread)))
}

fn byte_of(stream: Stream<'_>, thread: usize, at: usize) -> u8 {
    marked(thread, stream.get(at, 1)[0])
}

fn marked(thread: usize, byte: u8) -> u8 {
    (thread as u8) << 6 | byte & 0x3f
}

/// One end of a crowd.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd<'a> {
    pub(super) socket: &'a OwnedFd,
    pub(super) wait: Wait,
    pub(super) limit: Duration,
    pub(super) streams: [Stream<'a>; THREADS_MAX],
    pub(super) threads: usize,
    /// Bytes of each thread.
    pub(super) each: usize,
    /// Until when `EAGAIN` of a receive that blocks is no fault.
    pub(super) excused_until: Option<Instant>,
}

impl Crowd<'_> {
    /// Sends by all threads.
    pub(super) fn send_all(&self) -> Result<(), Fault> {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads).map(|thread| scope.spawn(move || self.send_by(thread))).collect();
            let ends = threads.into_iter().map(|thread| thread.join().expect("no thread panics"));
            ends.collect::<Vec<_>>().into_iter().collect()
        })
    }

    fn send_by(&self, thread: usize) -> Result<(), Fault> {
        let stream = self.streams[thread].get(0, self.each);
        let data: Vec<u8> = stream.iter().map(|byte| marked(thread, *byte)).collect();
        let mut ready = Ready::new(self.wait, For::Writing);
        let mut at = 0;
        while at < self.each {
            let piece = &data[at..self.each.min(at + PIECE_MAX)];
            let sent = ready
                .until(self.socket, self.limit, || send(self.socket, piece, SendFlags::empty()));
            at += sent.map_err(|errno| Fault::of("send of a crowd", at, errno))?;
        }
        Ok(())
    }

    /// Reads what such threads send.
    pub(super) fn receive_all(&self) -> Result<(), Fault> {
        let mut ready = Ready::new(self.wait, For::Reading);
        let mut buffer = vec![0; 16 << 10];
        let mut at = [0; THREADS_MAX];
        let (mut all, end) = (0, self.threads * self.each);
        while all < end {
            let len = buffer.len().min(end - all);
            let found = ready.until(self.socket, self.limit, || {
                recv(self.socket, &mut buffer[..len], RecvFlags::empty())
            });
            let is_excused = self.excused_until.is_some_and(|until| Instant::now() < until);
            if is_excused && found == Err(Errno::AGAIN) {
                continue;
            }
            let (len, _) = found.map_err(|errno| Fault::of("recv of a crowd", all, errno))?;
            if len == 0 {
                return Err(Fault::Short(format!("the end of a crowd at offset {all}")));
            }
            for byte in &buffer[..len] {
                let thread = usize::from(byte >> 6);
                let is_over = at[thread] == self.each;
                if is_over || *byte != byte_of(self.streams[thread], thread, at[thread]) {
                    let text =
                        format!("byte {} of thread {thread} of a crowd is {byte:02x}", at[thread]);
                    return Err(Fault::Corrupt(text));
                }
                at[thread] += 1;
            }
            all += len;
        }
        Ok(())
    }
}
