//! Clients on ::1 of ports whose container is the host's own address here.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as Listener, TcpStream};

use super::*;

#[test]
fn connections_to_the_ipv6_loopback_are_carried() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let server = Listener::bind("10.99.0.1:80").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut line = [0; 5];
            stream.read_exact(&mut line).await.unwrap();
            stream.write_all(&line).await.unwrap();
        });
        let directory = tempfile::tempdir().unwrap();
        let (mut uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        let mut here = forward(None, 8080, 8080, 80);
        here.to4 = Some(Ipv4Addr::new(10, 99, 0, 1));
        uplink.set_published([here].into_iter().collect()).await.unwrap();
        let mut client = TcpStream::connect("[::1]:8080").await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(WAIT_MAX, client.read_to_end(&mut answer)).await;
        read.expect("in time").unwrap();
        assert_eq!(answer, b"hello");
        uplink.set_published(Forwards::default()).await.unwrap();
        // A program that another test starts has the socket, too, from its fork to its exec.
        let refused = async {
            while TcpStream::connect("[::1]:8080").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, refused).await.expect("refused");
        uplink.stop().await;
    });
}

async fn connect() -> Result<TcpStream, ErrorKind> {
    let connecting = tokio::time::timeout(WAIT_MAX, TcpStream::connect("[::1]:8080")).await;
    connecting.expect("an answer in time").map_err(|error| error.kind())
}

fn rules() -> String {
    run("nft list ruleset")
}

#[test]
fn the_kernel_accepts_whom_the_container_accepts() {
    in_namespace_async(|| async {
        let (_nic, _bridge) = host();
        let directory = tempfile::tempdir().unwrap();
        let (mut uplink, _states) = start(directory.path(), AUTO).await.unwrap();
        assert!(!rules().contains("/syn"), "{}", rules());
        let mut here = forward(None, 8080, 8080, 80);
        here.to4 = Some(Ipv4Addr::new(10, 99, 0, 1));
        uplink.set_published([here.clone()].into_iter().collect()).await.unwrap();
        assert!(rules().contains("table ip6 vswitch-br0/syn"), "{}", rules());
        assert_eq!(connect().await.map(drop), Err(ErrorKind::ConnectionRefused));
        let server = Listener::bind("10.99.0.1:80").await.unwrap();
        let clients: Vec<_> = (0..40).map(|_| tokio::spawn(connect())).collect();
        for client in clients {
            let (_stream, _) = server.accept().await.unwrap();
            client.await.unwrap().unwrap();
        }
        // One connection for each client.
        let further = tokio::time::timeout(Duration::from_millis(50), server.accept()).await;
        assert!(further.is_err(), "{further:?}");
        drop(server);
        assert_eq!(connect().await.map(drop), Err(ErrorKind::ConnectionRefused));
        // The port leads elsewhere: by another task.
        let _server = Listener::bind("10.99.0.1:81").await.unwrap();
        here.to_port = 81;
        uplink.set_published([here].into_iter().collect()).await.unwrap();
        connect().await.unwrap();
        uplink.set_published(Forwards::default()).await.unwrap();
        assert!(!rules().contains("/syn"), "{}", rules());
        uplink.stop().await;
    });
}
