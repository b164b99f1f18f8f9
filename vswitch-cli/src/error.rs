//! Failures of commands: message, hint, exit code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | usage: clap's errors, and what the daemon calls an invalid argument |

use std::io;

use vswitch_api::error::{ApiError, ErrorCode};

/// The exit code for "failed".
pub(crate) const EXIT_FAILED: u8 = 1;

/// The exit code for "usage".
pub(crate) const EXIT_USAGE: u8 = 2;

/// The remedy of a user without permission.
const SUDO: &str = "run the command as root, for example with `sudo`";

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// A failure with a message.
    #[error("{message}")]
    Told {
        /// The exit code.
        exit: u8,
        /// The fault, with the value.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
    /// The reader of our output closed it (`vswitch ls | head -1`), which is no failure.
    #[error("the reader of the output is gone")]
    BrokenPipe,
}

/// The result of a command.
pub(crate) type Outcome<T = std::process::ExitCode> = Result<T, Failure>;

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Told { exit: EXIT_FAILED, message: message.into(), hint: None }
    }

    /// A wrong combination of arguments: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Told { exit: EXIT_USAGE, message: message.into(), hint: None }
    }

    /// The same failure with a hint.
    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Told { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// The same failure, with the advice to become root where that may help.
    pub(crate) fn advised(&self, is_root: bool) -> Self {
        match self {
            Self::Told { exit, message, hint } if !is_root && lacks_permission(message) => {
                let hint = match hint {
                    Some(hint) if hint.contains("sudo") => hint.clone(),
                    Some(hint) => format!("{hint}; {SUDO}"),
                    None => SUDO.to_owned(),
                };
                Self::Told { exit: *exit, message: message.clone(), hint: Some(hint) }
            }
            other => other.clone(),
        }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Told { exit, .. } => *exit,
            Self::BrokenPipe => 0,
        }
    }

    /// Text for stderr, for the user of this process.
    pub(crate) fn told(&self) -> Option<String> {
        self.advised(rustix::process::geteuid().is_root()).report()
    }

    /// Text for stderr: one line, and one for the hint.
    pub(crate) fn report(&self) -> Option<String> {
        match self {
            Self::BrokenPipe => None,
            Self::Told { message, hint: None, .. } => Some(format!("error: {}\n", line(message))),
            Self::Told { message, hint: Some(hint), .. } => {
                Some(format!("error: {}\n  hint: {}\n", line(message), line(hint)))
            }
        }
    }
}

/// Whether the message is of the kernel, or of the daemon, that refuses a user.
fn lacks_permission(message: &str) -> bool {
    let message = message.to_lowercase();
    let words =
        ["permission denied", "not permitted", "you may not", "run as root", "is missing: run"];
    words.iter().any(|words| message.contains(words))
}

/// Joins the lines of a text.
fn line(text: &str) -> String {
    text.lines().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match error.code {
            ErrorCode::InvalidArgument => EXIT_USAGE,
            _ => EXIT_FAILED,
        };
        Self::Told { exit, message: error.message, hint: error.hint }
    }
}

/// Only the output is written with `?`; any other I/O error says what it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::new(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_error_code() {
        let exit = |code| Failure::from(ApiError::new(code, "x")).exit();
        assert_eq!(exit(ErrorCode::InvalidArgument), 2);
        for code in [
            ErrorCode::NotFound,
            ErrorCode::Conflict,
            ErrorCode::PermissionDenied,
            ErrorCode::LimitReached,
            ErrorCode::Internal,
        ] {
            assert_eq!(exit(code), 1, "{code:?}");
        }
        assert_eq!(Failure::usage("x").exit(), 2);
        assert_eq!(Failure::new("x").exit(), 1);
    }

    #[test]
    fn a_report_is_one_line_and_a_hint() {
        let failure = Failure::new("no port `a`");
        assert_eq!(failure.report().unwrap(), "error: no port `a`\n");
        let failure = Failure::new("first\n  second\n").with_hint("do\nthis");
        assert_eq!(failure.report().unwrap(), "error: first, second\n  hint: do, this\n");
    }

    #[test]
    fn only_root_gets_no_advice_to_become_root() {
        let denied = Failure::new("cannot open /dev/net/tun: Permission denied (os error 13)");
        assert_eq!(denied.advised(true), denied);
        let report = denied.advised(false).report().unwrap();
        assert!(report.ends_with("  hint: run the command as root, for example with `sudo`\n"));
        let report = denied.with_hint("see `vswitch doctor`").advised(false).report().unwrap();
        assert!(report.contains("hint: see `vswitch doctor`; run the command as root"), "{report}");
        let other = Failure::new("there is no attachment named web");
        assert_eq!(other.advised(false), other);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit(), failure.report()), (0, None));
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit(), 1);
    }
}
