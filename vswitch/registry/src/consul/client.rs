//! Requests to Consul: token, errors, keys with their prefix.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};

use crate::RegistryError;
use crate::http::{Answer, Call, HttpClient};
use crate::secret::Secret;
use crate::url::RegistryUrl;

const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");

/// An HTTP client with a token.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: HttpClient,
    /// `PREFIX/`
    root: String,
    token: Option<Secret>,
}

impl Client {
    pub(crate) fn new(url: &RegistryUrl, token: Option<Secret>) -> Result<Self, RegistryError> {
        let root = format!("{}/", url.prefix);
        Ok(Self { http: HttpClient::new(url)?, root, token })
    }

    /// A key as Consul has it; its characters need no escapes in a URL.
    pub(crate) fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.root)
    }

    /// The key without the URL's prefix.
    pub(crate) fn short_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.root)
    }

    pub(crate) async fn get(&self, path: String, limit: Duration) -> Result<Answer, RegistryError> {
        self.call(Method::GET, path, Bytes::new(), limit).await
    }

    pub(crate) async fn put(
        &self,
        path: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, RegistryError> {
        self.call(Method::PUT, path, body, limit).await
    }

    /// Sends a request; answers of 404 and 409 are the caller's.
    async fn call(
        &self,
        method: Method,
        path: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, RegistryError> {
        let is_change = method == Method::PUT;
        let credentials = self.token.as_ref().map(|token| (TOKEN, token.reveal().to_owned()));
        let call = Call { method, path, body, credentials, limit, is_change };
        let answer = self.http.call(&call).await?;
        let text = || String::from_utf8_lossy(&answer.body).trim().to_owned();
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(answer),
            status if status.is_success() => Ok(answer),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(self.http.denied(text())),
            // Without a leader, or while one is elected.
            status if status.is_server_error() => {
                self.http.turn_away();
                match is_change {
                    true if text().contains("invalid session") => Err(self.http.protocol(text())),
                    true => Err(self.http.unanswered(text())),
                    false => Err(self.http.unreachable(text())),
                }
            }
            status => Err(self.http.protocol(format!("HTTP status {status}: {}", text()))),
        }
    }
}

/// The store's index that an answer tells.
pub(crate) fn index(answer: &Answer) -> u64 {
    let index = answer.headers.get(INDEX).and_then(|value| value.to_str().ok());
    index.and_then(|text| text.parse().ok()).unwrap_or(0)
}
