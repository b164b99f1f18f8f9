//! What goes wrong with a connection.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// Why an end of a connection stopped.
#[derive(Debug)]
pub(super) enum Fault {
    /// Bytes are wrong, missing or too many.
    Corrupt(String),
    /// The stream ended early: that is corrupt, unless the other end was killed.
    Short(String),
    /// A call made no progress for the time limit.
    Stuck(String),
    /// The same, and the socket has neither bytes nor an end: right where the other end has reset the connection, since a
    /// reset is sent once and may be lost.
    Silent(String),
    /// The other end reset the connection, or it does not listen.
    Gone(String),
    /// Anything else.
    Error(String),
}

impl Fault {
    /// The fault of a system call at an offset of its stream.
    pub(super) fn of(call: &str, at: usize, errno: Errno) -> Self {
        let text = format!("{call} at offset {at}: {errno}");
        match errno {
            Errno::AGAIN | Errno::INPROGRESS => {
                Self::Stuck(format!("waits in {call} at offset {at}"))
            }
            Errno::CONNRESET | Errno::PIPE | Errno::CONNREFUSED | Errno::NOTCONN => {
                Self::Gone(text)
            }
            _ => Self::Error(text),
        }
    }

    /// The fault of a call that began at `start`: `EAGAIN` long before the limit is not that of a timeout.
    pub(super) fn timed(self, start: Instant, limit: Duration) -> Self {
        match self {
            Self::Stuck(text) if start.elapsed() < limit / 2 => {
                Self::Error(format!("EAGAIN at once: {text}"))
            }
            other => other,
        }
    }

    /// Whether the death of the other end explains it.
    pub(super) fn is_of_death(&self) -> bool {
        matches!(self, Self::Short(_) | Self::Silent(_) | Self::Gone(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(text) | Self::Short(text) => write!(f, "corrupt {text}"),
            Self::Stuck(text) | Self::Silent(text) => write!(f, "stuck {text}"),
            Self::Gone(text) | Self::Error(text) => write!(f, "error {text}"),
        }
    }
}
