//! A socket of another process, for a moment.
//!
//! `pidfd_getfd` gives a descriptor of the same open file. While it is held, `close` by the program does not end the
//! connection, so it is held for a few system calls only, like the descriptors of `/proc/PID/fd`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::net::sockopt::socket_cookie;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::layout::{Socket, User};
use crate::sys;

/// Lets the program of a socket look at it again. One that is closed has none.
pub(crate) fn wake(socket: Socket) -> io::Result<()> {
    Borrowed::new(socket)?.wake()
}

/// A descriptor of a socket.
#[derive(Debug)]
pub(crate) struct Borrowed(OwnedFd);

impl Borrowed {
    /// # Errors
    ///
    /// The process is gone or may not be asked, or its descriptor is another file by now.
    pub(crate) fn new(Socket { cookie, user }: Socket) -> io::Result<Self> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let process = i32::try_from(user.process).ok().and_then(Pid::from_raw);
        let process = pidfd_open(process.ok_or_else(missing)?, PidfdFlags::empty())?;
        let descriptor = i32::try_from(user.descriptor).map_err(|_| missing())?;
        let socket = pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty())?;
        // Anything but a socket has no cookie.
        if socket_cookie(&socket)? != cookie {
            return Err(missing());
        }
        Ok(Self(socket))
    }

    /// Whether its calls wait.
    pub(crate) fn is_blocking(&self) -> bool {
        fcntl_getfl(&self.0).is_ok_and(|flags| !flags.contains(OFlags::NONBLOCK))
    }

    /// Lets those who wait for it look again, where bytes of TCP wait: edge-triggered ones, too.
    pub(crate) fn wake(&self) -> io::Result<()> {
        sys::renew_low_water_mark(self.0.as_fd())
    }
}

impl AsFd for Borrowed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
