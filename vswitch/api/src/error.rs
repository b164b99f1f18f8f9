//! The body of every answer that is not 2xx.

use serde::{Deserialize, Serialize};

/// What kind of failure it was; the HTTP status and the command's exit code follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request itself is wrong: 400, exit code 2.
    InvalidArgument,
    /// No such port, network or entry: 404.
    NotFound,
    /// The name, address or device is taken: 409.
    Conflict,
    /// The caller may not do that: 403.
    PermissionDenied,
    /// A limit of the switch is reached: 429.
    LimitReached,
    /// The daemon or the kernel failed: 500.
    Internal,
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
            Self::Internal => 500,
        }
    }
}

/// One error, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// What was wrong, with the offending value; one line.
    pub message: String,
    /// What to do about it; one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same error with the way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
