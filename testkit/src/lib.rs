//! Network namespaces, processes and crafted frames, for tests and benchmarks.
//!
//! [`Netns`] is a named namespace that any process can join; [`HostNet`] is one with a NIC on a LAN, and
//! [`Remote`] a router and a host behind that LAN. [`in_namespace`] runs a test in a namespace without a
//! name, and [`Wire`] gives that test both ends of a NIC. [`Process`] runs a command, [`Docker`] a daemon with
//! its containers, [`Etcd`] and [`ZooKeeper`] a server, [`Consul`] is a double of its HTTP API. [`Torture`] checks
//! each byte of TCP connections of all shapes between two namespaces, [`Unread`] measures what a reader that does
//! not read leaves in the kernel.
//!
//! Everything cleans up when it is dropped, also when the test panics. Each command has a time limit:
//! past it the command is killed and the test fails. Names are unique, so tests run side by side. All of
//! it needs root.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "tests wait for a real kernel, by a real clock")]

mod consul;
mod craft;
mod docker;
mod etcd;
mod flow;
mod freeze;
mod host_net;
mod netns;
pub mod packet;
mod ping;
mod process;
mod python;
mod remote;
mod service;
mod snapshot;
mod thread_netns;
mod torture;
mod unread;
mod wire;
mod zookeeper;

pub use consul::Consul;
pub use docker::Docker;
pub use etcd::{Etcd, free_port};
pub use flow::{Collector, Flow};
pub use freeze::{freeze, thaw};
pub use host_net::{HOST4, HOST6, HostNet, ROUTER4};
pub use netns::{Netns, join};
pub use process::{Output, Process, run};
pub use python::{Receiver, SEND_FRAME, SEND_STREAM};
pub use remote::{FAR4, FAR6, Remote};
pub use service::{ASK, Service};
pub use snapshot::Snapshot;
pub use thread_netns::{attempt, in_namespace, in_namespace_async, is_free, nft, run_line};
pub use torture::{Mix, Tally, Torture, torture_process};
pub use unread::{Unread, unread_process};
pub use wire::Wire;
pub use zookeeper::ZooKeeper;

use std::time::{Duration, Instant};

/// Time limit of one external command.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a service or a connection may take until it is ready.
pub const READY_MAX: Duration = Duration::from_secs(10);

/// Time between two checks of a condition.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; panics with `what` after `limit`.
#[track_caller]
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(POLL);
    }
}
