//! A laboratory for tests: namespaces with unique names, and daemons that run inside one of them.
//!
//! The tests need root. The daemon is this test program again, started in the laboratory's own "host"
//! namespace; see [`daemon_process`]. Everything is cleaned up when the laboratory is dropped, also by a
//! panic.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No command and no request takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

static LABS: AtomicUsize = AtomicUsize::new(0);

/// The time; tests may look at the clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Polls until something holds.
pub fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = now();
    while !holds() {
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Namespaces, a directory, and what runs in them.
pub struct Lab {
    tag: String,
    pub directory: tempfile::TempDir,
    namespaces: Vec<String>,
    children: Vec<Child>,
    /// RLIMIT_NOFILE of the daemons, if not what the test has.
    pub open_files_max: Option<usize>,
}

impl Lab {
    /// A laboratory with a namespace that plays the host.
    pub fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let mut lab = Self {
            tag: format!("vsc{}-{number}", std::process::id()),
            directory: tempfile::tempdir().expect("a temporary directory"),
            namespaces: Vec::new(),
            children: Vec::new(),
            open_files_max: None,
        };
        lab.add_namespace("host");
        lab.in_namespace("host", &["ip", "link", "set", "lo", "up"]);
        lab
    }

    /// Makes a namespace; gives its full name.
    pub fn add_namespace(&mut self, name: &str) -> String {
        let full = self.full(name);
        check(run(&["ip", "netns", "add", &full]));
        self.namespaces.push(full.clone());
        full
    }

    pub fn remove_namespace(&mut self, name: &str) {
        let full = self.full(name);
        check(run(&["ip", "netns", "delete", &full]));
        self.namespaces.retain(|namespace| *namespace != full);
    }

    pub fn full(&self, name: &str) -> String {
        format!("{}-{name}", self.tag)
    }

    /// Runs a command in a namespace; gives what it printed.
    pub fn in_namespace(&self, name: &str, command: &[&str]) -> String {
        check(self.try_in_namespace(name, command))
    }

    pub fn try_in_namespace(&self, name: &str, command: &[&str]) -> Output {
        let netns = format!("--net=/run/netns/{}", self.full(name));
        let mut all = vec!["nsenter", netns.as_str()];
        all.extend_from_slice(command);
        run(&all)
    }

    /// Starts a process in the background that the laboratory ends.
    pub fn spawn(&mut self, command: &mut Command) -> u32 {
        let child = command.stdin(Stdio::null()).spawn().expect("the command starts");
        let pid = child.id();
        self.children.push(child);
        pid
    }

    /// Ends a process of [`Lab::spawn`] at once.
    pub fn kill(&mut self, pid: u32) {
        let at = self.children.iter().position(|child| child.id() == pid).expect("our child");
        let mut child = self.children.swap_remove(at);
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("vswitch.sock")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// What the host looks like: links, addresses, routes, rules, settings.
    pub fn host_picture(&self) -> String {
        let ip = |what: &[&str]| {
            let mut command = vec!["ip", "-j"];
            command.extend_from_slice(what);
            self.in_namespace("host", &command)
        };
        let picture = [
            ip(&["link"]),
            ip(&["address"]),
            ip(&["-4", "route", "show", "table", "all"]),
            ip(&["-6", "route", "show", "table", "all"]),
            ip(&["rule"]),
            self.in_namespace("host", &["sysctl", "-a", "-r", "^net\\.ipv[46]\\."]),
        ];
        // A counter that always moves.
        let lines = picture.join("\n");
        lines.lines().filter(|line| !line.contains("gc_interval")).collect::<Vec<_>>().join("\n")
    }

    /// Starts a daemon with these settings (lines of TOML) and waits until it answers.
    pub fn up(&mut self, settings: &str) -> Daemon {
        let mut daemon = self.try_up(settings);
        let start = now();
        while daemon.api.try_call("GET", "/v1/status", None).is_none() {
            if let Some(status) = daemon.child.try_wait().expect("the daemon can be waited for") {
                panic!("the daemon ended: {status}: {}", daemon.log());
            }
            assert!(start.elapsed() < PATIENCE, "the daemon does not answer: {}", daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// Starts a daemon.
    pub fn try_up(&mut self, settings: &str) -> Daemon {
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let config = self.directory.path().join(format!("config-{number}.toml"));
        let log = self.directory.path().join(format!("log-{number}"));
        let mut text = settings.to_owned();
        // What is tested here lies within the host.
        if !settings.contains("uplink") {
            text.push_str("\nuplink = \"none\"\n");
        }
        for (key, path) in [("socket", self.socket()), ("state_dir", self.state_dir())] {
            if !settings.contains(key) {
                text.push_str(&format!("\n{key} = {path:?}\n"));
            }
        }
        std::fs::write(&config, text).expect("the configuration is written");
        let output = std::fs::File::create(&log).expect("the log is made");
        let limit = self.open_files_max.map(|limit| format!("--nofile={limit}"));
        let child = Command::new("prlimit")
            .args(limit)
            .arg("nsenter")
            .arg(format!("--net=/run/netns/{}", self.full("host")))
            .arg(std::env::current_exe().expect("our own path"))
            .args(["--exact", "daemon_process", "--ignored", "--nocapture"])
            .env("VSWITCH_TEST_CONFIG", &config)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a second descriptor"))
            .stderr(output)
            .spawn()
            .expect("the daemon starts");
        Daemon { child, api: Api(self.socket()), log }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for namespace in &self.namespaces {
            let _ = run(&["ip", "netns", "delete", namespace]);
        }
    }
}

/// The body of the test `daemon_process`, which every test program has: the daemon itself.
pub fn daemon_process() {
    let Some(path) = std::env::var_os("VSWITCH_TEST_CONFIG") else { return };
    let settings = vswitch::config::Settings::from_file(Path::new(&path));
    let config = vswitch::config::Config::new(settings.expect("a good configuration"));
    match vswitch::serve(config, |ready| println!("READY {ready:?}")) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            println!("FAILED {error}");
            std::process::exit(1);
        }
    }
}

/// A daemon that runs; killed when dropped.
pub struct Daemon {
    child: Child,
    pub api: Api,
    log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks for the end and waits for it.
    pub fn down(mut self) -> String {
        let answer = self.api.call("POST", "/v1/shutdown", None);
        assert_eq!(answer.status, 202);
        assert!(self.wait().success(), "{}", self.log());
        self.log()
    }

    /// kill -9.
    pub fn crash(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        nix::sys::signal::kill(pid, signal).expect("the signal is sent");
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        wait(&mut self.child, PATIENCE)
    }

    /// The one line with which it refused to start.
    pub fn refusal(&mut self) -> String {
        assert!(!self.wait().success(), "it should have refused: {}", self.log());
        let log = self.log();
        let line = log.lines().find_map(|line| line.strip_prefix("FAILED "));
        line.unwrap_or_else(|| panic!("no reason in {log}")).to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, within: Duration) -> std::process::ExitStatus {
    let start = now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status;
        }
        if start.elapsed() > within {
            let _ = child.kill();
            panic!("a process did not end within {within:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client.
#[derive(Clone)]
pub struct Api(pub PathBuf);

/// What the daemon answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The code of an error.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

impl Api {
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    pub fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: vswitch\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.raw(request.as_bytes())
    }

    /// Sends bytes and reads the answer.
    pub fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = UnixStream::connect(&self.0).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
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

    pub fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Attaches; the request is what is given, over nothing.
    pub fn attach(&self, request: &Value) -> Value {
        let answer = self.call("POST", "/v1/ports", Some(request));
        assert_eq!(answer.status, 201, "{request}: {answer:?}");
        answer.body
    }

    /// Attaches, and is refused.
    pub fn attach_refused(&self, request: &Value) -> Answer {
        let answer = self.call("POST", "/v1/ports", Some(request));
        assert!(answer.status >= 400, "{request}: {answer:?}");
        let message = answer.message();
        assert!(!message.is_empty() && !message.contains('\n'), "{answer:?}");
        answer
    }

    pub fn detach(&self, name: &str) -> Answer {
        self.call("DELETE", &format!("/v1/ports/{name}"), None)
    }

    pub fn names(&self) -> Vec<String> {
        let ports = self.get("/v1/ports");
        let names = ports.as_array().expect("an array").iter();
        names.map(|port| port["name"].as_str().expect("a name").to_owned()).collect()
    }
}

/// Runs a command with a time limit.
pub fn run(command: &[&str]) -> Output {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdout = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.read_to_end(&mut bytes);
        bytes
    });
    let status = wait(&mut child, PATIENCE);
    let mut stderr = Vec::new();
    let _ = child.stderr.take().expect("piped").read_to_end(&mut stderr);
    Output { status, stdout: reader.join().expect("the reader ends"), stderr }
}

/// The output of a command that must succeed.
pub fn check(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {stderr}{stdout}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
