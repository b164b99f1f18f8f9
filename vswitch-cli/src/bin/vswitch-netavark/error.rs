//! Failures, each one line for the user of podman.

use vswitch_client::ClientError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PluginError {
    /// Not a command of the protocol.
    #[error("{0}; netavark runs this plugin: create, setup NETNS, teardown NETNS or info")]
    Usage(String),
    /// Standard input fails.
    #[error("cannot read {0} from standard input: {1}")]
    Read(&'static str, #[source] std::io::Error),
    /// The input has another form.
    #[error("the input is not {0}: {1}")]
    Json(&'static str, #[source] serde_json::Error),
    /// The network or the container asks for what the switch has not.
    #[error("{0}")]
    Refused(String),
    /// The switch does not answer, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl PluginError {
    /// The error with its remedy.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Client(error) => match error.hint() {
                Some(hint) => format!("{error}; {hint}"),
                None => error.to_string(),
            },
            _ => self.to_string(),
        }
    }
}
