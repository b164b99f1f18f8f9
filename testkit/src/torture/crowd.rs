//! Threads that send by one socket at the same time, without a lock.
//!
//! Their bytes come in any order, but those of one thread in its own: the two highest bits of a byte are the number of
//! its thread, the others are from that thread's stream.

use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::bytes::{Bytes, Stream};
use super::fault::Fault;
use super::rng::mix;

const THREADS_MAX: usize = 4;

/// Bytes of one call of a thread, at most.
const PIECE_MAX: usize = 700;

/// The streams of the threads.
pub(super) fn streams(bytes: &Bytes, key: u64) -> [Stream<'_>; THREADS_MAX] {
    [0, 1, 2, 3].map(|thread| bytes.stream(mix(key, thread)))
}

fn byte_of(stream: Stream<'_>, thread: usize, at: usize) -> u8 {
    (thread as u8) << 6 | stream.get(at, 1)[0] & 0x3f
}

/// Sends `each` bytes by each of so many threads.
pub(super) fn send_all(
    socket: &OwnedFd,
    streams: [Stream<'_>; THREADS_MAX],
    threads: usize,
    each: usize,
) -> Result<(), Fault> {
    let write = |thread: usize| -> Result<(), Fault> {
        let data: Vec<u8> = (0..each).map(|at| byte_of(streams[thread], thread, at)).collect();
        let mut at = 0;
        while at < each {
            let piece = &data[at..each.min(at + PIECE_MAX)];
            let sent = send(socket, piece, SendFlags::empty());
            at += sent.map_err(|errno| Fault::of("send of a crowd", at, errno))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let write = &write;
        let threads: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || write(thread))).collect();
        let ends = threads.into_iter().map(|thread| thread.join().expect("no thread panics"));
        ends.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Reads what such threads send.
pub(super) fn receive_all(
    socket: &OwnedFd,
    streams: [Stream<'_>; THREADS_MAX],
    threads: usize,
    each: usize,
) -> Result<(), Fault> {
    let mut buffer = vec![0; 16 << 10];
    let mut at = [0; THREADS_MAX];
    let mut all = 0;
    while all < threads * each {
        let len = buffer.len().min(threads * each - all);
        let found = recv(socket, &mut buffer[..len], RecvFlags::empty());
        let (len, _) = found.map_err(|errno| Fault::of("recv of a crowd", all, errno))?;
        if len == 0 {
            return Err(Fault::Short(format!("the end of a crowd at offset {all}")));
        }
        for byte in &buffer[..len] {
            let thread = usize::from(byte >> 6);
            if at[thread] == each || *byte != byte_of(streams[thread], thread, at[thread]) {
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
