//! Names of attachments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Longest name (RFC 1035 section 2.3.4).
const LEN_MAX: usize = 63;

/// The name of an attachment: a DNS label (RFC 1123 section 2.1), in lower case, since DNS does not
/// tell the cases apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be a name: {reason}")]
pub struct NameError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
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
        let name = text.to_ascii_lowercase();
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let reason = if name.is_empty() {
            Some("it is empty")
        } else if name.len() > LEN_MAX {
            Some("it is longer than 63 characters")
        } else if !name.bytes().all(known) {
            Some("it may have letters, digits and hyphens only")
        } else if name.starts_with('-') || name.ends_with('-') {
            Some("it begins or ends with a hyphen")
        } else {
            None
        };
        match reason {
            Some(reason) => Err(NameError { text: text.to_owned(), reason }),
            None => Ok(Self(name)),
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
