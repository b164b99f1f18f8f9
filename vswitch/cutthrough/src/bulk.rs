//! Bulk senders: they never pause.
//!
//! A send goes past TCP only when all that was sent through TCP has been read. A sender that fills its buffer whenever there is
//! room in it never comes to that, and would stay with TCP for good. So its buffer is made as small as can be: it sends little
//! until the receiver has read everything, and its next send goes past TCP.
//!
//! ```text
//! --(half the receiver's buffer full, or many sends held back)--> small --(it has paused)--> as before
//!                                                                   |
//!          as before for a while, each time for longer <--(it does not pause: a slow reader)
//! ```
//!
//! Where the receiver's buffer is small and cannot grow, these turns never end, and gain nothing: the programs let such a
//! connection leave (`bpf/send.h`).

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use rustix::net::sockopt::socket_linger;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::borrow::Borrowed;
use crate::layout::{Report, Socket, User};
use crate::sys::sockopt::SendBuffer;

/// How long the buffer stays small at most, but for a look that comes late.
const SMALL_MAX: Duration = Duration::from_millis(50);
/// Time until it is tried again where it did not help: the first one, and the longest; each is twice the one before.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// Small buffers at a time: each is an open file of the switch.
const COUNT_MAX: usize = 256;
/// Bytes of a note: `struct send_buffer` of `bpf/layout.h`.
const NOTE_BYTES: usize = 24;

/// Those whose buffer is small, and those for which that did not help.
#[derive(Debug)]
pub(crate) struct BulkSenders {
    small: HashMap<u64, Small>,
    failed: HashMap<u64, Failed>,
    /// What the small buffers were before, by cookie, for the next switch after a kill.
    notes: MapHandle,
    /// The smallest buffer of this kernel.
    smallest: SendBuffer,
}

/// A socket whose buffer is small. It is held, so that it gets back what it had.
#[derive(Debug)]
struct Small {
    socket: Borrowed,
    before: SendBuffer,
    since: Duration,
    /// Its sends in a row that waited, at the last look.
    waits: u32,
}

/// A sender that did not pause.
#[derive(Debug)]
struct Failed {
    until: Duration,
    pause: Duration,
}

impl BulkSenders {
    /// None yet, with the map of the notes.
    ///
    /// # Errors
    ///
    /// The smallest buffer cannot be tried.
    pub(crate) fn new(notes: MapHandle) -> io::Result<Self> {
        let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        SendBuffer::SMALLEST.set(socket.as_fd())?;
        let smallest = SendBuffer::of(socket.as_fd())?;
        Ok(Self { small: HashMap::new(), failed: HashMap::new(), notes, smallest })
    }

    /// Gives back the buffers that a killed switch has made small.
    pub(crate) fn take_over(&self) {
        let cookies: Vec<Vec<u8>> = self.notes.keys().collect();
        for cookie in cookies {
            let noted = self.notes.lookup(&cookie, MapFlags::ANY).ok().flatten();
            if let Some((before, of)) = noted.and_then(|note| read(&cookie, &note))
                && let Ok(socket) = Borrowed::new(of)
            {
                self.restore(&socket, before);
            }
            let _ = self.notes.delete(&cookie);
        }
    }

    /// Whether a buffer is small.
    pub(crate) fn is_any(&self) -> bool {
        !self.small.is_empty()
    }

    /// Makes the buffer of a sender small, if it is not and that has not failed a moment ago. Says whether it did.
    pub(crate) fn shrink(&mut self, sender: Socket, now: Duration) -> bool {
        let cookie = sender.cookie;
        let is_failed = self.failed.get(&cookie).is_some_and(|it| now < it.until);
        if is_failed || self.small.contains_key(&cookie) || self.small.len() >= COUNT_MAX {
            return false;
        }
        match self.try_shrink(sender, now) {
            Some(it) => {
                self.small.insert(cookie, it);
                true
            }
            None => {
                fail(&mut self.failed, cookie, now);
                false
            }
        }
    }

    fn try_shrink(&self, sender: Socket, since: Duration) -> Option<Small> {
        let socket = Borrowed::new(sender).ok()?;
        // Its close is to wait, and does not while it is held (socket(7): SO_LINGER).
        if socket_linger(&socket).ok()?.is_some() {
            return None;
        }
        let before = SendBuffer::of(socket.as_fd()).ok()?;
        let key = sender.cookie.to_ne_bytes();
        self.notes.update(&key, &note(before, sender.user), MapFlags::ANY).ok()?;
        if SendBuffer::SMALLEST.set(socket.as_fd()).is_err() {
            self.restore(&socket, before);
            let _ = self.notes.delete(&key);
            return None;
        }
        Some(Small { socket, before, since, waits: 0 })
    }

    /// Gives back the buffers of those that have paused, or do not. To be called at each look, with the sockets that may
    /// be joined for long.
    pub(crate) fn look(&mut self, reports: &[Report], now: Duration) {
        self.failed.retain(|_, it| now < it.until + AGAIN_MAX);
        if self.small.is_empty() {
            return;
        }
        let by_end: HashMap<(u64, bool), &Report> =
            reports.iter().map(|it| ((it.id, it.is_server), it)).collect();
        let by_cookie: HashMap<u64, &Report> = reports.iter().map(|it| (it.cookie, it)).collect();
        for (cookie, mut it) in std::mem::take(&mut self.small) {
            let report = by_cookie.get(&cookie);
            let reader = report.and_then(|it| by_end.get(&(it.id, !it.is_server)));
            let has_paused = report.is_none_or(|report| it.has_paused(report, reader.copied()));
            if !has_paused && now.saturating_sub(it.since) < SMALL_MAX {
                self.small.insert(cookie, it);
                continue;
            }
            self.end(cookie, &it);
            if has_paused {
                self.failed.remove(&cookie);
            } else {
                fail(&mut self.failed, cookie, now);
            }
        }
    }

    /// Gives back all buffers: nobody can be looked at.
    pub(crate) fn end_all(&mut self, now: Duration) {
        for (cookie, it) in std::mem::take(&mut self.small) {
            self.end(cookie, &it);
            fail(&mut self.failed, cookie, now);
        }
    }

    fn end(&self, cookie: u64, it: &Small) {
        self.restore(&it.socket, it.before);
        let _ = self.notes.delete(&cookie.to_ne_bytes());
    }

    /// Gives a socket back its buffer. A program that has set another size meanwhile keeps it.
    fn restore(&self, socket: &Borrowed, before: SendBuffer) {
        let own = [self.smallest, before.locked()];
        if SendBuffer::of(socket.as_fd()).is_ok_and(|it| own.contains(&it)) {
            let _ = before.set(socket.as_fd());
        }
    }
}

impl Small {
    /// Whether a send has gone past TCP since the last look, or the next one may.
    fn has_paused(&mut self, own: &Report, reader: Option<&Report>) -> bool {
        let before = std::mem::replace(&mut self.waits, own.waits);
        let is_read = !own.is_tcp_sending && reader.is_none_or(|it| !it.is_tcp_unread);
        own.waits == 0 || own.waits < before || is_read
    }
}

impl Drop for BulkSenders {
    fn drop(&mut self) {
        self.end_all(Duration::ZERO);
    }
}

fn fail(failed: &mut HashMap<u64, Failed>, cookie: u64, now: Duration) {
    let pause = failed.get(&cookie).map_or(AGAIN, |it| AGAIN_MAX.min(it.pause * 2));
    failed.insert(cookie, Failed { until: now + pause, pause });
}

/// A note: what a buffer was, and who uses the socket.
fn note(before: SendBuffer, user: User) -> [u8; NOTE_BYTES] {
    let mut bytes = [0; NOTE_BYTES];
    bytes[..8].copy_from_slice(&before.to_bytes());
    let words = [user.process, user.thread, user.descriptor].map(u32::to_ne_bytes);
    bytes[8..20].copy_from_slice(words.as_flattened());
    bytes
}

/// See [`note`].
fn read(cookie: &[u8], note: &[u8]) -> Option<(SendBuffer, Socket)> {
    let cookie = u64::from_ne_bytes(cookie.try_into().ok()?);
    let before = SendBuffer::of_bytes(note.get(..8)?.try_into().ok()?);
    let word = |at: usize| Some(u32::from_ne_bytes(note.get(at..at + 4)?.try_into().ok()?));
    let user = User { process: word(8)?, thread: word(12)?, descriptor: word(16)? };
    Some((before, Socket { cookie, user }))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use libbpf_rs::MapType;
    use libbpf_sys::bpf_map_create_opts;
    use rustix::net::sockopt::{set_socket_linger, set_socket_send_buffer_size, socket_cookie};

    use super::*;
    use crate::layout::User;

    const LOOK: Duration = Duration::from_millis(5);

    /// A connected socket of this process, how it is reported, and its peer.
    fn sender() -> (TcpStream, Report, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = listener.accept().unwrap().0;
        let descriptor = socket.as_raw_fd().unsigned_abs();
        let user = User { process: std::process::id(), descriptor, ..User::default() };
        let cookie = socket_cookie(&socket).unwrap();
        let report = Report { cookie, user, waits: 16, is_tcp_sending: true, ..Report::default() };
        (socket, report, peer)
    }

    fn buffer(socket: &TcpStream) -> SendBuffer {
        SendBuffer::of(socket.as_fd()).unwrap()
    }

    /// The map of the programs.
    fn notes() -> MapHandle {
        let sz = size_of::<bpf_map_create_opts>() as libbpf_sys::size_t;
        let opts = bpf_map_create_opts { sz, ..Default::default() };
        let bytes = NOTE_BYTES as u32;
        MapHandle::create(MapType::Hash, Some("buffers"), 8, bytes, 8, &opts).unwrap()
    }

    fn bulk(notes: &MapHandle) -> BulkSenders {
        BulkSenders::new(MapHandle::try_from(notes).unwrap()).unwrap()
    }

    #[test]
    fn a_sender_that_pauses_gets_back_its_buffer() {
        let (socket, report, _peer) = sender();
        let (before, notes) = (buffer(&socket), notes());
        let (mut bulk, now) = (bulk(&notes), Duration::from_secs(1));
        let reader = Report { cookie: report.cookie + 1, is_server: true, ..Report::default() };
        let waiting = Report { is_tcp_unread: true, ..reader };
        assert!(bulk.shrink(report.socket(), now) && !bulk.shrink(report.socket(), now));
        for look in 1..3 {
            bulk.look(&[Report { waits: look, ..report }, reader], now + look * LOOK);
            assert!(bulk.is_any() && buffer(&socket) != before, "it sends through TCP still");
        }
        bulk.look(&[Report { waits: 2, is_tcp_sending: false, ..report }, waiting], now + 3 * LOOK);
        assert!(bulk.is_any(), "TCP has delivered it, but it is not read");
        let read = [Report { is_tcp_sending: false, ..report }, reader];
        let past = [Report { waits: 1, ..report }, waiting];
        let now_past = [Report { waits: 0, ..report }, waiting];
        for reports in [&past[..], &read, &now_past, &[]] {
            bulk.look(reports, now + 4 * LOOK);
            assert_eq!((bulk.is_any(), buffer(&socket)), (false, before), "{reports:?}");
            assert!(bulk.shrink(report.socket(), now), "it helped, so it is done again at once");
        }
        drop(bulk);
        assert_eq!((buffer(&socket), notes.keys().count()), (before, 0), "the switch ends");
    }

    #[test]
    fn one_that_does_not_pause_is_left_alone_for_ever_longer() {
        let (socket, report, _peer) = sender();
        let (before, notes) = (buffer(&socket), notes());
        let (mut bulk, mut now) = (bulk(&notes), Duration::from_secs(1));
        for pause in [AGAIN, 2 * AGAIN, 4 * AGAIN] {
            assert!(bulk.shrink(report.socket(), now), "{pause:?}");
            now += SMALL_MAX;
            bulk.look(&[report], now);
            assert!(!bulk.shrink(report.socket(), now + pause - LOOK));
            assert_eq!((bulk.is_any(), buffer(&socket)), (false, before));
            now += pause;
        }
        assert!(bulk.shrink(report.socket(), now));
        bulk.end_all(now);
        assert_eq!((bulk.is_any(), buffer(&socket)), (false, before));
        assert!(!bulk.shrink(report.socket(), now), "nobody can say whether it helps");
    }

    #[test]
    fn a_switch_gives_back_what_a_killed_one_has_made_small() {
        let (socket, report, _peer) = sender();
        let (before, notes) = (buffer(&socket), notes());
        let kill = || {
            let mut killed = bulk(&notes);
            assert!(killed.shrink(report.socket(), Duration::from_secs(1)));
            std::mem::forget(killed);
            assert_ne!(buffer(&socket), before);
        };
        kill();
        bulk(&notes).take_over();
        assert_eq!((buffer(&socket), notes.keys().count()), (before, 0));
        kill();
        before.locked().set(socket.as_fd()).unwrap();
        bulk(&notes).take_over();
        assert_eq!(buffer(&socket), before, "it was killed between two calls");
        kill();
        drop(socket);
        bulk(&notes).take_over();
        assert_eq!(notes.keys().count(), 0);
    }

    #[test]
    fn what_a_program_sets_meanwhile_stays() {
        let (socket, report, _peer) = sender();
        let mut bulk = bulk(&notes());
        assert!(bulk.shrink(report.socket(), Duration::from_secs(1)));
        set_socket_send_buffer_size(&socket, 100_000).unwrap();
        let own = buffer(&socket);
        drop(bulk);
        assert_eq!(buffer(&socket), own);
    }

    #[test]
    fn sockets_that_linger_and_those_of_others_are_left_alone() {
        let (socket, report, _peer) = sender();
        let (before, notes) = (buffer(&socket), notes());
        let (mut bulk, now) = (bulk(&notes), Duration::from_secs(1));
        assert!(!bulk.shrink(Socket { cookie: report.cookie + 1, ..report.socket() }, now));
        set_socket_linger(&socket, Some(Duration::from_secs(3))).unwrap();
        assert!(!bulk.shrink(report.socket(), now));
        assert_eq!((bulk.is_any(), buffer(&socket), notes.keys().count()), (false, before, 0));
    }
}
