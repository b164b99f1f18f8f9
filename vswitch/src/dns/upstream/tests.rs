//! Scripted upstream servers on the loopback: dead, slow, lying, truncating, looping.

use std::net::IpAddr;
use std::time::Duration;

use hickory_server::proto::op::{MessageType, Metadata};
use hickory_server::proto::rr::rdata::{A, NULL, TXT};
use hickory_server::proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::datapath::NetworkIndex;
use crate::dns::answer::name_of;
use crate::dns::limits::QUERIES_PER_CLIENT_MAX;
use crate::dns::names::{EndpointNames, NetworkNames};

/// What a server sends back to a query; several messages are several datagrams.
type Script = fn(&Message) -> Vec<Message>;

/// A server by UDP and TCP, and the number of queries that came.
async fn server(udp: Script, tcp: Script) -> (SocketAddr, watch::Receiver<usize>) {
    let (socket, listener) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Another test may have the port of that number by TCP.
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
            break (socket, listener);
        }
    };
    let address = socket.local_addr().unwrap();
    let (count, queries) = watch::channel(0);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            count.send_modify(|count| *count += 1);
            for answer in udp(&Message::from_vec(&buffer[..length]).unwrap()) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut query).await.unwrap();
            for answer in tcp(&Message::from_vec(&query).unwrap()) {
                let bytes = answer.to_vec().unwrap();
                stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
            }
        }
    });
    (address, queries)
}

fn response(query: &Message, address: [u8; 4]) -> Message {
    let mut response = code(query, ResponseCode::NoError);
    let name = query.queries[0].name().clone();
    response.add_answer(Record::from_rdata(name, 60, RData::A(A(address.into()))));
    response
}

fn code(query: &Message, code: ResponseCode) -> Message {
    let mut response = query.clone();
    response.metadata = Metadata::response_from_request(&query.metadata);
    response.metadata.response_code = code;
    response
}

fn good(query: &Message) -> Vec<Message> {
    vec![response(query, [192, 0, 2, 1])]
}

fn dead(_: &Message) -> Vec<Message> {
    Vec::new()
}

fn forwarder(servers: &[SocketAddr]) -> Arc<Forwarder> {
    let upstreams = Upstreams::Servers(servers.to_vec());
    Arc::new(Forwarder::new(Arc::default(), Arc::default(), upstreams))
}

fn question(name: &str) -> Question {
    Query::query(name_of(name).unwrap(), RecordType::A).into()
}

/// The address in the answer, or the end without one.
async fn resolve(forwarder: &Arc<Forwarder>, name: &str) -> String {
    match forwarder.resolve(PortIndex(1), question(name)).await {
        Resolution::Answer(answer) if answer.answers.is_empty() => format!("{:?}", answer.code),
        Resolution::Answer(answer) => answer.answers[0].data.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_cached_for_all_letters() {
    let (address, queries) = server(good, dead).await;
    let forwarder = forwarder(&[address]);
    assert_eq!(resolve(&forwarder, "www.example").await, "192.0.2.1");
    assert_eq!(resolve(&forwarder, "WWW.example").await, "192.0.2.1");
    let counters = forwarder.counters.get();
    assert_eq!((*queries.borrow(), counters.cached, counters.upstream_queries), (1, 1, 1));
    let other_type = Query::query(name_of("www.example").unwrap(), RecordType::TXT).into();
    forwarder.resolve(PortIndex(1), other_type).await;
    assert_eq!(*queries.borrow(), 2);
}

#[tokio::test]
async fn the_same_question_is_asked_once_while_it_waits() {
    let (address, queries) = server(dead, dead).await;
    let forwarder = forwarder(&[address]);
    let asks = (0..QUERIES_PER_CLIENT_MAX).map(|_| resolve(&forwarder, "www.example"));
    let started = Instant::now();
    let ends = futures_util::future::join_all(asks).await;
    assert!(ends.iter().all(|end| end == "Failed"), "{ends:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // One query, sent three times.
    assert!(*queries.borrow() <= 3, "{}", *queries.borrow());
    assert!(forwarder.pending().is_empty());
}

#[tokio::test]
async fn questions_that_wait_have_a_limit() {
    let (address, _) = server(dead, dead).await;
    let forwarder = forwarder(&[address]);
    let (_done, pending) = watch::channel(None);
    for n in 0..FORWARDS_MAX {
        forwarder.pending().insert(question(&format!("n{n}.example")).key(), pending.clone());
    }
    let started = Instant::now();
    assert_eq!(resolve(&forwarder, "www.example").await, "Failed");
    assert!(started.elapsed() < UPSTREAM_TIME_MAX, "{:?}", started.elapsed());
    assert_eq!(forwarder.counters.get().forwards_limited, 1);
}

#[tokio::test]
async fn a_server_that_is_dead_costs_little_and_is_asked_last_from_then_on() {
    let ((silent, queries), (live, _)) = (server(dead, dead).await, server(good, dead).await);
    let forwarder = forwarder(&[silent, live]);
    let started = Instant::now();
    assert_eq!(resolve(&forwarder, "a.example").await, "192.0.2.1");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(resolve(&forwarder, "b.example").await, "192.0.2.1");
    assert_eq!(*queries.borrow(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_is_passed_over_at_once() {
    let refuses = |query: &Message| vec![code(query, ResponseCode::Refused)];
    let ((poor, _), (live, _)) = (server(refuses, dead).await, server(good, dead).await);
    let mut took = Vec::new();
    // A busy machine may take long once.
    for _ in 0..3 {
        let both = forwarder(&[poor, live]);
        let started = Instant::now();
        assert_eq!(resolve(&both, "a.example").await, "192.0.2.1");
        took.push(started.elapsed());
    }
    assert!(took.iter().any(|it| *it < HEDGE_AFTER), "{took:?}");
    assert_eq!(resolve(&forwarder(&[poor]), "a.example").await, "Refused");
}

#[tokio::test]
async fn answers_with_another_id_or_question_are_ignored() {
    let lies = |query: &Message| {
        let mut other_id = response(query, [203, 0, 113, 1]);
        other_id.metadata.id = query.metadata.id.wrapping_add(1);
        let mut other_question = response(query, [203, 0, 113, 2]);
        other_question.queries[0].set_name(name_of("bank.example").unwrap());
        let mut no_question = response(query, [203, 0, 113, 3]);
        no_question.queries.clear();
        vec![other_id, other_question, no_question, response(query, [192, 0, 2, 1])]
    };
    let (address, _) = server(lies, dead).await;
    assert_eq!(resolve(&forwarder(&[address]), "www.example").await, "192.0.2.1");
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_ignored() {
    let asks = |query: &Message| {
        let mut echo = response(query, [203, 0, 113, 1]);
        echo.metadata.message_type = MessageType::Query;
        vec![echo]
    };
    let (address, _) = server(asks, dead).await;
    assert_eq!(resolve(&forwarder(&[address]), "www.example").await, "Failed");
}

#[tokio::test]
async fn an_answer_from_another_port_is_ignored() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let liar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 4096];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        let lie = response(&query, [203, 0, 113, 1]).to_vec().unwrap();
        liar.send_to(&lie, from).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let truth = response(&query, [192, 0, 2, 1]).to_vec().unwrap();
        socket.send_to(&truth, from).await.unwrap();
    });
    assert_eq!(resolve(&forwarder(&[address]), "www.example").await, "192.0.2.1");
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_by_tcp() {
    let truncates = |query: &Message| {
        let mut short = code(query, ResponseCode::NoError);
        short.metadata.truncation = true;
        vec![short]
    };
    let whole = |query: &Message| {
        let mut whole = response(query, [192, 0, 2, 9]);
        let text = RData::TXT(TXT::new(vec!["x".repeat(200); 20]));
        whole.add_additional(Record::from_rdata(name_of("more.example").unwrap(), 60, text));
        vec![whole]
    };
    let (address, _) = server(truncates, whole).await;
    let forwarder = forwarder(&[address]);
    let resolution = forwarder.resolve(PortIndex(1), question("www.example")).await;
    let Resolution::Answer(answer) = resolution else { panic!("{resolution:?}") };
    assert_eq!((answer.answers.len(), answer.additionals.len()), (1, 1));
}

#[tokio::test]
async fn types_that_nobody_knows_and_negative_answers_come_whole() {
    let unknown = |query: &Message| {
        let mut answer = code(query, ResponseCode::NXDomain);
        let name = query.queries[0].name().clone();
        let data =
            RData::Unknown { code: RecordType::Unknown(65_280), rdata: NULL::with(vec![1, 2, 3]) };
        answer.add_answer(Record::from_rdata(name, 60, data));
        answer.authorities =
            Answer::negative(query.queries[0].name(), ResponseCode::NXDomain).authorities;
        vec![answer]
    };
    let (address, _) = server(unknown, dead).await;
    let query = Query::query(name_of("x.example").unwrap(), RecordType::Unknown(65_280));
    let resolution = forwarder(&[address]).resolve(PortIndex(1), query.into()).await;
    let Resolution::Answer(answer) = resolution else { panic!("{resolution:?}") };
    assert_eq!(answer.code, ResponseCode::NXDomain);
    assert_eq!(answer.answers[0].record_type(), RecordType::Unknown(65_280));
    assert_eq!(answer.authorities.len(), 1);
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let old = |query: &Message| match query.edns {
        Some(_) => vec![code(query, ResponseCode::FormErr)],
        None => good(query),
    };
    let (address, _) = server(old, dead).await;
    assert_eq!(resolve(&forwarder(&[address]), "www.example").await, "192.0.2.1");
}

#[tokio::test]
async fn our_gateways_are_not_asked_and_questions_that_come_back_are_refused() {
    let (address, queries) = server(dead, dead).await;
    let forwarder = forwarder(&[address]);
    let network = |gateway: IpAddr| NetworkNames {
        name: "net".to_owned(),
        gateways: vec![gateway],
        reachable_from: Vec::new(),
        has_host_port: true,
        ..NetworkNames::default()
    };
    forwarder.names.set_network(NetworkIndex(0), network(address.ip()));
    let started = Instant::now();
    assert_eq!(resolve(&forwarder, "www.example").await, "Failed");
    assert!(*queries.borrow() == 0 && started.elapsed() < UPSTREAM_TIME_MAX);
    // Now the server is a container (port 2), which asks us in turn.
    forwarder.names.set_network(NetworkIndex(0), network([10, 99, 0, 1].into()));
    let resolver = EndpointNames {
        network: NetworkIndex(0),
        container: "resolver".to_owned(),
        names: vec!["resolver".to_owned()],
        addresses: vec![address.ip()],
    };
    forwarder.names.set_endpoint(PortIndex(2), resolver);
    let first = tokio::spawn({
        let forwarder = Arc::clone(&forwarder);
        async move { resolve(&forwarder, "www.example").await }
    });
    let mut queries = queries;
    queries.wait_for(|count| *count > 0).await.unwrap();
    let back = forwarder.resolve(PortIndex(2), question("www.example")).await;
    assert!(matches!(back, Resolution::Loop), "{back:?}");
    assert_eq!(first.await.unwrap(), "Failed");
}
