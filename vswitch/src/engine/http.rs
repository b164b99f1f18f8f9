//! HTTP exchanges over an engine's socket.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::EngineError;
use super::limits::{ENGINE_BYTES_MAX, ENGINE_TIME_MAX};

/// The task that moves the bytes of a connection. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Connection {
    task: JoinHandle<Result<(), hyper::Error>>,
    /// The user whose program listens at the socket.
    uid: u32,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An engine's socket.
#[derive(Debug, Clone)]
pub(super) struct Socket(pub(super) PathBuf);

/// The body of an answer other than 2xx: Docker has `message`, podman also `cause`.
#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Socket {
    /// Asks, and decodes the answer.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        Ok(self.get_of(path).await?.0)
    }

    /// The same, with the user whose program has answered.
    pub(super) async fn get_of<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, u32), EngineError> {
        let answer = self.in_time(path, async {
            let (response, connection) = self.send(path).await?;
            Ok((self.body(path, response).await?, connection.uid))
        });
        let (body, uid) = answer.await?;
        let answer = serde_json::from_slice(&body).map_err(|error| self.protocol(path, &error))?;
        Ok((answer, uid))
    }

    /// Asks for an answer without an end; it comes as long as the connection lives.
    pub(super) async fn stream(&self, path: &str) -> Result<(Incoming, Connection), EngineError> {
        let opened = self.in_time(path, async {
            let (response, connection) = self.send(path).await?;
            match response.status().is_success() {
                true => Ok((response.into_body(), connection)),
                false => match self.body(path, response).await {
                    Err(error) => Err(error),
                    Ok(_) => Err(self.protocol(path, &"no stream")),
                },
            }
        });
        opened.await
    }

    async fn in_time<T>(
        &self,
        path: &str,
        answer: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let (socket, path) = (self.0.clone(), path.to_owned());
        timeout(ENGINE_TIME_MAX, answer).await.unwrap_or(Err(EngineError::Timeout { socket, path }))
    }

    async fn send(&self, path: &str) -> Result<(Response<Incoming>, Connection), EngineError> {
        if !self.0.is_absolute() {
            return Err(EngineError::RelativeSocket(self.0.clone()));
        }
        let failed = |error: &dyn Display| self.protocol(path, error);
        let stream = UnixStream::connect(&self.0).await.map_err(|source: io::Error| {
            EngineError::NoEngine { socket: self.0.clone(), source }
        })?;
        let uid = stream.peer_cred().map_err(|error| failed(&error))?.uid();
        let request = Request::get(path)
            .header(HOST, "docker")
            .header(USER_AGENT, concat!("vswitch/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        let connection = Connection { task: tokio::spawn(connection), uid };
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        Ok((response, connection))
    }

    /// The body of an answer 2xx, or the error that another one stands for.
    async fn body(&self, path: &str, response: Response<Incoming>) -> Result<Bytes, EngineError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ENGINE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.protocol(path, &error))?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let Ok(Problem { message }) = serde_json::from_slice(&body) else {
            return Err(self.protocol(path, &format_args!("HTTP status {status}")));
        };
        let socket = self.0.clone();
        Err(match status {
            StatusCode::NOT_FOUND => EngineError::NotFound { socket, message },
            _ => EngineError::Refused { socket, message },
        })
    }

    fn protocol(&self, path: &str, problem: &dyn Display) -> EngineError {
        let (socket, path) = (self.0.clone(), path.to_owned());
        EngineError::Protocol { socket, path, problem: problem.to_string() }
    }
}
