//! TCP torture: a client and a server in two namespaces that check each byte in both directions.
//!
//! Both are processes of their own, since they may be killed: this program again, with the parameters in one variable of
//! its environment ([`torture_process`]). The shape of each connection follows from the seed of the run and the
//! connection's number, so both ends know it, and a fault names what is needed to see it again. Shapes are sizes from
//! one byte to a megabyte, pauses, requests and answers, both directions at once, who shuts down, closes or resets
//! first, IPv4, IPv6 and v4-mapped sockets, small buffers, late accepts, sockets that are used again after a
//! disconnect, sockets that block and such that do not, signals, and the calls by which each end reads and writes
//! (`torture/shape.rs`).
//!
//! A connection is right, or one of the two ends tells that it is:
//!
//! - *corrupt*: the first wrong offset, what stands there, and where those bytes belong;
//! - *stuck*: the call that made no progress for [`Torture::stuck_after`];
//! - in *error*: any other error of a call, or an answer that plain TCP does not give ([`Torture::is_strict`]).
//!
//! Where the other end was reset, what came has to be a prefix of what was sent.

mod bytes;
mod client;
mod crowd;
mod edge;
mod fault;
mod plan;
mod ready;
mod receiver;
mod report;
mod rng;
mod run;
mod sender;
mod server;
mod shape;
mod signals;
mod talk;
mod waits;

pub use run::{Tally, Torture, torture_process};
pub use shape::Mix;
