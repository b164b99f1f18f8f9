//! Tests in a network namespace of their own thread: it has no name and ends with the test. And threads in that of others.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

/// Time between two tries to bind a port.
const BIND_POLL: Duration = Duration::from_millis(20);

/// Runs a test in a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
        run_line("ip link set lo up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test in a network namespace of its own, on a tokio runtime.
pub fn in_namespace_async<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    in_namespace(|| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test());
    });
}

/// Runs a function on a thread in the namespace of a file, or in this one. Its sockets stay there.
pub(crate) fn inside<T: Send>(netns: Option<&Path>, run: impl FnOnce() -> T + Send) -> T {
    let Some(netns) = netns else { return run() };
    let thread = || {
        let file = File::open(netns).expect("a namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("to enter a namespace needs root");
        run()
    };
    std::thread::scope(|scope| scope.spawn(thread).join().expect("the thread ends"))
}

/// Runs a command line without quoting, which must succeed; returns its output.
#[track_caller]
pub fn run_line(line: &str) -> String {
    let (ok, text) = attempt(line);
    assert!(ok, "{line}: {text}");
    text
}

/// Runs a command line without quoting; returns whether it succeeded, and its output.
pub fn attempt(line: &str) -> (bool, String) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().expect("a command")).args(words).output().expect(line);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Loads a ruleset in the syntax of `nft`.
#[track_caller]
pub fn nft(rules: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), rules).expect("write a file");
    run_line(&format!("nft -f {}", file.path().display()));
}

/// Whether a TCP port becomes free within a second: a child of another test has copies of all descriptors
/// between its fork and its exec.
pub fn is_free(address: impl std::net::ToSocketAddrs + Copy) -> bool {
    (0..50).any(|_| {
        std::thread::sleep(BIND_POLL);
        std::net::TcpListener::bind(address).is_ok()
    })
}
