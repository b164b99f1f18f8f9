//! UDP: each client has a socket of its own towards the container, which separates the replies.
//!
//! # Theory of operation
//!
//! One task reads the published socket and writes each datagram to the socket of its client at once, so a burst waits in
//! the buffer of the published socket, which the kernel bounds in bytes. A task for each client returns the answers.
//!
//! A client ends
//! - when neither side sends for [`PROXY_CLIENT_IDLE`], the mapping timeout of the switch (RFC 4787, REQ-5);
//! - as the least recently used, when there are [`PROXY_CLIENTS_MAX`], or no descriptors;
//! - when the container refuses its datagrams. If no answer has come yet, the next address of the container gets those
//!   that are kept ([`PROXY_UNANSWERED_BYTES`]); when all have refused, the client is told.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::counters::{CLIENTS_EVICTED, DATAGRAMS_DROPPED};
use super::refuse;
use crate::host::limits::{
    PROXY_CLIENT_IDLE, PROXY_CLIENTS_MAX, PROXY_ERROR_PAUSE, PROXY_SEND_MAX, PROXY_UNANSWERED_BYTES,
};

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// What the two tasks of a client share.
#[derive(Debug, Default)]
struct Shared {
    /// The turn of its last datagram in either direction.
    used: AtomicU64,
    is_answered: AtomicBool,
}

#[derive(Debug)]
struct Client {
    id: u64,
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    answers: AbortHandle,
    /// The container's address, by its position, and how many were tried.
    target: usize,
    tried: usize,
    /// Datagrams without an answer, while another address may get them.
    unanswered: Vec<Box<[u8]>>,
    unanswered_bytes: usize,
}

/// The end of a client's task.
#[derive(Debug)]
struct Ended {
    client: SocketAddr,
    id: u64,
    is_refused: bool,
}

#[derive(Debug)]
struct Relay {
    published: Arc<UdpSocket>,
    targets: Vec<SocketAddr>,
    /// The target that new clients begin with.
    preferred: usize,
    clients: HashMap<SocketAddr, Client>,
    answers: JoinSet<Ended>,
    turn: Arc<AtomicU64>,
    next_id: u64,
}

/// Relays datagrams to one port as long as it is polled.
pub(super) async fn relay_all(socket: UdpSocket, to: Vec<SocketAddr>) {
    let mut relay = Relay {
        published: Arc::new(socket),
        targets: to,
        preferred: 0,
        clients: HashMap::new(),
        answers: JoinSet::new(),
        turn: Arc::default(),
        next_id: 0,
    };
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        tokio::select! {
            Some(ended) = relay.answers.join_next() => {
                // An aborted task belongs to no client any more.
                if let Ok(ended) = ended {
                    relay.handle_end(ended).await;
                }
            }
            received = relay.published.recv_from(&mut buffer) => match received {
                Ok((len, client)) => relay.handle_datagram(client, &buffer[..len]).await,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive datagrams to [::1]");
                    tokio::time::sleep(PROXY_ERROR_PAUSE).await;
                }
            },
        }
    }
}

impl Relay {
    async fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        if !self.clients.contains_key(&from) && !self.add(from, self.preferred, 1).await {
            DATAGRAMS_DROPPED.count();
            return;
        }
        let may_try_others = self.targets.len() > 1;
        let Some(client) = self.clients.get_mut(&from) else { return };
        client.shared.used.store(self.turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        client.keep(datagram, may_try_others);
        match client.send(datagram).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // About an earlier datagram. This one is sent again, or answered likewise.
                if self.targets.len() > client.tried && !client.is_answered() {
                    self.try_next(from).await;
                } else if client.send(datagram).await.is_err() {
                    self.refuse(from);
                }
            }
            Err(error) => {
                DATAGRAMS_DROPPED.count();
                tracing::debug!(%from, %error, "a datagram to [::1] is dropped");
            }
        }
    }

    async fn handle_end(&mut self, ended: Ended) {
        let Some(client) = self.clients.get(&ended.client) else { return };
        if client.id != ended.id {
            return;
        }
        let may_try_others = client.tried < self.targets.len() && !client.is_answered();
        match (ended.is_refused, may_try_others) {
            (true, true) => self.try_next(ended.client).await,
            (true, false) => self.refuse(ended.client),
            (false, _) => self.remove(ended.client),
        }
    }

    /// Sends what is kept to the next address of the container.
    async fn try_next(&mut self, from: SocketAddr) {
        let Some(former) = self.clients.remove(&from) else { return };
        former.answers.abort();
        let target = (former.target + 1) % self.targets.len();
        self.preferred = target;
        if !self.add(from, target, former.tried + 1).await {
            return;
        }
        let Some(client) = self.clients.get_mut(&from) else { return };
        for datagram in &former.unanswered {
            if client.send(datagram).await.is_err() {
                DATAGRAMS_DROPPED.count();
            }
        }
        (client.unanswered, client.unanswered_bytes) = (former.unanswered, former.unanswered_bytes);
    }

    /// Tells a client that the container refuses, and forgets it.
    fn refuse(&mut self, from: SocketAddr) {
        self.remove(from);
        let told = self.published.local_addr().and_then(|at| refuse::port_unreachable(from, at));
        if let Err(error) = told {
            refuse::log(from, &error);
        }
    }

    fn remove(&mut self, from: SocketAddr) {
        if let Some(client) = self.clients.remove(&from) {
            client.answers.abort();
        }
    }

    /// Adds a client; false if it has no socket.
    async fn add(&mut self, from: SocketAddr, target: usize, tried: usize) -> bool {
        let Some(&to) = self.targets.get(target) else { return false };
        if self.clients.len() >= PROXY_CLIENTS_MAX {
            self.evict();
        }
        let mut socket = connect(to).await;
        if socket.is_err() && self.evict() {
            // Perhaps no descriptor was left.
            socket = connect(to).await;
        }
        let socket = match socket {
            Ok(socket) => Arc::new(socket),
            Err(error) => {
                tracing::debug!(%from, %to, %error, "datagrams to [::1] are not relayed");
                return false;
            }
        };
        self.next_id += 1;
        let (id, shared) = (self.next_id, Arc::<Shared>::default());
        let answers = Answers {
            client: from,
            socket: Arc::clone(&socket),
            // A weak reference, so that the port is free when the relay has ended.
            back: Arc::downgrade(&self.published),
            shared: Arc::clone(&shared),
            turn: Arc::clone(&self.turn),
        };
        let answers = self.answers.spawn(async move {
            let is_refused = answers.relay().await;
            Ended { client: from, id, is_refused }
        });
        let (unanswered, unanswered_bytes) = (Vec::new(), 0);
        let client =
            Client { id, socket, shared, answers, target, tried, unanswered, unanswered_bytes };
        self.clients.insert(from, client);
        true
    }

    /// Forgets the least recently used client.
    fn evict(&mut self) -> bool {
        let used =
            |(_, client): &(&SocketAddr, &Client)| client.shared.used.load(Ordering::Relaxed);
        let Some((&oldest, _)) = self.clients.iter().min_by_key(used) else { return false };
        CLIENTS_EVICTED.count();
        self.remove(oldest);
        true
    }
}

impl Client {
    fn is_answered(&self) -> bool {
        self.shared.is_answered.load(Ordering::Relaxed)
    }

    /// Keeps a datagram for the container's next address.
    fn keep(&mut self, datagram: &[u8], may_try_others: bool) {
        if !may_try_others || self.is_answered() {
            self.unanswered = Vec::new();
        } else if self.unanswered_bytes + datagram.len() <= PROXY_UNANSWERED_BYTES {
            self.unanswered_bytes += datagram.len().max(1);
            self.unanswered.push(datagram.into());
        }
    }

    /// Sends a datagram; waits a moment if the socket's buffer is full.
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match timeout(PROXY_SEND_MAX, self.socket.send(datagram)).await {
            Ok(sent) => sent.map(drop),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

async fn connect(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// The answers to one client.
struct Answers {
    client: SocketAddr,
    socket: Arc<UdpSocket>,
    back: Weak<UdpSocket>,
    shared: Arc<Shared>,
    turn: Arc<AtomicU64>,
}

impl Answers {
    /// Relays answers until the client expires, or the container refuses its datagrams: then true.
    async fn relay(self) -> bool {
        loop {
            let used = self.shared.used.load(Ordering::Relaxed);
            let ready = self.socket.ready(Interest::READABLE | Interest::ERROR);
            match timeout(PROXY_CLIENT_IDLE, ready).await {
                Err(_) if self.shared.used.load(Ordering::Relaxed) == used => return false,
                Err(_) => continue,
                Ok(Err(error)) => return self.is_refusal(&error),
                Ok(Ok(_)) => {}
            }
            if let Err(error) = self.socket.try_io(Interest::ERROR, || pending_error(&self.socket))
                && error.kind() != ErrorKind::WouldBlock
            {
                return self.is_refusal(&error);
            }
            let mut answer = Vec::with_capacity(DATAGRAM_MAX);
            match self.socket.try_recv_buf(&mut answer) {
                Ok(_) => {
                    self.shared.is_answered.store(true, Ordering::Relaxed);
                    let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                    self.shared.used.store(turn, Ordering::Relaxed);
                    let Some(back) = self.back.upgrade() else { return false };
                    if back.send_to(&answer, self.client).await.is_err() {
                        DATAGRAMS_DROPPED.count();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return self.is_refusal(&error),
            }
        }
    }

    /// The container refuses; any other error ends the client as well.
    fn is_refusal(&self, error: &io::Error) -> bool {
        tracing::debug!(client = %self.client, %error, "no answers for a client on [::1]");
        error.kind() == ErrorKind::ConnectionRefused
    }
}

/// The error that an ICMP message has left; `WouldBlock` without one.
fn pending_error(socket: &UdpSocket) -> io::Result<()> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Err(ErrorKind::WouldBlock.into()),
    }
}
