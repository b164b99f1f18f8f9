//! The switch: a daemon that moves frames between containers, and what it needs of the host.
//!
//! | module | what is in it |
//! |---|---|
//! | [`config`] | what `vswitch up` can be told |
//! | [`serve()`] | the daemon, from its configuration to its end |
//! | `control` | the desired state, and what brings host and datapath in line with it |
//! | [`dns`] | names of containers: the table, the service, upstream servers |
//! | [`engine`] | a client of container engines: Docker, podman |
//! | `host` | everything that is done to the host |
//! | `server` | the API on its Unix socket |
//! | `docker` | the network plugin of Docker on its Unix socket |
//! | [`dataplane`] | control's handle on the workers |
//! | [`overlay`] | what other nodes of an overlay do, by their registry |
//! | `worker` | one thread: engine, pool, forwarding database, counters |
//! | [`datapath`] | a batch of frames in, frames out: pure |
//! | `regular_file` | files of ours that are never waited for |
//! | `limits` | every limit by name, and how often it was hit |
//! | [`isolate`] | namespaces for the command of `vswitch run` |
#![forbid(unsafe_code)]

pub mod config;
mod control;
pub mod datapath;
pub mod dataplane;
pub mod dns;
mod docker;
pub mod engine;
mod host;
pub mod isolate;
mod limits;
mod metrics;
pub mod overlay;
mod regular_file;
mod serve;
mod server;
mod worker;

pub use control::{Cleanup, CleanupError, ControlError, Progress, clean_up_after_crash};
pub use host::dying::is_dying;
pub use host::limits::{snat_open_files, snat_sockets};
pub use host::nft::{Orphan, orphans as orphaned_tables, probe as probe_nftables};
pub use host::noted_state_dir;
pub use serve::{Ready, ServeError, Stage, serve};
pub use server::SocketError;
