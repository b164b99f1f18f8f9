//! The body of every answer that is not 2xx.

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Kind of a failure; the HTTP status and the command's exit code follow from it.
    ErrorCode {
        /// The request is wrong: 400, exit code 2.
        InvalidArgument = "invalid-argument",
        /// No such port, network or entry: 404.
        NotFound = "not-found",
        /// The name, address or device is taken: 409.
        Conflict = "conflict",
        /// The caller lacks the permission: 403.
        PermissionDenied = "permission-denied",
        /// A limit of the switch is reached: 429.
        LimitReached = "limit-reached",
        /// The switch ends, or another change of the same thing runs: 503. The same request may succeed later.
        Unavailable = "unavailable",
        /// The daemon or the kernel failed: 500.
        Internal = "internal",
    }
}

impl ErrorCode {
    /// The HTTP status that carries this code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidArgument => 400,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::LimitReached => 429,
            Self::Unavailable => 503,
            Self::Internal | Self::Unknown => 500,
        }
    }
}

/// One error, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[error("{message}")]
pub struct ApiError {
    /// Kind of the failure.
    pub code: ErrorCode,
    /// The fault with the offending value; one line.
    pub message: String,
    /// The remedy; one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
