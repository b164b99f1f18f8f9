//! UDP: each client has a socket of its own towards the container, which separates the replies.
//!
//! # Theory of operation
//!
//! One task reads a published socket ([`UdpSource`]) and writes each datagram to the socket of its client at once, so a burst waits in
//! the buffer of the published socket, which the kernel bounds in bytes. A task for each client returns the answers.
//!
//! A client ends
//! - when neither side sends for [`PROXY_CLIENT_IDLE`], the mapping timeout of the switch (RFC 4787, REQ-5);
//! - as the least recently used, when there are as many as may be, or no descriptors;
//! - with its publication;
//! - when the container refuses its datagrams. If no answer has come yet, the next address of the container gets those
//!   that are kept ([`PROXY_UNANSWERED_BYTES`]); when all have refused, the client is told.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::counters::DATAGRAMS_DROPPED;
use super::udp_client::Client;
use super::udp_source::{Answering, Destination, UdpSource};
use crate::host::limits::{
    PROXY_CLIENT_IDLE, PROXY_ERROR_PAUSE, PROXY_SEND_MAX, PROXY_UNANSWERED_BYTES,
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
struct Flow {
    id: u64,
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    answers: AbortHandle,
    destination: Destination,
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
    client: Client,
    id: u64,
    is_refused: bool,
}

#[derive(Debug)]
struct Relay {
    source: UdpSource,
    flows: HashMap<Client, Flow>,
    answers: JoinSet<Ended>,
    turn: Arc<AtomicU64>,
    next_id: u64,
}

/// Relays datagrams as long as it is polled.
pub(super) async fn relay_all(source: UdpSource) {
    let mut ends = source.ends();
    let mut relay = Relay {
        source,
        flows: HashMap::new(),
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
            () = changed(&mut ends) => relay.forget_ended(),
            received = relay.source.receive(&mut buffer) => match received {
                Ok((len, client)) => relay.handle_datagram(client, &buffer[..len]).await,
                // One that the kernel does not track.
                Err(error) if error.kind() == ErrorKind::NotFound => DATAGRAMS_DROPPED.count(),
                Err(error) => {
                    tracing::debug!(%error, "cannot receive datagrams to published ports");
                    tokio::time::sleep(PROXY_ERROR_PAUSE).await;
                }
            },
        }
    }
}

/// Waits until publications end; forever if they end with the source.
async fn changed(ends: &mut Option<watch::Receiver<()>>) {
    let has_changed = match ends {
        Some(ends) => ends.changed().await.is_ok(),
        None => false,
    };
    if !has_changed {
        std::future::pending::<()>().await;
    }
}

impl Relay {
    async fn handle_datagram(&mut self, client: Client, datagram: &[u8]) {
        if !self.flows.contains_key(&client) {
            let Some(destination) = self.source.destination(&client) else {
                // Its publication has ended.
                return self.source.refuse(&client);
            };
            let target = destination.targets.preferred();
            if !self.add(client, destination, (target, 1)).await {
                DATAGRAMS_DROPPED.count();
                return;
            }
        }
        let Some(flow) = self.flows.get_mut(&client) else { return };
        flow.shared.used.store(self.turn.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        flow.keep(datagram);
        match flow.send(datagram).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                // About an earlier datagram. This one is sent again, or answered likewise.
                if flow.may_try_next() {
                    self.try_next(client).await;
                } else if flow.send(datagram).await.is_err() {
                    self.refuse(client);
                }
            }
            Err(error) => {
                DATAGRAMS_DROPPED.count();
                tracing::debug!(?client, %error, "a datagram to a published port is dropped");
            }
        }
    }

    async fn handle_end(&mut self, ended: Ended) {
        let Some(flow) = self.flows.get(&ended.client) else { return };
        if flow.id != ended.id {
            return;
        }
        match (ended.is_refused, flow.may_try_next()) {
            (true, true) => self.try_next(ended.client).await,
            (true, false) => self.refuse(ended.client),
            (false, _) => self.remove(ended.client),
        }
    }

    /// Forgets clients whose publications have ended.
    fn forget_ended(&mut self) {
        for (_, flow) in self.flows.extract_if(|_, flow| flow.destination.is_over()) {
            flow.answers.abort();
        }
    }

    /// Sends what is kept to the next address of the container.
    async fn try_next(&mut self, client: Client) {
        let Some(former) = self.flows.remove(&client) else { return };
        former.answers.abort();
        let target = former.destination.targets.prefer_after(former.target);
        if !self.add(client, former.destination, (target, former.tried + 1)).await {
            return;
        }
        let Some(flow) = self.flows.get_mut(&client) else { return };
        for datagram in &former.unanswered {
            if flow.send(datagram).await.is_err() {
                DATAGRAMS_DROPPED.count();
            }
        }
        (flow.unanswered, flow.unanswered_bytes) = (former.unanswered, former.unanswered_bytes);
    }

    /// Tells a client that the container refuses, and forgets it.
    fn refuse(&mut self, client: Client) {
        self.remove(client);
        self.source.refuse(&client);
    }

    fn remove(&mut self, client: Client) {
        if let Some(flow) = self.flows.remove(&client) {
            flow.answers.abort();
        }
    }

    /// Adds a client; false if it has no socket to the target.
    async fn add(
        &mut self,
        client: Client,
        destination: Destination,
        (target, tried): (usize, usize),
    ) -> bool {
        let Some(&to) = destination.targets.addresses.get(target) else { return false };
        if self.flows.len() >= self.source.clients_max() {
            self.evict();
        }
        let mut opened = self.open(to).await;
        if opened.is_err() && self.evict() {
            // Perhaps no descriptor was left.
            opened = self.open(to).await;
        }
        let (socket, back) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(?client, %to, %error, "datagrams to a published port are not relayed");
                return false;
            }
        };
        self.next_id += 1;
        let (id, shared) = (self.next_id, Arc::<Shared>::default());
        let answers = Answers {
            client,
            socket: Arc::clone(&socket),
            back,
            shared: Arc::clone(&shared),
            turn: Arc::clone(&self.turn),
        };
        let answers = self.answers.spawn(async move {
            let is_refused = answers.relay().await;
            Ended { client, id, is_refused }
        });
        let (unanswered, unanswered_bytes) = (Vec::new(), 0);
        let flow = Flow {
            id,
            socket,
            shared,
            answers,
            destination,
            target,
            tried,
            unanswered,
            unanswered_bytes,
        };
        self.flows.insert(client, flow);
        true
    }

    /// The sockets of a client: towards the container, and for its answers.
    async fn open(&self, to: SocketAddr) -> io::Result<(Arc<UdpSocket>, Answering)> {
        Ok((Arc::new(connect(to).await?), self.source.answering()))
    }

    /// Forgets the least recently used client.
    fn evict(&mut self) -> bool {
        let used = |(_, flow): &(&Client, &Flow)| flow.shared.used.load(Ordering::Relaxed);
        let Some((&oldest, _)) = self.flows.iter().min_by_key(used) else { return false };
        self.source.evicted().count();
        self.remove(oldest);
        true
    }
}

impl Flow {
    fn is_answered(&self) -> bool {
        self.shared.is_answered.load(Ordering::Relaxed)
    }

    /// Whether the container has an address that was not tried, and none has answered.
    fn may_try_next(&self) -> bool {
        self.tried < self.destination.targets.addresses.len() && !self.is_answered()
    }

    /// Keeps a datagram for the container's next address.
    fn keep(&mut self, datagram: &[u8]) {
        if self.destination.targets.addresses.len() < 2 || self.is_answered() {
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
    client: Client,
    socket: Arc<UdpSocket>,
    back: Answering,
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
                    match self.back.send(&self.client, &answer).await {
                        Some(Ok(())) => {}
                        Some(Err(_)) => DATAGRAMS_DROPPED.count(),
                        None => return false,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return self.is_refusal(&error),
            }
        }
    }

    /// The container refuses; any other error ends the client as well.
    fn is_refusal(&self, error: &io::Error) -> bool {
        tracing::debug!(client = ?self.client, %error, "no answers for a client of a published port");
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
