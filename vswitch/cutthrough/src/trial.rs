//! A trial of the loaded programs over loopback: what a kernel can do is tried, not guessed from its version.
//!
//! Two sockets of this process are joined by hand. Their reader shows whether `FIONREAD` counts what came through TCP,
//! whether sends are redirected, and whether redirected bytes are charged to a reader that sleeps.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags};
use rustix::io::ioctl_fionread;
use rustix::net::sockopt::socket_cookie;

use crate::layout::{CONNECTION_BYTES, Counters};
use crate::load::{Loaded, named_map};
use crate::{Error, READS_BEFORE};

/// No handshake has this id.
const ID: u64 = 1;
/// A sleeping reader that has got more than this is not charged.
const CHARGED_MAX: usize = 16 << 20;

/// Tries the programs, and says whether `FIONREAD` counts all unread bytes.
///
/// # Errors
///
/// What this kernel cannot do.
pub(crate) fn run(loaded: &Loaded) -> Result<bool, Error> {
    let (mut writer, mut reader) = pair().map_err(failed)?;
    join(loaded, &writer, &reader)?;
    let tried = sends(loaded, &mut writer, &mut reader).map_err(failed)?;
    drop((writer, reader));
    let forgotten = named_map(&loaded.object, "connections")?.delete(&ID.to_ne_bytes());
    forgotten.map_err(Error::kernel("the trial cannot be ended"))?;
    tried
}

fn failed(error: std::io::Error) -> Error {
    Error::Kernel { step: "the trial over loopback failed", reason: error.to_string() }
}

fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let writer = TcpStream::connect(listener.local_addr()?)?;
    let (reader, _) = listener.accept()?;
    let patience = Some(Duration::from_secs(2));
    writer.set_nodelay(true)?;
    reader.set_read_timeout(patience)?;
    writer.set_write_timeout(patience)?;
    Ok((writer, reader))
}

/// Does by hand what the program of the cgroup does.
fn join(loaded: &Loaded, writer: &TcpStream, reader: &TcpStream) -> Result<(), Error> {
    let refused = || Error::kernel("the kernel does not let sockets be joined");
    let mut connection = [0; CONNECTION_BYTES];
    let ids = [0, CONNECTION_BYTES - 8];
    ids.into_iter().for_each(|at| connection[at..at + 8].copy_from_slice(&ID.to_ne_bytes()));
    let end_bytes = (CONNECTION_BYTES - 16) / 2;
    for (side, socket) in [writer, reader].into_iter().enumerate() {
        let cookie = socket_cookie(socket).map_err(|error| failed(error.into()))?;
        let at = 8 + side * end_bytes + 48;
        connection[at..at + 8].copy_from_slice(&cookie.to_ne_bytes());
        let descriptor = u64::try_from(socket.as_raw_fd()).unwrap_or(u64::MAX);
        named_map(&loaded.object, "sockets")?
            .update(&cookie.to_ne_bytes(), &descriptor.to_ne_bytes(), MapFlags::ANY)
            .map_err(refused())?;
        let end = [ID, side as u64, 0, 0].map(u64::to_ne_bytes);
        named_map(&loaded.object, "ends")?
            .update(&socket.as_raw_fd().to_ne_bytes(), end.as_flattened(), MapFlags::ANY)
            .map_err(refused())?;
    }
    named_map(&loaded.object, "connections")?
        .update(&ID.to_ne_bytes(), &connection, MapFlags::ANY)
        .map_err(refused())
}

/// Whether `FIONREAD` is right.
type Tried = Result<bool, Error>;

fn sends(
    loaded: &Loaded,
    writer: &mut TcpStream,
    reader: &mut TcpStream,
) -> std::io::Result<Tried> {
    writer.write_all(b"abc")?;
    reader.peek(&mut [0; 3])?;
    let counts_tcp = ioctl_fionread(reader.as_fd())? == 3;
    reader.read_exact(&mut [0; 3])?;
    let before = counters(loaded);
    for byte in 0..=u8::try_from(READS_BEFORE).unwrap_or(u8::MAX) + 4 {
        writer.write_all(&[byte])?;
        let mut read = [0];
        reader.read_exact(&mut read)?;
        if read != [byte] {
            return Ok(Err(Error::Trial("keep redirected bytes in order")));
        }
    }
    if counters(loaded).sends == before.sends {
        return Ok(Err(Error::Trial("redirect the bytes of a joined socket")));
    }
    writer.write_all(b"abcde")?;
    let counts_redirected = reader.peek(&mut [0; 5])? == 5 && ioctl_fionread(reader.as_fd())? == 5;
    writer.set_nonblocking(true)?;
    let (chunk, mut written) = (vec![0; 64 << 10], 0);
    while written <= CHARGED_MAX {
        match writer.write(&chunk) {
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if written > CHARGED_MAX {
        return Ok(Err(Error::Trial("charge redirected bytes to the receiver's buffer")));
    }
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    while read < written + 5 {
        read += reader.read(&mut buffer)?;
    }
    Ok(Ok(counts_tcp && counts_redirected))
}

fn counters(loaded: &Loaded) -> Counters {
    let mut sum = Counters::default();
    let map = named_map(&loaded.object, "counters").ok();
    let cpus = map.and_then(|map| map.lookup_percpu(&[0; 4], MapFlags::ANY).ok().flatten());
    cpus.iter().flatten().for_each(|bytes| sum.add(bytes));
    sum
}
