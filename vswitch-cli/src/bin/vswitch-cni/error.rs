//! Errors, with the codes of the CNI specification.

use serde_json::{Value, json};
use vswitch_api::error::{ApiError, ErrorCode};
use vswitch_client::ClientError;

/// The code of an error. 1 to 99 are the specification's, 100 and above ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The version of the specification is not supported.
    IncompatibleVersion,
    /// A field of the configuration is unknown.
    UnsupportedField,
    /// The container is gone.
    UnknownContainer,
    /// An environment variable is absent or wrong.
    InvalidEnvironment,
    /// The standard input cannot be read.
    Io,
    /// The standard input is no JSON.
    Decoding,
    /// A field of the configuration has a wrong value.
    InvalidConfig,
    /// The same request may succeed later.
    TryAgainLater,
    /// STATUS: ADD would fail.
    NotAvailable,
    /// STATUS: ADD would fail, and attached containers reach nobody.
    LimitedConnectivity,
    /// The switch refused the request.
    Refused,
    /// CHECK: the container's network is not as ADD left it.
    Changed,
    /// An error of the delegated IPAM plugin, with its own code.
    Delegate(u64),
}

impl Code {
    /// The number.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::UnknownContainer => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decoding => 6,
            Self::InvalidConfig => 7,
            Self::TryAgainLater => 11,
            Self::NotAvailable => 50,
            Self::LimitedConnectivity => 51,
            Self::Refused => 100,
            Self::Changed => 101,
            Self::Delegate(code) => code,
        }
    }
}

/// An error for the runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CniError {
    /// The kind.
    pub(crate) code: Code,
    /// The fault, with the value; one line.
    pub(crate) message: String,
    /// The remedy; one line.
    pub(crate) remedy: Option<String>,
}

/// The result of an operation.
pub(crate) type Outcome<T = ()> = Result<T, CniError>;

impl CniError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: None }
    }

    /// A wrong value of a field.
    pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidConfig, format!("{field}: {problem}"))
    }

    /// The same error with a remedy.
    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The JSON for the standard output.
    pub(crate) fn json(&self, version: &str) -> Value {
        let (code, message) = (self.code.number(), &self.message);
        match &self.remedy {
            None => json!({ "cniVersion": version, "code": code, "msg": message }),
            Some(remedy) => {
                json!({ "cniVersion": version, "code": code, "msg": message, "details": remedy })
            }
        }
    }

    /// The error of a request to the switch.
    pub(crate) fn of_client(error: &ClientError) -> Self {
        let (code, message) = match error {
            ClientError::NoDaemon(socket) => {
                let socket = socket.display();
                let error = Self::new(
                    Code::TryAgainLater,
                    format!("the switch is not running: nobody answers at {socket}"),
                );
                return error.with_remedy("start it: vswitch up --bridge br0 --detach");
            }
            ClientError::Connect { .. }
            | ClientError::Timeout { .. }
            | ClientError::Protocol { .. } => (Code::TryAgainLater, error.to_string()),
            ClientError::Api(error) => (code_of(error.code), error.message.clone()),
            _ => (Code::Refused, error.to_string()),
        };
        let told = Self::new(code, message);
        match error.hint() {
            Some(hint) => told.with_remedy(hint),
            None => told,
        }
    }
}

/// The code for an answer of the switch.
const fn code_of(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArgument | ErrorCode::NotFound => Code::InvalidConfig,
        ErrorCode::Unavailable => Code::TryAgainLater,
        _ => Code::Refused,
    }
}

impl From<ClientError> for CniError {
    fn from(error: ClientError) -> Self {
        Self::of_client(&error)
    }
}

/// Whether the switch does not know what a request names.
pub(crate) fn is_not_found(error: &ClientError) -> bool {
    is_api(error, ErrorCode::NotFound)
}

/// Whether a name, address, port or device is taken.
pub(crate) fn is_conflict(error: &ClientError) -> bool {
    is_api(error, ErrorCode::Conflict)
}

/// Whether the switch may have done what a request asked for, or still do it.
pub(crate) const fn is_uncertain(error: &ClientError) -> bool {
    matches!(error, ClientError::Timeout { .. } | ClientError::Protocol { .. })
}

fn is_api(error: &ClientError, code: ErrorCode) -> bool {
    matches!(error, ClientError::Api(ApiError { code: it, .. }) if *it == code)
}
