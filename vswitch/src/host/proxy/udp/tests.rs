use std::time::Duration;

use super::*;

const MAX: Duration = Duration::from_secs(5);

async fn at(address: &str) -> UdpSocket {
    UdpSocket::bind(address).await.expect("a port")
}

async fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 64];
    let (len, from) = timeout(MAX, socket.recv_from(&mut buffer)).await.ok()?.ok()?;
    Some((buffer[..len].to_vec(), from))
}

/// Each client is somebody else to the container, and gets its own answers, from the address it asked.
#[tokio::test]
async fn each_client_gets_its_own_answers() {
    let container = at("127.0.0.1:0").await;
    let published = at("127.0.0.1:0").await;
    let (to, address) = (container.local_addr().unwrap(), published.local_addr().unwrap());
    let proxy = tokio::spawn(relay_all(published, to));
    let clients = [at("127.0.0.1:0").await, at("127.0.0.1:0").await];
    let mut seen = Vec::new();
    for turn in [b"a", b"b"] {
        for (n, client) in clients.iter().enumerate() {
            let asked = [turn.as_slice(), &[n as u8]].concat();
            client.send_to(&asked, address).await.unwrap();
            let (got, from) = receive(&container).await.expect("the datagram");
            assert_eq!(got, asked);
            container.send_to(&got, from).await.unwrap();
            assert_eq!(receive(client).await, Some((asked, address)));
            seen.push(from);
        }
    }
    assert_eq!(seen[..2], seen[2..], "a client keeps its socket");
    assert_ne!(seen[0], seen[1]);
    proxy.abort();
}

/// Clients beyond the limit are dropped, and those within it still served.
#[tokio::test]
async fn clients_are_bounded() {
    let container = at("127.0.0.1:0").await;
    let published = at("127.0.0.1:0").await;
    let (to, address) = (container.local_addr().unwrap(), published.local_addr().unwrap());
    let proxy = tokio::spawn(relay_all(published, to));
    let mut clients = Vec::new();
    for _ in 0..PROXY_CONNECTIONS_MAX {
        let client = at("127.0.0.1:0").await;
        client.send_to(b"in", address).await.unwrap();
        assert!(receive(&container).await.is_some());
        clients.push(client);
    }
    let late = at("127.0.0.1:0").await;
    late.send_to(b"late", address).await.unwrap();
    clients[0].send_to(b"early", address).await.unwrap();
    assert_eq!(receive(&container).await.map(|(got, _)| got), Some(b"early".to_vec()));
    proxy.abort();
}
