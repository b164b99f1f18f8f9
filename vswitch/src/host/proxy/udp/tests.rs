use std::time::Duration;

use super::*;
use crate::host::limits::PROXY_CLIENTS_MAX;
use crate::host::proxy_counters::CLIENTS_EVICTED;

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
    let proxy = tokio::spawn(relay_all(UdpSource::loopback(published, vec![to])));
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

/// A relay, its address, and the container behind it.
async fn with_container() -> (tokio::task::JoinHandle<()>, SocketAddr, UdpSocket) {
    let (container, published) = (at("127.0.0.1:0").await, at("127.0.0.1:0").await);
    let (to, address) = (container.local_addr().unwrap(), published.local_addr().unwrap());
    (tokio::spawn(relay_all(UdpSource::loopback(published, vec![to]))), address, container)
}

/// A client beyond the limit is served, and the least recently used is forgotten: it is somebody else when it comes again.
#[tokio::test]
async fn the_least_recently_used_client_yields() {
    let (proxy, address, container) = with_container().await;
    let mut clients = Vec::new();
    for _ in 0..PROXY_CLIENTS_MAX {
        let client = at("127.0.0.1:0").await;
        client.send_to(b"in", address).await.unwrap();
        clients.push((client, receive(&container).await.expect("the datagram").1));
    }
    let [first, second] = [0, 1].map(|n| clients[n].1);
    clients[0].0.send_to(b"again", address).await.unwrap();
    assert_eq!(receive(&container).await, Some((b"again".to_vec(), first)));
    let evicted = CLIENTS_EVICTED.get();
    let late = at("127.0.0.1:0").await;
    late.send_to(b"late", address).await.unwrap();
    assert_eq!(receive(&container).await.map(|(got, _)| got), Some(b"late".to_vec()));
    clients[0].0.send_to(b"known", address).await.unwrap();
    assert_eq!(receive(&container).await, Some((b"known".to_vec(), first)));
    clients[1].0.send_to(b"anew", address).await.unwrap();
    let (got, from) = receive(&container).await.expect("the datagram");
    assert_eq!(got, b"anew");
    assert_ne!(from, second);
    assert!(CLIENTS_EVICTED.get() >= evicted + 2);
    proxy.abort();
}

/// As many as the buffer of a socket holds, from one client and from several.
#[tokio::test]
async fn a_burst_arrives_whole() {
    let (proxy, address, container) = with_container().await;
    let clients = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    for number in 0..64 {
        for client in &clients {
            // Without a turn for the relay.
            client.send_to(&[number], address).unwrap();
        }
    }
    let mut came = [0; 64];
    for _ in 0..128 {
        let (datagram, _) = receive(&container).await.expect("all of them");
        came[usize::from(datagram[0])] += 1;
    }
    assert_eq!(came, [2; 64]);
    proxy.abort();
}

/// A container that refuses for a while is reached afterwards, by the same client.
#[tokio::test]
async fn a_refusal_ends_nothing() {
    let (proxy, address, container) = with_container().await;
    let to = container.local_addr().unwrap();
    drop(container);
    let client = at("127.0.0.1:0").await;
    for _ in 0..5 {
        client.send_to(b"nobody", address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let container = UdpSocket::bind(to).await.expect("the same port");
    client.send_to(b"somebody", address).await.unwrap();
    let mut got = receive(&container).await.expect("a datagram").0;
    // On a busy machine one of the former is still on its way.
    while got == b"nobody" {
        got = receive(&container).await.expect("a datagram").0;
    }
    assert_eq!(got, b"somebody");
    assert!(!proxy.is_finished());
    proxy.abort();
}

/// A container that listens on its second address only hears all that came before its first one refused.
#[tokio::test]
async fn the_second_address_gets_what_the_first_refused() {
    let (container, published) = (at("127.0.0.1:0").await, at("127.0.0.1:0").await);
    let (second, address) = (container.local_addr().unwrap(), published.local_addr().unwrap());
    let first = at("127.0.0.1:0").await.local_addr().unwrap();
    let proxy = tokio::spawn(relay_all(UdpSource::loopback(published, vec![first, second])));
    // One datagram alone: the refusal is not that of another one's sending.
    let single = at("127.0.0.1:0").await;
    single.send_to(b"one", address).await.unwrap();
    assert_eq!(receive(&container).await.map(|(got, _)| got), Some(b"one".to_vec()));
    for name in [b'a', b'b'] {
        let client = at("127.0.0.1:0").await;
        for number in 0..3 {
            client.send_to(&[name, number], address).await.unwrap();
        }
        let mut came = Vec::new();
        for _ in 0..3 {
            let (got, from) = receive(&container).await.expect("the datagram");
            came.push(got);
            container.send_to(b"yes", from).await.unwrap();
        }
        came.sort();
        assert_eq!(came, [[name, 0], [name, 1], [name, 2]].map(Vec::from));
        assert_eq!(receive(&client).await, Some((b"yes".to_vec(), address)));
    }
    proxy.abort();
}
