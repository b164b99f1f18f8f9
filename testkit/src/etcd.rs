//! A real etcd of one member, on ports of its own.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, run};
use crate::{COMMAND_TIMEOUT, READY_MAX, wait_for};

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    client: u16,
    peer: u16,
    /// Further options; with any, its clients use TLS.
    options: Vec<String>,
    process: Option<Process>,
}

impl Etcd {
    /// Starts a server with further options, which are those of TLS; returns when it serves.
    pub fn new(options: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (client, peer) = (free_port(), free_port());
        let mut server = Self { folder, client, peer, options, process: None };
        server.start();
        server
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.client).into()
    }

    /// Sends a request by curl; its certificate is not checked.
    pub fn curl(&self, path: &str, body: &str) -> Option<Value> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "2", "-k", "-d", body]);
        curl.arg(format!("{}://{}{path}", self.scheme(), self.address()));
        let output = run(&mut curl, b"", COMMAND_TIMEOUT);
        serde_json::from_str(&output.stdout).ok()
    }

    fn scheme(&self) -> &'static str {
        if self.options.is_empty() { "http" } else { "https" }
    }

    /// Kills the server, and keeps its data.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the stopped server with its data; returns when it serves.
    pub fn start(&mut self) {
        let client = format!("{}://{}", self.scheme(), self.address());
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let mut command = Command::new("etcd");
        command.args(["--data-dir", &self.folder.path().join("data").display().to_string()]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        command.args(&self.options);
        self.process = Some(Process::spawn(&mut command));
        wait_for("etcd serves", 2 * READY_MAX, || {
            // With authentication the question is refused by a server that serves.
            let answer = self.curl("/v3/kv/range", r#"{"key":"AA=="}"#);
            answer.is_some_and(|a| a.get("header").is_some() || a.get("error").is_some())
        });
    }

    /// Deletes the data of the stopped server.
    pub fn wipe(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("data")).expect("delete the data");
    }

    /// Stops its clock: it answers nothing and keeps its connections.
    pub fn freeze(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// Forgets the history before now.
    pub fn compact(&self) {
        let state = self.curl("/v3/kv/range", r#"{"key":"AA=="}"#).expect("an answer");
        let revision = state["header"]["revision"].as_str().expect("a revision");
        let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        let answer = self.curl("/v3/kv/compaction", &body).expect("an answer");
        assert!(answer.get("header").is_some(), "{answer}");
    }
}

/// A TCP port of the loopback that nobody listens on. It is below those that the kernel picks, so that no connection
/// gets it meanwhile, not even one to itself.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let random = || RandomState::new().build_hasher().finish();
    let mut ports =
        std::iter::repeat_with(|| 12_000 + u16::try_from(random() % 20_000).expect("u16"));
    ports.find(is_free).expect("a port")
}
