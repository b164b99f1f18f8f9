//! A session: one connection at a time, opened again with the session's number and password until the server says that
//! the session has expired.
//!
//! One task drives it. Requests wait in a channel while there is no connection; a caller that gives up takes its request
//! out of it, and learns whether it was sent. A connection that brings nothing for two thirds of the session's timeout
//! is given up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::jute::{Decoder, Encoder, Malformed};
use super::requests::{Request, code, opcode};
use crate::limits::{CONNECT_TIMEOUT, READS_IN_FLIGHT, RESPONSE_BYTES_MAX};
use crate::secret::Secret;
use crate::task::{Backoff, Task};
use crate::tls::{Connector, Stream};
use crate::url::Endpoint;

const XID_EVENT: i32 = -1;
const XID_PING: i32 = -2;
const XID_AUTH: i32 = -4;

/// Events that a watch may be behind; then it lists again.
const EVENTS_MAX: usize = 4_096;

/// How to reach the servers.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) connector: Connector,
    pub(crate) credentials: Option<(String, Secret)>,
}

/// State of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not connected, since the last fault.
    Down(String),
    /// The n-th connection, to an endpoint.
    Up { connection: u64, endpoint: String },
    /// The server has ended the session, or refuses the credentials.
    Ended(String),
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    NotSent(String),
    Lost(String),
    Ended(String),
}

/// Header and body of an answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) zxid: i64,
    pub(crate) error: i32,
    pub(crate) body: Bytes,
}

struct Pending {
    request: Request,
    is_sent: Arc<AtomicBool>,
    reply: oneshot::Sender<Result<Response, Failure>>,
}

/// Number, password and negotiated timeout.
#[derive(Debug, Clone, Default)]
struct Identity {
    id: i64,
    password: Vec<u8>,
    timeout: Duration,
}

/// A session and its task.
#[derive(Debug)]
pub(crate) struct Session {
    requests: mpsc::Sender<Pending>,
    link: watch::Receiver<Link>,
    identity: watch::Receiver<Identity>,
    events: broadcast::Sender<Arc<str>>,
    _driver: Task,
}

impl Session {
    /// Begins a session; `is_renewed`: when it expires a new one takes its place.
    pub(crate) fn start(servers: Servers, wanted: Duration, is_renewed: bool) -> Self {
        let (requests, queue) = mpsc::channel(READS_IN_FLIGHT);
        let (link_sender, link) = watch::channel(Link::Down("not connected yet".to_owned()));
        let (identity_sender, identity) = watch::channel(Identity::default());
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let driver = Driver {
            servers,
            wanted,
            is_renewed,
            queue,
            link: link_sender,
            identity: identity_sender,
            events: events.clone(),
            connections: 0,
        };
        let _driver = Task::spawn(driver.run());
        Self { requests, link, identity, events, _driver }
    }

    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Paths that change below watched ones.
    pub(crate) fn events(&self) -> broadcast::Receiver<Arc<str>> {
        self.events.subscribe()
    }

    /// Number of the session and its timeout; 0 before the first connection.
    pub(crate) fn identity(&self) -> (i64, Duration) {
        let identity = self.identity.borrow();
        (identity.id, identity.timeout)
    }

    /// Sends a request and waits for its answer, `limit` at most.
    pub(crate) async fn call(
        &self,
        request: Request,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let (reply, mut answer) = oneshot::channel();
        let is_sent = Arc::new(AtomicBool::new(false));
        let pending = Pending { request, is_sent: Arc::clone(&is_sent), reply };
        let exchange = async {
            if self.requests.send(pending).await.is_err() {
                return Err(self.ended());
            }
            (&mut answer).await.unwrap_or_else(|_| Err(self.ended()))
        };
        if let Ok(result) = timeout(limit, exchange).await {
            return result;
        }
        // First close, then look: the driver does it the other way round.
        answer.close();
        let problem = match &*self.link.borrow() {
            Link::Down(problem) | Link::Ended(problem) => problem.clone(),
            Link::Up { endpoint, .. } => {
                format!("{endpoint}: no answer within {} s", limit.as_secs())
            }
        };
        match is_sent.load(Ordering::SeqCst) {
            true => Err(Failure::Lost(problem)),
            false => Err(Failure::NotSent(problem)),
        }
    }

    fn ended(&self) -> Failure {
        match &*self.link.borrow() {
            Link::Ended(problem) | Link::Down(problem) => Failure::Ended(problem.clone()),
            Link::Up { .. } => Failure::Ended("the session is closed".to_owned()),
        }
    }
}

struct Driver {
    servers: Servers,
    wanted: Duration,
    is_renewed: bool,
    queue: mpsc::Receiver<Pending>,
    link: watch::Sender<Link>,
    identity: watch::Sender<Identity>,
    events: broadcast::Sender<Arc<str>>,
    connections: u64,
}

/// Why a connection ended.
enum End {
    Fault(String),
    Final(String),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        Self::Fault(error.to_string())
    }
}

impl Driver {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        for turn in 0.. {
            let endpoint = self.servers.endpoints[turn % self.servers.endpoints.len()].clone();
            let connections = self.connections;
            match self.connect(&endpoint).await {
                Err(End::Final(problem)) if !self.is_renewed => {
                    self.link.send_replace(Link::Ended(problem));
                    return;
                }
                Err(End::Final(problem)) => {
                    self.identity.send_replace(Identity::default());
                    self.link.send_replace(Link::Down(format!("{endpoint}: {problem}")));
                }
                Err(End::Fault(problem)) => {
                    self.link.send_replace(Link::Down(format!("{endpoint}: {problem}")));
                }
                // All callers are gone.
                Ok(()) => return,
            }
            if self.connections > connections {
                backoff.reset();
            }
            backoff.pause().await;
        }
    }

    /// Connects and serves until the connection ends.
    async fn connect(&mut self, endpoint: &Endpoint) -> Result<(), End> {
        let stream = self.servers.connector.connect(endpoint).await.map_err(End::Fault)?;
        let mut wire = Wire { stream, buffer: BytesMut::new() };
        let handshake = timeout(CONNECT_TIMEOUT, self.handshake(&mut wire)).await;
        let late = |_| End::Fault("no session within the time limit".to_owned());
        handshake.map_err(late)??;
        self.connections += 1;
        let (connection, endpoint) = (self.connections, endpoint.to_string());
        self.link.send_replace(Link::Up { connection, endpoint });
        let mut sent = VecDeque::new();
        let end = self.serve(&mut wire, &mut sent).await;
        let problem = match &end {
            Err(End::Fault(problem) | End::Final(problem)) => problem.clone(),
            Ok(()) => "the session is closed".to_owned(),
        };
        for (_, reply) in sent {
            let reply: oneshot::Sender<_> = reply;
            // The caller may have given up.
            let _ = reply.send(Err(Failure::Lost(problem.clone())));
        }
        end
    }

    async fn handshake(&mut self, wire: &mut Wire) -> Result<(), End> {
        let Identity { id, password, .. } = self.identity.borrow().clone();
        let password = if password.is_empty() { vec![0; 16] } else { password };
        let wanted = i32::try_from(self.wanted.as_millis()).unwrap_or(i32::MAX);
        // No state seen: a server that lost its data would refuse the session for ever. Reads begin with a sync.
        let hello = Encoder::default().int(0).long(0).int(wanted).long(id);
        wire.send(&hello.buffer(&password).boolean(false).finish()).await?;
        let answer = wire.receive().await?;
        let mut decoder = Decoder(&answer);
        decoder.int()?;
        let granted = u64::try_from(decoder.int()?).unwrap_or(0);
        let (id, password) = (decoder.long()?, decoder.buffer()?.to_vec());
        if granted == 0 || id == 0 {
            return Err(End::Final("the session has expired".to_owned()));
        }
        let timeout = Duration::from_millis(granted);
        self.identity.send_replace(Identity { id, password, timeout });
        if let Some((user, password)) = &self.servers.credentials {
            let digest = format!("{user}:{}", password.reveal());
            let auth = Encoder::default().int(XID_AUTH).int(opcode::AUTH);
            let auth = auth.int(0).string("digest").buffer(digest.as_bytes());
            wire.send(&auth.finish()).await?;
        }
        Ok(())
    }

    async fn serve(
        &mut self,
        wire: &mut Wire,
        sent: &mut VecDeque<(i32, oneshot::Sender<Result<Response, Failure>>)>,
    ) -> Result<(), End> {
        let timeout = self.identity.borrow().timeout;
        let (mut heard, mut spoke, mut next_xid) = (Instant::now(), Instant::now(), 1);
        loop {
            let ping_at = spoke + timeout / 3;
            let dead_at = heard + timeout * 2 / 3;
            tokio::select! {
                frame = wire.receive() => {
                    heard = Instant::now();
                    self.handle(frame?, sent)?;
                }
                pending = self.queue.recv() => {
                    let Some(pending) = pending else { return Ok(()) };
                    spoke = Instant::now();
                    let frames = self.frames(pending, &mut next_xid, sent);
                    wire.write_within(&frames, timeout).await?;
                }
                () = sleep_until(ping_at) => {
                    spoke = Instant::now();
                    let ping = Encoder::default().int(XID_PING).int(opcode::PING).finish();
                    let ping = Encoder::default().buffer(&ping).finish();
                    wire.write_within(&ping, timeout).await?;
                }
                () = sleep_until(dead_at) => {
                    let ms = (timeout * 2 / 3).as_millis();
                    return Err(End::Fault(format!("nothing heard for {ms} ms")));
                }
            }
        }
    }

    /// Frames of a request and of those that wait behind it, to be sent by one system call.
    fn frames(
        &mut self,
        first: Pending,
        next_xid: &mut i32,
        sent: &mut VecDeque<(i32, oneshot::Sender<Result<Response, Failure>>)>,
    ) -> Vec<u8> {
        let mut frames = Encoder::default();
        let waiting = std::iter::from_fn(|| self.queue.try_recv().ok()).take(READS_IN_FLIGHT);
        for Pending { request, is_sent, reply } in std::iter::once(first).chain(waiting) {
            is_sent.store(true, Ordering::SeqCst);
            if !reply.is_closed() {
                let frame = Encoder::default().int(*next_xid).int(request.opcode);
                frames = frames.buffer(&frame.bytes(&request.body).finish());
                sent.push_back((*next_xid, reply));
                *next_xid = next_xid.checked_add(1).unwrap_or(1);
            }
        }
        frames.finish()
    }

    fn handle(
        &mut self,
        frame: Bytes,
        sent: &mut VecDeque<(i32, oneshot::Sender<Result<Response, Failure>>)>,
    ) -> Result<(), End> {
        let mut decoder = Decoder(&frame);
        let (xid, zxid, error) = (decoder.int()?, decoder.long()?, decoder.int()?);
        match xid {
            XID_PING => {}
            XID_AUTH if error != 0 => {
                let problem = "the server refuses user and password".to_owned();
                return Err(End::Final(problem));
            }
            XID_AUTH => {}
            XID_EVENT => {
                let (kind, _state) = (decoder.int()?, decoder.int()?);
                // Kind -1 tells the state of the connection.
                if kind > 0 {
                    // Nobody watches: nobody needs it.
                    let _ = self.events.send(decoder.string()?.into());
                }
            }
            _ if error == code::SESSION_EXPIRED => {
                return Err(End::Final("the session has expired".to_owned()));
            }
            _ => {
                let (expected, reply) =
                    sent.pop_front().ok_or(End::Fault("an answer to nothing".to_owned()))?;
                if expected != xid {
                    return Err(End::Fault(format!("answer {xid} instead of {expected}")));
                }
                let body = frame.slice(frame.len() - decoder.0.len()..);
                // The caller may have given up.
                let _ = reply.send(Ok(Response { zxid, error, body }));
            }
        }
        Ok(())
    }
}

/// Frames: a length and so many bytes.
struct Wire {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

impl Wire {
    async fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let bytes = Encoder::default().buffer(frame).finish();
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await
    }

    /// Sends frames that have their lengths.
    async fn write_within(&mut self, frames: &[u8], limit: Duration) -> std::io::Result<()> {
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        let write = async {
            self.stream.write_all(frames).await?;
            self.stream.flush().await
        };
        timeout(limit, write).await.map_err(late)?
    }

    /// The next frame. Nothing is lost when the caller gives up waiting.
    async fn receive(&mut self) -> Result<Bytes, End> {
        loop {
            if let Some((len, _)) = self.buffer.split_first_chunk() {
                let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| Malformed)?;
                if len > RESPONSE_BYTES_MAX {
                    return Err(Malformed.into());
                }
                if self.buffer.len() >= 4 + len {
                    self.buffer.advance(4);
                    return Ok(self.buffer.split_to(len).freeze());
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(End::Fault("the server closed the connection".to_owned()));
            }
        }
    }
}
