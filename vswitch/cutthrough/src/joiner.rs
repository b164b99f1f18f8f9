//! Joins sockets, and lets connections go back to TCP: a thread that the programs wake.
//!
//! ```text
//! handshake allowed --(16 plain reads; both users known)--> ready --(both do not block, ...)--> joined
//!                                                                                                 |
//! plain TCP again <--(all redirected bytes are read)-- leaving <--(urgent data, other reads,------+
//!                                                                  a stalled reader, too small a buffer,
//!                                                                  detach, down)
//! ```
//!
//! The thread sleeps until the programs tell something. While sends are held back it looks at the joined sockets every
//! few milliseconds ([`Stalled`]), and never for more than a part of a processor.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libbpf_rs::{MapHandle, Object, RingBufferBuilder};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::borrow::{Borrowed, wake};
use crate::bulk::BulkSenders;
use crate::clock::{monotonic, worked};
use crate::connections::Connections;
use crate::draining::{Draining, pairs};
use crate::grace::Grace;
use crate::joined::JoinedSockets;
use crate::layout::{Connection, Counters, Event, Report, Socket};
use crate::load::{map_handle, named_map};
use crate::pace::Pace;
use crate::shared::Words;
use crate::splice::Splicers;
use crate::stalled::Stalled;
use crate::{Error, Guards, sys};

/// What others ask the thread.
enum Ask {
    /// These connections leave.
    Leave(Vec<u64>),
    /// All leave; the answer is how many sockets are still joined when they have, or at that time.
    LeaveAll(Duration, SyncSender<usize>),
    End,
}

/// The thread, as others see it.
#[derive(Debug)]
pub(crate) struct Joiner {
    shared: Arc<Shared>,
    ask: Sender<Ask>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    wake: OwnedFd,
    joined: Mutex<HashSet<u64>>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    left: AtomicU64,
    left_alone: AtomicU64,
    failed: AtomicU64,
    woken: AtomicU64,
}

impl Joiner {
    pub(crate) fn start(object: &Object, guards: Guards) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Kernel {
            step: "the thread that joins sockets cannot be started",
            reason: error.to_string(),
        };
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let wake = wake.map_err(|errno| failed(errno.into()))?;
        let shared = Arc::new(Shared { wake, joined: Mutex::default(), counts: Counts::default() });
        let (ask, asked) = channel();
        let events = map_handle(object, "events")?;
        let bulk = BulkSenders::new(map_handle(object, "buffers")?).map_err(failed)?;
        let watch = Words::of_map(named_map(object, "watch")?.as_fd(), 2)?;
        let work = Work {
            shared: Arc::clone(&shared),
            joined: JoinedSockets::new(object)?,
            connections: Connections::new(object)?,
            grace: Grace::new()?,
            watch,
            asked,
            splicers: guards.splice.then(Splicers::default),
            draining: Draining::default(),
            stalled: Stalled::default(),
            bulk,
            pace: Pace::default(),
            ending: None,
        };
        let thread = std::thread::Builder::new()
            .name("cut-through".into())
            .spawn(move || work.run(&events))
            .map_err(failed)?;
        Ok(Self { shared, ask, thread: Some(thread) })
    }

    /// The ids of the joined connections.
    pub(crate) fn joined(&self) -> Vec<u64> {
        self.shared.joined().iter().copied().collect()
    }

    /// Lets connections go back to TCP.
    pub(crate) fn leave(&self, ids: Vec<u64>) {
        self.ask(Ask::Leave(ids));
    }

    /// Lets all go back to TCP, for at most so long. Gives the number of sockets that are still joined.
    pub(crate) fn leave_all(&self, patience: Duration) -> usize {
        let (answer, answered) = sync_channel(1);
        self.ask(Ask::LeaveAll(monotonic() + patience, answer));
        // A thread that has ended has let nothing leave.
        answered.recv().unwrap_or(1)
    }

    /// Adds what the thread has counted.
    pub(crate) fn count(&self, counters: &mut Counters) {
        let counts = &self.shared.counts;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        counters.connections = of(&counts.connections);
        counters.left = of(&counts.left);
        counters.left_alone = of(&counts.left_alone);
        counters.failed = of(&counts.failed);
        counters.woken = of(&counts.woken);
    }

    fn ask(&self, ask: Ask) {
        // A thread that has ended has dropped its answer, too.
        let _ = self.ask.send(ask);
        let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Joiner {
    fn drop(&mut self) {
        self.ask(Ask::End);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn joined(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// The thread itself.
struct Work {
    shared: Arc<Shared>,
    joined: JoinedSockets,
    connections: Connections,
    grace: Grace,
    watch: Words,
    asked: Receiver<Ask>,
    splicers: Option<Splicers>,
    draining: Draining,
    stalled: Stalled,
    bulk: BulkSenders,
    pace: Pace,
    ending: Option<(Duration, SyncSender<usize>)>,
}

impl Work {
    fn run(mut self, events: &MapHandle) {
        let told = Rc::new(RefCell::new(Vec::new()));
        let push = Rc::clone(&told);
        let mut rings = RingBufferBuilder::new();
        let added = rings.add(events, move |bytes| {
            push.borrow_mut().extend(Event::read(bytes));
            0
        });
        if added.is_err() {
            return;
        }
        let Ok(ring) = rings.build() else { return };
        self.take_over();
        let ring_ready = sys::ready(&ring);
        loop {
            self.wait(ring_ready);
            let _ = ring.consume();
            let told = std::mem::take(&mut *told.borrow_mut());
            self.events(&told);
            // The ring had no room for some.
            if self.watch.all()[1].swap(0, Ordering::AcqRel) != 0 {
                self.leave_all_leaving();
            }
            if !self.answers() {
                return;
            }
            let now = monotonic();
            if self.has_to_look() && now >= self.pace.next() {
                let before = worked();
                self.look(now);
                self.pace.rest(monotonic(), worked() - before, self.bulk.is_any());
            }
        }
    }

    /// What a former switch has left: its joined sockets, and connections that it was about to let leave.
    fn take_over(&mut self) {
        self.pace.watch_closely(monotonic());
        self.bulk.take_over();
        self.look(monotonic());
        self.leave_all_leaving();
    }

    fn leave_all_leaving(&mut self) {
        let ids = self.connections.ids(|it| it.is_leaving);
        self.leave(&ids);
    }

    fn has_to_look(&self) -> bool {
        !self.joined.is_empty() && self.pace.is_watching(monotonic())
            || !self.draining.is_empty()
            || self.ending.is_some()
            || self.bulk.is_any()
    }

    /// Until the programs or others want something, or it is time to look.
    fn wait(&self, ring: BorrowedFd<'_>) {
        let left = self.pace.next().saturating_sub(monotonic());
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [
            PollFd::from_borrowed_fd(ring, PollFlags::IN),
            PollFd::new(&self.shared.wake, PollFlags::IN),
        ];
        let _ = poll(&mut fds, self.has_to_look().then_some(&limit));
        let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
    }

    fn events(&mut self, told: &[Event]) {
        let mut leave = Vec::new();
        for event in told {
            match *event {
                Event::Ready(id) => self.join(id),
                Event::Leave(id) => leave.push(id),
                Event::ThroughTcp => self.pace.watch_closely(monotonic()),
                Event::Bulk { id, is_server } => self.make_pause(id, is_server),
            }
        }
        self.leave(&leave);
    }

    /// Does what others have asked. False at the end.
    fn answers(&mut self) -> bool {
        loop {
            match self.asked.try_recv() {
                Ok(Ask::Leave(ids)) => self.leave(&ids),
                Ok(Ask::LeaveAll(until, answer)) => {
                    let ids = self.connections.ids(|_| true);
                    self.leave(&ids);
                    self.ending = Some((until, answer));
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Ask::End) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Joins the two sockets of a connection, if their programs can do with what the kernel does for such sockets.
    fn join(&mut self, id: u64) {
        if self.ending.is_some() {
            return;
        }
        let Some(connection) = self.connections.get(id) else { return };
        // What TCP has brought or brings is not announced by the programs.
        self.pace.watch_closely(monotonic());
        match self.try_join(id, &connection) {
            Ok(true) => {
                self.shared.joined().insert(id);
                count(&self.shared.counts.connections, 1);
            }
            Ok(false) => count(&self.shared.counts.left_alone, 1),
            Err(_) => count(&self.shared.counts.failed, 1),
        }
    }

    fn try_join(&mut self, id: u64, connection: &Connection) -> io::Result<bool> {
        let Connection { client, server, .. } = connection;
        let processes = [client.user.process, server.user.process];
        let mut splicers = self.splicers.as_mut();
        let mut may_splice = |it| splicers.as_mut().is_some_and(|files| files.may_splice(it));
        if processes.into_iter().any(&mut may_splice) {
            return Ok(false);
        }
        let ends = [client, server];
        let [one, other] = connection.sockets().map(Borrowed::new);
        let sockets = [one?, other?];
        if sockets.iter().any(Borrowed::is_blocking) {
            return Ok(false);
        }
        // A socket that was disconnected may have another connection by now.
        let connection = self.connections.get(id);
        if connection.is_none_or(|it| it.is_leaving) || self.draining.has(id) {
            return Ok(false);
        }
        for (end, socket) in ends.into_iter().zip(&sockets) {
            if let Err(error) = self.joined.put(end.cookie, socket) {
                self.joined.take_out(client.cookie);
                let _ = sockets[0].wake();
                return Err(io::Error::other(error));
            }
        }
        Ok(true)
    }

    /// Has a sender pause that does not come past TCP otherwise.
    fn make_pause(&mut self, id: u64, is_server: bool) {
        let connection = self.connections.get(id).filter(|it| !it.is_leaving);
        if let Some(connection) = connection
            && self.ending.is_none()
        {
            let now = monotonic();
            if self.bulk.shrink(connection.sockets()[usize::from(is_server)], now) {
                self.pace.watch_closely(now);
            }
        }
    }

    fn leave(&mut self, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let (joined, plain): (Vec<u64>, Vec<u64>) = {
            let joined = self.shared.joined();
            ids.iter().copied().partition(|id| joined.contains(id))
        };
        plain.into_iter().for_each(|id| self.connections.forget(id));
        if joined.is_empty() {
            return;
        }
        self.connections.end_redirects(joined.iter().copied());
        self.grace.wait();
        for id in joined {
            if let Some(connection) = self.connections.get(id) {
                self.draining.add(id, connection.sockets(), connection.sent());
            }
        }
    }

    /// Looks at all joined sockets.
    fn look(&mut self, now: Duration) {
        let Ok(reports) = self.joined.reports() else { return self.cannot_look(now) };
        let pairs = pairs(&reports);
        for (id, pair) in &pairs {
            // One whose other end is closed has nothing more to redirect, nor has anybody at the end.
            if let [Some(one), other] | [other, Some(one)] = pair
                && (other.is_none() || self.ending.is_some())
            {
                let sockets = pair.map(|it| it.as_ref().unwrap_or(one).socket());
                // Nothing was sent to a socket that has had another connection before, and is in the map for that.
                let sent = self.connections.get(*id).map_or([0, 0], |it| it.sent());
                self.draining.add(*id, sockets, sent);
            }
        }
        let (out, left) = self.draining.take_out(&self.joined, &pairs, now);
        count(&self.shared.counts.left, left.len() as u64);
        left.into_iter().for_each(|id| self.connections.forget(id));
        out.into_iter().for_each(|socket| self.wake_plain(socket, &reports));
        let staying: Vec<Report> =
            reports.iter().filter(|it| !self.draining.has(it.id)).copied().collect();
        self.bulk.look(&staying, now);
        let stalled = self.stalled.find(&reports, now);
        let woken = stalled.iter().filter(|report| wake(report.socket()).is_ok()).count();
        count(&self.shared.counts.woken, woken as u64);
        let ids: Vec<u64> = stalled.iter().map(|report| report.id).collect();
        self.leave(&ids);
        *self.shared.joined() = pairs.into_keys().collect();
        if let Some((until, answer)) = &self.ending
            && (reports.is_empty() || now > *until)
        {
            let _ = answer.send(reports.len());
            self.ending = None;
        }
        let is_busy = !self.draining.is_empty() || self.bulk.is_any();
        if self.pace.looked(reports, is_busy, now) {
            self.watch.all()[0].store(0, Ordering::Relaxed);
        }
    }

    /// Lets the program of a socket that has left look once more: FIONREAD may have missed bytes of TCP until now.
    fn wake_plain(&self, socket: Socket, reports: &[Report]) {
        let report = reports.iter().find(|it| it.cookie == socket.cookie);
        let _ = wake(report.map_or(socket, Report::socket));
    }

    /// What remains to be done where the state of joined sockets cannot be had.
    fn cannot_look(&mut self, now: Duration) {
        self.bulk.end_all(now);
        if let Some((until, answer)) = &self.ending
            && now > *until
        {
            let _ = answer.send(1);
            self.ending = None;
        }
    }
}
