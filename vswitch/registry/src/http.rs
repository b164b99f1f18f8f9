//! The HTTP/1.1 client of etcd and Consul: several endpoints, idle connections, bounded times and sizes.
//!
//! A request goes to the endpoint that answered last, then to the others in turn. One that changes something is sent
//! again only where the connection shows that the server never saw it; else the caller is told that nobody knows.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::RegistryError;
use crate::limits::{IDLE_CONNECTIONS_MAX, RESPONSE_BYTES_MAX};
use crate::tls::Connector;
use crate::url::{Endpoint, RegistryUrl};

/// A request, before the endpoint is known. It has no `Debug`, since credentials are in it.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// Name and value of the credentials' header.
    pub(crate) credentials: Option<(HeaderName, String)>,
    pub(crate) limit: Duration,
    /// Whether it changes something, so that it must not be sent twice.
    pub(crate) is_change: bool,
}

/// Status and body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

/// A client of one registry.
#[derive(Debug)]
pub(crate) struct HttpClient {
    name: String,
    endpoints: Vec<Endpoint>,
    connector: Connector,
    current: AtomicUsize,
    idle: Mutex<Vec<(usize, Sender)>>,
}

/// Why one endpoint gave no answer.
enum Failure {
    NotSent(String),
    Lost(String),
}

impl HttpClient {
    pub(crate) fn new(url: &RegistryUrl) -> Result<Self, RegistryError> {
        Ok(Self {
            name: url.to_string(),
            endpoints: url.endpoints.clone(),
            connector: Connector::new(url.tls.as_ref())?,
            current: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// The endpoint that is asked first.
    pub(crate) fn endpoint(&self) -> String {
        let index = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        self.endpoints[index].to_string()
    }

    /// Turns away from the current endpoint, which answers but is of no use.
    pub(crate) fn turn_away(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn protocol(&self, problem: impl ToString) -> RegistryError {
        RegistryError::Protocol { registry: self.name.clone(), problem: problem.to_string() }
    }

    pub(crate) fn denied(&self, problem: impl ToString) -> RegistryError {
        RegistryError::Denied { registry: self.name.clone(), problem: problem.to_string() }
    }

    pub(crate) fn unanswered(&self, problem: impl ToString) -> RegistryError {
        RegistryError::Unanswered { registry: self.name.clone(), problem: problem.to_string() }
    }

    pub(crate) fn unreachable(&self, problem: impl ToString) -> RegistryError {
        RegistryError::Unreachable { registry: self.name.clone(), problem: problem.to_string() }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, RegistryError> {
        self.each_endpoint(call, |index| self.exchange(index, call)).await
    }

    /// Sends a request; the answer's body is read by the caller, on a connection of its own.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Response<Incoming>, RegistryError> {
        self.each_endpoint(call, |index| self.open_stream(index, call)).await
    }

    async fn each_endpoint<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        call: &Call,
        mut attempt: impl FnMut(usize) -> F,
    ) -> Result<T, RegistryError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut problem = String::new();
        for n in 0..self.endpoints.len() {
            let failure = match attempt((first + n) % self.endpoints.len()).await {
                Ok(answer) => {
                    self.current.store((first + n) % self.endpoints.len(), Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Lost(problem) if call.is_change => {
                    self.turn_away();
                    return Err(self.unanswered(problem));
                }
                Failure::Lost(text) | Failure::NotSent(text) => problem = text,
            }
        }
        Err(self.unreachable(problem))
    }

    async fn exchange(&self, index: usize, call: &Call) -> Result<Answer, Failure> {
        let exchange = async {
            let (response, sender) = self.send(index, call).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.lost(index, error))?.to_bytes();
            self.keep(index, sender);
            let (status, headers) = (parts.status, parts.headers);
            Ok(Answer { endpoint: self.endpoints[index].to_string(), status, headers, body })
        };
        self.within(index, call.limit, exchange).await
    }

    async fn open_stream(&self, index: usize, call: &Call) -> Result<Response<Incoming>, Failure> {
        let open = async {
            let sender = self.connect(index).await?;
            Ok(self.send_by(index, sender, call).await?.0)
        };
        self.within(index, call.limit, open).await
    }

    async fn within<T>(
        &self,
        index: usize,
        limit: Duration,
        future: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = || self.lost(index, format!("no answer within {} s", limit.as_secs()));
        timeout(limit, future).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends by an idle connection, or by a new one.
    async fn send(
        &self,
        index: usize,
        call: &Call,
    ) -> Result<(Response<Incoming>, Sender), Failure> {
        while let Some(sender) = self.take(index) {
            match self.send_by(index, sender, call).await {
                // The server closed it meanwhile.
                Err(Failure::NotSent(_)) => {}
                result => return result,
            }
        }
        let sender = self.connect(index).await?;
        self.send_by(index, sender, call).await
    }

    async fn send_by(
        &self,
        index: usize,
        mut sender: Sender,
        call: &Call,
    ) -> Result<(Response<Incoming>, Sender), Failure> {
        let not_sent = |error: &dyn std::error::Error| Failure::NotSent(describe(error));
        sender.ready().await.map_err(|error| not_sent(&error))?;
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(HOST, self.endpoints[index].to_string())
            .header(USER_AGENT, concat!("vswitch/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        if let Some((name, value)) = &call.credentials {
            request = request.header(name, value);
        }
        let request =
            request.body(Full::new(call.body.clone())).map_err(|error| not_sent(&error))?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(error) if error.is_canceled() => Err(not_sent(&error)),
            Err(error) => Err(self.lost(index, describe(&error))),
        }
    }

    async fn connect(&self, index: usize) -> Result<Sender, Failure> {
        let stream = self.connector.connect(&self.endpoints[index]).await;
        let stream = TokioIo::new(stream.map_err(Failure::NotSent)?);
        let (sender, connection) =
            handshake(stream).await.map_err(|error| Failure::NotSent(describe(&error)))?;
        // Ends when the sender and the answer's body are dropped.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn lost(&self, index: usize, problem: impl ToString) -> Failure {
        Failure::Lost(format!("{}: {}", self.endpoints[index], problem.to_string()))
    }

    fn take(&self, index: usize) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.retain(|(_, sender)| !sender.is_closed());
        let found = idle.iter().rposition(|(of, _)| *of == index)?;
        Some(idle.swap_remove(found).1)
    }

    fn keep(&self, index: usize, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push((index, sender));
        }
    }
}

/// An error with its causes, which hyper's own text leaves out.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
