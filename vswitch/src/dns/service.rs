//! From a query to its answer, without sockets.
//!
//! A query is answered at once, or waits for upstream servers, or is ignored. The client is known by its
//! port, which the source address stands for; a client without a port is refused. Bytes that are no query
//! get FORMERR where they have a header that asks, and nothing else, so that two servers never answer each
//! other for ever.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use fastpath::PortIndex;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{DNSClass, Name, RecordType};
use hickory_server::server::Request;
use vswitch_counters::DnsCounters;

use super::answer::Answer;
use super::clients::{Clients, Limit, Permit, Resource};
use super::counters::Counters;
use super::limits::QUERY_BYTES_MAX;
use super::names::{Asked, Found, Names};
use super::upstream::{Forwarder, Question, Resolution};

/// The port that a source address stands for.
pub(crate) type ClientOf = Arc<dyn Fn(IpAddr) -> Option<PortIndex> + Send + Sync>;

/// What becomes of a query.
#[derive(Debug)]
pub(super) enum Outcome {
    /// These bytes answer it.
    Answer(Vec<u8>),
    /// Upstream servers are to be asked.
    Wait(Box<Waiting>),
    /// It gets no answer.
    Ignore,
}

/// A query that waits for upstream servers.
#[derive(Debug)]
pub(super) struct Waiting {
    request: Request,
    port: PortIndex,
    question: Question,
    _permit: Permit,
}

pub(crate) struct Service {
    pub(super) names: Arc<Names>,
    forwarder: Arc<Forwarder>,
    pub(super) counters: Arc<Counters>,
    client_of: ClientOf,
    clients: Arc<Clients>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Service {
    pub(super) fn new(
        names: Arc<Names>,
        forwarder: Arc<Forwarder>,
        counters: Arc<Counters>,
        client_of: ClientOf,
    ) -> Self {
        Self { names, forwarder, counters, client_of, clients: Arc::default() }
    }

    /// The port of a client; a stranger is counted.
    fn port_of(&self, from: SocketAddr) -> Option<PortIndex> {
        let port = (self.client_of)(from.ip().to_canonical());
        if port.is_none() {
            self.counters.count(|counters| &mut counters.unknown_clients);
        }
        port
    }

    /// The right of a client to a TCP connection.
    pub(super) fn admit(&self, from: SocketAddr) -> Option<Permit> {
        let permit = self.clients.take(self.port_of(from)?, Resource::Connection);
        let counted = permit.inspect_err(|limit| {
            self.counters.count(|counters| match limit {
                Limit::Client => &mut counters.connections_limited,
                Limit::All => &mut counters.all_connections_limited,
            });
        });
        counted.ok()
    }

    /// Answers a query, or says what it waits for.
    pub(super) fn handle(&self, bytes: &[u8], from: SocketAddr, protocol: Protocol) -> Outcome {
        self.counters.count(|counters| &mut counters.queries);
        let Some(request) = parse(bytes, from, protocol) else {
            self.counters.count(|counters| &mut counters.unserved);
            return format_error(bytes).map_or(Outcome::Ignore, Outcome::Answer);
        };
        let Some(port) = self.port_of(from) else { return self.refuse(&request) };
        let query = match served_query(&request) {
            Ok(query) => query.clone(),
            Err(code) => {
                self.counters.count(|counters| &mut counters.unserved);
                return self.answer(&request, &Answer::code(code));
            }
        };
        if let Some(answer) = self.own_answer(port, &query) {
            return self.answer(&request, &answer);
        }
        let Ok(permit) = self.clients.take(port, Resource::Query) else {
            self.counters.count(|counters| &mut counters.queries_limited);
            return self.refuse(&request);
        };
        let question = Question {
            query,
            dnssec_ok: request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok),
            checking_disabled: request.metadata.checking_disabled,
        };
        Outcome::Wait(Box::new(Waiting { request, port, question, _permit: permit }))
    }

    /// The answer of upstream servers.
    pub(super) async fn forward(&self, waiting: Waiting) -> Vec<u8> {
        let Waiting { request, port, question, _permit } = waiting;
        let answer = self.upstream_answer(port, question).await;
        self.encode(&request, &answer)
    }

    /// The answer to a question of a port, from names of ours or from upstream servers.
    pub(crate) async fn ask(&self, port: PortIndex, query: Query) -> Answer {
        match self.own_answer(port, &query) {
            Some(answer) => answer,
            None => self.upstream_answer(port, Question::from(query)).await,
        }
    }

    /// The upstream servers, in the order in which they are asked.
    pub(super) fn upstreams(&self) -> Arc<[SocketAddr]> {
        self.forwarder.servers()
    }

    async fn upstream_answer(&self, port: PortIndex, question: Question) -> Answer {
        match self.forwarder.resolve(port, question).await {
            Resolution::Answer(answer) => {
                self.counters.count(|counters| &mut counters.forwarded);
                answer
            }
            Resolution::Loop => {
                self.counters.count(|counters| &mut counters.loops);
                Answer::code(ResponseCode::Refused)
            }
            Resolution::Failed => {
                self.counters.count(|counters| &mut counters.upstream_failed);
                Answer::code(ResponseCode::ServFail)
            }
        }
    }

    /// The answer by our names; nothing where upstream servers are to be asked.
    fn own_answer(&self, port: PortIndex, query: &Query) -> Option<Answer> {
        let name = query.name();
        let found = self.names.lookup(port, &text_of(name), asked(query.query_type()));
        let count = |counter: fn(&mut DnsCounters) -> &mut u64| self.counters.count(counter);
        Some(match found {
            Found::Addresses(addresses) => {
                count(|counters| &mut counters.answered);
                Answer::addresses(name, &addresses)
            }
            Found::Name(target) => {
                count(|counters| &mut counters.answered);
                Answer::pointer(name, &target)
            }
            Found::NoData => {
                count(|counters| &mut counters.no_data);
                Answer::negative(name, ResponseCode::NoError)
            }
            Found::NoName => {
                count(|counters| &mut counters.no_name);
                Answer::negative(name, ResponseCode::NXDomain)
            }
            Found::UnknownPort => {
                count(|counters| &mut counters.unknown_clients);
                Answer::code(ResponseCode::Refused)
            }
            Found::Elsewhere => return None,
        })
    }

    fn refuse(&self, request: &Request) -> Outcome {
        self.answer(request, &Answer::code(ResponseCode::Refused))
    }

    fn answer(&self, request: &Request, answer: &Answer) -> Outcome {
        Outcome::Answer(self.encode(request, answer))
    }

    fn encode(&self, request: &Request, answer: &Answer) -> Vec<u8> {
        let (bytes, is_truncated) = answer.encode(request);
        if is_truncated {
            self.counters.count(|counters| &mut counters.truncated);
        }
        bytes
    }
}

/// Reads a query; nothing if it is malformed, too long, an answer, or without exactly one question.
fn parse(bytes: &[u8], from: SocketAddr, protocol: Protocol) -> Option<Request> {
    // Looked at first, since the parser takes memory for as many questions as the header tells of.
    let questions = bytes.get(4..6)?;
    if questions != [0, 1] || bytes.len() > QUERY_BYTES_MAX {
        return None;
    }
    let request = Request::from_bytes(bytes.to_vec(), from, protocol).ok()?;
    (request.metadata.message_type == MessageType::Query).then_some(request)
}

/// FORMERR for bytes with the header of a query.
fn format_error(bytes: &[u8]) -> Option<Vec<u8>> {
    let [id_high, id_low, flags, ..] = *bytes.first_chunk::<12>()?;
    let is_query = flags & 0x80 == 0;
    let id = u16::from_be_bytes([id_high, id_low]);
    let op_code = OpCode::from_u8((flags >> 3) & 0x0f);
    let error = Message::error_msg(id, op_code, ResponseCode::FormErr);
    is_query.then(|| error.to_vec().ok()).flatten()
}

/// The question with its original letters, or the code for one that is not served.
fn served_query(request: &Request) -> Result<&Query, ResponseCode> {
    if request.version() > 0 {
        return Err(ResponseCode::BADVERS);
    }
    if request.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    let query = request.queries.queries().first().ok_or(ResponseCode::FormErr)?.original();
    let is_transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    if is_transfer || query.query_class() != DNSClass::IN {
        return Err(ResponseCode::Refused);
    }
    Ok(query)
}

/// A name as the table has it: in lower case, without the last dot. A label with a dot, or with other bytes
/// than text, becomes one that no name of ours has.
fn text_of(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        match std::str::from_utf8(label) {
            Ok(label) if !label.contains('.') => text.push_str(label),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
    text.make_ascii_lowercase();
    text
}

fn asked(record_type: RecordType) -> Asked {
    match record_type {
        RecordType::A => Asked::A,
        RecordType::AAAA => Asked::Aaaa,
        RecordType::PTR => Asked::Ptr,
        RecordType::ANY => Asked::Any,
        _ => Asked::Other,
    }
}
