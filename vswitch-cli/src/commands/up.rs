//! `vswitch up`: the daemon, in the foreground or in the background.

mod background;
mod memory_limit;
mod registry;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use vswitch::config::{
    Ageing, BackendChoice, CgroupPath, Config, ConfigError, Cpus, Dns, DnsServer, Glob, IdlePolicy,
    IfName, MetricsAddr, Mtu, Multicast, NodeName, SchedulingChoice, Settings, SnatPorts,
    SocketPath, StateDir, Subnet4, Subnet6, Underlay, Uplink, VxlanChecksum, VxlanPort, Workers,
};
use vswitch::{Ready, SocketError, Stage};
use vswitch_api::network::NetworkDetail;
use vswitch_api::status::Status;

use crate::client::Client;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::output::{self, Format};
use crate::{complete, table, value};
pub(super) use background::LOG;
use registry::RegistryArg;

/// Start the switch
///
/// Runs in the foreground and logs to stderr, until `vswitch down` or Ctrl-C; with --detach in the
/// background. When it ends, it restores the host.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// Name of the first network and of the host's device on it [default: br0]
    #[arg(long, value_name = "NAME")]
    bridge: Option<IfName>,
    /// IPv4 subnet; the host has its first address [default: as before, at first 10.99.0.0/16]
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<Subnet4>,
    /// IPv6 subnet; the host has its first address [default: as before, at first a random fd../64]
    #[arg(long, value_name = "SUBNET")]
    subnet6: Option<Subnet6>,
    /// Egress: auto (all NICs, bonds, VLANs, veths and bridges of these that lead out, but docker* and its like),
    /// devices by name, kernel NAT, or none [default: auto]
    #[arg(long, value_name = "auto|IFACE,..|kernel|none")]
    #[arg(add = complete::words(&["auto", "kernel", "none"]))]
    uplink: Option<Uplink>,
    /// Devices that are no uplinks, by name or pattern such as 'veth*'; may be given several times
    #[arg(long, value_name = "GLOB")]
    uplink_exclude: Vec<Glob>,
    /// SNAT source-port range [default: 20000-29999]
    #[arg(long, value_name = "FIRST-LAST")]
    snat_ports: Option<SnatPorts>,
    /// Datapath worker threads [default: 1 up to three cores; then half of the cores, at most 4]
    #[arg(long, value_name = "N")]
    workers: Option<Workers>,
    /// Processors to bind the workers to, such as 2 or 1,4-6 [default: the scheduler chooses]
    #[arg(long, value_name = "LIST")]
    cpus: Option<Cpus>,
    /// Scheduling class of the workers; auto is batch, in which a worker that wakes up
    /// interrupts no endpoint [default: auto]
    #[arg(long, value_name = "CLASS", value_parser = scheduling())]
    scheduling: Option<SchedulingChoice>,
    /// Idle policy of the workers; adaptive spins while other processes leave a processor to each worker
    /// [default: adaptive]
    #[arg(long, value_name = "POLICY", value_parser = idle_policy())]
    idle: Option<IdlePolicy>,
    /// Packet I/O backend [default: auto]
    #[arg(long, value_name = "BACKEND", value_parser = backend())]
    backend: Option<BackendChoice>,
    /// Largest IP packet in bytes [default: 1500]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<Mtu>,
    /// Seconds until a learnt MAC address ages out [default: 300]
    #[arg(long, value_name = "SECONDS")]
    ageing: Option<Ageing>,
    /// Multicast: to listeners (IGMP and MLD snooping), or flooded [default: snoop]
    #[arg(long, value_name = "snoop|flood", add = complete::words(&["snoop", "flood"]))]
    multicast: Option<Multicast>,
    /// Serve DHCPv4 and DHCPv6 in the first network: each port gets its address
    #[arg(long)]
    dhcp: bool,
    /// Send router advertisements in the first network
    #[arg(long)]
    ra: bool,
    /// Serve Prometheus metrics over TCP as well; a port alone means loopback [default: off]
    #[arg(long, value_name = "[ADDR:]PORT")]
    metrics: Option<MetricsAddr>,
    /// DNS server for names that are no container's; may be given several times [default: those of the
    /// host's /etc/resolv.conf, also when it changes]
    #[arg(long, value_name = "ADDR[:PORT]")]
    dns_upstream: Vec<DnsServer>,
    /// Answer no DNS queries of containers
    #[arg(long, conflicts_with = "dns_upstream")]
    no_dns: bool,
    /// Serve Docker's network plugin on this socket [default: off; the socket
    /// /run/docker/plugins/vswitch.sock if none is named]
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = vswitch_api::DEFAULT_DOCKER_PLUGIN, value_hint = ValueHint::FilePath)]
    docker_plugin: Option<SocketPath>,
    /// Docker's own socket, which knows the names of its containers [default: /var/run/docker.sock]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath)]
    docker_api: Option<SocketPath>,
    /// Address of this host for overlay networks: other hosts send to it [default: none, and no overlay networks]
    #[arg(long, value_name = "ADDR")]
    underlay: Option<Underlay>,
    /// UDP port of overlay networks [default: 4789]
    #[arg(long, value_name = "PORT")]
    vxlan_port: Option<VxlanPort>,
    /// UDP checksum of overlay networks' datagrams, `on` or `off`: without it each packet leaves by itself, and over
    /// IPv6 the others have to take datagrams without one [default: on]
    #[arg(long, value_name = "on|off")]
    vxlan_checksum: Option<VxlanChecksum>,
    /// Name of this host among those of overlay networks [default: the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// Registry that the hosts of overlay networks share: etcd://HOST, zookeeper://HOST, consul://HOST or
    /// file:///PATH; needs --underlay [default: none; peers are named by `network peer add`]
    #[arg(long, value_name = "URL")]
    #[arg(add = complete::words(&["etcd://", "zookeeper://", "consul://", "file:///"]))]
    registry: Option<RegistryArg>,
    /// Move the data of TCP connections between local containers from socket to socket, in all networks that do not say
    /// otherwise
    #[arg(long)]
    cut_through: bool,
    /// Cgroup (version 2) whose sockets may be cut through [default: the root]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cut_through_cgroup: Option<CgroupPath>,
    /// TOML file with these settings; command-line options override it
    #[arg(long, value_name = "FILE", value_parser = value::path, value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Directory of the state that survives a restart [default: /var/lib/vswitch]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state_dir: Option<StateDir>,
    /// Run in the background; return when the switch is ready
    #[arg(long)]
    detach: bool,
    /// This process is the one in the background
    #[arg(long, hide = true, requires = "detach")]
    in_background: bool,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch up --bridge br0 --detach
  sudo vswitch up --subnet 10.7.0.0/24 --subnet6 fd07::/64 --mtu 9000
  sudo vswitch up --uplink eth0,eth1                    egress and published ports by these devices only
  sudo vswitch up --uplink-exclude 'wlan*'              by all that lead out, but these
  sudo vswitch up --uplink none --workers 2 --cpus 2,3 --idle spin
  sudo vswitch up --metrics 9101 --detach               curl http://127.0.0.1:9101/metrics
  sudo vswitch up --dns-upstream 192.0.2.53 --dns-upstream [2001:db8::53]:5353
  sudo vswitch up --docker-plugin --detach              then: docker network create -d vswitch blue
  sudo vswitch up --underlay 192.0.2.1 --node n1        then: vswitch network create --overlay --vni 42 blue
  sudo vswitch up --underlay 192.0.2.1 --registry etcd://192.0.2.9:2379 --detach
  sudo vswitch up --config /etc/vswitch.toml

Registries, with the default ports; /PREFIX may follow, further hosts stand after commas:
  etcd://192.0.2.9:2379          ?tls=true, ?ca=FILE, ?cert=FILE&key=FILE, ?user=NAME&password-file=FILE
  zookeeper://192.0.2.9:2181     the same options
  consul://192.0.2.9:8500        ?tls=true, ?ca=FILE, ?cert=FILE&key=FILE, ?token-file=FILE
  file:///etc/vswitch/overlay.toml
A password in the URL is seen by all users in the list of processes: name a file, or write the URL into that of --config.

A second switch on the same machine:
  sudo vswitch --socket /run/lab.sock up --bridge lab0 --subnet 10.98.0.0/16 \\
      --snat-ports 12000-19999 --state-dir /var/lib/vswitch-lab --detach";

fn idle_policy() -> impl TypedValueParser<Value = IdlePolicy> {
    PossibleValuesParser::new(["adaptive", "spin", "sleep"]).try_map(|word| word.parse())
}

fn scheduling() -> impl TypedValueParser<Value = SchedulingChoice> {
    PossibleValuesParser::new(["auto", "normal", "batch", "realtime"]).try_map(|word| word.parse())
}

fn backend() -> impl TypedValueParser<Value = BackendChoice> {
    PossibleValuesParser::new(["auto", "io_uring", "epoll"]).try_map(|word| word.parse())
}

impl UpArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let (detach, in_background) = (self.detach, self.in_background);
        let config = self.configure(global)?;
        match (detach, in_background) {
            (_, true) => in_the_background(config)?,
            (true, false) => start_and_show(&config, global.format)?,
            (false, false) => serve(config, |_| {})?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Settings of the options, over those of the file.
    fn configure(self, global: &Global) -> Outcome<Config> {
        let dns = match (self.no_dns, self.dns_upstream) {
            (true, _) => Some(Dns::Off),
            (false, servers) if servers.is_empty() => None,
            (false, servers) => Some(Dns::Servers(servers)),
        };
        let said = Settings {
            bridge: self.bridge,
            subnet: self.subnet,
            subnet6: self.subnet6,
            workers: self.workers,
            cpus: self.cpus,
            scheduling: self.scheduling,
            idle: self.idle,
            backend: self.backend,
            mtu: self.mtu,
            socket: global.socket.clone(),
            state_dir: self.state_dir,
            ageing: self.ageing,
            fdb_entries_max: None,
            uplink: self.uplink,
            uplink_exclude: (!self.uplink_exclude.is_empty())
                .then(|| self.uplink_exclude.into_iter().collect()),
            snat_ports: self.snat_ports,
            multicast: self.multicast,
            dhcp: self.dhcp.then_some(true),
            ra: self.ra.then_some(true),
            metrics: self.metrics,
            dns,
            docker_plugin: self.docker_plugin,
            docker_api: self.docker_api,
            underlay: self.underlay,
            vxlan_port: self.vxlan_port,
            vxlan_checksum: self.vxlan_checksum,
            node: self.node,
            registry: self.registry.map(RegistryArg::url).transpose()?,
            cut_through: self.cut_through.then_some(true),
            cut_through_cgroup: self.cut_through_cgroup,
        };
        Ok(Config::load(said, self.config.as_deref())?)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read { .. } => Self::new(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

/// Runs the daemon to its end.
fn serve(config: Config, mut further: impl FnMut(&Stage<'_>)) -> Outcome<()> {
    let told = |stage: Stage<'_>| {
        if let Stage::Ready(stands) = stage {
            log_up(stands);
        }
        systemd::say(stage);
        further(&stage);
    };
    vswitch::serve(config, told).map_err(|error| Failure::new(error.to_string()))
}

fn log_up(stands: &Ready) {
    tracing::info!(
        bridge = stands.bridge,
        gateways = ?stands.gateways,
        socket = %stands.socket.display(),
        backend = %stands.backend,
        reason = stands.backend_reason,
        workers = stands.workers,
        attached_again = stands.attached,
        waiting = stands.waiting,
        kept = stands.kept,
        gone = stands.dropped,
        "the switch is up"
    );
}

/// The daemon that `up --detach` started.
fn in_the_background(config: Config) -> Outcome<()> {
    background::leave_terminal();
    serve(config, background::say).inspect_err(background::say_failed)
}

/// Starts the daemon in the background, and shows its status.
fn start_and_show(config: &Config, format: Format) -> Outcome<()> {
    let socket = config.socket_path();
    let client = Client::new(&socket)?;
    // The daemon would fail as well, but only after it has opened the log.
    // One that is dying, it waits for.
    if let Ok(pid) = client.wait(client.daemon_pid()) {
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        if !pid.is_some_and(vswitch::is_dying) {
            let served = SocketError::Served { path: socket, pid };
            return Err(Failure::new(served.to_string()));
        }
    }
    let (log, backup) = background::start(config.state_dir.path())?;
    if let Some(backup) = backup {
        output::print_error(&format!(
            "warning: a part of the stored state makes no sense now and was dropped; {} has a copy, and the log says \
             which part; to take records over, stop the switch and put them back into state.json beside it\n",
            backup.display()
        ));
    }
    let status = client.wait(client.status())?;
    let network = client.wait(client.network(&status.bridge))?;
    output::show(format, &status, |status| summary(status, &network, config, &log))
}

fn summary(status: &Status, network: &NetworkDetail, config: &Config, log: &Path) -> String {
    let network = &network.network;
    let gateways = network.gateways.iter().zip(&network.subnets);
    let mut facts: Vec<_> = gateways
        .map(|(gateway, subnet)| {
            let family = if gateway.is_ipv4() { "  IPv4" } else { "  IPv6" };
            (family, format!("{gateway}/{}", subnet.prefix_len()))
        })
        .collect();
    facts.extend([
        ("  backend", format!("{} ({})", status.backend, status.backend_reason)),
        ("  log", log.display().to_string()),
    ]);
    if status.ports > 0 {
        facts.push(("  attached again", status.ports.to_string()));
    }
    let vswitch = match config.socket == SocketPath::default() {
        true => "vswitch".to_owned(),
        false => format!("vswitch --socket {}", config.socket.path().display()),
    };
    format!(
        "\
{bridge} is up, process {pid}
{facts}
Next:
  {vswitch} run -- bash    a shell in a network namespace attached to {bridge}
  {vswitch} ls             attached containers
  {vswitch} down           stop the switch and restore the host
",
        bridge = status.bridge,
        pid = status.pid,
        facts = table::pairs(facts),
    )
}

#[cfg(test)]
mod tests;
