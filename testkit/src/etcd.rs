//! A real etcd of one member, on ports of its own of the loopback, or in a namespace on the usual ones.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, run};
use crate::{COMMAND_TIMEOUT, Netns, READY_MAX, freeze, thaw, wait_for};

/// The usual port for clients.
const CLIENT_PORT: u16 = 2379;

/// The usual port for other members.
const PEER_PORT: u16 = 2380;

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    client: SocketAddr,
    /// Port of the loopback for other members, of which there are none.
    peer: u16,
    /// File of the namespace that it runs in.
    netns: Option<PathBuf>,
    /// Further options; with any, its clients use TLS.
    options: Vec<String>,
    process: Option<Process>,
}

impl Etcd {
    /// Starts a server with further options, which are those of TLS; returns when it serves.
    pub fn new(options: Vec<String>) -> Self {
        let (client, peer) = (([127, 0, 0, 1], free_port()).into(), free_port());
        Self::started(client, peer, None, options)
    }

    /// Starts a server in a namespace that has the address; returns when it serves.
    pub fn inside(netns: &Netns, address: IpAddr) -> Self {
        let client = SocketAddr::new(address, CLIENT_PORT);
        Self::started(client, PEER_PORT, Some(netns.path().to_owned()), Vec::new())
    }

    fn started(
        client: SocketAddr,
        peer: u16,
        netns: Option<PathBuf>,
        options: Vec<String>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut server = Self { folder, client, peer, netns, options, process: None };
        server.start();
        server
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.client
    }

    fn command(&self, program: &str) -> Command {
        let Some(netns) = &self.netns else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.display())).arg(program);
        command
    }

    /// Sends a request by curl; its certificate is not checked.
    pub fn curl(&self, path: &str, body: &str) -> Option<Value> {
        let mut curl = self.command("curl");
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
        let mut command = self.command("etcd");
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
        freeze(self.process.as_ref().expect("it runs").pid());
    }

    /// Goes on.
    pub fn thaw(&self) {
        thaw(self.process.as_ref().expect("it runs").pid());
    }

    /// Requires a user from now on: `node` with password `nodepass` may use the keys below `/vswitch/`, and nothing else.
    pub fn require_users(&self) {
        let (start, end) = ("L3Zzd2l0Y2gv", "L3Zzd2l0Y2gw"); // "/vswitch/", "/vswitch0"
        let permission = format!(r#"{{"permType":2,"key":"{start}","range_end":"{end}"}}"#);
        let requests = [
            ("/v3/auth/user/add", r#"{"name":"root","password":"rootpass"}"#.to_owned()),
            ("/v3/auth/role/add", r#"{"name":"root"}"#.to_owned()),
            ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#.to_owned()),
            ("/v3/auth/user/add", r#"{"name":"node","password":"nodepass"}"#.to_owned()),
            ("/v3/auth/role/add", r#"{"name":"node"}"#.to_owned()),
            ("/v3/auth/role/grant", format!(r#"{{"name":"node","perm":{permission}}}"#)),
            ("/v3/auth/user/grant", r#"{"user":"node","role":"node"}"#.to_owned()),
            ("/v3/auth/enable", "{}".to_owned()),
        ];
        for (path, body) in requests {
            let answer = self.curl(path, &body).expect("an answer");
            assert!(answer.get("header").is_some(), "{path}: {answer}");
        }
    }

    /// Writes a key, as another program might.
    pub fn put(&self, key: &str, value: &str) {
        let base64 = |text: &str| {
            run(Command::new("base64").arg("-w0"), text.as_bytes(), COMMAND_TIMEOUT).ok()
        };
        let body = format!(r#"{{"key":"{}","value":"{}"}}"#, base64(key), base64(value));
        let answer = self.curl("/v3/kv/put", &body).expect("an answer");
        assert!(answer.get("header").is_some(), "{key}: {answer}");
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
