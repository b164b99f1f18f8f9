//! What control asks of a worker.

use std::io;
use std::os::fd::OwnedFd;

use fastpath::{Nanos, PortIndex, PortQueue};
use tokio::sync::oneshot;

use super::{Worker, WorkerReport, io};
use crate::datapath::{FdbRow, PortCounters, Snapshot};

/// One request; the answer comes through the channel in it.
pub(crate) enum Command {
    AddPort {
        port: PortIndex,
        queue: OwnedFd,
        reply: oneshot::Sender<io::Result<()>>,
    },
    /// The answer: what it counted, and its queue, for the asker to close.
    RemovePort {
        port: PortIndex,
        reply: oneshot::Sender<Removed>,
    },
    /// An Ethernet frame, as if it came in on the port. The answer: whether there was a buffer.
    Inject {
        port: PortIndex,
        frame: Vec<u8>,
        reply: oneshot::Sender<bool>,
    },
    Report {
        reply: oneshot::Sender<WorkerReport>,
    },
    Fdb {
        reply: oneshot::Sender<Vec<FdbRow>>,
    },
    /// Connections, as many as are listed at a time.
    Conntrack {
        reply: oneshot::Sender<Vec<nat::Row>>,
    },
    /// Goes on with ending the connections that the filter says, or begins. The answer: how far it is; none
    /// where nothing is translated.
    ConntrackFlush {
        flushing: Option<nat::Flushing>,
        filter: ConntrackFilter,
        reply: oneshot::Sender<Option<(nat::Flushing, bool)>>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// Which connections are meant.
pub(crate) type ConntrackFilter = Box<dyn Fn(&nat::Row) -> bool + Send>;

/// A port that is out of a worker's hands.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) counters: PortCounters,
    pub(crate) queue: Option<OwnedFd>,
}

impl Worker {
    /// Does all that was asked for. Whoever no longer waits for an answer gets none.
    pub(super) fn handle_commands(&mut self, now: Nanos, snapshot: &Snapshot) {
        while let Some(command) = self.commands.pop() {
            match command {
                Command::AddPort { port, queue, reply } => {
                    let _ = reply.send(self.add_port(port, queue));
                }
                Command::RemovePort { port, reply } => self.remove_port(port, reply),
                Command::Inject { port, frame, reply } => {
                    let frame = self.pool.alloc_with(&frame);
                    let _ = reply.send(frame.is_some());
                    if let Some(frame) = frame {
                        self.stats.counters.generated += 1;
                        self.batch.push(port, frame);
                    }
                }
                Command::Report { reply } => {
                    let _ = reply.send(self.report());
                }
                Command::Fdb { reply } => {
                    let _ = reply.send(self.state.fdb.rows(now.seconds(), snapshot));
                }
                Command::Conntrack { reply } => {
                    let router = self.state.router.as_ref();
                    let rows = router.map(|router| router.connections().collect());
                    let _ = reply.send(rows.unwrap_or_default());
                }
                Command::ConntrackFlush { flushing, filter, reply } => {
                    let router = self.state.router.as_mut();
                    let _ = reply.send(router.map(|router| router.flush(flushing, filter)));
                }
                Command::Stop { reply } => self.stop = Some(reply),
            }
        }
    }

    fn add_port(&mut self, port: PortIndex, queue: OwnedFd) -> io::Result<()> {
        // Other workers may have handed off frames of whoever had the slot until now, after it was closed here.
        self.state.forget_port(port, &mut io!(self));
        let before = self.port_counters(port);
        self.engine.attach(port, PortQueue::Tap(queue))?;
        self.retired += before;
        self.stats.forget(port);
        self.open.push(port);
        Ok(())
    }

    fn remove_port(&mut self, port: PortIndex, reply: oneshot::Sender<Removed>) {
        if self.open.contains(&port) {
            self.closing.push((port, reply));
            self.engine.detach(port);
        } else {
            let _ = reply.send(Removed::default());
        }
    }
}
