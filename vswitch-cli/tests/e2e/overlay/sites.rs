//! Hosts that are joined by an underlay, each with a switch.

use std::net::{IpAddr, SocketAddr};

use testkit::{Netns, join};

use crate::harness::{Container, Host};

/// Family of the underlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Address of a host on the underlay.
    pub(super) fn address(self, number: u8) -> IpAddr {
        match self {
            Self::V4 => address(&format!("198.18.7.{number}")),
            Self::V6 => address(&format!("2001:db8:7::{number}")),
        }
    }

    /// Where that host receives VXLAN.
    pub(super) fn endpoint(self, number: u8) -> SocketAddr {
        SocketAddr::new(self.address(number), 4789)
    }

    /// The same with a prefix length.
    pub(super) fn net(self, number: u8) -> String {
        let length = if self == Self::V4 { 24 } else { 64 };
        format!("{}/{length}", self.address(number))
    }

    /// What an underlay of 1,500 bytes leaves.
    pub(super) fn mtu(self) -> u32 {
        if self == Self::V4 { 1450 } else { 1430 }
    }
}

#[track_caller]
pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Gives a namespace an address on the device `ul`.
#[track_caller]
pub(super) fn give_address(netns: &Netns, family: Family, number: u8) {
    let mut add = vec!["ip", "addr", "add"];
    let net = family.net(number);
    add.extend([net.as_str(), "dev", "ul"]);
    add.extend((family == Family::V6).then_some("nodad"));
    netns.ok(&add);
}

/// Two hosts, joined by `ul`.
pub(super) struct Sites {
    pub(super) hosts: [Host; 2],
    pub(super) family: Family,
    args: Vec<String>,
}

impl Sites {
    /// Two hosts without switches.
    #[track_caller]
    pub(super) fn new(family: Family) -> Self {
        let hosts = [Host::new(), Host::new()];
        join(hosts[0].netns(), "ul", hosts[1].netns(), "ul");
        Self::on(hosts, family)
    }

    /// Two hosts without switches, and a bridge between them, whose ports `p1` and `p2` lead to them.
    #[track_caller]
    pub(super) fn bridged(family: Family) -> (Self, Netns) {
        let (hosts, bridge) = ([Host::new(), Host::new()], Netns::new("bridge"));
        bridge.run_lines(&["ip link add mid type bridge mcast_snooping 0", "ip link set mid up"]);
        for (host, port) in hosts.iter().zip(["p1", "p2"]) {
            join(host.netns(), "ul", &bridge, port);
            bridge.ok(&["ip", "link", "set", port, "master", "mid"]);
        }
        (Self::on(hosts, family), bridge)
    }

    #[track_caller]
    fn on(hosts: [Host; 2], family: Family) -> Self {
        for (host, number) in hosts.iter().zip(1..) {
            give_address(host.netns(), family, number);
        }
        Self { hosts, family, args: Vec::new() }
    }

    /// Two switches that have the network `blue` and are static peers of each other.
    #[track_caller]
    pub(super) fn up(family: Family, args: &[&str]) -> Self {
        let mut sites = Self::new(family);
        sites.start(args);
        sites
    }

    /// Starts both switches, with the network.
    #[track_caller]
    pub(super) fn start(&mut self, args: &[&str]) {
        self.start_switches(args);
        (0..2).for_each(|at| self.create_blue(at));
    }

    /// Starts both switches.
    #[track_caller]
    pub(super) fn start_switches(&mut self, args: &[&str]) {
        self.args = args.iter().map(ToString::to_string).collect();
        (0..2).for_each(|at| self.up_again(at));
    }

    /// Starts the daemon of one host.
    #[track_caller]
    pub(super) fn up_again(&mut self, at: usize) {
        let node = format!("n{}", at + 1);
        let underlay = self.family.address(at as u8 + 1).to_string();
        let mut args = vec!["--underlay", &underlay, "--node", &node];
        args.extend(self.args.iter().map(String::as_str));
        self.hosts[at].up(&args);
    }

    #[track_caller]
    fn create_blue(&self, at: usize) {
        let (own, other) = (at + 1, 2 - at);
        let host = &self.hosts[at];
        let mut create = vec!["network", "create", "--overlay", "--vni", "42"];
        create.extend(["--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"]);
        let (range, range6) = (format!("10.50.{own}.0/24"), format!("fd00:50::{own}:0/112"));
        let (ip, ip6) = (format!("10.50.255.{own}"), format!("fd00:50::ff:{own}"));
        create.extend(["--ip-range", &range, "--ip-range", &range6]);
        create.extend(["--host-ip", &ip, "--host-ip", &ip6, "blue"]);
        host.ok(&create);
        let peer = self.family.address(other as u8).to_string();
        host.ok(&["network", "peer", "add", "blue", &peer]);
    }

    /// A container on each.
    #[track_caller]
    pub(super) fn containers(&self) -> (Container, Container) {
        let [n1, n2] = &self.hosts;
        let container = |host: &Host, name| host.container_with(name, &["--network", "blue"]);
        (container(n1, "a"), container(n2, "b"))
    }
}

/// Frames of a host since its start that were dropped for a reason.
#[track_caller]
pub(super) fn drops(host: &Host, reason: &str) -> u64 {
    host.stats().drops.get(reason).copied().unwrap_or(0)
}

/// No frame appeared or vanished.
#[track_caller]
pub(super) fn balanced(host: &Host) {
    host.balanced();
}
