//! The network configuration on the standard input.
//!
//! [`Config`] has what every operation needs, and reads the rest leniently: a file that became wrong after ADD
//! must not keep DEL from its work. [`Settings`] are for ADD and STATUS, and refuse what they do not know.

mod dns;
mod fields;
mod runtime;
mod settings;

use std::path::PathBuf;

use serde_json::Value;

use crate::environment::fault_of_id;
use crate::error::{CniError, Code, Outcome};
use crate::version::Version;
pub(crate) use dns::Dns;
use fields::Fields;
pub(crate) use runtime::Runtime;
pub(crate) use settings::Settings;

/// Keys of GC's list: the specification's, and the one of its examples; libcni sends both.
const VALID_ATTACHMENTS: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];

/// A configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) version: Version,
    /// Name of the network, as the runtime knows it.
    pub(crate) name: String,
    /// The daemon's socket, where it is not the usual one.
    pub(crate) socket: Option<PathBuf>,
    /// The IPAM plugin that addresses come from; the switch, if absent.
    pub(crate) ipam: Option<String>,
    /// The result of the plugin before, or of ADD.
    pub(crate) previous: Option<Value>,
    /// Attachments that GC keeps: container id and interface.
    pub(crate) valid_attachments: Option<Vec<(String, String)>>,
    /// The text, for the IPAM plugin.
    pub(crate) text: String,
    rest: Fields,
}

/// `cniVersion` of a text, if it has one.
pub(crate) fn version_of(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.get("cniVersion")?.as_str().map(str::to_owned)
}

impl Config {
    /// Reads a configuration.
    pub(crate) fn parse(text: String) -> Outcome<Self> {
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            CniError::new(Code::Decoding, format!("the network configuration is no JSON: {error}"))
        })?;
        let mut fields = Fields::new("", value)?;
        let version = Version::parse(fields.take::<String>("cniVersion")?.as_deref())?;
        let name: String = fields.take("name")?.unwrap_or_default();
        if let Some(fault) = fault_of_id(&name) {
            return Err(CniError::new(Code::InvalidConfig, format!("name {fault}")));
        }
        let socket = fields.take("socket")?;
        let ipam = ipam(&mut fields)?;
        let mut valid_attachments = None;
        for key in VALID_ATTACHMENTS {
            // An empty list of Go is null.
            let list =
                if fields.is_null(key) { Some(Vec::new()) } else { fields.take_list(key)? };
            if let (None, Some(list)) = (&valid_attachments, list) {
                let valid = list.into_iter().map(valid_attachment);
                valid_attachments = Some(valid.collect::<Outcome<_>>()?);
            }
        }
        let previous = fields.take("prevResult")?;
        Ok(Self { version, name, socket, ipam, previous, valid_attachments, text, rest: fields })
    }

    /// The other fields.
    pub(crate) fn settings(&self) -> Outcome<Settings> {
        Settings::read(self.rest.clone(), &self.name, self.ipam.is_some())
    }
}

/// The name of the IPAM plugin, whose other fields are its own. `ipam` is absent or empty for the switch's.
fn ipam(fields: &mut Fields) -> Outcome<Option<String>> {
    let Some(mut ipam) = fields.take_object("ipam")? else { return Ok(None) };
    let Some(plugin) = ipam.take::<String>("type")?.filter(|plugin| !plugin.is_empty()) else {
        let remedy =
            "name the IPAM plugin in ipam.type, or leave ipam out: then the switch gives addresses";
        return ipam.finish(remedy).map(|()| None);
    };
    if plugin.contains('/') {
        return Err(CniError::invalid("ipam.type", format!("{plugin:?} is no name of a plugin")));
    }
    Ok(Some(plugin))
}

fn valid_attachment(mut fields: Fields) -> Outcome<(String, String)> {
    let id = fields.need("containerID")?;
    Ok((id, fields.need("ifname")?))
}

#[cfg(test)]
mod tests;
