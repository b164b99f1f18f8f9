//! Errors of control, as `docker` prints them.

use crate::control::ControlError;
use crate::server::api_error;

/// An error as one line, with its way out.
pub(super) fn line(error: ControlError) -> String {
    let error = api_error(&error);
    match error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message,
    }
}
