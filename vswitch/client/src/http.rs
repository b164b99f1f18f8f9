//! One HTTP exchange over a Unix socket.

use std::path::PathBuf;
use std::{fmt, io};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vswitch_api::error::ApiError;

use crate::ClientError;
use crate::limits::{CONNECT_TIMEOUT, RESPONSE_BYTES_MAX, RESPONSE_TIMEOUT};

/// The task that moves the bytes of a connection.
pub(crate) type Connection = JoinHandle<Result<(), hyper::Error>>;

/// The daemon's socket.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(pub(crate) PathBuf);

impl Endpoint {
    /// Sends a request and decodes the response's body; an empty one is JSON's `null`, for `T = ()`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let unexpected = |problem: &dyn fmt::Display| self.unexpected(&method, path, problem);
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| unexpected(&error))?,
            None => Vec::new(),
        };
        let exchange = timeout(RESPONSE_TIMEOUT, self.exchange(&method, path, body.into()));
        let (status, body) = exchange.await.map_err(|_| ClientError::Timeout {
            socket: self.0.clone(),
            request: format!("{method} {path}"),
        })??;
        tracing::debug!(%method, path, %status, bytes = body.len(), "request");
        if status.is_success() {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|error| unexpected(&error));
        }
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(error) => Err(error.into()),
            Err(_) => Err(unexpected(&format_args!("HTTP status {status}"))),
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let (response, connection) = self.send(method, path, body).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        connection.abort();
        let body = body.map_err(|error| self.unexpected(method, path, &error))?;
        Ok((status, body.to_bytes()))
    }

    /// Sends a request; gives the response without its body, and the task of the connection.
    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let unexpected = |error: &dyn fmt::Display| self.unexpected(method, path, error);
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
        let response = sender.send_request(request).await.map_err(|error| unexpected(&error))?;
        Ok((response, connection))
    }

    pub(crate) async fn connect(&self) -> Result<UnixStream, ClientError> {
        let connected = timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.0)).await;
        let source = match connected {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(source)) => source,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        let socket = self.0.clone();
        Err(match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoDaemon(socket)
            }
            io::ErrorKind::PermissionDenied => ClientError::PermissionDenied(socket),
            _ => ClientError::Connect { socket, source },
        })
    }

    pub(crate) fn unexpected(
        &self,
        method: &Method,
        path: &str,
        problem: &dyn fmt::Display,
    ) -> ClientError {
        ClientError::Protocol {
            socket: self.0.clone(),
            request: format!("{method} {path}"),
            problem: problem.to_string(),
        }
    }
}
