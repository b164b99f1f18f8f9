//! The TOML file: one table with the keys of [`Settings`].

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::{Table, Value};

use super::Settings;

/// All keys, for the error about an unknown one.
const KEYS: [&str; 17] = [
    "bridge",
    "subnet",
    "subnet6",
    "workers",
    "cpus",
    "scheduling",
    "idle",
    "backend",
    "mtu",
    "socket",
    "state_dir",
    "ageing_s",
    "fdb_entries_max",
    "uplink",
    "snat_ports",
    "multicast",
    "metrics",
];

/// An error of a configuration file.
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
        let entry = Entry { path, key, value };
        match key.as_str() {
            "bridge" => settings.bridge = Some(entry.text()?),
            "subnet" => settings.subnet = Some(entry.text()?),
            "subnet6" => settings.subnet6 = Some(entry.text()?),
            "workers" => settings.workers = Some(entry.number()?),
            "cpus" => settings.cpus = Some(entry.text()?),
            "scheduling" => settings.scheduling = Some(entry.text()?),
            "idle" => settings.idle = Some(entry.text()?),
            "backend" => settings.backend = Some(entry.text()?),
            "mtu" => settings.mtu = Some(entry.number()?),
            "socket" => settings.socket = Some(entry.text()?),
            "state_dir" => settings.state_dir = Some(entry.text()?),
            "ageing_s" => settings.ageing = Some(entry.number()?),
            "fdb_entries_max" => settings.fdb_entries_max = Some(entry.number()?),
            "uplink" => settings.uplink = Some(entry.text()?),
            "snat_ports" => settings.snat_ports = Some(entry.text()?),
            "multicast" => settings.multicast = Some(entry.text()?),
            "metrics" => settings.metrics = Some(entry.text()?),
            _ => {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), key: key.clone() });
            }
        }
    }
    Ok(settings)
}

/// One `key = value` of a file.
#[derive(Clone, Copy)]
struct Entry<'a> {
    path: &'a Path,
    key: &'a str,
    value: &'a Value,
}

impl Entry<'_> {
    fn text<T: FromStr<Err: Display>>(self) -> Result<T, ConfigError> {
        match self.value {
            Value::String(text) => self.parse(text),
            other => Err(self.refuse(format!("{other} is not a string; write it in quotes"))),
        }
    }

    fn number<T: FromStr<Err: Display>>(self) -> Result<T, ConfigError> {
        match self.value {
            Value::Integer(number) => self.parse(&number.to_string()),
            other => Err(self.refuse(format!("{other} is not a whole number"))),
        }
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
