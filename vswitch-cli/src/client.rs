//! A client of the daemon: HTTP/1.1 over its Unix socket, one connection a request.
//!
//! Calls block: the commands are plain functions, and the runtime below them is of one thread.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use vswitch_api::error::ApiError;

use crate::error::Failure;
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_TIMEOUT, CONNECT_TIMEOUT};

/// What may stand in a path segment as it is (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// This process may not even start.
    #[error("cannot start the HTTP client: {0}")]
    Runtime(#[source] io::Error),
    /// Nothing listens there.
    #[error("no switch answers at {}: start one with `vswitch up --bridge br0 --detach`", .0.display())]
    NoDaemon(PathBuf),
    /// The socket is not for us.
    #[error("not allowed to talk to the switch at {}", .0.display())]
    PermissionDenied(PathBuf),
    /// Any other reason not to be connected.
    #[error("cannot connect to {}: {source}", .socket.display())]
    Connect {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("the switch at {} did not answer {request} within {} s", .socket.display(), ANSWER_TIMEOUT.as_secs())]
    Timeout {
        /// Where.
        socket: PathBuf,
        /// Method and path.
        request: String,
    },
    /// The connection broke, or what came back is not what this version understands.
    #[error("the switch at {} answered {request} with something unexpected: {problem}", .socket.display())]
    Protocol {
        /// Where.
        socket: PathBuf,
        /// Method and path.
        request: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The daemon says no.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Api(error) => error.into(),
            ClientError::PermissionDenied(_) => {
                Self::new(message).with_hint("run the command as root, for example with `sudo`")
            }
            ClientError::Protocol { .. } => Self::new(message)
                .with_hint("are command and daemon of one version? see `vswitch status`"),
            _ => Self::new(message),
        }
    }
}

/// Puts a name, percent-encoded, into one of [`vswitch_api::routes`].
pub(crate) fn route(template: &str, name: &str) -> String {
    template.replace("{name}", &utf8_percent_encode(name, SEGMENT).to_string())
}

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// A client of the daemon that listens at `socket`; connects when it is used.
    pub(crate) fn new(socket: &Path) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Self { socket: socket.to_owned(), runtime })
    }

    /// `GET`, with the answer decoded.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.call(&Method::GET, path, None::<&()>)?;
        self.decode(&Method::GET, path, &answer)
    }

    /// `POST` with a body, and with the answer decoded.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.call(&Method::POST, path, Some(body))?;
        self.decode(&Method::POST, path, &answer)
    }

    /// `PATCH` with a body, and with the answer decoded.
    pub(crate) fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.call(&Method::PATCH, path, Some(body))?;
        self.decode(&Method::PATCH, path, &answer)
    }

    /// `DELETE` with a body, and with the answer decoded.
    pub(crate) fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.call(&Method::DELETE, path, Some(body))?;
        self.decode(&Method::DELETE, path, &answer)
    }

    /// Any method, when the answer's body is of no interest.
    pub(crate) fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(), ClientError> {
        self.call(method, path, body).map(drop)
    }

    /// The process that listens on the socket, where the kernel can name it.
    pub(crate) fn daemon_pid(&self) -> Result<Option<i32>, ClientError> {
        let stream = self.runtime.block_on(self.connect())?;
        Ok(stream.peer_cred().ok().and_then(|credentials| credentials.pid()))
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, ClientError> {
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| self.unexpected(method, path, &error.to_string()))?,
            None => Vec::new(),
        };
        let exchange =
            async { timeout(ANSWER_TIMEOUT, self.exchange(method, path, body.into())).await };
        let (status, answer) = self.runtime.block_on(exchange).map_err(|_| {
            ClientError::Timeout { socket: self.socket.clone(), request: name(method, path) }
        })??;
        tracing::debug!(%method, path, %status, bytes = answer.len(), "request");
        if status.is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<ApiError>(&answer) {
            Ok(error) => Err(error.into()),
            Err(_) => Err(self.unexpected(method, path, &format!("HTTP status {status}"))),
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let unexpected =
            |error: &dyn fmt::Display| self.unexpected(method, path, &error.to_string());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(USER_AGENT, concat!("vswitch/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| unexpected(&error))?;
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| unexpected(&error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| unexpected(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        Ok((status, body.map_err(|error| unexpected(&error))?.to_bytes()))
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let socket = self.socket.clone();
        match timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(source)) => Err(match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NoDaemon(socket)
                }
                io::ErrorKind::PermissionDenied => ClientError::PermissionDenied(socket),
                _ => ClientError::Connect { socket, source },
            }),
            Err(_) => Err(ClientError::Connect { socket, source: io::ErrorKind::TimedOut.into() }),
        }
    }

    fn decode<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        answer: &[u8],
    ) -> Result<T, ClientError> {
        serde_json::from_slice(answer)
            .map_err(|error| self.unexpected(method, path, &error.to_string()))
    }

    fn unexpected(&self, method: &Method, path: &str, problem: &str) -> ClientError {
        ClientError::Protocol {
            socket: self.socket.clone(),
            request: name(method, path),
            problem: problem.to_owned(),
        }
    }
}

fn name(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

#[cfg(test)]
mod tests;
