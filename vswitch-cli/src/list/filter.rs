//! `--filter KEY=VALUE`: values of one key are alternatives, different keys must all match, as in Docker.

use std::str::FromStr;

use crate::error::{Failure, Outcome};
use crate::similar;

/// A key of `--filter`, and whether a row has such a value.
pub(crate) type FilterKey<T> = (&'static str, fn(&T, &str) -> bool);

/// A filter as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    key: String,
    value: String,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                Ok(Self { key: key.to_ascii_lowercase(), value: value.to_owned() })
            }
            _ => Err("not a filter, such as name=web".to_owned()),
        }
    }
}

/// The filters of one request.
#[derive(Debug)]
pub(crate) struct Filters<T: 'static>(Vec<(&'static FilterKey<T>, Vec<String>)>);

impl<T: 'static> Filters<T> {
    pub(crate) fn new(filters: Vec<Filter>, known: &'static [FilterKey<T>]) -> Outcome<Self> {
        let mut found: Vec<(&FilterKey<T>, Vec<String>)> = Vec::new();
        for Filter { key, value } in filters {
            let Some(wanted) = known.iter().find(|(name, _)| *name == key) else {
                return Err(unknown(&key, known.iter().map(|(name, _)| *name)));
            };
            match found.iter_mut().find(|(one, _)| one.0 == wanted.0) {
                Some((_, values)) => values.push(value),
                None => found.push((wanted, vec![value])),
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn match_all(&self, row: &T) -> bool {
        self.0.iter().all(|((_, is_match), values)| values.iter().any(|it| is_match(row, it)))
    }
}

fn unknown(key: &str, known: impl Iterator<Item = &'static str> + Clone) -> Failure {
    let nearest = similar::nearest(key, known.clone());
    let known = known.collect::<Vec<_>>().join(", ");
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}? keys are {known}"),
        None => format!("keys are {known}"),
    };
    Failure::usage(format!("--filter knows no {key} here")).with_hint(hint)
}

/// Whether a name has this part, in any case.
pub(crate) fn contains(name: &str, part: &str) -> bool {
    name.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}
