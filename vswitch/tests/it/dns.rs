//! The DNS server on the loopback, asked by `dig`. A client's address 127.0.0.N is port N.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastpath::PortIndex;
use vswitch::datapath::NetworkIndex;
use vswitch::dns::{EndpointNames, Names, NetworkNames, Server, ServerConfig, Upstreams};

/// Connections of a client that has too many.
const FLOOD: usize = 1000;

struct Dns {
    names: Arc<Names>,
    server: Server,
    address: SocketAddr,
}

impl Dns {
    fn start(upstreams: Upstreams) -> Self {
        let names = Arc::<Names>::default();
        for (index, name, is_internal) in [(0, "net", false), (1, "inner", true)] {
            let network = NetworkNames {
                name: name.to_owned(),
                subnets: vec![format!("10.99.{index}.0/24").parse().unwrap()],
                gateways: vec![[10, 99, index, 1].into()],
                is_internal,
                reachable_from: Vec::new(),
                has_host_port: true,
            };
            names.set_network(NetworkIndex(index.into()), network);
        }
        names.set_endpoint(PortIndex(2), endpoint(0, "web", 2, &[]));
        names.set_endpoint(PortIndex(3), endpoint(0, "db", 3, &["data"]));
        names.set_endpoint(PortIndex(4), endpoint(1, "lone", 4, &[]));
        let (udp, tcp) = sockets();
        let address = tcp.local_addr().unwrap();
        let client_of = |address: IpAddr| match address {
            IpAddr::V4(ipv4) => Some(PortIndex(ipv4.octets()[3].into())),
            IpAddr::V6(_) => None,
        };
        let server = Server::start(ServerConfig {
            names: Arc::clone(&names),
            udp: vec![udp],
            tcp: vec![tcp],
            client_of: Arc::new(client_of),
            upstreams,
        });
        Self { names, server: server.unwrap(), address }
    }

    /// Output of `dig` from an address.
    fn dig(&self, from: u8, arguments: &[&str]) -> String {
        let mut command = Command::new("dig");
        command.args(["@127.0.0.1", "-p", &self.address.port().to_string()]);
        command.args(["-b", &format!("127.0.0.{from}"), "+timeout=3", "+tries=1"]);
        let output = command.args(arguments).output().expect("dig: scripts/deps.sh test");
        String::from_utf8(output.stdout).unwrap()
    }

    fn short(&self, from: u8, name: &str) -> String {
        self.dig(from, &["+short", name]).trim().to_owned()
    }
}

/// Sockets of one port.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        // Another process may have the port of that number by TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

fn endpoint(network: u8, name: &str, last: u8, aliases: &[&str]) -> EndpointNames {
    EndpointNames {
        network: NetworkIndex(network.into()),
        container: name.to_owned(),
        names: std::iter::once(name).chain(aliases.iter().copied()).map(str::to_owned).collect(),
        addresses: vec![
            [10, 99, network, last].into(),
            format!("fd00:{network}::{last}").parse().unwrap(),
        ],
    }
}

/// A second server is the upstream server of a first one.
fn with_upstream() -> (Dns, Dns) {
    let upstream = Dns::start(Upstreams::Servers(Vec::new()));
    // Its client is the first one, from 127.0.0.1.
    upstream.names.set_endpoint(PortIndex(1), endpoint(0, "www.example", 80, &[]));
    for n in 100..200 {
        let name = format!("m{n}");
        upstream.names.set_endpoint(PortIndex(n), endpoint(0, &name, n as u8, &["long.example"]));
    }
    let dns = Dns::start(Upstreams::Servers(vec![upstream.address]));
    (dns, upstream)
}

#[test]
fn dig_gets_names_addresses_and_negative_answers() {
    let dns = Dns::start(Upstreams::Servers(Vec::new()));
    assert_eq!(dns.short(2, "DB"), "10.99.0.3");
    assert_eq!(dns.short(2, "data.net"), "10.99.0.3");
    assert_eq!(dns.dig(2, &["+short", "+tcp", "db", "AAAA"]).trim(), "fd00::3");
    assert_eq!(dns.dig(2, &["+short", "-x", "10.99.0.3"]).trim(), "db.net.");
    assert_eq!(dns.short(4, "host.vswitch.internal"), "10.99.1.1");
    let absent = dns.dig(4, &["db"]);
    assert!(absent.contains("status: NXDOMAIN") && absent.contains("SOA"), "{absent}");
    let no_data = dns.dig(2, &["db", "MX"]);
    assert!(no_data.contains("status: NOERROR") && no_data.contains("SOA"), "{no_data}");
    assert!(no_data.contains("ANSWER: 0"), "{no_data}");
    let stranger = dns.dig(77, &["db"]);
    assert!(stranger.contains("status: REFUSED"), "{stranger}");
    let failed = dns.dig(2, &["www.example"]);
    assert!(failed.contains("status: SERVFAIL"), "{failed}");
    let counters = dns.server.counters();
    assert_eq!((counters.answered, counters.no_name, counters.no_data), (5, 1, 1));
    assert_eq!((counters.unknown_clients, counters.upstream_failed), (1, 1));
}

#[test]
fn everything_else_comes_from_upstream_by_udp_and_tcp() {
    let (dns, upstream) = with_upstream();
    assert_eq!(dns.short(2, "www.example"), "10.99.0.80");
    assert_eq!(dns.short(4, "www.example"), "", "an internal network forwards nothing");
    // Longer than any answer by UDP: truncated on both ways, asked again by TCP on both.
    let long = dns.dig(2, &["+short", "long.example"]);
    assert_eq!(long.lines().count(), 100, "{long}");
    let cut = dns.dig(2, &["+ignore", "+noedns", "long.example"]);
    assert!(cut.contains("flags: qr tc rd ra"), "{cut}");
    let (here, there) = (dns.server.counters(), upstream.server.counters());
    assert!(here.truncated >= 2 && there.truncated == 1, "{here:?} {there:?}");
    assert_eq!((here.upstream_queries, here.cached), (2, 2), "{here:?}");
}

#[test]
fn a_dead_upstream_server_ends_in_servfail_within_two_seconds() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = Dns::start(Upstreams::Servers(vec![silent.local_addr().unwrap()]));
    let started = Instant::now();
    let answer = dns.dig(2, &["www.example"]);
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
    assert!(answer.contains("Query time:"), "{answer}");
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
    assert_eq!(dns.server.counters().upstream_failed, 1);
    // Names of ours never wait for it.
    assert_eq!(dns.short(2, "db"), "10.99.0.3");
}

/// A connection from 127.0.0.N.
fn connect(dns: &Dns, from: u8) -> TcpStream {
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0));
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    );
    let socket = socket.unwrap();
    rustix::net::bind(&socket, &from).unwrap();
    rustix::net::connect(&socket, &dns.address).unwrap();
    TcpStream::from(socket)
}

#[test]
fn a_client_with_a_thousand_connections_leaves_the_others_theirs() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: files.maximum, ..files };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let dns = Dns::start(Upstreams::Servers(Vec::new()));
    let mut connections: Vec<_> = (0..FLOOD).map(|_| connect(&dns, 2)).collect();
    assert_eq!(dns.dig(3, &["+short", "+tcp", "db"]).trim(), "10.99.0.3");
    // A closed one ends at once, an open one is silent.
    let mut open = 0;
    for connection in &mut connections {
        connection.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        open += usize::from(
            connection
                .read(&mut [0])
                .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
        );
    }
    assert_eq!(open, 16);
    assert_eq!(dns.server.counters().connections_limited, (FLOOD - 16) as u64);
    drop(connections);
    testkit::wait_for("the client may connect again", Duration::from_secs(5), || {
        dns.dig(2, &["+short", "+tcp", "db"]).trim() == "10.99.0.3"
    });
}

#[test]
fn a_name_that_changes_hands_is_always_somebodys() {
    let dns = Dns::start(Upstreams::Servers(Vec::new()));
    let (names, stop) = (Arc::clone(&dns.names), Arc::new(AtomicBool::new(false)));
    names.set_endpoint(PortIndex(5), endpoint(0, "service", 50, &[]));
    let changer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut ports = [5_u8, 6];
            while !stop.load(Ordering::Relaxed) {
                // The new holder comes before the old one goes.
                let [old, new] = ports;
                names.set_endpoint(PortIndex(new.into()), endpoint(0, "service", new * 10, &[]));
                names.remove_endpoint(PortIndex(old.into()));
                ports = [new, old];
            }
        }
    });
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07service\0\0\x01\0\x01";
    let mut seen = [0; 2];
    for _ in 0..5000 {
        socket.send_to(query, dns.address).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        assert_eq!(answer[3] & 0x0f, 0, "{:?}", &answer[..length]);
        let last = answer[length - 1];
        assert!(last == 50 || last == 60, "{:?}", &answer[..length]);
        seen[usize::from(last == 60)] += 1;
    }
    stop.store(true, Ordering::Relaxed);
    changer.join().unwrap();
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[test]
fn a_connection_carries_many_queries_and_ends_with_what_is_none() {
    let dns = Dns::start(Upstreams::Servers(Vec::new()));
    let mut connection = connect(&dns, 2);
    connection.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let query = b"\0\x14\0\x07\x01\0\0\x01\0\0\0\0\0\0\x02db\0\0\x01\0\x01";
    connection.write_all(&query.repeat(50)).unwrap();
    for _ in 0..50 {
        let mut length = [0; 2];
        connection.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        connection.read_exact(&mut answer).unwrap();
        assert!(answer.ends_with(&[10, 99, 0, 3]), "{answer:?}");
    }
    connection.write_all(b"\xff\xff").unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0, "longer than any query");
}

#[test]
fn it_ends_when_it_is_dropped() {
    let dns = Dns::start(Upstreams::Servers(Vec::new()));
    let mut connection = connect(&dns, 2);
    let address = dns.address;
    dns.server.stop();
    assert!(matches!(connection.read(&mut [0]), Ok(0) | Err(_)));
    assert!(UdpSocket::bind(address).is_ok());
}
