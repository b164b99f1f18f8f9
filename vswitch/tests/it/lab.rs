//! A laboratory for tests: namespaces, and daemons that run in the one that plays the host.
//!
//! A daemon is this test program again, started as its test [`daemon_process`]. Everything is cleaned up
//! when the laboratory is dropped, also when a test panics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::{Netns, Process, Snapshot, wait_for};

/// Time limit of a request, and of the start and the end of a daemon.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(20);

static DAEMONS: AtomicUsize = AtomicUsize::new(0);

/// Namespaces by name, and a directory.
pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    namespaces: BTreeMap<String, Netns>,
    /// RLIMIT_NOFILE of the daemons, where it differs from the test's.
    pub(crate) open_files_max: Option<usize>,
}

impl Lab {
    /// A laboratory with the namespace `host`.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut lab = Self { directory, namespaces: BTreeMap::new(), open_files_max: None };
        lab.add_namespace("host");
        lab
    }

    /// Creates a namespace; returns its full name.
    pub(crate) fn add_namespace(&mut self, name: &str) -> String {
        let netns = Netns::new(name);
        let full = netns.name().to_owned();
        self.namespaces.insert(name.to_owned(), netns);
        full
    }

    /// Deletes the name of a namespace, which ends with its last process.
    pub(crate) fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name).expect("a namespace of this laboratory").delete_name();
    }

    pub(crate) fn netns(&self, name: &str) -> &Netns {
        &self.namespaces[name]
    }

    /// Runs a command in a namespace, which must succeed; returns its output.
    #[track_caller]
    pub(crate) fn in_namespace(&self, name: &str, command: &[&str]) -> String {
        self.netns(name).ok(command)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("vswitch.sock")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// State of the host: links, addresses, routes, rules, settings.
    #[track_caller]
    pub(crate) fn host_snapshot(&self) -> Snapshot {
        Snapshot::take(self.netns("host"))
    }

    /// Starts a daemon with these settings (lines of TOML) and waits until it answers.
    #[track_caller]
    pub(crate) fn up(&mut self, settings: &str) -> Daemon {
        let mut daemon = self.try_up(settings);
        wait_for("the daemon answers", DAEMON_TIMEOUT, || {
            assert!(daemon.process.is_running(), "the daemon ended: {}", daemon.log());
            daemon.api.try_call("GET", "/v1/status", None).is_some()
        });
        daemon
    }

    /// Starts a daemon.
    #[track_caller]
    pub(crate) fn try_up(&mut self, settings: &str) -> Daemon {
        let number = DAEMONS.fetch_add(1, Ordering::Relaxed);
        let config = self.directory.path().join(format!("config-{number}.toml"));
        let log = self.directory.path().join(format!("log-{number}"));
        let mut text = settings.to_owned();
        // These tests do not leave the host.
        if !settings.contains("uplink") {
            text.push_str("\nuplink = \"none\"\n");
        }
        for (key, path) in [("socket", self.socket()), ("state_dir", self.state_dir())] {
            if !settings.contains(key) {
                text.push_str(&format!("\n{key} = {path:?}\n"));
            }
        }
        std::fs::write(&config, text).expect("write the configuration");
        let output = std::fs::File::create(&log).expect("create the log");
        let limit = self.open_files_max.map(|limit| format!("--nofile={limit}"));
        let mut command = self.netns("host").command(&["prlimit"]);
        command.args(limit).arg(std::env::current_exe().expect("the path of this program"));
        command.args(DAEMON_ARGS).env("VSWITCH_TEST_CONFIG", &config);
        Daemon {
            process: Process::spawn_logged(&mut command, output),
            api: Api(self.socket()),
            log,
        }
    }
}

/// Arguments by which this test program becomes a daemon.
pub(crate) const DAEMON_ARGS: [&str; 4] =
    ["--exact", "lab::daemon_process", "--ignored", "--nocapture"];

#[test]
#[ignore = "the daemon of the other tests"]
fn daemon_process() {
    let Some(path) = std::env::var_os("VSWITCH_TEST_CONFIG") else { return };
    let settings = vswitch::config::Settings::from_file(Path::new(&path));
    let config = vswitch::config::Config::new(settings.expect("a valid configuration"));
    let told = |stage: vswitch::Stage<'_>| {
        if let vswitch::Stage::Ready(ready) = stage {
            println!("READY {ready:?}");
        }
    };
    match vswitch::serve(config, told) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            println!("FAILED {error}");
            std::process::exit(1);
        }
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    process: Process,
    pub(crate) api: Api,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Shuts it down and waits for its end; returns the log.
    #[track_caller]
    pub(crate) fn down(self) -> String {
        let answer = self.api.call("POST", "/v1/shutdown", None);
        assert_eq!(answer.status, 202);
        let (status, log) = self.wait();
        assert!(status.success(), "{log}");
        log
    }

    /// Kills it with SIGKILL.
    pub(crate) fn crash(self) {
        self.process.signal(Signal::SIGKILL);
        self.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end; returns the status and the log.
    #[track_caller]
    pub(crate) fn wait(self) -> (ExitStatus, String) {
        let status = self.process.finish(DAEMON_TIMEOUT).status;
        (status, std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// The error line of a daemon that refuses to start.
    #[track_caller]
    pub(crate) fn refusal(self) -> String {
        let (status, log) = self.wait();
        assert!(!status.success(), "it should have refused: {log}");
        let line = log.lines().find_map(|line| line.strip_prefix("FAILED "));
        line.unwrap_or_else(|| panic!("no reason in {log}")).to_owned()
    }
}

/// A client of the API.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) PathBuf);

/// Answer of the daemon.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Code of an error.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

impl Api {
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: vswitch\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.raw(request.as_bytes())
    }

    /// Sends bytes and reads the answer.
    pub(crate) fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = UnixStream::connect(&self.0).ok()?;
        stream.set_read_timeout(Some(DAEMON_TIMEOUT)).ok()?;
        // A server that refuses a long body may close before it has read all.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        Some(Answer { status, body })
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Attaches a port, which must succeed.
    pub(crate) fn attach(&self, request: &Value) -> Value {
        let answer = self.call("POST", "/v1/ports", Some(request));
        assert_eq!(answer.status, 201, "{request}: {answer:?}");
        answer.body
    }

    /// Attaches a port, which must be refused with one line.
    pub(crate) fn attach_refused(&self, request: &Value) -> Answer {
        let answer = self.call("POST", "/v1/ports", Some(request));
        assert!(answer.status >= 400, "{request}: {answer:?}");
        let message = answer.message();
        assert!(!message.is_empty() && !message.contains('\n'), "{answer:?}");
        answer
    }

    pub(crate) fn detach(&self, name: &str) -> Answer {
        self.call("DELETE", &format!("/v1/ports/{name}"), None)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let ports = self.get("/v1/ports");
        let names = ports.as_array().expect("an array").iter();
        names.map(|port| port["name"].as_str().expect("a name").to_owned()).collect()
    }
}
