//! A trial of the loaded programs over loopback: what a kernel can do is tried, not guessed from its version.
//!
//! Two sockets of this process are joined by hand. Their reader shows whether sends are redirected in order, whether
//! `FIONREAD` counts redirected bytes, whether they are charged to a reader that sleeps, and whether receives are counted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::net::sockopt::socket_cookie;

use crate::connections::Connections;
use crate::draining::pairs;
use crate::joined::JoinedSockets;
use crate::layout::{CONNECTION_BYTES, END_BYTES};
use crate::load::{Loaded, counted, named_map};
use crate::{Error, READS_BEFORE};

/// No handshake has this id.
const ID: u64 = 1;
/// The namespace of its ends: any, since nobody looks for it.
const NETNS: u64 = 1;
/// Where `struct end` has its tuple.
const END_TUPLE: usize = 56;
/// A sleeping reader that has got more than this is not charged.
const CHARGED_MAX: usize = 16 << 20;
/// Time for a byte to come over loopback.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Tries the programs.
///
/// # Errors
///
/// What this kernel cannot do.
pub(crate) fn run(loaded: &Loaded) -> Result<(), Error> {
    let (mut writer, mut reader) = pair().map_err(failed)?;
    let tried = join(loaded, &writer, &reader)
        .and_then(|()| sends(loaded, &mut writer, &mut reader).map_err(failed)?);
    drop((writer, reader));
    // It is not there if joining has failed.
    let _ = named_map(&loaded.object, "connections")?.delete(&ID.to_ne_bytes());
    tried
}

fn failed(error: io::Error) -> Error {
    Error::Kernel { step: "the trial over loopback failed", reason: error.to_string() }
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let writer = TcpStream::connect(listener.local_addr()?)?;
    let (reader, _) = listener.accept()?;
    writer.set_nodelay(true)?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((writer, reader))
}

/// Does by hand what the program of the cgroup and the joiner do.
fn join(loaded: &Loaded, writer: &TcpStream, reader: &TcpStream) -> Result<(), Error> {
    let refused = || Error::kernel("the kernel does not let sockets be joined");
    let mut connection = [0; CONNECTION_BYTES];
    let ids = [0, CONNECTION_BYTES - 8];
    ids.into_iter().for_each(|at| connection[at..at + 8].copy_from_slice(&ID.to_ne_bytes()));
    for (side, socket) in [writer, reader].into_iter().enumerate() {
        let cookie = socket_cookie(socket).map_err(|error| failed(error.into()))?;
        let start = 8 + side * END_BYTES;
        connection[start..start + 8].copy_from_slice(&NETNS.to_ne_bytes());
        let at = start + 48;
        connection[at..at + 8].copy_from_slice(&cookie.to_ne_bytes());
        let descriptor = u64::try_from(socket.as_raw_fd()).unwrap_or(u64::MAX);
        named_map(&loaded.object, "sockets")?
            .update(&cookie.to_ne_bytes(), &descriptor.to_ne_bytes(), MapFlags::ANY)
            .map_err(refused())?;
        let ends = named_map(&loaded.object, "ends")?;
        let mut end = vec![0; ends.value_size() as usize];
        end[..8].copy_from_slice(&ID.to_ne_bytes());
        end[8..12].copy_from_slice(&u32::try_from(side).unwrap_or(0).to_ne_bytes());
        end[END_TUPLE..END_TUPLE + 8].copy_from_slice(&NETNS.to_ne_bytes());
        ends.update(&socket.as_raw_fd().to_ne_bytes(), &end, MapFlags::ANY).map_err(refused())?;
    }
    named_map(&loaded.object, "connections")?
        .update(&ID.to_ne_bytes(), &connection, MapFlags::ANY)
        .map_err(refused())
}

/// Waits until the reader has something, and reads.
fn receive(reader: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let is_there = poll(&mut [PollFd::new(&*reader, PollFlags::IN)], Some(&PATIENCE))? > 0;
    if is_there { reader.read(buffer) } else { Err(ErrorKind::TimedOut.into()) }
}

fn sends(
    loaded: &Loaded,
    writer: &mut TcpStream,
    reader: &mut TcpStream,
) -> io::Result<Result<(), Error>> {
    let cannot = |what| Ok(Err(Error::Trial(what)));
    let before = counted(&loaded.object).sends;
    for byte in 0..=u8::try_from(READS_BEFORE).unwrap_or(u8::MAX) + 4 {
        writer.write_all(&[byte])?;
        let mut read = [0];
        receive(reader, &mut read)?;
        if read != [byte] {
            return cannot("keep redirected bytes in order");
        }
    }
    if counted(&loaded.object).sends == before {
        return cannot("redirect the bytes of a joined socket");
    }
    writer.write_all(b"abcde")?;
    if reader.peek(&mut [0; 5])? != 5 || ioctl_fionread(reader.as_fd())? != 5 {
        return cannot("count redirected bytes in FIONREAD, which programs such as nginx need");
    }
    let (chunk, mut written) = (vec![0; 64 << 10], 5);
    while written <= CHARGED_MAX {
        match writer.write(&chunk) {
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    if written > CHARGED_MAX {
        return cannot("charge redirected bytes to the receiver's buffer");
    }
    let (mut read, mut buffer) = (0, vec![0; 64 << 10]);
    while read < written {
        read += receive(reader, &mut buffer)?;
    }
    let mut joined = JoinedSockets::new(&loaded.object).map_err(io::Error::other)?;
    let reports = joined.reports().map_err(io::Error::other)?;
    let connections = Connections::new(&loaded.object).map_err(io::Error::other)?;
    let sent = connections.get(ID).map(|it| it.sent()[0]);
    match pairs(&reports).get(&ID) {
        Some([_, Some(reader)]) if reader.taken > 0 && sent == Some(reader.taken) => Ok(Ok(())),
        _ => cannot("count what is read past TCP"),
    }
}
