//! From a container's namespace through a switch to the sockets, and back. Needs root.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use fastpath::{BackendChoice, IdlePolicy, PortIndex, SchedulingChoice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

use super::*;
use crate::config::Cpus;
use crate::datapath::{
    DropReason, HostConfig, NetworkConf, NetworkIndex, PortAddresses, PortConf, PortKind,
    ServiceClient, ServiceConf, Snapshot,
};
use crate::dataplane::{Dataplane, DataplaneConfig};

const SERVICE: PortIndex = PortIndex(5);
const CONTAINERS: [PortIndex; 2] = [PortIndex(7), PortIndex(300)];
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const GATEWAYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 1)),
];
const OWN: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 2)),
];
/// An address of the container that the switch did not give it.
const FORGED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 3));
const PATIENCE: Duration = Duration::from_secs(10);

/// Sockets in a container's namespace, which they keep alive.
struct Container {
    udp: Vec<UdpSocket>,
    forger: UdpSocket,
    tcp: Vec<TcpSocket>,
}

/// A namespace with a TAP, as an attach makes it; both containers have the same addresses, on networks of their own.
async fn container(queues: usize) -> Result<(Vec<OwnedFd>, Container), HostError> {
    netns_exec::create(async move |inside: Netlink| {
        let tap = Tap::create(&TapConfig { name: "eth0", queues })?;
        let link = Link::new(tap.ifindex, tap.name);
        inside.set_mac_and_mtu(&link, OWN_MAC, 1500).await?;
        if queues > 1 {
            inside.no_queue(&link).await?;
        }
        sysctl::configure_ipv6(&link.name)?;
        inside.up(&link).await?;
        for (address, prefix_len) in [(OWN[0], 16), (FORGED, 16), (OWN[1], 64)] {
            inside.add_address(&link, IpNet::new_assert(address, prefix_len)).await?;
        }
        for gateway in GATEWAYS {
            inside.set_neighbour(&link, gateway, GATEWAY_MAC).await?;
        }
        inside.wait_until_local("fd00:99::2".parse().expect("an address")).await?;
        let bind = |own: IpAddr| UdpSocket::bind(SocketAddr::new(own, 0)).expect("a socket");
        let container = Container {
            udp: OWN.map(bind).into(),
            forger: bind(FORGED),
            tcp: vec![
                TcpSocket::new_v4().expect("a socket"),
                TcpSocket::new_v6().expect("a socket"),
            ],
        };
        Ok((tap.queues, container))
    })
    .await
}

fn snapshot() -> Snapshot {
    let network = NetworkConf {
        host_config: HostConfig::NONE,
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        mac: GATEWAY_MAC,
        snooping: false,
        router: None,
        service: Some(ServiceConf { vlan: 0, gateways: GATEWAYS.into(), has_host_port: true }),
        overlay: None,
    };
    let container = |(network, port): (u16, PortIndex)| {
        let conf = PortConf::new(NetworkIndex(network), PortKind::Container, OWN_MAC);
        (port, PortConf { addresses: PortAddresses::new(OWN), ..conf })
    };
    let containers = (0..).zip(CONTAINERS).map(container);
    let ports = containers.chain([(SERVICE, PortConf::service(MAC))]);
    Snapshot::compile(vec![network.clone(), network], ports)
}

struct Switch {
    dataplane: Dataplane,
    containers: Vec<Container>,
    sockets: ServiceSockets,
}

async fn switch(workers: usize) -> Switch {
    let config = DataplaneConfig {
        workers,
        backend: BackendChoice::Auto,
        cpus: Cpus::default(),
        scheduling: SchedulingChoice::Normal,
        idle: IdlePolicy::Sleep,
    };
    let (dataplane, _) = Dataplane::start(&config).expect("workers");
    let service = ServicePort::create(workers).await.expect("root");
    dataplane.add_port(SERVICE, service.queues).await.expect("a slot");
    let mut containers = Vec::new();
    for port in CONTAINERS {
        let (queues, container) = container(workers).await.expect("root");
        dataplane.add_port(port, queues).await.expect("a slot");
        containers.push(container);
    }
    dataplane.publish(snapshot());
    Switch { dataplane, containers, sockets: service.sockets }
}

/// Reads a datagram of a socket that does not block.
async fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let read = async {
        loop {
            match socket.recv_from(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                read => return read.expect("a datagram"),
            }
        }
    };
    let (len, from) = timeout(PATIENCE, read).await.expect("a datagram in time");
    (buffer[..len].to_vec(), from)
}

#[tokio::test]
async fn a_datagram_comes_from_its_port_and_its_answer_from_the_gateway() {
    for workers in [1, 2] {
        let switch = switch(workers).await;
        for (family, gateway) in GATEWAYS.into_iter().enumerate() {
            for (container, port) in switch.containers.iter().zip(CONTAINERS) {
                let client = &container.udp[family];
                client.set_nonblocking(true).expect("a socket");
                client.connect((gateway, SERVICE_PORT)).expect("a route");
                client.send(b"name?").expect("it is sent");
                let server = &switch.sockets.udp[family];
                let (question, from) = received(server).await;
                let known = ServiceClient::of(from.ip()).map(|client| client.port);
                assert_eq!((question.as_slice(), known), (&b"name?"[..], Some(port)), "{from}");
                let answer = [7; 1200];
                server.send_to(&answer, from).expect("a route");
                // A connected socket takes datagrams of the gateway's port only.
                let (back, from) = received(client).await;
                assert_eq!((back.as_slice(), from.ip()), (&answer[..], gateway));
            }
        }
        switch.dataplane.shutdown().await;
    }
}

#[tokio::test]
async fn a_connection_carries_a_megabyte_each_way() {
    let Switch { dataplane, containers, sockets } = switch(2).await;
    let tcp = containers.into_iter().flat_map(|it| it.tcp.into_iter().zip(GATEWAYS));
    let mut listeners = Vec::new();
    for listener in sockets.tcp {
        listeners.push(TcpListener::from_std(listener).expect("it does not block"));
    }
    for (client, gateway) in tcp {
        let listener = &listeners[usize::from(gateway.is_ipv6())];
        let echo = async {
            let (mut stream, from) = listener.accept().await.expect("a connection");
            let (mut reader, mut writer) = stream.split();
            let copied = tokio::io::copy(&mut reader, &mut writer).await.expect("an echo");
            (copied, ServiceClient::of(from.ip()).expect("a client").port)
        };
        let ask = async {
            let server = SocketAddr::new(gateway, SERVICE_PORT);
            let stream = client.connect(server).await.expect("a connection");
            let (mut reader, mut writer) = stream.into_split();
            let sent: Vec<u8> = (0..1_u32 << 20).map(|at| (at % 251) as u8).collect();
            let (mut back, all) = (Vec::new(), sent.clone());
            let write = async {
                writer.write_all(&all).await.expect("it is sent");
                drop(writer);
            };
            let (read, ()) = tokio::join!(reader.read_to_end(&mut back), write);
            read.expect("an echo");
            assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
        };
        let both = async { tokio::join!(echo, ask) };
        let ((copied, port), ()) = timeout(PATIENCE, both).await.expect("in time");
        assert_eq!(copied, 1 << 20);
        assert!(CONTAINERS.contains(&port), "{port:?}");
    }
    dataplane.shutdown().await;
}

#[tokio::test]
async fn an_address_that_the_port_does_not_have_asks_in_vain() {
    let switch = switch(1).await;
    let forger = &switch.containers[0].forger;
    forger.send_to(b"name?", (GATEWAYS[0], SERVICE_PORT)).expect("it is sent");
    let dropped = async {
        loop {
            let report = switch.dataplane.stats().await.expect("a worker");
            if report.ports_total().drops[DropReason::ServiceForeignSource as usize] == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, dropped).await.expect("a drop");
    let nothing = switch.sockets.udp[0].recv_from(&mut [0; 100]).expect_err("no datagram");
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    switch.dataplane.shutdown().await;
}

/// The namespace is silent by itself, and has nothing but `lo` and the TAP.
#[tokio::test]
async fn the_namespace_sends_nothing_by_itself() {
    let switch = switch(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let report = switch.dataplane.stats().await.expect("a worker");
    let sent =
        report.ports.iter().find(|(port, _)| *port == SERVICE).map(|(_, it)| it.traffic.rx_frames);
    assert_eq!(sent, Some(0));
    switch.dataplane.shutdown().await;
}

#[tokio::test]
async fn the_address_that_the_server_has_is_not_the_hosts() {
    let service = ServicePort::create(1).await.expect("root");
    let address = service.sockets.udp[0].local_addr().expect("an address");
    assert_eq!(address, SocketAddr::new(SERVER_V4.into(), SERVICE_PORT));
    let error = UdpSocket::bind(address).expect_err("it is no address of the host");
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
}
