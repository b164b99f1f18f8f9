//! Requests to etcd: credentials, errors, keys with their prefix.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Response};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::messages::{Failure, Token, encoded};
use crate::RegistryError;
use crate::http::{Answer, Call, HttpClient};
use crate::limits::REQUEST_TIMEOUT;
use crate::secret::Secret;
use crate::url::RegistryUrl;

/// Codes of gRPC.
mod code {
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const PERMISSION_DENIED: u32 = 7;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Change,
}

/// An HTTP client with credentials.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: HttpClient,
    /// `/PREFIX/`
    root: String,
    credentials: Option<(String, Secret)>,
    token: Mutex<Option<Secret>>,
}

impl Client {
    pub(crate) fn new(url: &RegistryUrl, secret: Option<Secret>) -> Result<Self, RegistryError> {
        Ok(Self {
            http: HttpClient::new(url)?,
            root: format!("/{}/", url.prefix),
            credentials: url.user.clone().zip(secret),
            token: Mutex::new(None),
        })
    }

    /// A key as etcd has it.
    pub(crate) fn full_key(&self, key: &str) -> String {
        encoded(format!("{}{key}", self.root).as_bytes())
    }

    /// Range of the keys with a prefix, which ends with `/` or is empty: up to the key after it.
    pub(crate) fn range(&self, prefix: &str) -> (String, String) {
        let first = format!("{}{prefix}", self.root).into_bytes();
        let mut end = first.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        (encoded(&first), encoded(&end))
    }

    /// The key without the URL's prefix; none for one that is not text.
    pub(crate) fn short_key(&self, key: Vec<u8>) -> Option<String> {
        let key = String::from_utf8(key).ok()?;
        key.strip_prefix(&self.root).map(str::to_owned)
    }

    /// Sends a request and decodes the answer.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        kind: Kind,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<T, RegistryError> {
        for is_last in [false, true] {
            let call = self.request(kind, path, body, limit).await?;
            let answer = self.http.call(&call).await?;
            if answer.status.is_success() {
                return serde_json::from_slice(&answer.body).map_err(|e| self.http.protocol(e));
            }
            if let Some(error) = self.failure(&answer.body, kind, &answer, is_last) {
                return Err(error);
            }
        }
        Err(self.http.denied("the token is refused"))
    }

    /// Sends a request whose answer is a stream of lines.
    pub(crate) async fn stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Response<Incoming>, RegistryError> {
        let call = self.request(Kind::Read, path, body, REQUEST_TIMEOUT).await?;
        let response = self.http.stream(&call).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => {
                // The next try asks for a token.
                self.set_token(None);
                Err(self.http.protocol(format!("{path}: HTTP status {status}")))
            }
        }
    }

    async fn request(
        &self,
        kind: Kind,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<Call, RegistryError> {
        let mut call = Call {
            method: Method::POST,
            path: path.to_owned(),
            body: body.to_string().into(),
            credentials: None,
            limit,
            is_change: kind == Kind::Change,
        };
        if let Some((user, password)) = &self.credentials {
            let token = match self.token() {
                Some(token) => Some(token),
                None => self.authenticate(user, password).await?,
            };
            call.credentials = token.map(|token| (AUTHORIZATION, token.reveal().to_owned()));
        }
        Ok(call)
    }

    async fn authenticate(
        &self,
        user: &str,
        password: &Secret,
    ) -> Result<Option<Secret>, RegistryError> {
        let body = json!({ "name": user, "password": password.reveal() });
        let call = Call {
            method: Method::POST,
            path: "/v3/auth/authenticate".to_owned(),
            body: body.to_string().into(),
            credentials: None,
            limit: REQUEST_TIMEOUT,
            is_change: false,
        };
        let answer = self.http.call(&call).await?;
        if answer.status.is_success() {
            let token: Token =
                serde_json::from_slice(&answer.body).map_err(|error| self.http.protocol(error))?;
            let token = Secret::new(token.token);
            self.set_token(Some(token.clone()));
            return Ok(Some(token));
        }
        // A server without authentication takes anybody.
        if String::from_utf8_lossy(&answer.body).contains("authentication is not enabled") {
            return Ok(None);
        }
        let error = self.failure(&answer.body, Kind::Read, &answer, true);
        Err(error.unwrap_or_else(|| self.http.denied("authentication failed")))
    }

    /// The error of a refused request; none where a new token may help.
    fn failure(
        &self,
        body: &[u8],
        kind: Kind,
        answer: &Answer,
        is_last: bool,
    ) -> Option<RegistryError> {
        let Ok(Failure { message, code }) = serde_json::from_slice(body) else {
            return Some(self.http.protocol(format!("HTTP status {}", answer.status)));
        };
        let is_token = code == code::UNAUTHENTICATED || message.contains("invalid auth token");
        let is_credentials = code == code::INVALID_ARGUMENT
            && ["authentication failed", "user name is empty", "user name not found"]
                .iter()
                .any(|text| message.contains(text));
        Some(match code {
            _ if is_token && !is_last && self.credentials.is_some() => {
                self.set_token(None);
                return None;
            }
            _ if is_token || is_credentials => self.http.denied(message),
            code::PERMISSION_DENIED => self.http.denied(message),
            code::UNAVAILABLE => {
                self.http.turn_away();
                match kind {
                    Kind::Change => self.http.unanswered(message),
                    Kind::Read => self.http.unreachable(message),
                }
            }
            _ => self.http.protocol(message),
        })
    }

    fn token(&self) -> Option<Secret> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_token(&self, token: Option<Secret>) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}
