//! TCP between two containers of one host: each byte is right, in all shapes and with real programs.
//!
//! `TORTURE_SEED` sets the seed of the shapes. `make soak` sets `SOAK_CUT_THROUGH`, the number of connections of the long
//! form.

mod databases;
mod half_close;
mod http;
mod reuse;
mod shell;
mod torture;
mod unguarded;
mod unread;

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Netns, Process, READY_MAX, wait_for};
use vswitch_api::stats::CutThroughCounters;

use crate::harness::{Container, Host};

/// Options of `up` for all of these tests.
const UP: [&str; 1] = ["--cut-through"];

/// Guards of all of these tests but those without some.
const GUARDS: &str = "order,bound,splice,ring,refresh";

/// Time limit of a program that moves many bytes or requests.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// A switch with two containers: the first serves.
#[track_caller]
fn pair(args: &[&str]) -> (Host, Container, Container) {
    pair_with_guards(GUARDS, &[&UP[..], args].concat())
}

/// The same, with some guards of cut-through only. Both containers are in a cgroup of their own, since the programs
/// of a switch that ends with its test stay there.
#[track_caller]
fn pair_with_guards(guards: &str, args: &[&str]) -> (Host, Container, Container) {
    let mut host = Host::new();
    let cgroup = host.own_cgroup();
    let own = ["--cut-through-cgroup", text(&cgroup)];
    host.up_with_guards(guards, &[&own[..], args].concat());
    let container =
        |name: &str| Container::attach(&host, host.namespace(name).in_cgroup(&cgroup), name, &[]);
    let (server, client) = (container("server"), container("client"));
    (host, server, client)
}

/// So many connections were cut through since, with ten sends each.
#[track_caller]
fn assert_cut_through(host: &Host, before: CutThroughCounters, connections: u64) {
    let now = host.stats().cut_through;
    let (joined, sends) = (now.connections - before.connections, now.sends - before.sends);
    eprintln!("{joined} connections cut through, {sends} sends: {now:?}");
    let is_enough = joined >= connections && sends >= 10 * connections;
    assert!(is_enough, "{joined} of {connections} connections, {sends} sends");
}

/// Starts a server and waits until it listens at a port.
#[track_caller]
fn serve(netns: &Netns, args: &[&str], port: u16) -> Process {
    let mut server = netns.spawn(args);
    wait_for(&format!("{} listens", args[0]), READY_MAX, || {
        if !server.is_running() {
            return true;
        }
        !netns.ok(&["ss", "-ltnH", &format!("sport = :{port}")]).is_empty()
    });
    if !server.is_running() {
        panic!("{}", server.finish(READY_MAX));
    }
    server
}

/// Addresses of a container, as URLs have them.
fn in_urls(container: &Container) -> [String; 2] {
    [container.v4().to_string(), format!("[{}]", container.v6())]
}

/// A file of so many random bytes.
#[track_caller]
fn random_file(folder: &Path, name: &str, len: u64) -> PathBuf {
    let path = folder.join(name);
    let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom").expect("random"), len);
    let mut file = std::fs::File::create(&path).expect("a file");
    std::io::copy(&mut random, &mut file).expect("random bytes");
    path
}

/// Two files have the same bytes.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let read =
        |path: &Path| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (one_has, other_has) = (read(one), read(other));
    assert_eq!(one_has.len(), other_has.len(), "{} and {}", one.display(), other.display());
    let first = one_has.iter().zip(&other_has).position(|(a, b)| a != b);
    assert_eq!(first, None, "first other byte of {}", other.display());
}

/// The path as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
