//! Slow clients, with a clock that runs ahead while everybody waits.

use super::*;
use crate::dns::tests::{client_address, query_bytes, service};

/// A server for clients of port 1, and a connection to it.
async fn connection() -> (Arc<Service>, TcpStream) {
    let service = Arc::new(service());
    let listener = TcpListener::bind(client_address(1, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(run(listener, Arc::clone(&service)));
    (service, TcpStream::connect(address).await.unwrap())
}

/// Whether the server has closed the connection.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(TCP_READ_MAX * 3, stream.read_to_end(&mut rest)).await.is_ok()
}

fn framed(query: &[u8]) -> Vec<u8> {
    [&(query.len() as u16).to_be_bytes()[..], query].concat()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_closed() {
    let (service, mut stream) = connection().await;
    assert!(ends(&mut stream).await);
    assert_eq!(service.counters.get().connections_slow, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_a_query_byte_by_byte_is_closed() {
    let (service, mut stream) = connection().await;
    for byte in framed(&query_bytes("db")) {
        // After the end a write fails, or the next one does.
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(TCP_READ_MAX / 10).await;
    }
    assert!(ends(&mut stream).await);
    assert_eq!(service.counters.get().connections_slow, 1);
    assert_eq!(service.counters.get().queries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answers_is_closed() {
    let (service, mut stream) = connection().await;
    let queries = framed(&query_bytes("many")).repeat(1000);
    let sends = async { while stream.write_all(&queries).await.is_ok() {} };
    timeout(TCP_READ_MAX * 10, sends).await.unwrap();
    assert_eq!(service.counters.get().connections_slow, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_sent_all_gets_its_answers() {
    let (service, mut stream) = connection().await;
    // The last one waits for upstream servers, of which there are none.
    for name in ["db", "web", "www.example"] {
        stream.write_all(&framed(&query_bytes(name))).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).await.unwrap();
    let mut codes = Vec::new();
    while let [high, low, rest @ ..] = &answers[..] {
        let (answer, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        codes.push(answer[3] & 0x0f);
        answers = rest.to_vec();
    }
    assert_eq!(codes, [0, 0, 2]);
    assert_eq!(service.counters.get().connections_slow, 0);
}
