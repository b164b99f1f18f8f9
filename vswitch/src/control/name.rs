//! Names and aliases of endpoints, in the alphabet of container runtimes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Longest name in bytes: twice the 64 of Docker's ids.
const LEN_MAX: usize = 128;

/// Longest label that a DNS question can carry (RFC 1035 section 2.3.4).
const DNS_LABEL_MAX: usize = 63;

/// The name of an endpoint: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, up to 128 bytes. Cases differ, as in Docker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be a name: {reason}")]
pub struct NameError {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an alias: a name by which others ask DNS, so that all of its labels have to fit.
    pub(crate) fn alias(text: &str) -> Result<Self, NameError> {
        let name: Self = text.parse()?;
        let reason = "as an alias it needs labels of 1 to 63 characters, with `.` between them";
        let error = || NameError { text: text.to_owned(), reason };
        name.dns_name().is_some().then_some(name).ok_or_else(error)
    }

    /// The name in lower case, as DNS compares it; nothing if a label is too long for a question.
    pub(crate) fn dns_name(&self) -> Option<String> {
        let fits = |label: &str| (1..=DNS_LABEL_MAX).contains(&label.len());
        self.0.split('.').all(fits).then(|| self.0.to_ascii_lowercase())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let reason = if text.is_empty() {
            Some("it is empty")
        } else if text.len() > LEN_MAX {
            Some("it is longer than 128 characters")
        } else if !text.bytes().all(known) {
            Some("it may have letters, digits, `_`, `.` and `-` only")
        } else if !text.as_bytes()[0].is_ascii_alphanumeric() {
            Some("it must begin with a letter or a digit")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(NameError { text: text.to_owned(), reason }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}
