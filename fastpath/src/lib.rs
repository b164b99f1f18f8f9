//! Frames in motion: the pool, the rings, the engines that read and write ports, and the idle policy.
//!
//! This crate knows nothing of what the bytes mean. It is the crate where `unsafe` lives: in
//! [`pool`], in [`ring`] and in `sys`, each block with its argument.
//!
//! | module | what is in it |
//! |---|---|
//! | [`pool`] | buffers with counted holders |
//! | [`ring`] | bounded lock-free rings between threads |
//! | [`engine`] | packet I/O behind one trait: io_uring, epoll, memory, capture files |
//! | [`backend`] | which engine runs, and why |
//! | [`tap`] | TAP devices |
//! | [`idle`] | when a worker spins and when it sleeps |
//! | [`waker`] | how other threads wake a worker |
//! | [`clock`] | the one place where the clock is read |
//! | [`limits`] | every limit by name |

pub mod backend;
pub mod clock;
pub mod engine;
pub mod idle;
pub mod limits;
pub mod pool;
pub mod port;
pub mod ring;
pub mod scheduling;
mod sys;
pub mod tap;
pub mod waker;

pub use backend::{BackendChoice, BackendReport};
pub use clock::{Clock, Nanos};
pub use engine::{Engine, EngineEvent, PortQueue, Received, Wait};
pub use idle::IdlePolicy;
pub use pool::{Frame, Pool};
pub use port::{PortIndex, PortIoCounters, TxDrop};
pub use scheduling::{SchedulingChoice, SchedulingReport};
pub use sys::prefetch;
pub use waker::Waker;
