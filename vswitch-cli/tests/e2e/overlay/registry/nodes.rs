//! Nodes of a registry: hosts and an etcd, joined by an underlay.

use std::net::IpAddr;

use testkit::{Etcd, Netns, Snapshot, join, wait_for};
use vswitch_api::dns::DnsName;
use vswitch_api::network::NetworkDetail;
use vswitch_api::overlay::RemoteEndpoint;
use vswitch_api::registry::RegistryStatus;

use super::super::SOON;
use super::super::sites::{Family, give_address};
use crate::harness::{Container, Host};

/// Number of the etcd's address on the underlay.
const REGISTRY: u8 = 9;

/// Hosts on one underlay, and what they share.
pub(super) struct Nodes {
    pub(super) hosts: Vec<Host>,
    pub(super) etcd: Etcd,
    pub(super) family: Family,
    args: Vec<String>,
    /// The switch of the underlay, where etcd runs.
    _underlay: Netns,
}

impl Nodes {
    /// That many hosts without switches, and a registry.
    #[track_caller]
    pub(super) fn new(family: Family, count: usize) -> Self {
        let underlay = Netns::new("underlay");
        underlay.run_lines(&[
            "ip link add ul type bridge mcast_snooping 0",
            "ip link set ul addrgenmode none",
            "ip link set ul up",
        ]);
        give_address(&underlay, family, REGISTRY);
        let hosts: Vec<_> = (0..count).map(|_| Host::new()).collect();
        for (host, number) in hosts.iter().zip(1..) {
            let port = format!("ul{number}");
            join(host.netns(), "ul", &underlay, &port);
            underlay.ok(&["ip", "link", "set", &port, "master", "ul"]);
            give_address(host.netns(), family, number);
        }
        let etcd = Etcd::inside(&underlay, family.address(REGISTRY));
        Self { hosts, etcd, family, args: Vec::new(), _underlay: underlay }
    }

    /// That many hosts with switches `n1`, `n2` and so on, with further options of `up`, and the network `blue`.
    #[track_caller]
    pub(super) fn up(family: Family, count: usize, args: &[&str]) -> Self {
        let mut nodes = Self::new(family, count);
        nodes.start_with(args);
        nodes
    }

    /// Starts all switches with further options of `up`, and creates the network `blue`.
    #[track_caller]
    pub(super) fn start_with(&mut self, args: &[&str]) {
        self.args = args.iter().map(ToString::to_string).collect();
        (0..self.hosts.len()).for_each(|at| self.start(at));
        self.create_blue();
    }

    /// URL of the registry.
    pub(super) fn registry(&self) -> String {
        format!("etcd://{}/vswitch", self.etcd.address())
    }

    /// The options of `up` of one host.
    pub(super) fn options(&self, at: usize) -> Vec<String> {
        let underlay = self.family.address(at as u8 + 1).to_string();
        let own = ["--underlay".to_owned(), underlay, "--node".to_owned(), format!("n{}", at + 1)];
        let registry = ["--registry".to_owned(), self.registry()];
        // Nobody answers there, which is said at once.
        let upstream = ["--dns-upstream".to_owned(), self.family.address(REGISTRY).to_string()];
        let all = own.into_iter().chain(registry).chain(upstream);
        all.chain(self.args.iter().cloned()).collect()
    }

    /// Starts the switch of one host.
    #[track_caller]
    pub(super) fn start(&mut self, at: usize) {
        let options = self.options(at);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        self.hosts[at].up(&options);
    }

    /// Creates `blue` on the first host, and waits until all have it.
    #[track_caller]
    pub(super) fn create_blue(&self) {
        self.hosts[0].ok(&["network", "create", "blue", "--overlay", "--subnet", "10.50.0.0/16"]);
        for host in &self.hosts {
            wait_for("blue is on all nodes", SOON, || has_network(host, "blue"));
        }
    }

    /// A container in `blue` on one host.
    #[track_caller]
    pub(super) fn container(&self, at: usize, name: &str) -> Container {
        self.container_with(at, name, &[])
    }

    /// The same with further options.
    #[track_caller]
    pub(super) fn container_with(&self, at: usize, name: &str, args: &[&str]) -> Container {
        self.hosts[at].container_with(name, &[&["--network", "blue"], args].concat())
    }

    /// Stops etcd, and waits until a node knows.
    #[track_caller]
    pub(super) fn stop_etcd(&mut self) {
        self.etcd.stop();
        for host in &self.hosts {
            wait_for("the node knows that etcd is away", SOON, || !status(host).connected);
        }
    }

    /// Starts etcd, and waits until all nodes know.
    #[track_caller]
    pub(super) fn start_etcd(&mut self) {
        self.etcd.start();
        for host in &self.hosts {
            wait_for("the node is connected", SOON, || status(host).connected);
        }
    }
}

/// The node's part in the registry. The command fails while the registry is away.
#[track_caller]
pub(super) fn status(host: &Host) -> RegistryStatus {
    let output = host.vswitch(&["--format", "json", "registry", "status"]);
    let status: RegistryStatus =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    let is_well = status.connected && status.problem.is_none();
    assert_eq!(output.status.success(), is_well, "{output}");
    status
}

/// A network as a node has it.
#[track_caller]
pub(super) fn network(host: &Host, name: &str) -> NetworkDetail {
    serde_json::from_value(host.json(&["network", "inspect", name])).expect("NetworkDetail")
}

/// Endpoints on other nodes that a node has for `blue`: name, which the host's own has not, and node.
#[track_caller]
pub(super) fn remotes(host: &Host) -> Vec<(Option<String>, String)> {
    let blue = network(host, "blue");
    assert_eq!(blue.remote_endpoints.len(), blue.remote_endpoints_total);
    let pair = |it: &RemoteEndpoint| (it.name.clone(), it.node.clone());
    blue.remote_endpoints.iter().map(pair).collect()
}

pub(super) fn has_network(host: &Host, name: &str) -> bool {
    let networks = host.json(&["network", "ls"]);
    networks.as_array().expect("rows").iter().any(|row| row["name"] == name)
}

/// Addresses of a name, as a container sees them, sorted.
#[track_caller]
pub(super) fn resolve(container: &Container, name: &str, record_type: &str) -> Vec<IpAddr> {
    let server = format!("@{}", container.gateway());
    let dig = ["dig", &server, "+short", "+tries=2", "+timeout=2", "-q", name, "-t", record_type];
    let mut addresses: Vec<_> =
        container.exec(&dig).stdout.lines().filter_map(|line| line.parse().ok()).collect();
    addresses.sort();
    addresses
}

/// Waits until a container resolves a name to the addresses of others.
#[track_caller]
pub(super) fn resolves(container: &Container, name: &str, expected: &[IpAddr]) {
    let record_type = match expected.first() {
        Some(IpAddr::V6(_)) => "AAAA",
        _ => "A",
    };
    let mut expected = expected.to_vec();
    expected.sort();
    wait_for(&format!("{name} is {expected:?}"), SOON, || {
        resolve(container, name, record_type) == expected
    });
}

/// Waits until a node has no such name in `blue`.
#[track_caller]
pub(super) fn forgets(host: &Host, name: &str) {
    wait_for(&format!("{name} is forgotten"), SOON, || {
        let names: Vec<DnsName> =
            serde_json::from_value(host.json(&["dns", "ls"])).expect("DnsName[]");
        !names.iter().any(|row| row.network == "blue" && row.name == name)
    });
}

/// Nothing is left on a host after `down`.
#[track_caller]
pub(super) fn leaves_nothing(host: &mut Host, before: &Snapshot) {
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
}
