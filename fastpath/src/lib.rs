//! Packet I/O without a view of the bytes: buffer pool, rings, engines, idle policy.
//!
//! `unsafe` lives in [`pool`], [`ring`] and `sys` alone; each block has a SAFETY comment.
//!
//! | module | content |
//! |---|---|
//! | [`pool`] | buffers with counted holders |
//! | [`ring`] | bounded lock-free rings between threads |
//! | [`engine`] | packet I/O behind one trait: io_uring, epoll, memory, capture files |
//! | [`backend`] | choice of the engine |
//! | [`datagram`] | header of a datagram in the pool |
//! | [`tap`] | TAP devices |
//! | [`udp`] | UDP sockets of a tunnel |
//! | [`idle`] | spin or sleep |
//! | [`scheduling`] | scheduling class of worker threads |
//! | [`waker`] | eventfd that wakes a worker |
//! | [`clock`] | monotonic clock |
//! | [`limits`] | limits by name |

pub mod backend;
pub mod clock;
pub mod datagram;
pub mod engine;
pub mod idle;
pub mod limits;
pub mod pool;
pub mod port;
pub mod ring;
pub mod scheduling;
mod sys;
pub mod tap;
pub mod udp;
pub mod waker;

pub use backend::{BackendChoice, BackendReport};
pub use clock::{Clock, Nanos};
pub use engine::{Engine, EngineEvent, PortQueue, Received, UdpSockets, Wait};
pub use idle::{IdlePolicy, SpinControl};
pub use pool::{Frame, Pool};
pub use port::{PortIndex, PortIoCounters, TxDrop};
pub use scheduling::{SchedulingChoice, SchedulingReport};
pub use sys::prefetch;
pub use waker::Waker;
