//! What podman does with netavark: networks and containers as JSON.
//!
//! `VSWITCH_NETAVARK` names a real netavark (`make e2e-netavark`), which then runs the plugin. Without it the plugin
//! is run as netavark does, with the JSON of its `plugin-API.md`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{COMMAND_TIMEOUT, Netns, Output, run};

use crate::harness::Host;

/// A podman on a host, with its networks.
pub(crate) struct Podman {
    netavark: Option<String>,
    plugins: PathBuf,
    netns: String,
    socket: PathBuf,
    config: PathBuf,
    networks: Vec<Value>,
}

/// A container of podman.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) name: &'static str,
    pub(crate) networks: Vec<&'static str>,
    /// Keys of `network_options`.
    pub(crate) options: Value,
    pub(crate) ports: Value,
}

impl Container {
    pub(crate) fn new(name: &'static str, network: &'static str) -> Self {
        Self { name, networks: vec![network], options: json!({}), ports: json!([]) }
    }

    pub(crate) fn with(name: &'static str, network: &'static str, options: Value) -> Self {
        Self { options, ..Self::new(name, network) }
    }

    /// 64 hexadecimal digits.
    fn id(&self) -> String {
        id(self.name)
    }
}

fn id(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

impl Podman {
    #[track_caller]
    pub(crate) fn new(host: &Host) -> Self {
        let plugins = host.path("plugins");
        std::fs::create_dir(&plugins).expect("a folder");
        let plugin = env!("CARGO_BIN_EXE_vswitch-netavark");
        std::os::unix::fs::symlink(plugin, plugins.join("vswitch")).expect("a link");
        Self {
            netavark: std::env::var("VSWITCH_NETAVARK").ok(),
            plugins,
            netns: format!("--net={}", host.netns().path().display()),
            socket: host.path("sock"),
            config: host.path("config"),
            networks: Vec::new(),
        }
    }

    fn exec(&self, program: Vec<String>, input: &Value) -> Output {
        let mut command = Command::new("nsenter");
        command.arg(&self.netns).args(program).env("VSWITCH_SOCKET", &self.socket);
        command.env("NETAVARK_FW", "none");
        run(&mut command, input.to_string().as_bytes(), COMMAND_TIMEOUT)
    }

    /// Runs the plugin itself, whatever comes of it.
    pub(crate) fn plugin(&self, args: &[&str], input: &Value) -> Output {
        let plugin = self.plugins.join("vswitch").display().to_string();
        let args = args.iter().map(|arg| (*arg).to_owned());
        self.exec([plugin].into_iter().chain(args).collect(), input)
    }

    /// Standard output of a success, or the message of a failure.
    fn answer(output: &Output) -> Result<Value, String> {
        let text = output.stdout.trim();
        let answer: Value = match text {
            "" => Value::Null,
            _ => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{output}")),
        };
        match output.code() {
            0 => Ok(answer),
            1 => Err(answer["error"].as_str().unwrap_or_else(|| panic!("{output}")).to_owned()),
            _ => panic!("{output}"),
        }
    }

    fn netavark(&self, netavark: &str, args: &[&str], input: &Value) -> Result<Value, String> {
        let plugins = self.plugins.display().to_string();
        let config = self.config.display().to_string();
        let options = [netavark, "--plugin-directory", &plugins, "--config", &config];
        let program = options.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        Self::answer(&self.exec(program, input))
    }

    /// `podman network create -d vswitch NAME`, with further keys of the network.
    pub(crate) fn create(&mut self, name: &str, keys: Value) -> Result<Value, String> {
        let mut network = json!({
            "name": name, "id": id(name), "driver": "vswitch", "internal": false,
            "ipv6_enabled": false, "dns_enabled": true, "ipam_options": {},
        });
        for (key, value) in keys.as_object().expect("keys") {
            network[key] = value.clone();
        }
        let created = match &self.netavark {
            Some(netavark) => {
                let used = json!({ "interfaces": [], "names": {}, "subnets": [] });
                let options = json!({ "subnet_pools": [], "check_used_subnets": false });
                let input = json!({ "network": network, "used": used, "options": options });
                self.netavark(netavark, &["create"], &input)
            }
            None => Self::answer(&self.plugin(&["create"], &network)),
        };
        if let Ok(created) = &created {
            self.networks.push(created.clone());
        }
        created
    }

    /// `podman network rm`, which no plugin hears of.
    pub(crate) fn forget(&mut self, name: &str) {
        self.networks.retain(|network| network["name"] != name);
    }

    fn network(&self, name: &str) -> &Value {
        self.networks.iter().find(|network| network["name"] == name).expect(name)
    }

    fn options(container: &Container, at: usize) -> Value {
        let mut options = container.options.clone();
        options["interface_name"] = json!(format!("eth{at}"));
        options
    }

    /// The container's namespace gets its interfaces: the status of each network.
    pub(crate) fn setup(&self, netns: &Netns, container: &Container) -> Result<Value, String> {
        self.each("setup", &netns.path().display().to_string(), container)
    }

    /// The container stops.
    pub(crate) fn teardown(&self, netns: &str, container: &Container) -> Result<Value, String> {
        self.each("teardown", netns, container)
    }

    fn each(&self, command: &str, netns: &str, container: &Container) -> Result<Value, String> {
        let networks = container.networks.iter().enumerate();
        if let Some(netavark) = &self.netavark {
            let (mut options, mut info) = (json!({}), json!({}));
            for (at, name) in networks {
                options[*name] = Self::options(container, at);
                info[*name] = self.network(name).clone();
            }
            let input = json!({
                "container_id": container.id(), "container_name": container.name,
                "networks": options, "network_info": info, "port_mappings": container.ports,
            });
            return self.netavark(netavark, &[command, netns], &input);
        }
        let mut answers = json!({});
        for (at, name) in networks {
            let input = json!({
                "container_id": container.id(), "container_name": container.name,
                "network": self.network(name), "network_options": Self::options(container, at),
                "port_mappings": container.ports,
            });
            answers[*name] = Self::answer(&self.plugin(&[command, netns], &input))?;
        }
        Ok(answers)
    }
}
