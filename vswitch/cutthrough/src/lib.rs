//! Cut-through: the data of a TCP connection between two containers of one host goes from socket to socket, past TCP
//! and past the switch.
//!
//! The switch sees the handshake pass between two of its ports and writes both ends into a table ([`Allowed`]).
//! Programs in the kernel (`bpf/cutthrough.bpf.c`) find them there when the two sockets are established, and watch how
//! they are used. A thread of the switch joins those that can be (`joiner.rs`), and from then on a program
//! decides about each send: straight into the receiver's queue, or through TCP as ever. `docs/cut-through.md` has the
//! theory of operation and the argument why no byte can be out of order.
//!
//! [`CutThrough::start`] loads the programs and attaches them to a cgroup, [`CutThrough::stop`] lets all connections go
//! back to TCP and removes the programs. A switch that was killed finds its programs again by their identity, with all
//! connections in them.
//!
//! Without the feature `bpf` the table is there and [`CutThrough::start`] says that the programs are not.

#[cfg(feature = "bpf")]
mod adopt;
mod allowed;
#[cfg(feature = "bpf")]
mod borrow;
#[cfg(feature = "bpf")]
mod bulk;
#[cfg(feature = "bpf")]
mod cgroup;
#[cfg(feature = "bpf")]
mod clock;
#[cfg(feature = "bpf")]
mod connections;
#[cfg(feature = "bpf")]
mod draining;
mod error;
#[cfg(feature = "bpf")]
mod grace;
#[cfg(feature = "bpf")]
mod joined;
#[cfg(feature = "bpf")]
mod joiner;
#[cfg_attr(not(feature = "bpf"), allow(dead_code, reason = "only programs share it"))]
mod layout;
#[cfg(feature = "bpf")]
mod load;
#[cfg(not(feature = "bpf"))]
mod not_built;
#[cfg(feature = "bpf")]
mod pace;
#[cfg(feature = "bpf")]
mod programs;
mod shared;
#[cfg(feature = "bpf")]
mod splice;
#[cfg(feature = "bpf")]
mod stalled;
#[cfg(feature = "bpf")]
mod sys;
#[cfg(feature = "bpf")]
mod trial;

pub use allowed::{Allowed, Handshake};
pub use error::Error;
pub use layout::{
    CONNECTIONS_MAX, Connection, ConnectionEnd, Counters, HeldBack, NetnsCookie, Tuple,
};
#[cfg(not(feature = "bpf"))]
pub use not_built::CutThrough;
#[cfg(feature = "bpf")]
pub use programs::CutThrough;

/// How the programs are loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells the programs of this switch from those of others; the same after a restart.
    pub instance: u64,
    /// The cgroup (version 2) below which sockets may be joined; the root where there is none.
    pub cgroup: Option<std::path::PathBuf>,
    /// Keys the hash of the table, so that nobody can choose tuples that collide.
    pub hash_seed: u64,
    /// Which guards are on. All, but in tests that must see what happens without.
    pub guards: Guards,
}

/// What keeps the bytes right, the tables clean and refreshes rare. Tests switch some off, to see what happens without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// The receiver has read everything that was ever sent through TCP.
    pub order: bool,
    /// The receiver has room.
    pub bound: bool,
    /// Its program cannot read by `splice`.
    pub splice: bool,
    /// What the programs tell has a ring of its whole size; else one of a page.
    pub ring: bool,
    /// A direction sends through TCP once in [`REFRESH`]; else once a second.
    pub refresh: bool,
}

impl Guards {
    /// All.
    pub const ALL: Self =
        Self { order: true, bound: true, splice: true, ring: true, refresh: true };
}

/// Plain reads after which a socket becomes a reader.
pub const READS_BEFORE: u32 = 16;
/// Each direction sends through TCP once in this time, so that connection tables and neighbours see that it is there.
pub const REFRESH: std::time::Duration = std::time::Duration::from_secs(60);
