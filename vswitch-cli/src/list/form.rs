//! `-o`: the form of a list.

use std::str::FromStr;

use super::{Field, Row};
use crate::error::{Failure, Outcome};
use crate::similar;

/// The form of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// The default columns, for a terminal of 80.
    Narrow,
    /// All columns.
    Wide,
    /// Names, one a line.
    Name,
    /// JSON with stable keys.
    Json,
    /// The named columns.
    Columns(Vec<String>),
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("columns=")) {
            ("json", _) => Ok(Self::Json),
            ("name", _) => Ok(Self::Name),
            ("wide", _) => Ok(Self::Wide),
            (_, Some(columns)) if !columns.is_empty() => {
                Ok(Self::Columns(columns.split(',').map(str::to_owned).collect()))
            }
            _ => Err("forms are json, name, wide and columns=NAME,NAME".to_owned()),
        }
    }
}

impl Form {
    /// The columns of the table.
    pub(super) fn fields<T: Row>(&self) -> Outcome<Vec<&'static Field<T>>> {
        match self {
            Self::Narrow => Ok(T::FIELDS.iter().filter(|field| !field.is_wide()).collect()),
            Self::Wide => Ok(T::FIELDS.iter().collect()),
            Self::Name | Self::Json => Ok(Vec::new()),
            Self::Columns(names) => names.iter().map(|name| field(name)).collect(),
        }
    }
}

/// The column of that name, in any case.
pub(super) fn field<T: Row>(name: &str) -> Outcome<&'static Field<T>> {
    let word = name.trim().to_ascii_lowercase().replace(' ', "-");
    if let Some(field) = T::FIELDS.iter().find(|field| field.word() == word) {
        return Ok(field);
    }
    let words: Vec<String> = T::FIELDS.iter().map(Field::word).collect();
    let nearest = similar::nearest(&word, words.iter().map(String::as_str));
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}? columns are {}", words.join(", ")),
        None => format!("columns are {}", words.join(", ")),
    };
    Err(Failure::usage(format!("there is no column {name:?}")).with_hint(hint))
}
