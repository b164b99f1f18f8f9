//! Commands of control to a worker.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use fastpath::{Nanos, PortIndex, PortQueue};
use tokio::sync::oneshot;

use super::{Worker, WorkerReport, io};
use crate::datapath::{Egress, FdbRow, PortConf, PortCounters, Snapshot};

/// Command with a channel for its reply.
pub(crate) enum Command {
    AddPort {
        port: PortIndex,
        queue: PortQueue,
        reply: oneshot::Sender<io::Result<()>>,
    },
    /// Replies with the port's counters and its queue, which the caller closes.
    RemovePort {
        port: PortIndex,
        reply: oneshot::Sender<Removed>,
    },
    /// Injects an Ethernet frame at ingress of the port. Replies false without a free buffer.
    Inject {
        port: PortIndex,
        frame: Vec<u8>,
        reply: oneshot::Sender<bool>,
    },
    /// Sends an untagged Ethernet frame out of the port, if it is open and carries such.
    Send {
        port: PortIndex,
        frame: Vec<u8>,
        reply: oneshot::Sender<()>,
    },
    Report {
        reply: oneshot::Sender<WorkerReport>,
    },
    Fdb {
        reply: oneshot::Sender<Vec<FdbRow>>,
    },
    /// Connections, bounded by `CONNTRACK_ROWS_MAX`.
    Conntrack {
        reply: oneshot::Sender<Vec<nat::Row>>,
    },
    /// Starts or continues to flush connections that match the filter. Replies with its progress; `None`
    /// without a router.
    ConntrackFlush {
        flushing: Option<nat::Flushing>,
        filter: ConntrackFilter,
        reply: oneshot::Sender<Option<(nat::Flushing, bool)>>,
    },
    /// Refuses flows of protocols without ports to containers for a while: remotes and protocol numbers.
    RefusePortless(Arc<[(IpAddr, u8)]>),
    /// Says that NICs hand over what comes for such flows.
    AdmitPortless(Arc<[(IpAddr, u8)]>),
    /// Adds blocks of SNAT ports that were claimed, and says how many there may be. Replies false without a router.
    ClaimBlocks {
        blocks: ClaimedBlocks,
        reply: oneshot::Sender<bool>,
    },
    /// Takes blocks of a transport that have been empty for two of these commands. Replies with their first ports.
    CollectBlocks {
        transport: nat::Transport,
        reply: oneshot::Sender<Vec<u16>>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// Blocks of SNAT ports for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedBlocks {
    pub(crate) transport: nat::Transport,
    /// `None`: no answer to a request; only the number below may have changed.
    pub(crate) first_ports: Option<Vec<u16>>,
    /// Blocks that the worker may have in all.
    pub(crate) obtainable: usize,
}

/// Selects connections.
pub(crate) type ConntrackFilter = Box<dyn Fn(&nat::Row) -> bool + Send>;

/// Port that a worker has closed.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) counters: PortCounters,
    pub(crate) queue: Option<PortQueue>,
}

impl Worker {
    /// Runs all pending commands. A dropped receiver gets no reply.
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
                Command::Send { port, frame, reply } => {
                    self.send(port, &frame, snapshot);
                    let _ = reply.send(());
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
                Command::RefusePortless(flows) => {
                    if let Some(router) = &mut self.state.router {
                        router.refuse_portless(now, &flows);
                    }
                }
                Command::AdmitPortless(flows) => {
                    if let Some(router) = &mut self.state.router {
                        router.admit_portless(&flows);
                    }
                }
                Command::ClaimBlocks { blocks, reply } => {
                    let router = self.state.router.as_mut();
                    let _ = reply.send(router.is_some());
                    if let Some(router) = router {
                        let ClaimedBlocks { transport, first_ports, obtainable } = blocks;
                        match first_ports {
                            Some(ports) => router.claim_blocks(transport, &ports, obtainable),
                            None => router.set_obtainable_blocks(transport, obtainable),
                        }
                    }
                }
                Command::CollectBlocks { transport, reply } => {
                    let router = self.state.router.as_mut();
                    let empty = router.map(|router| router.collect_empty_blocks(transport));
                    let _ = reply.send(empty.unwrap_or_default());
                }
                Command::Stop { reply } => self.stop = Some(reply),
            }
        }
    }

    fn add_port(&mut self, port: PortIndex, queue: PortQueue) -> io::Result<()> {
        // Other workers may have handed off frames of the slot's last port after it was closed here.
        self.state.forget_port(port, &mut io!(self));
        let before = self.port_counters(port);
        self.engine.attach(port, queue)?;
        self.retired += before;
        self.stats.forget(port);
        self.open.push(port);
        Ok(())
    }

    fn send(&mut self, port: PortIndex, frame: &[u8], snapshot: &Snapshot) {
        let is_enabled = |conf: &PortConf| conf.enabled && conf.vlans.untagged().is_some();
        if !snapshot.port(port).is_some_and(is_enabled) || !self.open.contains(&port) {
            return;
        }
        let Some(frame) = self.pool.alloc_with(frame) else { return };
        self.stats.counters.generated += 1;
        self.state.dhcp.counters.dhcp_answers += 1;
        let engine = &mut *self.engine;
        Egress::send(engine, &mut io!(self), port, frame);
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
