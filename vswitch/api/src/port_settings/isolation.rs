//! Port isolation within a network and VLAN.
//!
//! Two ports reach each other if neither is isolated, or if one is promiscuous. The host's port, which is
//! the gateway, is promiscuous.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that is no kind of isolation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of `none`, `isolated` and `promiscuous`")]
pub struct IsolationError(String);

/// Port isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Reaches all ports that are not isolated.
    #[default]
    None,
    /// Reaches the gateway and promiscuous ports only.
    Isolated,
    /// Reaches all ports, isolated ones too.
    Promiscuous,
}

impl Isolation {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Isolated => "isolated",
            Self::Promiscuous => "promiscuous",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isolation {
    type Err = IsolationError;

    fn from_str(text: &str) -> Result<Self, IsolationError> {
        let all = [Self::None, Self::Isolated, Self::Promiscuous];
        let found = all.into_iter().find(|isolation| isolation.name() == text);
        found.ok_or_else(|| IsolationError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_are_the_same_word() {
        for text in ["none", "isolated", "promiscuous"] {
            let isolation: Isolation = text.parse().unwrap();
            assert_eq!(isolation.to_string(), text);
            assert_eq!(serde_json::to_value(isolation).unwrap(), text);
        }
        assert!("on".parse::<Isolation>().unwrap_err().to_string().contains("\"on\""));
    }
}
