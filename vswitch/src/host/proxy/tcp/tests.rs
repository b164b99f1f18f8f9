use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("a port");
    let at = listener.local_addr().expect("an address");
    (listener, at)
}

/// An address at which nobody listens.
async fn closed(address: &str) -> SocketAddr {
    listener(address).await.1
}

#[tokio::test]
async fn a_container_that_refuses_resets_the_client() {
    let (published, address) = listener("127.0.0.1:0").await;
    let to = vec![closed("127.0.0.1:0").await, closed("127.0.0.1:0").await];
    let proxy = tokio::spawn(relay_all(published, to, mpsc::channel(1).1));
    let mut client = TcpStream::connect(address).await.expect("it accepts");
    let got = client.read(&mut [0]).await.map_err(|error| error.kind());
    assert_eq!(got, Err(ErrorKind::ConnectionReset));
    proxy.abort();
}

#[tokio::test]
async fn the_second_address_serves_if_the_first_refuses() {
    let (published, address) = listener("127.0.0.1:0").await;
    let (container, second) = listener("127.0.0.1:0").await;
    let proxy = tokio::spawn(relay_all(
        published,
        vec![closed("127.0.0.1:0").await, second],
        mpsc::channel(1).1,
    ));
    let mut client = TcpStream::connect(address).await.expect("it accepts");
    let (mut served, _) = container.accept().await.expect("the relayed connection");
    served.write_all(b"hello").await.expect("it is open");
    let mut got = [0; 5];
    client.read_exact(&mut got).await.expect("what the container says");
    assert_eq!(&got, b"hello");
    // A reset of the container is one for the client.
    served.set_zero_linger().expect("a socket");
    drop(served);
    let end = client.read(&mut [0]).await.map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    proxy.abort();
}
