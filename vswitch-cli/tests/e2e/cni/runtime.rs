//! What a runtime does with a plugin: starts it with parameters, and gives it a configuration.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use testkit::{COMMAND_TIMEOUT, Netns, Process, run};

use crate::harness::{Host, cni_program};

/// Debian's plugins.
pub(crate) const PLUGINS: &str = "/usr/lib/cni";

/// The answer of a plugin.
#[derive(Debug)]
pub(crate) struct Answer {
    is_ok: bool,
    /// JSON of the standard output, if there is any.
    pub(crate) json: Value,
}

impl Answer {
    /// The result of an operation that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.is_ok, "{:#}", self.json);
        self.json
    }

    /// An error that must have this code and name `value`; returns its text and its advice.
    #[track_caller]
    pub(crate) fn fails(self, code: u64, value: &str) -> String {
        assert!(!self.is_ok, "it succeeded: {:#}", self.json);
        assert_eq!(self.json["code"], code, "{:#}", self.json);
        let text = |key: &str| self.json[key].as_str().unwrap_or_default().to_owned();
        assert!(text("msg").contains(value), "no {value:?} in {:#}", self.json);
        assert_eq!(text("msg").lines().count(), 1, "{:#}", self.json);
        format!("{} {}", text("msg"), text("details"))
    }
}

/// A runtime with one configuration.
pub(crate) struct Runtime<'a> {
    host: &'a Host,
    config: Map<String, Value>,
    /// `CNI_PATH`.
    pub(crate) path: String,
}

impl<'a> Runtime<'a> {
    /// A runtime of a host, whose configuration has these fields beside the usual ones.
    pub(crate) fn new(host: &'a Host, version: &str, fields: Value) -> Self {
        let usual = json!({
            "cniVersion": version, "name": "net", "type": "vswitch-cni", "socket": host.path("sock"),
        });
        let mut runtime = Self { host, config: Map::new(), path: PLUGINS.to_owned() };
        runtime.set(usual);
        runtime.set(fields);
        runtime
    }

    /// Sets fields of the configuration.
    pub(crate) fn set(&mut self, fields: Value) {
        let Value::Object(fields) = fields else { panic!("no object: {fields}") };
        self.config.extend(fields);
    }

    /// The same runtime with further fields.
    pub(crate) fn with(&self, fields: Value) -> Self {
        let mut other =
            Self { host: self.host, config: self.config.clone(), path: self.path.clone() };
        other.set(fields);
        other
    }

    /// A command that calls a plugin for `eth0` of a container.
    pub(crate) fn command(&self, operation: &str, id: &str, netns: Option<&Path>) -> Command {
        let plugin = self.config["type"].as_str().expect("a type");
        let ours = cni_program();
        let program = if plugin == "vswitch-cni" { ours } else { format!("{PLUGINS}/{plugin}") };
        let mut command = self.host.netns().command(&[&program]);
        command.env("CNI_COMMAND", operation).env("CNI_CONTAINERID", id).env("CNI_IFNAME", "eth0");
        command.env("CNI_PATH", &self.path).env_remove("VSWITCH_SOCKET");
        command.env("CNI_NETNS", netns.unwrap_or(Path::new("")));
        command
    }

    /// The configuration for the standard input.
    pub(crate) fn input(&self) -> Vec<u8> {
        Value::Object(self.config.clone()).to_string().into_bytes()
    }

    #[track_caller]
    pub(crate) fn call(&self, mut command: Command) -> Answer {
        let output = run(&mut command, &self.input(), COMMAND_TIMEOUT);
        let text = output.stdout.trim();
        let json = serde_json::from_str(if text.is_empty() { "null" } else { text });
        Answer {
            is_ok: output.status.success(),
            json: json.unwrap_or_else(|e| panic!("{e}: {output}")),
        }
    }

    #[track_caller]
    pub(crate) fn add(&self, id: &str, netns: &Netns) -> Answer {
        self.call(self.command("ADD", id, Some(netns.path())))
    }

    /// ADD with `CNI_ARGS`.
    #[track_caller]
    pub(crate) fn add_with(&self, id: &str, netns: &Netns, args: &str) -> Answer {
        let mut command = self.command("ADD", id, Some(netns.path()));
        command.env("CNI_ARGS", args);
        self.call(command)
    }

    #[track_caller]
    pub(crate) fn check(&self, id: &str, netns: &Netns, result: &Value) -> Answer {
        let with = self.with(json!({ "prevResult": result }));
        with.call(with.command("CHECK", id, Some(netns.path())))
    }

    #[track_caller]
    pub(crate) fn del(&self, id: &str, netns: Option<&Path>) -> Answer {
        self.call(self.command("DEL", id, netns))
    }

    /// An operation without a container.
    #[track_caller]
    pub(crate) fn operation(&self, operation: &str) -> Answer {
        let mut command = self.command(operation, "", None);
        for name in ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"] {
            command.env_remove(name);
        }
        self.call(command)
    }
}

/// Starts calls, then lets all of them go on at once; each must succeed.
#[track_caller]
pub(crate) fn race(calls: Vec<(Command, Vec<u8>)>) {
    let start = |(mut command, input): (Command, Vec<u8>)| {
        let mut process = Process::spawn(command.stdin(Stdio::piped()));
        (process.stdin(), process, input)
    };
    let mut racing: Vec<_> = calls.into_iter().map(start).collect();
    for (stdin, _, input) in &mut racing {
        stdin.write_all(input).expect("the configuration");
    }
    let processes: Vec<_> = racing.into_iter().map(|(_, process, _)| process).collect();
    for process in processes {
        process.finish(COMMAND_TIMEOUT).ok();
    }
}

/// Nothing is attached or published, and no TAP is left.
#[track_caller]
pub(crate) fn nothing_is_left(host: &Host, netns: &[&Netns]) {
    assert!(host.ls().is_empty(), "{:?}", host.ls());
    assert_eq!(host.json(&["publish", "ls"]), json!([]));
    for netns in netns {
        assert_eq!(netns.links(), Vec::<String>::new(), "{}", netns.name());
    }
    let links = host.netns().links();
    assert!(links.iter().all(|link| !link.starts_with("vswtap")), "{links:?}");
    let networks = host.json(&["network", "ls"]);
    for network in networks.as_array().expect("networks") {
        let name = network["name"].as_str().expect("a name");
        let detail = host.json(&["network", "inspect", name]);
        assert_eq!(detail["members"], json!([]), "{detail:#}");
        assert_eq!(detail["names"], json!([]), "{detail:#}");
    }
}
