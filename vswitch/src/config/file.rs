//! The TOML file: one table with the keys of [`Settings`].

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::{Table, Value};

use super::{KEYS, Settings};

/// An error of a configuration file, or of the configuration as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// The key is unknown.
    #[error("{}: unknown key {key:?}; the keys are {}", path.display(), KEYS.join(", "))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The value is refused.
    #[error("{}: {key}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The value and the reason.
        reason: String,
    },
    /// Other nodes could not send to this one.
    #[error(
        "the registry {0} needs the address of this host that other nodes send to: add --underlay ADDR, or the key \
         `underlay` to the configuration file"
    )]
    RegistryAlone(String),
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Parses the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().lines().collect::<Vec<_>>().join(" "),
    })?;
    let mut settings = Settings::default();
    for (key, value) in &table {
        settings.set(Entry { path, key, value })?;
    }
    Ok(settings)
}

/// One `key = value` of a file.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    path: &'a Path,
    pub(super) key: &'a str,
    value: &'a Value,
}

impl Entry<'_> {
    pub(super) fn text<T: FromStr<Err: Display>>(self) -> Result<T, ConfigError> {
        match self.value {
            Value::String(text) => self.parse(text),
            other => Err(self.refuse(format!("{other} is not a string; write it in quotes"))),
        }
    }

    pub(super) fn number<T: FromStr<Err: Display>>(self) -> Result<T, ConfigError> {
        match self.value {
            Value::Integer(number) => self.parse(&number.to_string()),
            other => Err(self.refuse(format!("{other} is not a whole number"))),
        }
    }

    pub(super) fn flag(self) -> Result<bool, ConfigError> {
        match self.value {
            Value::Boolean(flag) => Ok(*flag),
            other => Err(self.refuse(format!("{other} is neither true nor false"))),
        }
    }

    pub(super) fn unknown(self) -> ConfigError {
        ConfigError::UnknownKey { path: self.path.to_owned(), key: self.key.to_owned() }
    }

    fn parse<T: FromStr<Err: Display>>(self, text: &str) -> Result<T, ConfigError> {
        text.parse().map_err(|error: T::Err| self.refuse(error.to_string()))
    }

    fn refuse(self, reason: String) -> ConfigError {
        ConfigError::Value { path: self.path.to_owned(), key: self.key.to_owned(), reason }
    }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
