//! The service without sockets: queries as bytes in, answers as bytes out.

mod bad_input;
mod direct;
mod messages;

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Edns, Message, OpCode, Query};
use hickory_server::proto::rr::{Name, RecordType};

use super::answer::name_of;
use super::counters::Counters;
use super::limits::QUERIES_PER_CLIENT_MAX;
use super::names::{EndpointNames, Names, NetworkNames};
use super::service::{Outcome, Service};
use super::upstream::Forwarder;
use super::*;
use crate::datapath::NetworkIndex;

/// An address of a client; its last octet is its port. 9 is no port.
pub(super) fn client_address(port: u8, udp_or_tcp: u16) -> SocketAddr {
    ([127, 0, 0, port], udp_or_tcp).into()
}

fn client(port: u8) -> SocketAddr {
    client_address(port, 40_000)
}

/// `web` (port 1) and `db` (port 2, `many` with 39 others) on `net`; `lone` (port 3) on an internal network.
pub(super) fn service() -> Service {
    let names = Arc::<Names>::default();
    let network = |name: &str, third: u8, is_internal| NetworkNames {
        name: name.to_owned(),
        subnets: vec![format!("10.99.{third}.0/24").parse().unwrap()],
        gateways: vec![[10, 99, third, 1].into()],
        is_internal,
        reachable_from: Vec::new(),
        has_host_port: true,
    };
    names.set_network(NetworkIndex(0), network("net", 0, false));
    names.set_network(NetworkIndex(1), network("inner", 1, true));
    let endpoint = |index: u16, name: &str, third: u8, last: u8, alias: &str| EndpointNames {
        network: NetworkIndex(index),
        container: name.to_owned(),
        names: vec![name.to_owned(), alias.to_owned()],
        addresses: vec![[10, 99, third, last].into()],
    };
    names.set_endpoint(PortIndex(1), endpoint(0, "web", 0, 2, "www"));
    names.set_endpoint(PortIndex(2), endpoint(0, "db", 0, 3, "many"));
    names.set_endpoint(PortIndex(3), endpoint(1, "lone", 1, 2, "one"));
    for n in 4..43 {
        names.set_endpoint(PortIndex(100 + n), endpoint(0, &format!("m{n}"), 0, n as u8, "many"));
    }
    for last in [50, 51] {
        names.set_remote(NetworkIndex(0), [10, 99, 0, last].into(), &["far", "www"]);
        names.set_remote(NetworkIndex(0), [0xfd00, 0, 0, 0, 0, 0, 0, last.into()].into(), &["far"]);
    }
    let counters = Arc::<Counters>::default();
    let upstreams = Upstreams::Servers(Vec::new());
    let forwarder = Forwarder::new(Arc::clone(&names), Arc::clone(&counters), upstreams);
    let client_of = |address: IpAddr| match address {
        IpAddr::V4(ipv4) => {
            let port = PortIndex(ipv4.octets()[3].into());
            (port != PortIndex(9)).then_some(port)
        }
        IpAddr::V6(_) => None,
    };
    Service::new(names, Arc::new(forwarder), counters, Arc::new(client_of))
}

/// A query with id 7.
fn query(name: &str, record_type: RecordType) -> Message {
    query_of(name_of(name).unwrap(), record_type)
}

/// A query for IPv4 addresses.
pub(super) fn query_bytes(name: &str) -> Vec<u8> {
    query(name, RecordType::A).to_vec().unwrap()
}

fn query_of(name: Name, record_type: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 7;
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record_type));
    message
}

fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

/// The answer that came at once.
fn answer(service: &Service, port: u8, query: &Message, protocol: Protocol) -> Message {
    let bytes = answer_bytes(service, port, &query.to_vec().unwrap(), protocol);
    Message::from_vec(&bytes.expect("an answer")).unwrap()
}

fn answer_bytes(service: &Service, port: u8, query: &[u8], protocol: Protocol) -> Option<Vec<u8>> {
    match service.handle(query, client(port), protocol) {
        Outcome::Answer(bytes) => Some(bytes),
        Outcome::Ignore => None,
        Outcome::Wait(waiting) => panic!("waits: {waiting:?}"),
    }
}

#[test]
fn queries_that_wait_have_a_limit_for_each_client() {
    let service = service();
    let bytes = query("example.com", RecordType::A).to_vec().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..QUERIES_PER_CLIENT_MAX {
        match service.handle(&bytes, client(1), Protocol::Udp) {
            Outcome::Wait(one) => waiting.push(one),
            other => panic!("{other:?}"),
        }
    }
    let refused = answer_bytes(&service, 1, &bytes, Protocol::Udp).unwrap();
    assert_eq!(refused[3] & 0x0f, 5, "REFUSED");
    assert!(matches!(service.handle(&bytes, client(2), Protocol::Udp), Outcome::Wait(_)));
    // Names of ours are answered all the same.
    let own = answer(&service, 1, &query("db", RecordType::A), Protocol::Udp);
    assert_eq!(own.answers.len(), 1);
    waiting.pop();
    assert!(matches!(service.handle(&bytes, client(1), Protocol::Udp), Outcome::Wait(_)));
    let counters = service.counters.get();
    assert_eq!((counters.queries_limited, counters.answered), (1, 1));
}

#[tokio::test]
async fn without_upstream_servers_the_answer_is_servfail() {
    let service = service();
    let bytes = query("example.com", RecordType::A).to_vec().unwrap();
    let Outcome::Wait(waiting) = service.handle(&bytes, client(1), Protocol::Udp) else {
        panic!("answered");
    };
    let answer = service.forward(*waiting).await;
    assert_eq!((answer[..2].to_vec(), answer[3] & 0x0f), (vec![0, 7], 2));
    assert_eq!(service.counters.get().upstream_failed, 1);
}
