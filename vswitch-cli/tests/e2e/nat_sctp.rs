//! SCTP (RFC 9260) through the translator. Not every kernel has it: both ends write and read its packets themselves,
//! by raw sockets.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, Process, Remote, wait_for};

use crate::harness::{Host, SNAT_PORTS};

/// Packets and their checksum, which covers the ports, and nothing of the IP header.
const SCTP: &str = "\
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

def sctp(sport, dport, tag, chunk):
    packet = struct.pack('!HHII', sport, dport, tag, 0) + chunk
    return packet[:8] + struct.pack('<I', crc32c(packet)) + packet[12:]

def receive(s):
    data, peer = s.recvfrom(2000)
    packet = data[(data[0] & 15) * 4:] if s.family == socket.AF_INET else data
    sport, dport = struct.unpack('!HH', packet[:4])
    zeroed = packet[:8] + bytes(4) + packet[12:]
    assert struct.pack('<I', crc32c(zeroed)) == packet[8:12], 'the checksum is wrong'
    return peer[0], sport, dport, packet[12:]

def chunk(kind, value):
    return struct.pack('!BBH', kind, 0, 4 + len(value)) + value

def open_at(address):
    s = socket.socket(family(address), socket.SOCK_RAW, SCTP)
    s.settimeout(10)
    s.bind((address, 0))
    return s

INIT, INIT_ACK = 1, 2
";

/// Waits for the beginning of an association at a port, and accepts it: `ADDR PORT FILE`; prints who it was. The file
/// is made when it listens.
const ACCEPT: &str = "\
own, port = sys.argv[1], int(sys.argv[2])
s = open_at(own)
open(sys.argv[3], 'w')
dport = None
while dport != port:
    peer, sport, dport, data = receive(s)
assert data == chunk(INIT, bytes(16)), data
s.sendto(sctp(dport, sport, 1, chunk(INIT_ACK, bytes(20))), (peer, 0))
print(peer, sport)
";

/// Begins one: `OWN OWN_PORT ADDR PORT`; prints who accepted it.
const CONNECT: &str = "\
own, own_port, address, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
s = open_at(own)
s.sendto(sctp(own_port, port, 0, chunk(INIT, bytes(16))), (address, 0))
peer, sport, dport, data = receive(s)
assert (dport, data) == (own_port, chunk(INIT_ACK, bytes(20))), (dport, data)
print(peer, sport)
";

/// Begins an association; gives whom the server saw, and whom the client.
#[track_caller]
fn associate(
    (host, client, own): (&Host, &Netns, IpAddr),
    (server, inner): (&Netns, (IpAddr, u16)),
    (to, port): (IpAddr, u16),
) -> [(IpAddr, u16); 2] {
    let (accept, connect) = (format!("{SCTP}{ACCEPT}"), format!("{SCTP}{CONNECT}"));
    let listens = host.path(&format!("sctp-{own}-{to}"));
    let file = listens.display().to_string();
    let [own, to, inner_address] = [own, to, inner.0].map(|address| address.to_string());
    let args = [inner_address.as_str(), &inner.1.to_string(), &file];
    let accepting: Process = server.spawn_crafting(&accept, &args);
    wait_for("the server listens", Duration::from_secs(10), || listens.exists());
    let seen = client.craft(&connect, &[&own, "4444", &to, &port.to_string()]);
    [accepting.finish(Duration::from_secs(10)).ok(), seen].map(|line| {
        let (address, port) = line.trim().split_once(' ').expect("address and port");
        (address.parse().expect("an address"), port.parse().expect("a port"))
    })
}

#[test]
fn associations_go_out_and_come_in() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "3868:4868/sctp"]);
    let client = host.container("client");
    let far_host = remote.far();
    for (inside, own, far) in [(a.v4(), HOST4, FAR4), (a.v6(), HOST6, FAR6)] {
        // From outside, with the client's address kept.
        let [client_seen, server_seen] =
            associate((&host, far_host, far), (&a, (inside, 4868)), (own, 3868));
        assert_eq!((client_seen, server_seen), ((far, 4444), (own, 3868)));
        // From a neighbour, by the host's address.
        let neighbour = if far.is_ipv4() { client.v4() } else { client.v6() };
        let [client_seen, server_seen] =
            associate((&host, &client, neighbour), (&a, (inside, 4868)), (own, 3868));
        assert_eq!((client_seen.0, server_seen), (own, (own, 3868)));
        assert!(SNAT_PORTS.contains(&client_seen.1), "{client_seen:?}");
        // To the outside.
        let [client_seen, server_seen] =
            associate((&host, &client, neighbour), (far_host, (far, 2905)), (far, 2905));
        assert_eq!((client_seen.0, server_seen), (own, (far, 2905)));
        assert!(SNAT_PORTS.contains(&client_seen.1), "{client_seen:?}");
        let rows = host.json(&["conntrack", "ls", "--protocol", "sctp"]);
        assert!(rows.as_array().is_some_and(|rows| rows.len() >= 3), "{rows}");
    }
    host.balanced();
}
