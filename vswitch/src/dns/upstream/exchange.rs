//! A question to one server: by UDP, by TCP if the answer is truncated, without EDNS if the server does not
//! know it.

use std::net::SocketAddr;

use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::net::tcp::TcpClientStream;
use hickory_server::net::udp::UdpClientStream;
use hickory_server::net::xfer::{DnsRequestSender, FirstAnswer};
use hickory_server::net::{DnsHandle, NetError};
use hickory_server::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message, MessageType, ResponseCode,
};

use super::Question;
use crate::dns::limits::{RETRY_AFTER_MS, UDP_ANSWER_MAX, UPSTREAM_TIME_MAX};

/// An answer, and its length in bytes.
pub(super) struct Received {
    pub(super) message: Message,
    pub(super) bytes: usize,
}

/// The server's answer; nothing if there is none, or none to this question.
pub(super) async fn ask(server: SocketAddr, question: &Question) -> Option<Received> {
    let answer = ask_once(server, question, true).await?;
    match answer.message.metadata.response_code {
        // RFC 6891, 6.2.2.
        ResponseCode::FormErr | ResponseCode::NotImp => ask_once(server, question, false).await,
        _ => Some(answer),
    }
}

async fn ask_once(server: SocketAddr, question: &Question, edns: bool) -> Option<Received> {
    let by_udp = valid(question, by_udp(server, request(question, edns)).await)?;
    if !by_udp.message.metadata.truncation {
        return Some(by_udp);
    }
    valid(question, by_tcp(server, request(question, edns)).await)
}

/// The question with a random id.
fn request(question: &Question, edns: bool) -> DnsRequest {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = question.checking_disabled;
    message.add_query(question.query.clone());
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_ANSWER_MAX);
        edns.set_dnssec_ok(question.dnssec_ok);
        message.set_edns(edns);
    }
    DnsRequest::new(message, DnsRequestOptions::default())
}

/// Each query has a socket of its own. It takes answers from the server's address and port, with the id and the
/// question of the query, and waits on after others.
async fn by_udp(server: SocketAddr, request: DnsRequest) -> Result<DnsResponse, NetError> {
    // The kernel chooses the port: it leaves out those that are reserved for SNAT and for publications.
    let mut stream = UdpClientStream::builder(server, TokioRuntimeProvider::new())
        .with_timeout(Some(UPSTREAM_TIME_MAX))
        .with_retry_interval_floor(RETRY_AFTER_MS)
        .with_os_port_selection(true)
        .build();
    stream.send_message(request).first_answer().await
}

async fn by_tcp(server: SocketAddr, request: DnsRequest) -> Result<DnsResponse, NetError> {
    // The connection's task is the provider's, and ends with it.
    let provider = TokioRuntimeProvider::new();
    let connect =
        TcpClientStream::exchange(server, None, UPSTREAM_TIME_MAX, None, provider.clone());
    let answer = connect.await?.send(request).first_answer().await;
    drop(provider);
    answer
}

/// An answer to this question.
fn valid(question: &Question, response: Result<DnsResponse, NetError>) -> Option<Received> {
    let (message, bytes) = match response {
        Ok(response) => response.into_parts(),
        Err(error) => {
            tracing::debug!(%error, "an upstream DNS server failed");
            return None;
        }
    };
    let is_response = message.metadata.message_type == MessageType::Response;
    let is_same = message.queries == [question.query.clone()];
    (is_response && is_same).then_some(Received { message, bytes: bytes.len() })
}
