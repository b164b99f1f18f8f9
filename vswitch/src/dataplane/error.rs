//! Errors of the dataplane.

use std::io;

use fastpath::PortIndex;
use fastpath::backend::BackendError;
use fastpath::limits::WORKERS_MAX;

use crate::limits::COMMANDS_MAX;

/// Why the dataplane refused a request.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// A number of workers that is not 1 to [`WORKERS_MAX`].
    #[error("1 to {WORKERS_MAX} workers can run, not {0}")]
    Workers(usize),
    /// The backend that was asked for cannot run.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The scheduling class that was asked for is refused.
    #[error(transparent)]
    Scheduling(io::Error),
    /// A worker could not be started.
    #[error("cannot start worker {worker}: {source}")]
    Start {
        /// Which one.
        worker: usize,
        /// Why.
        source: io::Error,
    },
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(String),
    /// A port needs one queue a worker.
    #[error("port {port} has {queues} queues for {workers} workers")]
    Queues {
        /// The port.
        port: PortIndex,
        /// Queues given.
        queues: usize,
        /// Workers that run.
        workers: usize,
    },
    /// A worker refused a port's queue.
    #[error("cannot add port {port}: {source}")]
    Port {
        /// The port.
        port: PortIndex,
        /// Why.
        source: io::Error,
    },
    /// All buffers are in use.
    #[error("no buffer is free for a frame to port {0}")]
    NoBuffer(PortIndex),
    /// More commands wait than a worker may have.
    #[error("worker {0} has {COMMANDS_MAX} commands waiting")]
    Busy(usize),
    /// A worker has ended.
    #[error("worker {0} has ended")]
    Ended(usize),
}
