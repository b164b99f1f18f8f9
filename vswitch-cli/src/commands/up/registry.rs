//! The option `--registry`.

use std::convert::Infallible;
use std::str::FromStr;

use vswitch::config::{RegistryUrl, UrlError};

use crate::error::{Failure, Outcome};

/// A URL, or why it is none. clap takes both, since its own errors repeat the text, and with it a password.
#[derive(Debug, Clone)]
pub(super) struct RegistryArg(Result<RegistryUrl, UrlError>);

impl RegistryArg {
    /// The URL, or an error of usage.
    pub(super) fn url(self) -> Outcome<RegistryUrl> {
        self.0.map_err(|error| Failure::usage(error.to_string()))
    }
}

impl FromStr for RegistryArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}
