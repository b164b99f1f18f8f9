//! Absolute paths.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::types::ValueError;

/// Longest path of a Unix socket: `sun_path` without the final zero.
const SOCKET_PATH_LEN_MAX: usize = 107;

/// An absolute path, which does not depend on the daemon's directory.
pub(super) fn absolute(text: &str, what: &'static str) -> Result<PathBuf, ValueError> {
    std::path::absolute(text).map_err(|error| ValueError::Path {
        path: text.into(),
        what,
        reason: error.to_string(),
    })
}

/// Path of the API socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPath(PathBuf);

impl SocketPath {
    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for SocketPath {
    fn default() -> Self {
        Self(vswitch_api::DEFAULT_SOCKET.into())
    }
}

impl FromStr for SocketPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = absolute(text, "socket")?;
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_LEN_MAX {
            let reason = format!("it has {length} bytes, and a socket's path at most 107");
            return Err(ValueError::Path { path, what: "socket", reason });
        }
        Ok(Self(path))
    }
}

/// Directory of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for StateDir {
    fn default() -> Self {
        Self(vswitch_api::DEFAULT_STATE_DIR.into())
    }
}

impl FromStr for StateDir {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Ok(Self(absolute(text, "state directory")?))
    }
}
