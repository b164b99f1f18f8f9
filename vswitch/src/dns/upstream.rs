//! Questions to upstream servers.
//!
//! A question is looked up in the cache, joins the same question if that waits already, or is asked: first the
//! server that answered last, then the next one each [`HEDGE_AFTER`] or as soon as one says that it cannot.
//! The first good answer wins. After [`UPSTREAM_TIME_MAX`] the question has failed. It goes on when its asker
//! is gone, so that others who joined it get their answer.
//!
//! Answers are kept whole, with all sections and types, which is why this is built on hickory's client streams
//! and not on its resolver: that one returns the records of the answer section, makes errors of the rest, and
//! asks its servers either all at once or one after the other's full timeout.
//!
//! Loops: an address of one of our gateways is never asked. A question that waits, and comes again from a
//! container that is an upstream server itself, is refused. By a longer circle it joins itself, and ends with
//! the first one's timeout.

mod cache;
mod exchange;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastpath::PortIndex;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_server::proto::op::{Message, Query, ResponseCode};
use hickory_server::proto::rr::{LowerName, RecordType};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use self::cache::Cache;
use self::exchange::Received;
use self::servers::Servers;
pub use self::servers::Upstreams;
use super::answer::Answer;
use super::counters::Counters;
use super::limits::{FORWARDS_MAX, HEDGE_AFTER, UPSTREAM_TIME_MAX};
use super::names::Names;

/// A question to upstream servers.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) query: Query,
    /// Whether DNSSEC records are wanted (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// Whether the server is not to check them (RFC 4035, 3.2.2).
    pub(super) checking_disabled: bool,
}

impl From<Query> for Question {
    fn from(query: Query) -> Self {
        Self { query, dnssec_ok: false, checking_disabled: false }
    }
}

/// What tells questions apart; the class is always IN.
type Key = (LowerName, RecordType, bool, bool);

impl Question {
    fn key(&self) -> Key {
        let name = LowerName::new(self.query.name());
        (name, self.query.query_type(), self.dnssec_ok, self.checking_disabled)
    }
}

/// The end of a question.
#[derive(Debug)]
pub(super) enum Resolution {
    Answer(Answer),
    /// An upstream server sent the question back.
    Loop,
    /// No server answered in time.
    Failed,
}

/// The result of a question that waits, once it is there: `None` in it is a failure.
type Pending = watch::Receiver<Option<Option<Arc<Answer>>>>;

/// The questions that wait, the cache and the servers.
#[derive(Debug)]
pub(super) struct Forwarder {
    names: Arc<Names>,
    counters: Arc<Counters>,
    servers: Servers,
    cache: Mutex<Cache>,
    pending: Mutex<HashMap<Key, Pending>>,
}

impl Forwarder {
    pub(super) fn new(names: Arc<Names>, counters: Arc<Counters>, upstreams: Upstreams) -> Self {
        Self {
            names,
            counters,
            servers: Servers::new(upstreams),
            cache: Mutex::default(),
            pending: Mutex::default(),
        }
    }

    /// Answers a question of a port.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        asker: PortIndex,
        question: Question,
    ) -> Resolution {
        let key = question.key();
        let (servers, changes) = self.servers.current();
        let cached = self.cache().get(&key, changes, Instant::now());
        if let Some(answer) = cached {
            self.counters.count(|counters| &mut counters.cached);
            return Resolution::Answer(answer);
        }
        let pending = self.pending().get(&key).cloned();
        let mut pending = match pending {
            Some(_) if self.is_upstream(asker, &servers) => return Resolution::Loop,
            Some(pending) => pending,
            None => match self.start(key.clone(), question, (servers, changes)) {
                Some(pending) => pending,
                None => return Resolution::Failed,
            },
        };
        let result = pending.wait_for(Option::is_some).await.map(|result| result.clone());
        match result {
            Ok(Some(Some(answer))) => Resolution::Answer(Arc::unwrap_or_clone(answer)),
            Ok(_) => Resolution::Failed,
            Err(_) => {
                // Its task ended without a result.
                self.pending().remove(&key);
                Resolution::Failed
            }
        }
    }

    /// The servers, in the order in which they are asked.
    pub(super) fn servers(&self) -> Arc<[SocketAddr]> {
        self.servers.current().0
    }

    /// Whether a port's container is an upstream server.
    fn is_upstream(&self, port: PortIndex, servers: &[SocketAddr]) -> bool {
        servers.iter().any(|server| self.names.has_address(port, server.ip()))
    }

    /// Asks in a task of its own; nothing if too many questions wait.
    fn start(
        self: &Arc<Self>,
        key: Key,
        question: Question,
        (servers, changes): (Arc<[SocketAddr]>, u64),
    ) -> Option<Pending> {
        let mut all = self.pending();
        if all.len() >= FORWARDS_MAX {
            self.counters.count(|counters| &mut counters.forwards_limited);
            return None;
        }
        let (done, pending) = watch::channel(None);
        all.insert(key.clone(), pending.clone());
        let forwarder = Arc::clone(self);
        tokio::spawn(async move {
            let asked = forwarder.ask(&servers, &question);
            let received = timeout(UPSTREAM_TIME_MAX, asked).await.ok().flatten();
            let answer = received.map(|Received { message, bytes }| {
                let answer = Arc::new(Answer::from(message));
                let from = (&answer, changes);
                forwarder.cache().put(key.clone(), from, bytes, Instant::now());
                answer
            });
            forwarder.pending().remove(&key);
            let _ = done.send(Some(answer));
        });
        Some(pending)
    }

    /// Asks the servers, the next one as soon as that may help.
    async fn ask(&self, servers: &[SocketAddr], question: &Question) -> Option<Received> {
        let ours = |server: &SocketAddr| self.names.is_gateway(server.ip());
        let mut left = servers.iter().copied().filter(|server| !ours(server));
        let mut asked = FuturesUnordered::new();
        let mut poor = None;
        let mut next = left.next();
        loop {
            if let Some(server) = next.take() {
                self.counters.count(|counters| &mut counters.upstream_queries);
                asked.push(async move { (server, exchange::ask(server, question).await) });
            }
            tokio::select! {
                answer = asked.next() => match answer {
                    Some((server, Some(received))) if is_good(&received.message) => {
                        self.servers.prefer(server);
                        return Some(received);
                    }
                    Some((_, received)) => {
                        poor = poor.or(received);
                        next = left.next();
                    }
                    None => return poor,
                },
                () = sleep(HEDGE_AFTER) => next = left.next(),
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<Key, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether no other server is likely to know better.
fn is_good(message: &Message) -> bool {
    matches!(message.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self {
            code: message.metadata.response_code,
            is_authoritative: false,
            is_authentic: message.metadata.authentic_data,
            answers: message.answers,
            authorities: message.authorities,
            additionals: message.additionals,
        }
    }
}
