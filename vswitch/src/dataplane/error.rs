//! Errors of the dataplane.

use std::io;

use fastpath::PortIndex;
use fastpath::backend::BackendError;
use fastpath::limits::WORKERS_MAX;

use crate::limits::COMMANDS_MAX;

/// Error of a dataplane request.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// Number of workers outside of 1 to [`WORKERS_MAX`].
    #[error("1 to {WORKERS_MAX} workers can run, not {0}")]
    Workers(usize),
    /// The backend cannot run.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The kernel refuses the scheduling class.
    #[error(transparent)]
    Scheduling(io::Error),
    /// A worker cannot start.
    #[error("cannot start worker {worker}: {source}")]
    Start {
        /// Number of the worker.
        worker: usize,
        /// Error of the kernel.
        source: io::Error,
    },
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(String),
    /// A port needs one queue per worker.
    #[error("port {port} has {queues} queues for {workers} workers")]
    Queues {
        /// The port.
        port: PortIndex,
        /// Queues of the port.
        queues: usize,
        /// Running workers.
        workers: usize,
    },
    /// A worker refused a port's queue.
    #[error("cannot add port {port}: {source}")]
    Port {
        /// The port.
        port: PortIndex,
        /// Error of the engine.
        source: io::Error,
    },
    /// All buffers are in use.
    #[error("no buffer is free for a frame to port {0}")]
    NoBuffer(PortIndex),
    /// The command queue of a worker is full.
    #[error("worker {0} has {COMMANDS_MAX} commands waiting")]
    Busy(usize),
    /// A worker has ended.
    #[error("worker {0} has ended")]
    Ended(usize),
}
