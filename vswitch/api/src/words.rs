//! Macros for types that are one word or text in JSON, on the command line and in tables.

/// Makes an enumeration with its words. A word of a newer daemon is read as `Unknown`, so that an older
/// client keeps working.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
            /// A word that this version does not know; the daemon never sends it.
            #[serde(other, rename = "unknown")]
            #[cfg_attr(test, schemars(skip))]
            Unknown,
        }

        impl $name {
            /// All words.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Unknown => "unknown",
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    _ => Self::Unknown,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

/// JSON strings for a type that is written by `Display` and read by `FromStr`.
macro_rules! text_in_json {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use {text_in_json, words};

#[cfg(test)]
mod tests {
    use crate::port::PortState;

    #[test]
    fn a_word_is_the_same_everywhere_and_a_new_one_is_unknown() {
        for word in PortState::WORDS {
            let state = PortState::from(*word);
            assert_ne!(state, PortState::Unknown);
            assert_eq!(serde_json::to_value(state).unwrap(), *word);
            assert_eq!(serde_json::from_value::<PortState>((*word).into()).unwrap(), state);
            assert_eq!(state.to_string(), *word);
        }
        let new: PortState = serde_json::from_value("quarantined".into()).unwrap();
        assert_eq!((new, PortState::from("quarantined")), (PortState::Unknown, PortState::Unknown));
    }
}
