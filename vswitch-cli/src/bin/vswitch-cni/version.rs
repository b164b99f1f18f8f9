//! Versions of the CNI specification.

use serde_json::{Value, json};

use crate::error::{CniError, Code, Outcome};

/// A version of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_3_0,
    V0_3_1,
    /// CHECK.
    V0_4_0,
    /// Addresses of a result have no `version`.
    V1_0_0,
    /// STATUS and GC; interfaces have an MTU.
    V1_1_0,
}

/// All versions, the newest last.
const ALL: [(Version, &str); 5] = [
    (Version::V0_3_0, "0.3.0"),
    (Version::V0_3_1, "0.3.1"),
    (Version::V0_4_0, "0.4.0"),
    (Version::V1_0_0, "1.0.0"),
    (Version::V1_1_0, "1.1.0"),
];

/// The version of errors that concern no configuration.
pub(crate) const NEWEST: &str = "1.1.0";

impl Version {
    /// The text.
    pub(crate) fn name(self) -> &'static str {
        ALL.iter().find(|(version, _)| *version == self).map_or(NEWEST, |(_, name)| name)
    }

    /// Reads `cniVersion`. An absent one stands for 0.1.0, as in the specification.
    pub(crate) fn parse(text: Option<&str>) -> Outcome<Self> {
        let found = ALL.iter().find(|(_, name)| Some(*name) == text);
        found.map(|(version, _)| *version).ok_or_else(|| {
            let fault = match text {
                Some(text) => format!("cniVersion {text:?} is not supported"),
                None => "cniVersion is absent, which means 0.1.0, and that is not supported".into(),
            };
            let names: Vec<_> = ALL.iter().map(|(_, name)| *name).collect();
            CniError::new(Code::IncompatibleVersion, fault)
                .with_remedy(format!("write one of {}", names.join(", ")))
        })
    }

    /// Refuses an operation that the specification has only since `since`.
    pub(crate) fn needs(self, since: Self, operation: &str) -> Outcome {
        if self >= since {
            return Ok(());
        }
        let (own, since) = (self.name(), since.name());
        let fault = format!("cniVersion {own} has no {operation}");
        Err(CniError::new(Code::IncompatibleVersion, fault)
            .with_remedy(format!("write cniVersion {since} for it")))
    }
}

/// The answer to VERSION, in the version that was asked.
pub(crate) fn answer(asked: Option<&str>) -> Value {
    let names: Vec<_> = ALL.iter().map(|(_, name)| *name).collect();
    json!({ "cniVersion": asked.unwrap_or(NEWEST), "supportedVersions": names })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_a_name() {
        for (version, name) in ALL {
            assert_eq!(version.name(), name);
            assert_eq!(Version::parse(Some(name)), Ok(version));
        }
        assert_eq!(answer(None)["cniVersion"], NEWEST);
        assert_eq!(answer(Some("0.4.0"))["cniVersion"], "0.4.0");
    }

    #[test]
    fn others_are_refused_with_what_would_do() {
        for text in [None, Some("0.2.0"), Some("2.0.0"), Some("1.0")] {
            let error = Version::parse(text).unwrap_err();
            assert_eq!(error.code.number(), 1);
            assert!(error.message.contains(text.unwrap_or("absent")), "{error}");
            assert!(error.remedy.unwrap().contains("0.4.0, 1.0.0, 1.1.0"));
        }
        let error = Version::V0_3_1.needs(Version::V0_4_0, "CHECK").unwrap_err();
        assert_eq!(error.message, "cniVersion 0.3.1 has no CHECK");
        assert_eq!(Version::V1_0_0.needs(Version::V0_4_0, "CHECK"), Ok(()));
    }
}
