//! A socket of another process, for a moment.
//!
//! `pidfd_getfd` gives a descriptor of the same open file. While it is held, `close` by the program does not end the
//! connection, so it is held for a few system calls only, but by `bulk.rs`, like the descriptors of `/proc/PID/fd`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt::{set_socket_linger, socket_cookie, socket_linger};
use rustix::net::{Shutdown, getsockname, shutdown};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::layout::{Socket, User};
use crate::sys::sockopt;

/// Lets the program of a socket look at it again. One that is closed has none.
pub(crate) fn wake(socket: Socket) -> io::Result<()> {
    Borrowed::new(socket)?.wake()
}

/// A descriptor of a socket.
#[derive(Debug)]
pub(crate) struct Borrowed {
    socket: OwnedFd,
    of: Socket,
}

impl Borrowed {
    /// # Errors
    ///
    /// The process is gone or may not be asked, or its descriptor is another file by now.
    pub(crate) fn new(of: Socket) -> io::Result<Self> {
        Ok(Self { socket: descriptor(of)?, of })
    }

    /// Whether its calls wait.
    pub(crate) fn is_blocking(&self) -> bool {
        fcntl_getfl(&self.socket).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK))
    }

    /// Lets those who wait for it look again, edge-triggered ones, too: where bytes of TCP or an end wait, or a reset that its
    /// program does not know yet. One that comes after this is an edge of its own.
    pub(crate) fn wake(&self) -> io::Result<()> {
        if self.is_reset()? {
            // The kernel wakes all that wait at a `shutdown`, which changes nothing else in a socket that was reset. It says
            // ENOTCONN.
            let _ = shutdown(&self.socket, Shutdown::Read);
            return Ok(());
        }
        sockopt::renew_low_water_mark(self.socket.as_fd())
    }

    /// Whether the other end has reset it, and its program does not know yet. One that was disconnected by its program has
    /// neither an error nor an end.
    fn is_reset(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec::default()))?;
        let reset = PollFlags::ERR | PollFlags::RDHUP;
        if !fds[0].revents().contains(reset) || !sockopt::is_closed(self.socket.as_fd())? {
            return Ok(false);
        }
        let local = SocketAddr::try_from(getsockname(&self.socket)?)?;
        Ok(!local.ip().is_unspecified())
    }
}

/// The same open file as the descriptor of its user.
fn descriptor(Socket { cookie, user }: Socket) -> io::Result<OwnedFd> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let process = i32::try_from(user.process).ok().and_then(Pid::from_raw);
    let process = pidfd_open(process.ok_or_else(missing)?, PidfdFlags::empty())?;
    let descriptor = i32::try_from(user.descriptor).map_err(|_| missing())?;
    let socket = pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty())?;
    // Anything but a socket has no cookie.
    if socket_cookie(&socket)? != cookie {
        return Err(missing());
    }
    Ok(socket)
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // If its program has closed its own meanwhile, this close ends the connection, and would wait (socket(7): SO_LINGER).
        let lingers =
            socket_linger(&self.socket).is_ok_and(|it| it.is_some_and(|it| !it.is_zero()));
        if lingers && descriptor(self.of).is_err() {
            let _ = set_socket_linger(&self.socket, None);
        }
    }
}

impl AsFd for Borrowed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether a thread sleeps. One that is gone does not run, either.
pub(crate) fn is_asleep(user: User) -> bool {
    let path = format!("/proc/{}/task/{}/stat", user.process, user.thread);
    let Ok(stat) = std::fs::read_to_string(path) else { return true };
    // The name of the program, in brackets, may have brackets and spaces itself.
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    state != Some('R')
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    use rustix::net::connect_unspec;

    use super::*;

    fn pair() -> [TcpStream; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        [one, listener.accept().unwrap().0]
    }

    fn of(socket: &TcpStream) -> Socket {
        let descriptor = socket.as_raw_fd().unsigned_abs();
        let user = User { process: std::process::id(), descriptor, ..User::default() };
        Socket { cookie: socket_cookie(socket).unwrap(), user }
    }

    /// Edges of a socket.
    struct Edges(OwnedFd);

    impl Edges {
        fn of(socket: &TcpStream) -> Self {
            let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
            let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, socket, EventData::new_u64(0), events).unwrap();
            Self(epoll)
        }

        /// The events of the next one, for at most a while.
        fn next(&self, millis: i64) -> EventFlags {
            let limit = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
            let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
            let buffer = rustix::buffer::spare_capacity(&mut events);
            epoll::wait(&self.0, buffer, Some(&limit)).unwrap();
            events.first().map_or(EventFlags::empty(), |it| it.flags)
        }
    }

    #[test]
    fn those_who_wait_for_bytes_an_end_or_a_reset_get_an_edge() {
        let [mut socket, mut peer] = pair();
        let edges = Edges::of(&socket);
        wake(of(&socket)).unwrap();
        assert!(edges.next(20).is_empty(), "nothing waits");
        peer.write_all(b"x").unwrap();
        assert!(edges.next(900).contains(EventFlags::IN));
        assert!(edges.next(20).is_empty());
        wake(of(&socket)).unwrap();
        assert!(edges.next(900).contains(EventFlags::IN));
        socket.read_exact(&mut [0]).unwrap();
        set_socket_linger(&peer, Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        assert!(edges.next(900).contains(EventFlags::ERR));
        assert!(edges.next(20).is_empty());
        wake(of(&socket)).unwrap();
        assert!(edges.next(900).contains(EventFlags::ERR));

        let [socket, peer] = pair();
        let edges = Edges::of(&socket);
        drop(peer);
        assert!(edges.next(900).contains(EventFlags::RDHUP));
        wake(of(&socket)).unwrap();
        assert!(edges.next(900).contains(EventFlags::RDHUP));
    }

    #[test]
    fn a_socket_that_was_disconnected_can_be_used_again() {
        let [socket, _peer] = pair();
        connect_unspec(&socket).unwrap();
        wake(of(&socket)).unwrap();
        let mut fds = [PollFd::new(&socket, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec::default())).unwrap();
        assert!(!fds[0].revents().contains(PollFlags::RDHUP), "it has no end");
    }

    #[test]
    fn a_descriptor_that_is_another_file_is_not_believed() {
        let [socket, peer] = pair();
        let wrong = Socket { cookie: socket_cookie(&peer).unwrap(), ..of(&socket) };
        assert!(Borrowed::new(wrong).is_err() && Borrowed::new(of(&socket)).is_ok());
    }
}
