//! A service that tells each client its address and port.

use std::net::{IpAddr, SocketAddr};

use crate::{Netns, Process, READY_MAX, wait_for};

/// Tells each client its source address and port: `PROTOCOL ADDR PORT`.
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

/// Queries such a service and prints its answer: `PROTOCOL ADDR PORT [OWN_PORT]`.
pub const ASK: &str = "\
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

/// A service of one namespace; it ends when dropped.
#[derive(Debug)]
pub struct Service {
    _process: Process,
}

/// Asks each of these ports, and prints a line for each: `ADDR PROTOCOL/PORT...`.
const ASK_EACH: &str = "\
import socket, sys
address = sys.argv[1]
family = socket.AF_INET6 if ':' in address else socket.AF_INET
for what in sys.argv[2:]:
    protocol, port = what.split('/')
    s = socket.socket(family, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
    s.settimeout(3)
    try:
        s.connect((address, int(port)))
        if protocol == 'udp':
            s.send(b'who am I?')
        said = s.recv(100).decode().split(' ')[0]
    except OSError as error:
        said = type(error).__name__
    s.close()
    print(said)
";

impl Netns {
    /// Starts the service at an address and waits until it listens.
    #[track_caller]
    pub fn serve(&self, protocol: &str, address: IpAddr, port: u16) -> Service {
        let (at, address, text) = (address, address.to_string(), port.to_string());
        let mut process = self.spawn(&["python3", "-c", SAY_PEER, protocol, &address, &text]);
        let list = if protocol == "tcp" { "-ltnH" } else { "-lunH" };
        // Another service may have the port at another address; a socket of both families is shown by a star.
        let (own, any) = (SocketAddr::new(at, port).to_string(), format!("*:{port}"));
        wait_for("the service listens", READY_MAX, || {
            assert!(process.is_running(), "the service at {address} port {port} ended");
            let sockets = self.ok(&["ss", list, &format!("sport = :{port}")]);
            let mut words = sockets.split_whitespace();
            words.any(|word| word == own || at.is_unspecified() && word == any)
        });
        Service { _process: process }
    }

    /// Queries a service; returns the source address and port that it saw.
    #[track_caller]
    pub fn ask(&self, protocol: &str, address: IpAddr, port: u16) -> (IpAddr, u16) {
        let (address, port) = (address.to_string(), port.to_string());
        let answer = self.ok(&["python3", "-c", ASK, protocol, &address, &port]);
        let (peer, port) = answer.trim().split_once(' ').expect("address and port");
        let peer = peer.trim_start_matches("::ffff:");
        (peer.parse().expect("an address"), port.parse().expect("a port"))
    }

    /// Whether a service answers. A silent one costs two seconds.
    pub fn can_ask(&self, protocol: &str, address: IpAddr, port: u16) -> bool {
        let (address, port) = (address.to_string(), port.to_string());
        self.exec(&["python3", "-c", ASK, protocol, &address, &port]).status.success()
    }

    /// The first word that each of these says, such as `tcp/80`, asked one after the other by one client; the name of
    /// the error of one that says nothing, after three seconds at most.
    #[track_caller]
    pub fn ask_each(&self, address: IpAddr, ports: &[&str]) -> Vec<String> {
        let address = address.to_string();
        let said = self.ok(&[&["python3", "-c", ASK_EACH, &address][..], ports].concat());
        said.lines().map(str::to_owned).collect()
    }
}
