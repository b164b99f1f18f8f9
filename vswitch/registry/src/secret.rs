//! Passwords and tokens, which no log shows.

use std::fmt;
use std::path::Path;

use crate::RegistryError;
use crate::file_text::read;
use crate::limits::SECRET_BYTES_MAX;

/// A password or token; its `Debug` shows stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The first line of a file.
    pub(crate) fn read(path: &Path) -> Result<Self, RegistryError> {
        let text = read(path, SECRET_BYTES_MAX)?;
        let line = text.lines().next().unwrap_or_default().trim();
        if line.is_empty() {
            let problem = "its first line is empty".to_owned();
            return Err(RegistryError::File { path: path.to_owned(), problem });
        }
        Ok(Self::new(line))
    }

    /// The text itself, for the wire only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
