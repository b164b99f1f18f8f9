//! The world beyond the host's LAN: a router on it, and another host behind the router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::netns::join;
use super::{Container, Host, Netns, Process, wait_for};

/// The host's addresses on its LAN; see [`Host::new`].
pub(crate) const HOST4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The router's address on the LAN, which is the host's default route.
pub(crate) const ROUTER4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// The far host's addresses.
pub(crate) const FAR4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
pub(crate) const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 2));

/// The ports that containers appear from.
pub(crate) const SNAT_PORTS: RangeInclusive<u16> = 20_000..=32_767;

/// How long a service or a connection may take to stand.
pub(crate) const READY_MAX: Duration = Duration::from_secs(10);

/// Says to each client the address and port that it came from: `PROTOCOL ADDR PORT`.
const SAY_PEER: &str = "\
import socket, sys
protocol, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
if protocol == 'tcp':
    listener = socket.create_server((address, port), family=family)
    while True:
        connection, peer = listener.accept()
        connection.sendall(f'{peer[0]} {peer[1]}'.encode())
        connection.close()
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind((address, port))
while True:
    _, peer = s.recvfrom(100)
    s.sendto(f'{peer[0]} {peer[1]}'.encode(), peer)
";

/// Asks such a service, and prints its answer: `PROTOCOL ADDR PORT [OWN_PORT]`.
const ASK: &str = "\
import socket, sys
protocol, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
kind = socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM
s = socket.socket(family, kind)
s.settimeout(2)
if len(sys.argv) > 4:
    s.bind(('', int(sys.argv[4])))
s.connect((address, port))
if protocol == 'udp':
    s.send(b'who am I?')
print(s.recv(100).decode())
";

/// A router (the host's `lan`) and a host behind it, both with IPv4 and IPv6.
pub(crate) struct Remote {
    far: Netns,
}

/// A service of one namespace.
pub(crate) struct Service {
    _process: Process,
}

impl Host {
    /// A host with a remote one, and a switch that translates for its container `a`.
    #[track_caller]
    pub(crate) fn with_remote() -> (Self, Remote, Container) {
        let mut host = Self::new();
        let remote = host.remote();
        host.up(&["--uplink", "auto"]);
        let a = host.container("a");
        (host, remote, a)
    }

    /// Gives the host's LAN a router and a host behind it.
    #[track_caller]
    pub(crate) fn remote(&self) -> Remote {
        let (lan, far) = (self.lan(), Netns::new("far"));
        join(lan, "down0", &far, "up0");
        for line in [
            "ip addr add 198.51.100.1/24 dev down0",
            "ip addr add 2001:db8:f::1/64 dev down0 nodad",
            // Without such an address the kernel asks for no neighbour on behalf of others.
            "ip addr add fe80::1/64 dev down0 nodad",
        ] {
            lan.ok(&line.split(' ').collect::<Vec<_>>());
        }
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            lan.ok(&["sh", "-c", &format!("echo 1 > /proc/sys/{key}")]);
        }
        for line in [
            "ip addr add 198.51.100.2/24 dev up0",
            "ip addr add 2001:db8:f::2/64 dev up0 nodad",
            "ip route add default via 198.51.100.1",
            "ip route add default via 2001:db8:f::1",
        ] {
            far.ok(&line.split(' ').collect::<Vec<_>>());
        }
        let remote = Remote { far };
        remote.plug_in(self);
        remote
    }
}

impl Remote {
    /// Gives the router its end of the host's link.
    #[track_caller]
    pub(crate) fn plug_in(&self, host: &Host) {
        host.netns().ok(&["ip", "addr", "add", "fe80::1/64", "dev", "nic0", "nodad"]);
        host.lan().ok(&["ip", "addr", "add", "192.0.2.254/24", "dev", "nic1"]);
        host.lan().ok(&["ip", "addr", "add", "2001:db8::254/64", "dev", "nic1", "nodad"]);
        for address in [FAR4, FAR6] {
            host.netns().ping_soon(address, READY_MAX);
        }
    }

    /// The host behind the router.
    pub(crate) fn far(&self) -> &Netns {
        &self.far
    }
}

impl Netns {
    /// Serves [`SAY_PEER`] at an address, once it listens.
    #[track_caller]
    pub(crate) fn serve(&self, protocol: &str, address: IpAddr, port: u16) -> Service {
        let (address, text) = (address.to_string(), port.to_string());
        let mut process = self.spawn(&["python3", "-c", SAY_PEER, protocol, &address, &text]);
        let list = if protocol == "tcp" { "-ltnH" } else { "-lunH" };
        wait_for("the service listens", READY_MAX, || {
            assert!(process.is_running(), "the service at {address} port {port} ended");
            self.ok(&["ss", list, &format!("sport = :{port}")]).contains(&text)
        });
        Service { _process: process }
    }

    /// Asks such a service; gives who it thinks we are.
    #[track_caller]
    pub(crate) fn ask(&self, protocol: &str, address: IpAddr, port: u16) -> (IpAddr, u16) {
        let (address, port) = (address.to_string(), port.to_string());
        let answer = self.ok(&["python3", "-c", ASK, protocol, &address, &port]);
        let (peer, port) = answer.trim().split_once(' ').expect("address and port");
        let peer = peer.trim_start_matches("::ffff:");
        (peer.parse().expect("an address"), port.parse().expect("a port"))
    }

    /// Whether such a service answers. One that never does costs two seconds.
    pub(crate) fn can_ask(&self, protocol: &str, address: IpAddr, port: u16) -> bool {
        let (address, port) = (address.to_string(), port.to_string());
        self.exec(&["python3", "-c", ASK, protocol, &address, &port]).status.success()
    }
}
