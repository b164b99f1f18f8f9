//! The fields of a JSON object, each read once; what is left over is unknown.
//!
//! Names are compared as Go's decoder does it, without regard to case: containerd writes `HostPort` in
//! `runtimeConfig`, where the conventions say `hostPort`.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{CniError, Code, Outcome};

/// Fields that are not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    /// The object's own name with a dot behind it; empty for the whole text.
    prefix: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which must be an object.
    pub(crate) fn new(name: &str, value: Value) -> Outcome<Self> {
        let prefix = if name.is_empty() { String::new() } else { format!("{name}.") };
        match value {
            Value::Object(map) => Ok(Self { prefix, map }),
            _ if name.is_empty() => {
                let fault = format!("the network configuration is {value}, not an object");
                Err(CniError::new(Code::Decoding, fault))
            }
            value => Err(CniError::invalid(name, format!("{value} is not an object"))),
        }
    }

    /// A field's whole name.
    pub(crate) fn name_of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads a field; `null` is absent.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Outcome<Option<T>> {
        let Some(value) = self.remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let shown = value.to_string();
        serde_json::from_value(value)
            .map(Some)
            .map_err(|error| CniError::invalid(&self.name_of(name), format!("{shown}: {error}")))
    }

    /// Whether a field is there, and null.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    /// Reads a field that must be there.
    pub(crate) fn need<T: DeserializeOwned>(&mut self, name: &str) -> Outcome<T> {
        let absent = || CniError::invalid(&self.name_of(name), "is absent");
        let absent = absent();
        self.take(name)?.ok_or(absent)
    }

    /// Reads an object.
    pub(crate) fn take_object(&mut self, name: &str) -> Outcome<Option<Self>> {
        let value: Option<Value> = self.take(name)?;
        value.map(|value| Self::new(&self.name_of(name), value)).transpose()
    }

    /// Reads a list of objects.
    pub(crate) fn take_list(&mut self, name: &str) -> Outcome<Option<Vec<Self>>> {
        let Some(values) = self.take::<Vec<Value>>(name)? else { return Ok(None) };
        let named = |index| format!("{}[{index}]", self.name_of(name));
        let objects = values.into_iter().enumerate();
        objects
            .map(|(index, value)| Self::new(&named(index), value))
            .collect::<Outcome<_>>()
            .map(Some)
    }

    fn remove(&mut self, name: &str) -> Option<Value> {
        if let Some(value) = self.map.remove(name) {
            return Some(value);
        }
        let written = self.map.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
        self.map.remove(&written)
    }

    /// Leaves fields out.
    pub(crate) fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.remove(name);
        }
    }

    /// Leaves fields out whose names begin so.
    pub(crate) fn skip_prefix(&mut self, prefix: &str) {
        self.map.retain(|name, _| !name.starts_with(prefix));
    }

    /// The fields that are left, with their names.
    pub(crate) fn rest(self) -> impl Iterator<Item = (String, Value)> {
        self.map.into_iter().map(move |(name, value)| (format!("{}{name}", self.prefix), value))
    }

    /// Refuses all that is left, with key and value.
    pub(crate) fn finish(self, remedy: &str) -> Outcome {
        let left: Vec<_> = self.rest().map(|(name, value)| format!("{name}: {value}")).collect();
        match &left[..] {
            [] => Ok(()),
            [one] => Err(unsupported(format!("unsupported field {one}"), remedy)),
            _ => Err(unsupported(format!("unsupported fields {}", left.join(", ")), remedy)),
        }
    }
}

fn unsupported(fault: String, remedy: &str) -> CniError {
    CniError::new(Code::UnsupportedField, fault).with_remedy(remedy)
}
