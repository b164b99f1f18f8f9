//! The document on disk: the desired state as JSON.
//!
//! A new version is written beside the old one, synced, and renamed over it, so that a crash leaves one of
//! the two. A start that takes over less than the document has keeps a copy of it first.

mod backup;
mod lock;
mod lost;
mod overlay;
mod rendered;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use vswitch_api::address::Family;
use vswitch_api::port::{Configure, NetnsRef};
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use vswitch_api::publish::Publication;
use wire::MacAddr;

use super::name::Name;
use super::runtime_state::RuntimeState;
use super::text;
use crate::config::{Subnet4, Subnet6};
use crate::host::netns::NetnsId;
use crate::regular_file;
use lock::lock;
pub(crate) use lost::lost;
pub(crate) use overlay::{OverlayRecord, RegisteredRecord};
use rendered::Rendered;

#[cfg(test)]
mod tests;

/// Version of the document. A daemon refuses all others.
pub(crate) const VERSION: u32 = 1;

const DOCUMENT: &str = "state.json";
const DOCUMENT_NEW: &str = "state.json.new";

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or the directory cannot be used.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// Its object.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another daemon uses the directory.
    #[error("the state directory {} is in use by another daemon (process {owner})", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other's process id.
        owner: String,
    },
    /// The document is damaged.
    #[error("{} is damaged, at line {line}: {message}; move it away to start afresh", path.display())]
    Corrupt {
        /// The document.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// Another version of this program wrote the document.
    #[error(
        "{} has version {found}, and this program knows version {VERSION} only; use the program that \
         wrote it, or move it away to start afresh",
        path.display()
    )]
    Version {
        /// The document.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// The state that survives a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) version: u32,
    pub(crate) networks: Vec<NetworkRecord>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) statics: Vec<StaticRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pools: Vec<PoolRecord>,
}

impl Document {
    /// Devices of the host ports.
    pub(crate) fn devices(&self) -> impl Iterator<Item = String> {
        self.networks.iter().filter_map(NetworkRecord::device)
    }

    /// Forgets networks that are not there, so that later ones of their names get no rights from them.
    pub(crate) fn forget_unknown_sources(&mut self) {
        let known: BTreeSet<_> = self.networks.iter().map(|network| network.name.clone()).collect();
        for options in self.networks.iter_mut().filter_map(|network| network.options.as_mut()) {
            options.reachable_from.retain(|name| {
                let is_known = known.contains(name);
                if !is_known {
                    tracing::warn!(name, "reachable from a network that is not there: forgotten");
                }
                is_known
            });
        }
    }

    /// Renames the first network, since the configuration may rename its bridge.
    pub(crate) fn rename_first_network(&mut self, name: &str) {
        let Some(first) = self.networks.first_mut() else { return };
        let former = std::mem::replace(&mut first.name, name.to_owned());
        let attached = self.attachments.iter_mut().map(|attachment| &mut attachment.network);
        let statics = self.statics.iter_mut().map(|entry| &mut entry.network);
        let options = self.networks.iter_mut().filter_map(|network| network.options.as_mut());
        let sources = options.flat_map(|options| &mut options.reachable_from);
        for network in attached.chain(statics).chain(sources).filter(|network| **network == former)
        {
            name.clone_into(network);
        }
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkRecord {
    pub(crate) name: String,
    /// Device of its host port; absent: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(crate) has_host_port: bool,
    #[serde(with = "text")]
    pub(crate) subnet: Subnet4,
    #[serde(with = "text")]
    pub(crate) subnet6: Subnet6,
    /// Gateways; absent: the first addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway6: Option<Ipv6Addr>,
    /// Addresses for endpoints that ask for none; absent: the whole subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<Ipv4Net>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) range6: Option<Ipv6Net>,
    /// Settings of a further network; those of the first one are in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<NetworkOptions>,
    /// The part of an overlay network that spans nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) overlay: Option<OverlayRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "SettingsChange::is_empty")]
    pub(crate) port_settings: SettingsChange,
    #[serde(with = "text")]
    pub(crate) gateway_mac: MacAddr,
    pub(crate) next_ipv4: Ipv4Addr,
    pub(crate) next_ipv6: Ipv6Addr,
    /// Reserved addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reserved: Vec<IpAddr>,
    /// Whether it serves DHCP, and sends router advertisements.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dhcp: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ra: bool,
    /// Settings of the host port.
    #[serde(
        alias = "host_policy",
        default = "PortSettings::of_host",
        skip_serializing_if = "PortSettings::is_of_host"
    )]
    pub(crate) host_settings: PortSettings,
}

impl NetworkRecord {
    /// Device of its host port.
    pub(crate) fn device(&self) -> Option<String> {
        self.has_host_port.then(|| self.device.clone().unwrap_or_else(|| self.name.clone()))
    }
}

/// Settings of a further network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkOptions {
    pub(crate) mtu: u32,
    pub(crate) internal: bool,
    pub(crate) isolated_ports: bool,
    /// Whether TCP connections are cut through, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cut_through: Option<bool>,
    /// Networks that may open connections to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reachable_from: Vec<String>,
}

fn yes() -> bool {
    true
}

fn is_yes(it: &bool) -> bool {
    *it
}

/// An address pool of an IPAM client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolRecord {
    pub(crate) subnet: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<IpNet>,
    /// The network that has its subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// The cursor of its search, so that quarantine survives a restart.
    pub(crate) next: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<IpAddr>,
    /// Addresses that the client has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) taken: Vec<IpAddr>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachment {
    pub(crate) name: Name,
    pub(crate) network: String,
    pub(crate) ifname: String,
    #[serde(with = "text")]
    pub(crate) mac: MacAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Addresses beside the two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) further_addresses: Vec<IpAddr>,
    /// Absent where a runtime has not moved the interface in yet, and while its container does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) netns: Option<NetnsRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<ContainerRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<RuntimeState>,
    #[serde(alias = "policy", default, skip_serializing_if = "PortSettings::is_default")]
    pub(crate) settings: PortSettings,
    /// Publications with the picked host ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) publish: Vec<Publication>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<Name>,
    #[serde(default, skip_serializing_if = "Configure::is_static")]
    pub(crate) configure: Configure,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) gw_priority: i32,
}

impl Attachment {
    /// The only family that it has addresses of.
    pub(crate) fn family(&self) -> Option<Family> {
        match (self.ipv4, self.ipv6) {
            (Some(_), None) => Some(Family::Ipv4),
            (None, Some(_)) => Some(Family::Ipv6),
            _ => None,
        }
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// The container of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainerRecord {
    /// Socket of its engine.
    pub(crate) engine: PathBuf,
    /// The whole id.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The file that the switch writes its name servers to; absent where others name them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resolv_conf: Option<ResolvConfRecord>,
}

/// A file of name servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolvConfRecord {
    pub(crate) path: PathBuf,
    /// The text before the attach, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) former: Option<String>,
    /// The user who runs the engine that has named the path.
    pub(crate) engine_uid: u32,
}

/// The namespace of an attachment, with its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetnsRecord {
    /// Its name in the attach request.
    pub(crate) reference: NetnsRef,
    /// A path to it at that time.
    pub(crate) path: PathBuf,
    pub(crate) id: NetnsId,
    pub(crate) cookie: Option<u64>,
    pub(crate) boot_id: String,
}

/// A static entry of the forwarding database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticRecord {
    pub(crate) network: String,
    #[serde(with = "text")]
    pub(crate) mac: MacAddr,
    pub(crate) vlan: u16,
    /// Name of the attachment; none for the host port.
    pub(crate) port: Option<Name>,
}

/// The state directory, locked.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// The open directory, for fsync after a rename.
    handle: File,
    /// The bytes of the document that was loaded, for a copy.
    loaded: OnceLock<Vec<u8>>,
    rendered: Mutex<Rendered>,
    _lock: File,
}

impl Store {
    /// Creates the directory if it is missing, and locks it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let make = DirBuilder::new().recursive(true).mode(0o755).create(directory);
        make.map_err(failed("make the directory", directory))?;
        let lock = lock(directory)?;
        let handle = File::open(directory).map_err(failed("open", directory))?;
        Ok(Self {
            directory: directory.to_owned(),
            handle,
            loaded: OnceLock::new(),
            rendered: Mutex::default(),
            _lock: lock,
        })
    }

    /// The document; `None` if there is none yet.
    pub(crate) fn load(&self) -> Result<Option<Document>, StoreError> {
        let path = self.directory.join(DOCUMENT);
        match regular_file::read(&path) {
            Ok(bytes) => {
                let document = parse(&path, &bytes)?;
                let _ = self.loaded.set(bytes);
                Ok(Some(document))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Copies the document that was loaded, else the one on disk; gives the path of the copy.
    pub(crate) fn back_up(&self) -> Result<PathBuf, StoreError> {
        let path = self.directory.join(DOCUMENT);
        // By now another one may be on disk: a record that was tried again is saved.
        if let Some(bytes) = self.loaded.get() {
            return backup::write(&path, bytes);
        }
        let bytes = regular_file::read(&path).map_err(failed("read", &path))?;
        backup::write(&path, &bytes)
    }

    /// Replaces the document, which survives a power failure from then on.
    pub(crate) fn save(&self, document: &Document) -> Result<(), StoreError> {
        let new = self.directory.join(DOCUMENT_NEW);
        let path = self.directory.join(DOCUMENT);
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = rendered.text(document);
        let bytes = bytes.map_err(|error| failed("write", &new)(error.into()))?;
        // What cannot be read again is not written.
        regular_file::check_size(bytes.len() as u64).map_err(failed("write", &path))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = regular_file::open(&mut options, &new).map_err(failed("write", &new))?;
        let mut write = || {
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            self.handle.sync_all()
        };
        write().map_err(|error| {
            // A part of a document is of no use, and takes the room that a full disk lacks.
            let _ = fs::remove_file(&new);
            failed("write", &path)(error)
        })
    }
}

/// Parses a document: first the version, since another version may have other keys.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Document, StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let corrupt = |error: serde_json::Error| StoreError::Corrupt {
        path: path.to_owned(),
        line: error.line(),
        message: error.to_string(),
    };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if version != VERSION {
        return Err(StoreError::Version { path: path.to_owned(), found: version });
    }
    serde_json::from_slice(bytes).map_err(corrupt)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}
